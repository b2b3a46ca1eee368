//! A real rust-mcp-sdk server with extensions in front of it, over a byte stream.
#![allow(missing_docs)]

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::*;
use mcp_ext_core::ExtensionSet;
use mcp_ext_rust_mcp_sdk::{CARRIES, with_extensions};
use rust_mcp_sdk::mcp_server::{
    McpServerHandler, McpServerOptions, ServerHandler, ToMcpServerHandler, server_runtime,
};
use rust_mcp_sdk::schema::ServerResult;
use rust_mcp_sdk::{McpServer, SseTransport, TransportOptions};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};

/// A connection of newline-delimited frames.
struct Pipe {
    lines: tokio::io::Lines<BufReader<DuplexStream>>,
    write: DuplexStream,
    id: i64,
    /// Frames without an id that came before the last answer.
    before: Vec<Value>,
}

fn pipe(server: impl ServerHandler, set: ExtensionSet) -> Pipe {
    serve(Arc::new(with_extensions(
        server.to_mcp_server_handler(),
        set,
    )))
}

fn serve(handler: Arc<dyn McpServerHandler>) -> Pipe {
    let (write, read_rx) = tokio::io::duplex(1 << 16);
    let (write_tx, read) = tokio::io::duplex(1 << 16);
    // Frames that come beside the stream, which nothing does here.
    let (unused, _) = tokio::io::duplex(1);
    let options = Arc::new(TransportOptions::default());
    let transport = SseTransport::new(read_rx, write_tx, unused, options).unwrap();
    let server = server_runtime::create_server(McpServerOptions {
        server_details: details(),
        transport,
        handler,
        message_observer: None,
    });
    tokio::spawn(server.start());
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

    async fn answer(&mut self, id: &Value) -> Value {
        self.before.clear();
        loop {
            let line = tokio::time::timeout(Duration::from_secs(10), self.lines.next_line())
                .await
                .expect("an answer")
                .unwrap()
                .expect("an open connection");
            let frame: Value = serde_json::from_str(&line).unwrap();
            if frame.get("id") == Some(id) {
                return frame;
            }
            self.before.push(frame);
        }
    }

    async fn request(&mut self, method: &str, params: Value) -> Value {
        self.id += 1;
        let id = json!(self.id);
        self.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await;
        self.answer(&id).await
    }

    /// A modern request that declares `extensions`.
    async fn modern(&mut self, method: &str, params: Value, extensions: Value) -> Value {
        self.request(method, modern(params, extensions)).await
    }
}

