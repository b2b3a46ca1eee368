//! The healthcare extension behind labels, citations and policy, over real wires. Its handlers know of none of them: the
//! server is a source of labels and citations, and takes the scope that a policy narrows.

mod wires;

use std::io::Cursor;

use mcp_ext::citations::Citations;
use mcp_ext::healthcare::{AccessScope, FhirExtension, FhirServer, FhirSettings, FhirStore};
use mcp_ext::labels::{CONFIDENTIALITY, Label, Labels, Regulation, Sensitivity};
use mcp_ext::policy::{Ceiling, Policy, Rule, Rules};
use mcp_ext::prelude::*;
use mcp_ext::protocol::Era;
use mcp_ext::rmcp::WithExtensions;
use mcp_ext::{BlockName, Principal};
use serde_json::{Value, json};
use wires::Plain;
use wires::http::USER;
use wires::wire::{Answer, Carrier, Client};

const ID: &str = "io.github.mcp-ext/healthcare-fhir";

fn patient(id: &str, meta: Value) -> Value {
    json!({ "resourceType": "Patient", "id": id, "meta": meta, "name": [{ "family": format!("Family-{id}") }] })
}

fn observation(id: &str, patient: &str, meta: Value) -> Value {
    json!({
        "resourceType": "Observation", "id": id, "meta": meta, "status": "final",
        "code": { "coding": [{ "system": "http://loinc.org", "code": "8867-4" }], "text": "Heart rate" },
        "subject": { "reference": format!("Patient/{patient}") },
        "valueQuantity": { "value": 72, "unit": "/min" },
    })
}

fn security(codes: &[&str]) -> Value {
    let codings: Vec<_> = codes
        .iter()
        .map(|code| json!({ "system": CONFIDENTIALITY, "code": code }))
        .collect();
    json!({ "security": codings, "versionId": "1", "lastUpdated": "2026-03-01T09:00:00Z" })
}

fn store(resources: &[Value]) -> FhirStore {
    let lines: Vec<String> = resources.iter().map(Value::to_string).collect();
    FhirStore::from_ndjson(Cursor::new(lines.join("\n"))).unwrap()
}

/// Alice and Bob are patients; a third has no account.
fn records() -> FhirServer {
    let store = store(&[
        patient("alice", security(&["N"])),
        patient("bob", security(&["N"])),
        patient("carol", security(&["V"])),
        observation("a1", "alice", security(&["N"])),
        observation("a2", "alice", security(&["R"])),
        observation("b1", "bob", security(&["L"])),
        observation(
            "b2",
            "bob",
            json!({ "versionId": "7", "security": [{
            "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "AIAST",
            "display": "Artificial Intelligence asserted",
        }] }),
        ),
    ]);
    FhirServer::with_scope(store, |principal| match principal.map(Principal::id) {
        Some("doctor") => AccessScope::all(),
        Some(patient) => AccessScope::patient(patient).unwrap_or(AccessScope::none()),
        None => AccessScope::none(),
    })
}

fn serving(fhir: FhirServer, policy: Option<Rules>) -> WithExtensions<Plain> {
    let mut builder = ExtensionSet::builder()
        .enable(FhirExtension::provide(fhir.clone()).settings(FhirSettings::r4()))
        .enable(Labels::new().source(fhir.clone()).enable())
        .enable(Citations::new().source(fhir).enable());
    if let Some(rules) = policy {
        builder = builder.enable(Policy::new(rules).enable());
    }
    Plain.with_extensions(builder.build().unwrap()).unwrap()
}

async fn client(server: WithExtensions<Plain>, declares: bool) -> Client {
    let declared = json!({ ID: {}, Labels::NAME: {}, Citations::NAME: {}, Policy::NAME: {} });
    let declared = declares.then_some(declared);
    Client::connect(server, Carrier::HttpStateless, Era::Modern, declared).await
}

async fn tool_by(client: &mut Client, who: &str, name: &str, arguments: Value) -> Answer {
    client.headers = vec![(USER, who.to_owned())];
    client.tool(name, arguments).await
}

#[track_caller]
fn content(answer: &Answer) -> &Value {
    let result = answer.result();
    assert_ne!(result["isError"], true, "{result}");
    let text = result["content"][0]["text"].as_str().unwrap();
    assert_eq!(
        result["structuredContent"],
        serde_json::from_str::<Value>(text).unwrap()
    );
    &result["structuredContent"]
}

