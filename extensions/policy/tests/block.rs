//! The block around handlers: what each decision does, and that whatever goes wrong denies.

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Ask, Confirm, Server, Wards};
use mcp_ext_core::request::BoxFuture;
use mcp_ext_core::{BlockName, Extension, Principal};
use mcp_ext_labels::{Label, Labels, Regulation, Sensitivity};
use mcp_ext_policy::{
    ConfirmationKey, Decision, Effect, EngineError, Policy, PolicyEngine, PolicyExtension,
    PolicyId, Question, Stage,
};
use mcp_ext_values::{ManualClock, SeededRandom};
use serde_json::{Value, json};

/// An engine made of two closures: on the call, and on the result.
struct Decides<C, R>(C, R);

impl<C, R> PolicyEngine for Decides<C, R>
where
    C: Fn(&Question<'_>) -> Result<Decision, EngineError> + Send + Sync + 'static,
    R: Fn(&Value, &Label) -> Result<Decision, EngineError> + Send + Sync + 'static,
{
    fn decide<'a>(
        &'a self,
        question: &'a Question<'a>,
    ) -> BoxFuture<'a, Result<Decision, EngineError>> {
        let decision = match question.stage {
            Stage::Call => self.0(question),
            Stage::Result { value, label } => self.1(value, label),
        };
        Box::pin(async { decision })
    }
}

fn id(name: &str) -> PolicyId {
    PolicyId::new("test", name, "1").unwrap()
}

fn allow() -> Decision {
    Decision::allow(id("allow"))
}

fn on_call(decide: impl Fn() -> Decision + Send + Sync + 'static) -> Policy {
    Policy::new(Decides(
        move |_: &Question<'_>| Ok(decide()),
        |_: &Value, _: &Label| Ok(allow()),
    ))
}

fn on_result(decide: impl Fn() -> Decision + Send + Sync + 'static) -> Policy {
    Policy::new(Decides(
        |_: &Question<'_>| Ok(allow()),
        move |_: &Value, _: &Label| Ok(decide()),
    ))
}

fn pii() -> Label {
    Label::new().sensitive(Sensitivity::Pii)
}

const NOTE: &str = "Labels: sensitivity pii";

fn search() -> Ask {
    Ask::tool("search", json!({}))
}

#[test]
fn the_name_is_the_identifier() {
    assert_eq!(Policy::NAME, PolicyExtension::CONTRACT.id.as_str());
}

#[tokio::test]
async fn what_is_allowed_passes_unchanged() {
    let server = Server::labelled(on_call(allow), pii());
    let result = search().declaring().send(&server).await.unwrap();
    assert_eq!(
        result["structuredContent"],
        json!({
            "matches": [{ "id": 1, "title": "Ives" }, { "id": 2, "title": "Bex" }],
            "wards": [], "labels": { "sensitivity": ["pii"] },
        })
    );
    assert_eq!(result["content"][1]["text"], NOTE);
    assert_eq!(result["content"].as_array().unwrap().len(), 2);
    assert!(result["_meta"].get(Policy::NAME).is_none());
}

#[tokio::test]
async fn what_is_denied_does_not_run() {
    let deny = || {
        Decision::deny(id("night"))
            .because("the ward is closed")
            .because("come\nback")
    };
    let server = Server::new(on_call(deny));
    let error = search().refused(&server).await;
    assert_eq!(error["kind"], "denied");
    assert_eq!(
        error["details"],
        json!({ "policyId": "test/night@1", "reasons": "the ward is closed; come back" })
    );
    assert!(error["message"].as_str().unwrap().contains("test/night@1"));

    let method = Ask::method("com.example/records/search", json!({}));
    let error = method.send(&server).await.unwrap_err();
    assert_eq!(error.code, 43401);
    let data = error.data.unwrap();
    assert_eq!(data["extension"], Policy::NAME);
    assert_eq!(data["kind"], "denied");

    assert_eq!(server.ran(), 0);
    let seen = server.seen();
    assert_eq!(seen.failed_before_handler, Some(true));
    let decided = seen.decided.unwrap();
    assert_eq!((decided.effect, decided.on_result), (Effect::Deny, false));
}