async fn until(what: impl Fn() -> bool) {
    tokio::time::timeout(Duration::from_secs(10), async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("it happens");
}

// ---- negotiation -------------------------------------------------------------------------------------------------

#[tokio::test]
async fn neg_01_what_covers_the_revision_is_advertised_beside_the_servers_own() {
    let mut pipe = pipe(Plain::default(), set(&Desk::default()));
    let answer = pipe.modern("server/discover", json!({}), json!({})).await;
    let capabilities = &answer["result"]["capabilities"];
    assert_eq!(
        capabilities["extensions"],
        json!({"com.example/shelf": {"most": 10, "room": "main", "revision": "2026-11-01"}}),
        "and nothing of the older era"
    );
    assert!(capabilities["tools"].is_object());
    assert_eq!(answer["result"]["resultType"], "complete");
    let name = &answer["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"];
    assert_eq!(name, "library");
}

#[tokio::test]
async fn a_call_is_negotiated_answered_and_stamped() {
    let mut pipe = pipe(Plain::default(), set(&Desk::default()));
    // Trap 2: `_meta` is not among the params, and reaches the handler.
    let params = json!({"title": "Emma", "_meta": {"com.example/seen": 1}});
    let answer = pipe.modern(FIND, params, shelf()).await;
    let result = &answer["result"];
    assert_eq!(result["title"], "Emma", "{answer}");
    assert_eq!(result["most"], 3, "the smaller of both");
    assert_eq!(result["seen"], "1");
    assert_eq!(result["resultType"], "complete");
    let name = &result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"];
    assert_eq!(name, "library", "as the server stamps its own answers");

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
    let mut pipe = pipe(Plain::default(), set(&desk));
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
        .modern("com.example/legacy-only/terms", json!({}), json!({}))
        .await;
    assert_eq!(answer["error"]["code"], -32601, "not of this era");
    let answer = pipe
        .modern("com.example/other/find", json!({}), shelf())
        .await;
    assert_eq!(answer["error"]["code"], -32601, "not ours, not theirs");
    let answer = pipe.modern("com.example/theirs", json!({}), shelf()).await;
    assert_eq!(answer["result"]["resultType"], "complete", "theirs");
    assert_eq!(desk.0.started.load(Ordering::SeqCst), 0);
}

/// Trap 3, and rows "version 1900-01-01" and "no `_meta`" of what the SDK lets through by itself.
#[tokio::test]
async fn neg_06_without_a_version_that_is_served_nothing_is_served() {
    let desk = Desk::default();
    let mut pipe = pipe(Plain::default(), set(&desk));
    for (version, code) in [("1900-01-01", -32022), ("2025-11-25", -32022)] {
        let mut old = modern(json!({"title": "Emma"}), shelf());
        old["_meta"]["io.modelcontextprotocol/protocolVersion"] = version.into();
        let answer = pipe.request(FIND, old).await;
        assert_eq!(answer["error"]["code"], code, "{answer}");
        assert_eq!(answer["error"]["data"]["requested"], version);
    }
    let answer = pipe.request(FIND, json!({"title": "Emma"})).await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    let mut incomplete = modern(json!({"title": "Emma"}), shelf());
    incomplete["_meta"]
        .as_object_mut()
        .unwrap()
        .remove("io.modelcontextprotocol/clientCapabilities");
    let answer = pipe.request(FIND, incomplete).await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    let call = json!({"name": "borrow_book", "arguments": {"title": "Emma"}});
    let answer = pipe.request("tools/call", call).await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    assert_eq!(desk.0.started.load(Ordering::SeqCst), 0);
}

/// When this fails, rust-mcp-sdk has come to serve older clients: the adapter can then do so too.
#[tokio::test]
async fn rust_mcp_sdk_has_no_initialize() {
    let mut pipe = pipe(Plain::default(), set(&Desk::default()));
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {"extensions": shelf()}, "clientInfo": {"name": "test", "version": "1"}});
    let answer = pipe.request("initialize", params).await;
    assert_eq!(answer["error"]["code"], -32601, "{answer}");
    let report = with_extensions(
        Plain::default().to_mcp_server_handler(),
        set(&Desk::default()),
    )
    .report();
    let said: Vec<String> = report.iter().map(ToString::to_string).collect();
    for id in ["com.example/shelf", "com.example/legacy-only"] {
        let said = said
            .iter()
            .any(|gap| gap.starts_with(id) && gap.contains("initialize"));
        assert!(said, "{id}: {report:?}");
    }
    assert!(
        said.iter().any(|gap| gap.contains("Mcp-Name")),
        "{report:?}"
    );
    assert!(!said.iter().any(|gap| gap.contains("declaration_unknown")));
}

/// Its types for settings know no `null` and no fraction: what declares them is an unknown request to it.
#[tokio::test]
async fn settings_that_the_sdk_has_no_type_for_take_nothing_from_anybody() {
    let bare = |server: Plain| serve(server.to_mcp_server_handler());
    let answer = bare(Plain::default())
        .modern("tools/list", json!({}), untyped())
        .await;
    // When this fails, rust-mcp-sdk has come to take such settings, and `typed::read` can go.
    assert_eq!(answer["error"]["code"], -32601, "{answer}");

    let mut pipe = pipe(Plain::default(), set(&Desk::default()));
    let answer = pipe.modern(FIND, json!({"title": "Emma"}), untyped()).await;
    assert_eq!(answer["result"]["most"], 3, "{answer}");
    let call = json!({"name": "return_book", "arguments": {"title": "Emma"}});
    let answer = pipe.modern("tools/call", call, untyped()).await;
    assert_eq!(
        answer["result"]["structuredContent"]["title"], "Emma",
        "{answer}"
    );
    let answer = pipe.modern("tools/list", json!({}), untyped()).await;
    assert_eq!(names(&answer), ["add", "borrow_book", "return_book"]);
    let call = json!({"name": "add", "arguments": {"a": 2, "b": 3}});
    let answer = pipe.modern("tools/call", call, untyped()).await;
    assert_eq!(answer["result"]["content"][0]["text"], "5", "{answer}");
    let answer = pipe.modern("server/discover", json!({}), untyped()).await;
    assert!(answer["result"]["capabilities"].is_object(), "{answer}");
}

