//! The block around handlers: what lets a call through, what refuses it, and that a claim is no evidence.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use mcp_ext_consent::{
    About, Consent, ConsentExtension, ConsentSource, Decision, Denial, Permit, Permitted, Purpose,
    PurposeCode, Question, Unavailable,
};
use mcp_ext_core::envelope::Frame;
use mcp_ext_core::protocol::ProtocolRange;
use mcp_ext_core::request::{BoxFuture, SessionDeclaration};
use mcp_ext_core::{
    BlockName, Extension, ExtensionSet, Principal, Route, RpcError, ToolCx, extension, handlers,
};
use mcp_ext_values::ManualClock;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Whose results to read.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct ReadParams {
    patient: String,
    /// Also about this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    other: Option<String>,
}

/// The results.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Results {
    purpose_seen: Option<String>,
}

/// A form, whose consent is of another kind.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Form {
    consent: bool,
}

/// Why one is bought, which is no purpose of use.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct BuyParams {
    patient: String,
    purpose: String,
}

/// Results of laboratories.
#[extension(id = "com.example/lab")]
pub trait Lab {
    /// Reads results.
    #[method]
    #[tool(needs(Consent))]
    async fn read_results(
        &self,
        cx: &ToolCx<LabExtension>,
        params: ReadParams,
    ) -> Result<Results, std::convert::Infallible>;

    /// Has a member `consent` and a member `purpose` of its own.
    #[tool(needs(Consent))]
    async fn buy(
        &self,
        cx: &ToolCx<LabExtension>,
        params: BuyParams,
    ) -> Result<Form, std::convert::Infallible>;
}

#[derive(Clone, Default)]
struct Laboratory(Arc<Mutex<u32>>);

#[handlers]
impl Lab for Laboratory {
    async fn read_results(
        &self,
        cx: &ToolCx<LabExtension>,
        _: ReadParams,
    ) -> Result<Results, std::convert::Infallible> {
        *self.0.lock().unwrap() += 1;
        let permitted = cx.facts().get::<Permitted>().unwrap();
        Ok(Results {
            purpose_seen: permitted.purpose.map(|p| p.code.to_string()),
        })
    }

    async fn buy(
        &self,
        _: &ToolCx<LabExtension>,
        params: BuyParams,
    ) -> Result<Form, std::convert::Infallible> {
        *self.0.lock().unwrap() += 1;
        assert_eq!(params.purpose, "a gift", "the item keeps its own member");
        Ok(Form { consent: true })
    }
}

/// Answers what the test has set, and keeps what was asked.
#[derive(Clone, Default)]
struct Asked {
    answers: Arc<Mutex<Vec<Result<Decision, Unavailable>>>>,
    questions: Arc<Mutex<Vec<Question>>>,
}

impl ConsentSource for Asked {
    fn decide<'a>(
        &'a self,
        question: &'a Question,
    ) -> BoxFuture<'a, Result<Decision, Unavailable>> {
        self.questions.lock().unwrap().push(question.clone());
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 {
            answers.remove(0)
        } else {
            answers
                .first()
                .cloned()
                .unwrap_or(Ok(Decision::Deny(Denial::NoConsent)))
        };
        Box::pin(async move { answer })
    }
}

struct World {
    set: ExtensionSet,
    lab: Laboratory,
    asked: Asked,
    clock: ManualClock,
}

fn world(
    answers: Vec<Result<Decision, Unavailable>>,
    with: impl FnOnce(Consent) -> Consent,
) -> World {
    let (lab, asked, clock) = (
        Laboratory::default(),
        Asked::default(),
        ManualClock::at(1000),
    );
    *asked.answers.lock().unwrap() = answers;
    let consent = Consent::new(asked.clone(), |call| {
        let about = About::person(call.params["patient"].as_str()?).data("lab");
        Some(match call.params["other"].as_str() {
            Some(other) => about.and_person(other),
            None => about,
        })
    });
    let set = ExtensionSet::builder()
        .enable(LabExtension::provide(lab.clone()))
        .enable(with(consent.clock(clock.clone())).enable())
        .build()
        .unwrap();
    World {
        set,
        lab,
        asked,
        clock,
    }
}

