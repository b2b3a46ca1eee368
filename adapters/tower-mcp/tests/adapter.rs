//! A real tower-mcp router with extensions in front of it, over a byte stream and over HTTP, in both eras.
#![allow(missing_docs)]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mcp_ext_core::{
    Cx, ExtensionError, ExtensionSet, Limits, NoParams, Principal, ToolCx, extension, handlers,
    settings,
};
use mcp_ext_tower_mcp::{CARRIES, with_extensions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tower_mcp::{CallToolResult, HttpTransport, McpRouter, StdioTransport, ToolBuilder};

// ---- the extension -----------------------------------------------------------------------------------------------

#[settings]
#[derive(Debug)]
pub struct ShelfSettings {
    #[negotiate(min)]
    pub most: Option<u32>,
    #[negotiate(equal)]
    pub room: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Wanted {
    title: String,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Found {
    title: String,
    most: Option<u32>,
    who: Option<String>,
    seen: Option<String>,
}

#[derive(Debug, ExtensionError)]
pub enum ShelfError {
    /// There is no such book.
    #[error(code = 4100, "no book {title}")]
    NoBook { title: String },
}

/// Looks for books.
#[extension(id = "com.example/shelf", revision = "2026-11-01", settings = ShelfSettings)]
pub trait Shelf {
    /// Finds a book.
    #[method]
    async fn find(&self, cx: &Cx<ShelfExtension>, params: Wanted) -> Result<Found, ShelfError>;

    /// Borrows a book.
    #[tool(hints(read_only))]
    async fn borrow_book(
        &self,
        cx: &ToolCx<ShelfExtension>,
        args: Wanted,
    ) -> Result<Found, ShelfError>;

    /// Returns a book.
    #[tool(gated)]
    async fn return_book(&self, cx: &Cx<ShelfExtension>, args: Wanted)
    -> Result<Found, ShelfError>;
}

/// Terms of the modern era.
#[extension(id = "com.example/modern-only", protocol(min = "2026-07-28"))]
pub trait Terms {
    /// Lists terms.
    #[method]
    async fn terms(
        &self,
        cx: &Cx<TermsExtension>,
        params: NoParams,
    ) -> Result<NoParams, Infallible>;
}

#[derive(Default)]
pub struct Library {
    started: AtomicUsize,
    dropped: AtomicUsize,
    /// Calls whose handler was told a deadline.
    timed: AtomicUsize,
}

struct Dropped<'a>(&'a Library);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

impl Library {
    async fn look(&self, title: String) -> Result<Found, ShelfError> {
        self.started.fetch_add(1, Ordering::SeqCst);
        let _dropped = Dropped(self);
        match &*title {
            "missing" => Err(ShelfError::NoBook { title }),
            "hang" => std::future::pending().await,
            "panic" => panic!("as asked"),
            _ => Ok(Found {
                title,
                most: None,
                who: None,
                seen: None,
            }),
        }
    }
}

#[derive(Clone, Default)]
struct Desk(Arc<Library>);

#[handlers]
impl Shelf for Desk {
    async fn find(&self, cx: &Cx<ShelfExtension>, params: Wanted) -> Result<Found, ShelfError> {
        let timed = cx.deadline().is_some();
        self.0.timed.fetch_add(timed.into(), Ordering::SeqCst);
        let mut found = self.0.look(params.title).await?;
        found.most = cx.settings().most;
        found.who = cx.principal().map(|p| p.id().to_owned());
        found.seen = cx.meta().get("com.example/seen").map(Value::to_string);
        Ok(found)
    }
    async fn borrow_book(
        &self,
        cx: &ToolCx<ShelfExtension>,
        args: Wanted,
    ) -> Result<Found, ShelfError> {
        cx.progress(1.0, Some(2.0), Some("looking")).await.ok();
        // tower-mcp sends notifications from a queue of its own: an answer that is ready at once may overtake them.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut found = self.0.look(args.title).await?;
        found.most = cx.settings().most;
        Ok(found)
    }
    async fn return_book(&self, _: &Cx<ShelfExtension>, args: Wanted) -> Result<Found, ShelfError> {
        self.0.look(args.title).await
    }
}

#[handlers]
impl Terms for Desk {
    async fn terms(
        &self,
        _: &Cx<TermsExtension>,
        params: NoParams,
    ) -> Result<NoParams, Infallible> {
        Ok(params)
    }
}

const FIND: &str = "com.example/shelf/find";

// ---- the router --------------------------------------------------------------------------------------------------

#[derive(Debug, Deserialize, JsonSchema)]
struct Numbers {
    a: i64,
    b: i64,
}

fn router() -> McpRouter {
    let add = ToolBuilder::new("add")
        .description("Adds two numbers")
        .handler(|n: Numbers| async move { Ok(CallToolResult::text((n.a + n.b).to_string())) })
        .build();
    McpRouter::new().server_info("library", "1.0.0").tool(add)
}

fn set(desk: &Desk) -> ExtensionSet {
    ExtensionSet::builder()
        .enable(
            ShelfExtension::provide(desk.clone()).settings(ShelfSettings {
                most: Some(10),
                room: Some("main".into()),
            }),
        )
        .enable(TermsExtension::provide(desk.clone()))
        .build()
        .unwrap()
}

/// A connection of newline-delimited frames.
struct Pipe {
    lines: tokio::io::Lines<BufReader<tokio::io::ReadHalf<tokio::io::DuplexStream>>>,
    write: tokio::io::WriteHalf<tokio::io::DuplexStream>,
    id: i64,
    /// Frames without an id that came before the last answer.
    before: Vec<Value>,
}

fn pipe(router: McpRouter, set: ExtensionSet) -> Pipe {
    let (router, layer) = with_extensions(router, set).unwrap();
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    tokio::spawn(async move {
        let (read, write) = tokio::io::split(theirs);
        let mut transport = StdioTransport::new(router).layer(layer);
        let _ = transport.run_with_streams(read, write).await;
    });
    let (read, write) = tokio::io::split(ours);
    Pipe {
        lines: BufReader::new(read).lines(),
        write,
        id: 0,
        before: Vec::new(),
    }
}

impl Pipe {
    async fn send(&mut self, frame: Value) {
        self.write
            .write_all(format!("{frame}\n").as_bytes())
            .await
            .unwrap();
    }

    async fn request(&mut self, method: &str, params: Value) -> Value {
        self.id += 1;
        let id = self.id;
        self.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await;
        self.before.clear();
        loop {
            let line = tokio::time::timeout(Duration::from_secs(10), self.lines.next_line())
                .await
                .expect("an answer")
                .unwrap()
                .expect("an open connection");
            let frame: Value = serde_json::from_str(&line).unwrap();
            if frame["id"] == id {
                return frame;
            }
            self.before.push(frame);
        }
    }

    /// A modern request that declares `extensions`.
    async fn modern(&mut self, method: &str, params: Value, extensions: Value) -> Value {
        self.request(method, modern(params, extensions)).await
    }

    async fn initialize(&mut self, extensions: Value) -> Value {
        let answer = self
            .request(
                "initialize",
                json!({
                    "protocolVersion": "2025-11-25",
                    "capabilities": {"extensions": extensions},
                    "clientInfo": {"name": "test", "version": "1"},
                }),
            )
            .await;
        self.send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await;
        answer
    }
}

fn modern(mut params: Value, extensions: Value) -> Value {
    let mut meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"extensions": extensions},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    });
    if let Some(Value::Object(own)) = params.get("_meta") {
        meta.as_object_mut().unwrap().extend(own.clone());
    }
    params["_meta"] = meta;
    params
}

