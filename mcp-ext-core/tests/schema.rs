//! Schemas of types: the root form, the bundle of many, and the form for tools, with goldens under `tests/goldens`.
//! `MCP_EXT_BLESS=1` writes the goldens anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mcp_ext_core::id::ExtensionId;
use mcp_ext_core::schema::*;
use proptest::prelude::*;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a tool is called with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct GradeArgs {
    /// The submission to grade.
    submission: SubmissionId,
    /// Only the first so many criteria.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    #[serde(default)]
    weight: f64,
    /// How strictly.
    mode: Mode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fallback_mode: Option<Mode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    /// Where it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
    #[serde(default)]
    by_course: BTreeMap<String, BTreeSet<Kind>>,
    #[serde(default)]
    notes: Vec<Option<String>>,
    answer: Answer,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tag: Option<Tag>,
    #[serde(default)]
    raw: Value,
    #[schemars(extend("format" = "date"))]
    due: String,
    pair: (u8, String),
    #[serde(flatten)]
    page: Page,
}

/// An identifier that the course system gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct SubmissionId(String);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Page {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    size: u8,
}

/// The strictness of grading.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    /// Every criterion counts.
    Strict,
    /// Near misses count,
    /// within reason.
    Lenient,
    Off,
}

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
enum Kind {
    Essay,
    Quiz,
}

/// A place on earth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Place {
    city: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
enum Answer {
    Text { text: String },
    Choice(Choice),
    Skipped,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Choice {
    picked: BTreeSet<u8>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Tag {
    Number(i32),
    Word(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Nothing {}

#[derive(JsonSchema)]
#[allow(dead_code)]
struct Tree {
    value: u8,
    kids: Vec<Tree>,
}

#[derive(JsonSchema)]
#[allow(dead_code)]
struct Forest {
    trees: Vec<Tree>,
}

const ARGS: TypeSchema = TypeSchema::of::<GradeArgs>();
const NOTHING: TypeSchema = TypeSchema::of::<Nothing>();
const ANSWER: TypeSchema = TypeSchema::of::<Answer>();
const TREE: TypeSchema = TypeSchema::of::<Tree>();
const FOREST: TypeSchema = TypeSchema::of::<Forest>();
const MODE: TypeSchema = TypeSchema::of::<Mode>();

fn golden(name: &str, value: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/goldens")
        .join(name);
    let text = format!("{value:#}\n");
    if std::env::var_os("MCP_EXT_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder of goldens");
        std::fs::write(&path, &text).expect("the golden");
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == text,
        "{name} differs; look at the change and run again with MCP_EXT_BLESS=1\n{text}"
    );
}

fn assert_valid(schema: &Value) {
    assert!(
        jsonschema::draft202012::meta::is_valid(schema),
        "not a 2020-12 schema: {schema:#}"
    );
}

/// Every schema inside, by the keywords that hold schemas.
fn every_schema<'a>(schema: &'a Value, found: &mut Vec<&'a serde_json::Map<String, Value>>) {
    let Some(map) = schema.as_object() else {
        return;
    };
    found.push(map);
    for (keyword, value) in map {
        match (keyword.as_str(), value) {
            ("properties" | "$defs" | "patternProperties", Value::Object(named)) => {
                named.values().for_each(|inner| every_schema(inner, found));
            }
            ("anyOf" | "oneOf" | "allOf" | "prefixItems", Value::Array(list)) => {
                list.iter().for_each(|inner| every_schema(inner, found));
            }
            ("items" | "additionalProperties" | "not", inner) => every_schema(inner, found),
            _ => {}
        }
    }
}

fn bundled() -> Value {
    let entries = [
        ("grade.params", &ARGS),
        ("tree", &TREE),
        ("mode", &MODE),
        ("Answer", &ANSWER),
        ("nothing", &NOTHING),
    ];
    bundle(
        "https://example.com/grading/2026-11-01/schema.json",
        "Grading",
        &entries,
    )
    .expect("no clash")
}

#[test]
fn js_01_every_schema_is_valid_in_its_dialect() {
    for ty in [
        ARGS,
        NOTHING,
        ANSWER,
        TREE,
        FOREST,
        MODE,
        TypeSchema::of::<ExtensionId>(),
        TypeSchema::of::<Option<u8>>(),
    ] {
        let schema = root(&ty);
        assert_eq!(schema["$schema"], DIALECT);
        assert_valid(&schema);
    }
    assert_valid(&bundled());
    assert_valid(&tool_schema(&ARGS).expect("a tool"));
    assert!(
        !jsonschema::draft202012::meta::is_valid(&json!({ "type": "objekt" })),
        "the check can fail"
    );
}

#[test]
fn js_01_the_root_form_is_what_schemars_makes_itself() {
    assert_eq!(root(&ARGS), schemars::schema_for!(GradeArgs).to_value());
    assert_eq!(
        root(&TypeSchema::of::<Vec<Kind>>()),
        schemars::schema_for!(Vec<Kind>).to_value()
    );
    // A recursive root refers to itself by name, which stays true inside a larger document.
    assert_eq!(
        root(&TREE)["properties"]["kids"]["items"]["$ref"],
        "#/$defs/Tree"
    );
    assert!(root(&TREE)["$defs"]["Tree"].is_object());
}

#[test]
fn js_01_js_04_to_06_goldens() {
    golden("grade_args.root.json", &root(&ARGS));
    golden("grade_args.tool.json", &tool_schema(&ARGS).expect("a tool"));
    golden("nothing.tool.json", &tool_schema(&NOTHING).expect("a tool"));
    golden("bundle.json", &bundled());
}

#[test]
fn js_02_references_stay_inside_the_document() {
    let document = bundled();
    let mut all = Vec::new();
    every_schema(&document, &mut all);
    let references: Vec<&str> = all.iter().filter_map(|s| s.get("$ref")?.as_str()).collect();
    assert!(references.len() > 5);
    for reference in references {
        assert!(
            document
                .pointer(reference.trim_start_matches('#'))
                .is_some(),
            "{reference}"
        );
    }

    struct Elsewhere;
    impl JsonSchema for Elsewhere {
        fn schema_name() -> std::borrow::Cow<'static, str> {
            "Elsewhere".into()
        }
        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({ "type": "object", "properties": { "x": { "$ref": "https://example.com/x.json" } } })
        }
    }
    let elsewhere = TypeSchema::of::<Elsewhere>();
    assert!(matches!(
        bundle("https://example.com/s", "S", &[("x", &elsewhere)]),
        Err(SchemaFault::Reference { .. })
    ));
    assert!(matches!(
        tool_schema(&elsewhere),
        Err(SchemaFault::Reference { .. })
    ));
}

