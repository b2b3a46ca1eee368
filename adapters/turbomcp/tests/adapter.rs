//! What is turbomcp's own about this adapter. What all adapters have in common is in the acceptance set.
#![allow(missing_docs)]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use mcp_ext_core::{Cx, ExtensionSet, Observer, Principal, ToolCx, extension, handlers, settings};
use mcp_ext_turbomcp::{CARRIES, ExtensionsLayer, ExtensionsService};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, ReadHalf};
use turbomcp::http::{HttpConfig, router};
use turbomcp::prelude::*;
use turbomcp::tower::{Layer, ServiceExt};
use turbomcp::{
    AuthDecision, HttpAuthenticator, LegacySessionAdapter, McpService, SerdeJsonCodec,
    VersionDispatcher,
};
use turbomcp_transport_stdio::LineTransport;

const TIMEOUT: Duration = Duration::from_secs(10);

// ---- the extension -----------------------------------------------------------------------------------------------

#[settings]
#[derive(Debug)]
pub struct DeskSettings {
    #[negotiate(min)]
    pub floor: Option<u32>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Asked {
    #[schemars(extend("x-mcp-header" = "Manner"))]
    how: String,
}

/// What a handler sees.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Seen {
    floor: Option<u32>,
    who: Option<String>,
    meta: Vec<String>,
}

/// A desk that says who asks.
#[extension(id = "com.example/desk", revision = "2026-11-01", settings = DeskSettings)]
pub trait Desk {
    /// Says who asks.
    #[method]
    async fn who(&self, cx: &Cx<DeskExtension>, params: Asked) -> Result<Seen, Infallible>;

    /// Says it to models.
    #[tool(hints(read_only))]
    async fn ask_desk(&self, cx: &ToolCx<DeskExtension>, args: Asked) -> Result<Seen, Infallible>;

    /// The desk is elsewhere.
    #[notification(listen)]
    fn moved(params: Moved);
}

/// Where the desk is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Moved {
    floor: u32,
}

struct Porter;

#[handlers]
impl Desk for Porter {
    async fn who(&self, cx: &Cx<DeskExtension>, params: Asked) -> Result<Seen, Infallible> {
        if params.how == "slowly" {
            cx.progress(1.0, None, None).await.ok();
            std::future::pending::<()>().await;
        }
        Ok(Seen {
            floor: cx.settings().floor,
            who: cx.principal().map(|p| p.id().to_owned()),
            meta: cx.meta().keys().cloned().collect(),
        })
    }

    async fn ask_desk(&self, cx: &ToolCx<DeskExtension>, _: Asked) -> Result<Seen, Infallible> {
        Ok(Seen {
            floor: cx.settings().floor,
            who: None,
            meta: Vec::new(),
        })
    }
}

const WHO: &str = "com.example/desk/who";

fn set() -> ExtensionSet {
    let settings = DeskSettings { floor: Some(9) };
    ExtensionSet::builder()
        .enable(DeskExtension::provide(Porter).settings(settings))
        .build()
        .unwrap()
}

fn layer() -> ExtensionsLayer {
    ExtensionsLayer::new(set())
}

/// Notes what was withheld.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Observer for Notes {
    fn withheld(&self, what: &str) {
        self.0.lock().unwrap().push(what.to_owned());
    }
}

fn observed() -> (ExtensionsLayer, Notes) {
    let notes = Notes::default();
    let set = ExtensionSet::builder()
        .enable(DeskExtension::provide(Porter))
        .observer(notes.clone())
        .build()
        .unwrap();
    (ExtensionsLayer::new(set), notes)
}

// ---- servers -----------------------------------------------------------------------------------------------------

#[derive(Clone)]
struct Adder;

#[server(name = "adder", version = "1.0.0")]
impl Adder {
    /// Adds two numbers.
    #[tool]
    async fn add(&self, a: i64, b: i64) -> String {
        (a + b).to_string()
    }
}

/// Has a tool of a name of ours.
#[derive(Clone)]
struct Rival;

#[server(name = "rival", version = "1.0.0")]
impl Rival {
    /// Theirs.
    #[tool]
    async fn ask_desk(&self) -> String {
        "theirs".to_owned()
    }
}

/// Serves no modern era.
#[derive(Clone)]
struct Elder;

#[server(
    name = "elder",
    version = "1.0.0",
    protocols("2025-06-18", "2025-11-25")
)]
impl Elder {
    /// Adds two numbers.
    #[tool]
    async fn add(&self, a: i64, b: i64) -> String {
        (a + b).to_string()
    }
}