#[tokio::test]
async fn a_filtered_list_is_private_and_shows_tools_to_those_who_declare_alone() {
    let set = ExtensionSet::builder()
        .enable(ShelfExtension::provide(Desk::default()))
        .filter_lists(true)
        .build()
        .unwrap();
    let mut pipe = pipe(Plain::default(), set);
    let answer = pipe.modern("tools/list", json!({}), json!({})).await;
    assert_eq!(names(&answer), ["add"]);
    assert_eq!(answer["result"]["cacheScope"], "private");
    assert_eq!(answer["result"]["ttlMs"], 0);
    for declared in [json!({"com.example/shelf": {}}), untyped()] {
        let answer = pipe.modern("tools/list", json!({}), declared).await;
        assert_eq!(names(&answer).len(), 3);
    }
}

#[tokio::test]
async fn the_servers_own_tools_read_what_was_negotiated() {
    let mut pipe = pipe(Plain::default(), set(&Desk::default()));
    for (declared, text) in [
        (shelf(), "Some(3)"),
        (untyped(), "Some(3)"),
        (json!({}), "no"),
        (json!({"com.example/shelf": {"room": "attic"}}), "no"),
    ] {
        let call = json!({"name": "negotiated", "arguments": {}});
        let answer = pipe.modern("tools/call", call, declared).await;
        assert_eq!(answer["result"]["content"][0]["text"], text, "{answer}");
    }
}

// ---- tools -------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn tools_stand_after_the_servers_own_and_its_own_still_work() {
    let mut pipe = pipe(Plain::default(), set(&Desk::default()));
    let answer = pipe.modern("tools/list", json!({}), json!({})).await;
    assert_eq!(names(&answer), ["add", "borrow_book", "return_book"]);
    assert_eq!(answer["result"]["cacheScope"], "public", "as without us");
    assert_eq!(answer["result"]["ttlMs"], 60_000);
    let theirs = &answer["result"]["tools"][0]["inputSchema"];
    assert_eq!(theirs["additionalProperties"], false);
    let tool = &answer["result"]["tools"][2];
    assert_eq!(
        tool["_meta"]["io.github.mcp-ext/extension"],
        "com.example/shelf"
    );
    assert_eq!(tool["inputSchema"]["properties"]["title"]["type"], "string");

    let call = json!({"name": "add", "arguments": {"a": 2, "b": 3}});
    let answer = pipe.modern("tools/call", call, json!({})).await;
    assert_eq!(answer["result"]["content"][0]["text"], "5");

    let call = json!({"name": "borrow_book", "arguments": {"title": "Emma"}, "_meta": {"com.example/seen": 1}});
    let answer = pipe.modern("tools/call", call, json!({})).await;
    let result = &answer["result"];
    assert_eq!(result["structuredContent"]["title"], "Emma", "{answer}");
    assert_eq!(result["structuredContent"]["most"], 10, "the fallback");
    assert_eq!(result["structuredContent"]["seen"], "1", "_meta is whole");
    assert_eq!(result["resultType"], "complete");

    let call = json!({"name": "borrow_book", "arguments": {"title": "missing"}});
    let answer = pipe.modern("tools/call", call, json!({})).await;
    assert_eq!(answer["result"]["isError"], true);
    let call = json!({"name": "return_book", "arguments": {"title": "Emma"}});
    let answer = pipe.modern("tools/call", call.clone(), json!({})).await;
    assert_eq!(answer["error"]["code"], -32021);
    let answer = pipe.modern("tools/call", call, shelf()).await;
    assert_eq!(answer["result"]["structuredContent"]["title"], "Emma");
}