#[test]
fn js_02_the_bundle_resolves_without_a_network() {
    let mut document = bundled();
    document["$ref"] = json!("#/$defs/grade.params");
    let validator = jsonschema::draft202012::new(&document).expect("resolves");
    assert!(validator.is_valid(&serde_json::to_value(args()).expect("JSON")));
    assert!(!validator.is_valid(&json!({})));
}

#[test]
fn js_05_arguments_are_an_object() {
    assert_eq!(
        tool_schema(&NOTHING),
        Ok(json!({ "type": "object", "additionalProperties": false }))
    );
    assert_eq!(
        tool_output_schema(&NOTHING),
        Ok(json!({ "type": "object" }))
    );
    assert_eq!(tool_schema(&ARGS).expect("a tool")["type"], "object");
    for (ty, seen) in [
        (TypeSchema::of::<String>(), "\"string\""),
        (TypeSchema::of::<()>(), "\"null\""),
        (TypeSchema::of::<Vec<u8>>(), "\"array\""),
        (TypeSchema::of::<Value>(), "a schema without a type"),
    ] {
        match tool_schema(&ty) {
            Err(SchemaFault::NotAnObject { seen: s, .. }) => assert_eq!(s, seen),
            other => panic!("{other:?}"),
        }
    }
    // A map is an object with members, whatever their names.
    let map = tool_schema(&TypeSchema::of::<BTreeMap<String, u8>>()).expect("an object");
    assert_eq!(map["additionalProperties"]["type"], "integer");
    assert!(is_object_root(&ARGS) && is_object_root(&ANSWER) && is_object_root(&NOTHING));
    assert!(!is_object_root(&MODE) && !is_object_root(&TypeSchema::of::<Option<Choice>>()));
}