fn shelf() -> Value {
    json!({"com.example/shelf": {"most": 3}})
}

fn names(answer: &Value) -> Vec<&str> {
    answer["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["name"].as_str().unwrap())
        .collect()
}

// ---- over a byte stream ------------------------------------------------------------------------------------------

#[tokio::test]
async fn neg_01_both_eras_are_told_what_covers_them() {
    let mut pipe = pipe(router(), set(&Desk::default()));
    let answer = pipe.modern("server/discover", json!({}), json!({})).await;
    let extensions = &answer["result"]["capabilities"]["extensions"];
    assert_eq!(
        extensions["com.example/shelf"],
        json!({"most": 10, "room": "main", "revision": "2026-11-01"})
    );
    assert_eq!(extensions["com.example/modern-only"], json!({}));

    let answer = pipe.initialize(shelf()).await;
    let capabilities = &answer["result"]["capabilities"];
    assert_eq!(capabilities["extensions"]["com.example/shelf"]["most"], 10);
    assert!(
        capabilities["extensions"]
            .get("com.example/modern-only")
            .is_none(),
        "{capabilities}"
    );
    assert!(capabilities["tools"].is_object());
}

#[tokio::test]
async fn a_modern_call_is_negotiated_answered_and_stamped() {
    let mut pipe = pipe(router(), set(&Desk::default()));
    let params = json!({"title": "Emma", "_meta": {"com.example/seen": 1}});
    let answer = pipe.modern(FIND, params, shelf()).await;
    assert_eq!(answer["result"]["title"], "Emma", "{answer}");
    assert_eq!(answer["result"]["most"], 3, "the smaller of both");
    assert_eq!(answer["result"]["seen"], "1", "_meta reaches the handler");
    assert_eq!(answer["result"]["resultType"], "complete");

    let answer = pipe.modern(FIND, json!({"title": 7}), shelf()).await;
    assert_eq!(answer["error"]["code"], -32602);
    assert_eq!(answer["error"]["data"]["faults"][0]["pointer"], "/title");
    let answer = pipe
        .modern(FIND, json!({"title": "missing"}), shelf())
        .await;
    assert_eq!(answer["error"]["code"], 4100);
    assert_eq!(answer["error"]["data"]["kind"], "no_book");
}

#[tokio::test]
async fn neg_06_what_was_not_declared_or_does_not_combine_is_refused() {
    let desk = Desk::default();
    let mut pipe = pipe(router(), set(&desk));
    let answer = pipe.modern(FIND, json!({"title": "Emma"}), json!({})).await;
    assert_eq!(answer["error"]["code"], -32021);
    assert_eq!(
        answer["error"]["data"]["requiredCapabilities"],
        json!({"extensions": {"com.example/shelf": {}}})
    );
    let other = json!({"com.example/shelf": {"room": "attic"}});
    let answer = pipe.modern(FIND, json!({"title": "Emma"}), other).await;
    assert_eq!(answer["error"]["code"], -32021);
    assert_eq!(answer["error"]["data"]["mismatch"][0]["field"], "room");
    let answer = pipe
        .modern("com.example/other/find", json!({}), shelf())
        .await;
    assert_eq!(answer["error"]["code"], -32601, "not ours, not theirs");
    let mut old = modern(json!({"title": "Emma"}), shelf());
    old["_meta"]["io.modelcontextprotocol/protocolVersion"] = "1900-01-01".into();
    let answer = pipe.request(FIND, old).await;
    assert_eq!(answer["error"]["code"], -32022);
    assert_eq!(desk.0.started.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_legacy_session_negotiates_once_and_without_one_nothing_is_served() {
    let mut pipe = pipe(router(), set(&Desk::default()));
    // Trap 3: a layer sees requests before the router has checked that there is a session.
    let answer = pipe.request(FIND, json!({"title": "Emma"})).await;
    assert!(answer["error"]["code"].is_i64(), "{answer}");

    pipe.initialize(shelf()).await;
    let answer = pipe.request(FIND, json!({"title": "Emma"})).await;
    assert_eq!(answer["result"]["most"], 3, "{answer}");
    assert!(answer["result"].get("resultType").is_none());
    let answer = pipe
        .request("com.example/modern-only/terms", json!({}))
        .await;
    assert_eq!(answer["error"]["code"], -32601);
}

#[tokio::test]
async fn legacy_undeclared_is_minus_32601_and_a_gated_tool_says_it_in_its_result() {
    let mut pipe = pipe(router(), set(&Desk::default()));
    pipe.initialize(json!({})).await;
    let answer = pipe.request(FIND, json!({"title": "Emma"})).await;
    assert_eq!(answer["error"]["code"], -32601);
    assert_eq!(answer["error"]["data"]["kind"], "not_declared");
    let call = |name: &str| json!({"name": name, "arguments": {"title": "Emma"}});
    let answer = pipe.request("tools/call", call("return_book")).await;
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    let answer = pipe.request("tools/call", call("borrow_book")).await;
    assert_eq!(answer["result"]["structuredContent"]["title"], "Emma");
}

#[tokio::test]
async fn tools_stand_after_the_routers_own_and_its_own_still_work() {
    let mut pipe = pipe(router(), set(&Desk::default()));
    let answer = pipe.modern("tools/list", json!({}), json!({})).await;
    assert_eq!(names(&answer), ["add", "borrow_book", "return_book"]);
    let tool = &answer["result"]["tools"][2];
    assert_eq!(
        tool["_meta"]["io.github.mcp-ext/extension"],
        "com.example/shelf"
    );
    assert_eq!(tool["inputSchema"]["properties"]["title"]["type"], "string");

    let call = json!({"name": "add", "arguments": {"a": 2, "b": 3}});
    let answer = pipe.modern("tools/call", call, json!({})).await;
    assert_eq!(answer["result"]["content"][0]["text"], "5");

    let call = json!({"name": "borrow_book", "arguments": {"title": "Emma"}, "_meta": {"progressToken": "p"}});
    let answer = pipe.modern("tools/call", call, json!({})).await;
    assert_eq!(answer["result"]["structuredContent"]["title"], "Emma");
    assert_eq!(answer["result"]["resultType"], "complete");
    let progress = &pipe.before[0];
    assert_eq!(progress["method"], "notifications/progress");
    assert_eq!(progress["params"]["progressToken"], "p");

    let call = json!({"name": "borrow_book", "arguments": {"title": "missing"}});
    let answer = pipe.modern("tools/call", call, json!({})).await;
    assert_eq!(answer["result"]["isError"], true);
    let call = json!({"name": "return_book", "arguments": {"title": "Emma"}});
    let answer = pipe.modern("tools/call", call.clone(), json!({})).await;
    assert_eq!(answer["error"]["code"], -32021);
    let answer = pipe.modern("tools/call", call, shelf()).await;
    assert_eq!(answer["result"]["structuredContent"]["title"], "Emma");
}

#[tokio::test]
async fn a_tool_of_the_router_with_the_same_name_stays_the_routers() {
    let own = ToolBuilder::new("borrow_book")
        .description("Theirs")
        .handler(|_: Numbers| async move { Ok(CallToolResult::text("theirs")) })
        .build();
    let mut pipe = pipe(router().tool(own), set(&Desk::default()));
    let call = json!({"name": "borrow_book", "arguments": {"a": 1, "b": 2}});
    let answer = pipe.modern("tools/call", call, json!({})).await;
    assert_eq!(answer["result"]["content"][0]["text"], "theirs", "{answer}");
    let answer = pipe.modern("tools/list", json!({}), json!({})).await;
    let mut found = names(&answer);
    found.sort_unstable();
    assert_eq!(found, ["add", "borrow_book", "return_book"]);
}

#[tokio::test]
async fn a_cancelled_call_is_stopped_and_a_panic_does_not_end_the_server() {
    let desk = Desk::default();
    let mut pipe = pipe(router(), set(&desk));
    let params = modern(json!({"title": "hang"}), shelf());
    pipe.send(json!({"jsonrpc": "2.0", "id": "slow", "method": FIND, "params": params}))
        .await;
    while desk.0.started.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    pipe.send(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "slow"}}))
        .await;
    while desk.0.dropped.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let answer = pipe.modern(FIND, json!({"title": "panic"}), shelf()).await;
    assert_eq!(answer["error"]["data"]["kind"], "handler_panicked");
    let answer = pipe.modern(FIND, json!({"title": "Emma"}), shelf()).await;
    assert_eq!(answer["result"]["title"], "Emma");
}