/// Has no tools.
#[derive(Clone)]
struct Reader;

#[server(name = "reader", version = "1.0.0")]
impl Reader {
    /// A greeting.
    #[resource("reader://greeting")]
    async fn greeting(&self) -> McpResult<String> {
        Ok("hello".to_owned())
    }
}

fn adder() -> VersionDispatcher<Adder> {
    Adder.into_server().build()
}

// ---- over a byte stream ------------------------------------------------------------------------------------------

/// A connection of newline-delimited frames.
struct Pipe {
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    write: tokio::io::WriteHalf<DuplexStream>,
    id: i64,
    /// Frames without an id that came before the last answer.
    before: Vec<Value>,
}

fn served<S>(service: S) -> DuplexStream
where
    S: McpService + Clone + Sync,
    S::Future: Send + 'static,
{
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    tokio::spawn(async move {
        let (read, write) = tokio::io::split(theirs);
        let transport = LineTransport::new(BufReader::new(read), write, SerdeJsonCodec);
        let _ = turbomcp::serve(transport, service).await;
    });
    ours
}

fn pipe<S>(service: S) -> Pipe
where
    S: McpService + Clone + Sync,
    S::Future: Send + 'static,
{
    let (read, write) = tokio::io::split(served(service));
    Pipe {
        lines: BufReader::new(read).lines(),
        write,
        id: 0,
        before: Vec::new(),
    }
}

/// As turbomcp serves a process: within the adapter of its sessions.
fn stdio<S: McpServerCore + Clone>(server: VersionDispatcher<S>) -> Pipe {
    pipe(LegacySessionAdapter::new(layer().layer(server)))
}

impl Pipe {
    async fn send(&mut self, frame: Value) {
        let line = format!("{frame}\n");
        self.write.write_all(line.as_bytes()).await.unwrap();
    }

    async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(TIMEOUT, self.lines.next_line()).await;
        let line = line.expect("a frame").unwrap().expect("an open connection");
        serde_json::from_str(&line).unwrap()
    }

    async fn request(&mut self, method: &str, params: Value) -> Value {
        self.id += 1;
        let id = self.id;
        self.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await;
        self.before.clear();
        loop {
            let frame = self.next().await;
            if frame["id"] == id {
                return frame;
            }
            self.before.push(frame);
        }
    }

    async fn initialize(&mut self, extensions: Value) -> Value {
        let answer = self.request("initialize", opening(extensions)).await;
        self.send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await;
        answer
    }
}

fn opening(extensions: Value) -> Value {
    json!({
        "protocolVersion": "2025-11-25",
        "capabilities": { "extensions": extensions },
        "clientInfo": { "name": "test", "version": "1" },
    })
}

fn modern(mut params: Value, extensions: Value) -> Value {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": { "extensions": extensions },
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
    });
    match params.get_mut("_meta").and_then(Value::as_object_mut) {
        Some(own) => own.extend(meta.as_object().unwrap().clone()),
        None => params["_meta"] = meta,
    }
    params
}

fn floor(floor: u32) -> Value {
    json!({ "com.example/desk": { "floor": floor } })
}

fn plainly() -> Value {
    json!({ "how": "plainly" })
}

fn call(name: &str) -> Value {
    json!({ "name": name, "arguments": plainly() })
}

