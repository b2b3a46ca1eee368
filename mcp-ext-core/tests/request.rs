//! What any adapter may rely on: the way of a request through a set.

mod common;

use std::future::Future;
use std::sync::{Arc, Mutex};

use common::*;
use mcp_ext_core::__private_0_1_0 as rt;
use mcp_ext_core::block::{Before, Block, BlockCall, BlockOutcome, Place};
use mcp_ext_core::protocol::Era;
use mcp_ext_core::request::{BoxFuture, Notifier, NotifyError, Principal, SessionDeclaration};
use mcp_ext_core::wire::JsonObject;
use mcp_ext_core::{ExtensionSet, Incoming, Route};
use serde_json::{Value, json};

// ---- tests -------------------------------------------------------------------------------------------------------

#[test]
fn an_adapter_on_raw_frames_needs_no_sdk() {
    let (_, set) = set();
    let frame = modern(
        RUBRICS,
        json!({"course": "c-1"}),
        json!({"com.example/grading": {"maxBatch": 10}}),
    );
    let answer = raw_adapter(&set, &frame, SessionDeclaration::none(), None, None).unwrap();
    assert_eq!(
        answer["result"],
        json!({
            "resultType": "complete",
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "lms", "version": "1"}},
            "titles": ["c-1 for nobody, Some(10)"],
        })
    );
    // The same extension under a legacy session: no resultType, no serverInfo.
    let session = SessionDeclaration::Known(Some(Arc::new(
        json!({"com.example/grading": {}})
            .as_object()
            .unwrap()
            .clone(),
    )));
    let frame = json!({"jsonrpc": "2.0", "id": 2, "method": RUBRICS, "params": {"course": "c-2"}})
        .to_string();
    let answer = raw_adapter(&set, &frame, session, None, None).unwrap();
    assert_eq!(
        answer["result"],
        json!({"titles": ["c-2 for nobody, Some(50)"]})
    );
    // What is not ours goes on to the wrapped server.
    assert_eq!(
        raw_adapter(
            &set,
            &modern("tools/list", json!({}), json!({})),
            SessionDeclaration::none(),
            None,
            None
        ),
        None
    );
}

#[test]
fn neg_06_undeclared_is_refused_before_anything_runs() {
    let (lms, set) = set();
    let answer = raw_adapter(
        &set,
        &modern(RUBRICS, json!({"course": "c"}), json!({})),
        SessionDeclaration::none(),
        None,
        None,
    )
    .unwrap();
    assert_eq!(answer["error"]["code"], -32021);
    assert_eq!(
        answer["error"]["data"],
        json!({"requiredCapabilities": {"extensions": {"com.example/grading": {}}}})
    );
    assert!(lms.calls.lock().unwrap().is_empty());
}

#[test]
fn settings_that_do_not_combine_name_what_would_pass() {
    let (lms, set) = set();
    let declared = json!({"com.example/grading": {"rubricFormats": []}});
    let frame = modern(RUBRICS, json!({"course": "c"}), declared);
    let answer = raw_adapter(&set, &frame, SessionDeclaration::none(), None, None).unwrap();
    let data = &answer["error"]["data"];
    assert_eq!(answer["error"]["code"], -32021);
    assert_eq!(data["mismatch"][0]["field"], "rubricFormats");
    assert_eq!(data["mismatch"][0]["rule"], "intersect");
    assert!(lms.calls.lock().unwrap().is_empty());
    // Declaring what was asked for passes.
    let frame = modern(
        RUBRICS,
        json!({"course": "c"}),
        data["requiredCapabilities"]["extensions"].clone(),
    );
    assert!(
        raw_adapter(&set, &frame, SessionDeclaration::none(), None, None).unwrap()["result"]
            .is_object()
    );
}

