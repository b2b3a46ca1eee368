//! The laws of the negotiation algebra on arbitrary values, and the lenient reading of sets.

use std::collections::{BTreeMap, BTreeSet};

use mcp_ext_core::algebra::*;
use mcp_ext_core::id::ExtensionId;
use proptest::option;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Format {
    Csv,
    Json,
    Xml,
    PlainText,
}

/// How much of a person's data is shown: the later, the stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Privacy {
    Open,
    Masked,
    Hidden,
}

type Formats = BTreeSet<Format>;

fn format() -> impl Strategy<Value = Format> {
    prop_oneof![
        Just(Format::Csv),
        Just(Format::Json),
        Just(Format::Xml),
        Just(Format::PlainText)
    ]
}

fn formats() -> impl Strategy<Value = Formats> {
    prop::collection::btree_set(format(), 0..4)
}

fn list() -> impl Strategy<Value = Vec<Format>> {
    prop::collection::vec(format(), 0..5)
}

fn map() -> impl Strategy<Value = BTreeMap<String, Formats>> {
    prop::collection::btree_map("[abc]", formats(), 0..4)
}

fn privacy() -> impl Strategy<Value = Privacy> {
    prop_oneof![
        Just(Privacy::Open),
        Just(Privacy::Masked),
        Just(Privacy::Hidden)
    ]
}

/// "Grants no more than": the order in which the client may only go down.
trait AtMost {
    fn at_most(&self, granted: &Self) -> bool;
}

impl AtMost for Formats {
    fn at_most(&self, granted: &Self) -> bool {
        self.is_subset(granted)
    }
}

impl AtMost for Vec<Format> {
    fn at_most(&self, granted: &Self) -> bool {
        self.iter().all(|f| granted.contains(f))
    }
}

impl AtMost for BTreeMap<String, Formats> {
    fn at_most(&self, granted: &Self) -> bool {
        self.iter()
            .all(|(k, v)| granted.get(k).is_some_and(|g| v.at_most(g)))
    }
}

impl AtMost for u32 {
    fn at_most(&self, granted: &Self) -> bool {
        self <= granted
    }
}

impl AtMost for bool {
    fn at_most(&self, granted: &Self) -> bool {
        *granted || !*self
    }
}

/// For restrictions: `None` grants everything.
impl<T: AtMost> AtMost for Option<T> {
    fn at_most(&self, granted: &Self) -> bool {
        match (self, granted) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(a), Some(b)) => a.at_most(b),
        }
    }
}

/// A strategy that is commutative, associative, idempotent and never grants more than the server does.
macro_rules! grants {
    ($($name:ident: $function:path, $values:expr;)*) => { proptest! { $(
        #[test]
        fn $name(a in $values, b in $values, c in $values) {
            let ab = $function(&a, &b);
            prop_assert_eq!(&ab, &$function(&b, &a), "commutative");
            prop_assert_eq!($function(&ab, &c), $function(&a, &$function(&b, &c)), "associative");
            prop_assert_eq!(&$function(&a, &a), &a, "idempotent");
            prop_assert!(ab.at_most(&a) && ab.at_most(&b), "{:?} grants more than {:?} and {:?}", ab, a, b);
            prop_assert_eq!(&ab, &$function(&a, &b), "pure");
        }
    )* } };
}

grants! {
    neg_laws_of_intersect_on_sets: intersect, formats();
    neg_laws_of_intersect_on_optional_sets: intersect, option::of(formats());
    neg_laws_of_intersect_on_maps: intersect, map();
    neg_laws_of_intersect_on_optional_maps: intersect, option::of(map());
    neg_laws_of_min: min, any::<u32>();
    neg_laws_of_min_on_optional_limits: min, option::of(any::<u32>());
    neg_laws_of_and: and, any::<bool>();
}

