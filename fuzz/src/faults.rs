//! Faults of params and settings, against serde, which reads the same value, and the crate jsonschema, which reads the
//! same schema.
//!
//! An input is the JSON text of a value. What the three may disagree on:
//!
//! - serde takes an array for a struct, in the order of its members, and `{"point": null}` for a variant without
//!   content; the schema says neither. Such values are left out.
//! - JSON Schema takes `1.0` for an integer; serde does not, and neither do the faults.
//! - The schema of a map whose keys are an enum with descriptions does not name the keys, so that what stands under an
//!   unknown one, which settings drop, is looked at where there is another fault. No such map is here.
//! - JSON Schema says nothing of the formats `uint8` and so on; here they bound a number, as its type does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use jsonschema::Validator;
use mcp_ext_core::algebra::lenient;
use mcp_ext_core::faults::{Fault, MOST_FAULTS, find, find_in_settings, from_serde};
use mcp_ext_core::id::{ExtensionId, MetaKey};
use mcp_ext_core::schema::{TypeSchema, root};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// Params with one member of each kind.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code)]
struct Booking {
    room_id: String,
    plan: Plan,
    nights: Option<u32>,
    #[serde(default)]
    rate: f64,
    #[serde(default)]
    floor: i8,
    guest: Option<Guest>,
    #[serde(default)]
    services: Vec<Service>,
    #[serde(default)]
    by_day: BTreeMap<String, BTreeSet<Plan>>,
    window: Option<(u8, bool)>,
    extension: Option<ExtensionId>,
    #[serde(default)]
    labels: BTreeMap<MetaKey, u8>,
    payment: Option<Payment>,
    note: Option<Note>,
    #[serde(default)]
    raw: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Plan {
    /// Breakfast only.
    Bed,
    HalfBoard,
    FullBoard,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Guest {
    name: String,
    country: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
#[allow(dead_code)]
enum Service {
    Meal { people: u8 },
    Transfer { minutes: u16, place: String },
    Laundry,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code)]
enum Payment {
    Card { last: u16 },
    Vouchers(Vec<u8>),
    Cash,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[allow(dead_code)]
enum Note {
    Number(i32),
    Text(String),
    Guest(Guest),
}

/// A value inside a value, and so on; each level with two ways to be read.
#[derive(Debug, Deserialize, JsonSchema)]
#[allow(dead_code)]
struct Tree {
    #[serde(default)]
    kids: Vec<Tree>,
    left: Option<Box<Node>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[allow(dead_code)]
enum Node {
    Leaf(u8),
    Fork(Box<Tree>),
    Again { left: Box<Node> },
}

/// Settings, whose sets drop what they do not know.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[allow(dead_code)]
struct Preferences {
    #[serde(deserialize_with = "lenient")]
    plans: Option<BTreeSet<Plan>>,
    #[serde(deserialize_with = "lenient")]
    extensions: Vec<ExtensionId>,
    #[serde(deserialize_with = "lenient")]
    by_day: BTreeMap<Day, BTreeSet<Plan>>,
    write: bool,
    nights: Option<u32>,
}

/// Without descriptions: the schema of a map then names its keys.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
enum Day {
    Monday,
    Friday,
}

const BOOKING: TypeSchema = TypeSchema::of::<Booking>();
const TREE: TypeSchema = TypeSchema::of::<Tree>();
const PREFERENCES: TypeSchema = TypeSchema::of::<Preferences>();

/// The schema of `Booking`, its integer formats written out as bounds.
static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    let mut schema = root(&BOOKING);
    bound_integers(&mut schema);
    jsonschema::draft202012::new(&schema).expect("the schema of a type")
});

fn bound_integers(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            let bounds = match members.get("format").and_then(Value::as_str) {
                Some("int8") => Some((i64::from(i8::MIN), i64::from(i8::MAX))),
                Some("int32") => Some((i64::from(i32::MIN), i64::from(i32::MAX))),
                Some("uint8") => Some((0, i64::from(u8::MAX))),
                Some("uint16") => Some((0, i64::from(u16::MAX))),
                Some("uint32") => Some((0, i64::from(u32::MAX))),
                _ => None,
            };
            if let Some((low, high)) = bounds {
                members.insert("minimum".to_owned(), json!(low));
                members.insert("maximum".to_owned(), json!(high));
            }
            members.values_mut().for_each(bound_integers);
        }
        Value::Array(items) => items.iter_mut().for_each(bound_integers),
        _ => {}
    }
}

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(_) => {
            if let Err(error) = serde_json::from_str::<Booking>(text) {
                in_order(&[from_serde(&error, &Value::Null)], &json!(text));
            }
            return;
        }
    };
    let odd = is_array_for_struct(&value);

    let read = Booking::deserialize(&value);
    let found = find(&value, &BOOKING, &[]);
    in_order(&found, &value);
    if !odd {
        assert_eq!(
            read.is_ok(),
            found.is_empty(),
            "serde {read:?}\nfaults {found:?}"
        );
    }
    if !has_whole_float(&value) {
        assert_eq!(VALIDATOR.is_valid(&value), found.is_empty(), "{found:?}");
    }
    if let Err(error) = &read {
        in_order(&[from_serde(error, &value)], &value);
    }
    if let Err(error) = serde_json::from_str::<Booking>(text) {
        in_order(&[from_serde(&error, &value)], &value);
    }
    // What may be shown is shown, and nothing else changes.
    let shown = find(&value, &BOOKING, &["*", "/guest/name"]);
    assert!(
        shown
            .iter()
            .map(|f| (&f.pointer, &f.expected))
            .eq(found.iter().map(|f| (&f.pointer, &f.expected))),
        "{shown:?}\n{found:?}"
    );

    let read = Preferences::deserialize(&value);
    let found = find_in_settings(&value, &PREFERENCES);
    in_order(&found, &value);
    if !value.is_array() {
        assert_eq!(
            read.is_ok(),
            found.is_empty(),
            "serde {read:?}\nfaults {found:?}"
        );
    }

    let found = find(&value, &TREE, &[]);
    in_order(&found, &value);
    if Tree::deserialize(&value).is_ok() && !has_array_in_tree(&value) {
        assert_eq!(found, []);
    }
}

