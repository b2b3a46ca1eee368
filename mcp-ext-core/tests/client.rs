//! The client's side: what it declares, what it refuses to send, what it refuses to believe.
#![cfg(feature = "client")]

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::Future;
use std::sync::Mutex;

use mcp_ext_core::client::{CallError, Caller, CallerError, Negotiation, Outgoing, declaration};
use mcp_ext_core::protocol::Era;
use mcp_ext_core::wire::{JsonObject, code};
use mcp_ext_core::{Cx, ExtensionError, RpcError, ToolCx, extension, settings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[settings]
struct ShelfSettings {
    #[negotiate(intersect, required)]
    genres: Option<BTreeSet<String>>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Title {
    title: String,
}

#[derive(Serialize, Deserialize, JsonSchema, Debug, PartialEq)]
struct Book {
    pages: u32,
}

#[derive(Debug, PartialEq, ExtensionError)]
enum ShelfError {
    /// Nobody has it.
    #[error(code = 4300, "no book {title}")]
    Missing { title: String },
}

/// A shelf of books.
#[extension(id = "com.example/shelf", revision = "2", known_revisions("1"), settings = ShelfSettings)]
trait Shelf {
    /// Finds a book.
    #[method(mcp_name = "/title")]
    async fn find(&self, cx: &Cx<ShelfExtension>, params: Title) -> Result<Book, ShelfError>;

    /// Lends a book.
    #[tool]
    async fn lend(&self, cx: &ToolCx<ShelfExtension>, params: Title) -> Result<Book, ShelfError>;

    /// Reads aloud.
    #[method(optional = "readsAloud")]
    async fn read_aloud(&self, cx: &Cx<ShelfExtension>, params: Title) -> Result<Book, Infallible>;
}

/// A server that advertises and answers whatever it is told to.
struct Scripted {
    era: Era,
    extensions: Value,
    answer: Result<Value, RpcError>,
    sent: Mutex<Vec<Outgoing>>,
}

impl Scripted {
    fn new(extensions: Value, answer: Value) -> Self {
        Self {
            era: Era::Modern,
            extensions,
            answer: Ok(answer),
            sent: Mutex::default(),
        }
    }
}

impl Caller for &Scripted {
    fn era(&self) -> Era {
        self.era
    }
    async fn server_extensions(&self) -> Result<JsonObject, CallerError> {
        Ok(self.extensions.as_object().unwrap().clone())
    }
    async fn call(&self, request: Outgoing) -> Result<Value, CallerError> {
        self.sent.lock().unwrap().push(request);
        self.answer.clone().map_err(CallerError::Rpc)
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut cx) {
            return value;
        }
    }
}

fn title() -> Title {
    Title {
        title: "Emma".to_owned(),
    }
}

fn offered() -> Value {
    json!({"com.example/shelf": {"revision": "2", "readsAloud": false}})
}

fn active(server: &Scripted) -> ShelfClient<&Scripted> {
    block_on(ShelfExtension::client(server).negotiate())
        .unwrap()
        .active()
        .expect("the extension is offered")
}

#[test]
fn neg_17_nothing_is_sent_to_a_server_that_does_not_offer_it() {
    for extensions in [
        json!({}),
        json!({"com.example/shelf": null}),
        json!({"com.example/shelf": {"genres": 7}}),
    ] {
        let server = Scripted::new(extensions, json!({}));
        let outcome = block_on(ShelfExtension::client(&server).negotiate()).unwrap();
        assert!(matches!(outcome, Negotiation::NotOffered));
        assert!(server.sent.lock().unwrap().is_empty());
    }
}

#[test]
fn settings_that_do_not_combine_are_found_without_a_call() {
    let server = Scripted::new(
        json!({"com.example/shelf": {"genres": ["crime"]}}),
        json!({}),
    );
    let settings = ShelfSettings {
        genres: Some(BTreeSet::from(["poetry".to_owned()])),
    };
    let outcome = block_on(
        ShelfExtension::client(&server)
            .declare(settings)
            .negotiate(),
    )
    .unwrap();
    let Negotiation::Incompatible(why) = outcome else {
        panic!("not incompatible")
    };
    let text = why.to_string();
    assert!(
        text.contains("genres") && text.contains("crime") && text.contains("poetry"),
        "{text}"
    );
    // A revision of the future, and one of the past that is known.
    let server = Scripted::new(json!({"com.example/shelf": {"revision": "9"}}), json!({}));
    let outcome = block_on(ShelfExtension::client(&server).negotiate()).unwrap();
    assert!(matches!(outcome, Negotiation::Incompatible(why) if why.rows[0].field == "revision"));
    let server = Scripted::new(json!({"com.example/shelf": {"revision": "1"}}), json!({}));
    assert!(matches!(
        block_on(ShelfExtension::client(&server).negotiate()).unwrap(),
        Negotiation::Active(_)
    ));
}

#[test]
fn neg_15_every_call_declares_the_extension_and_names_what_http_repeats() {
    let server = Scripted::new(offered(), json!({"resultType": "complete", "pages": 3}));
    let shelf = active(&server);
    assert_eq!(block_on(shelf.find(title())).unwrap(), Book { pages: 3 });
    let sent = server.sent.lock().unwrap();
    assert_eq!(sent[0].method, "com.example/shelf/find");
    assert_eq!(
        sent[0].declare,
        *json!({"com.example/shelf": {"revision": "2"}})
            .as_object()
            .unwrap()
    );
    assert_eq!(sent[0].mcp_name.as_deref(), Some("Emma"), "HDR-4");
    // The capabilities that the SDK sends anyway keep their members.
    let mut meta = json!({"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}, "extensions": {"a.b/c": {}}}});
    sent[0].declare_into(meta.as_object_mut().unwrap());
    let capabilities = &meta["io.modelcontextprotocol/clientCapabilities"];
    assert_eq!(capabilities["elicitation"], json!({}));
    assert_eq!(capabilities["extensions"].as_object().unwrap().len(), 2);
    assert!(
        declaration::<ShelfExtension>(&ShelfSettings::default()).unwrap()["com.example/shelf"]
            .is_object()
    );
}

#[test]
fn neg_18_an_optional_item_that_is_not_advertised_is_not_called() {
    let server = Scripted::new(offered(), json!({"pages": 1}));
    let shelf = active(&server);
    let error = block_on(shelf.read_aloud(title())).unwrap_err();
    assert!(
        matches!(
            error,
            CallError::NotOffered {
                flag: "readsAloud",
                ..
            }
        ),
        "{error:?}"
    );
    assert!(server.sent.lock().unwrap().is_empty());
    let server = Scripted::new(
        json!({"com.example/shelf": {"readsAloud": true}}),
        json!({"pages": 1}),
    );
    assert!(block_on(active(&server).read_aloud(title())).is_ok());
}

/// What a typed call makes of an answer.
fn found(answer: &Value) -> Result<Book, CallError<ShelfError>> {
    let server = Scripted::new(offered(), answer.clone());
    block_on(active(&server).find(title()))
}

fn assert_invalid(answer: &Value) {
    let error = found(answer).unwrap_err();
    assert!(
        matches!(error, CallError::InvalidResult { item: "find", .. }),
        "{answer}: {error:?}"
    );
}

#[test]
fn rt_02_a_result_type_of_an_extension_that_is_off_makes_the_result_invalid() {
    for kind in ["com.example/other", "com.example/shelf", "org.other/x.y"] {
        assert_invalid(&json!({"resultType": kind, "pages": 1}));
    }
    // Servers of earlier versions send none.
    assert_eq!(
        found(&json!({"pages": 1, "_meta": {"x.y/z": 1}, "later": true})).unwrap(),
        Book { pages: 1 }
    );
}

#[test]
fn rt_07_a_method_accepts_complete_and_nothing_else_of_the_core() {
    assert!(found(&json!({"resultType": "complete", "pages": 1})).is_ok());
    for kind in [
        json!("task"),
        json!("input_required"),
        json!(1),
        json!(null),
    ] {
        assert_invalid(&json!({"resultType": kind, "pages": 1}));
    }
}

#[test]
fn neg_19_a_result_is_read_before_it_is_used() {
    for answer in [
        json!({"resultType": "complete", "pages": "three"}),
        json!({"resultType": "complete"}),
        json!(["pages", 1]),
        json!(null),
    ] {
        assert_invalid(&answer);
    }
}

#[test]
fn req_22_a_tools_failure_and_a_result_that_does_not_fit_are_told_apart() {
    let lent = |answer: Value| {
        let server = Scripted::new(offered(), answer);
        block_on(active(&server).lend(title())).unwrap_err()
    };
    let words = json!([{"type": "text", "text": "no luck"}]);
    let error = lent(json!({"content": words, "isError": true}));
    assert!(
        matches!(&error, CallError::Tool(text) if text == "no luck"),
        "{error:?}"
    );
    for structured in [json!({"pages": "three"}), json!({}), json!(null)] {
        let error = lent(json!({"content": words, "structuredContent": structured}));
        assert!(
            matches!(error, CallError::InvalidResult { item: "lend", .. }),
            "{error:?}"
        );
    }
}

#[test]
fn err_10_a_code_that_is_not_the_extensions_own_gets_no_meaning() {
    let own =
        json!({"extension": "com.example/shelf", "kind": "missing", "details": {"title": "Emma"}});
    let mut server = Scripted::new(offered(), json!({}));
    for code in [-32000, -32002, -32010, -32019, 1, 4301] {
        server.answer = Err(RpcError::new(code, "x").with_data(own.clone()));
        let error = block_on(active(&server).find(title())).unwrap_err();
        assert!(
            matches!(&error, CallError::Rpc(e) if e.code == code),
            "{error:?}"
        );
    }
}

#[test]
fn own_errors_come_back_typed_and_others_as_they_are() {
    let own =
        json!({"extension": "com.example/shelf", "kind": "missing", "details": {"title": "Emma"}});
    let mut server = Scripted::new(offered(), json!({}));
    server.answer = Err(RpcError::new(4300, "no book Emma").with_data(own.clone()));
    let error = block_on(active(&server).find(title())).unwrap_err();
    assert!(matches!(error, CallError::Own(ShelfError::Missing { title }) if title == "Emma"));
    // The same words from another extension, or under another code, are not ours (ERR-10).
    let mut foreign = own.clone();
    foreign["extension"] = json!("org.other/shelf");
    for (code, data) in [
        (4300, foreign),
        (4301, own.clone()),
        (code::INTERNAL_ERROR, json!(null)),
        (-32010, own.clone()),
    ] {
        server.answer = Err(RpcError::new(code, "x").with_data(data));
        let error = block_on(active(&server).find(title())).unwrap_err();
        assert!(
            matches!(&error, CallError::Rpc(e) if e.code == code),
            "{error:?}"
        );
    }
    let mut server = Scripted::new(
        offered(),
        json!({"content": [{"type": "text", "text": "no book Emma"}], "structuredContent": {"error": own}, "isError": true}),
    );
    let error = block_on(active(&server).lend(title())).unwrap_err();
    assert!(
        matches!(error, CallError::Own(ShelfError::Missing { .. })),
        "{error:?}"
    );
    server.answer = Ok(json!({"content": [{"type": "text", "text": "no luck"}], "isError": true}));
    let error = block_on(active(&server).lend(title())).unwrap_err();
    assert!(
        matches!(&error, CallError::Tool(text) if text == "no luck"),
        "{error:?}"
    );
}

/// Only modern.
#[extension(id = "com.example/modern", protocol(min = "2026-07-28"))]
trait Modern {
    /// Goes.
    #[method]
    async fn go(&self, cx: &Cx<ModernExtension>) -> Result<Book, Infallible>;
}

#[test]
fn era_02_an_extension_of_the_modern_era_is_not_offered_by_a_legacy_server() {
    let mut server = Scripted::new(json!({"com.example/modern": {}}), json!({"pages": 1}));
    server.era = Era::Legacy;
    assert!(matches!(
        block_on(ModernExtension::client(&server).negotiate()).unwrap(),
        Negotiation::NotOffered
    ));
    server.era = Era::Modern;
    let client = block_on(ModernExtension::client(&server).negotiate())
        .unwrap()
        .active()
        .unwrap();
    assert!(block_on(client.go()).is_ok());
}
