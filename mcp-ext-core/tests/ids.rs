//! Names: the grammar of facts 1.1, the reserved names, and the const form of each check.

use std::collections::BTreeSet;
use std::path::Path;

use mcp_ext_core::id::*;
use proptest::prelude::*;
use regex::Regex;

/// The regular expression of the specification, written out here so that the code's own copy is checked too.
const SPEC: &str = r"^[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*/[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$";

fn refused(text: &str) -> IdError {
    ExtensionId::parse(text).expect_err(text)
}

#[test]
fn id_01_the_grammar_accepts_what_it_should() {
    for text in [
        "com.example/grading",
        "com.example/grading-v2",
        "com.example/a_b.c",
        "example/grading",
        "com.example.mcp/x",
        "a/b",
        "a.b.c.d/0",
        "mcp/x",
        "mcp.dev/x",
        "com.ex--ample/x..y",
    ] {
        let id = ExtensionId::parse(text).expect(text);
        assert_eq!(id.to_string(), text);
        assert_eq!(format!("{}/{}", id.prefix(), id.name()), text);
        assert!(!id.is_reserved(), "{text}");
    }
}

#[test]
fn id_01_a_prefix_and_one_slash() {
    for (text, at, rule) in [
        ("grading", 7, IdRule::Slash),
        ("com.example.grading", 19, IdRule::Slash),
        ("", 0, IdRule::EmptyLabel),
        ("/grading", 0, IdRule::EmptyLabel),
        ("com.example/a/b", 13, IdRule::OneSlash),
        ("io.modelcontextprotocol/auth/dpop", 28, IdRule::OneSlash),
        ("com.example//x", 12, IdRule::OneSlash),
    ] {
        let error = refused(text);
        assert_eq!((error.at, error.rule), (at, rule), "{error}");
    }
}

#[test]
fn id_02_labels_start_with_a_letter_and_end_with_a_letter_or_digit() {
    for (text, at, label, rule) in [
        ("com.1example/x", 4, "1example", IdRule::LabelStart),
        ("com.-ex/x", 4, "-ex", IdRule::LabelStart),
        ("com.ex-/x", 6, "ex-", IdRule::LabelEnd),
        ("com..ex/x", 4, "", IdRule::EmptyLabel),
        (".com/x", 0, "", IdRule::EmptyLabel),
        ("com./x", 4, "", IdRule::EmptyLabel),
        ("com.ex_a/x", 6, "ex_a", IdRule::LabelChar),
        ("com.ex\u{e4}mple/x", 6, "ex\u{e4}mple", IdRule::LabelChar),
        ("com.ex ample/x", 6, "ex ample", IdRule::LabelChar),
    ] {
        let error = refused(text);
        assert_eq!(
            (error.at, error.label.as_str(), error.rule),
            (at, label, rule),
            "{error}"
        );
    }
}

#[test]
fn id_03_names_start_and_end_alphanumeric() {
    for (text, at, rule) in [
        ("com.example/-x", 12, IdRule::NameStart),
        ("com.example/x.", 13, IdRule::NameEnd),
        ("com.example/x-", 13, IdRule::NameEnd),
        ("com.example/.", 12, IdRule::NameStart),
        ("com.example/a b", 13, IdRule::NameChar),
        ("com.example/a\n", 13, IdRule::NameChar),
        ("com.example/a\u{e4}", 13, IdRule::NameChar),
    ] {
        let error = refused(text);
        assert_eq!((error.at, error.rule), (at, rule), "{error}");
    }
}

#[test]
fn id_04_an_identifier_has_a_name() {
    assert_eq!(refused("com.example/").rule, IdRule::EmptyName);
    assert!(
        MetaKey::parse("com.example/").is_ok(),
        "a _meta key may be a prefix alone"
    );
}