#[test]
fn a_tool_degrades_and_a_missing_optional_item_is_not_offered() {
    let (_, set) = set();
    let call = json!({"name": "grade_submission", "arguments": {"course": "c"}});
    let answer = raw_adapter(
        &set,
        &modern("tools/call", call, json!({})),
        SessionDeclaration::none(),
        None,
        None,
    )
    .unwrap();
    assert_eq!(
        answer["result"]["structuredContent"],
        json!({"titles": ["negotiated: false"]})
    );
    assert_eq!(
        answer["result"]["content"][0]["text"],
        "{\"titles\":[\"negotiated: false\"]}"
    );
    assert_eq!(answer["result"]["resultType"], "complete");

    let declared = json!({"com.example/grading": {}});
    let frame = modern(
        "com.example/grading/liveRubric",
        json!({"course": "c"}),
        declared,
    );
    let answer = raw_adapter(&set, &frame, SessionDeclaration::none(), None, None).unwrap();
    assert_eq!(answer["error"]["code"], -32601);
    assert_eq!(
        set.advertisement(Era::Modern, None)["com.example/grading"]["liveRubrics"],
        false
    );
}

#[test]
fn own_errors_keep_extension_kind_and_details() {
    let (_, set) = set();
    let declared = json!({"com.example/grading": {}});
    let frame = modern(RUBRICS, json!({"course": "none"}), declared);
    let answer = raw_adapter(&set, &frame, SessionDeclaration::none(), None, None).unwrap();
    assert_eq!(
        answer["error"],
        json!({"code": 4100, "message": "no course none", "data": {
            "extension": "com.example/grading", "kind": "unknown_course", "details": {"course": "none"}}})
    );
    let call = json!({"name": "grade_submission", "arguments": {"course": "none"}});
    let answer = raw_adapter(
        &set,
        &modern("tools/call", call, json!({})),
        SessionDeclaration::none(),
        None,
        None,
    )
    .unwrap();
    assert_eq!(answer["result"]["isError"], true);
    assert_eq!(
        answer["result"]["structuredContent"]["error"]["kind"],
        "unknown_course"
    );
}

#[derive(Default)]
struct Recorder(Mutex<Vec<(String, JsonObject)>>);

impl Notifier for Recorder {
    fn notify<'a>(
        &'a self,
        method: &'a str,
        params: JsonObject,
    ) -> BoxFuture<'a, Result<(), NotifyError>> {
        self.0.lock().unwrap().push((method.to_owned(), params));
        Box::pin(async { Ok(()) })
    }
}

#[test]
fn notifications_are_typed_and_about_the_request() {
    let (_, set) = set();
    let recorder = Arc::new(Recorder::default());
    let mut incoming = Incoming::new(Era::Modern, mcp_ext_core::request::Target::Method(RUBRICS))
        .params(mcp_ext_core::request::Params::Value(json!({"course": "c"})))
        .meta(
            json!({"io.modelcontextprotocol/clientCapabilities": {"extensions": {"com.example/grading": {}}}})
                .as_object()
                .unwrap()
                .clone(),
        );
    incoming.notify = Some(recorder.clone());
    let Route::Call(pending) = set.route(incoming) else {
        panic!("not routed")
    };
    block_on(pending.run()).unwrap();
    let sent = recorder.0.lock().unwrap();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].0, "notifications/com.example/grading/gradeChanged");
    assert_eq!(sent[0].1, json!({"grade": 1}).as_object().unwrap().clone());
}

// ---- a block that answers early ----------------------------------------------------------------------------------

struct Trace(&'static str, Place, Arc<Mutex<Vec<String>>>, bool);

impl Block for Trace {
    fn name(&self) -> &'static str {
        self.0
    }
    fn place(&self) -> Place {
        self.1
    }
    fn covers(&self, _: &mcp_ext_core::Contract, _: &rt::Item) -> bool {
        true
    }
    fn abandoned(&self, _: &BlockCall<'_>) {
        self.2.lock().unwrap().push(format!("abandoned {}", self.0));
    }
    fn before<'a>(&'a self, _: &'a BlockCall<'a>) -> BoxFuture<'a, Before> {
        self.2.lock().unwrap().push(format!("before {}", self.0));
        let answer = if self.3 {
            Before::Answer(BlockOutcome::new(Ok(json!({"titles": ["from the store"]}))))
        } else {
            Before::Proceed
        };
        Box::pin(async { answer })
    }
    fn after<'a>(
        &'a self,
        _: &'a BlockCall<'a>,
        outcome: &'a mut BlockOutcome,
    ) -> BoxFuture<'a, ()> {
        self.2
            .lock()
            .unwrap()
            .push(format!("after {} {}", self.0, outcome.result.is_ok()));
        outcome
            .meta
            .insert("com.example/seen-by".to_owned(), json!(self.0));
        outcome.notes.push(format!("Seen by {}.", self.0));
        if let Ok(value) = &mut outcome.result {
            value["seenBy"] = json!(self.0);
        }
        Box::pin(async {})
    }
}