#[tokio::test]
async fn a_result_is_denied_over_its_label() {
    let policy = Policy::new(Decides(
        |_: &Question<'_>| Ok(allow()),
        |_: &Value, label: &Label| {
            Ok(match label.regulations().any(|r| *r == Regulation::HIPAA) {
                true => Decision::deny(id("no-hipaa")).because("regulated"),
                false => allow(),
            })
        },
    ));
    let server = Server::labelled(policy, pii());
    assert!(search().send(&server).await.unwrap()["isError"].is_null());

    // The handler raises the label, whatever the result itself claims.
    let raise = json!({ "raise": { "regulated": ["HIPAA"] } });
    let error = Ask::tool("search", raise.clone())
        .declaring()
        .refused(&server)
        .await;
    assert_eq!(error["kind"], "withheld");
    assert!(!error.to_string().contains("Ives"));
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .starts_with("the call was carried out")
    );
    assert_eq!(server.ran(), 2);
    // Audit, further out, must not take it for a call that did nothing.
    let seen = server.seen();
    assert_eq!(seen.failed_before_handler, Some(false));
    assert!(seen.decided.unwrap().on_result);

    // An outcome that was kept from an earlier call has its label in itself alone.
    let stored = Ask::tool("erase", json!({ "text": "stored" }))
        .refused(&server)
        .await;
    assert_eq!(stored["kind"], "withheld");
    assert_eq!(server.ran(), 2);

    let method = Ask::method("com.example/records/search", raise);
    let error = method.send(&server).await.unwrap_err();
    assert_eq!(error.code, 43402);
    assert!(!format!("{error:?}").contains("Ives"));
}

#[tokio::test]
async fn what_is_redacted_is_in_neither_text_nor_structure() {
    let titles = || {
        let parts = ["/matches/*/title".parse().unwrap()];
        Decision::redact(id("titles"), parts).because("not for the desk")
    };
    // Decided before the call or on the result, it is the same.
    for policy in [on_call(titles), on_result(titles)] {
        let server = Server::labelled(policy, pii());
        let result = search().declaring().send(&server).await.unwrap();
        let content = &result["structuredContent"];
        assert_eq!(content["matches"], json!([{ "id": 1 }, { "id": 2 }]));
        assert_eq!(content["labels"], json!({ "sensitivity": ["pii"] }));
        let applied = json!({
            "effect": "redact", "policyId": "test/titles@1", "reasons": ["not for the desk"],
        });
        assert_eq!(content["policy"], applied);
        assert_eq!(result["_meta"][Policy::NAME], applied);
        let text = result["content"][0]["text"].as_str().unwrap();
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), *content);
        assert_eq!(result["content"][1]["text"], NOTE);
        assert_eq!(
            result["content"][2]["text"],
            "Policy test/titles@1 removed parts of this result: not for the desk"
        );
        assert!(!result.to_string().contains("Ives"));
        // A client that never heard of it reads the same.
        let undeclared = search().send(&server).await.unwrap();
        assert_eq!(undeclared["structuredContent"], *content);
        assert_eq!(undeclared["content"], result["content"]);
        assert!(undeclared.get("_meta").is_none());
    }
}

#[tokio::test]
async fn what_other_blocks_say_goes_with_what_is_removed() {
    let erase = || Ask::tool("erase", json!({})).declaring();
    let all = erase()
        .send(&Server::labelled(on_call(allow), pii()))
        .await
        .unwrap();
    assert_eq!(all["content"].as_array().unwrap().len(), 4);
    assert!(all["_meta"]["io.github.mcp-ext/citations"].is_array());
    let policy = on_result(|| Decision::redact(id("x"), ["/matches/*/title".parse().unwrap()]));
    let result = erase()
        .send(&Server::labelled(policy, pii()))
        .await
        .unwrap();
    let notes: Vec<_> = result["content"].as_array().unwrap()[1..]
        .iter()
        .map(|b| &b["text"])
        .collect();
    assert_eq!(
        notes,
        [
            NOTE,
            "Replayed: nothing was done again",
            "Policy test/x@1 removed parts of this result"
        ]
    );
    let meta = result["_meta"].as_object().unwrap();
    assert!(!meta.contains_key("io.github.mcp-ext/citations"));
    assert_eq!(meta["io.github.mcp-ext/idempotency"]["replayed"], true);
    assert_eq!(meta[Labels::NAME], json!({ "sensitivity": ["pii"] }));
    assert!(!result.to_string().contains("Ives"));
    // What says nothing of what was removed stays.
    let policy = on_result(|| Decision::redact(id("x"), ["/matches/1".parse().unwrap()]));
    let result = erase()
        .send(&Server::labelled(policy, pii()))
        .await
        .unwrap();
    assert_eq!(result["content"].as_array().unwrap().len(), 5);
    assert!(result["_meta"]["io.github.mcp-ext/citations"].is_array());
}

