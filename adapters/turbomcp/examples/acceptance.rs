//! A turbomcp server for the acceptance set of the workspace above, with the extension in front of it or not.
//!
//! ```text
//! acceptance plain|adapter [--http] [--filter]
//! ```
//!
//! What listens says `serving http://...` on standard error, and ends when standard input does.

use mcp_ext_turbomcp::ExtensionsLayer;
use turbomcp::http::{HttpConfig, router};
use turbomcp::prelude::*;
use turbomcp::{LegacySessionAdapter, McpService, serve_stdio, tower::Layer};

#[path = "../../../tests/acceptance/src/extension.rs"]
mod extension;
#[path = "../../../tests/acceptance/src/listen.rs"]
mod listen;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone)]
struct Plain;

#[server(name = "their-server", version = "3")]
impl Plain {
    /// Adds two numbers
    #[tool]
    async fn add(&self, a: i64, b: i64) -> String {
        (a + b).to_string()
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let flag = |name: &str| arguments.iter().any(|a| a == name);
    let (http, filter) = (flag("--http"), flag("--filter"));
    let server = Plain.into_server().build();
    match arguments.first().map(String::as_str) {
        Some("plain") => serve(server, http).await,
        Some("adapter") => {
            let extensions = ExtensionsLayer::new(extension::set(filter)?);
            serve(extensions.layer(server), http).await
        }
        other => Err(format!("plain or adapter, not {other:?}").into()),
    }
}

async fn serve<S>(server: S, http: bool) -> Result<(), Error>
where
    S: McpService + Clone + Sync,
    S::Future: Send + 'static,
{
    if !http {
        return Ok(serve_stdio(LegacySessionAdapter::new(server)).await?);
    }
    listen::listen(router(server, HttpConfig::new()), "/mcp").await
}