proptest! {
    #[test]
    fn neg_laws_of_intersect_on_lists(a in option::of(list()), b in option::of(list()), c in option::of(list())) {
        let set = |v: &Option<Vec<Format>>| v.clone().map(Formats::from_iter);
        let ab = intersect(&a, &b);
        prop_assert_eq!(set(&ab), set(&intersect(&b, &a)), "commutative as sets");
        prop_assert_eq!(intersect(&ab, &c), intersect(&a, &intersect(&b, &c)), "associative");
        prop_assert_eq!(&intersect(&a, &a), &a, "idempotent");
        prop_assert!(ab.at_most(&a) && ab.at_most(&b));
        if let (Some(server), Some(combined), Some(_)) = (&a, &ab, &b) {
            let mut rest = server.iter();
            prop_assert!(combined.iter().all(|f| rest.any(|s| s == f)), "the server's order");
        }
    }

    #[test]
    fn neg_laws_of_and_on_optional_permissions(a in option::of(any::<bool>()), b in option::of(any::<bool>()), c in option::of(any::<bool>())) {
        let granted = |v: Option<bool>| v.unwrap_or(false);
        prop_assert_eq!(granted(and(&a, &b)), granted(a) && granted(b));
        prop_assert_eq!(granted(or(&a, &b)), granted(a) || granted(b));
        prop_assert_eq!(and(&a, &b), and(&b, &a));
        prop_assert_eq!(and(&and(&a, &b), &c), and(&a, &and(&b, &c)));
        prop_assert_eq!(or(&or(&a, &b), &c), or(&a, &or(&b, &c)));
        prop_assert_eq!(and(&a, &a), a);
    }

    #[test]
    fn neg_laws_of_strictest(a in option::of(privacy()), b in option::of(privacy()), c in option::of(privacy())) {
        let ab = strictest(&a, &b);
        prop_assert!(ab >= a && ab >= b, "at least as strict as either");
        prop_assert!(ab == a || ab == b);
        prop_assert_eq!(ab, strictest(&b, &a));
        prop_assert_eq!(strictest(&ab, &c), strictest(&a, &strictest(&b, &c)));
        prop_assert_eq!(strictest(&a, &a), a);
        if let (Some(a), Some(b)) = (a, b) {
            prop_assert_eq!(Some(strictest(&a, &b)), ab);
        }
    }

    #[test]
    fn neg_laws_of_equal(a in option::of(0..3u8), b in option::of(0..3u8)) {
        prop_assert_eq!(equal(&a, &b), equal(&b, &a));
        prop_assert_eq!(equal(&a, &a), Some(a));
        match equal(&a, &b) {
            Some(agreed) => prop_assert!(agreed == a.or(b) && agreed == b.or(a)),
            None => prop_assert!(a.is_some() && b.is_some() && a != b),
        }
        if let (Some(a), Some(b)) = (a, b) {
            prop_assert_eq!(equal(&a, &b), (a == b).then_some(a), "without Option as well");
        }
    }

    #[test]
    fn neg_laws_of_prefer(a in option::of(list()), b in option::of(list())) {
        let choice = prefer(&a, &b);
        match (&a, &b) {
            (None, None) => prop_assert_eq!(choice, None),
            (Some(list), None) | (None, Some(list)) => {
                prop_assert_eq!(choice, Some(list.first().copied().into_iter().collect::<Vec<_>>()));
            }
            (Some(server), Some(client)) => {
                let best = server.iter().copied().find(|f| client.contains(f));
                prop_assert_eq!(choice, Some(best.into_iter().collect::<Vec<_>>()));
            }
        }
        prop_assert!(prefer(&a, &b).at_most(&a));
        prop_assert_eq!(prefer(&prefer(&a, &b), &b), prefer(&a, &b), "settled once");
    }

    #[test]
    fn neg_max_takes_the_higher_limit_and_none_is_highest(a in option::of(any::<u32>()), b in option::of(any::<u32>())) {
        let expected = match (a, b) { (Some(a), Some(b)) => Some(a.max(b)), _ => None };
        prop_assert_eq!(max(&a, &b), expected);
        prop_assert!(a.at_most(&max(&a, &b)) && b.at_most(&max(&a, &b)));
    }
}