#[tokio::test]
async fn the_members_are_in_the_output_schema() {
    let parts = || ["/matches/0".parse().unwrap()];
    let server = Server::new(on_result(move || {
        Decision::redact(id("first"), parts()).obliged("ask")
    }));
    let schema = server.set.tool("search").unwrap().listing()["outputSchema"].clone();
    assert!(schema["properties"]["policy"]["properties"]["policyId"].is_object());
    let result = search().send(&server).await.unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(validator.is_valid(&result["structuredContent"]), "{result}");
    assert_eq!(
        result["structuredContent"]["matches"],
        json!([{ "id": 2, "title": "Bex" }])
    );
}

#[tokio::test]
async fn elements_are_counted_as_they_stood_before_any_was_removed() {
    let parts = || ["/matches/0", "/matches/1"].map(|path| path.parse().unwrap());
    let server = Server::new(on_result(move || Decision::redact(id("both"), parts())));
    let result = search().send(&server).await.unwrap();
    assert_eq!(result["structuredContent"]["matches"], json!([]));
}

#[tokio::test]
async fn the_label_is_never_removed() {
    let all = |path: &'static str| {
        on_result(move || Decision::redact(id("all"), [path.parse().unwrap()]))
    };
    let server = Server::labelled(all("/*"), pii());
    let result = search().send(&server).await.unwrap();
    let content = result["structuredContent"].as_object().unwrap();
    assert_eq!(content.keys().collect::<Vec<_>>(), ["labels", "policy"]);
    for path in ["/labels", "/labels/sensitivity", "/labels/*"] {
        let server = Server::labelled(all(path), pii());
        let error = search().refused(&server).await;
        assert_eq!(error["kind"], "result_undecided", "{path}");
    }
}

#[tokio::test]
async fn obligations_are_told() {
    let server = Server::new(on_call(|| {
        allow().obliged("do not print").obliged("delete\nafter use")
    }));
    let result = search().declaring().send(&server).await.unwrap();
    let applied = json!({
        "effect": "allow", "policyId": "test/allow@1", "obligations": ["do not print", "delete after use"],
    });
    assert_eq!(result["structuredContent"]["policy"], applied);
    assert_eq!(result["_meta"][Policy::NAME], applied);
    assert_eq!(
        result["content"][1]["text"],
        "Policy test/allow@1 applies to this result. To do: do not print; delete after use"
    );
}

#[tokio::test]
async fn a_decision_narrows_what_the_handler_finds_in_its_facts() {
    let one = || allow().narrow(Wards::of(["a", "b"]));
    let wards = |policy| async move {
        let result = search().send(&Server::new(policy)).await.unwrap();
        result["structuredContent"]["wards"].clone()
    };
    assert_eq!(wards(on_call(one)).await, json!(["a", "b"]));
    // Two that narrow give what both allow, in whatever order.
    let two = move || one().and(allow().narrow(Wards::of(["b", "c"])));
    assert_eq!(wards(on_call(two)).await, json!(["b"]));
    let two = move || allow().narrow(Wards::of(["b", "c"])).and(one());
    assert_eq!(wards(on_call(two)).await, json!(["b"]));
}

// --- what goes wrong ---------------------------------------------------------------------------------------------

struct Never;

impl PolicyEngine for Never {
    fn decide<'a>(&'a self, _: &'a Question<'a>) -> BoxFuture<'a, Result<Decision, EngineError>> {
        Box::pin(std::future::pending())
    }
}

/// Panics before there is a future.
struct Panics;

impl PolicyEngine for Panics {
    fn decide<'a>(&'a self, _: &'a Question<'a>) -> BoxFuture<'a, Result<Decision, EngineError>> {
        panic!("a fault in the engine")
    }
}

