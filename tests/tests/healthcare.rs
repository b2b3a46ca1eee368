//! The healthcare extension through real wires: raw frames in, raw frames out, each validated against the schema of its
//! revision.

mod wires;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;

use mcp_ext::healthcare::{
    AccessScope, CursorKey, FhirExtension, FhirServer, FhirSettings, FhirStore, Interaction,
    ResourceTypes,
};
use mcp_ext::prelude::*;
use mcp_ext::protocol::Era;
use mcp_ext::rmcp::WithExtensions;
use serde_json::{Value, json};
use wires::Plain;
use wires::http::USER;
use wires::wire::{Answer, CARRIERS, Carrier, Client};

const ID: &str = "io.github.mcp-ext/healthcare-fhir";
const ERAS: [Era; 2] = [Era::Modern, Era::Legacy];

type Server = WithExtensions<Plain>;

fn serving(fhir: FhirServer, settings: FhirSettings) -> Server {
    let enable = FhirExtension::provide(fhir).settings(settings);
    let set = ExtensionSet::builder().enable(enable).build().unwrap();
    Plain.with_extensions(set).unwrap()
}

fn bundled() -> Server {
    let fhir = FhirServer::new(FhirStore::bundled().unwrap()).unwrap();
    serving(fhir, FhirSettings::r4())
}

fn store(resources: &[String]) -> FhirStore {
    let lines: Vec<String> = resources.iter().map(|r| r.replace('\n', " ")).collect();
    FhirStore::from_ndjson(Cursor::new(lines.join("\n"))).unwrap()
}

fn declaring(settings: Value) -> Option<Value> {
    Some(json!({ ID: settings }))
}

fn method(verb: &str) -> String {
    format!("{ID}/{verb}")
}

/// The answer of a method, without what the protocol adds.
#[track_caller]
fn content(answer: &Answer) -> Value {
    let mut result = answer.result().clone();
    if let Some(members) = result.as_object_mut() {
        members.remove("resultType");
        members.remove("_meta");
    }
    result
}

/// The answer of a tool: what programs read, which must be what a model reads.
#[track_caller]
fn structured(answer: &Answer) -> Value {
    let result = answer.result();
    assert_ne!(result["isError"], true, "{result}");
    let text = result["content"][0]["text"].as_str().unwrap();
    assert_eq!(
        result["structuredContent"],
        serde_json::from_str::<Value>(text).unwrap()
    );
    result["structuredContent"].clone()
}

/// `kind` of an error of the extension, whether a method or a tool answered.
#[track_caller]
fn kind(answer: &Answer) -> String {
    let frame = &answer.frame;
    let error = match frame.get("error") {
        Some(error) => &error["data"],
        None => {
            assert_eq!(frame["result"]["isError"], true, "{frame}");
            &frame["result"]["structuredContent"]["error"]
        }
    };
    assert_eq!(error["extension"], ID, "{frame}");
    error["kind"].as_str().unwrap().to_owned()
}

/// One whose cursor differs on every run.
fn without_cursor(mut page: Value) -> Value {
    if let Some(cursor) = page.get_mut("nextCursor") {
        *cursor = json!("some");
    }
    page
}

