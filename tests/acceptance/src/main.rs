//! Plays the set against one server that has the extension `com.example/acceptance` in front of it.
//!
//! ```text
//! acceptance http://HOST/PATH
//! acceptance -- COMMAND ARGS...
//! ```
//!
//! Both eras are played. Exit code 1 if anything does not hold.

use mcp_ext_acceptance::{CHECKS, Place, Scene, Server, Servers};

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let main = match arguments.as_slice() {
        [dashes, command @ ..] if dashes == "--" && !command.is_empty() => {
            Server::Command(command.to_vec())
        }
        [url] if url.starts_with("http://") => Server::Url(url.clone()),
        _ => {
            eprintln!("usage: acceptance http://HOST/PATH, or acceptance -- COMMAND ARGS...");
            return 2.into();
        }
    };
    let http = matches!(main, Server::Url(_));
    let servers = Servers {
        main,
        filtered: None,
        bare: None,
        own_tool: None,
    };
    let mut failed = 0;
    for place in Place::ALL.into_iter().filter(|p| p.http() == http) {
        let scene = Scene::new(place, servers.clone());
        for check in CHECKS
            .iter()
            .flat_map(|topic| topic.iter())
            .filter(|c| c.applies(place))
        {
            let outcome = check.play(&scene).await;
            failed += u32::from(outcome.is_err());
            let said = outcome.map_or_else(|why| format!("NO\n    {why}"), |()| "yes".to_owned());
            println!("{place}: {}: {}: {said}", check.topic, check.name);
        }
    }
    u8::from(failed > 0).into()
}