/// Answers on the call, and then goes on as another.
struct Then<E>(E);

impl<E: PolicyEngine> PolicyEngine for Then<E> {
    fn decide<'a>(
        &'a self,
        question: &'a Question<'a>,
    ) -> BoxFuture<'a, Result<Decision, EngineError>> {
        match question.stage {
            Stage::Call => Box::pin(async { Ok(allow()) }),
            Stage::Result { .. } => self.0.decide(question),
        }
    }
}

/// Fails, for a reason that is none of a caller's business.
struct Fails;

impl PolicyEngine for Fails {
    fn decide<'a>(&'a self, _: &'a Question<'a>) -> BoxFuture<'a, Result<Decision, EngineError>> {
        let why = "token s3cret refused by https://engine.internal";
        Box::pin(async move { Err(EngineError::new(why)) })
    }
}

#[tokio::test]
async fn an_engine_without_an_answer_denies() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let watch = |policy: Policy| {
        let told = told.clone();
        policy
            .deadline(Duration::from_millis(50))
            .on_failure(move |failure| told.lock().unwrap().push(failure.to_string()))
    };
    for (policy, why) in [
        (Policy::new(Never), "timed_out"),
        (Policy::new(Panics), "panicked"),
        (Policy::new(Fails), "failed"),
    ] {
        let server = Server::new(watch(policy));
        let error = search().refused(&server).await;
        assert_eq!(error["kind"], "undecided");
        assert_eq!(error["details"]["why"], why);
        assert_eq!(error["retryable"], true);
        assert!(!error.to_string().contains("s3cret"));
        assert_eq!(server.ran(), 0, "{why}");
        assert_eq!(server.seen().failed_before_handler, Some(true));
    }
    for (policy, why) in [
        (Policy::new(Then(Never)), "timed_out"),
        (Policy::new(Then(Panics)), "panicked"),
        (Policy::new(Then(Fails)), "failed"),
    ] {
        let server = Server::labelled(watch(policy), pii());
        let error = search().refused(&server).await;
        assert_eq!(error["kind"], "result_undecided");
        assert_eq!(error["details"]["why"], why);
        assert_eq!(error["retryable"], false, "it may have changed something");
        assert!(!error.to_string().contains("Ives"));
        assert_eq!(server.ran(), 1, "{why}");
        assert_eq!(server.seen().failed_before_handler, Some(false));
    }
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 6);
    assert!(
        told[2].contains("s3cret"),
        "the server's author is told: {told:?}"
    );
}

#[tokio::test]
async fn answers_that_make_no_sense_deny() {
    let nothing: [mcp_ext_policy::Path; 0] = [];
    let labels = || ["/labels/regulated".parse().unwrap()];
    for policy in [
        on_call(move || Decision::redact(id("x"), nothing.clone())),
        on_call(move || Decision::redact(id("x"), labels())),
    ] {
        let server = Server::new(policy);
        let error = search().refused(&server).await;
        assert_eq!(error["kind"], "undecided");
        assert_eq!(error["details"]["why"], "nonsense");
        assert_eq!(server.ran(), 0);
    }
    for policy in [
        on_result(|| Decision::confirm(id("x"))),
        on_result(|| allow().narrow(Wards::of(["a"]))),
        on_result(|| Decision::redact(id("x"), [])),
    ] {
        let error = search().refused(&Server::new(policy)).await;
        assert_eq!(error["kind"], "result_undecided");
        assert_eq!(error["details"]["why"], "nonsense");
    }
    // What another program wrote is read strictly.
    for value in [
        json!(null),
        json!("allow"),
        json!([]),
        json!({}),
        json!({ "effect": "allow" }),
        json!({ "effect": "ALLOW", "policyId": "a/b@1" }),
        json!({ "effect": "allow", "policyId": "b@1" }),
        json!({ "effect": "allow", "policyId": "a/b@1", "effects": [] }),
        json!({ "effect": "redact", "policyId": "a/b@1" }),
        json!({ "effect": "redact", "policyId": "a/b@1", "redact": ["title"] }),
        json!({ "effect": "deny", "policyId": "a/b@1", "reasons": vec!["x"; 17] }),
        json!({ "effect": "deny", "policyId": "a/b@1", "reasons": [1] }),
        json!({ "effect": "redact", "policyId": "a/b@1", "redact": vec!["/x"; 257] }),
        json!(["allow", "a/b@1"]),
    ] {
        assert!(Decision::read(&value).is_err(), "{value}");
    }
    let read = Decision::read(&json!({
        "effect": "redact", "policyId": "a/b@1", "reasons": ["x".repeat(10_000)], "redact": ["/x"],
    }));
    assert!(read.unwrap().reasons()[0].as_str().chars().count() <= 256);
}