/// Trap 7.
#[tokio::test]
async fn ours_come_on_one_page_and_a_tool_of_the_server_with_the_same_name_stays_the_servers() {
    let server = Plain {
        also: Some("borrow_book"),
        ..Plain::default()
    };
    let mut pipe = pipe(server, set(&Desk::default()));
    // On the second page of the server's own.
    let call = json!({"name": "borrow_book", "arguments": {"a": 1, "b": 2}});
    let answer = pipe.modern("tools/call", call, shelf()).await;
    assert_eq!(answer["result"]["content"][0]["text"], "theirs", "{answer}");
    let first = pipe.modern("tools/list", json!({}), json!({})).await;
    assert_eq!(first["result"]["nextCursor"], "two");
    let cursor = json!({"cursor": "two"});
    let second = pipe.modern("tools/list", cursor, json!({})).await;
    assert_eq!(names(&second), ["borrow_book"]);
    assert_eq!(second["result"]["tools"][0]["description"], "Theirs");
}

#[tokio::test]
async fn a_server_without_tools_has_ours() {
    struct Bare;
    impl ServerHandler for Bare {}
    let mut pipe = pipe(Bare, set(&Desk::default()));
    let answer = pipe.modern("tools/list", json!({}), json!({})).await;
    assert_eq!(names(&answer), ["borrow_book", "return_book"]);
    assert_eq!(answer["result"]["resultType"], "complete");
    let call = json!({"name": "return_book", "arguments": {"title": "Emma"}});
    let answer = pipe.modern("tools/call", call, shelf()).await;
    assert_eq!(answer["result"]["structuredContent"]["title"], "Emma");
    // Without extensions it is the server alone.
    let empty = ExtensionSet::builder().build().unwrap();
    let answer = self::pipe(Bare, empty)
        .modern("tools/list", json!({}), json!({}))
        .await;
    assert_eq!(answer["error"]["code"], -32601);
}

#[test]
fn an_extension_that_comes_twice_is_refused_at_build() {
    let twice = ExtensionSet::builder()
        .enable(ShelfExtension::provide(Desk::default()))
        .enable(ShelfExtension::provide(Desk::default()))
        .build();
    assert!(twice.is_err());
}

// ---- what goes on beside an answer -------------------------------------------------------------------------------

#[tokio::test]
async fn progress_and_notifications_of_the_extension_come_before_the_answer() {
    let mut pipe = pipe(Plain::default(), set(&Desk::default()));
    let call = json!({"name": "borrow_book", "arguments": {"title": "Emma"}, "_meta": {"progressToken": "p"}});
    let answer = pipe.modern("tools/call", call, shelf()).await;
    assert_eq!(answer["result"]["structuredContent"]["notified"], "sent");
    let [progress, moved] = &*pipe.before else {
        panic!("{:?}", pipe.before)
    };
    assert_eq!(progress["method"], "notifications/progress");
    assert_eq!(progress["params"]["progressToken"], "p");
    assert_eq!(progress["params"]["total"], 2.0);
    assert_eq!(moved["params"]["title"], "Emma", "{moved}");
}

