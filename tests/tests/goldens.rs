//! What ships is on the wire exactly as written down in `goldens/`. `MCP_EXT_BLESS=1` writes it anew, to be read.

mod wires;

use std::path::Path;

use mcp_ext::healthcare::{FhirExtension, FhirServer, FhirSettings, FhirStore};
use mcp_ext::prelude::*;
use mcp_ext::protocol::Era;
use mcp_ext::registry;
use serde_json::{Value, json};
use wires::Plain;
use wires::wire::{Carrier, Client};

/// Every extension that ships.
const SHIPPED: &[&str] = &[
    "io.github.mcp-ext/audit",
    "io.github.mcp-ext/citations",
    "io.github.mcp-ext/confirm",
    "io.github.mcp-ext/consent",
    "io.github.mcp-ext/healthcare-fhir",
    "io.github.mcp-ext/idempotency",
    "io.github.mcp-ext/labels",
    "io.github.mcp-ext/policy",
];

fn shipped() -> Vec<&'static Contract> {
    let mut linked = registry::linked().unwrap();
    // The examples of this crate are linked as well.
    linked.retain(|contract| !contract.id.as_str().starts_with("com.example/"));
    linked
}

fn extensions() -> ExtensionSet {
    let fhir = FhirServer::new(FhirStore::bundled().unwrap()).unwrap();
    let enable = FhirExtension::provide(fhir).settings(FhirSettings::r4());
    ExtensionSet::builder().enable(enable).build().unwrap()
}

/// Every extension that ships with something to call.
fn everything() -> ExtensionSet {
    use mcp_ext::audit::Audit;
    use mcp_ext::consent::{Consent, Register};
    use mcp_ext::idempotency::Idempotency;
    let store = mcp_ext::store::Store::in_memory().unwrap();
    let fhir = FhirServer::new(FhirStore::bundled().unwrap()).unwrap();
    let register = Register::new(store.clone()).unwrap();
    ExtensionSet::builder()
        .enable(FhirExtension::provide(fhir).settings(FhirSettings::r4()))
        .enable(Audit::new(&store).unwrap().enable())
        .enable(Consent::new(register, |_| None).enable())
        .enable(Idempotency::new(&store).unwrap().enable())
        .build()
        .unwrap()
}

#[track_caller]
fn golden(name: &str, value: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("goldens")
        .join(format!("{name}.json"));
    let text = format!("{value:#}\n");
    if std::env::var_os("MCP_EXT_BLESS").is_some() {
        std::fs::write(path, text).unwrap();
        return;
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    if written != text {
        let line = written
            .lines()
            .zip(text.lines())
            .position(|(a, b)| a != b)
            .unwrap_or_default();
        let (was, is) = (written.lines().nth(line), text.lines().nth(line));
        panic!(
            "{} differs first in line {}: it has {was:?}, now there is {is:?}; MCP_EXT_BLESS=1 writes it anew",
            path.display(),
            line + 1
        );
    }
}

#[test]
fn the_extensions_that_ship_are_linked_and_no_other() {
    let ids: Vec<_> = shipped().iter().map(|c| c.id.as_str()).collect();
    assert_eq!(ids, SHIPPED);
}

/// The library alone enables nothing (NEG-2).
#[test]
fn neg_02_linking_enables_nothing() {
    let set = ExtensionSet::builder().build().unwrap();
    for era in [Era::Modern, Era::Legacy] {
        assert!(
            set.is_empty() && set.advertisement(era, None).is_empty() && !set.has_tools(era, None)
        );
    }
}

/// `{}` is valid settings of every extension that ships, on both sides, by schema and by type.
#[test]
fn nothing_is_valid_settings_of_every_extension_that_ships() {
    let none = json!({});
    for contract in shipped() {
        let bundle = contract.schema().unwrap();
        for side in ["ServerSettings", "ClientSettings"] {
            let mut schema = bundle.clone();
            assert!(
                schema["$defs"][side].is_object(),
                "{}: no {side}",
                contract.id
            );
            schema["$ref"] = json!(format!("#/$defs/{side}"));
            let validator = jsonschema::validator_for(&schema).unwrap();
            assert!(validator.is_valid(&none), "{} {side}", contract.id);
            assert!(!validator.is_valid(&json!([])), "the schema says something");
        }
        assert!(
            contract.understands(None),
            "{}: absent means the first revision",
            contract.id
        );
    }
    assert_eq!(
        serde_json::from_value::<FhirSettings>(none).unwrap(),
        FhirSettings::default()
    );
    assert_eq!(
        FhirSettings::negotiate_with_nothing(),
        FhirSettings::default()
    );
}

trait WithNothing: Sized {
    fn negotiate_with_nothing() -> Self;
}

impl WithNothing for FhirSettings {
    fn negotiate_with_nothing() -> Self {
        use mcp_ext::algebra::Negotiate;
        Self::negotiate(&Self::default(), &Self::default()).unwrap()
    }
}

/// ... and gets an answer over every kind of wire.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_declared_is_enough_on_the_wire() {
    for era in [Era::Modern, Era::Legacy] {
        for carrier in [Carrier::Stdio, Carrier::HttpSessions] {
            let declared: Value = SHIPPED
                .iter()
                .map(|id| (id.to_string(), json!({})))
                .collect();
            let server = Plain.with_extensions(everything()).unwrap();
            let mut client = Client::connect(server, carrier, era, Some(declared)).await;
            for contract in shipped() {
                // Some blocks have nothing that is called.
                let Some(item) = contract.items.iter().find_map(|item| item.method) else {
                    continue;
                };
                let answer = client.call(item.wire, json!({})).await;
                assert_ne!(answer.frame["error"]["code"], -32021, "{}", answer.frame);
                assert_ne!(answer.frame["error"]["code"], -32601, "{}", answer.frame);
            }
        }
    }
}

