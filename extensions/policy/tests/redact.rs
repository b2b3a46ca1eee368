//! Redaction can only remove, on generated values and paths.

use mcp_ext_policy::{Decision, Effect, Path, PolicyId};
use proptest::prelude::*;
use serde_json::{Value, json};

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i8>().prop_map(Value::from),
        "[a-c]".prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map("[abc0/~*]{1,2}", inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A path as text, out of the same few names as the members of [`value`].
fn path() -> impl Strategy<Value = String> {
    let step = prop_oneof![Just("*".to_owned()), "[0-4]", "([abc0*]|~0|~1){1,2}"];
    proptest::collection::vec(step, 1..4).prop_map(|steps| format!("/{}", steps.join("/")))
}

/// Every place in a value: its steps, and what stands there.
fn places<'a>(value: &'a Value, at: &mut Vec<String>, all: &mut Vec<(Vec<String>, &'a Value)>) {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(k, v)| (k.clone(), v)).collect(),
        Value::Array(elements) => elements
            .iter()
            .enumerate()
            .map(|(i, v)| (i.to_string(), v))
            .collect(),
        _ => Vec::new(),
    };
    for (name, value) in inner {
        at.push(name);
        all.push((at.clone(), value));
        places(value, at, all);
        at.pop();
    }
}

fn all(value: &Value) -> Vec<(Vec<String>, &Value)> {
    let mut found = Vec::new();
    places(value, &mut Vec::new(), &mut found);
    found
}

/// Whether a place is named, worked out on the text of the path.
fn names(path: &str, place: &[String]) -> bool {
    let steps: Vec<&str> = path[1..].split('/').collect();
    steps.len() == place.len()
        && steps
            .iter()
            .zip(place)
            .all(|(step, name)| *step == "*" || *step == name.replace('~', "~0").replace('/', "~1"))
}

/// Whether `part` is `whole` with members and elements left out, the rest in order.
fn is_part(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(a), Value::Object(b)) => a
            .iter()
            .all(|(k, v)| b.get(k).is_some_and(|w| is_part(v, w))),
        (Value::Array(a), Value::Array(b)) => {
            let mut rest = b.iter();
            a.iter().all(|v| rest.any(|w| is_part(v, w)))
        }
        _ => part == whole,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn a_path_removes_what_it_names_and_nothing_else(before in value(), path in path()) {
        let parsed: Path = path.parse().unwrap();
        let mut after = before.clone();
        let removed = parsed.remove_from(&mut after);
        prop_assert!(is_part(&after, &before));
        let named = all(&before).iter().filter(|(place, _)| names(&path, place)).count();
        prop_assert_eq!(removed, named);
        // Everything that is not within a named place is still there.
        let gone = all(&before).iter().filter(|(place, _)| {
            (1..=place.len()).any(|n| names(&path, &place[..n]))
        }).count();
        prop_assert_eq!(all(&after).len(), all(&before).len() - gone);
    }

    #[test]
    fn a_path_says_itself(path in path()) {
        let parsed: Path = path.parse().unwrap();
        prop_assert_eq!(parsed.to_string(), path);
    }

    #[test]
    fn any_text_is_a_path_or_refused(text in ".{0,40}", value in value()) {
        if let Ok(path) = text.parse::<Path>() {
            let mut after = value.clone();
            path.remove_from(&mut after);
            prop_assert!(text.starts_with('/') && is_part(&after, &value));
        }
    }

    #[test]
    fn the_stricter_of_two_decisions_holds(a in 0..4_usize, b in 0..4_usize) {
        let make = |effect: usize, name: &str| {
            let id = PolicyId::new("t", name, "1").unwrap();
            match effect {
                0 => Decision::allow(id),
                1 => Decision::redact(id, ["/x".parse().unwrap()]),
                2 => Decision::confirm(id),
                _ => Decision::deny(id),
            }.because(name).obliged(name)
        };
        let both = make(a, "a").and(make(b, "b"));
        let order = [Effect::Allow, Effect::Redact, Effect::Confirm, Effect::Deny];
        prop_assert_eq!(both.effect(), order[a.max(b)]);
        let name = if b > a { "t/b@1" } else { "t/a@1" };
        prop_assert_eq!(both.policy().as_str(), name);
        prop_assert_eq!(both.obligations().len(), 2);
        prop_assert_eq!(both.reasons().len(), if a == b { 2 } else { 1 });
        prop_assert_eq!(both.removes().len(), [a, b].iter().filter(|e| **e == 1).count());
    }

    #[test]
    fn policy_ids_agree_with_their_schema(text in prop_oneof!["[a-c./@_-]{1,6}/[a-c@/]{1,3}@[0-9@]{1,3}", ".{0,20}"]) {
        let schema = schemars::schema_for!(PolicyId).to_value();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let read = serde_json::from_value::<PolicyId>(json!(text));
        prop_assert_eq!(validator.is_valid(&json!(text)), read.is_ok());
    }
}

#[test]
fn elements_are_counted_as_they_stood() {
    // Removing one must not shift the next into its place.
    let mut value = json!([{ "a": 0 }, { "a": 1 }, { "a": 2 }]);
    let path: Path = "/*/a".parse().unwrap();
    assert_eq!(path.remove_from(&mut value), 3);
    let mut value = json!({ "x": [0, 1, 2, 3] });
    assert_eq!("/x/1".parse::<Path>().unwrap().remove_from(&mut value), 1);
    assert_eq!(value, json!({ "x": [0, 2, 3] }));
}

#[test]
fn paths_are_bounded() {
    for text in [
        "",
        "x",
        "/~",
        "/~2",
        &"/x".repeat(33),
        &format!("/{}", "x".repeat(512)),
    ] {
        assert!(text.parse::<Path>().is_err(), "{text}");
    }
    let deep: Path = "/x".repeat(32).parse().unwrap();
    let mut value = json!(1);
    for _ in 0..100 {
        value = json!({ "x": value });
    }
    assert_eq!(deep.remove_from(&mut value), 1);
}