#[test]
fn a_block_that_answers_early_is_seen_only_by_the_blocks_outside_it() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let lms = Arc::new(Lms::default());
    let set = ExtensionSet::builder()
        .enable(GradingExtension::provide(lms.clone()))
        .block(Trace("inner", Place::LABELS, log.clone(), false))
        .block(Trace("store", Place::IDEMPOTENCY, log.clone(), true))
        .block(Trace("audit", Place::AUDIT, log.clone(), false))
        .build()
        .unwrap();
    let frame = modern(
        RUBRICS,
        json!({"course": "c"}),
        json!({"com.example/grading": {}}),
    );
    let answer = raw_adapter(&set, &frame, SessionDeclaration::none(), None, None).unwrap();
    assert_eq!(answer["result"]["titles"], json!(["from the store"]));
    assert_eq!(answer["result"]["seenBy"], "audit");
    assert_eq!(
        answer["result"]["_meta"],
        json!({"com.example/seen-by": "audit"})
    );
    assert_eq!(
        *log.lock().unwrap(),
        ["before audit", "before store", "after audit true"]
    );
    assert!(
        lms.calls.lock().unwrap().is_empty(),
        "the handler must not run"
    );
}

#[test]
fn a_block_is_told_when_the_call_is_abandoned_and_its_notes_reach_clients_that_read_text() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let set = ExtensionSet::builder()
        .enable(GradingExtension::provide(Lms::default()))
        .block(Trace("labels", Place::LABELS, log.clone(), false))
        .block(Hanging)
        .build()
        .unwrap();
    let call = |target| {
        let meta = json!({"io.modelcontextprotocol/clientCapabilities": {"extensions": {"com.example/grading": {}}}});
        Incoming::new(Era::Modern, target)
            .params(mcp_ext_core::request::Params::Value(json!({"course": "c"})))
            .meta(meta.as_object().unwrap().clone())
    };
    let method = mcp_ext_core::request::Target::Method(RUBRICS);
    let Route::Call(pending) = set.route(call(method)) else {
        panic!("not routed")
    };
    {
        let mut future = std::pin::pin!(pending.run());
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(future.as_mut().poll(&mut cx).is_pending());
    }
    assert_eq!(*log.lock().unwrap(), ["before labels", "abandoned labels"]);

    let tool = mcp_ext_core::request::Target::Tool("grade_submission");
    let Route::Call(pending) = set.route(call(tool)) else {
        panic!("not routed")
    };
    let result = block_on(pending.run()).unwrap().into_object().unwrap();
    assert_eq!(
        result["content"][1],
        json!({"type": "text", "text": "Seen by labels."})
    );
    assert_eq!(result["_meta"]["com.example/seen-by"], "labels");
}

/// Waits for ever after the handler.
struct Lingering(Arc<Mutex<Vec<String>>>);

impl Block for Lingering {
    fn name(&self) -> &'static str {
        "lingering"
    }
    fn place(&self) -> Place {
        Place::LABELS
    }
    fn covers(&self, _: &mcp_ext_core::Contract, _: &rt::Item) -> bool {
        true
    }
    fn before<'a>(&'a self, _: &'a BlockCall<'a>) -> BoxFuture<'a, Before> {
        Box::pin(async { Before::Proceed })
    }
    fn after<'a>(&'a self, _: &'a BlockCall<'a>, _: &'a mut BlockOutcome) -> BoxFuture<'a, ()> {
        Box::pin(std::future::pending())
    }
    fn abandoned(&self, _: &BlockCall<'_>) {
        self.0.lock().unwrap().push("abandoned".into());
    }
}