fn permit() -> Result<Decision, Unavailable> {
    Ok(Decision::Permit(Permit {
        basis: "consent c-1".into(),
        expires_at_ms: Some(5000),
        obligations: vec!["do not pass on".into()],
    }))
}

fn treatment() -> Value {
    json!({ "system": PurposeCode::HEALTH, "code": "TREAT" })
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here waits"),
    }
}

impl World {
    fn ask(
        &self,
        method: &str,
        mut params: Value,
        purpose: Option<Value>,
        declared: Option<Value>,
    ) -> Result<Value, RpcError> {
        let mut extensions = json!({ "com.example/lab": {} });
        if let Some(settings) = declared {
            extensions[Consent::NAME] = settings;
        }
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": { "extensions": extensions },
        });
        if let Some(purpose) = purpose {
            params["_meta"]["io.github.mcp-ext/purpose"] = purpose;
        }
        let raw = RawValue::from_string(params.to_string()).unwrap();
        let frame = Frame::read(method, Some(&raw))?;
        let mut incoming =
            frame.open(ProtocolRange::default(), SessionDeclaration::none(), None)?;
        incoming.principal = Some(Principal::new("dr-1").in_tenant("clinic"));
        match self.set.route(incoming) {
            Route::Call(pending) => {
                block_on(pending.run()).map(|reply| Value::Object(reply.into_object().unwrap()))
            }
            other => panic!("{other:?}"),
        }
    }

    fn tool(&self, name: &str, arguments: Value, meta: Option<Value>) -> Value {
        let params = json!({ "name": name, "arguments": arguments });
        self.ask("tools/call", params, meta, None).unwrap()
    }

    fn read(&self, purpose: Option<Value>, meta: Option<Value>) -> Value {
        let mut arguments = json!({ "patient": "p-1" });
        if let Some(purpose) = purpose {
            arguments["purpose"] = purpose;
        }
        self.tool("read_results", arguments, meta)
    }

    /// The refusal is typed, says what to do, and the handler has not run.
    fn refused(&self, result: &Value, kind: &str) -> Value {
        assert_eq!(result["isError"], true, "{result}");
        let error = &result["structuredContent"]["error"];
        assert_eq!(error["kind"], kind, "{result}");
        assert_eq!(*self.lab.0.lock().unwrap(), 0, "the handler ran");
        error.clone()
    }
}

#[test]
fn the_name_is_the_identifier() {
    assert_eq!(Consent::NAME, ConsentExtension::CONTRACT.id.as_str());
}

#[test]
fn a_consent_lets_a_call_through_and_says_so_in_member_text_and_declared_meta() {
    let w = world(vec![permit()], |c| c);
    let expected = json!({
        "basis": "consent c-1", "expiresAt": "1970-01-01T00:00:05.000Z", "obligations": ["do not pass on"],
    });
    let result = w.read(Some(treatment()), None);
    assert_eq!(result["structuredContent"]["consent"], expected, "{result}");
    assert_eq!(result["structuredContent"]["purpose_seen"], "TREAT");
    assert_eq!(
        result["content"][1]["text"],
        "Given on consent with obligations: do not pass on"
    );
    assert!(result.get("_meta").is_none(), "{result}");

    let params = json!({ "patient": "p-1" });
    let result = w
        .ask(
            "com.example/lab/readResults",
            params,
            Some(treatment()),
            Some(json!({})),
        )
        .unwrap();
    assert_eq!(result["consent"], expected);
    assert_eq!(result["_meta"][Consent::NAME], expected);
    assert_eq!(result["purpose_seen"], "TREAT");

    let question = w.asked.questions.lock().unwrap()[0].clone();
    assert_eq!(question.subject, "p-1");
    assert_eq!(question.action, "read_results");
    assert_eq!(question.tenant(), Some("clinic"));
    assert_eq!(question.caller.as_ref().map(Principal::id), Some("dr-1"));
    assert_eq!(Vec::from_iter(question.data_classes), ["lab"]);
    assert_eq!(
        question.purpose,
        Some(Purpose::new(PurposeCode::health("TREAT").unwrap()))
    );
    assert_eq!(question.now_ms, 1000);
}

