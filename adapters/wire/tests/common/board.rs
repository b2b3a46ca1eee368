//! An extension whose notifications travel on listen streams.
#![allow(dead_code, missing_docs)]

use std::convert::Infallible;

use mcp_ext_core::{Cx, ExtensionSet, Limits, ListenFilter, Listener, extension, handlers};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub const BOARD: &str = "com.example/board";
pub const PIN: &str = "com.example/board/pin";
pub const PINNED: &str = "notifications/com.example/board/pinned";
pub const WIPED: &str = "notifications/com.example/board/wiped";
pub const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
pub const LISTEN: &str = "subscriptions/listen";
pub const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct Note {
    pub topic: String,
    pub number: u64,
}

/// Topics to hear of; none: all.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Topics {
    #[serde(default)]
    pub topics: Vec<String>,
}

impl ListenFilter<Note> for Topics {
    fn admits(&self, note: &Note, _: &Listener<'_>) -> bool {
        self.topics.is_empty() || self.topics.contains(&note.topic)
    }
}

/// A board with notes.
#[extension(id = "com.example/board", revision = "2026-11-01")]
pub trait Board {
    /// Pins a note.
    #[method]
    async fn pin(&self, cx: &Cx<BoardExtension>, params: Note) -> Result<Note, Infallible>;

    /// A note was pinned.
    #[notification(listen(filter = Topics))]
    fn pinned(params: Note);

    /// All notes are gone.
    #[notification(listen)]
    fn wiped();
}

pub struct Wall;

#[handlers]
impl Board for Wall {
    async fn pin(&self, cx: &Cx<BoardExtension>, params: Note) -> Result<Note, Infallible> {
        let _ = cx.pinned(params.clone()).await;
        Ok(params)
    }
}

pub fn note(topic: &str, number: u64) -> Note {
    Note {
        topic: topic.to_owned(),
        number,
    }
}

/// A set with the board, and what publishes on it.
pub fn board_with(limits: Limits) -> (ExtensionSet, BoardPublisher) {
    let set = ExtensionSet::builder()
        .enable(BoardExtension::provide(Wall))
        .limits(limits)
        .build()
        .unwrap();
    let publisher = BoardExtension::publisher(&set);
    (set, publisher)
}

pub fn board() -> (ExtensionSet, BoardPublisher) {
    board_with(Limits::default())
}

/// A listen request of a client that declares the board, or does not.
pub fn listen_as(declares: bool, id: impl Into<Value>, filter: Value) -> Value {
    let extensions = if declares {
        json!({ BOARD: {} })
    } else {
        json!({})
    };
    json!({ "jsonrpc": "2.0", "id": id.into(), "method": LISTEN, "params": {
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": { "extensions": extensions },
        },
        "notifications": filter,
    }})
}

pub fn listen(id: impl Into<Value>, filter: Value) -> Value {
    listen_as(true, id, filter)
}

/// Everything of the board.
pub fn all() -> Value {
    json!({ BOARD: { "pinned": {}, "wiped": true } })
}

pub fn subscription(frame: &Value) -> &Value {
    let holder = if frame.get("result").is_some() {
        &frame["result"]
    } else {
        &frame["params"]
    };
    &holder["_meta"][SUBSCRIPTION]
}
