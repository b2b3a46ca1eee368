//! A tower-mcp server for the acceptance set of the workspace above, with the extension in front of it or not.
//!
//! ```text
//! acceptance plain|adapter [--http] [--filter]
//! ```
//!
//! What listens says `serving http://...` on standard error, and ends when standard input does.

use mcp_ext_core::ExtensionSet;
use mcp_ext_tower_mcp::with_extensions;
use schemars::JsonSchema;
use serde::Deserialize;
use tower_mcp::{CallToolResult, HttpTransport, McpRouter, StdioTransport, ToolBuilder};

#[path = "../../../tests/acceptance/src/extension.rs"]
mod extension;
#[path = "../../../tests/acceptance/src/listen.rs"]
mod listen;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[derive(Deserialize, JsonSchema)]
struct Sum {
    a: i64,
    b: i64,
}

fn plain() -> McpRouter {
    let add = ToolBuilder::new("add")
        .description("Adds two numbers")
        .handler(|sum: Sum| async move { Ok(CallToolResult::text((sum.a + sum.b).to_string())) })
        .build();
    McpRouter::new().server_info("their-server", "3").tool(add)
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let flag = |name: &str| arguments.iter().any(|a| a == name);
    let (http, filter) = (flag("--http"), flag("--filter"));
    let set = match arguments.first().map(String::as_str) {
        Some("plain") => ExtensionSet::builder().build()?,
        Some("adapter") => extension::set(filter)?,
        other => return Err(format!("plain or adapter, not {other:?}").into()),
    };
    // An empty set changes nothing, but the server alone is to be the server alone.
    if set.is_empty() {
        return if http {
            listen::listen(HttpTransport::new(plain()).into_router(), "/").await
        } else {
            Ok(StdioTransport::new(plain()).run().await?)
        };
    }
    let (router, layer) = with_extensions(plain(), set)?;
    if http {
        listen::listen(HttpTransport::new(router).layer(layer).into_router(), "/").await
    } else {
        Ok(StdioTransport::new(router).layer(layer).run().await?)
    }
}
