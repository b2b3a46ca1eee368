//! The answer to one request of the set.

use std::time::Instant;

use mcp_ext_core::request::{BoxFuture, CancelSignal, Incoming, Notifier, NotifyError};
use mcp_ext_core::wire::{JsonObject, code};
use mcp_ext_core::{ExtensionSet, Reply, RpcError};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::message::notification_frame;

/// Whether a call was given up; shared with its handler.
#[derive(Debug, Default)]
pub(crate) struct Cancelled(std::sync::atomic::AtomicBool);

impl Cancelled {
    pub fn set(&self) {
        self.0.store(true, std::sync::atomic::Ordering::Release);
    }
}

impl CancelSignal for Cancelled {
    fn is_cancelled(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::Acquire)
    }
}

/// Hands notifications of a call to whoever writes its answer, one at a time.
pub(crate) struct Notes(pub mpsc::Sender<String>);

impl Notifier for Notes {
    fn notify<'a>(
        &'a self,
        method: &'a str,
        params: JsonObject,
    ) -> BoxFuture<'a, Result<(), NotifyError>> {
        Box::pin(async move {
            let frame = notification_frame(method, params);
            self.0.send(frame).await.map_err(|_| NotifyError::Closed)
        })
    }
}

/// The result of a request that the set owns, on one line. Whoever waits drops it when the call is cancelled.
///
/// Routed before the future is made, which would else hold the request too.
///
/// # Errors
/// What the gate or the call says, or `timeout`.
pub(crate) fn answer<'a>(
    set: &ExtensionSet,
    mut incoming: Incoming<'a>,
) -> impl Future<Output = Result<String, RpcError>> + Send + use<'a> {
    incoming.deadline = Instant::now().checked_add(set.limits().max_duration);
    let route = set.route(incoming);
    async move {
        let answer = route.answer(std::future::pending(), tokio::time::sleep);
        Ok(match answer.await? {
            Reply::Text(text) => one_line(text),
            Reply::Object(object) => Value::Object(object).to_string(),
        })
    }
}

/// Line ends in JSON text stand between tokens only, where blanks do as well; a frame has none.
fn one_line(text: String) -> String {
    if memchr::memchr2(b'\n', b'\r', text.as_bytes()).is_some() {
        text.replace(['\n', '\r'], " ")
    } else {
        text
    }
}

/// What a request gets whose set is at its limit before it was even routed.
#[cfg(feature = "stdio")]
pub(crate) fn busy(limit: usize) -> RpcError {
    RpcError::limit(
        "busy",
        format!("{limit} requests are under way, the most this server takes at once; try again"),
        limit as u64,
    )
}

/// What a frame gets that is larger than the bound.
pub(crate) fn too_large(limit: usize) -> RpcError {
    RpcError::new(
        code::INVALID_REQUEST,
        format!("the frame is larger than {limit} bytes, the most that is taken here"),
    )
    .with_data(serde_json::json!({ "kind": "frame_too_large", "limit": limit }))
}