#[test]
fn id_05_reserved_prefixes_are_for_official_builds() {
    for text in [
        "io.modelcontextprotocol/tasks",
        "com.mcp/x",
        "dev.mcp/x",
        "com.mcp.tools/x",
        "org.modelcontextprotocol.api/x",
    ] {
        let error = refused(text);
        assert_eq!(error.rule, IdRule::ReservedPrefix);
        assert!(RESERVED.contains(&error.label.as_str()), "{error}");
        assert!(text.parse::<ExtensionId>().is_err());
        let official = ExtensionId::parse_official(text).expect(text);
        assert!(official.is_reserved());
        // A peer may name it: what is read is checked against the grammar only.
        assert_eq!(
            serde_json::from_value::<ExtensionId>(text.into()).expect(text),
            official
        );
    }
    assert!(ExtensionId::parse_official("io.modelcontextprotocol/auth/dpop").is_err());
    assert!(
        ExtensionId::parse("com.mcp-tools/x").is_ok(),
        "a whole label, not a part of one"
    );
    assert!(ExtensionId::parse("com.mcpx/x").is_ok());
}

const RESERVED: [&str; 2] = ["mcp", "modelcontextprotocol"];

#[test]
fn id_06_a_prefix_of_one_label_draws_a_warning() {
    let warnings = ExtensionId::parse("example/grading")
        .expect("valid")
        .warnings();
    assert_eq!(
        warnings,
        [IdWarning::OneLabel {
            prefix: "example".into()
        }]
    );
    assert!(
        ExtensionId::parse("com.example/grading")
            .expect("valid")
            .warnings()
            .is_empty()
    );
}

#[test]
fn id_08_variants_of_case_are_found_and_not_equal() {
    let a = ExtensionId::from_static("com.example/grading");
    let b = ExtensionId::from_static("com.example/Grading");
    assert!(a != b && a.is_case_variant_of(&b) && !a.is_case_variant_of(&a));
}

#[test]
fn id_09_any_label_that_reads_mcp_draws_a_warning() {
    for text in [
        "mcp.dev/x",
        "com.example.mcp/x",
        "com.example.ModelContextProtocol/x",
        "com.MCP/x",
    ] {
        let warnings = ExtensionId::parse(text).expect(text).warnings();
        assert!(
            matches!(warnings[..], [IdWarning::McpLabel { .. }]),
            "{text}: {warnings:?}"
        );
    }
    let long = format!("com.example/{}", "x".repeat(117));
    let warnings = ExtensionId::parse(&long).expect("valid").warnings();
    assert_eq!(warnings, [IdWarning::Long { length: 129 }]);
}

#[test]
fn errors_name_the_text_the_byte_the_label_and_the_expectation() {
    assert_eq!(
        refused("com.1example/x").to_string(),
        "extension identifier \"com.1example/x\": at byte 4, in \"1example\": expected a letter (A-Z, a-z) at the start of a label"
    );
    let long = refused(&"\u{e4}".repeat(5000)).to_string();
    assert!(
        long.len() < 1000,
        "what a peer sends is cut: {} bytes",
        long.len()
    );
}

#[test]
fn meta_01_keys_follow_the_grammar() {
    for text in [
        "com.example/label",
        "com.example/",
        "label",
        "a.b-c_d",
        "com.example.grading/x",
    ] {
        assert_eq!(MetaKey::parse(text).expect(text).as_str(), text);
    }
    for text in [
        "",
        "/",
        "/x",
        "-x",
        "x-",
        "com.1/x",
        "com.example/a/b",
        "a b",
        "com.example/x.",
    ] {
        assert!(MetaKey::parse_official(text).is_err(), "{text}");
    }
    let own = ExtensionId::from_static("com.example/grading");
    for (text, belongs) in [
        ("com.example/label", true),
        ("com.example.grading/label", true),
        ("com.example.gradings/label", false),
        ("com.examples/label", false),
        ("org.example/label", false),
        ("label", false),
    ] {
        assert_eq!(
            MetaKey::parse(text).expect(text).belongs_to(&own),
            belongs,
            "{text}"
        );
    }
}

#[test]
fn meta_02_reserved_keys_are_refused() {
    for text in [
        "progressToken",
        "traceparent",
        "tracestate",
        "baggage",
        "io.modelcontextprotocol/protocolVersion",
        "dev.mcp/",
    ] {
        assert!(MetaKey::parse(text).is_err(), "{text}");
        assert!(MetaKey::parse_official(text).expect(text).is_reserved());
    }
}