#[test]
fn a_call_that_is_dropped_while_a_block_is_at_its_after_is_abandoned_too() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let set = ExtensionSet::builder()
        .enable(GradingExtension::provide(Lms::default()))
        .block(Lingering(log.clone()))
        .build()
        .unwrap();
    let meta = json!({"io.modelcontextprotocol/clientCapabilities": {"extensions": {"com.example/grading": {}}}});
    let incoming = Incoming::new(Era::Modern, mcp_ext_core::request::Target::Method(RUBRICS))
        .params(mcp_ext_core::request::Params::Value(json!({"course": "c"})))
        .meta(meta.as_object().unwrap().clone());
    let Route::Call(pending) = set.route(incoming) else {
        panic!("not routed")
    };
    {
        let mut future = std::pin::pin!(pending.run());
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(future.as_mut().poll(&mut cx).is_pending());
    }
    assert_eq!(*log.lock().unwrap(), ["abandoned"]);
}

/// The innermost of all; hangs before a method.
struct Hanging;

impl Block for Hanging {
    fn name(&self) -> &'static str {
        "hanging"
    }
    fn place(&self) -> Place {
        Place(900)
    }
    fn covers(&self, _: &mcp_ext_core::Contract, item: &rt::Item) -> bool {
        item.method.is_some()
    }
    fn before<'a>(&'a self, _: &'a BlockCall<'a>) -> BoxFuture<'a, Before> {
        Box::pin(std::future::pending())
    }
    fn after<'a>(&'a self, _: &'a BlockCall<'a>, _: &'a mut BlockOutcome) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}

// ---- a cursor bound to a principal -------------------------------------------------------------------------------

#[test]
fn a_handler_can_bind_a_cursor_to_the_principal() {
    let (_, set) = set();
    let declared = json!({"com.example/grading": {}});
    for who in ["ada", "ben"] {
        let frame = modern(RUBRICS, json!({"course": "c"}), declared.clone());
        let answer = raw_adapter(
            &set,
            &frame,
            SessionDeclaration::none(),
            None,
            Some(Principal::new(who)),
        )
        .unwrap();
        assert_eq!(
            answer["result"]["titles"],
            json!([format!("c for {who}, Some(50)")])
        );
    }
}

// ---- bounds and faults -------------------------------------------------------------------------------------------

fn limited(limits: mcp_ext_core::Limits) -> (Arc<Lms>, ExtensionSet) {
    let lms = Arc::new(Lms::default());
    let set = ExtensionSet::builder()
        .enable(GradingExtension::provide(lms.clone()))
        .limits(limits)
        .build()
        .unwrap();
    (lms, set)
}

fn declared() -> Value {
    json!({"com.example/grading": {}})
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!([inner]))
}

#[test]
fn bounds_on_depth_size_and_declarations_hold_before_the_handler() {
    let limits = mcp_ext_core::Limits {
        max_depth: 8,
        max_params_bytes: 1_000,
        max_declared: 4,
        ..Default::default()
    };
    let (lms, set) = limited(limits);
    let many: JsonObject = (0..5)
        .map(|i| (format!("com.example/e{i}"), json!({})))
        .collect();
    let cases = [
        (
            json!({"course": "c", "x": nested(9)}),
            declared(),
            "too_deep",
        ),
        (
            json!({"course": "c".repeat(2_000)}),
            declared(),
            "too_large",
        ),
        (
            json!({"course": "c"}),
            Value::Object(many),
            "too_many_extensions",
        ),
    ];
    for (params, extensions, kind) in cases {
        // As text, through the raw adapter.
        let answer = raw_adapter(
            &set,
            &modern(RUBRICS, params.clone(), extensions.clone()),
            SessionDeclaration::none(),
            None,
            None,
        )
        .unwrap();
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        assert_eq!(answer["error"]["data"]["kind"], kind);
        // As a value, as under an SDK.
        let meta =
            json!({"io.modelcontextprotocol/clientCapabilities": {"extensions": extensions}});
        let incoming = Incoming::new(Era::Modern, mcp_ext_core::request::Target::Method(RUBRICS))
            .params(mcp_ext_core::request::Params::Value(params))
            .meta(meta.as_object().unwrap().clone());
        let Route::Refused(error) = set.route(incoming) else {
            panic!("not refused: {kind}")
        };
        assert_eq!(error.data.unwrap()["kind"], kind);
    }
    assert!(lms.calls.lock().unwrap().is_empty());
}