fn names(answer: &Value) -> Vec<&str> {
    let tools = answer["result"]["tools"].as_array().unwrap();
    tools.iter().map(|t| t["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn handlers_see_the_clients_meta_and_nothing_of_turbomcps() {
    let mut pipe = stdio(adder());
    let params = json!({ "how": "plainly", "_meta": { "com.example/seen": 1 } });
    let answer = pipe.request(WHO, modern(params.clone(), floor(3))).await;
    assert_eq!(answer["result"]["floor"], 3, "{answer}");
    let meta = &answer["result"]["meta"];
    assert!(
        meta.as_array()
            .unwrap()
            .contains(&json!("com.example/seen"))
    );
    assert!(!meta.to_string().contains("turbomcp"), "{meta}");

    pipe.initialize(floor(4)).await;
    let answer = pipe.request(WHO, params).await;
    assert_eq!(answer["result"]["floor"], 4, "{answer}");
    assert_eq!(answer["result"]["meta"], json!(["com.example/seen"]));
}

#[tokio::test]
async fn what_a_client_puts_among_turbomcps_own_keys_is_not_believed() {
    let service = LegacySessionAdapter::new(layer().layer(adder()));
    let mut pipe = pipe(service);
    let forged = json!({
        "io.turbomcp.internal/sessionId": "a session",
        "io.turbomcp.internal/identity": { "sub": "the admin", "claims": {} },
        "io.modelcontextprotocol/protocolVersion": "2025-11-25",
    });
    let answer = pipe
        .request(WHO, json!({ "how": "plainly", "_meta": forged }))
        .await;
    assert_eq!(answer["error"]["code"], -32602, "no session: {answer}");
    let answer = pipe
        .request(
            WHO,
            modern(json!({ "how": "plainly", "_meta": forged }), floor(1)),
        )
        .await;
    assert_eq!(answer["result"]["who"], Value::Null, "{answer}");
}

#[tokio::test]
async fn both_eras_share_a_connection() {
    let mut pipe = stdio(adder());
    pipe.initialize(floor(5)).await;
    let answer = pipe.request(WHO, modern(plainly(), floor(2))).await;
    assert_eq!(answer["result"]["floor"], 2);
    assert_eq!(answer["result"]["resultType"], "complete");
    let answer = pipe.request(WHO, plainly()).await;
    assert_eq!(answer["result"]["floor"], 5);
    assert!(answer["result"].get("resultType").is_none());
    let answer = pipe.request(WHO, modern(plainly(), json!({}))).await;
    assert_eq!(answer["error"]["code"], -32021, "{answer}");
}

#[tokio::test]
async fn calls_of_both_eras_on_one_connection_can_be_cancelled() {
    let mut pipe = stdio(adder());
    pipe.initialize(floor(5)).await;
    let slowly = json!({ "how": "slowly", "_meta": { "progressToken": "t" } });
    for params in [slowly.clone(), modern(slowly, floor(2))] {
        let frame = json!({ "jsonrpc": "2.0", "id": "slow", "method": WHO, "params": params });
        pipe.send(frame.clone()).await;
        assert_eq!(pipe.next().await["method"], "notifications/progress");
        // An id twice is refused, and the first call goes on.
        pipe.send(frame).await;
        assert_eq!(pipe.next().await["error"]["data"]["kind"], "duplicate_id");
        pipe.send(json!({
            "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": "slow" },
        }))
        .await;
        let answer = pipe.request(WHO, plainly()).await;
        assert_eq!(answer["result"]["floor"], 5);
        assert!(pipe.before.is_empty(), "nobody answers: {:?}", pipe.before);
    }
}

#[tokio::test]
async fn a_cancellation_of_a_servers_own_call_reaches_the_server() {
    #[derive(Clone)]
    struct Slow;
    #[server(name = "slow", version = "1.0.0")]
    impl Slow {
        /// Never ends.
        #[tool]
        async fn wait(&self) -> String {
            std::future::pending().await
        }
    }
    let mut pipe = stdio(Slow.into_server().build());
    let params = modern(json!({ "name": "wait", "arguments": {} }), json!({}));
    let frame = json!({ "jsonrpc": "2.0", "id": "slow", "method": "tools/call", "params": params });
    pipe.send(frame).await;
    pipe.request(WHO, modern(plainly(), floor(1))).await;
    pipe.send(json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": "slow" },
    }))
    .await;
    // Its place among the calls under way is free again, so the id may be used once more.
    let answer = pipe
        .request("tools/list", modern(json!({}), json!({})))
        .await;
    assert_eq!(names(&answer), ["wait", "ask_desk"]);
    assert!(pipe.before.is_empty(), "{:?}", pipe.before);
}

#[tokio::test]
async fn outside_of_the_session_adapter_sessions_are_refused() {
    let mut pipe = pipe(layer().layer(LegacySessionAdapter::new(adder())));
    pipe.initialize(floor(5)).await;
    let answer = pipe.request(WHO, plainly()).await;
    assert_eq!(
        answer["error"]["data"]["kind"], "malformed_meta",
        "{answer}"
    );
    let answer = pipe.request(WHO, modern(plainly(), floor(2))).await;
    assert_eq!(answer["result"]["floor"], 2);
}