#[test]
fn req_04_method_names_keep_clear_of_reserved_ones() {
    for (text, rule) in [
        ("rpc.discover", IdRule::RpcPrefix),
        ("rpc.example/x/y", IdRule::RpcPrefix),
        ("rpc/x/y", IdRule::RpcPrefix),
        ("tools/call", IdRule::CoreMethod),
        ("initialize", IdRule::CoreMethod),
        ("ping", IdRule::CoreMethod),
        ("tools/grading/submit", IdRule::CorePrefix),
        ("resources/grading/submit", IdRule::CorePrefix),
        ("prompts/grading/submit", IdRule::CorePrefix),
        ("completion/grading/submit", IdRule::CorePrefix),
        ("server/grading/submit", IdRule::CorePrefix),
        ("subscriptions/grading/submit", IdRule::CorePrefix),
        ("logging/grading/submit", IdRule::CorePrefix),
        ("notifications/com.example/grading", IdRule::CorePrefix),
        ("tasks/get", IdRule::OfficialPrefix),
        ("skills/grading/submit", IdRule::OfficialPrefix),
        ("events/grading/submit", IdRule::OfficialPrefix),
        ("submit", IdRule::MethodForm),
        ("com.example/grading", IdRule::MethodForm),
        ("com.example/grading/submit/now", IdRule::MethodForm),
        ("com.example/grading/", IdRule::EmptyName),
        (
            "io.modelcontextprotocol/grading/submit",
            IdRule::ReservedPrefix,
        ),
        ("com.1example/grading/submit", IdRule::LabelStart),
    ] {
        let error = MethodName::parse(text).expect_err(text);
        assert_eq!(error.rule, rule, "{error}");
    }
    for text in [
        "com.example/grading/submit",
        "com.example/grading/rubrics.list",
        "rpcs.example/x/y",
    ] {
        assert!(MethodName::parse(text).is_ok(), "{text}");
    }
    for text in ["tasks/get", "skills/list", "ui/open"] {
        assert!(MethodName::parse_official(text).is_ok(), "{text}");
    }
    assert!(MethodName::parse_official("server/discover").is_err());
}

#[test]
fn req_04_every_core_method_of_both_revisions_is_known() {
    let mut found = BTreeSet::new();
    for file in ["schema-2025-11-25.json", "schema-2026-07-28.json"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../shared/spec")
            .join(file);
        let Ok(text) = std::fs::read_to_string(&path) else {
            eprintln!(
                "SKIPPED req_04_every_core_method_of_both_revisions_is_known: {file} is not in ../shared/spec"
            );
            return;
        };
        let schema: serde_json::Value = serde_json::from_str(&text).expect("the schema is JSON");
        let methods: Vec<_> = schema["$defs"]
            .as_object()
            .expect("$defs")
            .values()
            .filter_map(|def| def["properties"]["method"]["const"].as_str())
            .map(str::to_owned)
            .collect();
        assert!(methods.len() > 20, "{file} names {} methods", methods.len());
        found.extend(methods);
    }
    let known: BTreeSet<String> = CORE_METHODS.iter().map(|m| (*m).to_owned()).collect();
    assert_eq!(known, found);
    assert!(CORE_METHODS.is_sorted());
    for method in CORE_METHODS {
        assert!(
            MethodName::parse(method).is_err() && NotificationName::parse(method).is_err(),
            "{method}"
        );
    }
}

#[test]
fn req_04_notifications_have_a_form_of_their_own() {
    assert!(NotificationName::parse("notifications/com.example/grading/changed").is_ok());
    for (text, rule) in [
        ("com.example/grading/changed", IdRule::NotificationForm),
        ("notifications/", IdRule::EmptyName),
        ("notifications/changed", IdRule::NotificationForm),
        ("notifications/message", IdRule::CoreMethod),
        ("notifications/rpc.example/x/y", IdRule::RpcPrefix),
        (
            "notifications/io.modelcontextprotocol/tasks/status",
            IdRule::ReservedPrefix,
        ),
    ] {
        assert_eq!(
            NotificationName::parse(text).expect_err(text).rule,
            rule,
            "{text}"
        );
    }
    assert!(NotificationName::parse_official("notifications/tasks/status").is_ok());
}