#[test]
fn each_denial_is_its_own_refusal() {
    for (denial, kind, code) in [
        (Denial::NoConsent, "no_consent", 43305),
        (Denial::Objection, "objection", 43306),
        (Denial::Expired, "expired", 43307),
    ] {
        let w = world(vec![Ok(Decision::Deny(denial))], |c| c);
        let error = w.refused(&w.read(Some(treatment()), None), kind);
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .contains("do not repeat the call")
        );
        let params = json!({ "patient": "p-1" });
        // A method answers with the code, whether the client declares consent or not.
        let error = w.ask("com.example/lab/readResults", params, None, None);
        assert_eq!(error.unwrap_err().code, code);
        let params = json!({ "patient": "p-1" });
        let error = w
            .ask(
                "com.example/lab/readResults",
                params,
                Some(treatment()),
                Some(json!({})),
            )
            .unwrap_err();
        assert_eq!(error.code, code);
        let data = error.data.unwrap();
        assert_eq!(
            (&data["extension"], &data["kind"]),
            (&json!(Consent::NAME), &json!(kind))
        );
    }
}

#[test]
fn a_purpose_is_a_claim_and_no_evidence() {
    let w = world(vec![Ok(Decision::Deny(Denial::NoConsent))], |c| {
        c.accept([PurposeCode::health("TREAT").unwrap()])
    });
    let mut claim = treatment();
    claim["consentRef"] = "c-1".into();
    claim["onBehalfOf"] = "dr-2".into();
    w.refused(&w.read(Some(claim), None), "no_consent");
    // Who acts is the authenticated caller, whatever is claimed.
    let question = w.asked.questions.lock().unwrap()[0].clone();
    assert_eq!(question.caller.as_ref().map(Principal::id), Some("dr-1"));
}

#[test]
fn a_missing_purpose_is_asked_for_where_it_is_required() {
    let w = world(vec![permit()], |c| {
        c.purpose_required()
            .accept([PurposeCode::health("TREAT").unwrap()])
    });
    for (argument, meta) in [(None, None), (Some(Value::Null), None)] {
        let error = w.refused(&w.read(argument, meta), "purpose_required");
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains("v3-ActReason|TREAT") && message.contains("`purpose`"),
            "{message}"
        );
        assert_eq!(error["details"]["accepted"], json!([treatment()]));
    }
    assert!(w.asked.questions.lock().unwrap().is_empty());
    // Either place will do.
    assert_eq!(
        w.read(Some(treatment()), None)["structuredContent"]["purpose_seen"],
        "TREAT"
    );
    assert_eq!(
        w.read(None, Some(treatment()))["structuredContent"]["purpose_seen"],
        "TREAT"
    );
    // Where it is not required, a consent that asks for no purpose lets the call through.
    let w = world(vec![permit()], |c| c);
    assert_eq!(
        w.read(None, None)["structuredContent"]["purpose_seen"],
        Value::Null
    );
}

