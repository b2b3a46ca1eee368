//! Frames against the specification's JSON Schemas.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use mcp_ext_core::protocol::Era;
use serde_json::{Value, json};

/// Fails the test unless `frame`, sent by a server in answer to `method`, is valid in its era.
///
/// `method` is `None` for a frame that answers no request of ours. Beside the schema, what the schema cannot say is
/// checked: legacy frames have no `resultType` and no code of the modern era, advertised settings are objects, and no
/// code is one that nobody may emit.
#[track_caller]
pub fn check(era: Era, method: Option<&str>, frame: &Value) {
    check_words(era, frame);
    let Some(schemas) = Schemas::get(era) else {
        return;
    };
    if frame.get("method").is_some() {
        let name = match frame["method"].as_str() {
            Some("notifications/progress") => "ProgressNotification",
            _ => "JSONRPCNotification",
        };
        return schemas.expect(name, frame);
    }
    if let Some(error) = frame.get("error") {
        schemas.expect("JSONRPCErrorResponse", frame);
        let special = match error["code"].as_i64() {
            Some(-32021) => "MissingRequiredClientCapabilityError",
            Some(-32022) => "UnsupportedProtocolVersionError",
            _ => return,
        };
        return schemas.expect(special, frame);
    }
    schemas.expect("JSONRPCResultResponse", frame);
    let result = match method.unwrap_or_default() {
        _ if frame["result"]["resultType"] == "input_required" => "InputRequiredResult",
        "initialize" => "InitializeResult",
        "server/discover" => "DiscoverResult",
        "tools/list" => "ListToolsResult",
        "tools/call" if frame["result"]["resultType"] == "input_required" => "InputRequiredResult",
        "tools/call" => "CallToolResult",
        "prompts/list" => "ListPromptsResult",
        "prompts/get" => "GetPromptResult",
        "resources/list" => "ListResourcesResult",
        "resources/templates/list" => "ListResourceTemplatesResult",
        "resources/read" => "ReadResourceResult",
        "completion/complete" => "CompleteResult",
        _ => "Result",
    };
    schemas.expect(result, &frame["result"]);
}

#[track_caller]
fn check_words(era: Era, frame: &Value) {
    assert_eq!(frame["jsonrpc"], "2.0", "{frame}");
    assert!(
        frame.get("params") != Some(&Value::Null),
        "params must be an object or absent: {frame}"
    );
    assert!(
        frame.get("method").is_none() || frame.get("id").is_none(),
        "REQ-9: {frame}"
    );
    if let Some(result) = frame.get("result") {
        assert_eq!(
            result.get("resultType").is_some(),
            era == Era::Modern,
            "resultType, {era:?}: {frame}"
        );
        let extensions = &result["capabilities"]["extensions"];
        for (id, settings) in extensions.as_object().into_iter().flatten() {
            assert!(
                settings.is_object(),
                "NEG-1: {id} must have an object: {frame}"
            );
        }
    }
    if let Some(code) = frame["error"]["code"].as_i64() {
        assert!(
            !(-32019..=-32000).contains(&code) || code == -32002,
            "ERR-1: {frame}"
        );
        assert!(![-32002, -32042].contains(&code), "ERR-3: {frame}");
        if (-32099..=-32020).contains(&code) {
            assert_eq!(era, Era::Modern, "ERA-4: {frame}");
            assert!([-32020, -32021, -32022].contains(&code), "ERR-2: {frame}");
        }
    }
}

struct Schemas {
    document: Value,
    compiled: Mutex<HashMap<&'static str, jsonschema::Validator>>,
}

impl Schemas {
    fn get(era: Era) -> Option<&'static Self> {
        static MODERN: OnceLock<Option<Schemas>> = OnceLock::new();
        static LEGACY: OnceLock<Option<Schemas>> = OnceLock::new();
        let (cell, file) = match era {
            Era::Modern => (&MODERN, "schema-2026-07-28.json"),
            Era::Legacy => (&LEGACY, "schema-2025-11-25.json"),
        };
        let schemas = cell.get_or_init(|| {
            let text = std::fs::read_to_string(shared()?.join("spec").join(file)).ok()?;
            let document = serde_json::from_str(&text).unwrap();
            Some(Schemas {
                document,
                compiled: Mutex::default(),
            })
        });
        if schemas.is_none() {
            let test = std::thread::current().name().unwrap_or("frames").to_owned();
            eprintln!(
                "SKIPPED {test}: the specification's schemas are not beside the workspace, frames are not validated"
            );
        }
        schemas.as_ref()
    }

    #[track_caller]
    fn expect(&self, name: &'static str, value: &Value) {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        let validator = compiled.entry(name).or_insert_with(|| {
            let mut schema = self.document.clone();
            assert!(
                schema["$defs"].get(name).is_some(),
                "the schema has no {name}"
            );
            schema["$ref"] = json!(format!("#/$defs/{name}"));
            jsonschema::validator_for(&schema).unwrap()
        });
        let faults: Vec<_> = validator
            .iter_errors(value)
            .map(|e| format!("{}: {e}", e.instance_path()))
            .collect();
        drop(compiled);
        assert!(
            faults.is_empty(),
            "not a valid {name}: {faults:#?}\n{value:#}"
        );
    }
}

/// The directory beside the workspace that holds the specification.
pub fn shared() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .map(|dir| dir.join("shared"))
        .find(|dir| dir.join("spec").is_dir())
}