#[tokio::test]
async fn a_tool_of_the_server_with_a_name_of_ours_stays_the_servers() {
    let (layer, notes) = observed();
    let mut pipe = pipe(LegacySessionAdapter::new(
        layer.layer(Rival.into_server().build()),
    ));
    // A caller whom the server refuses is told nothing, and spoils nothing.
    let answer = pipe.request("tools/call", call("ask_desk")).await;
    assert!(answer["error"].is_object(), "{answer}");
    let answer = pipe
        .request(
            "tools/call",
            modern(json!({ "name": "ask_desk", "arguments": {} }), json!({})),
        )
        .await;
    assert_eq!(answer["result"]["content"][0]["text"], "theirs", "{answer}");
    let answer = pipe
        .request("tools/list", modern(json!({}), json!({})))
        .await;
    assert_eq!(names(&answer), ["ask_desk"]);
    let answer = pipe.request(WHO, modern(plainly(), json!({}))).await;
    assert_eq!(answer["error"]["code"], -32021, "the method is ours still");
    let notes = notes.0.lock().unwrap();
    assert_eq!(*notes, ["tool ask_desk: the server has one of this name"]);
}

#[tokio::test]
async fn an_extension_that_the_server_has_itself_stays_the_servers() {
    use turbomcp_server::{Extension, ExtensionRequest};
    struct Theirs;
    #[async_trait::async_trait]
    impl Extension for Theirs {
        fn id(&self) -> &'static str {
            "com.example/desk"
        }
        fn methods(&self) -> &'static [&'static str] {
            &[WHO]
        }
        async fn dispatch(&self, request: ExtensionRequest) -> turbomcp::JsonRpcMessage {
            turbomcp::JsonRpcResponse::success(request.request.id, json!({ "who": "theirs" }))
                .into()
        }
    }
    let (layer, notes) = observed();
    let server = Adder.into_server().with_extension(Arc::new(Theirs)).build();
    let mut pipe = pipe(LegacySessionAdapter::new(layer.layer(server)));
    let answer = pipe.request(WHO, modern(plainly(), floor(1))).await;
    assert_eq!(answer["result"]["who"], "theirs", "{answer}");
    let answer = pipe
        .request("server/discover", modern(json!({}), json!({})))
        .await;
    let extensions = &answer["result"]["capabilities"]["extensions"];
    assert_eq!(extensions["com.example/desk"], json!({}));
    // turbomcp's own extensions are of the modern era alone: nothing stands in for them in the other.
    let answer = pipe.initialize(floor(1)).await;
    let extensions = &answer["result"]["capabilities"]["extensions"];
    assert!(extensions.get("com.example/desk").is_none(), "{answer}");
    let answer = pipe.request("tools/list", json!({})).await;
    assert_eq!(names(&answer), ["add"]);
    assert_eq!(notes.0.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_era_that_the_server_does_not_serve_is_not_offered() {
    let mut pipe = stdio(Elder.into_server().build());
    let answer = pipe.request(WHO, modern(plainly(), floor(1))).await;
    assert_eq!(answer["error"]["code"], -32022, "{answer}");
    assert_eq!(
        answer["error"]["data"],
        json!({ "supported": ["2025-06-18", "2025-11-25"], "requested": "2026-07-28" })
    );
    let answer = pipe
        .request("server/discover", modern(json!({}), json!({})))
        .await;
    let capabilities = &answer["result"]["capabilities"];
    assert!(capabilities["extensions"].get("com.example/desk").is_none());
    pipe.initialize(floor(5)).await;
    let answer = pipe.request(WHO, plainly()).await;
    assert_eq!(answer["result"]["floor"], 5);
}

#[tokio::test]
async fn a_server_without_tools_lists_ours() {
    let mut pipe = stdio(Reader.into_server().build());
    let answer = pipe
        .request("server/discover", modern(json!({}), json!({})))
        .await;
    assert!(answer["result"]["capabilities"]["tools"].is_object());
    let answer = pipe
        .request("tools/list", modern(json!({}), json!({})))
        .await;
    assert_eq!(names(&answer), ["ask_desk"]);
    let result = &answer["result"];
    assert_eq!(result["resultType"], "complete");
    assert_eq!(result["cacheScope"], "public");
    let info = &result["_meta"]["io.modelcontextprotocol/serverInfo"];
    assert_eq!(info["name"], "reader");
    let answer = pipe
        .request("tools/call", modern(call("ask_desk"), json!({})))
        .await;
    assert_eq!(answer["result"]["structuredContent"]["floor"], 9);

    pipe.initialize(json!({})).await;
    let answer = pipe.request("tools/list", json!({})).await;
    let tools = answer["result"].as_object().unwrap();
    assert_eq!(tools.keys().collect::<Vec<_>>(), ["tools"]);
    let answer = pipe.request("tools/list", json!({ "cursor": "x" })).await;
    assert_eq!(answer["error"]["code"], -32601, "theirs to refuse");
}

#[tokio::test]
async fn an_empty_set_changes_nothing() {
    let set = ExtensionSet::builder().build().unwrap();
    let behind = ExtensionsLayer::new(set).layer(adder());
    let (mut alone, mut behind) = (
        pipe(LegacySessionAdapter::new(adder())),
        pipe(LegacySessionAdapter::new(behind)),
    );
    for (method, params) in [
        ("server/discover", modern(json!({}), json!({}))),
        ("tools/list", modern(json!({}), json!({}))),
        (WHO, modern(plainly(), floor(1))),
        ("initialize", opening(floor(1))),
        ("tools/list", json!({})),
    ] {
        let expected = alone.request(method, params.clone()).await;
        assert_eq!(behind.request(method, params).await, expected, "{method}");
    }
}

#[tokio::test]
async fn hostile_frames_are_refused_and_the_connection_goes_on() {
    let mut pipe = stdio(adder());
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    for params in [
        json!({ "how": ["x"] }),
        json!({ "how": "x".repeat(3_000_000) }),
        json!({ "how": deep }),
    ] {
        let answer = pipe.request(WHO, modern(params, floor(1))).await;
        assert_eq!(answer["error"]["code"], -32602, "{}", answer["error"]);
    }
    for params in [
        json!([]),
        json!({ "_meta": 5 }),
        json!({ "_meta": { "io.modelcontextprotocol/protocolVersion": 5 } }),
        modern(plainly(), json!(5)),
        modern(plainly(), json!({ "com.example/desk": 5 })),
    ] {
        let answer = pipe.request(WHO, params).await;
        assert_eq!(answer["error"]["code"], -32602, "{}", answer["error"]);
    }
    let wrong = json!({ "jsonrpc": "1.0", "id": 7, "method": WHO, "params": {} });
    pipe.send(wrong).await;
    assert_eq!(pipe.next().await["error"]["code"], -32600);
    let params = modern(json!({ "name": "ask_desk", "requestState": 5 }), json!({}));
    let answer = pipe.request("tools/call", params).await;
    assert_eq!(answer["error"]["data"]["pointer"], "/params/requestState");

    // A declaration that cannot be read is told to who calls, not to who opens the session.
    let answer = pipe.initialize(json!({ "com.example/desk": 5 })).await;
    assert!(answer["result"].is_object(), "{answer}");
    let answer = pipe.request(WHO, plainly()).await;
    assert_eq!(answer["error"]["data"]["kind"], "malformed_capabilities");
    let answer = pipe.request(WHO, modern(plainly(), floor(1))).await;
    assert_eq!(answer["result"]["floor"], 1);
}

// ---- listen streams ----------------------------------------------------------------------------------------------

fn filter() -> Value {
    json!({ "notifications": { "toolsListChanged": true, "com.example/desk": { "moved": true } } })
}

async fn until(what: impl Fn() -> bool) {
    for _ in 0..200 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it does not come to that");
}

#[tokio::test]
async fn one_listen_stream_carries_what_is_ours_and_the_servers() {
    let (set, server) = (set(), adder());
    let (publisher, notifier) = (DeskExtension::publisher(&set), server.notifier());
    let service = ExtensionsLayer::new(set.clone()).layer(server);
    let mut pipe = pipe(LegacySessionAdapter::new(service));
    let answer = pipe
        .request("subscriptions/listen", modern(filter(), json!({})))
        .await;
    assert_eq!(answer["error"]["code"], -32021, "{answer}");
    let frame = json!({
        "jsonrpc": "2.0", "id": "l", "method": "subscriptions/listen",
        "params": modern(filter(), floor(3)),
    });
    pipe.send(frame).await;
    let ack = pipe.next().await;
    assert_eq!(ack["params"]["notifications"], filter()["notifications"]);
    assert_eq!(publisher.moved(Moved { floor: 7 }), Ok(1));
    let moved = pipe.next().await;
    assert_eq!(moved["params"]["floor"], 7, "{moved}");
    notifier.tools_list_changed();
    let changed = pipe.next().await;
    assert_eq!(changed["method"], "notifications/tools/list_changed");
    for frame in [&ack, &moved, &changed] {
        let id = &frame["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
        assert_eq!(id, "l", "{frame}");
    }

    pipe.send(json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": "l" },
    }))
    .await;
    until(|| set.subscriptions() == 0).await;
    notifier.tools_list_changed();
    assert_eq!(publisher.moved(Moved { floor: 8 }), Ok(0));
    pipe.request("tools/list", modern(json!({}), json!({})))
        .await;
    assert!(pipe.before.is_empty(), "{:?}", pipe.before);

    // There are none in sessions.
    pipe.initialize(floor(1)).await;
    let answer = pipe.request("subscriptions/listen", filter()).await;
    assert_eq!(answer["error"]["code"], -32601, "{answer}");
}