#[test]
fn js_06_objects_are_left_open() {
    assert_eq!(
        root(&ARGS)["$defs"]["Place"]["additionalProperties"],
        false,
        "the type says so"
    );
    #[derive(JsonSchema)]
    #[allow(dead_code)]
    enum Shape {
        Circle { place: Place },
        Point(u8),
    }
    #[derive(JsonSchema)]
    #[allow(dead_code)]
    struct Shapes {
        shapes: Vec<Shape>,
    }
    let shapes = TypeSchema::of::<Shapes>();
    assert_eq!(
        root(&shapes)["$defs"]["Shape"]["oneOf"][0]["additionalProperties"],
        false
    );
    let of_shapes = bundle("https://example.com/s", "S", &[("shapes", &shapes)]).expect("no clash");
    let tools = [&ARGS, &shapes].map(|ty| tool_output_schema(ty).expect("a tool"));
    for schema in [bundled(), of_shapes].into_iter().chain(tools) {
        let mut all = Vec::new();
        every_schema(&schema, &mut all);
        assert!(
            all.iter()
                .all(|s| s.get("additionalProperties") != Some(&json!(false))),
            "{schema:#}"
        );
    }
}

#[test]
fn arguments_are_closed_exactly_where_the_type_refuses_unknown_members() {
    let schema = tool_schema(&ARGS).expect("a tool");
    let mut all = Vec::new();
    every_schema(&schema, &mut all);
    let closed = all
        .iter()
        .filter(|s| s.get("additionalProperties") == Some(&json!(false)))
        .count();
    assert!(closed >= 1, "{schema:#}");
    assert_ne!(schema["additionalProperties"], false, "ARGS itself is open");
}

#[test]
fn tool_schemas_hold_nothing_a_host_refuses() {
    let schema = tool_schema(&ARGS).expect("a tool");
    let mut all = Vec::new();
    every_schema(&schema, &mut all);
    assert!(all.len() > 25, "{}", all.len());
    for inner in all {
        for keyword in ["$ref", "$schema", "$defs", "title"] {
            assert!(!inner.contains_key(keyword), "{keyword} in {inner:?}");
        }
        assert!(!inner.get("type").is_some_and(Value::is_array), "{inner:?}");
        assert!(inner.get("format").is_none_or(|f| f == "date"), "{inner:?}");
    }
    assert!(
        !["anyOf", "oneOf", "allOf"]
            .iter()
            .any(|k| schema.get(*k).is_some())
    );
    let properties = &schema["properties"];
    assert_eq!(
        properties["mode"],
        json!({
            "type": "string",
            "enum": ["off", "strict", "lenient"],
            "description": "How strictly.\n- `strict`: Every criterion counts.\n- `lenient`: Near misses count, within reason."
        })
    );
    assert!(
        properties["fallbackMode"]["description"]
            .as_str()
            .is_some_and(|d| d.starts_with("The strictness of grading."))
    );
    assert_eq!(
        properties["limit"],
        json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX, "description": "Only the first so many criteria." })
    );
    assert_eq!(properties["raw"], json!({}), "`true` becomes `{{}}`");
    assert_eq!(properties["due"]["format"], "date");
    assert_eq!(
        properties["notes"]["items"],
        json!({ "anyOf": [{ "type": "string" }, { "type": "null" }] })
    );
    assert_eq!(properties["place"]["description"], "Where it was written.");
    let choice = &properties["answer"]["oneOf"][1];
    assert_eq!(choice["required"], json!(["type", "picked"]));
    assert_eq!(
        schema["required"],
        json!(["submission", "mode", "answer", "due", "pair", "size"])
    );
}

#[test]
fn null_inside_alternatives_makes_a_member_optional() {
    #[derive(JsonSchema)]
    #[serde(untagged)]
    #[allow(dead_code)]
    enum Amount {
        Some(Option<u8>),
        Words(String),
    }
    #[derive(JsonSchema)]
    #[allow(dead_code)]
    struct Args {
        amount: Amount,
        both: Either,
    }
    /// Two kinds of alternatives at once.
    #[derive(JsonSchema)]
    #[allow(dead_code)]
    struct Either {
        #[serde(flatten)]
        amount: Amount2,
        #[serde(flatten)]
        answer: Answer,
    }
    #[derive(JsonSchema)]
    #[serde(untagged)]
    #[allow(dead_code)]
    enum Amount2 {
        Place(Place),
        Page(Page),
    }
    let schema = tool_schema(&TypeSchema::of::<Args>()).expect("a tool");
    let amount = &schema["properties"]["amount"]["anyOf"];
    assert_eq!(amount[0]["type"], "integer");
    assert_eq!(amount[1], json!({ "type": "string" }));
    assert_eq!(amount.as_array().map(Vec::len), Some(2));
    assert_eq!(schema["required"], json!(["both"]));
    assert_valid(&schema);
    let validator = jsonschema::draft202012::new(&schema).expect("a schema");
    assert!(validator.is_valid(&json!({ "both": { "city": "x", "type": "text", "text": "x" } })));
    assert!(!validator.is_valid(&json!({ "both": { "city": "x", "type": "text" } })));
    assert!(!validator.is_valid(&json!({ "both": { "type": "text", "text": "x" } })));
}