// --- confirmation ------------------------------------------------------------------------------------------------

fn confirming() -> (Policy, ManualClock) {
    let clock = ManualClock::at(1_700_000_000_000);
    let policy = on_call(|| Decision::confirm(id("ask")).because("it is night"))
        .with_sources(clock.clone(), SeededRandom::new(7));
    (policy, clock)
}

fn accept() -> Value {
    json!({ "policy": { "action": "accept", "content": { "confirm": true } } })
}

#[tokio::test]
async fn a_person_is_asked_and_the_call_goes_on() {
    let (policy, _) = confirming();
    let server = Server::new(policy);
    let call = Ask::tool("search", json!({ "text": "x" })).eliciting();
    let asked = call.clone().send(&server).await.unwrap();
    assert_eq!(asked["resultType"], "input_required");
    let params = &asked["inputRequests"]["policy"]["params"];
    assert_eq!(
        params["message"],
        r#"Policy test/ask@1 asks you to confirm: Search the records; it is night. Arguments: {"text":"x"}"#
    );
    assert_eq!(
        params["requestedSchema"]["properties"]["confirm"]["type"],
        "boolean"
    );
    assert_eq!(server.ran(), 0);
    assert_eq!(server.seen().failed_before_handler, Some(true));

    let state = asked["requestState"].clone();
    let done = call.answering(accept(), state).send(&server).await.unwrap();
    assert_eq!(done["structuredContent"]["matches"][0]["id"], 1);
    assert_eq!(server.ran(), 1);
}

#[tokio::test]
async fn a_confirmation_is_good_for_the_call_it_was_given_for() {
    let (policy, clock) = confirming();
    let server = Server::new(policy);
    let alice = || Principal::new("alice").in_tenant("t");
    let call = Ask::tool("search", json!({ "text": "x" }))
        .eliciting()
        .by(alice());
    let asked = call.clone().send(&server).await.unwrap();
    let state = asked["requestState"].clone();
    let text = state.as_str().unwrap();
    let mut tampered = text.to_owned();
    tampered.replace_range(40..41, if &text[40..41] == "A" { "B" } else { "A" });
    let other = Ask::tool("search", json!({ "text": "y" }))
        .eliciting()
        .by(alice());
    let calls = [
        ("other arguments", other.answering(accept(), state.clone())),
        ("no state", {
            let mut call = call.clone();
            call.params["inputResponses"] = accept();
            call
        }),
        (
            "tampered",
            call.clone().answering(accept(), json!(tampered)),
        ),
        ("cut", call.clone().answering(accept(), json!(&text[..30]))),
        ("empty", call.clone().answering(accept(), json!(""))),
        (
            "huge",
            call.clone().answering(accept(), json!("A".repeat(100_000))),
        ),
        (
            "another caller",
            call.clone()
                .by(Principal::new("bob").in_tenant("t"))
                .answering(accept(), state.clone()),
        ),
        (
            "another tenant",
            call.clone()
                .by(Principal::new("alice"))
                .answering(accept(), state.clone()),
        ),
    ];
    for (what, call) in calls {
        let again = call.send(&server).await.unwrap();
        assert_eq!(again["resultType"], "input_required", "{what}");
        assert_eq!(server.ran(), 0, "{what}");
    }
    // Another server, with another key.
    let (policy, _) = confirming();
    let elsewhere = Server::new(policy.confirmation_key(ConfirmationKey::from_bytes([9; 32])));
    let again = call
        .clone()
        .answering(accept(), state.clone())
        .send(&elsewhere)
        .await
        .unwrap();
    assert_eq!(again["resultType"], "input_required");

    for response in [
        json!({ "policy": { "action": "decline" } }),
        json!({ "policy": { "action": "cancel" } }),
        json!({ "policy": { "action": "accept", "content": { "confirm": false } } }),
        json!({ "policy": { "action": "accept", "content": { "confirm": "true" } } }),
        json!({ "policy": { "action": "accept" } }),
        json!({ "policy": { "action": {"accept": true} } }),
    ] {
        let error = call
            .clone()
            .answering(response.clone(), state.clone())
            .refused(&server)
            .await;
        assert_eq!(error["kind"], "not_confirmed", "{response}");
    }
    assert_eq!(server.ran(), 0);

    clock.advance(300_000);
    let again = call
        .clone()
        .answering(accept(), state.clone())
        .send(&server)
        .await
        .unwrap();
    assert_eq!(again["resultType"], "input_required", "too late");
    clock.advance(-1);
    call.clone()
        .answering(accept(), state.clone())
        .send(&server)
        .await
        .unwrap();
    assert_eq!(server.ran(), 1, "just in time");
    clock.advance(-300_001);
    let again = call.answering(accept(), state).send(&server).await.unwrap();
    assert_eq!(again["resultType"], "input_required", "from the future");
}