#[tokio::test]
async fn a_listen_stream_ends_with_its_result_its_connection_or_its_server() {
    use axum::body::BodyDataStream;
    use futures_util::StreamExt;

    async fn event(body: &mut BodyDataStream) -> Value {
        let chunk = tokio::time::timeout(TIMEOUT, body.next()).await;
        let chunk = chunk.expect("an event").expect("an open stream").unwrap();
        let text = String::from_utf8_lossy(&chunk).into_owned();
        serde_json::from_str(text.trim().trim_start_matches("data:")).unwrap()
    }
    let (set, server) = (set(), adder());
    let closer = server.clone();
    let http = Http::new(
        ExtensionsLayer::new(set.clone()).layer(server),
        HttpConfig::new(),
    );
    let open = async || {
        let params = modern(filter(), floor(3));
        let response = http.send(&[], "subscriptions/listen", params).await;
        let mut body = response.into_body().into_data_stream();
        let ack = event(&mut body).await;
        assert_eq!(ack["params"]["notifications"], filter()["notifications"]);
        body
    };
    let mut body = open().await;
    set.end_subscriptions();
    let end = event(&mut body).await;
    assert_eq!(end["result"]["resultType"], "complete", "{end}");
    assert!(body.next().await.is_none(), "the stream is over");

    let mut body = open().await;
    closer.close_subscriptions().await;
    let end = event(&mut body).await;
    assert_eq!(end["result"]["resultType"], "complete", "{end}");
    until(|| set.subscriptions() == 0).await;

    let body = open().await;
    assert_eq!(set.subscriptions(), 1);
    drop(body);
    until(|| set.subscriptions() == 0).await;
}

