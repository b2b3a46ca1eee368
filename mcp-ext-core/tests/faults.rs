//! Faults of params: every one at once, in words that teach, without the value.

use std::collections::{BTreeMap, BTreeSet};

use mcp_ext_core::algebra::lenient;
use mcp_ext_core::faults::*;
use mcp_ext_core::id::{ExtensionId, MetaKey};
use mcp_ext_core::schema::TypeSchema;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Params {
    rubric_id: String,
    mode: Mode,
    limit: Option<u32>,
    #[serde(default)]
    weight: f64,
    #[serde(default)]
    small: i8,
    place: Option<Place>,
    #[serde(default)]
    steps: Vec<Step>,
    #[serde(default)]
    by_course: BTreeMap<String, BTreeSet<Mode>>,
    pair: Option<(u8, bool)>,
    extension: Option<ExtensionId>,
    #[serde(default)]
    keys: BTreeMap<MetaKey, u8>,
    shape: Option<Shape>,
    tag: Option<Tag>,
    #[serde(default)]
    raw: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    /// Every criterion counts.
    Strict,
    Lenient,
    VeryLenient,
}

#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Place {
    city: String,
    country: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
enum Step {
    Read { pages: u8 },
    Write { words: u16, topic: String },
    Rest,
}

#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Shape {
    Circle { radius: u8 },
    Polygon(Vec<u8>),
    Point,
}

#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Tag {
    Number(i32),
    Word(String),
    Place(Place),
}

const PARAMS: TypeSchema = TypeSchema::of::<Params>();

/// Faults of a value that serde refuses, as (pointer, message).
fn faults(value: Value) -> Vec<(String, String)> {
    assert!(
        serde_json::from_value::<Params>(value.clone()).is_err(),
        "{value} is fine"
    );
    let found = find(&value, &PARAMS, &[]);
    for fault in &found {
        assert!(fault.message.contains(&fault.expected), "{fault:?}");
    }
    found.into_iter().map(|f| (f.pointer, f.message)).collect()
}

/// The good value with some members replaced; `null` in `changes` takes one away.
fn with(changes: Value) -> Value {
    let mut value = json!({ "rubricId": "r-1", "mode": "strict" });
    for (name, change) in changes.as_object().expect("an object") {
        if change.is_null() {
            value.as_object_mut().expect("an object").remove(name);
        } else {
            value[name] = change.clone();
        }
    }
    value
}