#[test]
fn schemas_are_as_written() {
    for contract in shipped() {
        let schema = contract.schema().unwrap();
        assert_eq!(schema, contract.schema().unwrap(), "the same on every run");
        golden(&format!("{}.schema", contract.id.name()), &schema);
    }
}

#[test]
fn tools_are_as_written() {
    for tool in extensions().tools() {
        golden(&format!("{}.tool", tool.name()), &json!(tool.listing()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_advertisement_is_as_written() {
    for (era, name) in [(Era::Modern, "discover"), (Era::Legacy, "initialize")] {
        let server = Plain.with_extensions(extensions()).unwrap();
        let client = Client::connect(server, Carrier::Stdio, era, None).await;
        golden(
            &format!("{name}.capabilities"),
            &client.greeting["capabilities"],
        );
    }
}

// --- what AI hosts take ------------------------------------------------------------------------------------------

/// Every schema in a schema, with where it stands.
fn schemas(schema: &Value, at: &str, found: &mut Vec<(String, Value)>) {
    found.push((at.to_owned(), schema.clone()));
    for keyword in ["properties", "$defs"] {
        for (name, inner) in schema[keyword].as_object().into_iter().flatten() {
            schemas(inner, &format!("{at}/{keyword}/{name}"), found);
        }
    }
    for keyword in ["items", "additionalProperties", "not"] {
        if schema[keyword].is_object() {
            schemas(&schema[keyword], &format!("{at}/{keyword}"), found);
        }
    }
    for keyword in ["anyOf", "oneOf", "allOf"] {
        for (n, inner) in schema[keyword].as_array().into_iter().flatten().enumerate() {
            schemas(inner, &format!("{at}/{keyword}/{n}"), found);
        }
    }
}

/// Claude refuses composition at the root, Gemini `$ref` and type arrays, `$schema` upset its command line; Claude
/// Desktop takes 64 letters, digits, `_` and `-` as a name, and Cursor 60 together with the server's.
#[test]
fn hosts_take_every_tool() {
    const FORMATS: &[&str] = &["date", "date-time", "email", "uri"];
    let set = extensions();
    assert!(set.tools().len() < 40);
    for tool in set.tools() {
        let (name, listing) = (tool.name(), json!(tool.listing()));
        let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(
            (1..=40).contains(&name.len()) && name.chars().all(letters),
            "{name}"
        );
        let description = listing["description"].as_str().unwrap();
        assert!(
            (20..=1024).contains(&description.len()),
            "{name}: {} bytes",
            description.len()
        );
        assert!(
            listing["title"].as_str().is_some_and(|t| t.len() <= 60),
            "{name}"
        );
        for hint in [
            "readOnlyHint",
            "destructiveHint",
            "idempotentHint",
            "openWorldHint",
        ] {
            assert!(
                listing["annotations"][hint].is_boolean(),
                "{name} says nothing of {hint}"
            );
        }
        for side in ["inputSchema", "outputSchema"] {
            let schema = &listing[side];
            jsonschema::meta::validate(schema).unwrap();
            assert_eq!(schema["type"], "object", "{name} {side}");
            for composition in ["anyOf", "oneOf", "allOf", "not", "enum", "const"] {
                assert!(
                    schema.get(composition).is_none(),
                    "{name} {side}: {composition} at the root"
                );
            }
            let mut all = Vec::new();
            schemas(schema, side, &mut all);
            for (at, schema) in all {
                for keyword in ["$ref", "$schema", "$id", "$anchor", "title"] {
                    // A property may have such a name; a keyword has another value.
                    assert!(!schema[keyword].is_string(), "{name} {at}: {keyword}");
                }
                assert!(schema.get("$defs").is_none(), "{name} {at}: $defs");
                assert!(
                    // An open object, of members of any kind.
                    (at.ends_with("/additionalProperties") && schema == json!({}))
                        || schema["type"].is_string()
                        || schema.get("enum").is_some()
                        || schema.get("anyOf").is_some(),
                    "{name} {at}: no single type: {schema}"
                );
                assert_ne!(schema["type"], "null", "{name} {at}");
                let choices = schema["enum"].as_array().map_or(&[][..], Vec::as_slice);
                assert!(!choices.contains(&Value::Null), "{name} {at}");
                if let Some(format) = schema["format"].as_str() {
                    assert!(FORMATS.contains(&format), "{name} {at}: format {format}");
                }
                if at.contains("/properties/") && !at.ends_with("/items") && side == "inputSchema" {
                    let words = schema["description"].as_str().unwrap_or_default();
                    assert!(words.len() >= 10, "{name} {at} is not described");
                    assert!(!words.contains('\n'), "{name} {at}: {words}");
                }
                if schema["type"] == "array" {
                    assert!(
                        schema["items"].is_object(),
                        "{name} {at}: an array of what?"
                    );
                }
            }
        }
        assert_eq!(
            listing["inputSchema"]["additionalProperties"], false,
            "{name} refuses unknown members, and says so"
        );
    }
}