// --- a whole type, as the derive would write it ------------------------------------------------------------------

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Settings {
    #[serde(deserialize_with = "lenient")]
    rubric_formats: Option<Formats>,
    #[serde(deserialize_with = "lenient")]
    by_course: BTreeMap<String, Formats>,
    #[serde(deserialize_with = "lenient")]
    reply: Option<Vec<Format>>,
    max_batch: Option<u32>,
    write: bool,
    scale: Option<String>,
    page_size: u32,
}

impl Negotiate for Settings {
    type Negotiated = Self;

    fn negotiate(server: &Self, client: &Self) -> Result<Self, Mismatch> {
        let mut f = Fields::new();
        let page_size = f.custom("pageSize", &server.page_size, &client.page_size, |s, c| {
            (*c <= *s).then_some(*c)
        });
        let rubric_formats = f.intersect_required(
            "rubricFormats",
            &server.rubric_formats,
            &client.rubric_formats,
        );
        let by_course = f.intersect("byCourse", &server.by_course, &client.by_course);
        let reply = f.prefer_required("reply", &server.reply, &client.reply);
        let max_batch = f.min("maxBatch", &server.max_batch, &client.max_batch);
        let write = f.and("write", &server.write, &client.write);
        let scale = f.equal("scale", &server.scale, &client.scale);
        f.finish_with(|| {
            Some(Self {
                rubric_formats,
                by_course,
                reply,
                max_batch,
                write,
                scale,
                page_size: page_size?,
            })
        })
    }
}

struct Outer(Settings);

impl Negotiate for Outer {
    type Negotiated = Self;

    fn negotiate(server: &Self, client: &Self) -> Result<Self, Mismatch> {
        let mut f = Fields::new();
        let inner = f.nested("grading", &server.0, &client.0);
        f.finish_with(|| Some(Self(inner?)))
    }
}

fn settings() -> impl Strategy<Value = Settings> {
    let scale = option::of("[ab]");
    (
        option::of(formats()),
        map(),
        option::of(list()),
        option::of(any::<u32>()),
        any::<bool>(),
        scale,
        0..5u32,
    )
        .prop_map(
            |(rubric_formats, by_course, reply, max_batch, write, scale, page_size)| Settings {
                rubric_formats,
                by_course,
                reply,
                max_batch,
                write,
                scale,
                page_size,
            },
        )
}

proptest! {
    #[test]
    fn neg_a_whole_type_narrows_and_reports_every_field(server in settings(), client in settings()) {
        let outcome = Settings::negotiate(&server, &client);
        prop_assert_eq!(&outcome, &Settings::negotiate(&server, &client), "pure");
        let elsewhere = std::thread::scope(|s| s.spawn(|| Settings::negotiate(&server, &client)).join().expect("no panic"));
        prop_assert_eq!(&outcome, &elsewhere, "in any thread");

        let disjoint = matches!((&server.rubric_formats, &client.rubric_formats), (Some(a), Some(b)) if a.is_disjoint(b));
        let empty = |f: &Option<Formats>| f.as_ref().is_some_and(BTreeSet::is_empty);
        let mut expected = Vec::new();
        if client.page_size > server.page_size { expected.push("pageSize"); }
        if disjoint || empty(&server.rubric_formats) || empty(&client.rubric_formats) { expected.push("rubricFormats"); }
        if prefer(&server.reply, &client.reply).is_some_and(|r| r.is_empty()) { expected.push("reply"); }
        if matches!((&server.scale, &client.scale), (Some(a), Some(b)) if a != b) { expected.push("scale"); }
        match outcome {
            Ok(n) => {
                prop_assert!(expected.is_empty());
                prop_assert!(n.rubric_formats.at_most(&server.rubric_formats));
                prop_assert!(n.by_course.at_most(&server.by_course));
                prop_assert!(n.reply.at_most(&server.reply));
                prop_assert!(n.max_batch.at_most(&server.max_batch));
                prop_assert!(n.write.at_most(&server.write));
            }
            Err(mismatch) => {
                let fields: Vec<_> = mismatch.rows.iter().map(|r| r.field.as_str()).collect();
                prop_assert_eq!(fields, expected);
            }
        }
    }

    /// What is written is read back: leniency drops nothing this side knows.
    #[test]
    fn neg_12_lenient_reading_loses_nothing_known(settings in settings()) {
        let text = serde_json::to_string(&settings).expect("JSON");
        prop_assert_eq!(&serde_json::from_str::<Settings>(&text).expect("reads"), &settings);
        let value = serde_json::to_value(&settings).expect("JSON");
        prop_assert_eq!(&serde_json::from_value::<Settings>(value).expect("reads"), &settings);
    }

    #[test]
    fn neg_12_lenient_reading_drops_unknown_members(known in list(), junk in prop::collection::vec("[a-z]{9}", 0..4)) {
        let members: Vec<Value> = junk.iter().map(|j| json!(j)).chain(known.iter().map(|f| json!(f))).collect();
        let read: Settings = serde_json::from_value(json!({ "reply": members })).expect("reads");
        prop_assert_eq!(read.reply, Some(known));
    }
}

