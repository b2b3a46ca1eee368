//! The examples of the published specification: frames pass through an empty set unchanged, and through a set with an
//! extension changed only where the set says so.

mod common;

use std::path::{Path, PathBuf};

use mcp_ext_core::envelope::Frame;
use mcp_ext_core::protocol::{Era, ProtocolRange};
use mcp_ext_core::request::{Declared, Params, SessionDeclaration, Target};
use mcp_ext_core::wire::JsonObject;
use mcp_ext_core::{AmendCx, ExtensionSet, Route, RpcError};
use serde_json::{Value, json};

fn examples() -> Option<Vec<(String, String, Value)>> {
    let root: PathBuf = [
        env!("CARGO_MANIFEST_DIR"),
        "..",
        "..",
        "shared",
        "spec",
        "examples-2026-07-28",
    ]
    .iter()
    .collect();
    if !root.is_dir() {
        eprintln!(
            "SKIPPED spec_examples: the examples of the specification are not beside the project"
        );
        return None;
    }
    let mut found = Vec::new();
    for kind in sorted(&root) {
        let name = kind.file_name().unwrap().to_string_lossy().into_owned();
        for file in sorted(&kind) {
            let text = std::fs::read_to_string(&file).unwrap();
            let case = format!("{name}/{}", file.file_name().unwrap().to_string_lossy());
            found.push((name.clone(), case, serde_json::from_str(&text).unwrap()));
        }
    }
    Some(found)
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    all.sort();
    all
}

/// Sends a request through a set; what comes back is what goes on to the wrapped server.
fn forwarded(set: &ExtensionSet, frame: &Value) -> Value {
    let method = frame["method"].as_str().unwrap();
    let params = frame
        .get("params")
        .map(|p| serde_json::value::to_raw_value(p).unwrap());
    let read = Frame::read(method, params.as_deref()).unwrap();
    let incoming = read
        .open(ProtocolRange::ALL, SessionDeclaration::none(), None)
        .unwrap();
    let Route::Forward(incoming) = set.route(incoming) else {
        panic!("{method} was not forwarded")
    };
    let mut members = match &incoming.params {
        Params::Raw(raw) => serde_json::from_str::<JsonObject>(raw.get()).unwrap(),
        Params::Value(_) | Params::None => JsonObject::new(),
    };
    if let Target::Tool(name) = incoming.target {
        let arguments = std::mem::take(&mut members);
        members.insert("name".into(), json!(name));
        if frame["params"].get("arguments").is_some() {
            members.insert("arguments".into(), Value::Object(arguments));
        }
    }
    if !incoming.meta.is_empty() {
        members.insert("_meta".into(), Value::Object((*incoming.meta).clone()));
    }
    let mut out = frame.clone();
    if !members.is_empty() {
        out["params"] = Value::Object(members);
    }
    out
}

fn amended(set: &ExtensionSet, method: &str, frame: &Value) -> Value {
    let mut out = frame.clone();
    if let Some(result) = out.get_mut("result").and_then(Value::as_object_mut) {
        let cx = AmendCx {
            era: Era::Modern,
            version: None,
            declared: Declared::Known(None),
            first_page: true,
        };
        set.amend(method, result, &cx);
    }
    out
}

/// The method a `…ResultResponse` of the specification answers.
fn answers(kind: &str) -> &'static str {
    match kind {
        "DiscoverResultResponse" => "server/discover",
        "ListToolsResultResponse" => "tools/list",
        "CallToolResultResponse" => "tools/call",
        _ => "another/method",
    }
}

#[test]
fn every_frame_passes_through_an_empty_set_unchanged() {
    let Some(examples) = examples() else { return };
    let empty = ExtensionSet::builder().build().unwrap();
    let (mut requests, mut notifications, mut responses) = (0, 0, 0);
    for (kind, case, frame) in examples {
        if frame.get("jsonrpc").is_none() {
            continue;
        }
        match (frame.get("method"), frame.get("id")) {
            (Some(_), Some(_)) => {
                requests += 1;
                assert_eq!(forwarded(&empty, &frame), frame, "{case}");
            }
            (Some(method), None) => {
                notifications += 1;
                assert!(!empty.notification(method.as_str().unwrap()), "{case}");
            }
            (None, _) => {
                responses += 1;
                assert_eq!(amended(&empty, answers(&kind), &frame), frame, "{case}");
            }
        }
    }
    assert!(
        requests >= 8 && notifications >= 6 && responses >= 10,
        "{requests} {notifications} {responses}"
    );
}

#[test]
fn a_set_with_an_extension_changes_only_the_members_it_says() {
    let Some(examples) = examples() else { return };
    let (_, set) = common::set();
    for (kind, case, frame) in examples {
        if frame.get("jsonrpc").is_none() {
            continue;
        }
        if frame.get("method").is_some() {
            if frame.get("id").is_some() {
                assert_eq!(forwarded(&set, &frame), frame, "{case}");
            } else {
                assert!(
                    !set.notification(frame["method"].as_str().unwrap()),
                    "{case}"
                );
            }
            continue;
        }
        let mut out = amended(&set, answers(&kind), &frame);
        match kind.as_str() {
            "DiscoverResultResponse" => {
                let capabilities = out["result"]["capabilities"].as_object_mut().unwrap();
                let ours = capabilities["extensions"]
                    .as_object_mut()
                    .unwrap()
                    .remove("com.example/grading");
                assert!(ours.unwrap().is_object(), "{case}");
                if capabilities["extensions"] == json!({}) {
                    capabilities.remove("extensions");
                }
                if frame["result"]["capabilities"].get("tools").is_none() {
                    assert_eq!(capabilities.remove("tools"), Some(json!({})), "{case}");
                }
            }
            "ListToolsResultResponse" => {
                let tools = out["result"]["tools"].as_array_mut().unwrap();
                assert_eq!(tools.pop().unwrap()["name"], "grade_submission", "{case}");
            }
            _ => {}
        }
        assert_eq!(out, frame, "{case}");
    }
}

#[test]
fn fragments_pass_through_our_types_of_the_same_name() {
    let Some(examples) = examples() else { return };
    let mut errors = 0;
    for (kind, case, value) in examples {
        // The error object of JSON-RPC is the one type of the protocol that the core has; capabilities are read by it.
        if kind.ends_with("Error") {
            let error = value.get("error").unwrap_or(&value);
            let ours: RpcError = serde_json::from_value(error.clone()).unwrap();
            assert_eq!(&serde_json::to_value(ours).unwrap(), error, "{case}");
            errors += 1;
        }
        if kind == "ClientCapabilities" {
            let extensions = mcp_ext_core::request::declared_in(&value, 16).unwrap();
            assert_eq!(
                extensions.cloned().map(Value::Object),
                value.get("extensions").cloned(),
                "{case}"
            );
        }
    }
    assert!(errors >= 8, "{errors}");
}
