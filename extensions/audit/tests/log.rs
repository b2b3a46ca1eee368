//! The block and its log: what is recorded of every way a call can end, and what never is.

mod common;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::scratch::Scratch;
use common::{PLACE, Rig, WHISPER};
use futures_lite::future::{block_on, poll_once};
use mcp_ext_audit::{Comparison, Erase, Erased, Record, Verifier, Who, verify};
use mcp_ext_core::Principal;
use mcp_ext_store::{ManualClock, Store};
use serde_json::{Value, json};

/// 2026-11-24T09:00:00.000Z
const NOW: i64 = 1_795_510_800_000;

fn rig(scratch: &Scratch) -> Rig {
    Rig::new(store(scratch), |audit| audit)
}

fn store(scratch: &Scratch) -> Store {
    Store::builder()
        .clock(ManualClock::at(NOW))
        .wait(Duration::from_millis(300))
        .open(scratch.file())
        .unwrap()
}

fn verified(rig: &Rig) {
    for segment in rig.audit.segments().unwrap() {
        let mut export = Vec::new();
        let head = rig.audit.export(&segment.name, &mut export).unwrap();
        let verifier = Verifier::new().against(head.clone());
        let whole = verify(&export[..], verifier.clone()).unwrap().unwrap();
        assert_eq!(whole.records, segment.records);
        assert_eq!(
            rig.audit.verify_segment(&segment.name, verifier).unwrap(),
            Ok(whole)
        );
        assert_eq!(rig.audit.head(&segment.name).unwrap(), head);
    }
}

#[test]
fn an_intent_before_and_an_outcome_after() {
    let scratch = Scratch::new("audit");
    let rig = rig(&scratch);
    rig.order("tea", "").unwrap();
    assert_eq!(rig.story(), ["deferred -", "allowed returned"]);
    let records = rig.records();
    let [intent, outcome] = &records[..] else {
        panic!("{records:?}")
    };
    assert_eq!(intent["occurred_at"], "2026-11-24T09:00:00.000Z");
    assert_eq!(intent["tool_name"], "place_order");
    assert_eq!(intent["event_type"], "tool_call");
    assert_eq!(intent["previous_hash"], Value::Null);
    assert_eq!(outcome["previous_hash"], intent["event_hash"]);
    assert_ne!(intent["event_id"], outcome["event_id"]);
    let governance = |record: &Value| record["extensions"]["caller-governance"].clone();
    assert_eq!(
        governance(intent)["session_id"],
        governance(outcome)["session_id"]
    );
    assert_eq!(governance(intent)["purpose_declared"], "unspecified");
    assert_eq!(governance(outcome)["flagged"], false);
    verified(&rig);
    assert_eq!(rig.orders(), ["tea"]);
}

#[test]
fn every_way_a_call_can_end_is_recorded() {
    let scratch = Scratch::new("audit");
    let rig = rig(&scratch);
    for (end, wanted, kept) in [
        ("", "allowed returned", true),
        ("sold out", "allowed failed:sold_out", false),
        ("panic", "error panicked", false),
        (
            "refuse",
            "denied refused:com.example/guard:not_allowed",
            false,
        ),
        (
            "withhold",
            "denied withheld:com.example/guard:not_allowed",
            true,
        ),
        ("ask", "deferred input_required", false),
        ("reject", "denied rejected:-32602", false),
        ("break", "error panicked", false),
    ] {
        let before = rig.orders().len();
        let _ = rig.order("tea", end);
        let story = rig.story();
        assert_eq!(story[story.len() - 2], "deferred -", "{end}");
        assert_eq!(story[story.len() - 1], wanted, "{end}");
        assert_eq!(
            rig.orders().len() - before,
            usize::from(kept),
            "{end}: the effect of a failed handler"
        );
    }
    let params = json!({"name": "place_order", "arguments": {"itme": 1}});
    let _ = block_on(rig.ask(None, "tools/call", params, json!({}), json!({})));
    assert_eq!(rig.story().last().unwrap(), "denied invalid_params");
    verified(&rig);
    assert!(rig.audit.unfinished(10).unwrap().is_empty());
}