#[test]
fn req_05_method_names_are_visible_ascii() {
    for text in [
        "com.example/grading/a b",
        "com.example/grading/\u{e4}",
        "com.example/grading/a\n",
        " x",
        "x\u{7f}",
    ] {
        assert_eq!(
            MethodName::parse(text).expect_err(text).rule,
            IdRule::VisibleAscii,
            "{text:?}"
        );
    }
    assert_eq!(
        MethodName::parse("").expect_err("empty").rule,
        IdRule::Empty
    );
}

#[test]
fn req_15_tool_names() {
    let (forty, long) = ("x".repeat(40), "x".repeat(128));
    for (text, strict, wire) in [
        ("grade_submission", true, true),
        (forty.as_str(), true, true),
        ("", false, false),
        ("Grade", false, true),
        ("grade.submission-2", false, true),
        (long.as_str(), false, true),
        ("grade submission", false, false),
        ("grade/submission", false, false),
        ("gr\u{e4}de", false, false),
    ] {
        assert_eq!(check_tool_name(text).is_ok(), strict, "{text}");
        assert_eq!(check_wire_tool_name(text).is_ok(), wire, "{text}");
    }
    assert_eq!(
        check_tool_name(&"x".repeat(41)),
        Err(IdFault {
            at: 40,
            rule: IdRule::ToolLength
        })
    );
    assert_eq!(
        check_wire_tool_name(&"x".repeat(129)),
        Err(IdFault {
            at: 128,
            rule: IdRule::ToolLength
        })
    );
}

#[test]
fn err_01_to_04_own_codes_lie_outside_the_reserved_range() {
    for (code, own) in [
        (-32769, true),
        (-32768, false),
        (-32700, false),
        (-32603, false),
        (-32021, false),
        (-32000, false),
        (-31999, true),
        (0, true),
        (4100, true),
        (i64::MIN, true),
        (i64::MAX, true),
    ] {
        assert_eq!(check_own_code(code).is_ok(), own, "{code}");
        assert_eq!(RESERVED_CODES.contains(&code), !own, "{code}");
    }
}

// These compile, which is the test.
const ID: ExtensionId = ExtensionId::from_static("com.example/grading");
const OFFICIAL: ExtensionId = ExtensionId::from_static_official("io.modelcontextprotocol/tasks");
static KEY: MetaKey = MetaKey::from_static("com.example/label");
const METHOD: MethodName = MethodName::from_static("com.example/grading/submit");
const EVENT: NotificationName =
    NotificationName::from_static("notifications/com.example/grading/changed");
const _: () = assert!(check_extension_id("com.example/grading").is_ok());
const _: () = assert!(check_extension_id("com.example").is_err());
const _: () = assert!(check_own_code(4100).is_ok() && check_own_code(-32600).is_err());
const _: () = assert!(check_tool_name("grade").is_ok() && check_tool_name("Grade").is_err());

#[test]
fn id_01_constants_equal_what_is_parsed() {
    assert_eq!(
        ID,
        ExtensionId::parse("com.example/grading").expect("valid")
    );
    assert!(OFFICIAL.is_reserved() && !KEY.is_reserved());
    assert_eq!(METHOD.extension(), ID.as_str());
    assert_eq!((EVENT.extension(), EVENT.event()), (ID.as_str(), "changed"));
    let refused =
        std::panic::catch_unwind(|| ExtensionId::from_static("com.example")).expect_err("no slash");
    let words = refused.downcast_ref::<String>().expect("words");
    assert!(
        words.starts_with("extension identifier \"com.example\": at byte 11: expected a `/`"),
        "{words}"
    );
}