fn one(changes: Value) -> (String, String) {
    let mut found = faults(with(changes));
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn every_fault_is_found_at_once() {
    let found = faults(json!({
        "rubric_id": "r-1",
        "mode": "strikt",
        "limit": -1,
        "small": 200,
        "place": { "town": "Paris" },
        "steps": [{ "type": "rest" }, { "type": "read", "pages": "ten" }, 7],
    }));
    let expected = [
        (
            "/rubricId",
            "rubricId: required and missing, expected a string; saw \"rubric_id\" instead",
        ),
        (
            "/limit",
            "limit: expected an integer from 0 to 4294967295 or null, saw a negative integer",
        ),
        (
            "/mode",
            "mode: expected one of \"lenient\", \"very-lenient\", \"strict\", saw a string of 6 characters; did you mean \"strict\"?",
        ),
        (
            "/place/city",
            "place.city: required and missing, expected a string",
        ),
        (
            "/place/town",
            "place.town: not a known member, expected a known member (city, country)",
        ),
        (
            "/small",
            "small: expected an integer from -128 to 127, saw an integer",
        ),
        (
            "/steps/1/pages",
            "steps[1].pages: expected an integer from 0 to 255, saw a string of 3 characters",
        ),
        ("/steps/2", "steps[2]: expected an object, saw an integer"),
    ];
    assert_eq!(found, expected.map(|(p, m)| (p.to_owned(), m.to_owned())));
}

#[test]
fn one_fault_says_where_what_was_expected_and_what_was_seen() {
    for (changes, pointer, message) in [
        (
            json!({ "rubricId": 7 }),
            "/rubricId",
            "rubricId: expected a string, saw an integer",
        ),
        (
            json!({ "rubricId": ["a"] }),
            "/rubricId",
            "rubricId: expected a string, saw an array of 1 member",
        ),
        (
            json!({ "rubricId": null }),
            "/rubricId",
            "rubricId: required and missing, expected a string",
        ),
        (
            json!({ "weight": "heavy" }),
            "/weight",
            "weight: expected a number, saw a string of 5 characters",
        ),
        (
            json!({ "limit": 1.5 }),
            "/limit",
            "limit: expected an integer from 0 to 4294967295 or null, saw a number with a fraction or exponent",
        ),
        (
            json!({ "limit": 4_294_967_296_u64 }),
            "/limit",
            "limit: expected an integer from 0 to 4294967295 or null, saw an integer",
        ),
        (
            json!({ "place": 7 }),
            "/place",
            "place: expected an object or null, saw an integer",
        ),
        (
            json!({ "place": { "city": "x", "contry": "y" } }),
            "/place/contry",
            "place.contry: not a known member, expected a known member (city, country); did you mean \"country\"?",
        ),
        (
            json!({ "pair": [1] }),
            "/pair",
            "pair: expected an array of 2 members or null, saw an array of 1 member",
        ),
        (
            json!({ "pair": [1, 2] }),
            "/pair/1",
            "pair[1]: expected a boolean, saw an integer",
        ),
        (
            json!({ "byCourse": { "a/b": ["strict", "x"] } }),
            "/byCourse/a~1b/1",
            "byCourse.a/b[1]: expected one of \"lenient\", \"very-lenient\", \"strict\", saw a string of 1 character",
        ),
        (
            json!({ "steps": [{ "type": "raed", "pages": 1 }] }),
            "/steps/0/type",
            "steps[0].type: expected one of \"read\", \"write\", \"rest\", saw a string of 4 characters; did you mean \"read\"?",
        ),
        (
            json!({ "steps": [{ "pages": 1 }] }),
            "/steps/0/type",
            "steps[0].type: required and missing, expected one of \"read\", \"write\", \"rest\"",
        ),
        (
            json!({ "steps": [{ "type": "write", "words": 1 }] }),
            "/steps/0/topic",
            "steps[0].topic: required and missing, expected a string",
        ),
        (
            json!({ "shape": { "circle": { "radius": "r" } } }),
            "/shape/circle/radius",
            "shape.circle.radius: expected an integer from 0 to 255, saw a string of 1 character",
        ),
        (
            json!({ "shape": { "polygon": [1, 300] } }),
            "/shape/polygon/1",
            "shape.polygon[1]: expected an integer from 0 to 255, saw an integer",
        ),
        (
            json!({ "shape": { "cirle": {} } }),
            "/shape",
            "shape: expected an object with one member, circle or polygon, saw an object of 1 member; did you mean \"circle\"?",
        ),
        (
            json!({ "shape": "poin" }),
            "/shape",
            "shape: expected \"point\", saw a string of 4 characters; did you mean \"point\"?",
        ),
        (
            json!({ "shape": true }),
            "/shape",
            "shape: expected \"point\" or an object or null, saw a boolean",
        ),
        (
            json!({ "tag": true }),
            "/tag",
            "tag: expected an integer from -2147483648 to 2147483647 or a string or an object or null, saw a boolean",
        ),
        (
            json!({ "tag": { "city": 7 } }),
            "/tag/city",
            "tag.city: expected a string, saw an integer",
        ),
    ] {
        let found = one(changes.clone());
        assert_eq!(found, (pointer.to_owned(), message.to_owned()), "{changes}");
    }
    assert_eq!(
        faults(json!([]))[0],
        (
            String::new(),
            "expected an object, saw an array of 0 members".into()
        )
    );
    assert_eq!(faults(json!(null))[0].1, "expected an object, saw null");
}

#[test]
fn patterns_of_checked_types_are_checked() {
    let (pointer, message) = one(json!({ "extension": "com.1example/x" }));
    assert_eq!(pointer, "/extension");
    assert!(
        message.starts_with("extension: expected a string that matches ^[A-Za-z]"),
        "{message}"
    );
    assert!(
        message.ends_with("or null, saw a string of 14 characters"),
        "{message}"
    );
    let (pointer, message) = one(json!({ "keys": { "com.example/ok": 1, "-x": 1 } }));
    assert_eq!(pointer, "/keys/-x");
    assert!(
        message.starts_with("keys.-x: not a known member, expected a name that matches ^(?:"),
        "{message}"
    );
    assert_eq!(
        one(json!({ "keys": { "com.example/ok": "x" } })).0,
        "/keys/com.example~1ok"
    );
}

#[test]
fn err_09_the_value_stays_out_unless_it_may_be_shown() {
    let secret = "4111-1111-1111-1111";
    let value = with(json!({
        "mode": secret, "limit": secret, "place": { "city": 77_123, "country": 77_123 }, "tag": [secret], "extension": secret,
        "steps": [{ "type": secret }], "shape": { "circle": secret }, "weight": { "a": secret }, "pair": [secret, secret],
    }));
    let shown = find(
        &value,
        &PARAMS,
        &["/mode", "place/city", "/steps/type", "/weight", "/tag"],
    );
    assert_eq!(shown.len(), 11, "{shown:#?}");
    for fault in &shown {
        let may = ["/mode", "/place/city", "/steps/0/type"].contains(&fault.pointer.as_str());
        let text = serde_json::to_string(fault).expect("JSON");
        assert_eq!(
            text.contains(secret) || text.contains("77123"),
            may,
            "{text}"
        );
    }
    assert!(shown.iter().any(|f| f.seen == format!("{secret:?}")));
    for fault in find(&value, &PARAMS, &[]) {
        let text = serde_json::to_string(&fault).expect("JSON");
        assert!(!text.contains(secret) && !text.contains("77123"), "{text}");
    }
    let every = find(&value, &PARAMS, &["/place/*"]);
    assert_eq!(every.iter().filter(|f| f.seen == "77123").count(), 2);
    let long = find(
        &with(json!({ "mode": "x".repeat(10_000) })),
        &PARAMS,
        &["/mode"],
    );
    assert!(long[0].message.len() < 300, "{}", long[0].message);
}

#[test]
fn faults_travel_in_camel_case() {
    let found = find(&with(json!({ "rubricId": 7 })), &PARAMS, &[]);
    assert_eq!(
        serde_json::to_value(&found).expect("JSON"),
        json!([{
            "pointer": "/rubricId",
            "expected": "a string",
            "seen": "an integer",
            "message": "rubricId: expected a string, saw an integer"
        }])
    );
}

#[test]
fn the_number_of_faults_is_bounded() {
    let found = find(&with(json!({ "steps": vec![7; 1000] })), &PARAMS, &[]);
    assert_eq!(found.len(), MOST_FAULTS + 1);
    let last = &found[MOST_FAULTS];
    assert_eq!(
        (last.pointer.as_str(), last.seen.as_str()),
        ("", "936 more faults")
    );
    assert_eq!(last.message, "and 936 more faults; mend these first");
}

#[derive(Deserialize, JsonSchema)]
#[allow(dead_code)]
struct Tree {
    #[serde(default)]
    kids: Vec<Tree>,
    left: Option<Box<Node>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[allow(dead_code)]
enum Node {
    Leaf(u8),
    Fork(Box<Tree>),
    Again { left: Box<Node> },
}

#[test]
fn hostile_nesting_and_size_end_soon() {
    let tree = TypeSchema::of::<Tree>();
    let start = std::time::Instant::now();
    // Each level tries two alternatives that go on to the next: without a bound, 2^depth of them.
    for levels in [12, 24, 100] {
        let mut deep = json!("wrong");
        for _ in 0..levels {
            deep = json!({ "left": deep });
        }
        let _ = find(&deep, &tree, &[]);
    }
    let mut nested = json!({ "kids": 7 });
    for _ in 0..10_000 {
        // By hand: `json!` copies what it is given, level by level.
        nested = Value::Object(
            [("kids".to_owned(), Value::Array(vec![nested]))]
                .into_iter()
                .collect(),
        );
    }
    let _ = find(&nested, &tree, &[]);
    // Dropping a deeply nested value recurses; that is the owner's concern and not this test's.
    std::mem::forget(nested);
    let wide = json!({ "kids": vec![json!({ "kids": 7 }); 200_000] });
    assert_eq!(find(&wide, &tree, &[]).len(), MOST_FAULTS + 1);
    let texts = with(
        json!({ "keys": (0..2000).map(|i| (format!("-{i}{}", "x".repeat(1000)), 1)).collect::<BTreeMap<_, _>>() }),
    );
    let found = find(&texts, &PARAMS, &[]);
    assert_eq!(found.len(), MOST_FAULTS + 1);
    assert!(
        found
            .iter()
            .all(|f| f.message.len() < 1000 && f.pointer.len() < 200)
    );
    // Seconds on a busy machine; without the bounds it would be years.
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[allow(dead_code)]
struct Settings {
    #[serde(deserialize_with = "lenient")]
    modes: Option<BTreeSet<Mode>>,
    #[serde(deserialize_with = "lenient")]
    extensions: Vec<ExtensionId>,
    #[serde(deserialize_with = "lenient")]
    by_mode: BTreeMap<Mode, BTreeSet<Mode>>,
    #[serde(deserialize_with = "lenient")]
    by_day: BTreeMap<Day, BTreeSet<Mode>>,
    write: bool,
    max_batch: Option<u32>,
}

/// Without descriptions: as the key of a map its names are the only members that the schema knows.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
enum Day {
    Monday,
    Friday,
}

#[test]
fn neg_12_unknown_members_of_sets_are_no_faults_in_settings() {
    let settings = TypeSchema::of::<Settings>();
    let sets = json!({ "modes": ["strict", "telepathic"], "extensions": ["?"], "byMode": { "telepathic": ["?"], "strict": ["?"] }, "byDay": { "Monday": [], "Doomsday": 1 } });
    assert!(serde_json::from_value::<Settings>(sets.clone()).is_ok());
    assert_eq!(find_in_settings(&sets, &settings), []);
    // Elsewhere such a key is a fault.
    assert!(
        find(&sets, &settings, &[])
            .iter()
            .any(|f| f.pointer == "/byDay/Doomsday")
    );
    let mut value = sets;
    value["write"] = json!("yes");
    value["modes"] = json!(["telepathic", 7]);
    value["maxBatch"] = json!(-1);
    assert!(serde_json::from_value::<Settings>(value.clone()).is_err());
    let found = find_in_settings(&value, &settings);
    let pointers: Vec<&str> = found.iter().map(|f| f.pointer.as_str()).collect();
    assert_eq!(pointers, ["/maxBatch", "/modes/1", "/write"]);
    assert_eq!(
        found[2].message,
        "write: expected a boolean, saw a string of 3 characters"
    );
}

#[test]
fn err_09_serde_messages_are_scrubbed() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Strict {
        id: u8,
        mode: Option<Mode>,
        extension: Option<ExtensionId>,
    }
    for (text, message) in [
        (r#"{ "id": "secret" }"#, "expected u8, saw a string"),
        (r#"{ "id": 7777 }"#, "expected u8, saw an integer"),
        (r#"{ "id": -7777 }"#, "expected u8, saw an integer"),
        (
            r#"{ "id": 7777.5 }"#,
            "expected u8, saw a number with a fraction or exponent",
        ),
        (r#"{ "id": ["secret"] }"#, "expected u8, saw an array"),
        (
            r#"{ "id": "secret, expected secret" }"#,
            "expected u8, saw a string",
        ),
        (
            r#"{ "id": 1, "secret": 1 }"#,
            "expected one of `id`, `mode`, `extension`, saw an unknown member",
        ),
        (
            r#"{ "id": 1, "mode": "secret" }"#,
            "expected one of `strict`, `lenient`, `very-lenient`, saw an unknown name",
        ),
        (
            r#"{ "id": 1, "extension": "secret" }"#,
            "expected a value that the type admits, saw an object of 2 members",
        ),
        ("{}", "expected the member `id`, saw nothing"),
        (
            r#"{ "id": 1, "id": 2 }"#,
            "expected the member `id` once, saw it again",
        ),
        (
            r#"{ "id": 1"#,
            "expected the rest of the JSON text, saw its end",
        ),
        (
            r#"{ "id": secret }"#,
            "expected well-formed JSON, saw something else",
        ),
    ] {
        let value = serde_json::from_str(text).unwrap_or(Value::Null);
        let error = serde_json::from_str::<Strict>(text).expect_err(text);
        let fault = from_serde(&error, &value);
        assert!(
            fault.message.starts_with(message),
            "{text}: {}",
            fault.message
        );
        assert!(
            fault.message.contains(" (line 1, column "),
            "{}",
            fault.message
        );
        let all = serde_json::to_string(&fault).expect("JSON");
        assert!(!all.contains("secret") && !all.contains("7777"), "{all}");
        if let Err(error) = serde_json::from_value::<Strict>(value.clone()) {
            let all = serde_json::to_string(&from_serde(&error, &value)).expect("JSON");
            assert!(
                !all.contains("secret") && !all.contains("7777") && !all.contains("line"),
                "{all}"
            );
        }
    }
}

#[test]
fn nearest_names() {
    let known = ["rubricId", "course", "limit", "maxBatch"];
    for (name, expected) in [
        ("rubric_id", Some("rubricId")),
        ("RUBRIC-ID", Some("rubricId")),
        ("rubirc", None),
        ("rubirc_id", Some("rubricId")),
        ("cuorse", Some("course")),
        ("limits", Some("limit")),
        ("batch", None),
        ("", None),
        ("x", None),
        ("entirely-different", None),
    ] {
        assert_eq!(nearest(name, known), expected, "{name}");
    }
    assert_eq!(nearest(&"a".repeat(1_000_000), known), None);
    assert_eq!(
        nearest("limit", ["limit1", "limit"]),
        Some("limit"),
        "the nearest, not the first"
    );
    assert_eq!(nearest("a", ["b"]), None);
}

// --- schema and type agree ---------------------------------------------------------------------------------------

/// JSON that looks like params here and there.
fn junk() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        (-300..300i64).prop_map(Value::from),
        prop_oneof![
            Just(u64::from(u32::MAX)),
            Just(u64::from(u32::MAX) + 1),
            Just(u64::MAX)
        ]
        .prop_map(Value::from),
        Just(json!(1.5)),
        prop_oneof![
            Just("strict"),
            Just("lenient"),
            Just("point"),
            Just("x"),
            Just("com.example/x"),
            Just("-x"),
            Just("\u{e4}")
        ]
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let key = prop_oneof![
            Just("city"),
            Just("country"),
            Just("circle"),
            Just("polygon"),
            Just("radius"),
            Just("com.example/x"),
            Just("-x"),
            Just("x"),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(key.prop_map(str::to_owned), inner.clone(), 0..3)
                .prop_map(|m| json!(m)),
            (
                prop_oneof![Just("read"), Just("write"), Just("rest"), Just("raed")],
                inner.clone(),
                inner
            )
                .prop_map(|(ty, a, b)| json!({ "type": ty, "pages": a, "words": a, "topic": b })),
        ]
    })
}

fn params() -> impl Strategy<Value = Value> {
    let names = [
        "rubricId",
        "mode",
        "limit",
        "weight",
        "small",
        "place",
        "steps",
        "byCourse",
        "pair",
        "extension",
        "keys",
        "shape",
        "tag",
        "raw",
        "more",
    ];
    let plausible = prop_oneof![
        Just(json!({ "place": { "city": "x" }, "pair": [1, true], "tag": { "city": "x" } })),
        Just(
            json!({ "steps": [{ "type": "read", "pages": 1 }, { "type": "rest" }], "shape": { "circle": { "radius": 1 } } })
        ),
        Just(
            json!({ "shape": "point", "keys": { "com.example/x": 1 }, "extension": "com.example/x", "limit": 3 })
        ),
        Just(
            json!({ "byCourse": { "x": ["strict"] }, "weight": 1, "small": -1, "raw": [1], "tag": 7 })
        ),
    ];
    (
        plausible,
        prop::collection::vec((prop::sample::select(names.to_vec()), junk()), 0..3),
    )
        .prop_map(|(base, changes)| {
            let mut value = with(base);
            for (name, change) in changes {
                value[name] = change;
            }
            value
        })
}

/// serde takes an array for a struct, in the order of its members; the schema does not say so, and need not.
fn has_array_for_struct(value: &Value) -> bool {
    let array = |v: &Value| v.is_array();
    let any = |v: Option<&Value>| v.is_some_and(array);
    let steps = value["steps"]
        .as_array()
        .is_some_and(|steps| steps.iter().any(array));
    steps
        || any(value.get("place"))
        || any(value.get("tag"))
        || value["shape"].get("circle").is_some_and(array)
        || value["shape"].get("point").is_some()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn faults_are_found_exactly_where_serde_refuses(value in params()) {
        prop_assume!(!has_array_for_struct(&value));
        let read = serde_json::from_value::<Params>(value.clone());
        let found = find(&value, &PARAMS, &[]);
        prop_assert_eq!(read.is_ok(), found.is_empty(), "{}\n{:?}\n{:?}", value, read.err(), found);
        for fault in &found {
            // The pointer leads somewhere, or to a member that is missing.
            let there = value.pointer(&fault.pointer).is_some();
            prop_assert!(there || fault.seen == "nothing", "{} in {}", fault.pointer, value);
        }
    }
}

proptest! {
    #[test]
    fn any_value_at_all_is_walked_without_harm(value in junk(), text in any::<String>()) {
        for ty in [PARAMS, TypeSchema::of::<Shape>(), TypeSchema::of::<Tag>(), TypeSchema::of::<Step>(), TypeSchema::of::<Tree>()] {
            let _ = find(&value, &ty, &["*", ""]);
            let _ = find_in_settings(&json!({ "mode": text }), &ty);
        }
        let _ = nearest(&text, ["rubricId"]);
    }
}

#[test]
fn the_generated_params_are_a_fair_mix() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut good, mut bad, mut skipped) = (0, 0, 0);
    for _ in 0..1000 {
        let value = params().new_tree(&mut runner).expect("a value").current();
        match serde_json::from_value::<Params>(value.clone()) {
            _ if has_array_for_struct(&value) => skipped += 1,
            Ok(_) => good += 1,
            Err(_) => bad += 1,
        }
    }
    assert!(
        good > 200 && bad > 200 && skipped < 200,
        "{good} good, {bad} bad, {skipped} skipped"
    );
}
