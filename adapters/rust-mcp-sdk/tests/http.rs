//! A real rust-mcp-sdk server with extensions in front of it, over HTTP.
#![cfg(feature = "http")]
#![allow(missing_docs)]

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::*;
use mcp_ext_rust_mcp_sdk::{HttpContext, with_extensions};
use rust_mcp_sdk::auth::AuthInfo;
use rust_mcp_sdk::id_generator::{FastIdGenerator, UuidGenerator};
use rust_mcp_sdk::mcp_http::{
    DEFAULT_MAX_LISTEN_STREAMS, McpAppState, McpHttpHandler, Middleware, RequestExt,
};
use rust_mcp_sdk::mcp_server::ToMcpServerHandler;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Serves the library. `Authorization: NAME` is who calls.
async fn serve(desk: &Desk, json: bool, context: bool) -> SocketAddr {
    let handler = with_extensions(Plain::default().to_mcp_server_handler(), set(desk));
    let state = Arc::new(McpAppState {
        id_generator: Arc::new(UuidGenerator {}),
        stream_id_gen: Arc::new(FastIdGenerator::new(None)),
        server_details: Arc::new(details()),
        handler: Arc::new(handler),
        ping_interval: Duration::from_secs(10),
        transport_options: Arc::default(),
        enable_json_response: json,
        message_observer: None,
        extensions: Arc::default(),
        active_listen_streams: Arc::default(),
        max_listen_streams: DEFAULT_MAX_LISTEN_STREAMS,
    });
    let mut middlewares: Vec<Arc<dyn Middleware>> = Vec::new();
    if context {
        middlewares.push(Arc::new(HttpContext));
    }
    let http = Arc::new(McpHttpHandler::new(middlewares, None));
    let app = axum::Router::new().fallback(move |request: axum::extract::Request| {
        let (http, state) = (http.clone(), state.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 24).await.unwrap();
            let body = String::from_utf8(body.to_vec()).unwrap();
            let who = parts.headers.get("authorization").cloned();
            let mut request =
                McpHttpHandler::create_request(parts.method, parts.uri, parts.headers, Some(&body));
            if let Some(who) = who {
                let auth = json!({"token_unique_id": "t", "user_id": who.to_str().unwrap()});
                request.insert::<AuthInfo>(serde_json::from_value(auth).unwrap());
            }
            let answer = http.handle_streamable_http(request, state).await.unwrap();
            answer.map(axum::body::Body::new)
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn open(address: SocketAddr, headers: &str, body: &Value) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let body = body.to_string();
    let request = format!(
        "POST /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// The status, and the rest.
async fn post(address: SocketAddr, headers: &str, body: &Value) -> (u16, String) {
    let mut stream = open(address, headers, body).await;
    let mut all = String::new();
    tokio::time::timeout(Duration::from_secs(10), stream.read_to_string(&mut all))
        .await
        .unwrap()
        .unwrap();
    let status = all.split(' ').nth(1).unwrap().parse().unwrap();
    (status, all)
}

fn call(method: &str, params: Value, declared: Value) -> (String, Value) {
    let name = match method {
        "tools/call" => format!("Mcp-Name: {}\r\n", params["name"].as_str().unwrap()),
        _ => String::new(),
    };
    let headers = format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n{name}");
    let body =
        json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": modern(params, declared)});
    (headers, body)
}

/// Trap 10.
#[tokio::test]
async fn neg_07_statuses_are_those_of_the_protocol() {
    let desk = Desk::default();
    let address = serve(&desk, false, true).await;
    for (params, declared, status, part) in [
        (json!({"title": "Emma"}), shelf(), 200, "\"Emma\""),
        (json!({"title": "Emma"}), json!({}), 400, "-32021"),
        (json!({"title": 7}), shelf(), 200, "-32602"),
        (json!({"title": "missing"}), shelf(), 200, "4100"),
        (
            json!({"title": "Emma"}),
            json!({"com.example/shelf": 5}),
            400,
            "-32602",
        ),
    ] {
        let (headers, body) = call(FIND, params, declared);
        let (seen, text) = post(address, &headers, &body).await;
        assert_eq!(seen, status, "{text}");
        assert!(text.contains(part), "{text}");
    }
    let (headers, body) = call("com.example/nobodys", json!({}), shelf());
    assert_eq!(post(address, &headers, &body).await.0, 404);
    let (headers, mut body) = call(FIND, json!({"title": "Emma"}), shelf());
    body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = "1900-01-01".into();
    let headers = headers.replace("2026-07-28", "1900-01-01");
    let (status, text) = post(address, &headers, &body).await;
    assert_eq!(status, 400, "{text}");
    assert!(text.contains("-32022"), "{text}");
    assert_eq!(desk.0.started.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_caller_is_whom_the_token_names() {
    let address = serve(&Desk::default(), false, true).await;
    let (headers, body) = call(FIND, json!({"title": "Emma"}), shelf());
    let (_, text) = post(address, &format!("{headers}Authorization: ada\r\n"), &body).await;
    assert!(text.contains("\"who\":\"ada\""), "{text}");
    let (_, text) = post(address, &headers, &body).await;
    assert!(text.contains("\"who\":null"), "{text}");
}

#[tokio::test]
async fn the_header_mcp_name_is_compared_where_a_method_asks_for_it() {
    let address = serve(&Desk::default(), false, true).await;
    let (headers, body) = call("com.example/shelf/open", json!({"title": "Emma"}), shelf());
    for (name, status) in [("Emma", 200), ("Persuasion", 400)] {
        let headers = format!("{headers}Mcp-Name: {name}\r\n");
        let (seen, text) = post(address, &headers, &body).await;
        assert_eq!(seen, status, "{text}");
    }
    let (status, text) = post(address, &headers, &body).await;
    assert_eq!(status, 400, "{text}");
    assert!(text.contains("-32020"), "{text}");
    // Without the middleware nobody sees the header.
    let address = serve(&Desk::default(), false, false).await;
    assert_eq!(post(address, &headers, &body).await.0, 200);
}

/// What is open ends with its connection.
#[tokio::test]
async fn a_client_that_hangs_up_cancels_its_call_and_no_other() {
    let desk = Desk::default();
    let address = serve(&desk, false, true).await;
    let (headers, body) = call(FIND, json!({"title": "hang"}), shelf());
    let (first, second) = (
        open(address, &headers, &body).await,
        open(address, &headers, &body).await,
    );
    let count = |counter: &std::sync::atomic::AtomicUsize| counter.load(Ordering::SeqCst);
    let wait = |what: Box<dyn Fn() -> bool>| async move {
        for _ in 0..1000 {
            if what() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("it does not happen");
    };
    let library = desk.0.clone();
    wait(Box::new(move || count(&library.started) == 2)).await;
    drop(first);
    let library = desk.0.clone();
    wait(Box::new(move || count(&library.dropped) == 1)).await;
    let (headers, body) = call(FIND, json!({"title": "Emma"}), shelf());
    assert_eq!(post(address, &headers, &body).await.0, 200);
    assert_eq!(count(&desk.0.dropped), 2, "the answered one and the first");
    drop(second);
    let library = desk.0.clone();
    wait(Box::new(move || count(&library.dropped) == 3)).await;
}

#[tokio::test]
async fn notifications_come_on_the_stream_of_their_call_and_not_beside_json() {
    let params = json!({"name": "borrow_book", "arguments": {"title": "Emma"}, "_meta": {"progressToken": "p"}});
    let (headers, body) = call("tools/call", params, shelf());
    let address = serve(&Desk::default(), false, true).await;
    let (status, text) = post(address, &headers, &body).await;
    assert_eq!(status, 200, "{text}");
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"));
    assert!(at("notifications/progress") < at("structuredContent"));
    assert!(at("/moved") < at("structuredContent"));

    let address = serve(&Desk::default(), true, true).await;
    let (status, text) = post(address, &headers, &body).await;
    assert_eq!(status, 200, "{text}");
    assert!(text.contains("\"notified\":\"Unsupported\""), "{text}");
    assert!(!text.contains("notifications/"), "{text}");

    // When this fails, rust-mcp-sdk no longer takes the first message of a call for its answer.
    let address = serve(&Desk::default(), true, false).await;
    let (_, text) = post(address, &headers, &body).await;
    assert!(text.contains("notifications/progress"), "{text}");
    assert!(!text.contains("structuredContent"), "{text}");
}

/// Trap 8, and what is merged over HTTP too.
#[tokio::test]
async fn lists_and_capabilities_have_ours() {
    let address = serve(&Desk::default(), false, true).await;
    let (headers, body) = call("tools/list", json!({}), untyped());
    let (status, text) = post(address, &headers, &body).await;
    assert_eq!(status, 200, "{text}");
    assert!(text.contains("\"add\"") && text.contains("\"borrow_book\""));
    assert!(text.contains("\"public\""), "{text}");
    let (headers, body) = call("server/discover", json!({}), json!({}));
    let (_, text) = post(address, &headers, &body).await;
    assert!(text.contains("\"com.example/shelf\":{"), "{text}");
}

/// Trap 6: what comes through the middleware is what comes without it, and is not held back.
#[tokio::test]
async fn a_listen_stream_is_the_servers_own() {
    let params = json!({"notifications": {"toolsListChanged": true}});
    let (headers, body) = call("subscriptions/listen", params, shelf());
    let mut answers = Vec::new();
    for context in [true, false] {
        let address = serve(&Desk::default(), false, context).await;
        let (status, text) = post(address, &headers, &body).await;
        assert_eq!(status, 200, "{text}");
        let events = text.lines().filter(|line| line.starts_with("data:"));
        answers.push(events.map(str::to_owned).collect::<Vec<_>>());
    }
    assert!(answers[0].len() > 1, "{answers:?}");
    assert_eq!(answers[0], answers[1]);

    // A call that is still running has sent what it had to say.
    let desk = Desk::default();
    let address = serve(&desk, false, true).await;
    let params = json!({"name": "borrow_book", "arguments": {"title": "hang"}, "_meta": {"progressToken": "p"}});
    let (headers, body) = call("tools/call", params, shelf());
    let mut stream = open(address, &headers, &body).await;
    let mut text = String::new();
    while !text.contains("/moved") {
        let mut part = [0; 4096];
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut part)).await;
        let read = read.expect("it is not held back").unwrap();
        assert!(read > 0, "{text}");
        text.push_str(std::str::from_utf8(&part[..read]).unwrap());
    }
    assert_eq!(desk.0.dropped.load(Ordering::SeqCst), 0);
}
