//! The servers made with Rust: one that knows nothing of extensions, and adapters in front of it or of others.
//!
//! ```text
//! acceptance-server plain|rmcp|layer [--http] [--filter]
//! acceptance-server wrap [--filter] -- COMMAND ARGS...
//! acceptance-server proxy [--filter] URL
//! ```
//!
//! What listens says `serving http://...` on standard error, and ends when standard input does.

use std::io::Read;

use axum::Router;
use mcp_ext::prelude::*;
use mcp_ext_acceptance::extension::set;
use mcp_ext_wire::{ProxyOptions, RelayOptions, WireLayer};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{Implementation, ServerCapabilities, ServerConfig};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, ServiceExt, tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::Deserialize;
use tower_layer::Layer;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[derive(Deserialize, JsonSchema)]
struct Sum {
    a: i64,
    b: i64,
}

#[derive(Clone)]
struct Plain;

#[tool_router]
impl Plain {
    #[tool(description = "Adds two numbers")]
    fn add(&self, Parameters(Sum { a, b }): Parameters<Sum>) -> String {
        (a + b).to_string()
    }
}

#[tool_handler]
impl ServerHandler for Plain {
    fn get_info(&self) -> ServerConfig {
        let mut info = ServerConfig::new(ServerCapabilities::builder().enable_tools().build());
        info.server_info = Implementation::new("their-server", "3");
        info
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let command = arguments
        .iter()
        .position(|a| a == "--")
        .map(|at| arguments.split_off(at));
    let mut flag = |name: &str| {
        let at = arguments.iter().position(|a| a == name);
        at.map(|at| arguments.remove(at)).is_some()
    };
    let (http, set) = (flag("--http"), set(flag("--filter"))?);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        // One entry for each adapter: the server with the extension in front of it.
        ["plain"] => serve(Plain, http).await,
        ["rmcp"] => serve(Plain.with_extensions(set)?, http).await,
        ["layer"] => {
            let service = WireLayer::new(set).layer(service(Plain));
            listen(Router::new().route_service("/mcp", service)).await
        }
        ["wrap"] => {
            let command = command.unwrap_or_default();
            let [_, program, arguments @ ..] = command.as_slice() else {
                return Err("give the command after `--`".into());
            };
            let mut command = tokio::process::Command::new(program);
            command.args(arguments);
            let status = mcp_ext_wire::wrap(set, command, RelayOptions::default()).await?;
            // A read of standard input may still be blocked in a thread, which a return would wait for.
            std::process::exit(status.code().unwrap_or(1))
        }
        ["proxy", upstream] => {
            let upstream: axum::http::Uri = upstream.parse()?;
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            eprintln!(
                "serving http://{}{}",
                listener.local_addr()?,
                upstream.path()
            );
            mcp_ext_wire::proxy(set, listener, upstream, ProxyOptions::default(), ended()).await?;
            Ok(())
        }
        other => Err(format!("unknown arguments {other:?}; see the head of this program").into()),
    }
}

fn service<S: ServerHandler + Clone>(server: S) -> StreamableHttpService<S, LocalSessionManager> {
    let server = move || Ok(server.clone());
    StreamableHttpService::new(
        server,
        LocalSessionManager::default().into(),
        StreamableHttpServerConfig::default(),
    )
}

async fn serve<S: ServerHandler + Clone>(server: S, http: bool) -> Result<(), Error> {
    if http {
        return listen(Router::new().route_service("/mcp", service(server))).await;
    }
    server
        .serve(rmcp::transport::stdio())
        .await?
        .waiting()
        .await?;
    Ok(())
}

async fn listen(router: Router) -> Result<(), Error> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("serving http://{}/mcp", listener.local_addr()?);
    tokio::select! {
        served = axum::serve(listener, router).into_future() => Ok(served?),
        () = ended() => Ok(()),
    }
}

/// The end of standard input: whoever started this holds the other end, and it closes however they end.
async fn ended() {
    let (gone, ended) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
        drop(gone);
    });
    let _ = ended.await;
}
