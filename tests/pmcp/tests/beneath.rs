//! What stands against an adapter for pmcp, and what the layer in front of its router keeps.
#![allow(missing_docs)]

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use mcp_ext::prelude::*;
use mcp_ext_wire::WireLayer;
use pmcp::Server;
use pmcp::axum::{RouterConfig, concurrent_router_with_config};
use pmcp::types::protocol::{
    LATEST_PROTOCOL_VERSION, PROTOCOL_VERSION_2026_07_28, ProtocolVersion,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower_layer::Layer;
use tower_service::Service;

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Hour {
    hour: u32,
}

/// Tells the hour.
#[extension(id = "com.example/clock")]
pub trait Clock {
    /// Which hour it is.
    #[method]
    async fn hour(&self, cx: &Cx<ClockExtension>) -> Result<Hour, Infallible>;
}

struct Noon;

#[handlers]
impl Clock for Noon {
    async fn hour(&self, _: &Cx<ClockExtension>) -> Result<Hour, Infallible> {
        Ok(Hour { hour: 12 })
    }
}

const HOUR: &str = "com.example/clock/hour";

fn router(json_answers: bool) -> Router {
    let server = Server::builder()
        .name("their-server")
        .version("1")
        .with_supported_protocol_versions([
            ProtocolVersion(LATEST_PROTOCOL_VERSION.to_owned()),
            ProtocolVersion(PROTOCOL_VERSION_2026_07_28.to_owned()),
        ])
        .build()
        .unwrap();
    let mut config = RouterConfig::default();
    config.server_config.enable_json_response = json_answers;
    concurrent_router_with_config(Arc::new(server), config)
}

fn layered() -> Router {
    let set = ExtensionSet::builder()
        .enable(ClockExtension::provide(Noon))
        .build()
        .unwrap();
    Router::new().fallback_service(WireLayer::new(set).layer(router(true)))
}

struct Answer {
    status: u16,
    session: Option<String>,
    body: Value,
}

async fn post(router: &Router, headers: &[(&str, &str)], method: &str, params: Value) -> Answer {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let mut request = Request::post("/")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_string())).unwrap();
    let Ok(response) = router.clone().call(request).await;
    let session = response.headers().get("mcp-session-id");
    Answer {
        status: response.status().as_u16(),
        session: session.map(|id| id.to_str().unwrap().to_owned()),
        body: {
            let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
            serde_json::from_slice(&bytes).unwrap_or(Value::Null)
        },
    }
}

async fn modern(router: &Router, more: &[(&str, &str)], method: &str) -> Answer {
    let params = json!({ "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": { "extensions": { "com.example/clock": {} } },
    }});
    let own = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", method),
    ];
    post(router, &[&own, more].concat(), method, params).await
}

async fn open(router: &Router) -> String {
    let params = json!({
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" },
    });
    let answer = post(router, &[], "initialize", params).await;
    answer.session.unwrap_or_else(|| panic!("{}", answer.body))
}

#[tokio::test]
async fn a_method_of_an_extension_reaches_nothing_of_pmcps() {
    // Its requests are one closed enum, so there is no handler that could be asked.
    let frame = json!({ "jsonrpc": "2.0", "id": 1, "method": HOUR, "params": {} }).to_string();
    let refused = pmcp::shared::transport::parse_message(frame.as_bytes());
    let why = refused.expect_err("it is no message to pmcp").to_string();
    assert!(why.contains("Method not found"), "{why}");

    let router = router(true);
    let answer = modern(&router, &[], HOUR).await;
    assert_eq!(
        (answer.status, &answer.body["error"]["code"]),
        (404, &json!(-32601))
    );
    let session = open(&router).await;
    let answer = post(&router, &[("mcp-session-id", &session)], HOUR, json!({})).await;
    assert_eq!(
        (answer.status, &answer.body["error"]["code"]),
        (400, &json!(-32700))
    );
}

#[tokio::test]
async fn over_stdio_the_modern_era_is_no_message_to_pmcp() {
    let frame = json!({ "jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {} });
    let refused = pmcp::shared::transport::parse_message(frame.to_string().as_bytes());
    assert!(refused.is_err());
}

#[tokio::test]
async fn pmcps_own_checks_stand_in_front_of_ours() {
    let router = layered();
    let answer = modern(&router, &[], HOUR).await;
    assert_eq!(answer.body["result"]["hour"], 12, "{}", answer.body);
    let answer = modern(&router, &[("origin", "https://evil.example")], HOUR).await;
    assert_eq!(answer.status, 403, "{}", answer.body);
    let answer = modern(&router, &[("origin", "http://localhost")], HOUR).await;
    assert_eq!(answer.body["result"]["hour"], 12, "{}", answer.body);
}

#[tokio::test]
async fn without_json_answers_an_open_stream_takes_them_past_the_layer() {
    for (json_answers, expected) in [(false, 202), (true, 200)] {
        let router = router(json_answers);
        let session = open(&router).await;
        let listen = Request::get("/")
            .header("host", "localhost")
            .header("accept", "text/event-stream")
            .header("mcp-session-id", &session)
            .body(Body::empty())
            .unwrap();
        let Ok(_stream) = router.clone().call(listen).await;
        let answer = post(&router, &[("mcp-session-id", &session)], "ping", json!({})).await;
        assert_eq!(answer.status, expected, "{}", answer.body);
    }
}

#[test]
fn the_books_lines_are_those_of_the_example() {
    let page = include_str!("../../../docs/src/adapters.md");
    let example = include_str!("../examples/acceptance.rs");
    let (_, rest) = page.split_once("## pmcp").unwrap();
    let (_, rest) = rest.split_once("```rust,ignore\n").unwrap();
    let (code, _) = rest.split_once("```").unwrap();
    assert!(!code.is_empty() && example.contains(code), "{code}");
}
