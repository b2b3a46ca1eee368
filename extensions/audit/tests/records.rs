//! Single records: the known answers of the audit record contract, and what is no record.

use mcp_ext_audit::{Digest, Manifest, Outcome, Record, RecordFault, Scalar, Text, TextFault};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The digest of the record with one extension.
const ONE: &str = "d494769c1ae442ea88dd190068747abf63c0568a3b856f85791b1a50a99d48b4";

/// The digest of the record with two extensions.
const TWO: &str = "f733fed9cc757165f810b778e4baba1f51a45504988e937707aaab4361b2f064";

fn one() -> Value {
    json!({
        "event_id": "99999999-9999-9999-9999-999999999999",
        "occurred_at": "2026-06-06T12:00:00.000Z",
        "principal_id": "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa",
        "event_type": "tool_call",
        "tool_name": "export",
        "outcome": "deferred",
        "previous_hash": null,
        "event_hash": ONE,
        "extensions": {
            "caller-governance": {
                "session_id": "55555555-5555-5555-5555-555555555555",
                "invoked_by_principal_id": null,
                "purpose_declared": "reconcile June invoices",
                "flagged": false,
            },
        },
    })
}

fn two() -> Value {
    let mut record = one();
    record["event_hash"] = TWO.into();
    record["extensions"]["runtime-security"] = json!({
        "drift_status": "confirmed",
        "evidence_hash": "sha256:b2c547e2c8f17eafc72ef5c2d4d7b6b4d0f7437ab52bae573a9af14ff5e2d9be",
        "policy_id": "example.org/runtime-drift@3",
        "quarantine_decision": "quarantine",
        "severity": "high",
    });
    record
}

fn with(pointer: &str, value: Value) -> Value {
    let mut record = two();
    *record.pointer_mut(pointer).unwrap() = value;
    record
}

fn without(object: &str, member: &str) -> Value {
    let mut record = two();
    record
        .pointer_mut(object)
        .unwrap()
        .as_object_mut()
        .unwrap()
        .remove(member)
        .unwrap();
    record
}

fn purpose(text: &str) -> Result<Record, RecordFault> {
    Record::from_value(&with(
        "/extensions/caller-governance/purpose_declared",
        text.into(),
    ))
}

#[test]
fn known_answers() {
    for (value, digest) in [(one(), ONE), (two(), TWO)] {
        let record = Record::from_value(&value).unwrap();
        assert_eq!(record.digest().to_string(), digest, "{}", record.preimage());
        assert_eq!(record.event_hash, record.digest());
        // The canonical form agrees with RFC 8785 on what records may hold.
        let mut body = value;
        body.as_object_mut().unwrap().remove("event_hash");
        let jcs = serde_json_canonicalizer::to_string(&body).unwrap();
        assert_eq!(record.preimage(), jcs);
    }
}

#[test]
fn neg_audit_a_member_of_the_core_is_missing() {
    for member in [
        "event_id",
        "occurred_at",
        "principal_id",
        "event_type",
        "tool_name",
        "outcome",
        "extensions",
        "previous_hash",
        "event_hash",
    ] {
        assert_eq!(
            Record::from_value(&without("", member)),
            Err(RecordFault::Missing { member })
        );
    }
}

#[test]
fn neg_audit_no_extension() {
    assert_eq!(
        Record::from_value(&with("/extensions", json!({}))),
        Err(RecordFault::NoExtension)
    );
}

#[test]
fn neg_audit_unregistered_type() {
    let mut record = two();
    record["extensions"]["healthcare"] = json!({ "foo": "bar" });
    let error = Record::from_value(&record).unwrap_err();
    assert!(matches!(&error, RecordFault::Unregistered { extension } if extension == "healthcare"));
    assert!(error.to_string().contains("caller-governance"), "{error}");
}

#[test]
fn neg_audit_extensions_miss_what_they_must_have() {
    for (extension, member) in [
        ("caller-governance", "purpose_declared"),
        ("runtime-security", "drift_status"),
        ("runtime-security", "severity"),
        ("runtime-security", "quarantine_decision"),
        ("runtime-security", "policy_id"),
    ] {
        let error = Record::from_value(&without(&format!("/extensions/{extension}"), member));
        assert!(
            matches!(&error, Err(RecordFault::Extension { member: m, .. }) if m == member),
            "{error:?}"
        );
    }
    assert!(Record::from_value(&without("/extensions/runtime-security", "evidence_hash")).is_ok());
}