#[test]
fn names_travel_as_strings_and_are_checked_when_read() {
    assert_eq!(
        serde_json::to_value(&ID).expect("a string"),
        "com.example/grading"
    );
    for bad in [
        "\"com.example\"",
        "null",
        "7",
        "{}",
        "[\"com.example/grading\"]",
    ] {
        assert!(serde_json::from_str::<ExtensionId>(bad).is_err(), "{bad}");
    }
    assert!(serde_json::from_str::<MethodName>("\"a b\"").is_err());
    // An escaped string cannot be borrowed from the input and is read all the same.
    let escaped = r#""com.example\/grading""#;
    assert_eq!(
        serde_json::from_str::<ExtensionId>(escaped).expect("valid"),
        ID
    );
}

/// Strings near the grammar: the right alphabet, in a plausible order, with a fault thrown in now and then.
fn near_miss() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-zA-Z0-9-]{0,6}",
        1 => Just("mcp".to_owned()),
        1 => Just("modelcontextprotocol".to_owned()),
        1 => "[ -~]{0,3}",
    ];
    let separator = prop_oneof![4 => Just("."), 3 => Just("/"), 1 => Just(""), 1 => Just("_")];
    prop::collection::vec((piece, separator), 0..6).prop_map(|parts| {
        let mut text: String = parts
            .iter()
            .map(|(piece, separator)| format!("{piece}{separator}"))
            .collect();
        if parts.len() % 2 == 0 {
            text.pop();
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn id_01_to_05_the_parser_agrees_with_the_specification(text in prop_oneof![near_miss(), any::<String>(), SPEC.trim_matches(['^', '$'])]) {
        thread_local!(static RE: Regex = Regex::new(SPEC).expect("a regular expression"));
        let matches = RE.with(|re| re.is_match(&text));
        prop_assert_eq!(ExtensionId::parse_official(&text).is_ok(), matches);
        prop_assert_eq!(serde_json::from_value::<ExtensionId>(text.as_str().into()).is_ok(), matches);
        let second = text.split('/').next().and_then(|prefix| prefix.split('.').nth(1));
        let reserved = second.is_some_and(|label| RESERVED.contains(&label));
        prop_assert_eq!(ExtensionId::parse(&text).is_ok(), matches && !reserved);
        prop_assert_eq!(EXTENSION_ID_PATTERN, SPEC);
    }

    #[test]
    fn meta_01_the_parser_agrees_with_its_pattern(text in prop_oneof![near_miss(), any::<String>()]) {
        thread_local!(static RE: Regex = Regex::new(META_KEY_PATTERN).expect("a regular expression"));
        prop_assert_eq!(MetaKey::parse_official(&text).is_ok(), RE.with(|re| re.is_match(&text)));
        // A key is an identifier's twin: with a prefix and a name the two grammars are one.
        if text.split_once('/').is_some_and(|(_, name)| !name.is_empty()) {
            prop_assert_eq!(MetaKey::parse_official(&text).is_ok(), ExtensionId::parse_official(&text).is_ok());
        }
    }

    #[test]
    fn req_04_a_verb_below_an_own_identifier_is_a_method(id in near_miss(), verb in "[a-zA-Z0-9._-]{0,6}") {
        let clear = !id.starts_with("rpc.") && !id.starts_with("rpc/")
            && CORE_METHOD_PREFIXES.iter().chain(OFFICIAL_METHOD_PREFIXES).all(|p| !id.starts_with(p));
        let good = Regex::new("^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$").expect("a regular expression");
        let expected = clear && ExtensionId::parse(&id).is_ok() && good.is_match(&verb);
        prop_assert_eq!(MethodName::parse(&format!("{id}/{verb}")).is_ok(), expected);
    }

    #[test]
    fn errors_point_into_the_text(text in prop_oneof![near_miss(), any::<String>()]) {
        if let Err(error) = ExtensionId::parse(&text) {
            prop_assert!(error.at <= text.len());
            prop_assert!(text.contains(&error.label) || error.label.ends_with("..."));
        }
        let _ = (MetaKey::parse(&text), MethodName::parse(&text), NotificationName::parse(&text));
        let _ = NotificationName::parse(&format!("notifications/{text}"));
    }
}
