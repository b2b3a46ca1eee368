//! Listen streams that ask for notifications of the set: one stream with the server's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mcp_ext_core::Subscription;
use mcp_ext_core::listen::Notification;
use mcp_ext_core::protocol::ProtocolVersion;
use mcp_ext_core::wire::JsonObject;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use turbomcp_core::{JsonRpcMessage, JsonRpcNotification, JsonRpcResponse, RequestId};
use turbomcp_service::outbound::{self, WriterGuard};

use crate::state::{State, Tracked};

/// How many notifications of the server wait for a stream; its own transports let as many wait.
const WAITING: usize = 256;

/// How often it is looked whether a connection is still there.
const LOOK: Duration = Duration::from_secs(1);

/// Takes the fields of a filter that are the set's out of the params of a listen request.
pub(crate) fn take_filter(state: &State, params: &mut Value) -> JsonObject {
    let version = Some(ProtocolVersion::V2026_07_28);
    let owns = |field: &str| {
        let id = state.set.filter_field(field, version);
        id.is_some_and(|id| !state.is_withheld(id.as_str()))
    };
    let filter = params
        .get_mut("notifications")
        .and_then(Value::as_object_mut);
    let Some(filter) = filter else {
        return JsonObject::new();
    };
    let (ours, theirs) = std::mem::take(filter)
        .into_iter()
        .partition(|(field, _)| owns(field));
    *filter = theirs;
    ours
}

/// A connection of our own, on which the server sends what it has for a stream.
pub(crate) struct Theirs {
    pub connection: String,
    frames: mpsc::Receiver<JsonRpcMessage>,
    /// Without it the server takes the stream off its list.
    _guard: WriterGuard,
}

impl Theirs {
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let connection = format!("mcp-ext-turbomcp-listen-{number}");
        let (sender, frames) = mpsc::channel(WAITING);
        Self {
            _guard: outbound::register(connection.as_str(), sender),
            connection,
            frames,
        }
    }
}

/// One listen stream that the server has taken.
pub(crate) struct Stream {
    pub id: RequestId,
    /// The connection of its client.
    pub connection: String,
    pub subscription: Subscription,
    pub theirs: Theirs,
    pub tracked: Tracked,
}

impl Stream {
    /// Sends until one side has had enough.
    pub async fn run(mut self) {
        let first = self.acknowledgement();
        if !self.send(first).await {
            return;
        }
        let running = Arc::clone(&self.tracked.running);
        let mut look = tokio::time::interval(LOOK);
        loop {
            let message = tokio::select! {
                biased;
                () = running.stop.notified() => return,
                message = self.theirs.frames.recv() => match message {
                    Some(message) => message,
                    None => return,
                },
                note = self.subscription.next() => match note {
                    Some(note) => notification(&note),
                    None => self.result(),
                },
                // A sender that is kept would keep the connection open, so none is there to tell when it closes.
                _ = look.tick() => match outbound::writer(&self.connection) {
                    Some(_) => continue,
                    None => return,
                },
            };
            let last = matches!(message, JsonRpcMessage::Response(_));
            if !self.send(message).await || last {
                return;
            }
        }
    }

    /// What the server honours, and what is honoured here.
    fn acknowledgement(&mut self) -> JsonRpcMessage {
        let accepted = serde_json::from_str(self.subscription.accepted());
        let accepted: JsonObject = accepted.unwrap_or_default();
        match self.theirs.frames.try_recv() {
            Ok(JsonRpcMessage::Notification(mut theirs)) => {
                let params = theirs.params.get_or_insert_with(|| json!({}));
                if let Some(params) = params.as_object_mut()
                    && let Some(filter) = params
                        .entry("notifications")
                        .or_insert_with(|| json!({}))
                        .as_object_mut()
                {
                    filter.extend(accepted);
                }
                theirs.into()
            }
            _ => notification(&self.subscription.acknowledgement()),
        }
    }

    fn result(&self) -> JsonRpcMessage {
        // It is JSON text that the set has just made.
        let result = serde_json::from_str(&self.subscription.result()).unwrap_or_default();
        JsonRpcResponse::success(self.id.clone(), result).into()
    }

    /// `false` when there is nobody to send to, or the client has ended the stream.
    async fn send(&self, message: JsonRpcMessage) -> bool {
        let Some(writer) = outbound::writer(&self.connection) else {
            return false;
        };
        tokio::select! {
            biased;
            () = self.tracked.running.stop.notified() => false,
            sent = writer.send(message) => sent.is_ok(),
        }
    }
}

fn notification(note: &Notification) -> JsonRpcMessage {
    let params = serde_json::from_str(&note.params).ok();
    JsonRpcNotification::new(note.method, params).into()
}