// --- methods and tools -------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn methods_and_tools_give_the_same_answers() {
    let calls = [
        ("capabilities", json!({})),
        ("capabilities", json!({ "type": "Observation" })),
        ("search", json!({ "type": "Patient" })),
        (
            "search",
            json!({ "type": "Observation", "params": [{ "name": "code", "values": ["http://loinc.org|8867-4"] }], "sort": ["-date"], "count": 3 }),
        ),
        (
            "search",
            json!({ "type": "Observation", "params": [{ "name": "value-quantity", "values": ["gt100"] }], "count": 0 }),
        ),
        (
            "search",
            json!({ "type": "Condition", "params": [{ "name": "code", "modifier": "missing", "values": ["true"] }] }),
        ),
    ];
    for carrier in CARRIERS {
        for era in ERAS {
            let mut client = Client::connect(bundled(), carrier, era, declaring(json!({}))).await;
            let lost = era == Era::Legacy && carrier == Carrier::HttpStateless;
            let mut reference = String::new();
            for (verb, params) in calls.clone() {
                let tool = structured(&client.tool(&format!("fhir_{verb}"), params.clone()).await);
                assert_eq!(tool["synthetic"], true, "{tool}");
                if let Some(first) = tool["matches"][0]["reference"].as_str() {
                    reference = first.to_owned();
                }
                let answer = client.call(&method(verb), params.clone()).await;
                if lost {
                    // Over HTTP without sessions rmcp forgets what a legacy client declared.
                    let data = &answer.refused(-32601, 200)["data"];
                    assert_eq!(data["kind"], "declaration_unknown");
                    continue;
                }
                assert_eq!(
                    without_cursor(content(&answer)),
                    without_cursor(tool),
                    "{verb} {params}"
                );
            }
            for params in [
                json!({ "reference": reference }),
                json!({ "reference": reference, "parsed": true }),
            ] {
                let tool = structured(&client.tool("fhir_read", params.clone()).await);
                assert_eq!(tool["reference"], reference);
                assert_eq!(
                    tool.get("resource").is_some(),
                    params.get("parsed").is_some()
                );
                if !lost {
                    assert_eq!(content(&client.call(&method("read"), params).await), tool);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tools_work_for_those_who_never_heard_of_the_extension() {
    for era in ERAS {
        let mut client = Client::connect(bundled(), Carrier::HttpSessions, era, None).await;
        let page = structured(
            &client
                .tool("fhir_search", json!({ "type": "Patient" }))
                .await,
        );
        assert_eq!(page["total"], json!({ "value": 16, "accuracy": "exact" }));
        let answer = client
            .call(&method("search"), json!({ "type": "Patient" }))
            .await;
        match era {
            Era::Modern => {
                let required = &answer.refused(-32021, 400)["data"]["requiredCapabilities"];
                assert_eq!(*required, json!({ "extensions": { ID: {} } }));
            }
            Era::Legacy => {
                let data = &answer.refused(-32601, 200)["data"];
                assert_eq!(*data, json!({ "extension": ID, "kind": "not_declared" }));
            }
        }
    }
}

/// Every tool is listed with a schema that its own good and bad calls agree with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_tools_answer_fits_their_output_schema() {
    let mut client = Client::connect(bundled(), Carrier::Stdio, Era::Modern, None).await;
    let listed = client.call("tools/list", json!({})).await;
    let tools = listed.result()["tools"].as_array().unwrap().clone();
    let calls = [
        ("fhir_capabilities", json!({}), true),
        ("fhir_capabilities", json!({ "type": "Patient" }), true),
        ("fhir_capabilities", json!({ "type": 7 }), false),
        (
            "fhir_search",
            json!({ "type": "Observation", "count": 1 }),
            true,
        ),
        (
            "fhir_search",
            json!({ "type": "Patient", "count": 0 }),
            true,
        ),
        (
            "fhir_search",
            json!({ "type": "Patient", "count": 101 }),
            false,
        ),
        ("fhir_search", json!({ "params": [] }), false),
        (
            "fhir_search",
            json!({ "type": "Patient", "params": {} }),
            false,
        ),
        ("fhir_read", json!({ "reference": 7 }), false),
    ];
    for (name, arguments, good) in calls {
        let tool = tools.iter().find(|t| t["name"] == name).unwrap();
        let schema = |member: &str| jsonschema::validator_for(&tool[member]).unwrap();
        assert_eq!(
            schema("inputSchema").is_valid(&arguments),
            good,
            "{name} {arguments}"
        );
        let answer = client.tool(name, arguments.clone()).await;
        let result = answer.result();
        assert_eq!(
            result["isError"] == true,
            !good,
            "{name} {arguments}: {result}"
        );
        let output = schema("outputSchema");
        let faults: Vec<String> = output
            .iter_errors(&result["structuredContent"])
            .map(|e| e.to_string())
            .collect();
        assert!(faults.is_empty(), "{name} {arguments}: {faults:?}");
    }
}

// --- digits ------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn digits_survive_to_the_last() {
    let text = r#"{"resourceType":"Observation","id":"digits","meta":{"versionId":"3"},"status":"final","code":{"text":"a"},"subject":{"reference":"Patient/p"},"valueQuantity":{"value":72.50,"unit":"kg"},"referenceRange":[{"low":{"value":1E-22},"high":{"value":12345678901234567890.1234567890}}],"note":[{"text":"\u00e9 \/ \"quoted\""}]}"#;
    for carrier in CARRIERS {
        for era in ERAS {
            let fhir = FhirServer::with_scope(store(&[text.to_owned()]), |_| AccessScope::all());
            let server = serving(fhir, FhirSettings::r4());
            let mut client = Client::connect(server, carrier, era, declaring(json!({}))).await;
            let params = json!({ "reference": "Observation/digits", "parsed": true });
            let mut answers = vec![structured(&client.tool("fhir_read", params.clone()).await)];
            if carrier != Carrier::HttpStateless || era == Era::Modern {
                answers.push(content(&client.call(&method("read"), params).await));
            }
            for answer in answers {
                assert_eq!(answer["text"], text, "{carrier:?} {era:?}");
                assert_eq!(answer["resource"]["status"], "final");
                assert_eq!(answer["versionId"], "3");
                assert_eq!(
                    answer["contentType"],
                    "application/fhir+json; fhirVersion=4.0"
                );
                assert_eq!(answer["synthetic"], false);
            }
        }
    }
}

// --- negotiated settings -----------------------------------------------------------------------------------------

fn restricted() -> FhirSettings {
    let types = BTreeMap::from([
        (
            "Observation".to_owned(),
            BTreeSet::from([Interaction::Read, Interaction::SearchType]),
        ),
        (
            "Patient".to_owned(),
            BTreeSet::from([Interaction::SearchType]),
        ),
    ]);
    FhirSettings {
        resource_types: Some(ResourceTypes(types)),
        max_results: Some(5),
        max_bytes: Some(700),
        ..FhirSettings::r4()
    }
}

fn restricted_server() -> Server {
    serving(
        FhirServer::new(FhirStore::bundled().unwrap()).unwrap(),
        restricted(),
    )
}

/// The types that `capabilities` lists, each with its interactions.
fn listed(capabilities: &Value) -> Value {
    let types = capabilities["types"].as_array().unwrap().iter();
    types
        .map(|t| {
            (
                t["type"].as_str().unwrap().to_owned(),
                t["interactions"].clone(),
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_negotiated_narrows() {
    for era in ERAS {
        let declared = json!({ "maxResults": 2, "resourceTypes": { "Observation": ["read"], "Condition": ["read"] }, "maxBytes": 100 });
        let mut client = Client::connect(
            restricted_server(),
            Carrier::Stdio,
            era,
            declaring(declared),
        )
        .await;
        let answer = client.call(&method("capabilities"), json!({})).await;
        assert_eq!(
            listed(&content(&answer)),
            json!({ "Observation": ["read"] })
        );
        for ask in ["Observation", "Patient", "Condition"] {
            for answer in [
                client.call(&method("search"), json!({ "type": ask })).await,
                client.tool("fhir_search", json!({ "type": ask })).await,
            ] {
                assert_eq!(kind(&answer), "not_negotiated", "{ask}");
            }
        }
        let read = json!({ "reference": first(&mut client_of(bundled(), era).await, "Observation").await });
        let answer = client.call(&method("read"), read.clone()).await;
        let data = &answer.refused(42014, 200)["data"];
        assert_eq!(
            (&data["kind"], &data["details"]["limit"]),
            (&json!("too_large"), &json!(100))
        );

        // Declaring more than the server grants gains nothing.
        let wide = json!({ "maxResults": 90, "resourceTypes": { "*": ["read", "search-type"] }, "maxBytes": 100_000_000 });
        let mut client =
            Client::connect(restricted_server(), Carrier::Stdio, era, declaring(wide)).await;
        let page = content(
            &client
                .call(
                    &method("search"),
                    json!({ "type": "Observation", "count": 50 }),
                )
                .await,
        );
        assert_eq!(page["matches"].as_array().unwrap().len(), 5);
        for (verb, params) in [
            ("search", json!({ "type": "Condition" })),
            ("read", json!({ "reference": "Patient/x" })),
            ("read", json!({ "reference": "Condition/x" })),
        ] {
            assert_eq!(
                kind(&client.call(&method(verb), params).await),
                "not_negotiated"
            );
        }
    }
}

/// Who declares nothing gets no more than the server grants to those who do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_grants_holds_for_everyone() {
    for era in ERAS {
        let mut client = Client::connect(restricted_server(), Carrier::Stdio, era, None).await;
        let types = structured(&client.tool("fhir_capabilities", json!({})).await);
        assert_eq!(
            listed(&types),
            json!({ "Observation": ["read", "search-type"], "Patient": ["search-type"] })
        );
        let page = structured(
            &client
                .tool("fhir_search", json!({ "type": "Observation", "count": 50 }))
                .await,
        );
        assert_eq!(page["matches"].as_array().unwrap().len(), 5);
        let answer = client
            .tool("fhir_search", json!({ "type": "Condition" }))
            .await;
        assert_eq!(kind(&answer), "not_negotiated");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_that_do_not_meet_are_explained() {
    let declared = declaring(json!({ "fhirVersions": ["5.0.0"], "resourceTypes": {} }));
    let mut client = Client::connect(bundled(), Carrier::HttpSessions, Era::Modern, declared).await;
    let answer = client
        .call(&method("search"), json!({ "type": "Patient" }))
        .await;
    let data = &answer.refused(-32021, 400)["data"];
    let fields: Vec<_> = data["mismatch"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["fhirVersions", "resourceTypes"], "{data}");
    assert_eq!(
        data["requiredCapabilities"]["extensions"][ID]["fhirVersions"],
        json!(["4.0.1"])
    );
    let passing = Some(data["requiredCapabilities"]["extensions"].clone());
    let mut client = client.beside(Era::Modern, passing).await;
    client
        .call(&method("search"), json!({ "type": "Patient" }))
        .await
        .result();
}

async fn client_of(server: Server, era: Era) -> Client {
    Client::connect(server, Carrier::Stdio, era, declaring(json!({}))).await
}

/// The reference of some resource.
async fn first(client: &mut Client, resource_type: &str) -> String {
    let page = client
        .call(
            &method("search"),
            json!({ "type": resource_type, "count": 1 }),
        )
        .await;
    page.result()["matches"][0]["reference"]
        .as_str()
        .unwrap()
        .to_owned()
}

// --- pages -------------------------------------------------------------------------------------------------------

/// Walks all pages and gives the references, in order.
async fn walk(client: &mut Client, query: &Value, tools: bool) -> Vec<String> {
    let mut references = Vec::new();
    let mut params = query.clone();
    loop {
        let page = if tools {
            structured(&client.tool("fhir_search", params.clone()).await)
        } else {
            content(&client.call(&method("search"), params.clone()).await)
        };
        let matches = page["matches"].as_array().unwrap();
        references.extend(
            matches
                .iter()
                .map(|m| m["reference"].as_str().unwrap().to_owned()),
        );
        let Some(cursor) = page.get("nextCursor") else {
            let total = page["total"]["value"].as_u64().unwrap();
            assert_eq!(references.len() as u64, total, "{query}");
            return references;
        };
        assert!(!matches.is_empty(), "a page with a cursor moves on");
        params = query.clone();
        params.as_object_mut().unwrap().remove("count");
        params["cursor"] = cursor.clone();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_walk_to_the_end() {
    let query = json!({ "type": "Observation", "sort": ["-date", "code"], "count": 7 });
    let mut client = client_of(bundled(), Era::Modern).await;
    let by_method = walk(&mut client, &query, false).await;
    let by_tool = walk(&mut client, &query, true).await;
    assert_eq!(by_method, by_tool);
    assert_eq!(
        by_method.iter().collect::<BTreeSet<_>>().len(),
        by_method.len(),
        "each once"
    );
    assert_eq!(by_method.len(), 208);
    // The negotiated bound makes more pages of the same.
    let narrow = declaring(json!({ "maxResults": 3 }));
    let mut client = Client::connect(bundled(), Carrier::HttpStateless, Era::Modern, narrow).await;
    let query = json!({ "type": "Patient", "sort": ["birthdate"], "count": 50 });
    assert_eq!(walk(&mut client, &query, false).await.len(), 16);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn req_14_cursors_of_others_are_refused() {
    let query = json!({ "type": "Observation", "params": [{ "name": "status", "values": ["final"] }], "count": 5 });
    let with = |query: &Value, cursor: &str| {
        let mut query = query.clone();
        query.as_object_mut().unwrap().remove("count");
        query["cursor"] = json!(cursor);
        query
    };
    for era in ERAS {
        let mut client = client_of(bundled(), era).await;
        let page = client.call(&method("search"), query.clone()).await;
        let cursor = page.result()["nextCursor"].as_str().unwrap().to_owned();
        let mut elsewhere = client_of(bundled(), era).await;
        let foreign = elsewhere.call(&method("search"), query.clone()).await;
        let foreign = foreign.result()["nextCursor"].as_str().unwrap().to_owned();
        let mut flipped = cursor.clone().into_bytes();
        flipped[40] = if flipped[40] == b'A' { b'B' } else { b'A' };
        let flipped = String::from_utf8(flipped).unwrap();

        let mut refused = vec![
            with(&query, &foreign),
            with(&query, &flipped),
            with(&query, &cursor[..cursor.len() - 1]),
            with(&query, ""),
            with(&query, "http://example.org/next?page=2"),
            with(&query, &"A".repeat(5000)),
            with(&query, "\u{0}\u{202e}"),
        ];
        let mut other = query.clone();
        other["type"] = json!("DiagnosticReport");
        refused.push(with(&other, &cursor));
        let mut other = query.clone();
        other["params"][0]["values"] = json!(["preliminary"]);
        refused.push(with(&other, &cursor));
        let mut other = query.clone();
        other["sort"] = json!(["date"]);
        refused.push(with(&other, &cursor));
        let mut other = with(&query, &cursor);
        other["count"] = json!(6);
        refused.push(other);
        for params in refused {
            let answer = client.call(&method("search"), params.clone()).await;
            answer.refused(42009, 200);
            assert_eq!(kind(&answer), "invalid_cursor", "{params}");
            let answer = client.tool("fhir_search", params.clone()).await;
            assert_eq!(kind(&answer), "invalid_cursor", "{params}");
        }
        client
            .call(&method("search"), with(&query, &cursor))
            .await
            .result();
    }
}

// --- who sees what -----------------------------------------------------------------------------------------------

const MARKER: &str = "zqmarker";

/// The resources of one patient, with `mark` wherever something is searched by.
fn resources_of(patient: &str, mark: &str, date: &str) -> Vec<String> {
    let code = json!({ "coding": [{ "system": format!("http://{mark}.example"), "code": mark }], "text": mark });
    let subject = json!({ "reference": format!("Patient/{patient}"), "display": mark });
    let mut resources = vec![json!({
        "resourceType": "Patient", "id": patient, "birthDate": date, "gender": "female",
        "name": [{ "family": mark, "given": [mark] }], "identifier": [{ "system": "urn:x", "value": mark }],
        "address": [{ "city": mark, "country": mark, "postalCode": mark, "state": mark, "use": "home" }],
        "telecom": [{ "system": "email", "value": mark }, { "system": "phone", "value": mark }],
    })];
    for n in 0..3 {
        resources.push(json!({
            "resourceType": "Observation", "id": format!("o{n}-{patient}"), "status": "final", "code": code, "subject": subject,
            "category": [code], "effectiveDateTime": date, "valueQuantity": { "value": 7, "unit": mark, "code": mark },
            "meta": { "versionId": mark, "lastUpdated": format!("{date}T00:00:00Z") },
        }));
    }
    for kind in [
        "Condition",
        "Encounter",
        "MedicationRequest",
        "AllergyIntolerance",
        "Immunization",
        "Procedure",
        "DiagnosticReport",
    ] {
        resources.push(json!({
            "resourceType": kind, "id": format!("r-{patient}"), "status": "active", "code": code, "subject": subject,
            "patient": subject, "identifier": [{ "value": mark }], "onsetDateTime": date, "effectiveDateTime": date,
            "authoredOn": date, "recordedDate": date, "occurrenceDateTime": date, "performedDateTime": date,
            "class": code["coding"][0], "medicationCodeableConcept": code, "vaccineCode": code,
        }));
    }
    resources.iter().map(Value::to_string).collect()
}

/// Each principal sees the patient of their name, nurse and doctor the same one; nobody else sees anything.
fn clinic(resources: &[String]) -> Server {
    let store = store(resources).with_cursor_key(CursorKey::from_bytes([7; 32]));
    let fhir = FhirServer::with_scope(store, |principal| {
        let patient = match principal.map(|p| p.id()) {
            Some("nurse" | "doctor") => "mine",
            Some(patient) => patient,
            None => return AccessScope::none(),
        };
        AccessScope::patient(patient).unwrap_or(AccessScope::none())
    });
    serving(fhir, FhirSettings::r4())
}

async fn seen_by(server: Server, user: Option<&str>) -> Client {
    let declared = declaring(json!({}));
    let mut client = Client::connect(server, Carrier::HttpStateless, Era::Modern, declared).await;
    client
        .headers
        .extend(user.map(|user| (USER, user.to_owned())));
    client
}

/// Every search parameter of every type, each with values that only the other patient has.
async fn prying(client: &mut Client) -> Vec<(&'static str, Value)> {
    let mut calls = Vec::new();
    let types = content(&client.call(&method("capabilities"), json!({})).await);
    let mut names: BTreeSet<String> = types["types"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["type"].as_str().unwrap().to_owned())
        .collect();
    names.extend(["Practitioner".to_owned(), "Coverage".to_owned()]);
    for name in names {
        let asked = client
            .call(&method("capabilities"), json!({ "type": name }))
            .await;
        calls.push(("capabilities", json!({ "type": name })));
        calls.push(("search", json!({ "type": name })));
        calls.push(("search", json!({ "type": name, "count": 0 })));
        let Some(described) = asked
            .frame
            .pointer("/result/types/0/searchParams")
            .and_then(Value::as_array)
        else {
            continue;
        };
        for param in described {
            let search = param["name"].as_str().unwrap();
            let values: &[&str] = match param["type"].as_str().unwrap() {
                "date" => &["2031-05-06", "ge2031", "ne2031-05-06", "lt1900"],
                "quantity" => &[
                    "7",
                    "gt6",
                    "7||zqmarker",
                    "7|http://zqmarker.example|zqmarker",
                ],
                "reference" => &["Patient/other", "other", "http://x.example/Patient/other"],
                _ => &[
                    "zqmarker",
                    "http://zqmarker.example|zqmarker",
                    "zqm",
                    "|zqmarker",
                ],
            };
            for value in values {
                calls.push((
                    "search",
                    json!({ "type": name, "params": [{ "name": search, "values": [value] }] }),
                ));
            }
            for modifier in param["modifiers"].as_array().into_iter().flatten() {
                let value = if modifier == "missing" {
                    "false"
                } else {
                    values[0]
                };
                let condition = json!({ "name": search, "modifier": modifier, "values": [value] });
                calls.push(("search", json!({ "type": name, "params": [condition] })));
            }
            for sort in [search.to_owned(), format!("-{search}")] {
                calls.push((
                    "search",
                    json!({ "type": name, "sort": [sort], "count": 2 }),
                ));
            }
        }
        for id in ["other", "r-other", "o0-other", "zqmarker"] {
            calls.push(("read", json!({ "reference": format!("{name}/{id}") })));
            calls.push((
                "read",
                json!({ "reference": format!("{name}/{id}"), "versionId": "zqmarker" }),
            ));
            calls.push((
                "read",
                json!({ "reference": format!("{name}/{id}/_history/zqmarker") }),
            ));
            calls.push((
                "search",
                json!({ "type": name, "params": [{ "name": "_id", "values": [id] }] }),
            ));
        }
    }
    calls
}

/// Whatever a caller asks, the answer is the one of a server that has never had the other patient's records.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_patients_records_make_no_difference() {
    let mine = resources_of("mine", "plain", "2001-02-03");
    let both = [mine.clone(), resources_of("other", MARKER, "2031-05-06")].concat();
    for user in [Some("mine"), Some("stranger"), None] {
        let mut here = seen_by(clinic(&both), user).await;
        let mut without =
            seen_by(clinic(if user == Some("mine") { &mine } else { &[] }), user).await;
        let calls = prying(&mut seen_by(clinic(&both), Some("other")).await).await;
        assert!(calls.len() > 500, "{}", calls.len());
        let mut answered = 0;
        // Those who see nothing at all are asked fewer questions.
        let step = if user == Some("mine") { 1 } else { 5 };
        for (n, (verb, params)) in calls.into_iter().step_by(step).enumerate() {
            // Every fourth call as a tool.
            let (here, without) = if n % 4 == 0 {
                let tool = format!("fhir_{verb}");
                (
                    here.tool(&tool, params.clone()).await,
                    without.tool(&tool, params.clone()).await,
                )
            } else {
                (
                    here.call(&method(verb), params.clone()).await,
                    without.call(&method(verb), params.clone()).await,
                )
            };
            assert_eq!(here.status, without.status);
            let plain = |answer: &Answer| {
                let mut frame = answer.frame.clone();
                frame.as_object_mut().unwrap().remove("id");
                for at in ["/result", "/result/structuredContent"] {
                    if let Some(page) = frame.pointer_mut(at) {
                        *page = without_cursor(page.take());
                    }
                }
                // The text says what the structured content does, its cursor included.
                if let Some(text) = frame.pointer_mut("/result/content/0/text")
                    && let Ok(page) = serde_json::from_str(text.as_str().unwrap())
                {
                    *text = without_cursor(page);
                }
                frame
            };
            assert_eq!(plain(&here), plain(&without), "{user:?}: {verb} {params}");
            answered += usize::from(
                here.frame
                    .get("result")
                    .is_some_and(|r| r["isError"] != true),
            );
        }
        assert!(answered > 200 / step, "most calls are answered: {answered}");
    }
    // The other patient does see them, so that the calls above could have.
    let mut other = seen_by(clinic(&both), Some("other")).await;
    let page = content(
        &other
            .call(&method("search"), json!({ "type": "Observation" }))
            .await,
    );
    assert_eq!(page["total"]["value"], 3);
    assert!(page.to_string().contains(MARKER));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn req_11_a_cursor_is_its_callers_alone() {
    let both = [
        resources_of("mine", "plain", "2001-02-03"),
        resources_of("other", MARKER, "2031-05-06"),
    ]
    .concat();
    let mut client = seen_by(clinic(&both), Some("nurse")).await;
    let query = json!({ "type": "Observation", "sort": ["date"], "count": 1 });
    let page = content(&client.call(&method("search"), query.clone()).await);
    let next = json!({ "type": "Observation", "sort": ["date"], "cursor": page["nextCursor"] });
    // The doctor sees the same records, and still has to walk by himself.
    for user in ["doctor", "mine", "other", "stranger", ""] {
        client.headers = vec![(USER, user.to_owned())];
        let answer = client.call(&method("search"), next.clone()).await;
        answer.refused(42009, 200);
        let forged = json!({ "type": "Observation", "sort": ["date"], "cursor": "A".repeat(120) });
        let forged = client.call(&method("search"), forged).await;
        assert_eq!(answer.error(), forged.error(), "whose it is, is not told");
    }
    client.headers = vec![(USER, "nurse".to_owned())];
    let second = content(&client.call(&method("search"), next).await);
    assert_eq!(second["total"]["value"], 3);
    assert_ne!(second["matches"][0], page["matches"][0]);
}

// --- hostile params ----------------------------------------------------------------------------------------------

fn nested(levels: usize, array: bool) -> Value {
    (0..levels).fold(json!(1), |inner, _| {
        if array {
            json!([inner])
        } else {
            json!({ "a": inner })
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_params_get_exactly_their_answer() {
    let search = |extra: Value| {
        let mut params = json!({ "type": "Patient" });
        params
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        params
    };
    // Limits on the whole: refused before anything runs, for methods and tools alike.
    let whole = [
        (search(json!({ "params": nested(70, true) })), "too_deep"),
        (search(json!({ "params": nested(70, false) })), "too_deep"),
        (search(json!({ "x": "a".repeat(2 << 20) })), "too_large"),
        (
            search(json!({ "params": vec![json!({}); 400_000] })),
            "too_large",
        ),
    ];
    // Params that do not fit: every fault, with its place and, where one is near, the name that was meant.
    let misfits: Vec<(&str, Value, Vec<&str>, &str)> = vec![
        ("search", json!({}), vec!["/type"], ""),
        ("search", json!({ "type": null }), vec!["/type"], ""),
        ("search", json!({ "type": ["Patient"] }), vec!["/type"], ""),
        (
            "search",
            search(json!({ "params": "name=x" })),
            vec!["/params"],
            "",
        ),
        (
            "search",
            search(json!({ "params": [7, null, "x"] })),
            vec!["/params/0", "/params/1", "/params/2"],
            "",
        ),
        (
            "search",
            search(json!({ "params": [{ "name": "gender" }] })),
            vec!["/params/0/values"],
            "",
        ),
        (
            "search",
            search(json!({ "params": [{ "name": 1, "values": "x" }] })),
            vec!["/params/0/name", "/params/0/values"],
            "",
        ),
        ("search", search(json!({ "count": -1 })), vec!["/count"], ""),
        (
            "search",
            search(json!({ "count": 101 })),
            vec!["/count"],
            "",
        ),
        (
            "search",
            search(json!({ "count": 2.5 })),
            vec!["/count"],
            "",
        ),
        (
            "search",
            search(json!({ "count": u64::MAX })),
            vec!["/count"],
            "",
        ),
        (
            "search",
            search(json!({ "sort": "-date" })),
            vec!["/sort"],
            "",
        ),
        (
            "search",
            search(json!({ "parms": [] })),
            vec!["/parms"],
            "params",
        ),
        (
            "search",
            search(json!({ "Count": 5, "cursr": "x" })),
            vec!["/Count", "/cursr"],
            "cursor",
        ),
        (
            "read",
            json!({ "refrence": "Patient/1" }),
            vec!["/reference", "/refrence"],
            "reference",
        ),
        (
            "read",
            json!({ "reference": "Patient/1", "parsed": "yes" }),
            vec!["/parsed"],
            "",
        ),
        ("capabilities", json!({ "type": {} }), vec!["/type"], ""),
    ];
    // Fitting params that FHIR does not allow: an own error.
    let wrong: Vec<(&str, Value, i64, &str)> = vec![
        ("search", json!({ "type": "Patients" }), 42001, "Patient"),
        ("search", json!({ "type": "" }), 42001, ""),
        (
            "search",
            search(json!({ "params": [{ "name": "brithdate", "values": ["2000"] }] })),
            42002,
            "birthdate",
        ),
        (
            "search",
            search(json!({ "params": [{ "name": "_include", "values": ["*"] }] })),
            42002,
            "",
        ),
        (
            "search",
            search(json!({ "params": [{ "name": "name", "modifier": "exat", "values": ["x"] }] })),
            42003,
            "exact",
        ),
        (
            "search",
            search(json!({ "params": [{ "name": "birthdate", "values": ["xx2000"] }] })),
            42004,
            "",
        ),
        (
            "search",
            search(json!({ "params": [{ "name": "birthdate", "values": ["2000-13"] }] })),
            42005,
            "",
        ),
        (
            "search",
            search(json!({ "params": [{ "name": "gender", "values": [] }] })),
            42005,
            "",
        ),
        (
            "search",
            search(json!({ "params": [{ "name": "gender", "values": vec!["x"; 5000] }] })),
            42006,
            "",
        ),
        (
            "search",
            search(json!({ "params": vec![json!({ "name": "gender", "values": ["x"] }); 500] })),
            42006,
            "",
        ),
        (
            "search",
            search(json!({ "sort": ["birhtdate"] })),
            42008,
            "birthdate",
        ),
        ("read", json!({ "reference": "Patient" }), 42010, ""),
        (
            "read",
            json!({ "reference": "../../etc/passwd" }),
            42010,
            "",
        ),
        (
            "read",
            json!({ "reference": "Patient/1; DROP TABLE resource" }),
            42010,
            "",
        ),
        (
            "read",
            json!({ "reference": "Patient/1", "versionId": "no version" }),
            42011,
            "",
        ),
        ("read", json!({ "reference": "Patient/nobody" }), 42012, ""),
    ];
    for (carrier, era) in [
        (Carrier::Stdio, Era::Modern),
        (Carrier::Stdio, Era::Legacy),
        (Carrier::HttpSessions, Era::Modern),
        (Carrier::HttpSessions, Era::Legacy),
    ] {
        let mut client = Client::connect(bundled(), carrier, era, declaring(json!({}))).await;
        let large = if era == Era::Modern { &whole[..] } else { &[] };
        for (params, expected) in large {
            for answer in [
                client.call(&method("search"), params.clone()).await,
                client.tool("fhir_search", params.clone()).await,
            ] {
                let data = &answer.refused(-32602, 200)["data"];
                assert_eq!(
                    (&data["extension"], &data["kind"]),
                    (&json!(ID), &json!(expected))
                );
                assert!(data["limit"].is_u64());
                assert!(answer.frame.to_string().len() < 1000);
            }
        }
        for (verb, params, pointers, suggestion) in &misfits {
            let answer = client.call(&method(verb), params.clone()).await;
            let data = &answer.refused(-32602, 200)["data"];
            let tool = client.tool(&format!("fhir_{verb}"), params.clone()).await;
            assert_eq!(tool.result()["isError"], true);
            let error = &tool.result()["structuredContent"]["error"];
            for seen in [data, error] {
                assert_eq!(
                    (&seen["extension"], &seen["kind"]),
                    (&json!(ID), &json!("invalid_params")),
                    "{params}"
                );
                let faults = seen["faults"].as_array().unwrap();
                let mut places: Vec<_> = faults
                    .iter()
                    .map(|f| f["pointer"].as_str().unwrap())
                    .collect();
                places.sort_unstable();
                assert_eq!(places, *pointers, "{verb} {params}: {seen}");
                let words = seen["faults"].to_string();
                assert!(words.contains(suggestion), "{params}: {words}");
                assert!(
                    !words.contains("Patient/1") && !words.contains("name=x"),
                    "values are not repeated: {words}"
                );
            }
            let text = tool.result()["content"][0]["text"].as_str().unwrap();
            assert!(
                text.contains(suggestion) && text.len() <= 8 * 1024,
                "{text}"
            );
        }
        for (verb, params, code, suggestion) in &wrong {
            let answer = client.call(&method(verb), params.clone()).await;
            let error = answer.refused(*code, 200);
            assert_eq!(error["data"]["extension"], ID);
            assert!(
                error["message"].as_str().unwrap().contains(suggestion),
                "{error}"
            );
            let tool = client.tool(&format!("fhir_{verb}"), params.clone()).await;
            assert_eq!(kind(&tool), kind(&answer));
            let text = tool.result()["content"][0]["text"].as_str().unwrap();
            assert_eq!(text, error["message"]);
            assert!(text.len() < 600, "{text}");
        }
        // The server goes on.
        client
            .call(&method("search"), json!({ "type": "Patient" }))
            .await
            .result();
    }
}

/// However many faults there are, the answer stays small.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_faults_make_a_small_answer() {
    let mut client = client_of(bundled(), Era::Modern).await;
    let unknown: Value = (0..20_000).map(|n| (format!("k{n}"), json!(1))).collect();
    for params in [json!(vec![json!({}); 100_000]), json!([unknown])] {
        let many = json!({ "type": "Patient", "params": params });
        let answer = client.call(&method("search"), many.clone()).await;
        assert_eq!(
            answer.refused(-32602, 200)["data"]["kind"],
            "invalid_params"
        );
        let tool = client.tool("fhir_search", many).await;
        for frame in [&answer.frame, &tool.frame] {
            let length = frame.to_string().len();
            assert!(length < 32 * 1024, "{length}");
        }
    }
}
