//! The laws of negotiation on arbitrary settings: of types made by `#[settings]`, with every strategy, and of
//! `Negotiate` written by hand; alone and through an `ExtensionSet`.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use mcp_ext::algebra::{Fields, Mismatch, MismatchRow, Negotiate, Rule};
use mcp_ext::prelude::*;
use mcp_ext::protocol::Era;
use mcp_ext::request::{Incoming, Params, SessionDeclaration, Target};
use mcp_ext::wire::JsonObject;
use mcp_ext::{Negotiated, Route, RpcError};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
enum Format {
    Csv,
    Json,
    PlainText,
}

/// The later, the stricter.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
enum Privacy {
    Open,
    Masked,
    Hidden,
}

/// Every strategy there is.
#[settings]
#[derive(Eq)]
struct Everything {
    #[negotiate(intersect)]
    formats: Option<BTreeSet<Format>>,
    #[negotiate(intersect, required)]
    needed: Option<BTreeSet<Format>>,
    #[negotiate(intersect)]
    listed: Option<Vec<Format>>,
    #[negotiate(intersect)]
    by_course: Option<BTreeMap<String, BTreeSet<Format>>>,
    #[negotiate(min)]
    max_batch: Option<u32>,
    #[negotiate(and)]
    write: bool,
    #[negotiate(and)]
    publish: Option<bool>,
    #[negotiate(strictest)]
    privacy: Option<Privacy>,
    #[negotiate(equal)]
    region: Option<String>,
    #[negotiate(prefer)]
    reply: Option<Vec<Format>>,
    #[negotiate(prefer, required)]
    language: Option<Vec<String>>,
    #[negotiate(server)]
    motto: Option<String>,
    #[negotiate(nested)]
    inner: Inner,
    #[negotiate(max, preference)]
    verbosity: Option<u8>,
    #[negotiate(or, preference)]
    hints: bool,
    #[negotiate(client, preference)]
    theme: Option<String>,
    #[negotiate(with = shorter, preference)]
    name: Option<String>,
}

#[settings]
#[derive(Eq)]
struct Inner {
    #[negotiate(equal)]
    scale: Option<u8>,
    #[negotiate(min)]
    depth: Option<u8>,
}

/// The shorter of two names; names that begin differently do not combine.
fn shorter(server: &Option<String>, client: &Option<String>) -> Option<Option<String>> {
    match (server, client) {
        (Some(server), Some(client)) if server.starts_with(client.as_str()) => {
            Some(Some(client.clone()))
        }
        (Some(server), Some(client)) if client.starts_with(server.as_str()) => {
            Some(Some(server.clone()))
        }
        (Some(_), Some(_)) => None,
        (one, other) => Some(one.clone().or(other.clone())),
    }
}

fn format() -> impl Strategy<Value = Format> {
    prop_oneof![
        Just(Format::Csv),
        Just(Format::Json),
        Just(Format::PlainText)
    ]
}

fn formats() -> impl Strategy<Value = BTreeSet<Format>> {
    btree_set(format(), 0..3)
}

fn privacy() -> impl Strategy<Value = Privacy> {
    prop_oneof![
        Just(Privacy::Open),
        Just(Privacy::Masked),
        Just(Privacy::Hidden)
    ]
}

prop_compose! {
    /// What grants or restricts something. Small ranges, so that the two sides often meet.
    fn granting()(
        formats in option::of(formats()),
        needed in option::of(formats()),
        listed in option::of(vec(format(), 0..4)),
        by_course in option::of(btree_map("[ab]", self::formats(), 0..3)),
        max_batch in option::of(0..9u32),
        write in any::<bool>(),
        publish in option::of(any::<bool>()),
        privacy in option::of(privacy()),
        region in option::of("[ab]"),
        (reply, language) in (option::of(vec(format(), 0..3)), option::of(vec("[abc]", 0..3))),
        motto in option::of("[a-z]{0,3}"),
        inner in (option::of(0..2u8), option::of(0..9u8)).prop_map(|(scale, depth)| Inner { scale, depth }),
    ) -> Everything {
        Everything {
            formats, needed, listed, by_course, max_batch, write, publish, privacy, region, reply, language, motto,
            inner, ..Everything::default()
        }
    }
}

