//! The requests that are sent.

use serde_json::{Value, json};

use crate::grading::{ID, RUBRICS};

/// The revision of the modern era.
pub const VERSION: &str = "2026-07-28";

/// A request of a modern client that declares `extensions`.
pub fn modern(method: &str, mut params: Value, extensions: Value) -> String {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {"extensions": extensions},
    });
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).to_string()
}

/// What a client declares that can be served.
pub fn declared() -> Value {
    json!({ID: {"maxBatch": 10, "write": true, "rubricFormats": ["text"]}})
}

/// A call of the gated method.
pub fn rubrics() -> String {
    let params = json!({"course": "history-101", "tags": ["essay", "graded"], "limit": 2});
    modern(RUBRICS, params, declared())
}

/// A call of the wrapped server's own tool.
pub fn add() -> String {
    modern(
        "tools/call",
        json!({"name": "add", "arguments": {"a": 2, "b": 40}}),
        declared(),
    )
}

/// Requests whose answers must be the same with mcp-ext and by hand, with a name for each.
pub fn agreed() -> Vec<(&'static str, String)> {
    let params = || json!({"course": "history-101", "limit": 2});
    let with = |extensions| modern(RUBRICS, params(), extensions);
    let mut bare: Value = serde_json::from_str(&rubrics()).unwrap_or_default();
    bare["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    vec![
        ("accepted", rubrics()),
        ("other settings", with(json!({ID: {"maxBatch": 1}}))),
        ("no restriction", with(json!({ID: {}}))),
        (
            "nothing in common",
            with(json!({ID: {"rubricFormats": []}})),
        ),
        (
            "the revision named",
            with(json!({ID: {"revision": "2026-11-01"}})),
        ),
        (
            "beside another extension",
            with(json!({ID: {}, "com.example/other": {}})),
        ),
        ("not declared", with(json!({}))),
        ("no extensions at all", bare.to_string()),
        (
            "own error",
            modern(RUBRICS, json!({"course": "none"}), declared()),
        ),
    ]
}
