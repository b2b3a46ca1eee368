//! The acceptance set of all adapters (`tests/acceptance` of the project), played against a tower-mcp router with the
//! extension in front of it. The same program is the server: it is started with `serve`.
#![allow(missing_docs)]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use mcp_ext_acceptance::extension::set;
use mcp_ext_acceptance::{CHECKS, Place, Scene, Server, Servers};
use mcp_ext_tower_mcp::with_extensions;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tower_mcp::{CallToolResult, HttpTransport, McpRouter, StdioTransport, ToolBuilder};

/// A check, where, and why.
type Lost = (&'static str, fn(Place) -> bool, &'static str);

/// The page with how many hold.
const PAGE: &str = include_str!("../../../../docs/src/adapters.md");

/// Checks that cannot hold, where, and why. Each is looked at: one that holds after all fails the run.
const LOST: &[Lost] = &[
    (
        "the handler of a cancelled call is stopped, and nobody answers",
        |p| !(p.http() && p.modern()),
        "a layer cannot leave a request unanswered: the handler is stopped, and an error answers",
    ),
    (
        "a notification of the extension arrives, each once and in order",
        |_| true,
        "tower-mcp sends notifications of its own types alone",
    ),
    (
        "it comes before the answer, on its stream",
        |_| true,
        "tower-mcp sends notifications of its own types alone",
    ),
    (
        "progress arrives under the client's token",
        |p| p.http() && !p.modern(),
        "what a layer reports in a session over HTTP reaches nobody",
    ),
    (
        "a name that the header repeats is compared with it",
        |p| p.http() && p.modern(),
        "a layer does not see headers",
    ),
    (
        "a notification of the client in the extension's name is answered by nobody",
        |p| p.http() && p.modern(),
        "tower-mcp answers 400 before a layer sees it",
    ),
];

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Error> {
    let runtime = tokio::runtime::Runtime::new()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("serve") => runtime.block_on(serve(&arguments[1..])),
        // Whatever the test runner passes on.
        _ => runtime.block_on(play()),
    }
}

// ---- the server --------------------------------------------------------------------------------------------------

#[derive(Debug, Deserialize, JsonSchema)]
struct Sum {
    a: i64,
    b: i64,
}

async fn serve(flags: &[String]) -> Result<(), Error> {
    let flag = |name: &str| flags.iter().any(|f| f == name);
    let add = ToolBuilder::new("add")
        .description("Adds two numbers")
        .handler(|Sum { a, b }: Sum| async move { Ok(CallToolResult::text((a + b).to_string())) })
        .build();
    let router = McpRouter::new().server_info("their-server", "3").tool(add);
    match (flag("--bare"), flag("--http")) {
        (true, false) => StdioTransport::new(router).run().await?,
        (false, false) => {
            let (router, layer) = with_extensions(router, set(flag("--filter"))?)?;
            StdioTransport::new(router).layer(layer).run().await?;
        }
        (true, true) => listen(HttpTransport::new(router).into_router_at("/mcp")).await?,
        (false, true) => {
            let (router, layer) = with_extensions(router, set(flag("--filter"))?)?;
            let transport = HttpTransport::new(router).layer(layer);
            listen(transport.into_router_at("/mcp")).await?;
        }
    }
    Ok(())
}

async fn listen(router: axum::Router) -> Result<(), Error> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("serving http://{}/mcp", listener.local_addr()?);
    tokio::select! {
        served = axum::serve(listener, router) => Ok(served?),
        // Whoever started this holds the other end, and it closes however they end.
        () = async {
            let (gone, ended) = tokio::sync::oneshot::channel::<()>();
            std::thread::spawn(move || {
                let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
                drop(gone);
            });
            let _ = ended.await;
        } => Ok(()),
    }
}

// ---- the set -----------------------------------------------------------------------------------------------------

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server over HTTP, and its address.
fn listening(flags: &[&str]) -> Result<(Running, Server), Error> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("serve")
        .arg("--http")
        .args(flags)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut said = BufReader::new(child.stderr.take().ok_or("no standard error")?);
    let running = Running(child);
    let mut line = String::new();
    said.read_line(&mut line)?;
    std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    let url = line.trim().strip_prefix("serving ").ok_or(line.clone())?;
    Ok((running, Server::Url(url.to_owned())))
}

fn command(flags: &[&str]) -> Result<Server, Error> {
    let program = std::env::current_exe()?;
    let mut words = vec![program.to_string_lossy().into_owned(), "serve".to_owned()];
    words.extend(flags.iter().map(|f| (*f).to_owned()));
    Ok(Server::Command(words))
}

async fn play() -> Result<(), Error> {
    let mut failed = 0;
    let (mut holding, mut losing) = (
        "| tower-mcp adapter |".to_owned(),
        "| checks that cannot hold |".to_owned(),
    );
    for http in [false, true] {
        let mut running = Vec::new();
        let mut start = |flags: &[&str]| -> Result<Server, Error> {
            if !http {
                return command(flags);
            }
            let (child, server) = listening(flags)?;
            running.push(child);
            Ok(server)
        };
        let servers = Servers {
            main: start(&[])?,
            filtered: Some(start(&["--filter"])?),
            bare: Some(start(&["--bare"])?),
            own_tool: Some(("add".to_owned(), json!({ "a": 1, "b": 2 }))),
        };
        for place in Place::ALL.into_iter().filter(|p| p.http() == http) {
            let scene = Scene::new(place, servers.clone());
            let (mut held, mut lost) = (0, 0);
            for check in CHECKS
                .iter()
                .flat_map(|topic| topic.iter())
                .filter(|c| c.applies(place))
            {
                let known = LOST
                    .iter()
                    .find(|(name, here, _)| *name == check.name && here(place));
                match (check.play(&scene).await, known) {
                    (Ok(()), None) => held += 1,
                    (Err(_), Some(_)) => lost += 1,
                    (Err(why), None) => {
                        failed += 1;
                        println!("{place}: {}: {}: NO\n    {why}", check.topic, check.name);
                    }
                    (Ok(()), Some(_)) => {
                        failed += 1;
                        println!(
                            "{place}: {}: {}: it holds now; take it off LOST",
                            check.topic, check.name
                        );
                    }
                }
            }
            println!("{place}: {held} hold, {lost} cannot");
            holding += &format!(" {held} |");
            losing += &format!(" {lost} |");
        }
    }
    for row in [holding, losing] {
        if !PAGE.lines().any(|line| line == row) {
            failed += 1;
            println!("docs/src/adapters.md should have the row {row}");
        }
    }
    if failed > 0 {
        return Err(format!("{failed} checks do not hold").into());
    }
    println!("test result: ok. acceptance set");
    Ok(())
}
