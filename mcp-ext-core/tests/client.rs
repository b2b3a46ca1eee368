//! The client's side: what it declares, what it refuses to send, what it refuses to believe.
#![cfg(feature = "client")]

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::Future;
use std::sync::Mutex;

use mcp_ext_core::client::{
    Argument, CallError, Caller, CallerError, InputRequired, Negotiation, Outgoing, declaration,
};
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
fn a_name_that_is_no_fn_of_the_trait_is_said_to_be_one() {
    let server = Scripted::new(offered(), json!({"pages": 1}));
    let error = block_on(
        active(&server)
            .tool::<_, serde_json::Value, Infallible>("no_such_fn", &serde_json::json!({})),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "no_such_fn was not called: the trait of com.example/shelf has no fn of this name; give the fn's name, not \
         that of its tool or method"
    );
    assert!(server.sent.lock().unwrap().is_empty());
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
    server.answer = Err(RpcError::new(4300, "x").with_data(foreign.clone()));
    let error = block_on(active(&server).find(title())).unwrap_err();
    assert!(
        matches!(&error, CallError::Refused(refusal) if refusal.extension == "org.other/shelf"),
        "{error:?}"
    );
    for (code, data) in [
        (-32601, foreign),
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

// ---- blocks ------------------------------------------------------------------------------------------------------

struct Key(&'static str);

impl Argument for Key {
    const NAME: &'static str = "idempotencyKey";
    fn value(&self) -> Value {
        self.0.into()
    }
}

#[test]
fn arguments_of_blocks_stand_beside_the_params_of_methods_and_in_the_arguments_of_tools() {
    let server = Scripted::new(
        offered(),
        json!({"pages": 1, "structuredContent": {"pages": 1}}),
    );
    let shelf = active(&server);
    let keyed = shelf.with(&Key("k-1"));
    block_on(
        keyed
            .with_argument("purpose", json!({"code": "x"}))
            .find(title()),
    )
    .unwrap();
    block_on(shelf.with_argument("n", 1).with(&Key("k-2")).lend(title())).unwrap();
    block_on(shelf.find(title())).unwrap();
    let sent = server.sent.lock().unwrap();
    let params = |n: usize| Value::Object(sent[n].params.clone());
    assert_eq!(
        params(0),
        json!({"title": "Emma", "idempotencyKey": "k-1", "purpose": {"code": "x"}})
    );
    assert_eq!(sent[0].mcp_name.as_deref(), Some("Emma"));
    assert_eq!(
        params(1),
        json!({"name": "lend", "arguments": {"title": "Emma", "idempotencyKey": "k-2", "n": 1}})
    );
    // For that call alone.
    assert_eq!(params(2), json!({"title": "Emma"}));
    assert!(sent.iter().all(|s| s.declare == sent[0].declare));
}

#[test]
fn an_argument_that_is_no_json_is_not_sent() {
    let server = Scripted::new(offered(), json!({"pages": 1}));
    let shelf = active(&server);
    let map = std::collections::BTreeMap::from([((1, 2), 3)]);
    let error = block_on(shelf.with_argument("map", map).find(title())).unwrap_err();
    assert!(
        matches!(&error, CallError::Transport(why) if why.contains("map")),
        "{error:?}"
    );
    assert!(server.sent.lock().unwrap().is_empty());
}

#[derive(Debug, PartialEq, ExtensionError)]
enum LockError {
    /// Held by another.
    #[error(code = 4500, retryable, "held by {by}")]
    Held { by: String },
}

/// A block's extension.
#[extension(id = "com.example/lock")]
trait Lock {}

#[test]
fn what_a_block_refuses_comes_back_typed() {
    let data = json!({"extension": "com.example/lock", "kind": "held", "details": {"by": "Ann"}, "retryable": true});
    let mut server = Scripted::new(offered(), json!({}));
    server.answer = Err(RpcError::new(4500, "held by Ann").with_data(data.clone()));
    let of_method = block_on(active(&server).find(title())).unwrap_err();
    let mut error = data.clone();
    error["message"] = json!("held by Ann");
    server.answer = Ok(json!({
        "content": [{"type": "text", "text": "cut short"}], "isError": true, "structuredContent": {"error": error},
    }));
    let of_tool = block_on(active(&server).lend(title())).unwrap_err();
    for (error, code) in [(of_method, Some(4500)), (of_tool, None)] {
        assert_eq!(error.to_string(), "com.example/lock refused: held by Ann");
        let CallError::Refused(refusal) = error else {
            panic!("{error:?}")
        };
        assert_eq!((refusal.code, refusal.retryable), (code, true));
        let held = LockError::Held {
            by: "Ann".to_owned(),
        };
        assert_eq!(refusal.error::<LockExtension, LockError>(), Some(held));
        // Another extension's errors are not read as this one's.
        assert_eq!(refusal.error::<ShelfExtension, LockError>(), None);
    }
    // An error of a later version keeps its words.
    let newer = json!({"extension": "com.example/lock", "kind": "melted"});
    server.answer = Err(RpcError::new(4501, "it melted").with_data(newer));
    let error = block_on(active(&server).find(title())).unwrap_err();
    let CallError::Refused(refusal) = error else {
        panic!("{error:?}")
    };
    assert_eq!(refusal.error::<LockExtension, LockError>(), None);
    assert_eq!(
        (refusal.kind.as_str(), refusal.message.as_str()),
        ("melted", "it melted")
    );
    // What is no refusal stays what it was.
    server.answer =
        Err(RpcError::new(4500, "x").with_data(json!({"extension": 7, "kind": "held"})));
    let error = block_on(active(&server).find(title())).unwrap_err();
    assert!(matches!(error, CallError::Rpc(_)), "{error:?}");
}

fn asking() -> Value {
    json!({
        "resultType": "input_required",
        "inputRequests": {"sure": {"method": "elicitation/create", "params": {
            "mode": "form", "message": "Sure?",
            "requestedSchema": {"type": "object", "properties": {"sure": {"type": "boolean"}}},
        }}},
        "requestState": "  opaque\u{e9} ",
    })
}

fn asked(server: &Scripted) -> InputRequired {
    match block_on(active(server).lend(title())) {
        Err(CallError::InputRequired(asked)) => *asked,
        other => panic!("{other:?}"),
    }
}

#[test]
fn mr_07_the_repeated_call_brings_the_answers_and_the_state_as_it_was() {
    let mut server = Scripted::new(offered(), asking());
    let first = asked(&server);
    assert_eq!(first.requests.len(), 1);
    let question = &first.requests[0];
    assert_eq!(
        (question.key.as_str(), question.message()),
        ("sure", Some("Sure?"))
    );
    assert_eq!(question.method, "elicitation/create");
    server.answer = Ok(json!({"structuredContent": {"pages": 9}}));
    let accepted = first
        .clone()
        .answers()
        .accept("sure", json!({"sure": true}));
    let book = block_on(active(&server).with_answers(accepted).lend(title()));
    assert_eq!(book.unwrap().pages, 9);
    for answers in [
        first.clone().answers().decline("sure"),
        first.clone().answers().cancel("sure"),
        first.answers(),
    ] {
        let _ = block_on(active(&server).with_answers(answers).lend(title()));
    }
    // Without a state of the server's there is none (MR-7), and without questions no answers (MR-14).
    server.answer = Ok(json!({"resultType": "input_required", "requestState": "s"}));
    let no_questions = asked(&server);
    assert!(no_questions.requests.is_empty());
    let mut stateless = asking();
    stateless.as_object_mut().unwrap().remove("requestState");
    server.answer = Ok(stateless);
    let stateless = asked(&server).answers().decline("sure");
    for answers in [no_questions.answers(), stateless] {
        let _ = block_on(active(&server).with_answers(answers).lend(title()));
    }
    let sent = server.sent.lock().unwrap();
    let brought = |n: usize| {
        (
            sent[n].params.get("inputResponses"),
            sent[n].params.get("requestState"),
        )
    };
    let state = json!("  opaque\u{e9} ");
    assert_eq!(brought(0), (None, None));
    let accept = json!({"sure": {"action": "accept", "content": {"sure": true}}});
    assert_eq!(brought(1), (Some(&accept), Some(&state)));
    assert_eq!(sent[1].params["arguments"], sent[0].params["arguments"]);
    let decline = json!({"sure": {"action": "decline"}});
    assert_eq!(brought(2), (Some(&decline), Some(&state)));
    assert_eq!(brought(3).0, Some(&json!({"sure": {"action": "cancel"}})));
    assert_eq!(brought(4), (None, Some(&state)));
    assert_eq!(brought(7), (None, Some(&json!("s"))));
    assert_eq!(brought(8), (Some(&decline), None));
}

#[test]
fn answers_are_not_sent_with_another_item() {
    let server = Scripted::new(offered(), asking());
    let answers = asked(&server).answers().decline("sure");
    let error = block_on(active(&server).with_answers(answers).find(title())).unwrap_err();
    assert!(
        matches!(&error, CallError::Transport(why) if why.contains("lend")),
        "{error:?}"
    );
    assert_eq!(server.sent.lock().unwrap().len(), 1);
}

#[test]
fn mr_02_mr_03_a_question_that_is_none_of_the_protocol_is_refused() {
    let with = |member: &str, value: Value| {
        let mut asking = asking();
        asking[member] = value;
        asking
    };
    for bad in [
        json!({"resultType": "input_required"}),
        with("requestState", json!(7)),
        with("inputRequests", json!([])),
        with(
            "inputRequests",
            json!({"a": {"method": "tools/call", "params": {}}}),
        ),
        with("inputRequests", json!({"a": {"params": {}}})),
        with(
            "inputRequests",
            json!({"a": {"method": "elicitation/create", "params": 1}}),
        ),
        with("inputRequests", json!({"a": null})),
    ] {
        let server = Scripted::new(offered(), bad.clone());
        let error = block_on(active(&server).lend(title())).unwrap_err();
        assert!(
            matches!(error, CallError::InvalidResult { item: "lend", .. }),
            "{bad}: {error:?}"
        );
    }
    // MR-1: no method of an extension asks.
    assert_invalid(&asking());
}
