//! `mcp-ext demo`: real clients and servers in separate processes, and what passed between them.

mod http;
mod log;
mod scene;
mod show;
mod stdio;

use std::io::IsTerminal;
use std::time::Duration;

use serde::Serialize;

use crate::Error;
use log::Frame;

/// Watch the healthcare extension at work: over stdio and HTTP, in both eras of the protocol, with clients that know
/// the extension and clients that do not. All records are synthetic.
#[derive(clap::Args)]
pub struct Args {
    /// Print everything as JSON, all captured frames included.
    #[arg(long)]
    json: bool,

    /// Show each frame in full.
    #[arg(long, conflicts_with = "json")]
    frames: bool,

    /// The server to show instead of this program's own; `--http 127.0.0.1:0` is added to it for the HTTP part.
    #[arg(long, value_name = "COMMAND", num_args = 1.., allow_hyphen_values = true, hide = true)]
    server: Vec<String>,
}

/// How the two sides talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Transport {
    Stdio,
    Http,
}

/// Which era the client chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Era {
    Modern,
    Legacy,
}

/// One thing the demo shows, and whether it held.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fact {
    pub what: &'static str,
    /// What the captured frames say.
    pub seen: serde_json::Value,
    /// What was expected, when it was not seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
}

impl Fact {
    pub fn holds(&self) -> bool {
        self.expected.is_none()
    }
}

/// What was seen over one transport in one era.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scene {
    pub transport: Transport,
    pub era: Era,
    pub facts: Vec<Fact>,
    /// Why the scene could not be played to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
    pub frames: Vec<Frame>,
}

impl Scene {
    fn holds(&self) -> bool {
        self.broken.is_none() && self.facts.iter().all(Fact::holds)
    }
}

/// Whether everything shown held.
pub async fn run(args: Args) -> Result<bool, Error> {
    let server = if args.server.is_empty() {
        let own = std::env::current_exe()?.to_string_lossy().into_owned();
        [&own, "serve", "--enable", "healthcare", "--data", "bundled"]
            .map(str::to_owned)
            .to_vec()
    } else {
        args.server
    };
    let progress = !args.json && std::io::stderr().is_terminal();
    let mut scenes = Vec::new();
    for transport in [Transport::Stdio, Transport::Http] {
        for era in [Era::Modern, Era::Legacy] {
            if progress {
                eprint!(
                    "\r{} {} ...          ",
                    show::transport(transport),
                    show::era(era)
                );
            }
            let played = tokio::time::timeout(
                Duration::from_secs(60),
                scene::play(&server, transport, era),
            )
            .await;
            let scene = played.unwrap_or_else(|_| Scene {
                transport,
                era,
                facts: Vec::new(),
                broken: Some("it took longer than 60 seconds".to_owned()),
                frames: Vec::new(),
            });
            if progress {
                eprint!("\r\x1b[K");
            }
            if !args.json {
                show::scene(&scene, args.frames);
            }
            scenes.push(scene);
        }
    }
    let all = scenes.iter().all(Scene::holds);
    if args.json {
        let facts = scenes.iter().flat_map(|s| &s.facts);
        let report = serde_json::json!({
            "holds": all,
            "shown": facts.clone().filter(|f| f.holds()).count(),
            "failed": facts.filter(|f| !f.holds()).count(),
            "scenes": scenes,
        });
        anstream::println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        show::summary(&scenes, all);
    }
    Ok(all)
}