#[test]
fn neg_audit_values_outside_their_vocabulary() {
    for (pointer, bad) in [
        ("/outcome", json!("done")),
        ("/outcome", json!(null)),
        ("/event_id", json!("")),
        ("/previous_hash", json!("")),
        ("/previous_hash", json!(ONE.to_uppercase())),
        ("/event_hash", json!(null)),
        ("/occurred_at", json!("2026-06-06T12:00:00Z")),
        ("/occurred_at", json!("2026-02-30T12:00:00.000Z")),
        ("/extensions", json!([])),
        ("/extensions/caller-governance", json!(null)),
        (
            "/extensions/caller-governance/purpose_declared",
            json!(null),
        ),
        (
            "/extensions/caller-governance/purpose_declared",
            json!(true),
        ),
        ("/extensions/caller-governance/flagged", json!("false")),
        ("/extensions/caller-governance/session_id", json!(false)),
        ("/extensions/caller-governance/session_id", json!(["x"])),
        ("/extensions/runtime-security/severity", json!("critical")),
        ("/extensions/runtime-security/severity", json!(null)),
        ("/extensions/runtime-security/drift_status", json!("None")),
        (
            "/extensions/runtime-security/policy_id",
            json!("runtime-drift@3"),
        ),
        (
            "/extensions/runtime-security/policy_id",
            json!("example.org/runtime-drift"),
        ),
        ("/extensions/runtime-security/evidence_hash", json!("b2c5")),
        (
            "/extensions/runtime-security/evidence_hash",
            json!("sha256:XY"),
        ),
    ] {
        let record = with(pointer, bad.clone());
        assert!(Record::from_value(&record).is_err(), "{pointer}: {bad}");
    }
}

#[test]
fn neg_audit_a_number_in_the_body() {
    for pointer in [
        "/tool_name",
        "/extensions/caller-governance/purpose_declared",
        "/extensions/caller-governance/session_id",
        "/extensions/runtime-security/severity",
    ] {
        let error = Record::from_value(&with(pointer, json!(1.0))).unwrap_err();
        assert!(
            matches!(error, RecordFault::Number { .. }),
            "{pointer}: {error}"
        );
    }
}

#[test]
fn neg_audit_control_characters() {
    for bad in [
        "line1\nline2",
        "tab\t",
        "\r",
        "nul\0",
        "del\u{7f}",
        "nel\u{85}x",
        "\u{9f}",
    ] {
        let error = purpose(bad).unwrap_err();
        assert!(
            matches!(
                error,
                RecordFault::Text {
                    fault: TextFault::Control { .. },
                    ..
                }
            ),
            "{bad:?}: {error}"
        );
    }
}

#[test]
fn neg_audit_lone_surrogate() {
    let line = serde_json::to_string(&one()).unwrap();
    let bad = line.replace("reconcile June invoices", "lone \\ud83d surrogate");
    assert!(matches!(
        Record::parse(&bad),
        Err(RecordFault::NotJson { .. })
    ));
    let record = purpose("export \u{1f512} locked").unwrap();
    assert!(record.preimage().contains("export \u{1f512} locked"));
}

#[test]
fn null_and_empty_are_two_things() {
    let digest = |value: Value| {
        Record::from_value(&with("/tool_name", value))
            .unwrap()
            .digest()
    };
    assert_ne!(digest(json!(null)), digest(json!("")));
}

#[test]
fn decomposed_with_a_space_at_its_end_is_composed() {
    assert_eq!(
        purpose("cafe\u{301} audit ").unwrap().digest(),
        purpose("caf\u{e9} audit").unwrap().digest()
    );
    assert_eq!(
        purpose(" a b ").unwrap().digest(),
        purpose("a b").unwrap().digest()
    );
}

#[test]
fn other_white_space_is_kept() {
    for kept in ["\u{a0}", "\u{2002}", "\u{3000}"] {
        let text = format!("{kept}purpose{kept}");
        let record = purpose(&text).unwrap();
        assert!(record.preimage().contains(&text));
        assert_ne!(record.digest(), purpose("purpose").unwrap().digest());
    }
}

#[test]
fn lengths_are_counted_in_utf16_units_of_the_normal_form() {
    assert!(Text::new(&"a".repeat(8192)).is_ok());
    assert_eq!(
        Text::new(&"a".repeat(8193)),
        Err(TextFault::TooLong { units: 8193 })
    );
    assert!(Text::new(&"\u{1f512}".repeat(4096)).is_ok());
    assert_eq!(
        Text::new(&"\u{1f512}".repeat(4097)),
        Err(TextFault::TooLong { units: 8194 })
    );
    // 8192 letters with an accent of their own each, composed into one unit.
    assert!(Text::new(&"e\u{301}".repeat(8192)).is_ok());
    assert!(Text::new(&format!("{}{}", "a".repeat(8192), " ".repeat(10))).is_ok());
}