#[test]
fn calls_beyond_the_limit_are_turned_away_and_the_place_comes_back() {
    let (_, set) = limited(mcp_ext_core::Limits {
        max_concurrent: 1,
        ..Default::default()
    });
    let incoming = || {
        let meta =
            json!({"io.modelcontextprotocol/clientCapabilities": {"extensions": declared()}});
        Incoming::new(Era::Modern, mcp_ext_core::request::Target::Method(RUBRICS))
            .params(mcp_ext_core::request::Params::Value(json!({"course": "c"})))
            .meta(meta.as_object().unwrap().clone())
    };
    let Route::Call(first) = set.route(incoming()) else {
        panic!("not routed")
    };
    let Route::Refused(error) = set.route(incoming()) else {
        panic!("not refused")
    };
    assert_eq!(error.data.unwrap()["kind"], "busy");
    drop(first);
    let Route::Call(second) = set.route(incoming()) else {
        panic!("the place did not come back")
    };
    block_on(second.run()).unwrap();
    assert!(matches!(set.route(incoming()), Route::Call(_)));
}

#[test]
fn params_that_do_not_fit_are_explained_without_showing_them() {
    let (lms, set) = set();
    let secret = "s3cret-value";
    let frame = modern(
        RUBRICS,
        json!({"course": 7, "cursor": {"s3cret-value": secret}}),
        declared(),
    );
    let answer = raw_adapter(&set, &frame, SessionDeclaration::none(), None, None).unwrap();
    assert_eq!(answer["error"]["code"], -32602);
    assert_eq!(answer["error"]["data"]["extension"], "com.example/grading");
    assert_eq!(answer["error"]["data"]["kind"], "invalid_params");
    let faults = answer["error"]["data"]["faults"].as_array().unwrap();
    assert_eq!(faults[0]["pointer"], "/course", "{answer}");
    assert_eq!(faults.len(), 2, "every fault at once: {answer}");
    assert!(!answer.to_string().contains(secret));
    // A tool says it in words, as its result.
    let call = json!({"name": "grade_submission", "arguments": {"course": 7}});
    let answer = raw_adapter(
        &set,
        &modern("tools/call", call, json!({})),
        SessionDeclaration::none(),
        None,
        None,
    )
    .unwrap();
    assert_eq!(answer["result"]["isError"], true);
    assert!(
        answer["result"]["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("course")
    );
    assert!(lms.calls.lock().unwrap().is_empty());
}

#[test]
fn settings_of_a_wrong_type_are_bad_params_of_this_extension_alone() {
    let (_, set) = set();
    let wrong = json!({"com.example/grading": {"maxBatch": "many"}});
    let answer = raw_adapter(
        &set,
        &modern(RUBRICS, json!({"course": "c"}), wrong),
        SessionDeclaration::none(),
        None,
        None,
    )
    .unwrap();
    assert_eq!(answer["error"]["code"], -32602);
    assert_eq!(answer["error"]["data"]["kind"], "invalid_settings");
    assert_eq!(
        answer["error"]["data"]["faults"][0]["pointer"], "/maxBatch",
        "{answer}"
    );
    // Another extension's settings may be whatever object they like (NEG-10, NEG-12).
    let foreign =
        json!({"com.example/grading": {"new": 1}, "org.other/thing": {"maxBatch": "many"}});
    let answer = raw_adapter(
        &set,
        &modern(RUBRICS, json!({"course": "c"}), foreign),
        SessionDeclaration::none(),
        None,
        None,
    )
    .unwrap();
    assert!(answer["result"].is_object(), "{answer}");
}

#[test]
fn an_unknown_revision_counts_as_a_mismatch() {
    let (_, set) = set();
    for (revision, passes) in [(json!("2026-11-01"), true), (json!("2031-01-01"), false)] {
        let extensions = json!({"com.example/grading": {"revision": revision}});
        let answer = raw_adapter(
            &set,
            &modern(RUBRICS, json!({"course": "c"}), extensions),
            SessionDeclaration::none(),
            None,
            None,
        )
        .unwrap();
        assert_eq!(answer["result"].is_object(), passes, "{answer}");
        if !passes {
            assert_eq!(answer["error"]["code"], -32021);
            assert_eq!(answer["error"]["data"]["mismatch"][0]["field"], "revision");
            assert_eq!(
                answer["error"]["data"]["requiredCapabilities"]["extensions"]["com.example/grading"]
                    ["revision"],
                "2026-11-01"
            );
        }
    }
}

#[test]
fn legacy_refusals_are_minus_32601_and_say_why() {
    let (_, set) = set();
    let frame = json!({"jsonrpc": "2.0", "id": 2, "method": RUBRICS, "params": {"course": "c"}})
        .to_string();
    let cases = [
        (SessionDeclaration::none(), "not_declared"),
        (SessionDeclaration::Unknown, "declaration_unknown"),
    ];
    for (session, kind) in cases {
        let answer = raw_adapter(&set, &frame, session, None, None).unwrap();
        assert_eq!(answer["error"]["code"], -32601);
        assert_eq!(answer["error"]["data"]["extension"], "com.example/grading");
        assert_eq!(answer["error"]["data"]["kind"], kind);
    }
}

#[test]
fn neg_14_the_advertisement_and_the_list_do_not_depend_on_the_caller() {
    let (_, set) = set();
    let listing = |extensions: Value| {
        let extensions = extensions.as_object().unwrap().clone();
        let cx = mcp_ext_core::AmendCx {
            era: Era::Modern,
            version: None,
            declared: mcp_ext_core::request::Declared::Known(Some(&extensions)),
            first_page: true,
        };
        let mut discover = JsonObject::new();
        set.amend("server/discover", &mut discover, &cx);
        let mut list = json!({"tools": [], "ttlMs": 5, "cacheScope": "public"})
            .as_object()
            .unwrap()
            .clone();
        set.amend("tools/list", &mut list, &cx);
        (discover, list)
    };
    let (discover, list) = listing(declared());
    assert_eq!((discover.clone(), list.clone()), listing(json!({})));
    assert_eq!(list["cacheScope"], "public");
    assert_eq!(list["tools"][0]["name"], "grade_submission");
    assert!(
        discover["capabilities"]["tools"].is_object(),
        "REQ-16: contributed tools advertise the capability"
    );
    assert_eq!(
        discover["capabilities"]["extensions"]["com.example/grading"]["maxBatch"],
        50
    );
}

#[test]
fn ca_03_a_filtered_list_is_private_and_stale_at_once() {
    let set = ExtensionSet::builder()
        .enable(GradingExtension::provide(Lms::default()))
        .filter_lists(true)
        .build()
        .unwrap();
    for (extensions, listed) in [(declared(), 1), (json!({}), 0)] {
        let extensions = extensions.as_object().unwrap().clone();
        let cx = mcp_ext_core::AmendCx {
            era: Era::Modern,
            version: None,
            declared: mcp_ext_core::request::Declared::Known(Some(&extensions)),
            first_page: true,
        };
        let mut list = json!({"tools": [], "ttlMs": 5, "cacheScope": "public"})
            .as_object()
            .unwrap()
            .clone();
        set.amend("tools/list", &mut list, &cx);
        assert_eq!(list["tools"].as_array().unwrap().len(), listed);
        assert_eq!(
            (&list["cacheScope"], &list["ttlMs"]),
            (&json!("private"), &json!(0))
        );
    }
}

#[test]
fn purity_the_same_request_gets_the_same_answer_from_any_thread_in_any_order() {
    let (_, set) = set();
    let requests: Vec<String> = (0..40)
        .map(|i| {
            modern(
                RUBRICS,
                json!({"course": "c"}),
                json!({"com.example/grading": {"maxBatch": i % 7, "write": i % 2 == 0}}),
            )
        })
        .collect();
    let alone: Vec<Value> = requests
        .iter()
        .map(|r| raw_adapter(&set, r, SessionDeclaration::none(), None, None).unwrap())
        .collect();
    std::thread::scope(|scope| {
        for offset in 0..4 {
            let (set, requests, alone) = (set.clone(), &requests, &alone);
            scope.spawn(move || {
                for i in 0..requests.len() {
                    let i = (i * 7 + offset * 11) % requests.len();
                    let answer =
                        raw_adapter(&set, &requests[i], SessionDeclaration::none(), None, None)
                            .unwrap();
                    assert_eq!(answer, alone[i]);
                }
            });
        }
    });
}

#[test]
fn notifications_in_our_name_space_are_not_forwarded() {
    let (_, set) = set();
    assert!(set.notification("notifications/com.example/grading/anything"));
    assert!(!set.notification("notifications/com.example/gradings/x"));
    assert!(!set.notification("notifications/cancelled"));
}

// ---- the typed client ---------------------------------------------------------------------------------------------

#[cfg(feature = "client")]
mod client {
    use super::*;
    use mcp_ext_core::client::{Caller, CallerError, Negotiation, Outgoing};

    struct Direct(ExtensionSet, Arc<Mutex<Vec<Outgoing>>>);

    impl Caller for Direct {
        fn era(&self) -> Era {
            Era::Modern
        }
        async fn server_extensions(&self) -> Result<JsonObject, CallerError> {
            Ok(self.0.advertisement(Era::Modern, None))
        }
        async fn call(&self, request: Outgoing) -> Result<Value, CallerError> {
            self.1.lock().unwrap().push(request.clone());
            let frame = modern(
                &request.method,
                Value::Object(request.params),
                Value::Object(request.declare),
            );
            let answer =
                raw_adapter(&self.0, &frame, SessionDeclaration::none(), None, None).unwrap();
            match answer.get("error") {
                Some(error) => Err(CallerError::Rpc(
                    serde_json::from_value(error.clone()).unwrap(),
                )),
                None => Ok(answer["result"].clone()),
            }
        }
    }

    #[test]
    fn the_typed_client_negotiates_and_calls() {
        let (_, set) = set();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let client = GradingExtension::client(Direct(set, sent.clone())).declare(GradingSettings {
            max_batch: Some(3),
            ..Default::default()
        });
        let Negotiation::Active(grading) = block_on(client.negotiate()).unwrap() else {
            panic!("not active")
        };
        assert_eq!(grading.settings().max_batch, Some(3));
        let params = |course: &str| RubricsParams {
            course: course.to_owned(),
            cursor: None,
        };
        let rubrics = block_on(grading.rubrics(params("c-9"))).unwrap();
        assert_eq!(rubrics.titles, ["c-9 for nobody, Some(3)"]);
        let rubrics = block_on(grading.grade_submission(params("c-9"))).unwrap();
        assert_eq!(rubrics.titles, ["negotiated: true"]);
        for error in [
            block_on(grading.rubrics(params("none"))).unwrap_err(),
            block_on(grading.grade_submission(params("none"))).unwrap_err(),
        ] {
            assert!(
                matches!(error, rt::CallError::Own(GradingError::UnknownCourse { course }) if course == "none")
            );
        }
        assert_eq!(
            sent.lock().unwrap()[0].declare["com.example/grading"]["revision"],
            "2026-11-01"
        );
    }
}

#[test]
fn js_04_results_and_failures_of_a_tool_conform_to_its_output_schema() {
    let (_, set) = set();
    let schema = set.tool("grade_submission").unwrap().listing()["outputSchema"].clone();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    for arguments in [
        json!({"course": "c"}),
        json!({"course": "none"}),
        json!({"course": 7}),
        json!({}),
    ] {
        let call = json!({"name": "grade_submission", "arguments": arguments});
        let answer = raw_adapter(
            &set,
            &modern("tools/call", call, json!({})),
            SessionDeclaration::none(),
            None,
            None,
        )
        .unwrap();
        let structured = &answer["result"]["structuredContent"];
        assert!(
            validator.is_valid(structured),
            "{structured} against {schema}"
        );
    }
    assert!(!validator.is_valid(&json!({"titles": 7})));
}

#[test]
fn params_by_position_are_refused() {
    let (lms, set) = set();
    for arguments in [json!(["c", null]), json!("c"), json!(7), json!([])] {
        let call = json!({"name": "grade_submission", "arguments": arguments});
        let frame = modern("tools/call", call, json!({}));
        let answer = raw_adapter(&set, &frame, SessionDeclaration::none(), None, None).unwrap();
        assert_eq!(answer["result"]["isError"], true, "{answer}");
        let fault = &answer["result"]["structuredContent"]["error"]["faults"][0];
        assert_eq!(
            (&fault["pointer"], &fault["expected"]),
            (&json!(""), &json!("an object"))
        );
    }
    assert!(lms.calls.lock().unwrap().is_empty());
}

/// Writes down what it sees.
struct Watcher(Arc<Mutex<Vec<String>>>);

impl mcp_ext_core::Observer for Watcher {
    fn gate(
        &self,
        extension: &str,
        target: mcp_ext_core::request::Target<'_>,
        refused: Option<i32>,
    ) {
        self.0
            .lock()
            .unwrap()
            .push(format!("gate {extension} {} {refused:?}", target.name()));
    }
    fn now(&self) -> Option<std::time::Instant> {
        Some(std::time::Instant::now())
    }
    fn done(
        &self,
        _: &str,
        target: mcp_ext_core::request::Target<'_>,
        error: Option<i32>,
        started: Option<std::time::Instant>,
    ) {
        self.0.lock().unwrap().push(format!(
            "done {} {error:?} {}",
            target.name(),
            started.is_some()
        ));
    }
}

#[test]
fn an_observer_sees_gates_and_outcomes_and_never_params() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let set = ExtensionSet::builder()
        .enable(GradingExtension::provide(Lms::default()))
        .observer(Watcher(log.clone()))
        .build()
        .unwrap();
    for (course, extensions) in [
        ("planted-marker", declared()),
        ("none", declared()),
        ("planted-marker", json!({})),
    ] {
        let frame = modern(RUBRICS, json!({"course": course}), extensions);
        raw_adapter(&set, &frame, SessionDeclaration::none(), None, None);
    }
    let log = log.lock().unwrap();
    assert_eq!(
        *log,
        [
            "gate com.example/grading com.example/grading/rubrics None",
            "done com.example/grading/rubrics None true",
            "gate com.example/grading com.example/grading/rubrics None",
            "done com.example/grading/rubrics Some(4100) true",
            "gate com.example/grading com.example/grading/rubrics Some(-32021)",
        ]
    );
}

#[test]
fn raw_params_that_make_no_value_say_so() {
    let (lms, set) = set();
    for course in ["1e400", r#""\ud800""#] {
        let params = format!(
            r#"{{"course": {course}, "_meta": {{"io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {{"extensions": {{"com.example/grading": {{}}}}}}}}}}"#
        );
        let frame =
            format!(r#"{{"jsonrpc": "2.0", "id": 1, "method": "{RUBRICS}", "params": {params}}}"#);
        let answer = raw_adapter(&set, &frame, SessionDeclaration::none(), None, None).unwrap();
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        let fault = &answer["error"]["data"]["faults"][0];
        assert_eq!(fault["seen"], "text that cannot be read", "{answer}");
    }
    assert!(lms.calls.lock().unwrap().is_empty());
}
