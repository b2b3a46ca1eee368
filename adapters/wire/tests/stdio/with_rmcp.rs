//! In front of a server made with rmcp, and called by a client made with it.

use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{ServerCapabilities, ServerConfig};
use rmcp::{ServerHandler, ServiceExt, tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::common::*;
use crate::rig::*;

#[derive(Deserialize, JsonSchema)]
struct Sum {
    a: i64,
    b: i64,
}

#[derive(Clone)]
struct Adder;

#[tool_router]
impl Adder {
    #[tool(description = "Adds two numbers")]
    fn add(&self, Parameters(Sum { a, b }): Parameters<Sum>) -> String {
        (a + b).to_string()
    }
}

#[tool_handler]
impl ServerHandler for Adder {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

fn rmcp_bench(set: mcp_ext_core::ExtensionSet) -> Side {
    let Bench {
        client,
        server,
        relay: _,
    } = bench(set);
    let (read, write) = (server.read, server.write.unwrap());
    tokio::spawn(async move {
        if let Ok(running) = Adder.serve((read, write)).await {
            let _ = running.waiting().await;
        }
    });
    client
}

#[tokio::test]
async fn the_legacy_era() {
    let mut client = rmcp_bench(set());
    let init = client.call(&initialize(1, "2025-11-25")).await;
    assert!(
        init["result"]["capabilities"]["extensions"][ID].is_object(),
        "{init}"
    );
    client
        .send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
        .await;
    let list = client.call(&legacy(2, "tools/list", json!({}))).await;
    let names: Vec<_> = list["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["add", TOOL, GATED]);
    let sum = client
        .call(&legacy(
            3,
            "tools/call",
            json!({"name": "add", "arguments": {"a": 1, "b": 2}}),
        ))
        .await;
    assert_eq!(sum["result"]["content"][0]["text"], "3");
    let shout = client
        .call(&legacy(
            4,
            "tools/call",
            json!({"name": TOOL, "arguments": {"text": "x"}}),
        ))
        .await;
    assert_eq!(shout["result"]["structuredContent"]["text"], "X true");
    let echo = client.call(&legacy(5, ECHO, json!({"text": "x"}))).await;
    assert_eq!(echo["result"], json!({"text": "x"}));
    let unknown = client
        .call(&legacy(6, "com.example/none/x", json!({})))
        .await;
    assert_eq!(unknown["error"]["code"], -32601);
}

#[tokio::test]
async fn the_modern_era_without_a_discover() {
    let mut client = rmcp_bench(set());
    let echo = client.call(&modern(1, ECHO, json!({"text": "x"}))).await;
    assert_eq!(echo["result"]["text"], "x", "{echo}");
    assert_eq!(echo["result"]["resultType"], "complete");
    let sum = client
        .call(&modern(
            2,
            "tools/call",
            json!({"name": "add", "arguments": {"a": 1, "b": 2}}),
        ))
        .await;
    assert_eq!(sum["result"]["content"][0]["text"], "3");
    let discover = client.call(&modern(3, "server/discover", json!({}))).await;
    assert!(
        discover["result"]["capabilities"]["extensions"][ID].is_object(),
        "{discover}"
    );
}