#[test]
fn sources_are_written_in_one_way() {
    let sources = |text: &str| {
        let mut record = one();
        record["extensions"]["caller-governance"]["sources_touched"] = text.into();
        Record::from_value(&record)
    };
    for good in [
        r#"["a"]"#,
        r#"["a","b"]"#,
        r#"["a,b"]"#,
        r#"["\"","\\"]"#,
        "[\"\u{e9}\"]",
        "[\"e\u{301}\"]",
    ] {
        assert!(sources(good).is_ok(), "{good}");
    }
    for bad in [
        "a",
        "a,b",
        "[]",
        r#"[""]"#,
        r#"["b","a"]"#,
        r#"["a","a"]"#,
        r#"["a", "b"]"#,
        r#"["\u00e9"]"#,
        r#"[" a"]"#,
        r#"[1]"#,
        r#"["a\nb"]"#,
    ] {
        assert!(sources(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_member_that_stands_there_twice_is_refused() {
    let line = serde_json::to_string(&one()).unwrap();
    for (once, twice) in [
        (
            r#""outcome":"deferred""#,
            r#""outcome":"deferred","outcome":"deferred""#,
        ),
        (r#""flagged":false"#, r#""flagged":false,"flagged":false"#),
    ] {
        let bad = line.replace(once, twice);
        assert_ne!(bad, line);
        assert_eq!(Record::parse(&bad), Err(RecordFault::Twice));
    }
}

#[test]
fn unknown_members_at_the_top_are_ignored_and_not_protected() {
    let mut record = two();
    record["anchor_witness"] = "anything".into();
    record["note"] = json!({ "n": 1 });
    assert_eq!(
        Record::from_value(&record).unwrap().digest().to_string(),
        TWO
    );
}

#[test]
fn every_protected_value_is_in_the_digest() {
    for (pointer, other) in [
        ("/event_id", json!("88888888")),
        ("/occurred_at", json!("2026-06-06T12:00:00.001Z")),
        ("/principal_id", json!("b")),
        ("/event_type", json!("policy_evaluation")),
        ("/tool_name", json!("import")),
        ("/outcome", json!("denied")),
        ("/previous_hash", json!(ONE)),
        (
            "/extensions/caller-governance/purpose_declared",
            json!("exfiltration"),
        ),
        ("/extensions/caller-governance/flagged", json!(true)),
        ("/extensions/runtime-security/severity", json!("low")),
    ] {
        let changed = Record::from_value(&with(pointer, other)).unwrap();
        assert_ne!(changed.digest().to_string(), TWO, "{pointer}");
    }
}

#[test]
fn hostile_nesting_is_refused() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(
        Record::parse(&deep),
        Err(RecordFault::NotJson { .. })
    ));
    let mut wide = one();
    for i in 0..100 {
        wide["extensions"]["caller-governance"][format!("x{i}")] = "y".into();
    }
    assert!(matches!(
        Record::from_value(&wide),
        Err(RecordFault::TooMany { .. })
    ));
}

#[test]
fn neg_audit_a_bare_manifest_attests_nothing() {
    for bare in [
        json!({}),
        json!({ "attestation": "trust us" }),
        json!({ "storage_mechanism": "x", "chain_algorithm": "sha-256", "canonical_form_version": "audit-record-contract/1" }),
        json!({ "storage_mechanism": " ", "chain_algorithm": "sha-256", "canonical_form_version": "audit-record-contract/1", "verification_procedure_ref": "https://example.org" }),
    ] {
        assert!(
            serde_json::from_value::<Manifest>(bare.clone()).is_err(),
            "{bare}"
        );
    }
    let manifest = Manifest::sqlite();
    assert_eq!(manifest.canonical_form_version(), "audit-record-contract/1");
    let json = serde_json::to_value(&manifest).unwrap();
    assert_eq!(serde_json::from_value::<Manifest>(json).unwrap(), manifest);
}

#[test]
fn faults_show_no_values() {
    let secret = "Ann Example";
    for pointer in [
        "/outcome",
        "/occurred_at",
        "/event_hash",
        "/extensions/runtime-security/severity",
        "/extensions/caller-governance/flagged",
    ] {
        let error = Record::from_value(&with(pointer, secret.into())).unwrap_err();
        assert!(!error.to_string().contains("Ann"), "{error}");
    }
}

proptest! {
    /// Normalising twice is normalising once, and what is normal is left alone.
    #[test]
    fn normal_form_is_a_fixed_point(text in any::<String>()) {
        if let Ok(once) = Text::new(&text) {
            prop_assert_eq!(Text::new(once.as_str()).unwrap(), once);
        }
    }

    /// A record is read from its own line, whatever its strings hold.
    #[test]
    fn a_line_is_read_as_it_was_written(purpose in "\\PC{0,40}", tool in proptest::option::of("\\PC{0,20}"), flag in any::<bool>()) {
        let mut value = one();
        value["tool_name"] = tool.into();
        value["extensions"]["caller-governance"]["purpose_declared"] = purpose.into();
        value["extensions"]["caller-governance"]["flagged"] = flag.into();
        let Ok(mut record) = Record::from_value(&value) else {
            return Ok(());
        };
        record.event_hash = record.digest();
        let line = record.to_line();
        prop_assert_eq!(&Record::parse(&line).unwrap(), &record);
        prop_assert_eq!(Record::parse(&line).unwrap().to_line(), line.clone());
        let value: Value = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(serde_json_canonicalizer::to_string(&value).unwrap(), line);
        prop_assert_eq!(record.event.outcome, Outcome::Deferred);
        let governed = &record.event.extensions["caller-governance"];
        prop_assert_eq!(&governed["flagged"], &Scalar::Flag(flag));
    }

    /// Reading anything ends in a record or a fault.
    #[test]
    fn reading_never_panics(text in any::<String>()) {
        let _ = Record::parse(&text);
        let _ = text.parse::<Digest>();
    }
}
