//! Typed clients with no SDK, against real servers and against hostile ones.
#![allow(missing_docs)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../stdio/rig.rs"]
#[allow(dead_code)]
mod pipe;
#[path = "../http/rig.rs"]
#[allow(dead_code)]
mod rig;
#[path = "../../../rmcp/tests/common/http.rs"]
#[allow(dead_code)]
mod rmcp_http;

#[path = "../common/board.rs"]
mod board;
mod eras;
mod hostile;
mod listening;
mod over_http;
mod process;
mod sdk;
mod stdio;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp_ext_core::client::{Caller, CallerError, Outgoing, Stopped};
use mcp_ext_core::wire::JsonObject;
use mcp_ext_wire::{ClientOptions, ConnectError, StdioCaller};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, duplex, split};

pub const MODERN: &str = "2026-07-28";

pub fn outgoing(method: &str, params: Value) -> Outgoing {
    let Value::Object(params) = params else {
        panic!("params are an object")
    };
    Outgoing {
        method: method.to_owned(),
        params,
        declare: JsonObject::new(),
        mcp_name: None,
    }
}

/// One call of a method that needs nothing.
pub async fn call(caller: &impl Caller, method: &str) -> Result<Value, CallerError> {
    caller.call(outgoing(method, json!({}))).await
}

pub fn stopped(error: CallerError) -> Stopped {
    match error {
        CallerError::Stopped(stopped) => stopped,
        other => panic!("not stopped: {other:?}"),
    }
}

pub type Log = Arc<Mutex<Vec<Value>>>;

/// The answer to `server/discover` of a modern server.
pub fn discovered() -> Value {
    json!({
        "resultType": "complete", "supportedVersions": [MODERN], "ttlMs": 0, "cacheScope": "private",
        "capabilities": { "extensions": { common::ID: {} } },
    })
}

/// The answer to `initialize`.
pub fn initialized(version: &str) -> Value {
    json!({
        "protocolVersion": version, "serverInfo": { "name": "scripted", "version": "1" },
        "capabilities": { "extensions": { common::ID: {} } },
    })
}

pub fn result(id: &Value, result: Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string()
}

pub fn error(id: &Value, code: i64) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": "no" } }).to_string()
}

/// A server that writes the lines that `script` gives for each frame; `None` ends it. What it got is kept.
pub fn scripted(
    mut script: impl FnMut(&Value) -> Option<Vec<String>> + Send + 'static,
) -> (tokio::io::DuplexStream, Log) {
    let (client, server) = duplex(1 << 16);
    let log = Log::default();
    let got = log.clone();
    tokio::spawn(async move {
        let (read, mut write) = split(server);
        let mut lines = BufReader::new(read).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let frame: Value = serde_json::from_str(&line).unwrap();
            got.lock().unwrap().push(frame.clone());
            let Some(answers) = script(&frame) else {
                return;
            };
            for answer in answers {
                let line = format!("{answer}\n");
                if write.write_all(line.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    });
    (client, log)
}

pub async fn connect(
    stream: tokio::io::DuplexStream,
    options: ClientOptions,
) -> Result<StdioCaller, ConnectError> {
    let (read, write) = split(stream);
    StdioCaller::over(read, write, options).await
}

/// A modern server, and a caller connected to it. `script` sees what follows the opening.
pub async fn modern(
    options: ClientOptions,
    mut script: impl FnMut(&Value) -> Option<Vec<String>> + Send + 'static,
) -> (StdioCaller, Log) {
    let (stream, log) = scripted(move |frame| match frame["method"].as_str() {
        Some("server/discover") => Some(vec![result(&frame["id"], discovered())]),
        _ => script(frame),
    });
    (connect(stream, options).await.unwrap(), log)
}

/// A legacy server, and a caller connected to it.
pub async fn legacy(
    options: ClientOptions,
    mut script: impl FnMut(&Value) -> Option<Vec<String>> + Send + 'static,
) -> (StdioCaller, Log) {
    let (stream, log) = scripted(move |frame| match frame["method"].as_str() {
        Some("server/discover") => Some(vec![error(&frame["id"], -32601)]),
        Some("initialize") => Some(vec![result(&frame["id"], initialized("2025-11-25"))]),
        Some("notifications/initialized") => Some(vec![]),
        _ => script(frame),
    });
    (connect(stream, options).await.unwrap(), log)
}

pub fn methods(log: &Log) -> Vec<String> {
    let log = log.lock().unwrap();
    log.iter()
        .map(|frame| frame["method"].as_str().unwrap_or("-").to_owned())
        .collect()
}

/// Waits until something is true.
pub async fn eventually(what: &str, is: impl Fn() -> bool) {
    for _ in 0..500 {
        if is() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}