prop_compose! {
    /// What states a preference.
    fn preferring()(
        verbosity in option::of(any::<u8>()),
        hints in any::<bool>(),
        theme in option::of("[a-z]{0,3}"),
        name in option::of("a{0,3}|b"),
    ) -> Everything {
        Everything { verbosity, hints, theme, name, ..Everything::default() }
    }
}

fn settings() -> impl Strategy<Value = Everything> {
    (granting(), preferring()).prop_map(|(granting, preferring)| wishing(&granting, &preferring))
}

/// The one's grants with the other's preferences.
fn wishing(granting: &Everything, preferring: &Everything) -> Everything {
    Everything {
        verbosity: preferring.verbosity,
        hints: preferring.hints,
        theme: preferring.theme.clone(),
        name: preferring.name.clone(),
        ..granting.clone()
    }
}

/// Without preferences.
fn grants(settings: &Everything) -> Everything {
    wishing(settings, &Everything::default())
}

/// Whether `negotiated` holds nothing that `granted` does not allow. `None` allows everything.
fn narrows(negotiated: &Everything, granted: &Everything) -> Result<(), TestCaseError> {
    fn within<T>(negotiated: &Option<T>, granted: &Option<T>, at_most: fn(&T, &T) -> bool) -> bool {
        match (negotiated, granted) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(negotiated), Some(granted)) => at_most(negotiated, granted),
        }
    }
    let (n, g) = (negotiated, granted);
    prop_assert!(within(&n.formats, &g.formats, BTreeSet::is_subset));
    prop_assert!(within(&n.needed, &g.needed, BTreeSet::is_subset));
    prop_assert!(within(&n.listed, &g.listed, |n, g| n
        .iter()
        .all(|f| g.contains(f))));
    let by_course = within(&n.by_course, &g.by_course, |n, g| {
        n.iter()
            .all(|(course, n)| g.get(course).is_some_and(|g| n.is_subset(g)))
    });
    prop_assert!(by_course);
    prop_assert!(within(&n.max_batch, &g.max_batch, u32::le));
    prop_assert!(g.write || !n.write);
    prop_assert!(g.publish == Some(true) || n.publish != Some(true));
    prop_assert!(n.privacy >= g.privacy, "at least as strict");
    prop_assert!(within(&n.region, &g.region, String::eq));
    prop_assert!(within(&n.reply, &g.reply, |n, g| n
        .iter()
        .all(|f| g.contains(f))));
    prop_assert!(within(&n.language, &g.language, |n, g| n
        .iter()
        .all(|l| g.contains(l))));
    prop_assert!(within(&n.inner.scale, &g.inner.scale, u8::eq));
    prop_assert!(within(&n.inner.depth, &g.inner.depth, u8::le));
    Ok(())
}

/// What must not depend on which side is which.
fn symmetric(settings: &Everything) -> impl PartialEq + std::fmt::Debug + use<> {
    let settings = settings.clone();
    (
        settings.formats,
        settings.needed,
        settings.listed.map(BTreeSet::from_iter),
        settings.by_course,
        settings.max_batch,
        (settings.write, settings.publish),
        settings.privacy,
        settings.region,
        settings.inner,
    )
}

/// Which fields cannot be combined, worked out without the algebra.
fn at_odds(server: &Everything, client: &Everything) -> Vec<&'static str> {
    let mut fields = Vec::new();
    let common = match (&server.needed, &client.needed) {
        (Some(server), Some(client)) => Some(server & client),
        (one, other) => one.clone().or(other.clone()),
    };
    if common.is_some_and(|c| c.is_empty()) {
        fields.push("needed");
    }
    if matches!((&server.region, &client.region), (Some(a), Some(b)) if a != b) {
        fields.push("region");
    }
    let spoken = match (&server.language, &client.language) {
        (Some(server), Some(client)) => server.iter().any(|l| client.contains(l)),
        (Some(list), None) | (None, Some(list)) => !list.is_empty(),
        (None, None) => true,
    };
    if !spoken {
        fields.push("language");
    }
    if matches!((server.inner.scale, client.inner.scale), (Some(a), Some(b)) if a != b) {
        fields.push("inner.scale");
    }
    if let (Some(server), Some(client)) = (&server.name, &client.name)
        && !server.starts_with(client.as_str())
        && !client.starts_with(server.as_str())
    {
        fields.push("name");
    }
    fields
}