#[test]
fn alternatives_that_meet_stand_side_by_side() {
    /// As a hand-written schema may have it: a list of types and alternatives of its own.
    struct Mixed;
    impl JsonSchema for Mixed {
        fn schema_name() -> std::borrow::Cow<'static, str> {
            "Mixed".into()
        }
        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({ "type": ["string", "integer", "null"], "anyOf": [{ "minLength": 2 }, { "minimum": 3 }] })
        }
    }
    #[derive(JsonSchema)]
    #[allow(dead_code)]
    struct Args {
        mixed: Mixed,
        #[schemars(extend("maximum" = 9))]
        again: Mixed,
    }
    let schema = tool_schema(&TypeSchema::of::<Args>()).expect("a tool");
    assert_valid(&schema);
    let mixed = jsonschema::draft202012::new(&schema["properties"]["mixed"]).expect("a schema");
    for (value, valid) in [
        (json!("ab"), true),
        (json!(4), true),
        (json!(true), false),
        (json!([]), false),
        (json!(1.5), false),
    ] {
        assert_eq!(
            mixed.is_valid(&value),
            valid,
            "{value} against {:#}",
            schema["properties"]["mixed"]
        );
    }
    assert_eq!(
        schema["properties"]["mixed"]["allOf"],
        json!([{ "anyOf": [{ "minLength": 2 }, { "minimum": 3 }] }])
    );
    assert_eq!(schema["properties"]["again"]["maximum"], 9);
    assert!(
        schema.get("required").is_none(),
        "null is admitted, so the member may be missing"
    );
}

#[test]
fn tool_schemas_refuse_what_cannot_be_said() {
    assert_eq!(
        tool_schema(&TREE),
        Err(SchemaFault::Recursive {
            name: "Tree".into(),
            through: "Tree".into()
        })
    );
    let error = tool_schema(&FOREST).expect_err("recursive");
    assert_eq!(
        error,
        SchemaFault::Recursive {
            name: "Forest".into(),
            through: "Tree".into()
        }
    );
    assert!(
        error.to_string().contains("Tree contains itself"),
        "{error}"
    );
    assert_eq!(
        tool_schema(&ANSWER),
        Err(SchemaFault::RootComposition {
            name: "Answer".into(),
            keyword: "oneOf".into()
        })
    );
}

#[test]
fn inlining_is_bounded() {
    /// Each level names the next twice: 2^20 schemas when written out.
    #[derive(JsonSchema)]
    #[allow(dead_code)]
    struct Twice<T> {
        a: T,
        b: T,
    }
    type Four<T> = Twice<Twice<Twice<Twice<T>>>>;
    let huge = TypeSchema::of::<Four<Four<Four<Four<Four<u8>>>>>>();
    assert!(matches!(
        tool_schema(&huge),
        Err(SchemaFault::TooLarge { .. })
    ));
}

#[test]
fn schemas_are_the_same_on_every_run() {
    assert_eq!(bundled().to_string(), bundled().to_string());
    let elsewhere = std::thread::spawn(|| bundled().to_string())
        .join()
        .expect("no panic");
    assert_eq!(bundled().to_string(), elsewhere);
}

mod other {
    /// Another type of the same name.
    #[derive(schemars::JsonSchema)]
    #[allow(dead_code)]
    pub struct Place {
        pub planet: u8,
    }
}

