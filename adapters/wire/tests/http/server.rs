//! A small HTTP server that serves both eras, with sessions, and knows who may call.

use http::{Method, Response};
use mcp_ext_wire::WireBody;
use serde_json::Value;

use crate::common::plain_server;
use crate::rig::{Got, body};

pub const SESSION: &str = "session-1";

pub fn status(code: u16) -> Response<WireBody> {
    Response::builder().status(code).body(body("")).unwrap()
}

pub fn json(code: u16, frame: &Value) -> Response<WireBody> {
    Response::builder()
        .status(code)
        .header("content-type", "application/json")
        .body(body(frame.to_string()))
        .unwrap()
}

pub fn events(text: impl Into<String>) -> Response<WireBody> {
    Response::builder()
        .header("content-type", "text/event-stream")
        .body(body(text.into()))
        .unwrap()
}

/// Sessions, JSON answers.
pub fn plain(got: &Got) -> Response<WireBody> {
    if got.method == Method::DELETE {
        return status(200);
    }
    let request = got.json();
    let modern = got
        .headers
        .get("mcp-protocol-version")
        .is_some_and(|v| v == "2026-07-28");
    let session = got.headers.get("mcp-session-id");
    let starts = request["method"] == "initialize";
    if !modern && !starts && session.is_none_or(|s| s != SESSION) {
        return status(404);
    }
    let Some(answer) = plain_server(&request) else {
        return status(202);
    };
    let code = match answer["error"]["code"].as_i64() {
        Some(-32601) if modern => 404,
        _ => 200,
    };
    let mut response = json(code, &answer);
    if starts {
        response
            .headers_mut()
            .insert("mcp-session-id", SESSION.parse().unwrap());
    }
    response
}

/// The same without sessions: it remembers nothing.
pub fn stateless(got: &Got) -> Response<WireBody> {
    match plain_server(&got.json()) {
        Some(answer) => json(200, &answer),
        None => status(202),
    }
}

/// The same for whoever says `Bearer good` and nobody else.
pub fn guarded(got: &Got) -> Response<WireBody> {
    match got.headers.get("authorization").map(|v| v.as_bytes()) {
        Some(b"Bearer good" | b"Bearer other") => plain(got),
        Some(_) => {
            let mut refused = Response::new(body("you may not"));
            *refused.status_mut() = http::StatusCode::FORBIDDEN;
            refused
        }
        None => Response::builder()
            .status(401)
            .header(
                "www-authenticate",
                "Bearer resource_metadata=\"https://example.com/x\"",
            )
            .header("content-type", "text/plain")
            .body(body("who are you?"))
            .unwrap(),
    }
}
