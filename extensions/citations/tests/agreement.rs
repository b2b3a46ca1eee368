//! Types and schemas accept the same, on generated values.

use mcp_ext_citations::{Citation, Cite, Moment};
use proptest::prelude::*;
use serde_json::{Value, json};

fn validator() -> &'static jsonschema::Validator {
    static VALIDATOR: std::sync::LazyLock<jsonschema::Validator> = std::sync::LazyLock::new(|| {
        jsonschema::validator_for(&schemars::schema_for!(Citation).to_value()).unwrap()
    });
    &VALIDATOR
}

fn moment_like() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9]{4}(-[01][0-9](-[0-3][0-9](T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,10})?(Z|[+-][0-2][0-9]:[0-6][0-9])?)?)?)?",
        ".{0,30}",
        any::<i64>().prop_map(|ms| Moment::from_ms(ms).to_string()),
    ]
}

proptest! {
    #[test]
    fn moments_agree_with_their_schema(text in moment_like()) {
        let citation = json!({ "id": "c", "target": { "source": "s" }, "retrievedAt": text });
        prop_assert_eq!(validator().is_valid(&citation), Moment::new(&text).is_ok(), "{}", text);
    }

    #[test]
    fn citations_agree_with_their_schema(member in 0..8_usize, value in prop_oneof![
        ".{0,4}".prop_map(Value::from),
        Just(json!("x".repeat(513))),
        Just(json!("ab".repeat(32))),
        Just(json!("AB".repeat(32))),
        Just(json!("2020-01-01")),
        any::<u8>().prop_map(Value::from),
        Just(json!("FragmentSelector")),
    ]) {
        let mut citation = json!({
            "id": "c", "target": { "source": "s", "selector": { "type": "FragmentSelector", "value": "v" } },
            "schema:citation": {}, "retrievedAt": "2020",
        });
        let at = ["/id", "/target/source", "/target/selector/type", "/target/selector/value", "/retrievedAt"];
        match at.get(member) {
            Some(pointer) => *citation.pointer_mut(pointer).unwrap() = value,
            None => citation["schema:citation"][["name", "sha256", "datePublished"][member - 5]] = value,
        }
        let read = serde_json::from_value::<Citation>(citation.clone());
        prop_assert_eq!(validator().is_valid(&citation), read.is_ok(), "{} {:?}", citation, read);
        if let Ok(read) = read {
            prop_assert_eq!(serde_json::to_value(&read).unwrap(), citation);
        }
    }

    #[test]
    fn whatever_is_cited_is_a_valid_citation(source in ".{0,600}", name in ".{0,300}", part in ".{0,600}") {
        let cite = Cite::of(&source).named(&name).part(&part).url(&source);
        let citation = cite.cited(&name, &Moment::from_ms(0));
        let wire = serde_json::to_value(&citation).unwrap();
        prop_assert!(validator().is_valid(&wire), "{}", wire);
        let line = citation.line();
        prop_assert!(line.starts_with("Source: ") && line.ends_with("(retrieved 1970-01-01T00:00:00.000Z)"));
        prop_assert!(line.chars().count() <= 300 && !line.contains(char::is_control));
    }
}

#[test]
fn days_are_those_of_the_calendar() {
    for (ms, text) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
        (i64::MAX, "9999-12-31T23:59:59.999Z"),
        (i64::MIN, "0000-01-01T00:00:00.000Z"),
    ] {
        assert_eq!(Moment::from_ms(ms).as_str(), text);
    }
}