#[test]
fn types_of_one_name_do_not_collide_silently() {
    let here = TypeSchema::of::<Place>();
    let there = TypeSchema::of::<other::Place>();
    let document = bundle(
        "https://example.com/s",
        "S",
        &[("here", &here), ("there", &there)],
    )
    .expect("numbered");
    assert_eq!(document["$defs"]["here"]["$ref"], "#/$defs/Place");
    assert_eq!(document["$defs"]["there"]["$ref"], "#/$defs/Place2");
    assert!(document["$defs"]["Place2"]["properties"]["planet"].is_object());

    let clash = SchemaFault::SameName {
        name: "Place".into(),
    };
    assert_eq!(
        bundle(
            "https://example.com/s",
            "S",
            &[("here", &here), ("Place", &there)]
        ),
        Err(clash.clone())
    );
    assert_eq!(
        bundle(
            "https://example.com/s",
            "S",
            &[("Place", &here), ("Place", &there)]
        ),
        Err(clash)
    );
    assert!(
        bundle(
            "https://example.com/s",
            "S",
            &[("Place", &here), ("Place", &here)]
        )
        .is_ok()
    );

    /// Hand-written, with the default id: nothing tells it from another type called `Place`.
    macro_rules! place {
        ($name:ident, $ty:literal) => {
            struct $name;
            impl JsonSchema for $name {
                fn schema_name() -> std::borrow::Cow<'static, str> {
                    "Hand".into()
                }
                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    json_schema!({ "type": $ty })
                }
            }
        };
    }
    place!(One, "string");
    place!(Two, "number");
    let (one, two) = (TypeSchema::of::<One>(), TypeSchema::of::<Two>());
    let clash = SchemaFault::SameName {
        name: "Hand".into(),
    };
    assert_eq!(
        bundle(
            "https://example.com/s",
            "S",
            &[("one", &one), ("two", &two)]
        ),
        Err(clash)
    );
}

#[test]
fn top_level_members_are_those_of_every_alternative() {
    assert_eq!(top_level_properties(&ANSWER), ["picked", "text", "type"]);
    assert!(
        top_level_properties(&ARGS).contains(&"cursor".to_owned()),
        "flattened members are at the top"
    );
    assert!(top_level_properties(&NOTHING).is_empty());
    assert!(
        is_required_string(&ARGS, "submission"),
        "a newtype of a string is a string"
    );
    assert!(is_required_string(&ARGS, "due"));
    assert!(
        !is_required_string(&ARGS, "cursor")
            && !is_required_string(&ARGS, "size")
            && !is_required_string(&ARGS, "x")
    );
}

#[test]
fn hdr_07_headers_come_from_plain_members() {
    #[derive(JsonSchema)]
    #[allow(dead_code)]
    struct Args {
        #[schemars(extend("x-mcp-header" = "Course"))]
        course: String,
        inner: Inner,
    }
    #[derive(JsonSchema)]
    #[allow(dead_code)]
    struct Inner {
        #[schemars(extend("x-mcp-header" = "Dry-Run"))]
        dry_run: Option<bool>,
    }
    let schema = tool_schema(&TypeSchema::of::<Args>()).expect("a tool");
    assert_eq!(check_mcp_headers(&schema), Ok(()));
    assert_eq!(
        schema["properties"]["inner"]["properties"]["dry_run"]["x-mcp-header"],
        "Dry-Run"
    );

    let header = |name: Value, ty: Value| json!({ "type": ty, "x-mcp-header": name });
    let object = |properties: Value| json!({ "type": "object", "properties": properties });
    let problem = |schema: Value| match check_mcp_headers(&schema) {
        Err(SchemaFault::Header { pointer, problem }) => (pointer, problem),
        other => panic!("{other:?}: {schema}"),
    };
    for bad in [
        json!(""),
        json!("a b"),
        json!("a:b"),
        json!("\u{e4}"),
        json!(7),
        json!(null),
    ] {
        let (pointer, problem) = problem(object(json!({ "a/b": header(bad, json!("string")) })));
        assert_eq!(pointer, "/properties/a~1b");
        assert!(matches!(problem, HeaderProblem::NotAToken { .. }));
    }
    let twice = object(
        json!({ "a": header(json!("X-A"), json!("string")), "b": header(json!("x-a"), json!("integer")) }),
    );
    assert!(matches!(problem(twice).1, HeaderProblem::Duplicate { .. }));
    for ty in [
        json!("number"),
        json!("array"),
        json!("object"),
        json!(["string", "null"]),
        json!(null),
    ] {
        assert!(matches!(
            problem(object(json!({ "a": header(json!("A"), ty) }))).1,
            HeaderProblem::Type { .. }
        ));
    }
    let good = header(json!("A"), json!("string"));
    for (keyword, inner) in [
        ("items", good.clone()),
        ("anyOf", json!([good])),
        ("oneOf", json!([good])),
        ("allOf", json!([object(json!({ "b": good }))])),
        ("if", good.clone()),
        ("then", object(json!({ "b": good }))),
        ("additionalProperties", good.clone()),
        ("patternProperties", json!({ "^a": good })),
        ("$defs", json!({ "b": good })),
    ] {
        let schema = object(json!({ "a": { "type": "array", (keyword): inner } }));
        assert_eq!(problem(schema).1, HeaderProblem::Unreachable, "{keyword}");
    }
    let wide = object(
        json!({ "a": { "type": "integer", "maximum": 9_007_199_254_740_992_u64, "x-mcp-header": "A" } }),
    );
    assert_eq!(problem(wide).1, HeaderProblem::Range);
    // A member that happens to have the name of the keyword is no header.
    assert_eq!(
        check_mcp_headers(&object(json!({ "x-mcp-header": { "type": "number" } }))),
        Ok(())
    );
}