#[test]
fn malformed_conflicting_and_foreign_purposes_are_refused() {
    let world = || {
        world(vec![permit()], |c| {
            c.accept([PurposeCode::health("TREAT").unwrap()])
        })
    };
    let marketing = json!({ "system": PurposeCode::HEALTH, "code": "HMARKT" });
    let w = world();
    w.refused(
        &w.read(Some(marketing.clone()), None),
        "purpose_not_accepted",
    );
    w.refused(
        &w.read(None, Some(marketing.clone())),
        "purpose_not_accepted",
    );
    w.refused(
        &w.read(Some(treatment()), Some(marketing.clone())),
        "purpose_conflict",
    );
    for bad in [
        json!("TREAT"),
        json!([
            "http://terminology.hl7.org/CodeSystem/v3-ActReason",
            "TREAT"
        ]),
        json!({ "code": "TREAT" }),
        json!({ "system": PurposeCode::HEALTH, "code": 7 }),
        json!({ "system": PurposeCode::HEALTH, "code": "TREAT", "more": 1 }),
        json!({ "system": PurposeCode::HEALTH, "code": "x".repeat(257) }),
        json!({ "system": PurposeCode::HEALTH, "code": "⟧" }),
    ] {
        w.refused(&w.read(Some(bad.clone()), None), "purpose_malformed");
        w.refused(&w.read(None, Some(bad)), "purpose_malformed");
    }
    assert!(
        w.asked.questions.lock().unwrap().is_empty(),
        "nobody was asked"
    );
    // The same twice is no conflict.
    assert_eq!(
        w.read(Some(treatment()), Some(treatment()))["isError"],
        Value::Null
    );
}

#[test]
fn a_client_narrows_what_it_may_name_and_never_widens_it() {
    let codes = |codes: &[&str]| -> Value {
        codes
            .iter()
            .map(|code| json!({ "system": PurposeCode::HEALTH, "code": code }))
            .collect()
    };
    let w = world(vec![permit()], |c| {
        c.accept(["TREAT", "HRESCH"].map(|code| PurposeCode::health(code).unwrap()))
    });
    let read = |purpose: &str, declared: &[&str]| {
        let purpose = json!({ "system": PurposeCode::HEALTH, "code": purpose });
        let declared = json!({ "accepted": codes(declared) });
        let params = json!({ "name": "read_results", "arguments": { "patient": "p-1", "purpose": purpose } });
        w.ask("tools/call", params, None, Some(declared)).unwrap()
    };
    w.refused(&read("HRESCH", &["TREAT"]), "purpose_not_accepted");
    w.refused(
        &read("HMARKT", &["HMARKT", "TREAT"]),
        "purpose_not_accepted",
    );
    assert_eq!(read("TREAT", &["TREAT"])["isError"], Value::Null);
}

#[test]
fn what_has_expired_by_the_clock_permits_nothing() {
    let w = world(vec![permit()], |c| c);
    w.clock.set(4999);
    assert_eq!(w.read(None, None)["isError"], Value::Null);
    *w.lab.0.lock().unwrap() = 0;
    w.clock.set(5000);
    // The source still says yes.
    w.refused(&w.read(None, None), "expired");
}

#[test]
fn everyone_a_call_is_about_must_have_consented() {
    let other = Ok(Decision::Permit(Permit {
        basis: "consent c-2".into(),
        expires_at_ms: Some(3000),
        obligations: vec!["do not pass on".into(), "delete after use".into()],
    }));
    let w = world(vec![permit(), other], |c| c);
    let both = json!({ "patient": "p-1", "other": "p-2" });
    let result = w.tool("read_results", both.clone(), None);
    assert_eq!(
        result["structuredContent"]["consent"],
        json!({
            "basis": "consent c-1; consent c-2", "expiresAt": "1970-01-01T00:00:03.000Z",
            "obligations": ["do not pass on", "delete after use"],
        })
    );
    let w = world(vec![permit(), Ok(Decision::Deny(Denial::Objection))], |c| c);
    w.refused(&w.tool("read_results", both, None), "objection");
}

#[test]
fn what_a_source_says_makes_no_lines_of_its_own() {
    let forged = Ok(Decision::Permit(Permit {
        obligations: vec!["delete\nLabels: none\u{2028}\u{202e}x".into()],
        ..Permit::default()
    }));
    let result = world(vec![forged], |c| c).read(None, None);
    assert_eq!(
        result["content"][1]["text"],
        "Given on consent with obligations: delete Labels: none  x"
    );
}

#[test]
fn a_source_that_fails_or_an_unknown_subject_permits_nothing() {
    let w = world(vec![Err(Unavailable("secret host db-7".into()))], |c| c);
    let result = w.read(None, None);
    let error = w.refused(&result, "unavailable");
    assert_eq!(error["retryable"], true);
    assert!(!result.to_string().contains("db-7"), "{result}");
    let w = world(vec![permit()], |c| c);
    w.refused(&w.tool("read_results", json!({}), None), "subject_unknown");
}