/// Few, short, at places that there are, and without the value.
fn in_order(faults: &[Fault], value: &Value) {
    assert!(faults.len() <= MOST_FAULTS + 1, "{} faults", faults.len());
    if faults.is_empty() {
        return;
    }
    let mut secrets = Vec::new();
    let mut names = BTreeSet::new();
    look_over(value, &mut secrets, &mut names);
    for fault in faults {
        assert!(
            fault.message.len() < 8 * 1024,
            "{} bytes",
            fault.message.len()
        );
        assert!(
            fault.message.contains(&fault.expected) || fault.expected == "a value without faults",
            "{fault:?}"
        );
        if names.iter().all(|name| name.chars().count() <= 64) {
            let there = value.pointer(&fault.pointer).is_some();
            assert!(
                there || fault.seen == "nothing",
                "no {} there",
                fault.pointer
            );
        }
        let all = serde_json::to_string(fault).expect("plain data");
        for secret in &secrets {
            let text = secret.trim_matches('"');
            assert!(
                names.iter().any(|name| name.contains(text)) || !all.contains(text),
                "{all} has {secret}"
            );
        }
    }
}

/// The texts that cannot stand in a fault by chance, as JSON, and the names of members, which may be shown.
fn look_over<'a>(value: &'a Value, secrets: &mut Vec<String>, names: &mut BTreeSet<&'a str>) {
    match value {
        Value::String(text) if text.contains('@') && text.len() >= 4 => {
            secrets.push(value.to_string())
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| look_over(item, secrets, names)),
        Value::Object(members) => {
            for (name, member) in members {
                names.insert(name);
                look_over(member, secrets, names);
            }
        }
        _ => {}
    }
}

fn has_whole_float(value: &Value) -> bool {
    match value {
        Value::Number(n) => n.is_f64() && n.as_f64().is_some_and(|n| n.fract() == 0.0),
        Value::Array(items) => items.iter().any(has_whole_float),
        Value::Object(members) => members.values().any(has_whole_float),
        _ => false,
    }
}

/// Where serde takes more than the schema says.
fn is_array_for_struct(value: &Value) -> bool {
    let any = |v: Option<&Value>| v.is_some_and(Value::is_array);
    let services = value["services"]
        .as_array()
        .is_some_and(|all| all.iter().any(Value::is_array));
    value.is_array()
        || services
        || any(value.get("guest"))
        || any(value.get("note"))
        || any(value["payment"].get("card"))
        || value["payment"].get("cash").is_some()
}

fn has_array_in_tree(value: &Value) -> bool {
    match value {
        Value::Array(_) => true,
        Value::Object(members) => members.iter().any(|(name, member)| match member {
            Value::Array(kids) if name == "kids" => kids.iter().any(has_array_in_tree),
            other => has_array_in_tree(other),
        }),
        _ => false,
    }
}
