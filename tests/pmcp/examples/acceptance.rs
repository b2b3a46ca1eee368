//! A pmcp server for the acceptance set of the workspace above, with the extension in front of it or not.
//!
//! ```text
//! acceptance plain [--http]
//! acceptance layer --http [--filter]
//! ```
//!
//! What listens says `serving http://...` on standard error, and ends when standard input does.

use std::sync::Arc;

use axum::Router;
use mcp_ext::ExtensionSet;
use mcp_ext_wire::WireLayer;
use pmcp::Server;
use pmcp::axum::{RouterConfig, concurrent_router_with_config};
use pmcp::server::simple_tool::SyncTool;
use pmcp::types::capabilities::ServerCapabilities;
use pmcp::types::protocol::{
    LATEST_PROTOCOL_VERSION, PROTOCOL_VERSION_2026_07_28, ProtocolVersion,
};
use serde_json::{Value, json};
use tower_layer::Layer;

#[path = "../../acceptance/src/extension.rs"]
mod extension;
#[path = "../../acceptance/src/listen.rs"]
mod listen;

type Error = Box<dyn std::error::Error + Send + Sync>;

fn plain() -> pmcp::Result<Server> {
    let add = SyncTool::new("add", |sum: Value| {
        let number = |name: &str| sum[name].as_i64().unwrap_or_default();
        Ok(json!(number("a") + number("b")))
    })
    .with_description("Adds two numbers")
    .with_schema(json!({
        "type": "object",
        "properties": { "a": { "type": "integer" }, "b": { "type": "integer" } },
        "required": ["a", "b"],
    }));
    Server::builder()
        .name("their-server")
        .version("3")
        .capabilities(ServerCapabilities::tools_only())
        .with_supported_protocol_versions([
            ProtocolVersion(LATEST_PROTOCOL_VERSION.to_owned()),
            ProtocolVersion(PROTOCOL_VERSION_2026_07_28.to_owned()),
        ])
        .tool("add", add)
        .build()
}

fn router(server: Server) -> Router {
    let mut config = RouterConfig::default();
    // Else answers in a session with an open stream go there, where the layer does not amend them.
    config.server_config.enable_json_response = true;
    concurrent_router_with_config(Arc::new(server), config)
}

fn with_extensions(server: Server, set: ExtensionSet) -> Router {
    Router::new().fallback_service(WireLayer::new(set).layer(router(server)))
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let flag = |name: &str| arguments.iter().any(|a| a == name);
    let (http, filter) = (flag("--http"), flag("--filter"));
    match arguments.first().map(String::as_str) {
        Some("plain") if http => listen::listen(router(plain()?), "/").await,
        Some("plain") => Ok(plain()?.run_stdio().await?),
        Some("layer") if http => {
            listen::listen(with_extensions(plain()?, extension::set(filter)?), "/").await
        }
        other => Err(format!("unknown arguments {other:?}; see the head of this program").into()),
    }
}
