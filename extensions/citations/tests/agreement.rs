//! Types and schemas accept the same, on generated values.

use mcp_ext_citations::{Citation, Cite};
use proptest::prelude::*;
use serde_json::{Value, json};

fn validator() -> &'static jsonschema::Validator {
    static VALIDATOR: std::sync::LazyLock<jsonschema::Validator> = std::sync::LazyLock::new(|| {
        jsonschema::validator_for(&schemars::schema_for!(Citation).to_value()).unwrap()
    });
    &VALIDATOR
}

proptest! {
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
        let citation = cite.cited(&name, &"1970-01-01T00:00:00.000Z".parse().unwrap());
        let wire = serde_json::to_value(&citation).unwrap();
        prop_assert!(validator().is_valid(&wire), "{}", wire);
        let line = citation.line();
        prop_assert!(line.starts_with("Source: ") && line.ends_with("(retrieved 1970-01-01T00:00:00.000Z)"));
        prop_assert!(line.chars().count() <= 300 && !line.contains(char::is_control));
    }
}

#[test]
fn what_hosts_make_a_link_of_is_a_web_address() {
    let long = format!("https://example.com/{}", "a".repeat(512));
    for (url, kept) in [
        ("https://example.com/guideline", true),
        ("HTTP://example.com", true),
        ("javascript:alert(1)", false),
        ("javascript://example.com/%0aalert(1)", false),
        ("data:text/html,x", false),
        ("https:example.com", false),
        ("https://example.com/\nSource: other", false),
        (long.as_str(), false),
        ("", false),
    ] {
        let citation = Cite::of("urn:x")
            .url(url)
            .cited("x", &"1970-01-01T00:00:00.000Z".parse().unwrap());
        let wire = serde_json::to_value(&citation).unwrap();
        let found = wire["schema:citation"]
            .get("url")
            .and_then(|url| url.as_str());
        assert_eq!(found, kept.then_some(url), "{wire}");
    }
}