#[tokio::test]
async fn an_open_listen_stream_does_not_hold_a_connection_open() {
    let set = set();
    let service = ExtensionsLayer::new(set.clone()).layer(adder());
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let serving = tokio::spawn(async move {
        let (read, write) = tokio::io::split(theirs);
        let transport = LineTransport::new(BufReader::new(read), write, SerdeJsonCodec);
        turbomcp::serve(transport, LegacySessionAdapter::new(service)).await
    });
    let (read, mut write) = tokio::io::split(ours);
    let params = modern(filter(), floor(3));
    let frame =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": params });
    write
        .write_all(format!("{frame}\n").as_bytes())
        .await
        .unwrap();
    let mut lines = BufReader::new(read).lines();
    assert!(lines.next_line().await.unwrap().is_some());
    write.shutdown().await.unwrap();
    let served = tokio::time::timeout(Duration::from_secs(5), serving).await;
    served.expect("it ends at once").unwrap().unwrap();
    until(|| set.subscriptions() == 0).await;
}

// ---- over HTTP ---------------------------------------------------------------------------------------------------

/// Takes the token for the name of who brings it.
struct Doorman;

impl HttpAuthenticator for Doorman {
    fn authenticate<'a>(&'a self, token: Option<&'a str>) -> turbomcp_service::AuthFuture<'a> {
        let sub = token.unwrap_or("nobody").to_owned();
        Box::pin(async move { AuthDecision::Allow(json!({ "sub": sub, "claims": {} })) })
    }
    fn resource_metadata(&self) -> Value {
        json!({})
    }
}

type Served = ExtensionsService<VersionDispatcher<Adder>>;

struct Http(axum::Router);

impl Http {
    fn new(service: Served, config: HttpConfig) -> Self {
        Self(router(service, config))
    }