#[test]
fn a_call_that_is_given_up_is_recorded_as_abandoned_and_its_effect_undone() {
    let scratch = Scratch::new("audit");
    let rig = rig(&scratch);
    let params = json!({"name": "place_order", "arguments": {"item": "tea", "end": "wait"}});
    block_on(async {
        let mut call = Box::pin(rig.ask(None, "tools/call", params, json!({}), json!({})));
        let began = Instant::now();
        // Until the handler has written and waits.
        while began.elapsed() < Duration::from_millis(300) {
            assert!(poll_once(&mut call).await.is_none());
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let began = Instant::now();
    while rig.story().len() < 2 && began.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(rig.story(), ["deferred -", "error abandoned"]);
    assert!(rig.orders().is_empty());
    verified(&rig);
    rig.order("tea", "").unwrap();
    verified(&rig);
}

#[test]
fn an_effect_whose_record_fails_is_undone_and_the_answer_says_so() {
    let scratch = Scratch::new("audit");
    let rig = rig(&scratch);
    let result = rig.order("tea", "inner record fails").unwrap();
    assert_eq!(result["isError"], true);
    assert_eq!(
        result["structuredContent"]["error"]["kind"],
        "outcome_not_recorded"
    );
    assert!(rig.orders().is_empty());
    assert_eq!(
        rig.story(),
        ["deferred -", "error rolled_back:store_rolled_back"]
    );
    verified(&rig);
}

#[test]
fn what_cannot_be_recorded_first_is_not_begun() {
    let scratch = Scratch::new("audit");
    let rig = rig(&scratch);
    let other = mcp_ext_store::rusqlite::Connection::open(scratch.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let result = rig.order("tea", "").unwrap();
    assert_eq!(result["isError"], true);
    let error = &result["structuredContent"]["error"];
    assert_eq!(error["kind"], "not_recorded");
    assert_eq!(error["retryable"], true);
    assert!(
        result["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("store_busy")
    );
    other.execute_batch("COMMIT").unwrap();
    assert!(rig.orders().is_empty() && rig.records().is_empty());
}

#[test]
fn or_goes_ahead_if_the_server_says_so_and_that_is_told() {
    let scratch = Scratch::new("audit");
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = told.clone();
    let rig = Rig::new(store(&scratch), |audit| {
        audit.proceed_unrecorded(move |error| listener.lock().unwrap().push(error.kind()))
    });
    let other = mcp_ext_store::rusqlite::Connection::open(scratch.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let asked = std::thread::spawn({
        let rig = rig.clone();
        move || rig.order("tea", "")
    });
    let began = Instant::now();
    while told.lock().unwrap().is_empty() && began.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(5));
    }
    other.execute_batch("COMMIT").unwrap();
    let result = asked.join().unwrap().unwrap();
    assert_eq!(result["structuredContent"]["item"], "tea");
    assert_eq!(*told.lock().unwrap(), ["store_busy"]);
    assert!(rig.records().is_empty());
}

#[test]
fn receipts_are_for_those_who_declare_audit() {
    let scratch = Scratch::new("audit");
    let rig = rig(&scratch);
    let params = json!({"name": "place_order", "arguments": {"item": "tea"}});
    let plain =
        block_on(rig.ask(None, "tools/call", params.clone(), json!({}), json!({}))).unwrap();
    assert!(
        plain["_meta"].get("io.github.mcp-ext/audit").is_none(),
        "{plain}"
    );
    let declared = json!({"io.github.mcp-ext/audit": {}, "com.example/shop": {}});
    let more = json!({"io.github.mcp-ext/audit": {"turnId": "turn-7", "userIntent": "drink"}});
    let result = block_on(rig.ask(None, "tools/call", params, declared.clone(), more)).unwrap();
    let receipt = &result["_meta"]["io.github.mcp-ext/audit"];
    let records = rig.records();
    let last = records.last().unwrap();
    assert_eq!(receipt["eventId"], last["event_id"]);
    assert_eq!(receipt["eventHash"], last["event_hash"]);
    assert_eq!(receipt["previousHash"], last["previous_hash"]);
    assert_eq!(receipt["occurredAt"], last["occurred_at"]);
    assert_eq!(receipt["outcome"], "allowed");
    assert_eq!(receipt["canonicalForm"], "audit-record-contract/1");
    assert_eq!(receipt["turnId"], "turn-7");
    assert_eq!(
        receipt["segment"],
        rig.audit.segments().unwrap()[0].name.as_str()
    );
    // A refused tool has one too, and a method.
    let refused = rig.order("tea", "refuse").unwrap();
    assert_eq!(
        refused["_meta"]["io.github.mcp-ext/audit"]["outcome"],
        "denied"
    );
    let method =
        block_on(rig.ask(None, PLACE, json!({"item": "tea"}), declared, json!({}))).unwrap();
    assert_eq!(
        method["_meta"]["io.github.mcp-ext/audit"]["outcome"],
        "allowed"
    );
    assert_eq!(rig.records().last().unwrap()["tool_name"], PLACE);
}

#[test]
fn purposes_are_recorded_as_listed_codes_only() {
    let scratch = Scratch::new("audit");
    let rig = rig(&scratch);
    let purpose = |meta: Value| {
        let params = json!({"name": "place_order", "arguments": {"item": "tea"}});
        block_on(rig.ask(None, "tools/call", params, json!({}), meta)).unwrap();
        rig.records().last().unwrap()["extensions"]["caller-governance"]["purpose_declared"].clone()
    };
    assert_eq!(purpose(json!({})), "unspecified");
    assert_eq!(
        purpose(json!({"io.github.mcp-ext/audit": {"purpose": "TREAT"}})),
        "TREAT"
    );
    assert_eq!(
        purpose(json!({"io.github.mcp-ext/purpose": {"code": "HRESCH"}})),
        "HRESCH"
    );
    assert_eq!(
        purpose(json!({"io.github.mcp-ext/audit": {"purpose": "for Ann"}})),
        "unlisted"
    );
    assert_eq!(
        purpose(json!({"io.github.mcp-ext/audit": {"purpose": "x\ny"}})),
        "unlisted"
    );
    assert_eq!(
        purpose(json!({"io.github.mcp-ext/audit": "nonsense"})),
        "unspecified"
    );
}

#[test]
fn a_policy_that_refuses_is_named() {
    let scratch = Scratch::new("audit");
    let rig = rig(&scratch);
    rig.order("tea", "policy").unwrap();
    rig.order("tea", "").unwrap();
    let named: Vec<Value> = rig
        .records()
        .iter()
        .map(|record| record["extensions"]["runtime-security"]["policy_id"].clone())
        .collect();
    let own = "io.github.mcp-ext/audit@1";
    assert_eq!(named, [own, "example.org/opening-hours@2", own, own]);
    verified(&rig);
}

#[test]
fn no_personal_data_in_records_and_none_in_the_store_once_erased() {
    let scratch = Scratch::new("audit");
    let rig = rig(&scratch);
    let marker = "Zebulon-4711";
    let who = Principal::new(format!("{marker}@example.org")).in_tenant("clinic-1");
    let declared = json!({"io.github.mcp-ext/audit": {}, "com.example/shop": {}});
    let more = json!({"io.github.mcp-ext/audit": {
        "userIntent": marker, "invocationReason": marker, "model": marker, "purpose": marker, "turnId": marker,
    }});
    for end in ["", "sold out", "refuse", "panic", "labelled", marker] {
        let params = json!({"name": "place_order", "arguments": {"item": marker, "end": end}});
        let _ = block_on(rig.ask(
            Some(who.clone()),
            "tools/call",
            params,
            declared.clone(),
            more.clone(),
        ));
    }
    let _ = block_on(rig.ask(
        Some(who.clone()),
        WHISPER,
        json!({"item": marker}),
        declared,
        more,
    ));
    let export = rig.export();
    assert_eq!(export.lines().count(), 14);
    assert!(
        !export.contains(marker) && !export.contains("clinic-1") && !export.contains("Ann"),
        "{export}"
    );
    assert!(export.contains("pii,financial") || export.contains("financial,pii"));

    // What may be forgotten: the handler's own table, whose rows are its own affair, is emptied here.
    rig.store
        .write_blocking(|db| db.execute("DELETE FROM orders", []))
        .unwrap();
    let erased = rig
        .audit
        .erase(
            Some("clinic-1"),
            Erase::Subject(&format!("Customer/{marker}")),
        )
        .unwrap();
    assert!(erased.known && erased.calls >= 3, "{erased:?}");
    rig.audit
        .erase(
            Some("clinic-1"),
            Erase::Principal(&format!("{marker}@example.org")),
        )
        .unwrap();
    for file in std::fs::read_dir(scratch.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(marker.len()).any(|w| w == marker.as_bytes()));
    }
    assert_eq!(rig.export(), export, "the records are as they were");
    verified(&rig);
}

#[test]
fn erasure_makes_digests_and_pseudonyms_say_nothing() {
    let scratch = Scratch::new("audit");
    let rig = rig(&scratch);
    let ann = Principal::new("ann").in_tenant("t");
    let bob = Principal::new("bob").in_tenant("t");
    let call = |who: &Principal, item: &str| {
        let params = json!({"name": "place_order", "arguments": {"item": item}});
        block_on(rig.ask(
            Some(who.clone()),
            "tools/call",
            params,
            json!({}),
            json!({}),
        ))
        .unwrap()["structuredContent"]
            .clone()
    };
    let results = [call(&ann, "tea"), call(&bob, "tea"), call(&bob, "milk")];
    let records = rig.records();
    let id = |i: usize| records[i]["event_id"].as_str().unwrap().to_owned();
    let params = json!({"item": "tea"});
    let compare = |i: usize, payload: &Value| rig.audit.compare(&id(i), payload).unwrap();
    assert_eq!(compare(0, &params), Comparison::Same);
    assert_eq!(compare(0, &json!({"item": "milk"})), Comparison::Different);
    assert_eq!(compare(1, &results[0]), Comparison::Same);
    assert_eq!(compare(1, &params), Comparison::Different);
    assert_eq!(
        rig.audit.compare("no such record", &params).unwrap(),
        Comparison::Unverifiable
    );
    // The same params of two calls have two digests: nobody sees that they are the same.
    let evidence = |i: usize| records[i]["extensions"]["runtime-security"]["evidence_hash"].clone();
    assert_ne!(evidence(0), evidence(2));

    let pseudonym = |i: usize| records[i]["principal_id"].as_str().unwrap().to_owned();
    let who = rig.audit.who(&pseudonym(0)).unwrap().unwrap();
    assert_eq!(
        who,
        Who::Principal {
            tenant: Some("t".into()),
            id: Some("ann".into())
        }
    );
    let sources = |i: usize| -> Vec<String> {
        let text = records[i]["extensions"]["caller-governance"]["sources_touched"]
            .as_str()
            .unwrap();
        serde_json::from_str(text).unwrap()
    };
    assert_eq!(sources(1), sources(3), "one customer has one pseudonym");
    let customer = Who::Subject {
        tenant: Some("t".into()),
        name: "Customer/tea".into(),
    };
    assert_eq!(rig.audit.who(&sources(1)[0]).unwrap(), Some(customer));

    // The customer is forgotten: in the calls of both callers, and in no other.
    let erased = rig
        .audit
        .erase(Some("t"), Erase::Subject("Customer/tea"))
        .unwrap();
    assert_eq!(
        erased,
        Erased {
            known: true,
            calls: 2
        }
    );
    assert_eq!(rig.audit.who(&sources(1)[0]).unwrap(), None);
    for i in [0, 1, 2, 3] {
        assert_eq!(compare(i, &params), Comparison::Unverifiable);
    }
    assert_eq!(compare(4, &json!({"item": "milk"})), Comparison::Same);
    assert!(rig.audit.who(&pseudonym(2)).unwrap().is_some());

    // A caller is forgotten; of another tenant nobody is.
    assert_eq!(
        rig.audit.erase(None, Erase::Principal("bob")).unwrap(),
        Erased::default()
    );
    let erased = rig.audit.erase(Some("t"), Erase::Principal("bob")).unwrap();
    assert_eq!(
        erased,
        Erased {
            known: true,
            calls: 1
        }
    );
    assert_eq!(rig.audit.who(&pseudonym(2)).unwrap(), None);
    assert_eq!(
        compare(4, &json!({"item": "milk"})),
        Comparison::Unverifiable
    );
    verified(&rig);
    call(&bob, "milk");
    assert_ne!(
        rig.records()[6]["principal_id"],
        records[2]["principal_id"],
        "he comes back as a stranger"
    );
    verified(&rig);
}

#[test]
fn sensitive_items_leave_no_digest() {
    let scratch = Scratch::new("audit");
    let rig = rig(&scratch);
    let declared = json!({"com.example/shop": {}});
    block_on(rig.ask(None, WHISPER, json!({"item": "tea"}), declared, json!({}))).unwrap();
    for record in rig.records() {
        assert!(
            record["extensions"].get("runtime-security").is_none(),
            "{record}"
        );
    }
    verified(&rig);
}

#[test]
fn the_store_refuses_every_change_of_a_record() {
    let scratch = Scratch::new("audit");
    let rig = rig(&scratch);
    rig.order("tea", "").unwrap();
    rig.order("milk", "").unwrap();
    let export = rig.export();
    let copy = "segment, seq, event_id, principal, call, stage, event_hash, previous_hash, line";
    for statement in [
        "UPDATE audit_record SET line = 'x'".to_owned(),
        "UPDATE OR REPLACE audit_record SET seq = 1 WHERE seq = 2".to_owned(),
        "DELETE FROM audit_record".to_owned(),
        "DELETE FROM audit_record WHERE seq = 4".to_owned(),
        "INSERT OR REPLACE INTO audit_record SELECT * FROM audit_record WHERE seq = 1".to_owned(),
        format!("INSERT OR REPLACE INTO audit_record ({copy}) SELECT {copy} FROM audit_record WHERE seq = 4"),
        "INSERT INTO audit_record (segment, seq, event_id, principal, call, stage, event_hash, previous_hash, line)
            SELECT segment, 9, 'e', principal, 'c', 'intent', 'h', event_hash, 'l' FROM audit_record WHERE seq = 4".to_owned(),
        "INSERT INTO audit_record (segment, seq, event_id, principal, call, stage, event_hash, previous_hash, line)
            SELECT segment, 5, 'e', principal, 'c', 'intent', 'h', NULL, 'l' FROM audit_record WHERE seq = 4".to_owned(),
        "INSERT OR REPLACE INTO audit_record (segment, seq, event_id, principal, call, stage, event_hash, previous_hash, line)
            SELECT segment, 5, event_id, principal, 'c', 'intent', 'h', event_hash, 'l' FROM audit_record WHERE seq = 4".to_owned(),
        "INSERT OR REPLACE INTO audit_record (id, segment, seq, event_id, principal, call, stage, event_hash, previous_hash, line)
            SELECT id, segment, 5, 'e', principal, 'c', 'intent', 'h', event_hash, 'l' FROM audit_record WHERE seq = 4".to_owned(),
        "DELETE FROM audit_segment".to_owned(),
    ] {
        let sql = statement.clone();
        let refused = rig.store.write_blocking(move |db| db.execute(&sql, []));
        assert!(refused.is_err(), "{statement}");
        assert_eq!(rig.export(), export, "{statement}");
    }
    rig.order("tea", "").unwrap();
    verified(&rig);
}

#[test]
fn what_was_done_behind_the_triggers_is_found() {
    for (index, kind, tamper) in [
        (
            2,
            "hash_mismatch",
            "UPDATE audit_record SET line = replace(line, 'TREAT', 'BTG') WHERE seq = 3",
        ),
        (1, "chain_gap", "DELETE FROM audit_record WHERE seq = 2"),
        (
            4,
            "chain_gap",
            "UPDATE audit_record SET line = (SELECT line FROM audit_record WHERE seq = 6) WHERE seq = 5",
        ),
        (
            4,
            "replayed",
            "UPDATE audit_record SET line = (SELECT line FROM audit_record WHERE seq = 2) WHERE seq = 5",
        ),
        (6, "cut", "DELETE FROM audit_record WHERE seq > 6"),
    ] {
        let scratch = Scratch::new("audit");
        let rig = rig(&scratch);
        let params = json!({"name": "place_order", "arguments": {"item": "tea"}});
        let more = json!({"io.github.mcp-ext/audit": {"purpose": "TREAT"}});
        for _ in 0..4 {
            block_on(rig.ask(None, "tools/call", params.clone(), json!({}), more.clone())).unwrap();
        }
        let segment = rig.audit.segments().unwrap()[0].name.clone();
        let head = rig.audit.head(&segment).unwrap();
        rig.store
            .write_blocking(|db| {
                db.execute_batch(
                    "DROP TRIGGER audit_record_update; DROP TRIGGER audit_record_delete",
                )?;
                db.execute(tamper, [])
            })
            .unwrap();
        let found = rig
            .audit
            .verify_segment(&segment, Verifier::new().against(head))
            .unwrap()
            .unwrap_err();
        assert_eq!(
            (found.index, found.reason.kind()),
            (index, kind),
            "{tamper}"
        );
        let told = rig.audit(None, "verify", json!({})).unwrap();
        if kind != "cut" {
            assert_eq!(told["ok"], false);
            assert_eq!(told["firstBroken"], json!({"index": index, "reason": kind}));
        }
    }
}

#[test]
fn everyone_reads_their_own_and_an_auditor_the_chain_of_the_tenant() {
    let scratch = Scratch::new("audit");
    let rig = Rig::new(store(&scratch), |audit| {
        audit.auditors(|who| who.is_some_and(|p| p.id() == "auditor"))
    });
    let person =
        |id: &'static str, tenant: &'static str| Some(Principal::new(id).in_tenant(tenant));
    let order = |who: Option<Principal>| {
        let params = json!({"name": "place_order", "arguments": {"item": "tea"}});
        block_on(rig.ask(who, "tools/call", params, json!({}), json!({}))).unwrap();
    };
    for _ in 0..3 {
        order(person("ann", "one"));
        order(person("bob", "one"));
        order(person("ann", "two"));
        order(None);
    }
    let count = |who: Option<Principal>| {
        rig.audit(who, "records", json!({"limit": 100})).unwrap()["records"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(count(person("ann", "one")), 6);
    assert_eq!(count(person("ann", "two")), 6);
    assert_eq!(count(person("auditor", "one")), 12);
    assert_eq!(count(person("auditor", "two")), 6);
    assert_eq!(count(person("auditor", "three")), 0);
    assert_eq!(count(person("carl", "one")), 0);
    assert_eq!(count(None), 6);
    // `-` and `+ann` are keys of the store; as names they are nobody.
    assert_eq!(count(Some(Principal::new("-"))), 0);
    assert_eq!(count(Some(Principal::new("").in_tenant("one"))), 0);

    // Pages, each record once.
    let mut seen = Vec::new();
    let mut after = Value::Null;
    loop {
        let mut params = json!({"limit": 5});
        if !after.is_null() {
            params["after"] = after.clone();
        }
        let page = rig
            .audit(person("auditor", "one"), "records", params)
            .unwrap();
        seen.extend(
            page["records"]
                .as_array()
                .unwrap()
                .iter()
                .map(|r| r["event_id"].clone()),
        );
        match page.get("next") {
            Some(next) => after = next.clone(),
            None => break,
        }
    }
    assert_eq!(seen.len(), 12);
    seen.sort_by_key(ToString::to_string);
    seen.dedup();
    assert_eq!(seen.len(), 12);

    // A place in someone else's records, or in another tenant's, is no place here.
    let own = rig
        .audit(person("ann", "one"), "records", json!({}))
        .unwrap();
    let place = json!({"after": own["records"][0]["event_id"]});
    assert!(
        rig.audit(person("ann", "one"), "records", place.clone())
            .is_ok()
    );
    for other in [person("bob", "one"), person("auditor", "two"), None] {
        let error = rig.audit(other, "records", place.clone()).unwrap_err();
        assert_eq!(error.data.unwrap()["kind"], "unknown_record");
    }
    let segment = json!({"segment": own["segment"]});
    assert!(
        rig.audit(person("bob", "one"), "records", segment.clone())
            .is_ok()
    );
    for verb in ["records", "verify"] {
        for other in [person("auditor", "two"), person("auditor", "three"), None] {
            let error = rig.audit(other, verb, segment.clone()).unwrap_err();
            assert_eq!(error.data.unwrap()["kind"], "unknown_segment");
        }
    }
    let verified = rig
        .audit(person("ann", "one"), "verify", json!({}))
        .unwrap();
    assert_eq!(
        (&verified["ok"], &verified["checked"], &verified["complete"]),
        (&json!(true), &json!(12), &json!(true))
    );
    let rest = rig
        .audit(person("ann", "one"), "verify", json!({"from": 5}))
        .unwrap();
    assert_eq!((&rest["ok"], &rest["checked"]), (&json!(true), &json!(12)));
    assert!(
        rig.audit(person("ann", "one"), "verify", json!({"from": 13}))
            .is_err()
    );
}

#[test]
fn records_that_are_sent_are_verified() {
    let scratch = Scratch::new("audit");
    let rig = Rig::new(store(&scratch), |audit| audit.auditors(|_| true));
    for _ in 0..5 {
        rig.order("tea", "").unwrap();
    }
    let records = rig.audit(None, "records", json!({"limit": 100})).unwrap()["records"].clone();
    let sent = |records: Value| {
        rig.audit(None, "verify", json!({ "records": records }))
            .unwrap()
    };
    assert_eq!(sent(records.clone()), {
        let mut whole = sent(json!([]));
        whole["checked"] = json!(10);
        whole
    });
    let all = records.as_array().unwrap();
    assert_eq!(sent(json!(all[3..7]))["ok"], true);
    let mut tampered = all.clone();
    tampered[4]["outcome"] = "denied".into();
    assert_eq!(
        sent(json!(tampered))["firstBroken"],
        json!({"index": 4, "reason": "hash_mismatch"})
    );
    let mut numbers = all.clone();
    numbers[2]["extensions"]["caller-governance"]["purpose_declared"] = json!(1);
    assert_eq!(
        sent(json!(numbers))["firstBroken"],
        json!({"index": 2, "reason": "schema"})
    );
    let mut swapped = all.clone();
    swapped.swap(5, 6);
    assert_eq!(
        sent(json!(swapped))["firstBroken"],
        json!({"index": 5, "reason": "chain_gap"})
    );
    let many: Vec<_> = std::iter::repeat_n(all[0].clone(), 101).collect();
    let error = rig
        .audit(None, "verify", json!({ "records": many }))
        .unwrap_err();
    assert_eq!(error.data.unwrap()["kind"], "too_many");
    // What the wire brings is what the export holds.
    let lines: Vec<String> = all
        .iter()
        .map(|r| Record::from_value(r).unwrap().to_line())
        .collect();
    assert_eq!(lines.join("\n") + "\n", rig.export());
}

#[test]
fn pages_are_bounded_in_bytes() {
    let scratch = Scratch::new("audit");
    let rig = rig(&scratch);
    for _ in 0..30 {
        rig.order("tea", "").unwrap();
    }
    let page = rig.audit(None, "records", json!({"limit": 100})).unwrap();
    assert!(page["records"].to_string().len() <= 24 * 1024);
    assert!(page["next"].is_string());
    assert_eq!(
        rig.audit(None, "records", json!({})).unwrap()["records"]
            .as_array()
            .unwrap()
            .len(),
        20
    );
}

#[test]
fn the_manifest_is_structured() {
    let scratch = Scratch::new("audit");
    let rig = rig(&scratch);
    let manifest = rig.audit(None, "manifest", json!({})).unwrap();
    assert_eq!(manifest["chain_algorithm"], "sha-256");
    assert_eq!(
        manifest["canonical_form_version"],
        "audit-record-contract/1"
    );
    assert!(
        manifest["verification_procedure_ref"]
            .as_str()
            .unwrap()
            .starts_with("https://")
    );
}

#[test]
fn around_everything_if_the_server_says_so() {
    let store = Store::in_memory().unwrap();
    let chains = |everywhere: bool| {
        let audit = mcp_ext_audit::Audit::new(&store).unwrap();
        let audit = if everywhere {
            audit.everywhere()
        } else {
            audit
        };
        let set = mcp_ext_core::ExtensionSet::builder()
            .enable(plain::PlainExtension::provide(plain::Plain))
            .enable(audit.enable())
            .build()
            .unwrap();
        let chains = set.chains();
        chains
            .iter()
            .filter(|(_, _, blocks)| blocks.contains(&"io.github.mcp-ext/audit"))
            .map(|(contract, _, _)| contract.id.as_str())
            .collect::<Vec<_>>()
    };
    assert!(chains(false).is_empty());
    assert_eq!(chains(true), ["com.example/plain"], "all but audit itself");
}

mod plain {
    use mcp_ext_core::{Cx, NoParams, extension, handlers};

    /// Knows nothing of audit.
    #[extension(id = "com.example/plain")]
    pub trait Plainly {
        /// Does nothing.
        #[method]
        async fn noop(
            &self,
            cx: &Cx<PlainlyExtension>,
            params: NoParams,
        ) -> Result<NoParams, std::convert::Infallible>;
    }

    pub use PlainlyExtension as PlainExtension;

    pub struct Plain;

    #[handlers]
    impl Plainly for Plain {
        async fn noop(
            &self,
            _: &Cx<PlainlyExtension>,
            params: NoParams,
        ) -> Result<NoParams, std::convert::Infallible> {
            Ok(params)
        }
    }
}

#[cfg(feature = "ed25519")]
#[test]
fn a_signed_log_is_verified_with_the_key_of_its_manifest() {
    use mcp_ext_audit::{PublicKey, Reason, Signer};
    let scratch = Scratch::new("audit");
    let rig = Rig::new(store(&scratch), |audit| {
        audit.signer(Signer::from_secret(&[9; 32]))
    });
    rig.order("tea", "").unwrap();
    let manifest = rig.audit(None, "manifest", json!({})).unwrap();
    let key: PublicKey = manifest["signature_public_key"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let segment = rig.audit.segments().unwrap()[0].name.clone();
    let mut export = Vec::new();
    let head = rig.audit.export(&segment, &mut export).unwrap();
    let verdict = |verifier: Verifier| verify(&export[..], verifier).unwrap();
    assert!(verdict(Verifier::new().signed_by(key).against(head.clone())).is_ok());
    let other = Signer::from_secret(&[8; 32]).public_key();
    assert_eq!(
        verdict(Verifier::new().signed_by(other))
            .unwrap_err()
            .reason,
        Reason::Signature
    );
    let forged = mcp_ext_audit::Head::new(&segment, head.count(), head.event_hash()).unwrap();
    assert_eq!(
        verdict(Verifier::new().signed_by(key).against(forged))
            .unwrap_err()
            .reason,
        Reason::HeadSignature
    );
}

#[test]
fn the_schema_of_a_record_and_its_type_agree() {
    let scratch = Scratch::new("audit");
    let rig = rig(&scratch);
    rig.order("tea", "").unwrap();
    let schema = schemars::schema_for!(Record).to_value();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for record in rig.records() {
        assert!(validator.is_valid(&record), "{record}");
        for member in schema["required"].as_array().unwrap() {
            let mut without = record.clone();
            without
                .as_object_mut()
                .unwrap()
                .remove(member.as_str().unwrap());
            assert!(!validator.is_valid(&without) && Record::from_value(&without).is_err());
            let mut number = record.clone();
            number[member.as_str().unwrap()] = json!(1);
            assert!(!validator.is_valid(&number) && Record::from_value(&number).is_err());
        }
    }
}
