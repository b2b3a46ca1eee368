//! The frames that passed between the demo's clients and servers, as they were on the wire.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::Value;

/// Who sent a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum From {
    Client,
    Server,
}

/// One captured frame.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Frame {
    /// Which connection, for example `stdio modern`.
    pub connection: String,
    pub from: From,
    /// The HTTP status of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    pub body: Value,
}

/// The frames of one connection, shared with whatever captures them.
#[derive(Clone)]
pub struct Log {
    connection: String,
    frames: Arc<Mutex<Vec<Frame>>>,
}

impl Log {
    pub fn new(connection: impl Into<String>) -> Self {
        Self {
            connection: connection.into(),
            frames: Arc::default(),
        }
    }

    /// Takes a line or a body; what is not JSON is kept as text, so that a broken server shows.
    pub fn record(&self, from: From, http_status: Option<u16>, text: &[u8]) {
        if text.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let body = serde_json::from_slice(text)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(text).into_owned()));
        let frame = Frame {
            connection: self.connection.clone(),
            from,
            http_status,
            body,
        };
        self.frames
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(frame);
    }

    pub fn frames(&self) -> Vec<Frame> {
        self.frames
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The newest request of `method` that `wanted` holds for, with the answer to it.
    pub fn exchange(
        &self,
        method: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Option<(Frame, Frame)> {
        let frames = self.frames();
        let request = frames.iter().rev().find(|f| {
            f.from == From::Client && f.body["method"] == method && wanted(&f.body["params"])
        })?;
        let answer = frames.iter().rev().find(|f| {
            f.from == From::Server
                && f.body["id"] == request.body["id"]
                && f.body.get("method").is_none()
        })?;
        Some((request.clone(), answer.clone()))
    }
}
