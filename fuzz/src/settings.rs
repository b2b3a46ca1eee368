//! Declaration and negotiation, against a second implementation on JSON values.
//!
//! An input has lines: the server's settings; what the client sends as its capabilities; and flags: `l` for the legacy
//! era, where the capabilities are those of the session.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;

use mcp_ext_core::algebra::Negotiate;
use mcp_ext_core::protocol::Era;
use mcp_ext_core::request::{
    Declaration, Declared, Incoming, SessionDeclaration, Target, declared_in,
};
use mcp_ext_core::wire::JsonObject;
use mcp_ext_core::{
    Cx, Extension, ExtensionSet, Limits, Route, RpcError, extension, handlers, settings,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

const ID: &str = "com.example/everything";
const REVISIONS: [&str; 2] = ["1", "2"];
const FORMATS: [&str; 3] = ["csv", "json", "plainText"];
const PRIVACY: [&str; 3] = ["open", "masked", "hidden"];
const MOST: usize = 4;

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

/// A field of each strategy.
#[settings]
struct Everything {
    #[negotiate(intersect)]
    formats: Option<BTreeSet<Format>>,
    #[negotiate(intersect, required)]
    needed: Option<BTreeSet<Format>>,
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
    #[negotiate(prefer, required)]
    language: Option<Vec<String>>,
    #[negotiate(server)]
    motto: Option<String>,
    #[negotiate(nested)]
    inner: Inner,
    #[negotiate(max, preference)]
    verbosity: Option<u8>,
}

#[settings]
struct Inner {
    #[negotiate(equal)]
    scale: Option<u8>,
    #[negotiate(min)]
    depth: Option<u8>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Pong {
    pong: bool,
}

/// An extension with these settings.
#[extension(id = "com.example/everything", revision = "2", known_revisions("1"), settings = Everything)]
trait Whole {
    /// Answers.
    #[method]
    async fn ping(&self, cx: &Cx<WholeExtension>) -> Result<Pong, Infallible>;
}

struct Provider;

#[handlers]
impl Whole for Provider {
    async fn ping(&self, _: &Cx<WholeExtension>) -> Result<Pong, Infallible> {
        Ok(Pong { pong: true })
    }
}

thread_local! {
    /// The set of the last server settings: making one takes longer than all the rest.
    static LAST: RefCell<Option<(String, Option<ExtensionSet>)>> = const { RefCell::new(None) };
}

fn set(server: &Everything) -> Option<ExtensionSet> {
    let text = json!(server).to_string();
    LAST.with_borrow_mut(|last| {
        match last {
            Some((kept, set)) if *kept == text => return set.clone(),
            _ => {}
        }
        let set = ExtensionSet::builder()
            .enable(WholeExtension::provide(Provider).settings(server.clone()))
            .limits(Limits {
                max_declared: MOST,
                ..Limits::default()
            })
            .build()
            .ok();
        *last = Some((text, set.clone()));
        set
    })
}

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut lines = text.splitn(3, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (server, capabilities, flags) = (line(), line(), line());
    let Ok(capabilities) = serde_json::from_str::<Value>(capabilities) else {
        return;
    };
    let server: Everything = serde_json::from_str(server).unwrap_or_default();
    let declared = declared_in(&capabilities, MOST);
    match (&declared, by_lookup(&capabilities)) {
        (Ok(found), Ok(expected)) => assert_eq!(*found, expected),
        (Err(error), Err(())) => {
            assert_eq!(error.code, -32602);
            assert!(error.envelope && error.message.len() < 1024, "{error:?}");
        }
        (found, expected) => panic!("found {found:?}, expected {expected:?}"),
    }
    if let Ok(map) = declared {
        let state = Declared::Known(map).state(&WholeExtension::CONTRACT.id);
        match capabilities["extensions"].get(ID) {
            Some(own) => assert_eq!(
                state,
                Declaration::Yes(own.as_object().expect("checked above"))
            ),
            None => assert_eq!(state, Declaration::No),
        }
    }
    let Some(set) = set(&server) else { return };
    let era = if flags.contains('l') {
        Era::Legacy
    } else {
        Era::Modern
    };
    let first = ask(&set, era, &capabilities);
    let second = ask(&set, era, &capabilities);
    assert_eq!(first, second, "asked again");
    gate(&set, &server, era, &capabilities, &first);
}

/// What the rules say of capabilities, looked up on the value.
fn by_lookup(capabilities: &Value) -> Result<Option<&JsonObject>, ()> {
    let Value::Object(members) = capabilities else {
        return Err(());
    };
    match members.get("extensions") {
        None => Ok(None),
        Some(Value::Object(all)) if all.len() <= MOST && all.values().all(Value::is_object) => {
            Ok(Some(all))
        }
        Some(_) => Err(()),
    }
}

/// What becomes of one call: what was negotiated, or the error.
fn ask(set: &ExtensionSet, era: Era, capabilities: &Value) -> Result<Value, RpcError> {
    let mut meta = JsonObject::new();
    let mut session = SessionDeclaration::none();
    if era == Era::Modern {
        meta.insert(
            "io.modelcontextprotocol/clientCapabilities".to_owned(),
            capabilities.clone(),
        );
    } else {
        // As an adapter does with `initialize`.
        session = SessionDeclaration::Known(
            declared_in(capabilities, MOST)?.map(|map| Arc::new(map.clone())),
        );
    }
    let method = format!("{ID}/ping");
    let incoming = Incoming::new(era, Target::Method(&method))
        .meta(meta.clone())
        .session(session.clone());
    let negotiated = set
        .negotiated(era, None, &meta, session)
        .settings::<WholeExtension>();
    match set.route(incoming) {
        Route::Call(_) => Ok(json!(*negotiated.expect("a call that passes is in force"))),
        Route::Refused(error) => {
            assert!(negotiated.is_none(), "refused, but in force");
            Err(error)
        }
        other => panic!("{other:?}"),
    }
}

fn gate(
    set: &ExtensionSet,
    server: &Everything,
    era: Era,
    capabilities: &Value,
    found: &Result<Value, RpcError>,
) {
    let refused = match era {
        Era::Modern => -32021,
        Era::Legacy => -32601,
    };
    let own = match by_lookup(capabilities) {
        Err(()) => {
            assert_eq!(found.as_ref().map_err(|e| e.code), Err(-32602));
            return;
        }
        Ok(map) => map.and_then(|map| map.get(ID)).and_then(Value::as_object),
    };
    let Some(own) = own else {
        assert_eq!(found.as_ref().map_err(|e| e.code), Err(refused));
        return;
    };
    let revision = match own.get("revision") {
        None => true,
        Some(Value::String(revision)) => REVISIONS.contains(&revision.as_str()),
        Some(_) => {
            invalid(found);
            return;
        }
    };
    if !revision {
        let error = found.as_ref().expect_err("an unknown revision");
        assert_eq!(error.code, refused);
        heeded(set, era, error);
        return;
    }
    let Ok(client) = serde_json::from_value::<Everything>(Value::Object(own.clone())) else {
        invalid(found);
        return;
    };
    let server_said = json!(server);
    let client_said = json!(client);
    read_as_sent(own, &client_said);
    match combined(&server_said, &client_said) {
        Ok(expected) => {
            let negotiated = found.as_ref().expect("settings that combine");
            assert_eq!(*negotiated, expected);
            narrows(negotiated, &server_said);
            narrows(negotiated, &client_said);
            let again = Everything::negotiate(
                &serde_json::from_value(negotiated.clone()).expect("what was written"),
                &client,
            );
            assert_eq!(again.map(|s| json!(s)), Ok(expected), "negotiated again");
        }
        Err(fields) => {
            let error = found.as_ref().expect_err("settings that do not combine");
            assert_eq!(error.code, refused);
            let data = error.data.as_ref().expect("data");
            let rows = data["mismatch"].as_array().expect("rows");
            let named: Vec<_> = rows
                .iter()
                .map(|row| row["field"].as_str().expect("a field"))
                .collect();
            assert_eq!(named, fields);
            heeded(set, era, error);
        }
    }
}

fn invalid(found: &Result<Value, RpcError>) {
    let error = found.as_ref().expect_err("a member of the wrong type");
    assert_eq!(error.code, -32602);
    let data = error.data.as_ref().expect("data");
    assert_eq!(data["kind"], "invalid_settings");
    assert!(
        data["faults"]
            .as_array()
            .is_some_and(|faults| !faults.is_empty()),
        "{data}"
    );
}

/// Who declares what a refusal asks for gets through.
fn heeded(set: &ExtensionSet, era: Era, error: &RpcError) {
    let data = error.data.as_ref().expect("data");
    let asked = &data["requiredCapabilities"]["extensions"];
    assert!(asked[ID].is_object(), "{data}");
    let again = ask(set, era, &json!({ "extensions": asked }));
    assert!(again.is_ok(), "asked for {asked}, and then {again:?}");
}

/// Known members are read as they were sent, and sets without the names that nobody knows.
fn read_as_sent(sent: &JsonObject, read: &Value) {
    for field in [
        "maxBatch",
        "publish",
        "privacy",
        "region",
        "language",
        "motto",
        "verbosity",
    ] {
        assert_eq!(
            sent.get(field).unwrap_or(&Value::Null),
            &read[field],
            "{field}"
        );
    }
    assert_eq!(sent.get("write").unwrap_or(&json!(false)), &read["write"]);
    for field in ["formats", "needed"] {
        assert_eq!(known(sent.get(field)), read[field], "{field}");
    }
    if let Some(Value::Object(courses)) = sent.get("byCourse") {
        let courses: Map<_, _> = courses
            .iter()
            .map(|(name, set)| (name.clone(), known(Some(set))))
            .collect();
        assert_eq!(Value::Object(courses), read["byCourse"]);
    }
}

fn known(set: Option<&Value>) -> Value {
    let Some(Value::Array(sent)) = set else {
        return Value::Null;
    };
    FORMATS
        .iter()
        .filter(|name| sent.iter().any(|s| s == *name))
        .map(|name| json!(name))
        .collect()
}

/// The rules on values: what is negotiated, or the fields that do not combine.
fn combined(server: &Value, client: &Value) -> Result<Value, Vec<&'static str>> {
    fn either<'a>(a: &'a Value, b: &'a Value) -> &'a Value {
        if a.is_null() { b } else { a }
    }
    fn common(a: &Value, b: &Value) -> Value {
        match (a, b) {
            (Value::Array(a), Value::Array(b)) => {
                a.iter().filter(|m| b.contains(m)).cloned().collect()
            }
            (Value::Object(a), Value::Object(b)) => {
                let both = a
                    .iter()
                    .filter_map(|(key, a)| Some((key.clone(), common(a, b.get(key)?))));
                Value::Object(both.collect())
            }
            (a, b) => either(a, b).clone(),
        }
    }
    fn number(a: &Value, b: &Value, pick: fn(u64, u64) -> u64) -> Option<Value> {
        Some(json!(pick(a.as_u64()?, b.as_u64()?)))
    }
    fn first(list: &[Value]) -> Value {
        list.iter().take(1).cloned().collect()
    }
    let mut odd = Vec::new();
    let (s, c) = (server, client);
    let lower =
        |a: &Value, b: &Value| number(a, b, u64::min).unwrap_or_else(|| either(a, b).clone());
    let mut same = |field: &'static str, a: &Value, b: &Value| {
        if !a.is_null() && !b.is_null() && a != b {
            odd.push(field);
        }
        either(a, b).clone()
    };
    let region = same("region", &s["region"], &c["region"]);
    let scale = same("inner.scale", &s["inner"]["scale"], &c["inner"]["scale"]);
    let needed = common(&s["needed"], &c["needed"]);
    if needed == json!([]) {
        odd.push("needed");
    }
    let language = match (&s["language"], &c["language"]) {
        (Value::Array(s), Value::Array(c)) => first(
            &s.iter()
                .filter(|l| c.contains(l))
                .cloned()
                .collect::<Vec<_>>(),
        ),
        (Value::Array(one), _) | (_, Value::Array(one)) => first(one),
        _ => Value::Null,
    };
    if language == json!([]) {
        odd.push("language");
    }
    if !odd.is_empty() {
        // In the order of the type.
        const ORDER: [&str; 4] = ["needed", "region", "language", "inner.scale"];
        return Err(ORDER
            .into_iter()
            .filter(|field| odd.contains(field))
            .collect());
    }
    let both = |field: &str| s[field] == json!(true) && c[field] == json!(true);
    let publish = match (&s["publish"], &c["publish"]) {
        (Value::Null, Value::Null) => Value::Null,
        _ => json!(both("publish")),
    };
    let strictness = |v: &Value| PRIVACY.iter().position(|p| v == p);
    let privacy = match strictness(&s["privacy"]).max(strictness(&c["privacy"])) {
        Some(at) => json!(PRIVACY[at]),
        None => Value::Null,
    };
    Ok(json!({
        "formats": common(&s["formats"], &c["formats"]),
        "needed": needed,
        "byCourse": common(&s["byCourse"], &c["byCourse"]),
        "maxBatch": lower(&s["maxBatch"], &c["maxBatch"]),
        "write": both("write"),
        "publish": publish,
        "privacy": privacy,
        "region": region,
        "language": language,
        "motto": s["motto"],
        "inner": { "scale": scale, "depth": lower(&s["inner"]["depth"], &c["inner"]["depth"]) },
        "verbosity": number(&s["verbosity"], &c["verbosity"], u64::max).unwrap_or(Value::Null),
    }))
}

/// Nothing is granted that one side does not grant.
fn narrows(negotiated: &Value, granted: &Value) {
    let subset = |n: &Value, g: &Value| match (n, g) {
        (Value::Array(n), Value::Array(g)) => n.iter().all(|m| g.contains(m)),
        (_, g) => g.is_null(),
    };
    let at_most = |n: &Value, g: &Value| {
        g.as_u64()
            .is_none_or(|g| n.as_u64().is_some_and(|n| n <= g))
    };
    for field in ["formats", "needed", "language"] {
        assert!(subset(&negotiated[field], &granted[field]), "{field}");
    }
    if let Value::Object(courses) = &granted["byCourse"] {
        let left = negotiated["byCourse"]
            .as_object()
            .expect("a restriction stays one");
        assert!(
            left.iter()
                .all(|(name, set)| courses.get(name).is_some_and(|g| subset(set, g)))
        );
    }
    assert!(at_most(&negotiated["maxBatch"], &granted["maxBatch"]));
    assert!(at_most(
        &negotiated["inner"]["depth"],
        &granted["inner"]["depth"]
    ));
    for field in ["write", "publish"] {
        assert!(
            negotiated[field] != json!(true) || granted[field] == json!(true),
            "{field}"
        );
    }
}