#[test]
fn an_item_keeps_its_own_members() {
    let w = world(vec![permit()], |c| c);
    let result = w.tool(
        "buy",
        json!({ "patient": "p-1", "purpose": "a gift" }),
        None,
    );
    assert_eq!(result["structuredContent"]["consent"], true, "{result}");
    assert_eq!(
        result["structuredContent"]["consentPermission"]["basis"],
        "consent c-1"
    );
    // It can still name the purpose of use, in `_meta`.
    let w = world(vec![permit()], |c| c.purpose_required());
    let arguments = json!({ "patient": "p-1", "purpose": "a gift" });
    w.refused(&w.tool("buy", arguments.clone(), None), "purpose_required");
    assert_eq!(
        w.tool("buy", arguments, Some(treatment()))["isError"],
        Value::Null
    );
}

#[test]
fn the_schemas_show_argument_and_member() {
    let w = world(vec![permit()], |c| {
        c.purpose_required()
            .accept([PurposeCode::health("TREAT").unwrap()])
    });
    let listing = w.set.tool("read_results").unwrap().listing().clone();
    let input = &listing["inputSchema"];
    assert_eq!(
        input["properties"]["purpose"]["required"],
        json!(["system", "code"])
    );
    let words = input["properties"]["purpose"]["description"]
        .as_str()
        .unwrap();
    assert!(words.contains("v3-ActReason|TREAT"), "{words}");
    let validator = jsonschema::validator_for(input).unwrap();
    assert!(validator.is_valid(&json!({ "patient": "p-1", "purpose": treatment() })));
    assert!(!validator.is_valid(&json!({ "patient": "p-1", "purpose": "TREAT" })));
    let output = jsonschema::validator_for(&listing["outputSchema"]).unwrap();
    let result = w.read(Some(treatment()), None);
    assert!(output.is_valid(&result["structuredContent"]), "{result}");
    let refused = w.read(None, None);
    assert!(output.is_valid(&refused["structuredContent"]), "{refused}");
    let own = w.set.tool("buy").unwrap().listing()["outputSchema"].clone();
    assert_eq!(own["properties"]["consent"]["type"], "boolean");
    assert_eq!(own["properties"]["consentPermission"]["type"], "object");
}

#[test]
fn check_answers_about_the_caller_and_runs_nothing() {
    let w = world(vec![permit(), Ok(Decision::Deny(Denial::NoConsent))], |c| c);
    let question = json!({ "subject": "p-1", "action": "read_results", "dataClasses": ["lab"], "purpose": treatment() });
    let result = w.tool("consent_check", question.clone(), None);
    assert_eq!(
        result["structuredContent"],
        json!({
            "decision": "permit", "basis": "consent c-1", "expiresAt": "1970-01-01T00:00:05.000Z",
            "obligations": ["do not pass on"],
        })
    );
    let result = w
        .ask(
            "io.github.mcp-ext/consent/check",
            question,
            None,
            Some(json!({})),
        )
        .unwrap();
    assert_eq!(
        (&result["decision"], &result["obligations"]),
        (&json!("deny"), &json!([]))
    );
    let asked = w.asked.questions.lock().unwrap();
    assert!(
        asked
            .iter()
            .all(|q| q.caller.as_ref().map(Principal::id) == Some("dr-1"))
    );
    assert_eq!(*w.lab.0.lock().unwrap(), 0);
    for bad in [
        json!({ "subject": "p-1" }),
        json!({ "subject": "p-1", "action": "a", "dataClasses": vec!["x"; 65] }),
        json!({ "subject": "x".repeat(257), "action": "a" }),
        json!({ "subject": "p-1", "action": "a", "purpose": { "code": "TREAT" } }),
    ] {
        assert_eq!(w.tool("consent_check", bad, None)["isError"], true);
    }
}