#[tokio::test]
async fn req_13_a_call_that_takes_too_long_is_stopped() {
    let desk = Desk::default();
    let set = ExtensionSet::builder()
        .enable(ShelfExtension::provide(desk.clone()))
        .limits(Limits {
            max_duration: Duration::from_millis(50),
            ..Limits::default()
        })
        .build()
        .unwrap();
    let mut pipe = pipe(router(), set);
    let declared = json!({"com.example/shelf": {}});
    let answer = pipe.modern(FIND, json!({"title": "hang"}), declared).await;
    let data = &answer["error"]["data"];
    assert_eq!(
        (&data["kind"], &data["limit"]),
        (&json!("timeout"), &json!(50))
    );
    let calls = [&desk.0.timed, &desk.0.dropped].map(|calls| calls.load(Ordering::SeqCst));
    assert_eq!(calls, [1, 1]);
}

#[tokio::test]
async fn a_filtered_list_is_private_and_shows_tools_to_those_who_declare_alone() {
    let set = ExtensionSet::builder()
        .enable(ShelfExtension::provide(Desk::default()))
        .filter_lists(true)
        .build()
        .unwrap();
    let mut pipe = pipe(router(), set);
    let answer = pipe.modern("tools/list", json!({}), json!({})).await;
    assert_eq!(names(&answer), ["add"]);
    assert_eq!(answer["result"]["cacheScope"], "private");
    assert_eq!(answer["result"]["ttlMs"], 0);
    let declared = json!({"com.example/shelf": {}});
    let answer = pipe.modern("tools/list", json!({}), declared).await;
    assert_eq!(names(&answer).len(), 3);
}