#[test]
fn neg_mismatches_say_field_rule_and_both_values() {
    let server = Settings {
        rubric_formats: Some(Formats::from([Format::Csv])),
        scale: Some("a".into()),
        ..Settings::default()
    };
    let client = Settings {
        rubric_formats: Some(Formats::from([Format::Xml])),
        scale: Some("b".into()),
        ..Settings::default()
    };
    let mismatch = Settings::negotiate(&server, &client).expect_err("two fields");
    assert_eq!(
        serde_json::to_value(&mismatch).expect("JSON"),
        json!({ "rows": [
            { "field": "rubricFormats", "rule": "intersect", "server": ["csv"], "client": ["xml"] },
            { "field": "scale", "rule": "equal", "server": "a", "client": "b" },
        ] })
    );
    assert_eq!(
        mismatch.to_string(),
        "the settings of the two sides do not combine: \
         rubricFormats: the two have nothing in common (server: [\"csv\"], client: [\"xml\"]); \
         scale: the two must be equal (server: \"a\", client: \"b\")"
    );
    let nested = Outer::negotiate(&Outer(server), &Outer(client))
        .err()
        .expect("two fields");
    assert_eq!(nested.rows[1].field, "grading.scale");
}

#[test]
fn neg_long_values_are_described_not_repeated() {
    let long: Vec<String> = (0..1000).map(|i| format!("member-{i}")).collect();
    let row = MismatchRow::new("x", Rule::Equal, &long, &"short");
    assert!(
        row.server
            .as_str()
            .is_some_and(|s| s.starts_with("(an array, ")),
        "{}",
        row.server
    );
    assert_eq!(row.client, "short");
}

#[test]
fn neg_revisions_are_compared_with_the_known_list() {
    let known = ["2026-05-01", "2026-11-01"];
    assert_eq!(revision(None, &known), Ok("2026-05-01"));
    assert_eq!(revision(Some("2026-05-01"), &known), Ok("2026-05-01"));
    let row = revision(Some("2026-11"), &known).expect_err("unknown");
    assert_eq!(
        (row.rule, row.server, row.client),
        (Rule::Revision, json!(known), json!("2026-11"))
    );
    assert!(revision(None, &[]).is_err());
}

#[test]
fn neg_a_wrapped_none_is_absent_too() {
    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
    struct Limit(Option<u32>);
    assert_eq!(min(&Limit(None), &Limit(Some(3))), Limit(Some(3)));
    assert_eq!(max(&Limit(None), &Limit(Some(3))), Limit(None));
    assert_eq!(equal(&Limit(None), &Limit(Some(3))), Some(Limit(Some(3))));
}

// --- lenient reading ---------------------------------------------------------------------------------------------

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Sets {
    #[serde(deserialize_with = "lenient")]
    formats: Option<Formats>,
    #[serde(deserialize_with = "lenient")]
    ids: BTreeSet<ExtensionId>,
    #[serde(deserialize_with = "lenient")]
    numbers: Vec<u8>,
    #[serde(deserialize_with = "lenient")]
    names: Vec<Name>,
    #[serde(deserialize_with = "lenient")]
    map: Option<BTreeMap<Format, Formats>>,
}

