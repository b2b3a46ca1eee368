//! The answer to one request of the set.

use std::time::Instant;

use mcp_ext_core::request::{CancelSignal, Incoming};
use mcp_ext_core::wire::code;
use mcp_ext_core::{ExtensionSet, Pending, Reply, Route, RpcError};
use serde_json::Value;

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

/// A request that passed the gate, or was answered by it.
pub(crate) enum Routed<'a> {
    Answered(String),
    Call(Box<Pending<'a>>),
}

/// Routes a request that the set owns.
///
/// # Errors
/// What the gate says.
pub(crate) fn route<'a>(
    set: &ExtensionSet,
    mut incoming: Incoming<'a>,
) -> Result<Routed<'a>, RpcError> {
    incoming.deadline = Instant::now().checked_add(set.limits().max_duration);
    match set.route(incoming) {
        Route::Call(pending) => Ok(Routed::Call(pending)),
        Route::Answered(object) => Ok(Routed::Answered(Value::Object(object).to_string())),
        Route::Refused(error) => Err(error),
        // Only what the set owns gets here.
        Route::Forward(incoming) => Err(RpcError::method_not_found(incoming.target.name())),
    }
}

/// Runs a call within the time the set allows; gives the result on one line.
///
/// # Errors
/// What the call says, or `timeout`.
pub(crate) async fn run(set: &ExtensionSet, pending: Pending<'_>) -> Result<String, RpcError> {
    let limit = set.limits().max_duration;
    let Ok(reply) = tokio::time::timeout(limit, pending.run()).await else {
        let millis = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        return Err(RpcError::limit(
            "timeout",
            format!("the call was stopped after {millis} ms, the most this server allows"),
            millis,
        ));
    };
    match reply? {
        Reply::Text(text) => Ok(one_line(text)),
        Reply::Object(object) => Ok(Value::Object(object).to_string()),
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