#[tokio::test]
async fn hostile_params_are_refused_and_the_connection_goes_on() {
    let mut pipe = pipe(router(), set(&Desk::default()));
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    for params in [
        json!({"title": ["x"]}),
        json!({"title": "x".repeat(3_000_000)}),
        json!({"title": deep}),
    ] {
        let answer = pipe.modern(FIND, params, shelf()).await;
        assert_eq!(answer["error"]["code"], -32602, "{}", answer["error"]);
    }
    let answer = pipe
        .modern(
            FIND,
            json!({"title": "Emma"}),
            json!({"com.example/shelf": 5}),
        )
        .await;
    assert!(answer["error"]["code"].is_i64());
    let answer = pipe.modern(FIND, json!({"title": "Emma"}), shelf()).await;
    assert_eq!(answer["result"]["title"], "Emma");
}

// ---- over HTTP ---------------------------------------------------------------------------------------------------

async fn post(address: std::net::SocketAddr, headers: &str, body: &Value) -> (u16, String, String) {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let body = body.to_string();
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut all = String::new();
    tokio::time::timeout(Duration::from_secs(10), stream.read_to_string(&mut all))
        .await
        .unwrap()
        .unwrap();
    let (head, body) = all.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn over_http_statuses_are_those_of_the_protocol_and_a_caller_can_be_known() {
    let (router, layer) = with_extensions(router(), set(&Desk::default())).unwrap();
    let layer = layer.principal(|_| Some(Principal::new("ada")));
    assert!(layer.report().is_empty());
    let app = HttpTransport::new(router).layer(layer).into_router();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });

    let ask = |extensions: Value| {
        let headers = format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {FIND}\r\n");
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": FIND, "params": modern(json!({"title": "Emma"}), extensions)});
        async move { post(address, &headers, &body).await }
    };
    let (status, _, body) = ask(shelf()).await;
    assert_eq!(status, 200, "{body}");
    assert!(
        body.contains("\"Emma\"") && body.contains("\"ada\""),
        "{body}"
    );
    let (status, _, body) = ask(json!({})).await;
    assert_eq!(status, 400, "{body}");
    assert!(body.contains("-32021"));
}