fn fields(mismatch: &Mismatch) -> Vec<&str> {
    mismatch.rows.iter().map(|row| row.field.as_str()).collect()
}

proptest! {
    #[test]
    fn the_client_narrows_and_never_widens(server in settings(), client in settings()) {
        if let Ok(negotiated) = Everything::negotiate(&server, &client) {
            narrows(&negotiated, &server)?;
            narrows(&negotiated, &client)?;
            prop_assert_eq!(negotiated.motto, server.motto, "the server says");
        }
    }

    #[test]
    fn granting_more_never_grants_less(server in settings(), client in settings(), field in 0..4usize) {
        // A wider client never gets less than a narrower one.
        let mut wider = client.clone();
        match field {
            0 => wider.formats = None,
            1 => wider.max_batch = None,
            2 => wider.write = true,
            _ => wider.by_course = None,
        }
        if let (Ok(narrow), Ok(wide)) = (Everything::negotiate(&server, &client), Everything::negotiate(&server, &wider)) {
            let mut narrow = narrow;
            // The other fields are not touched.
            narrow.formats.clone_from(&wide.formats);
            narrow.max_batch = wide.max_batch;
            narrow.write = wide.write;
            narrow.by_course.clone_from(&wide.by_course);
            prop_assert_eq!(narrow, wide);
        }
    }

    #[test]
    fn what_does_not_combine_is_named_with_both_values(server in settings(), client in settings()) {
        let expected = at_odds(&server, &client);
        match Everything::negotiate(&server, &client) {
            Ok(_) => prop_assert!(expected.is_empty(), "{:?} should not combine", expected),
            Err(mismatch) => {
                prop_assert_eq!(fields(&mismatch), expected);
                let pointer = |field: &str| format!("/{}", field.replace('.', "/"));
                let (server, client) = (json!(server), json!(client));
                for row in &mismatch.rows {
                    prop_assert_eq!(Some(&row.server), server.pointer(&pointer(&row.field)));
                    prop_assert_eq!(Some(&row.client), client.pointer(&pointer(&row.field)));
                    let words = mismatch.to_string();
                    prop_assert!(words.contains(&row.field) && words.contains(&row.server.to_string()));
                }
            }
        }
    }

    #[test]
    fn sides_may_be_swapped_where_the_law_says_so(a in settings(), b in settings()) {
        match (Everything::negotiate(&a, &b), Everything::negotiate(&b, &a)) {
            (Ok(ab), Ok(ba)) => prop_assert_eq!(symmetric(&ab), symmetric(&ba)),
            (Err(ab), Err(ba)) => prop_assert_eq!(fields(&ab), fields(&ba)),
            (ab, ba) => prop_assert!(false, "one way only: {:?}, {:?}", ab, ba),
        }
    }

    #[test]
    fn negotiating_again_changes_nothing(server in settings(), client in settings()) {
        if let Ok(negotiated) = Everything::negotiate(&server, &client) {
            prop_assert_eq!(&Everything::negotiate(&negotiated, &client), &Ok(negotiated.clone()));
            let alone = Everything::negotiate(&negotiated, &negotiated);
            prop_assert_eq!(alone, Ok(negotiated));
        }
    }

    #[test]
    fn order_of_narrowing_does_not_matter(a in granting(), b in granting(), c in granting()) {
        let both = |x: &Everything, y: &Everything| Everything::negotiate(x, y).ok();
        let left = both(&a, &b).and_then(|ab| both(&ab, &c));
        let right = both(&b, &c).and_then(|bc| both(&a, &bc));
        if let (Some(left), Some(right)) = (left, right) {
            prop_assert_eq!(symmetric(&left), symmetric(&right));
        }
    }

    #[test]
    fn preferences_do_not_touch_what_is_granted(
        server in settings(), client in settings(), wishes in preferring(),
    ) {
        let other = wishing(&client, &wishes);
        if let (Ok(one), Ok(other)) = (Everything::negotiate(&server, &client), Everything::negotiate(&server, &other)) {
            prop_assert_eq!(grants(&one), grants(&other));
        }
    }

    #[test]
    fn preferences_follow_their_rule(server in settings(), client in settings()) {
        if let Ok(negotiated) = Everything::negotiate(&server, &client) {
            let verbosity = match (server.verbosity, client.verbosity) { (Some(a), Some(b)) => Some(a.max(b)), _ => None };
            prop_assert_eq!(negotiated.verbosity, verbosity);
            prop_assert_eq!(negotiated.hints, server.hints || client.hints);
            prop_assert_eq!(negotiated.theme, client.theme);
        }
    }

    #[test]
    fn same_input_same_output_in_any_order_and_thread(pairs in vec((settings(), settings()), 1..6)) {
        let outcome = |(server, client): &(Everything, Everything)| Everything::negotiate(server, client);
        let first: Vec<_> = pairs.iter().map(outcome).collect();
        let mut last: Vec<_> = pairs.iter().rev().map(outcome).collect();
        last.reverse();
        prop_assert_eq!(&first, &last);
        let threads: Vec<_> = std::thread::scope(|scope| {
            let running: Vec<_> = pairs.iter().map(|pair| scope.spawn(move || outcome(pair))).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        prop_assert_eq!(first, threads);
    }

    #[test]
    fn what_is_written_is_read_back(settings in settings()) {
        prop_assert_eq!(serde_json::from_value::<Everything>(json!(settings)).unwrap(), settings);
    }

    #[test]
    fn nothing_said_restricts_nothing(server in settings()) {
        let nobody: Everything = serde_json::from_str("{}").unwrap();
        prop_assert_eq!(&nobody, &Everything::default());
        if let Ok(negotiated) = Everything::negotiate(&server, &nobody) {
            let expected = Everything {
                // Permissions take two, and a list of choices is settled.
                write: false,
                publish: server.publish.map(|_| false),
                reply: server.reply.clone().map(|list| list.into_iter().take(1).collect()),
                language: server.language.clone().map(|list| list.into_iter().take(1).collect()),
                ..grants(&server)
            };
            prop_assert_eq!(grants(&negotiated), expected);
        }
    }

    #[test]
    fn neg_12_unknown_members_are_ignored(settings in settings(), unknown in btree_map("x[a-z]{1,8}", json_value(), 0..4)) {
        let mut value = json!(settings);
        value.as_object_mut().unwrap().extend(unknown);
        prop_assert_eq!(serde_json::from_value::<Everything>(value).unwrap(), settings);
    }

    #[test]
    fn neg_12_unknown_members_of_sets_are_dropped(settings in settings(), unknown in vec("x[a-z]{1,8}", 1..4)) {
        let mut value = json!(settings);
        for field in ["formats", "needed", "listed", "reply"] {
            if let Some(members) = value[field].as_array_mut() {
                members.extend(unknown.iter().map(|m| json!(m)));
            }
        }
        if let Some(courses) = value["byCourse"].as_object_mut() {
            for members in courses.values_mut() {
                members.as_array_mut().unwrap().extend(unknown.iter().map(|m| json!(m)));
            }
        }
        prop_assert_eq!(serde_json::from_value::<Everything>(value).unwrap(), settings);
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("JSON", |n| n.is_finite())
            .prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            btree_map(".{0,4}", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

// --- through a set -----------------------------------------------------------------------------------------------

#[derive(Serialize, Deserialize, JsonSchema)]
struct Pong {
    pong: bool,
}

/// Settings made by `#[settings]`.
#[extension(id = "com.example/derived", revision = "2", known_revisions("1"), settings = Everything)]
trait Derived {
    /// Answers.
    #[method]
    async fn ping(&self, cx: &Cx<DerivedExtension>) -> Result<Pong, Infallible>;
}

struct Ponger;

#[handlers]
impl Derived for Ponger {
    async fn ping(&self, _: &Cx<DerivedExtension>) -> Result<Pong, Infallible> {
        Ok(Pong { pong: true })
    }
}

/// What the server of `ByHand` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
struct Offer {
    /// Lowest and highest temperature that can be set.
    degrees: (i32, i32),
    /// Units it can show.
    units: BTreeSet<String>,
}

impl Default for Offer {
    fn default() -> Self {
        let units = BTreeSet::from(["celsius".to_owned()]);
        Self {
            degrees: (5, 30),
            units,
        }
    }
}

/// What its client says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
struct Wish {
    /// Lowest and highest temperature it will ask for.
    degrees: Option<(i32, i32)>,
    /// The unit it reads.
    unit: Option<String>,
}

/// What both go by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Agreed {
    degrees: (i32, i32),
    unit: String,
}

impl Negotiate<Wish> for Offer {
    type Negotiated = Agreed;

    fn negotiate(server: &Self, client: &Wish) -> Result<Agreed, Mismatch> {
        let mut fields = Fields::new();
        let asked = client.degrees.unwrap_or(server.degrees);
        let degrees = (asked.0.max(server.degrees.0), asked.1.min(server.degrees.1));
        if degrees.0 > degrees.1 {
            fields.refuse("degrees", Rule::Intersect, &server.degrees, &client.degrees);
        }
        let unit = match &client.unit {
            Some(unit) => server.units.get(unit),
            None => server.units.first(),
        };
        if unit.is_none() {
            let choices = server.units.first();
            fields.refuse("unit", Rule::Equal, &choices, &client.unit);
        }
        fields.finish_with(|| {
            Some(Agreed {
                degrees,
                unit: unit?.clone(),
            })
        })
    }
}

/// Settings combined by hand, with a type for each side.
#[extension(id = "com.example/by-hand", settings(server = Offer, client = Wish, negotiated = Agreed))]
trait ByHand {
    /// Answers.
    #[method]
    async fn ping(&self, cx: &Cx<ByHandExtension>) -> Result<Pong, Infallible>;
}

#[handlers]
impl ByHand for Ponger {
    async fn ping(&self, _: &Cx<ByHandExtension>) -> Result<Pong, Infallible> {
        Ok(Pong { pong: true })
    }
}

fn offers() -> impl Strategy<Value = Offer> {
    (
        (-9..9i32, 0..9i32),
        btree_set("celsius|kelvin|rankine", 1..3),
    )
        .prop_map(|((low, more), units)| Offer {
            degrees: (low, low + more),
            units,
        })
}

fn wishes() -> impl Strategy<Value = Wish> {
    (
        option::of((-9..9i32, -9..9i32)),
        option::of("celsius|kelvin|rankine|reaumur"),
    )
        .prop_map(|(degrees, unit)| Wish { degrees, unit })
}

const DERIVED: &str = "com.example/derived";
const BY_HAND: &str = "com.example/by-hand";

fn declaring(declared: &Value) -> JsonObject {
    let mut meta = JsonObject::new();
    let capabilities = json!({ "extensions": declared });
    meta.insert(
        "io.modelcontextprotocol/clientCapabilities".to_owned(),
        capabilities,
    );
    meta
}

/// Whether the gate lets a call of `id` through.
fn call(set: &ExtensionSet, era: Era, id: &str, declared: &Value) -> Result<(), RpcError> {
    let method = format!("{id}/ping");
    let incoming = Incoming::new(era, Target::Method(&method))
        .params(Params::None)
        .meta(declaring(declared));
    match set.route(incoming) {
        Route::Call(_) => Ok(()),
        Route::Refused(error) => Err(error),
        other => panic!("{other:?}"),
    }
}

fn negotiated(set: &ExtensionSet, declared: &Value) -> Negotiated {
    set.negotiated(
        Era::Modern,
        None,
        &declaring(declared),
        SessionDeclaration::none(),
    )
}

/// The client's settings as it sends them, nulls left out or not.
fn sent<T: Serialize>(settings: &T, nulls: bool) -> Value {
    let mut value = json!(settings);
    if !nulls && let Value::Object(members) = &mut value {
        members.retain(|_, v| !v.is_null());
    }
    value
}

/// Declares what a refusal asks for, in the two ways a client may: that alone, and in place of the fields at fault in
/// what it said before.
fn heeding(error: &RpcError, id: &str, declared: &Value) -> [Value; 2] {
    fn onto(over: &mut Value, asked: &Value) {
        match (over, asked) {
            (Value::Object(over), Value::Object(asked)) => {
                for (name, asked) in asked {
                    onto(over.entry(name.clone()).or_insert(Value::Null), asked);
                }
            }
            (over, asked) => *over = asked.clone(),
        }
    }
    fn without(object: &mut Value, path: &[&str]) {
        let Value::Object(members) = object else {
            return;
        };
        match path {
            [last] => drop(members.remove(*last)),
            [outer, rest @ ..] => members
                .get_mut(*outer)
                .into_iter()
                .for_each(|o| without(o, rest)),
            [] => {}
        }
    }
    let data = error.data.as_ref().unwrap();
    let asked = data["requiredCapabilities"]["extensions"].clone();
    assert!(asked[id].is_object(), "NEG-6: {asked}");
    assert!(!asked.to_string().contains("null"), "NEG-1: {asked}");
    let mut merged = declared.clone();
    for row in data["mismatch"].as_array().into_iter().flatten() {
        let path: Vec<&str> = row["field"].as_str().unwrap().split('.').collect();
        without(&mut merged[id], &path);
    }
    onto(&mut merged, &asked);
    [asked, merged]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn neg_06_what_a_refusal_asks_for_passes(server in settings(), client in settings(), nulls: bool) {
        let enable = DerivedExtension::provide(Ponger).settings(server.clone());
        let Ok(set) = ExtensionSet::builder().enable(enable).build() else {
            // Only a server whose own settings rule out every client is refused.
            let nobody = at_odds(&server, &Everything::default());
            prop_assert!(!nobody.is_empty());
            return Ok(());
        };
        let expected = Everything::negotiate(&server, &client);
        let declared = json!({ DERIVED: sent(&client, nulls) });
        match call(&set, Era::Modern, DERIVED, &declared) {
            Ok(()) => {
                let settings = negotiated(&set, &declared).settings::<DerivedExtension>();
                prop_assert_eq!(settings.as_deref(), expected.as_ref().ok());
            }
            Err(error) => {
                prop_assert_eq!(error.code, -32021);
                let mismatch = expected.expect_err("refused");
                let rows = error.data.as_ref().unwrap()["mismatch"].clone();
                prop_assert_eq!(serde_json::from_value::<Vec<MismatchRow>>(rows).unwrap(), mismatch.rows);
                prop_assert!(negotiated(&set, &declared).settings::<DerivedExtension>().is_none());
                for declared in heeding(&error, DERIVED, &declared) {
                    let again = call(&set, Era::Modern, DERIVED, &declared);
                    prop_assert!(again.is_ok(), "{} is what was asked for, and is refused: {:?}", declared, again);
                }
            }
        }
        let nothing = call(&set, Era::Modern, DERIVED, &json!({})).expect_err("undeclared");
        prop_assert_eq!(nothing.code, -32021);
        for declared in heeding(&nothing, DERIVED, &json!({})) {
            prop_assert!(call(&set, Era::Modern, DERIVED, &declared).is_ok());
        }
    }

    #[test]
    fn neg_06_also_where_it_was_combined_by_hand(server in offers(), client in wishes()) {
        let enable = ByHandExtension::provide(Ponger).settings(server.clone());
        let set = ExtensionSet::builder().enable(enable).build().unwrap();
        let declared = json!({ BY_HAND: client });
        let expected = Offer::negotiate(&server, &client);
        prop_assert_eq!(&expected, &Offer::negotiate(&server, &client));
        match call(&set, Era::Modern, BY_HAND, &declared) {
            Ok(()) => {
                let agreed = expected.expect("let through");
                prop_assert!(server.degrees.0 <= agreed.degrees.0 && agreed.degrees.1 <= server.degrees.1);
                prop_assert!(server.units.contains(&agreed.unit));
                let settings = negotiated(&set, &declared).settings::<ByHandExtension>();
                prop_assert_eq!(settings.as_deref(), Some(&agreed));
            }
            Err(error) => {
                prop_assert!(expected.is_err());
                prop_assert_eq!(error.code, -32021);
                for declared in heeding(&error, BY_HAND, &declared) {
                    prop_assert!(call(&set, Era::Modern, BY_HAND, &declared).is_ok(), "{}", declared);
                }
            }
        }
    }

    #[test]
    fn neg_01_nothing_advertised_is_null(server in settings()) {
        let enable = DerivedExtension::provide(Ponger).settings(server);
        if let Ok(set) = ExtensionSet::builder().enable(enable).build() {
            let advertised = json!(set.advertisement(Era::Modern, None));
            prop_assert!(advertised[DERIVED].is_object());
            prop_assert!(!advertised.to_string().contains("null"), "{}", advertised);
        }
    }

    /// The cache of negotiated settings is not to be noticed: any order, any thread, a set of its own for each.
    #[test]
    fn a_set_answers_the_same_in_any_order_and_thread(server in settings(), clients in vec(settings(), 1..100)) {
        let build = || {
            let enable = DerivedExtension::provide(Ponger).settings(server.clone());
            ExtensionSet::builder().enable(enable).build()
        };
        let Ok(set) = build() else { return Ok(()) };
        let declared: Vec<Value> = clients.iter().map(|c| json!({ DERIVED: c })).collect();
        let outcome = |set: &ExtensionSet, declared: &Value| {
            let settings = negotiated(set, declared).settings::<DerivedExtension>();
            let refused = call(set, Era::Modern, DERIVED, declared).err();
            (settings.as_deref().cloned(), refused)
        };
        let alone: Vec<_> = declared.iter().map(|d| outcome(&build().unwrap(), d)).collect();
        let forth: Vec<_> = declared.iter().map(|d| outcome(&set, d)).collect();
        prop_assert_eq!(&alone, &forth);
        let mut back: Vec<_> = declared.iter().rev().map(|d| outcome(&set, d)).collect();
        back.reverse();
        prop_assert_eq!(&alone, &back);
        let threads: Vec<_> = std::thread::scope(|scope| {
            let running: Vec<_> = declared.iter().map(|d| scope.spawn(|| outcome(&set, d))).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        prop_assert_eq!(alone, threads);
    }

    /// Whatever a client declares, it gets an answer of the table, and never a panic.
    #[test]
    fn neg_12_any_declaration_gets_one_of_the_answers(value in json_value()) {
        let set = ExtensionSet::builder().enable(DerivedExtension::provide(Ponger)).build().unwrap();
        let object = value.is_object();
        match call(&set, Era::Modern, DERIVED, &json!({ DERIVED: value })) {
            Ok(()) => prop_assert!(object),
            Err(error) if error.code == -32021 => prop_assert!(object),
            Err(error) => prop_assert_eq!(error.code, -32602),
        }
    }
}

#[test]
fn neg_12_a_wrong_type_is_an_error_that_names_the_field() {
    let set = ExtensionSet::builder()
        .enable(DerivedExtension::provide(Ponger))
        .enable(ByHandExtension::provide(Ponger))
        .build()
        .unwrap();
    let wrong = [
        ("formats", json!("csv"), "/formats"),
        ("formats", json!(["csv", 7]), "/formats/1"),
        ("needed", json!({ "csv": true }), "/needed"),
        ("listed", json!([["csv"]]), "/listed/0"),
        ("byCourse", json!(["a"]), "/byCourse"),
        ("byCourse", json!({ "a": "csv" }), "/byCourse/a"),
        ("byCourse", json!({ "a": [{}] }), "/byCourse/a/0"),
        ("maxBatch", json!("7"), "/maxBatch"),
        ("maxBatch", json!(-1), "/maxBatch"),
        ("maxBatch", json!(4_294_967_296_u64), "/maxBatch"),
        ("maxBatch", json!(1.5), "/maxBatch"),
        ("write", json!("true"), "/write"),
        ("write", json!(1), "/write"),
        ("publish", json!([]), "/publish"),
        ("privacy", json!(3), "/privacy"),
        ("privacy", json!("secretive"), "/privacy"),
        ("region", json!(["a"]), "/region"),
        ("reply", json!("csv"), "/reply"),
        ("language", json!([1]), "/language/0"),
        ("motto", json!({}), "/motto"),
        ("inner", json!("x"), "/inner"),
        ("inner", json!({ "scale": "C" }), "/inner/scale"),
        ("verbosity", json!(256), "/verbosity"),
        ("hints", json!(null), "/hints"),
        ("theme", json!(7), "/theme"),
        ("name", json!(true), "/name"),
        ("revision", json!(2), "/revision"),
    ];
    for (field, value, pointer) in wrong {
        let declared = json!({ DERIVED: { field: value }, BY_HAND: {} });
        let error = call(&set, Era::Modern, DERIVED, &declared).expect_err(field);
        assert_eq!(error.code, -32602, "{declared}: {error}");
        let data = error.data.as_ref().unwrap();
        assert_eq!(
            (&data["extension"], &data["kind"]),
            (&json!(DERIVED), &json!("invalid_settings"))
        );
        let pointers: Vec<_> = data["faults"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| &f["pointer"])
            .collect();
        assert_eq!(pointers, [pointer], "{declared}: {data}");
        assert!(error.message.contains(field), "{error}");
        assert!(!error.message.contains("secretive"), "{error}");
        // Calls of the other extension are not touched.
        assert!(call(&set, Era::Modern, BY_HAND, &declared).is_ok());
    }
    // All of them at once.
    let declared = json!({ DERIVED: { "write": 1, "region": 2, "inner": { "depth": "x" } } });
    let error = call(&set, Era::Modern, DERIVED, &declared).unwrap_err();
    assert_eq!(error.data.unwrap()["faults"].as_array().unwrap().len(), 3);
}

#[test]
fn a_required_intersection_that_is_empty_names_field_and_both_values() {
    let server = Everything {
        needed: Some(BTreeSet::from([Format::Csv])),
        ..Everything::default()
    };
    let set = ExtensionSet::builder()
        .enable(DerivedExtension::provide(Ponger).settings(server))
        .build()
        .unwrap();
    let declared = json!({ DERIVED: { "needed": ["json", "hologram"] } });
    for era in [Era::Modern, Era::Legacy] {
        let error = call(&set, era, DERIVED, &declared).unwrap_err();
        assert_eq!(error.code, if era == Era::Modern { -32021 } else { -32601 });
        assert!(
            error.message.contains("needed")
                && error.message.contains("csv")
                && error.message.contains("json"),
            "{error}"
        );
        let row = json!({ "field": "needed", "rule": "intersect", "server": ["csv"], "client": ["json"] });
        let data = error.data.unwrap();
        assert_eq!(data["mismatch"], json!([row]));
        assert_eq!(
            data["requiredCapabilities"]["extensions"][DERIVED]["needed"],
            json!(["csv"])
        );
    }
}

#[test]
fn revisions_are_compared_with_the_known_list() {
    let set = ExtensionSet::builder()
        .enable(DerivedExtension::provide(Ponger))
        .build()
        .unwrap();
    for known in [
        json!({}),
        json!({ "revision": "1" }),
        json!({ "revision": "2" }),
    ] {
        let declared = json!({ DERIVED: known });
        assert!(
            call(&set, Era::Modern, DERIVED, &declared).is_ok(),
            "{declared}"
        );
    }
    let declared = json!({ DERIVED: { "revision": "3", "write": true } });
    let error = call(&set, Era::Modern, DERIVED, &declared).unwrap_err();
    assert_eq!(error.code, -32021);
    let row = &error.data.as_ref().unwrap()["mismatch"][0];
    assert_eq!(
        (&row["field"], &row["rule"], &row["client"]),
        (&json!("revision"), &json!("revision"), &json!("3"))
    );
    for declared in heeding(&error, DERIVED, &declared) {
        assert!(
            call(&set, Era::Modern, DERIVED, &declared).is_ok(),
            "{declared}"
        );
    }
}

/// A value that is too long for an error is described there, yet what is asked for must pass.
#[test]
fn neg_06_what_is_asked_for_passes_however_long_it_is() {
    let courses: BTreeMap<String, BTreeSet<Format>> = BTreeMap::new();
    let languages: Vec<String> = (0..400).map(|n| format!("language-{n}")).collect();
    let server = Everything {
        by_course: Some(courses),
        language: Some(languages),
        ..Everything::default()
    };
    let set = ExtensionSet::builder()
        .enable(DerivedExtension::provide(Ponger).settings(server))
        .build()
        .unwrap();
    let declared = json!({ DERIVED: { "language": ["klingon"] } });
    let error = call(&set, Era::Modern, DERIVED, &declared).unwrap_err();
    for declared in heeding(&error, DERIVED, &declared) {
        let again = call(&set, Era::Modern, DERIVED, &declared);
        assert!(again.is_ok(), "{declared} is what was asked for: {again:?}");
    }
}