// --- the transformed schema says what the type says --------------------------------------------------------------

fn args() -> GradeArgs {
    GradeArgs {
        submission: SubmissionId("s-1".into()),
        limit: None,
        weight: 1.0,
        mode: Mode::Strict,
        fallback_mode: None,
        kind: None,
        place: None,
        by_course: BTreeMap::new(),
        notes: vec![None],
        answer: Answer::Skipped,
        tag: None,
        raw: Value::Null,
        due: "2026-11-24".into(),
        pair: (1, "x".into()),
        page: Page {
            cursor: None,
            size: 1,
        },
    }
}

fn any_args() -> impl Strategy<Value = GradeArgs> {
    let mode = || prop_oneof![Just(Mode::Strict), Just(Mode::Lenient), Just(Mode::Off)];
    let kind = || prop_oneof![Just(Kind::Essay), Just(Kind::Quiz)];
    let answer = prop_oneof![
        any::<String>().prop_map(|text| Answer::Text { text }),
        prop::collection::btree_set(any::<u8>(), 0..4)
            .prop_map(|picked| Answer::Choice(Choice { picked })),
        Just(Answer::Skipped),
    ];
    let tag = prop_oneof![
        any::<i32>().prop_map(Tag::Number),
        any::<String>().prop_map(Tag::Word)
    ];
    let first = (
        any::<String>(),
        prop::option::of(any::<u32>()),
        -1e9..1e9f64,
        mode(),
        prop::option::of(mode()),
        prop::option::of(kind()),
        prop::option::of(any::<String>()),
    );
    let second = (
        prop::collection::btree_map("[a-z]", prop::collection::btree_set(kind(), 0..3), 0..3),
        prop::collection::vec(prop::option::of(any::<String>()), 0..3),
        answer,
        prop::option::of(tag),
        prop::option::of(any::<String>()),
        any::<u8>(),
    );
    (first, second).prop_map(
        |(
            (id, limit, weight, mode, fallback_mode, kind, city),
            (by_course, notes, answer, tag, cursor, size),
        )| {
            GradeArgs {
                submission: SubmissionId(id),
                limit,
                weight,
                mode,
                fallback_mode,
                kind,
                place: city.map(|city| Place { city }),
                by_course,
                notes,
                answer,
                tag,
                raw: json!([1, null]),
                due: "2026-11-24".into(),
                pair: (size, String::new()),
                page: Page { cursor, size },
            }
        },
    )
}

proptest! {
    #[test]
    fn js_04_what_the_type_writes_its_tool_schema_admits(args in any_args()) {
        thread_local!(static VALID: jsonschema::Validator =
            jsonschema::draft202012::new(&tool_schema(&ARGS).expect("a tool")).expect("a schema"));
        let value = serde_json::to_value(&args).expect("JSON");
        prop_assert!(VALID.with(|v| v.is_valid(&value)), "{}", value);
    }

    /// A value with one member taken away or replaced: the schema and serde agree on it.
    #[test]
    fn js_04_what_the_tool_schema_admits_the_type_reads(args in any_args(), which in any::<prop::sample::Index>(), other in 0..7usize) {
        thread_local!(static VALID: jsonschema::Validator =
            jsonschema::draft202012::new(&tool_schema(&ARGS).expect("a tool")).expect("a schema"));
        let mut value = serde_json::to_value(&args).expect("JSON");
        let map = value.as_object_mut().expect("an object");
        let name = map.keys().nth(which.index(map.len())).expect("a member").clone();
        match [json!(null), json!(true), json!(-1), json!("x"), json!([]), json!({}), json!(null)][other].clone() {
            Value::Null => { map.remove(&name); }
            junk => { map.insert(name, junk); }
        }
        let admitted = VALID.with(|v| v.is_valid(&value));
        prop_assert_eq!(serde_json::from_value::<GradeArgs>(value.clone()).is_ok(), admitted, "{}", value);
    }
}