#[tokio::test]
async fn who_cannot_be_asked_is_told_what_to_do() {
    let (policy, _) = confirming();
    let server = Server::new(policy);
    let error = search().refused(&server).await;
    assert_eq!(error["kind"], "confirmation_needed");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("declares form elicitation")
    );
    let method = Ask::method("com.example/records/search", json!({})).eliciting();
    let error = method.send(&server).await.unwrap_err();
    assert_eq!(error.code, 43403);
    // An answer that nobody asked for does not help.
    let forged = search().answering(accept(), json!("AAAA"));
    assert_eq!(forged.refused(&server).await["kind"], "confirmation_needed");
    assert_eq!(server.ran(), 0);
}

#[tokio::test]
async fn nobody_is_asked_about_arguments_that_do_not_fit() {
    let (policy, _) = confirming();
    let server = Server::new(policy);
    let call = Ask::tool("search", json!({ "text": 7 })).eliciting();
    let result = call.send(&server).await.unwrap();
    let error = &result["structuredContent"]["error"];
    assert_eq!(error["kind"], "invalid_params", "{result}");
    assert_eq!(server.ran(), 0);
}

#[tokio::test]
async fn an_item_that_needs_the_confirm_block_is_left_to_it() {
    let (policy, _) = confirming();
    let server = Server::new(policy);
    let result = Ask::tool("erase", json!({})).send(&server).await.unwrap();
    assert_eq!(result["structuredContent"]["matches"][0]["id"], 1);
    // It is told that it must ask, since it may be set to let some calls pass.
    let must = Ask::tool("erase", json!({ "text": "must" }));
    let result = must.clone().send(&server).await.unwrap();
    assert_eq!(result["structuredContent"]["wards"], json!(["true"]));
    let result = must.send(&Server::new(on_call(allow))).await.unwrap();
    assert_eq!(result["structuredContent"]["wards"], json!(["false"]));
}

#[tokio::test]
async fn an_item_that_the_confirm_block_covers_is_left_to_it_too() {
    // Otherwise each of the two takes the answer to the other's question for none, and asks without end.
    let (policy, _) = confirming();
    let server = Server::with(policy, Label::new(), Confirm { everywhere: true });
    let must = Ask::tool("search", json!({ "text": "must" })).eliciting();
    let result = must.send(&server).await.unwrap();
    assert_eq!(result["structuredContent"]["wards"], json!(["true"]));
}

#[tokio::test]
async fn a_policy_stands_around_everything_unless_told_otherwise() {
    let policy = on_call(|| Decision::deny(id("x"))).only(|_, item| item.name == "erase");
    let server = Server::new(policy);
    assert!(search().send(&server).await.unwrap()["isError"].is_null());
    assert_eq!(
        Ask::tool("erase", json!({})).refused(&server).await["kind"],
        "denied"
    );
    let labels: Vec<_> = server.set.chains();
    assert!(
        labels
            .iter()
            .any(|(_, _, blocks)| blocks.contains(&Labels::NAME))
    );
}