    async fn send(
        &self,
        headers: &[(&str, &str)],
        method: &str,
        params: Value,
    ) -> axum::response::Response {
        let mut request = Request::post("/mcp")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        if params["_meta"]["io.modelcontextprotocol/protocolVersion"] == "2026-07-28" {
            request = request
                .header("mcp-protocol-version", "2026-07-28")
                .header("mcp-method", method);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let request = request.body(Body::from(body.to_string())).unwrap();
        self.0.clone().oneshot(request).await.unwrap()
    }

    async fn post(
        &self,
        headers: &[(&str, &str)],
        method: &str,
        params: Value,
    ) -> (u16, Option<String>, Value) {
        let response = self.send(headers, method, params).await;
        let status = response.status().as_u16();
        let session = response.headers().get("mcp-session-id");
        let session = session.map(|id| id.to_str().unwrap().to_owned());
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        (status, session, body)
    }

    async fn open(&self, headers: &[(&str, &str)], extensions: Value) -> String {
        let (_, session, answer) = self.post(headers, "initialize", opening(extensions)).await;
        session.unwrap_or_else(|| panic!("{answer}"))
    }

    async fn who(&self, headers: &[(&str, &str)]) -> (u16, Value) {
        let (status, _, answer) = self.post(headers, WHO, plainly()).await;
        (status, answer)
    }
}

#[tokio::test]
async fn sessions_over_http_are_told_apart_and_belong_to_who_opened_them() {
    let server = adder();
    let config = HttpConfig::new()
        .with_authenticator(Arc::new(Doorman))
        .with_session_terminator(Arc::new(server.session_terminator()));
    let http = Http::new(layer().layer(server), config);
    let ada = http.open(&[("authorization", "ada")], floor(3)).await;
    let bob = http.open(&[("authorization", "bob")], floor(4)).await;
    for (token, session, floor) in [("ada", &ada, 3), ("bob", &bob, 4), ("ada", &ada, 3)] {
        let headers = [("authorization", token), ("mcp-session-id", session)];
        let (status, answer) = http.who(&headers).await;
        assert_eq!((status, &answer["result"]["floor"]), (200, &json!(floor)));
        let who = format!("[null,\"{token}\"]");
        assert_eq!(answer["result"]["who"], who, "{answer}");
    }
    let (status, _) = http
        .who(&[("authorization", "bob"), ("mcp-session-id", &ada)])
        .await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn a_session_that_nobody_opened_is_the_servers_to_refuse() {
    // Without turbomcp's own check of sessions, which needs a terminator.
    let http = Http::new(layer().layer(adder()), HttpConfig::new());
    let session = http.open(&[], floor(3)).await;
    let (status, answer) = http.who(&[("mcp-session-id", &session)]).await;
    assert_eq!((status, &answer["result"]["floor"]), (200, &json!(3)));
    let (status, answer) = http.who(&[("mcp-session-id", "made up")]).await;
    assert_eq!(status, 404, "{answer}");
    let (status, _, answer) = http.post(&[], WHO, modern(plainly(), json!({}))).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(-32021)));
}