#[test]
fn the_books_table_has_the_row_of_this_adapter() {
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
    use mcp_ext_core::client::{CallError, Negotiation, declaration};
    use mcp_ext_tower_mcp::{TowerMcpCaller, declare};
    use tower_mcp::client::{ChannelTransport, McpClient};

    for modern in [true, false] {
        let (router, layer) = with_extensions(router(), set(&Desk::default())).unwrap();
        let settings = ShelfSettings {
            most: Some(4),
            room: Some("main".into()),
        };
        let declared = declaration::<ShelfExtension>(&settings).unwrap();
        let builder = declare(McpClient::builder(), declared).unwrap();
        let transport = ChannelTransport::layer(router, layer);
        let client = Arc::new(builder.connect_simple(transport).await.unwrap());
        if modern {
            client.discover("test", "1").await.unwrap();
        } else {
            client.initialize("test", "1").await.unwrap();
        }
        let caller = TowerMcpCaller::of(client).await;
        let negotiated = ShelfExtension::client(caller)
            .declare(settings)
            .negotiate()
            .await
            .unwrap();
        let Negotiation::Active(shelf) = negotiated else {
            panic!("{modern}")
        };
        let wanted = |title: &str| Wanted {
            title: title.to_owned(),
        };
        let found = shelf.find(wanted("Emma")).await.unwrap();
        assert_eq!((found.title.as_str(), found.most), ("Emma", Some(4)));
        let found = shelf.return_book(wanted("Emma")).await.unwrap();
        assert_eq!(found.title, "Emma");
        match shelf.find(wanted("missing")).await {
            Err(CallError::Own(ShelfError::NoBook { title })) => assert_eq!(title, "missing"),
            other => panic!("{other:?}"),
        }
    }
}