fn notes(answer: &Answer) -> Vec<&str> {
    let texts = answer.result()["content"].as_array().unwrap();
    texts[1..]
        .iter()
        .map(|block| block["text"].as_str().unwrap())
        .collect()
}

#[track_caller]
fn error(answer: &Answer) -> &Value {
    let result = answer.result();
    assert_eq!(result["isError"], true, "{result}");
    &result["structuredContent"]["error"]
}

fn references(content: &Value) -> Vec<&str> {
    let matches = content["matches"].as_array().unwrap();
    matches
        .iter()
        .map(|m| m["reference"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_has_the_high_water_mark_of_what_it_found() {
    for declares in [true, false] {
        let mut client = client(serving(records(), None), declares).await;
        let search = json!({ "type": "Observation", "sort": ["_id"] });
        for (who, found, mark, by_ai) in [
            (
                "alice",
                vec!["Observation/a1", "Observation/a2"],
                "R",
                false,
            ),
            ("bob", vec!["Observation/b1", "Observation/b2"], "L", true),
        ] {
            let answer = tool_by(&mut client, who, "fhir_search", search.clone()).await;
            let content = content(&answer);
            assert_eq!(references(content), found);
            let label: Label = serde_json::from_value(content["labels"].clone()).unwrap();
            assert!(label.sensitivities().eq([Sensitivity::Pii]), "{label:?}");
            assert_eq!(label.high_water_mark().unwrap().code.as_str(), mark);
            assert_eq!(content["labels"]["highWaterMark"]["code"], mark);
            assert_eq!((label.is_ai_authored(), label.has_more()), (by_ai, false));
            // Member, text and declared `_meta` say the same.
            let notes = notes(&answer);
            assert_eq!(notes[0], label.note().unwrap());
            let meta = &answer.result()["_meta"];
            let said = if declares {
                content["labels"].clone()
            } else {
                Value::Null
            };
            assert_eq!(meta[Labels::NAME], said);
            // Each resource is cited, by a reference that can be read.
            let citations = content["citations"].as_array().unwrap();
            assert_eq!(citations.len(), 2);
            let said = if declares {
                content["citations"].clone()
            } else {
                Value::Null
            };
            assert_eq!(meta[Citations::NAME], said);
            assert_eq!(notes[1].lines().count(), 2);
            let cited = citations[0]["target"]["source"].as_str().unwrap();
            assert_eq!(cited, format!("{}/_history/1", found[0]));
            assert_eq!(citations[0]["asOf"], "2026-03-01T09:00:00Z");
            let read = tool_by(&mut client, who, "fhir_read", json!({ "reference": cited })).await;
            assert_eq!(self::content(&read)["reference"], found[0]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_is_labelled_and_cited() {
    let mut client = client(serving(records(), None), true).await;
    let answer = tool_by(
        &mut client,
        "bob",
        "fhir_read",
        json!({ "reference": "Observation/b2" }),
    )
    .await;
    let read = content(&answer);
    assert_eq!(read["labels"]["aiAuthored"], true);
    assert_eq!(read["labels"]["codes"][0]["code"], "AIAST");
    assert_eq!(
        read["citations"][0]["target"],
        json!({ "source": "Observation/b2/_history/7" })
    );
    assert!(notes(&answer)[0].contains("written by an AI"));
    // The same as a method.
    client.headers = vec![(USER, "bob".to_owned())];
    let method = client
        .call(
            &format!("{ID}/read"),
            json!({ "reference": "Observation/b2" }),
        )
        .await;
    assert_eq!(method.result()["labels"], read["labels"]);
    assert_eq!(method.result()["_meta"][Labels::NAME], read["labels"]);
    // What is not found says no more than before.
    let hidden = tool_by(
        &mut client,
        "bob",
        "fhir_read",
        json!({ "reference": "Observation/a2" }),
    )
    .await;
    assert_eq!(error(&hidden)["kind"], "not_found");
    assert_eq!(notes(&hidden), Vec::<&str>::new());
    let capabilities = tool_by(&mut client, "bob", "fhir_capabilities", json!({})).await;
    assert!(content(&capabilities).get("labels").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_that_cannot_be_read_are_not_lost() {
    let long = "x".repeat(65);
    let odd = [
        json!({ "security": [{ "code": "R" }] }),
        json!({ "security": [{ "system": CONFIDENTIALITY }] }),
        json!({ "security": [{ "system": CONFIDENTIALITY, "code": long }] }),
        json!({ "security": [{ "system": CONFIDENTIALITY, "code": "R\nL" }] }),
        json!({ "security": [{ "system": CONFIDENTIALITY, "code": { "R": 1 } }] }),
        json!({ "security": ["R"] }),
        json!({ "security": "R" }),
        json!({ "security": 5 }),
        json!({ "security": { "system": CONFIDENTIALITY, "code": "R" } }),
        json!({ "security": (0..100).map(|n| json!({ "system": "s", "code": n.to_string() })).collect::<Vec<_>>() }),
    ];
    for meta in odd {
        let text = meta.to_string();
        let shown = text.chars().take(100).collect::<String>();
        let store = store(&[patient("p", meta), patient("q", security(&["L"]))]);
        let fhir = FhirServer::with_scope(store, |_| AccessScope::all());
        let mut client = client(serving(fhir, None), false).await;
        let answer = client
            .tool("fhir_search", json!({ "type": "Patient" }))
            .await;
        let found = content(&answer);
        assert_eq!(found["labels"]["more"], true, "{shown}");
        assert!(
            notes(&answer)[0].contains("handle as the strictest"),
            "{shown}"
        );
        let read = client
            .tool("fhir_read", json!({ "reference": "Patient/p" }))
            .await;
        assert_eq!(content(&read)["labels"]["more"], true, "{shown}");
        let other = client
            .tool("fhir_read", json!({ "reference": "Patient/q" }))
            .await;
        assert!(content(&other)["labels"].get("more").is_none());
    }
    // What is merely unusual is read.
    let meta = json!({ "security": [{
        "system": CONFIDENTIALITY, "code": "R", "display": "very\nlong ".repeat(100), "userSelected": true,
    }], "tag": ["x", 5, { "code": "AIAST" }, { "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "AIRPT" }] });
    let fhir = FhirServer::with_scope(store(&[patient("p", meta)]), |_| AccessScope::all());
    let mut client = client(serving(fhir, None), false).await;
    for (tool, arguments) in [
        ("fhir_search", json!({ "type": "Patient" })),
        ("fhir_read", json!({ "reference": "Patient/p" })),
    ] {
        let answer = client.tool(tool, arguments).await;
        let label = &content(&answer)["labels"];
        assert_eq!(label["highWaterMark"]["code"], "R");
        assert_eq!(label["aiAuthored"], true);
        assert!(label.get("more").is_none(), "{label}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bundled_records_are_labelled_and_cited() {
    let fhir = FhirServer::new(FhirStore::bundled().unwrap()).unwrap();
    let mut client = client(serving(fhir, None), true).await;
    let search = json!({ "type": "Observation", "count": 100 });
    let answer = client.tool("fhir_search", search).await;
    let found = content(&answer);
    assert_eq!(found["labels"]["sensitivity"], json!(["pii"]));
    assert_eq!(found["labels"]["codes"][0]["code"], "HTEST");
    let (matches, citations) = (&found["matches"], &found["citations"]);
    assert_eq!(
        matches.as_array().unwrap().len(),
        citations.as_array().unwrap().len()
    );
    let none = client
        .tool("fhir_search", json!({ "type": "Patient", "count": 0 }))
        .await;
    assert_eq!(content(&none)["labels"], json!({}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_narrows_denies_and_redacts_by_caller() {
    let alices = AccessScope::patient("alice").unwrap();
    let rules = Rules::new(
        "ward",
        "1",
        [
            // The doctor is on alice's case, and reads no more than that.
            Rule::allow("on-the-case")
                .caller(Principal::new("doctor"))
                .narrow(alices),
            Rule::allow("own")
                .caller(Principal::new("alice"))
                .caller(Principal::new("bob"))
                .label_at_most(Ceiling::new().confidentiality("N")),
            Rule::redact("titles", ["/matches/*/title".parse().unwrap()])
                .caller(Principal::new("bob"))
                .item("search"),
            Rule::deny("no-patients")
                .caller(Principal::new("bob"))
                .item("read")
                .because("search only"),
        ],
    );
    let server = serving(records(), Some(rules.unwrap()));
    let mut client = client(server, true).await;
    let observations = || json!({ "type": "Observation", "sort": ["_id"] });

    // Narrowed: the author's scope for the doctor is everything, the policy's is one patient, the store demands both.
    let answer = tool_by(&mut client, "doctor", "fhir_search", observations()).await;
    assert_eq!(
        references(content(&answer)),
        ["Observation/a1", "Observation/a2"]
    );
    assert_eq!(content(&answer)["total"]["value"], 2);
    assert_eq!(content(&answer)["labels"]["highWaterMark"]["code"], "R");
    let outside = tool_by(
        &mut client,
        "doctor",
        "fhir_read",
        json!({ "reference": "Patient/carol" }),
    )
    .await;
    assert_eq!(
        error(&outside)["kind"],
        "not_found",
        "as one that does not exist"
    );

    // Denied over the label: alice has a record that is restricted, and may not see it, nor a set that it is in.
    let withheld = tool_by(&mut client, "alice", "fhir_search", observations()).await;
    assert_eq!(error(&withheld)["kind"], "withheld");
    assert_eq!(error(&withheld)["details"]["policyId"], "ward/own@1");
    let frame = withheld.frame.to_string();
    for left in ["a1", "Heart", "Observation/", "highWaterMark"] {
        assert!(!frame.contains(left), "{left}: {frame}");
    }
    let read = |id: &str| json!({ "reference": format!("Observation/{id}") });
    let answer = tool_by(&mut client, "alice", "fhir_read", read("a1")).await;
    assert_eq!(content(&answer)["reference"], "Observation/a1");
    let answer = tool_by(&mut client, "alice", "fhir_read", read("a2")).await;
    assert_eq!(error(&answer)["kind"], "withheld");

    // Redacted: bob gets pointers without titles, and text, structure and citations agree.
    let answer = tool_by(&mut client, "bob", "fhir_search", observations()).await;
    let found = content(&answer);
    assert_eq!(references(found), ["Observation/b1", "Observation/b2"]);
    assert!(found["matches"][0].get("title").is_none());
    assert!(!answer.frame.to_string().contains("Heart rate"));
    assert_eq!(found["policy"]["policyId"], "ward/titles@1");
    assert_eq!(found["labels"]["highWaterMark"]["code"], "L");
    assert_eq!(answer.result()["_meta"][Policy::NAME], found["policy"]);
    let notes = notes(&answer);
    assert!(
        notes[0].starts_with("Labels: ")
            && notes[1].starts_with("Source: Observation/b1/")
            && notes[2].starts_with("Policy ward/titles@1 removed"),
        "{notes:?}"
    );
    // Denied before anything is read.
    let answer = tool_by(&mut client, "bob", "fhir_read", read("b1")).await;
    assert_eq!(error(&answer)["kind"], "denied");

    // Nobody, and somebody whom no rule knows.
    for who in ["", "mallory"] {
        let answer = tool_by(&mut client, who, "fhir_search", observations()).await;
        assert_eq!(error(&answer)["details"]["policyId"], "ward/otherwise@1");
    }
}

/// A cursor is bound to the scope in force: under a narrower one it does not go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_does_not_outlive_its_scope() {
    use std::sync::atomic::{AtomicBool, Ordering};
    static NARROW: AtomicBool = AtomicBool::new(false);
    let rules = Rules::new(
        "ward",
        "1",
        [
            Rule::allow("narrow")
                .when(|_| NARROW.load(Ordering::SeqCst))
                .narrow(AccessScope::patient("alice").unwrap()),
            Rule::allow("wide"),
        ],
    );
    let mut client = client(serving(records(), Some(rules.unwrap())), true).await;
    let page = json!({ "type": "Observation", "count": 1 });
    let first = tool_by(&mut client, "doctor", "fhir_search", page).await;
    let cursor = content(&first)["nextCursor"].clone();
    let next = json!({ "type": "Observation", "cursor": cursor });
    content(&tool_by(&mut client, "doctor", "fhir_search", next.clone()).await);
    NARROW.store(true, Ordering::SeqCst);
    let refused = tool_by(&mut client, "doctor", "fhir_search", next).await;
    assert_eq!(error(&refused)["kind"], "invalid_cursor");
}

/// Every call is recorded, the denied ones too, and the records hold nothing of the data.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_is_audited_and_so_is_every_denial() {
    use mcp_ext::audit::{Audit, CALLER_GOVERNANCE, Outcome, Record, Scalar, Verifier, verify};
    let audit = Audit::new(&mcp_ext::store::Store::in_memory().unwrap()).unwrap();
    let rules = Rules::new(
        "ward",
        "1",
        [
            Rule::allow("own")
                .caller(Principal::new("alice"))
                .label_at_most(Ceiling::new().confidentiality("N")),
            Rule::redact("titles", ["/matches/*/title".parse().unwrap()]),
        ],
    );
    let fhir = records();
    let set = ExtensionSet::builder()
        .enable(FhirExtension::provide(fhir.clone()))
        .enable(Labels::new().source(fhir.clone()).enable())
        .enable(Citations::new().source(fhir).enable())
        .enable(Policy::new(rules.unwrap()).enable())
        .enable(audit.clone().everywhere().enable())
        .build()
        .unwrap();
    let chains = set.chains();
    let (.., search) = chains
        .iter()
        .find(|(_, item, _)| item.name == "search")
        .unwrap();
    assert_eq!(
        *search,
        [Audit::NAME, Policy::NAME, Citations::NAME, Labels::NAME]
    );
    let mut client = client(Plain.with_extensions(set).unwrap(), true).await;

    let patients = || json!({ "type": "Patient" });
    let given = tool_by(&mut client, "alice", "fhir_search", patients()).await;
    assert_eq!(references(content(&given)), ["Patient/alice"]);
    let withheld = json!({ "reference": "Observation/a2" });
    let withheld = tool_by(&mut client, "alice", "fhir_read", withheld).await;
    assert_eq!(error(&withheld)["kind"], "withheld");
    let denied = tool_by(&mut client, "bob", "fhir_search", patients()).await;
    assert_eq!(error(&denied)["kind"], "denied");

    let segment = audit.segments().unwrap().remove(0);
    let mut export = Vec::new();
    let head = audit.export(&segment.name, &mut export).unwrap();
    assert!(
        verify(&export[..], Verifier::new().against(head))
            .unwrap()
            .is_ok()
    );
    let text = String::from_utf8(export).unwrap();
    let outcomes: Vec<_> = text
        .lines()
        .map(|line| Record::parse(line).unwrap().event)
        .map(|event| {
            let data = event.extensions[CALLER_GOVERNANCE].clone();
            let word = |name: &str| match data.get(name) {
                Some(Scalar::Text(text)) => text.as_str().to_owned(),
                _ => String::new(),
            };
            (
                event.outcome,
                word("output_disposition"),
                word("sensitivity_encountered"),
            )
        })
        .collect();
    let of = |outcome, disposition: &str, sensitivity: &str| {
        (outcome, disposition.to_owned(), sensitivity.to_owned())
    };
    let intents = outcomes
        .iter()
        .filter(|(outcome, ..)| *outcome == Outcome::Deferred);
    assert_eq!(intents.count(), 3, "one before each call");
    let done: Vec<_> = outcomes
        .into_iter()
        .filter(|(outcome, ..)| *outcome != Outcome::Deferred)
        .collect();
    assert_eq!(
        done,
        [
            of(Outcome::Allowed, "returned", "pii"),
            of(
                Outcome::Denied,
                "withheld:io.github.mcp-ext/policy:withheld",
                ""
            ),
            of(
                Outcome::Denied,
                "refused:io.github.mcp-ext/policy:denied",
                ""
            ),
        ]
    );
    for data in ["alice", "bob", "Heart", "Family", "Patient/", "Observation"] {
        assert!(!text.contains(data), "{data}: {text}");
    }
}

/// Without the blocks nothing of them is there, and a floor adds what the deployer knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_are_optional() {
    let fhir = FhirServer::new(FhirStore::bundled().unwrap()).unwrap();
    let plain = ExtensionSet::builder()
        .enable(FhirExtension::provide(fhir.clone()))
        .build()
        .unwrap();
    assert!(plain.chains().iter().all(|(.., blocks)| blocks.is_empty()));
    let hipaa = Label::new().regulated(Regulation::HIPAA);
    let set = ExtensionSet::builder()
        .enable(FhirExtension::provide(fhir.clone()))
        .enable(
            Labels::new()
                .source(fhir)
                .at_least_for::<FhirExtension>(hipaa)
                .enable(),
        )
        .build()
        .unwrap();
    let mut client = client(Plain.with_extensions(set).unwrap(), false).await;
    let answer = client
        .tool("fhir_search", json!({ "type": "Patient", "count": 1 }))
        .await;
    let label = &content(&answer)["labels"];
    assert_eq!(label["regulated"], json!(["HIPAA"]));
    assert_eq!(label["codes"][0]["code"], "HTEST");
}
