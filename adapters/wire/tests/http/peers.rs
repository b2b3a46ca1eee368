//! In front of servers of other makers over Streamable HTTP, and inside a service made with rmcp.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use mcp_ext_wire::{ProxyOptions, WireLayer};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{ServerCapabilities, ServerConfig};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tower_layer::Layer;
use tower_service::Service;

use crate::common::*;
use crate::peers_installed::{everything, python_server, skipped};
use crate::rig::*;

fn names(answer: &Value) -> Vec<&str> {
    let tools = answer["result"]["tools"].as_array().unwrap();
    tools.iter().filter_map(|t| t["name"].as_str()).collect()
}

async fn legacy_era(address: SocketAddr, tool: &str, arguments: Value, text: &str) {
    let init = post(address, &[], &initialize(1, "2025-11-25")).await;
    let session = init.headers["mcp-session-id"].to_str().unwrap().to_owned();
    let init = init.json();
    assert!(
        init["result"]["capabilities"]["extensions"][ID].is_object(),
        "{init}"
    );
    let session = [
        ("mcp-session-id", session.as_str()),
        ("mcp-protocol-version", "2025-11-25"),
    ];
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(post(address, &session, &initialized).await.status, 202);
    let list = post(address, &session, &legacy(2, "tools/list", json!({})))
        .await
        .json();
    let all = names(&list);
    assert!(
        all.contains(&tool) && all.ends_with(&[TOOL, GATED]),
        "{all:?}"
    );
    let theirs = legacy(
        3,
        "tools/call",
        json!({"name": tool, "arguments": arguments}),
    );
    let theirs = post(address, &session, &theirs).await.json();
    assert!(
        theirs["result"]["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains(text),
        "{theirs}"
    );
    let ours = legacy(
        4,
        "tools/call",
        json!({"name": TOOL, "arguments": {"text": "x"}}),
    );
    let ours = post(address, &session, &ours).await.json();
    assert_eq!(
        ours["result"]["structuredContent"]["text"], "X true",
        "{ours}"
    );
    let echo = post(
        address,
        &session,
        &legacy("five", ECHO, json!({"text": "x"})),
    )
    .await
    .json();
    assert_eq!(echo["result"], json!({"text": "x"}));
    let stray = [("mcp-session-id", "no-such-session"), session[1]];
    let refused = post(address, &stray, &legacy(6, ECHO, json!({"text": "x"}))).await;
    assert!((400..500).contains(&refused.status), "{refused:?}");
}

async fn modern_era(address: SocketAddr) {
    let echo = modern_post(address, &[], &modern(1, ECHO, json!({"text": "x"}))).await;
    assert_eq!(
        (echo.status, &echo.json()["result"]["text"]),
        (200, &json!("x")),
        "{echo:?}"
    );
    let discover = modern_post(address, &[], &modern(2, "server/discover", json!({})))
        .await
        .json();
    assert!(
        discover["result"]["capabilities"]["extensions"][ID].is_object(),
        "{discover}"
    );
    let list = modern_post(address, &[], &modern(3, "tools/list", json!({})))
        .await
        .json();
    assert_eq!(names(&list), ["add", TOOL, GATED]);
    let add = modern(
        4,
        "tools/call",
        json!({"name": "add", "arguments": {"a": 1, "b": 2}}),
    );
    let add = modern_post(address, &[], &add).await.json();
    assert_eq!(add["result"]["content"][0]["text"], "3", "{add}");
    let mut undeclared = modern(5, ECHO, json!({"text": "x"}));
    undeclared["params"]["_meta"] = modern_meta(false);
    assert_eq!(modern_post(address, &[], &undeclared).await.status, 400);
    let unknown = modern_post(address, &[], &modern(6, "com.example/none/x", json!({}))).await;
    assert_eq!(unknown.status, 404, "{unknown:?}");
}

// ---- rmcp, the layer in the same process ---------------------------------------------------------------------------

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

async fn rmcp_with_layer() -> SocketAddr {
    let inner: StreamableHttpService<Adder, LocalSessionManager> = StreamableHttpService::new(
        || Ok(Adder),
        Default::default(),
        StreamableHttpServerConfig::default(),
    );
    let service = WireLayer::new(set()).layer(inner);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            let handler =
                hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    service.clone().call(request)
                });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), handler),
            );
        }
    });
    address
}

#[tokio::test]
async fn a_service_made_with_rmcp() {
    let address = rmcp_with_layer().await;
    legacy_era(address, "add", json!({"a": 1, "b": 2}), "3").await;
    modern_era(address).await;
    // The checks of the service itself come first (trap 5): it takes no foreign Host.
    let frame = modern(9, ECHO, json!({"text": "x"}));
    let headers = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", ECHO),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut request = http::Request::post("/mcp").header("host", "evil.example");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request
        .body(http_body_util::Full::new(bytes::Bytes::from(
            frame.to_string(),
        )))
        .unwrap();
    let refused = sender.send_request(request).await.unwrap();
    assert_eq!(refused.status(), 403);
}

// ---- processes -----------------------------------------------------------------------------------------------------

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn start(mut command: Command, port: u16) -> (Server, SocketAddr) {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = Server(child);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    for _ in 0..600 {
        if tokio::net::TcpStream::connect(address).await.is_ok() {
            let rig = front(set(), address, ProxyOptions::default()).await;
            let address = rig.address;
            // It runs as long as the test.
            std::mem::forget(rig);
            return (server, address);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the server does not listen");
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn a_python_server_over_http() {
    let port = free_port();
    let run = format!("server.run(transport='streamable-http', port={port})");
    match python_server(&run) {
        Err(why) => skipped("a_python_server_over_http", &why),
        Ok(command) => {
            let (_server, address) = start(command, port).await;
            legacy_era(address, "add", json!({"a": 1, "b": 2}), "3").await;
            modern_era(address).await;
        }
    }
}

#[tokio::test]
async fn the_reference_server_of_the_protocol_s_authors_over_http() {
    let port = free_port();
    match everything("streamableHttp") {
        Err(why) => skipped(
            "the_reference_server_of_the_protocol_s_authors_over_http",
            &why,
        ),
        Ok(mut command) => {
            command.env("PORT", port.to_string());
            let (_server, address) = start(command, port).await;
            legacy_era(address, "echo", json!({"message": "hi"}), "hi").await;
            // It knows the legacy era alone, and answers a modern call itself.
            let answer = modern_post(address, &[], &modern(1, ECHO, json!({"text": "x"}))).await;
            assert!((400..500).contains(&answer.status), "{answer:?}");
        }
    }
}