/// A newtype without `serde(transparent)`, which serde asks for in another way.
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Name(String);

fn read(value: Value) -> Result<Sets, String> {
    let text = value.to_string();
    let from_text = serde_json::from_str::<Sets>(&text);
    let from_value = serde_json::from_value::<Sets>(value);
    assert_eq!(from_text.is_ok(), from_value.is_ok());
    from_value.map_err(|e| e.to_string())
}

#[test]
fn neg_12_unknown_members_are_dropped() {
    let sets = read(json!({
        "formats": ["csv", "holograms", "plainText"],
        "ids": ["com.example/a", "not an identifier", "io.modelcontextprotocol/tasks"],
        "numbers": [1, 300, -1, 2],
        "names": ["a"],
        "map": { "csv": ["json", "telepathy"], "holograms": "anything at all" },
    }))
    .expect("reads");
    assert_eq!(
        sets.formats,
        Some(Formats::from([Format::Csv, Format::PlainText]))
    );
    assert_eq!(
        sets.ids.iter().map(ExtensionId::as_str).collect::<Vec<_>>(),
        ["com.example/a", "io.modelcontextprotocol/tasks"]
    );
    assert_eq!(sets.numbers, [1, 2]);
    assert_eq!(sets.names, [Name("a".into())]);
    assert_eq!(
        sets.map,
        Some(BTreeMap::from([(
            Format::Csv,
            Formats::from([Format::Json])
        )]))
    );
    assert_eq!(
        read(json!({ "formats": null, "map": null })).expect("reads"),
        Sets::default()
    );
    assert_eq!(read(json!({})).expect("reads"), Sets::default());
}

#[test]
fn neg_12_wrong_types_are_errors_that_name_expected_and_seen() {
    for (value, words) in [
        (
            json!({ "formats": ["csv", 77] }),
            "member 2: expected a string, saw a number",
        ),
        (
            json!({ "formats": [null] }),
            "member 1: expected a string, saw null",
        ),
        (
            json!({ "formats": [true] }),
            "member 1: expected a string, saw a boolean",
        ),
        (
            json!({ "formats": [["csv"]] }),
            "member 1: expected a known member of the set, saw an array",
        ),
        (
            json!({ "formats": [{ "secret": 1 }] }),
            "member 1: expected a known member of the set, saw an object",
        ),
        (
            json!({ "numbers": ["secret"] }),
            "member 1: expected u8, saw a string",
        ),
        (
            json!({ "names": [77] }),
            "member 1: expected a string, saw a number",
        ),
        (
            json!({ "map": { "csv": [77] } }),
            "member 1: expected a string, saw a number",
        ),
        (json!({ "formats": "csv" }), "expected an array"),
        (json!({ "formats": { "csv": true } }), "expected an array"),
        (json!({ "ids": null }), "expected an array"),
        (json!({ "map": ["csv"] }), "expected an object of sets"),
    ] {
        let error = read(value.clone()).expect_err("a wrong type");
        assert!(error.contains(words), "{value}: {error}");
        assert!(
            !error.contains("secret") && !error.contains("77"),
            "the value stays out: {error}"
        );
    }
}

#[test]
fn neg_12_members_are_bounded() {
    let members = |n: usize| (0..n).map(|i| format!("unknown-{i}")).collect::<Vec<_>>();
    assert!(read(json!({ "formats": members(MOST_MEMBERS) })).is_ok());
    let error = read(json!({ "formats": members(MOST_MEMBERS + 1) })).expect_err("too many");
    assert!(error.contains("at most 1024 members"), "{error}");
    let keys: BTreeMap<_, _> = members(MOST_MEMBERS + 1)
        .into_iter()
        .map(|k| (k, Vec::<u8>::new()))
        .collect();
    assert!(read(json!({ "map": keys })).is_err());
}
