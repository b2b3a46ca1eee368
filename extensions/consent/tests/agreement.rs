//! Types and schemas take the same, on generated values.

use mcp_ext_consent::{CheckParams, CheckResult, Permission, Purpose, PurposeCode};
use proptest::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A value in the place of a member.
fn other() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => ".{0,6}".prop_map(Value::from),
        1 => (250..260_usize).prop_map(|n| "é".repeat(n).into()),
        1 => "[⟦⟧a]{1,3}".prop_map(Value::from),
        1 => any::<i8>().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => Just(json!({ "system": "s", "code": "c" })),
        1 => Just(json!(["s", "c", null, null])),
        1 => (60..70_usize).prop_map(|n| vec!["x"; n].into()),
        1 => prop::sample::select(vec!["permit", "deny", "Permit"]).prop_map(Value::from),
    ]
}

/// A valid object with one member changed, left out or added, or as a list of its members.
fn nearly(valid: Value) -> impl Strategy<Value = Value> {
    let names: Vec<String> = valid.as_object().unwrap().keys().cloned().collect();
    (prop::sample::select(names), 0..6_u8, other()).prop_map(move |(name, kind, with)| {
        let mut value = valid.clone();
        let members = value.as_object_mut().unwrap();
        match kind {
            0..3 => drop(members.insert(name, with)),
            3 => drop(members.remove(&name)),
            4 => drop(members.insert("more".into(), with)),
            _ => return members.values().cloned().collect(),
        }
        value
    })
}

fn agree<T: DeserializeOwned + Serialize + JsonSchema>(valid: &Value) {
    let validator = jsonschema::validator_for(&schemars::schema_for!(T).to_value()).unwrap();
    assert!(validator.is_valid(valid), "{valid}");
    assert_eq!(
        serde_json::to_value(serde_json::from_value::<T>(valid.clone()).unwrap()).unwrap(),
        *valid
    );
    let (taken, refused) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(1000)
    };
    proptest!(config, |(value in nearly(valid.clone()))| {
        let read = serde_json::from_value::<T>(value.clone()).map(drop);
        prop_assert_eq!(read.is_ok(), validator.is_valid(&value), "{} {:?}", value, read);
        let count = if read.is_ok() { &taken } else { &refused };
        count.set(count.get() + 1);
    });
    assert!(
        taken.get() > 20 && refused.get() > 20,
        "{taken:?} taken, {refused:?} refused"
    );
}

#[test]
fn types_and_schemas_agree() {
    let code = json!({ "system": "s", "code": "c" });
    let purpose = json!({ "system": "s", "code": "c", "consentRef": "r", "onBehalfOf": "b" });
    agree::<PurposeCode>(&code);
    agree::<Purpose>(&purpose);
    agree::<CheckParams>(
        &json!({ "subject": "p", "action": "a", "dataClasses": ["x"], "purpose": purpose }),
    );
    agree::<CheckResult>(
        &json!({ "decision": "permit", "basis": "b", "expiresAt": "t", "obligations": ["o"] }),
    );
    agree::<Permission>(&json!({ "basis": "b", "expiresAt": "t", "obligations": ["o"] }));
}