/// Trap 7: the server is not told of a cancellation that is not its own.
#[tokio::test]
async fn a_cancelled_call_is_stopped_and_a_panic_does_not_end_the_server() {
    let desk = Desk::default();
    let server = Plain::default();
    let theirs = server.cancelled.clone();
    let mut pipe = pipe(server, set(&desk));
    let params = modern(json!({"title": "hang"}), shelf());
    pipe.send(json!({"jsonrpc": "2.0", "id": "slow", "method": FIND, "params": params}))
        .await;
    until(|| desk.0.started.load(Ordering::SeqCst) == 1).await;
    let cancelled = |id: &str| json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
    pipe.send(cancelled("another")).await;
    until(|| theirs.load(Ordering::SeqCst) == 1).await;
    assert_eq!(desk.0.dropped.load(Ordering::SeqCst), 0);
    pipe.send(cancelled("slow")).await;
    until(|| desk.0.dropped.load(Ordering::SeqCst) == 1).await;
    // When this fails, rust-mcp-sdk has found a way to leave a call unanswered.
    let answer = pipe.answer(&json!("slow")).await;
    assert_eq!(answer["error"]["data"]["kind"], "cancelled");
    assert_eq!(theirs.load(Ordering::SeqCst), 1);

    let answer = pipe.modern(FIND, json!({"title": "panic"}), shelf()).await;
    assert_eq!(answer["error"]["data"]["kind"], "handler_panicked");
    let answer = pipe.modern(FIND, json!({"title": "Emma"}), shelf()).await;
    assert_eq!(answer["result"]["title"], "Emma");
}

#[tokio::test]
async fn hostile_params_are_refused_and_the_connection_goes_on() {
    let mut pipe = pipe(Plain::default(), set(&Desk::default()));
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    for params in [
        json!({"title": ["x"]}),
        json!({"title": "x".repeat(3_000_000)}),
        json!({"title": deep}),
    ] {
        let answer = pipe.modern(FIND, params, shelf()).await;
        assert_eq!(answer["error"]["code"], -32602, "{}", answer["error"]);
    }
    for declared in [json!({"com.example/shelf": 5}), json!(7)] {
        let answer = pipe
            .modern(FIND, json!({"title": "Emma"}), declared.clone())
            .await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        let call = json!({"name": "return_book", "arguments": {"title": "Emma"}});
        let answer = pipe.modern("tools/call", call, declared).await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
    }
    let call = json!({"name": "borrow_book", "arguments": ["Emma"]});
    let answer = pipe.modern("tools/call", call, shelf()).await;
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    let nameless = json!({"arguments": {}});
    let answer = pipe.modern("tools/call", nameless, shelf()).await;
    assert!(answer["error"]["code"].is_i64(), "{answer}");
    let answer = pipe.modern(FIND, json!({"title": "Emma"}), shelf()).await;
    assert_eq!(answer["result"]["title"], "Emma");
}

/// Everything that is not ours is the server's, and nothing of it is changed.
#[tokio::test]
async fn other_answers_are_those_of_the_server_alone() {
    let requests = [
        ("resources/list", json!({})),
        ("prompts/get", json!({"name": "x"})),
        ("tools/call", json!({"name": "nobody", "arguments": {}})),
        (
            "tools/call",
            json!({"name": "add", "arguments": {"a": 1, "b": 1}}),
        ),
        ("com.example/theirs", json!({})),
        ("com.example/nobodys", json!({})),
    ];
    let mut alone = serve(Plain::default().to_mcp_server_handler());
    let mut ours = pipe(Plain::default(), set(&Desk::default()));
    for (method, params) in requests {
        let expected = alone.modern(method, params.clone(), shelf()).await;
        assert_eq!(ours.modern(method, params, shelf()).await, expected);
    }
    // A declaration that is none does not become one.
    let odd = json!({"com.example/other": 5});
    let expected = alone.modern("tools/list", json!({}), odd.clone()).await;
    assert!(expected["error"].is_object(), "{expected}");
    let answer = ours.modern("tools/list", json!({}), odd).await;
    assert_eq!(answer, expected);
}

/// When this fails, rust-mcp-sdk's clients have come to keep what they do not know: the docs of the caller can say less.
#[test]
fn rust_mcp_sdk_decodes_results_by_their_shape() {
    let result = json!({"resultType": "complete", "content": [], "shelf": 7});
    let decoded: ServerResult = serde_json::from_value(result).unwrap();
    assert!(matches!(decoded, ServerResult::CallToolResult(_)));
    let whole =
        json!({"resultType": "complete", "contents": 1, "shelf": 7, "_meta": {"a/b": null}});
    let decoded: ServerResult = serde_json::from_value(whole.clone()).unwrap();
    assert_eq!(serde_json::to_value(decoded).unwrap(), whole);
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