#[tokio::test]
async fn a_session_is_its_owners_under_any_transport() {
    let service = layer().layer(adder());
    // What a transport says of the message.
    let said = |method: &str, mut params: Value, sub: &str| {
        params["_meta"] = json!({
            "io.turbomcp.internal/sessionId": "s",
            "io.turbomcp.internal/identity": { "sub": sub, "claims": {} },
        });
        if method != "initialize" {
            params["_meta"]["io.modelcontextprotocol/protocolVersion"] = "2025-11-25".into();
        }
        let request = turbomcp::JsonRpcRequest::new(1, method, Some(params));
        service.clone().oneshot(request.into())
    };
    said("initialize", opening(floor(3)), "ada").await.unwrap();
    let answer = said(WHO, plainly(), "ada").await.unwrap();
    let answer = serde_json::to_value(answer).unwrap();
    assert_eq!(answer["result"]["floor"], 3, "{answer}");
    let refused = said(WHO, plainly(), "bob").await;
    assert!(
        matches!(&refused, Err(turbomcp::ProtocolError::UnknownSession(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_session_that_was_forgotten_here_has_an_unknown_declaration() {
    let service = layer().max_sessions(1).layer(adder());
    let http = Http::new(service, HttpConfig::new());
    let first = http.open(&[], floor(3)).await;
    let second = http.open(&[], floor(4)).await;
    let (_, answer) = http.who(&[("mcp-session-id", &second)]).await;
    assert_eq!(answer["result"]["floor"], 4);
    let (status, answer) = http.who(&[("mcp-session-id", &first)]).await;
    assert_eq!(status, 200);
    assert_eq!(
        answer["error"]["data"]["kind"], "declaration_unknown",
        "{answer}"
    );
}

#[tokio::test]
async fn over_http_what_the_layer_alone_can_see_has_status_200() {
    let http = Http::new(layer().layer(adder()), HttpConfig::new());
    let mut old = modern(plainly(), floor(1));
    old["_meta"]["io.modelcontextprotocol/protocolVersion"] = "1900-01-01".into();
    let (status, _, answer) = http.post(&[], WHO, old).await;
    assert_eq!((status, &answer["error"]["code"]), (200, &json!(-32022)));
    let malformed = modern(plainly(), json!({ "com.example/desk": 5 }));
    let (status, _, answer) = http.post(&[], WHO, malformed).await;
    assert_eq!((status, &answer["error"]["code"]), (200, &json!(-32602)));
}

#[tokio::test]
async fn headers_of_tools_are_compared_as_far_as_they_can_be_seen() {
    let http = Http::new(layer().layer(adder()), HttpConfig::new());
    let name = ("mcp-name", "ask_desk");
    for (headers, expected) in [
        (vec![name, ("mcp-param-manner", "plainly")], 200),
        (vec![name], 400),
        (vec![name, ("mcp-param-how", "plainly")], 400),
        (
            vec![("mcp-name", "add"), ("mcp-param-manner", "plainly")],
            400,
        ),
        (
            vec![
                name,
                ("mcp-param-manner", "plainly"),
                ("mcp-param-how", "rudely"),
            ],
            400,
        ),
    ] {
        let params = modern(call("ask_desk"), json!({}));
        let (status, _, answer) = http.post(&headers, "tools/call", params).await;
        assert_eq!(status, expected, "{headers:?}: {answer}");
        if status == 400 {
            assert_eq!(answer["error"]["code"], -32020, "{headers:?}");
        }
    }
    // An argument that is not given has no header.
    let params = modern(json!({ "name": "ask_desk", "arguments": {} }), json!({}));
    let (status, _, answer) = http.post(&[name], "tools/call", params).await;
    assert_eq!((status, &answer["result"]["isError"]), (200, &json!(true)));
}

#[tokio::test]
async fn who_calls_is_what_the_author_says() {
    let layer = layer().principal(|identity| Some(Principal::new(identity.subject()?)));
    let config = HttpConfig::new().with_authenticator(Arc::new(Doorman));
    let http = Http::new(layer.layer(adder()), config);
    let headers = [("authorization", "ada")];
    let (_, _, answer) = http.post(&headers, WHO, modern(plainly(), floor(1))).await;
    assert_eq!(answer["result"]["who"], "ada", "{answer}");
}

// ---- the book ----------------------------------------------------------------------------------------------------

#[test]
fn the_books_table_has_the_row_of_this_adapter() {
    assert!(layer().report().is_empty());
    let page = include_str!("../../../docs/src/adapters.md");
    let word = |can: bool| if can { "yes" } else { "no" };
    let row = format!(
        "| {} | {} | {} | {} | {} |",
        CARRIES.adapter,
        word(CARRIES.request_notifications),
        word(CARRIES.listen_notifications),
        word(CARRIES.mcp_name),
        word(CARRIES.stateless_legacy_declarations),
    );
    assert!(page.lines().any(|line| line == row), "{row}");
}

// ---- a typed client ----------------------------------------------------------------------------------------------

#[cfg(feature = "client")]
#[tokio::test]
async fn a_typed_client_negotiates_and_calls_in_both_eras() {
    use mcp_ext_core::client::{CallError, Caller, Negotiation};
    use mcp_ext_core::protocol::Era;
    use mcp_ext_turbomcp::TurboMcpCaller;
    use turbomcp_client::{ClientBuilder, ConnectMode};

    for (mode, era) in [
        (ConnectMode::Modern, Era::Modern),
        (ConnectMode::Legacy, Era::Legacy),
    ] {
        let stream = served(LegacySessionAdapter::new(layer().layer(adder())));
        let (read, write) = tokio::io::split(stream);
        let transport = LineTransport::new(BufReader::new(read), write, SerdeJsonCodec);
        let builder = ClientBuilder::new("test", "1").with_connect_mode(mode);
        let client = builder.connect(transport).await.unwrap();
        let caller = TurboMcpCaller::new(client);
        assert_eq!(caller.era(), era);
        let negotiated = DeskExtension::client(caller)
            .declare(DeskSettings { floor: Some(4) })
            .negotiate()
            .await
            .unwrap();
        let Negotiation::Active(desk) = negotiated else {
            panic!("{era:?}")
        };
        let asked = || Asked {
            how: "plainly".to_owned(),
        };
        let seen = desk.who(asked()).await.unwrap();
        assert_eq!(seen.floor, Some(4));
        let seen = desk.ask_desk(asked()).await.unwrap();
        assert_eq!(seen.floor, Some(4));
        let long = Asked {
            how: "x".repeat(3_000_000),
        };
        match desk.who(long).await {
            Err(CallError::Rpc(error)) => assert_eq!(error.code, -32602),
            other => panic!("{other:?}"),
        }
    }
}
