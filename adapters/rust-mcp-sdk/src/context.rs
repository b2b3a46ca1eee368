//! What is known of one request beside its frame: what was negotiated, whether its caller has gone, what HTTP said.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mcp_ext_core::Negotiated;
use mcp_ext_core::request::CancelSignal;
use tokio::sync::Notify;

// rust-mcp-sdk has no place for these in what it hands to a handler, but runs a handler in one task.
tokio::task_local! {
    static NEGOTIATED: Negotiated;
}
#[cfg(feature = "http")]
tokio::task_local! {
    static CURRENT: Arc<HttpRequest>;
}

/// What was negotiated for the request that this task answers, for the server's own handlers; `None` outside of one, such
/// as in a task that a handler has spawned.
///
/// ```
/// # use mcp_ext_core::Negotiated;
/// // In handle_call_tool_request:
/// let negotiated: Option<Negotiated> = mcp_ext_rust_mcp_sdk::negotiated();
/// // let settings = negotiated.and_then(|negotiated| negotiated.settings::<GradingExtension>());
/// # assert!(negotiated.is_none());
/// ```
pub fn negotiated() -> Option<Negotiated> {
    NEGOTIATED.try_with(Negotiated::clone).ok()
}

/// Runs what answers a request of the server's own.
pub(crate) async fn with_negotiated<T>(
    negotiated: Negotiated,
    answer: impl Future<Output = T>,
) -> T {
    NEGOTIATED.scope(negotiated, answer).await
}

/// Whether a caller has given up, and a way to wait for it.
#[derive(Default)]
pub(crate) struct Cancel {
    cancelled: AtomicBool,
    told: Notify,
}

impl Cancel {
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.told.notify_waiters();
    }

    pub(crate) async fn cancelled(&self) {
        let mut told = std::pin::pin!(self.told.notified());
        // From here on it is told, so that nothing falls between the look and the wait.
        told.as_mut().enable();
        if !self.is_cancelled() {
            told.await;
        }
    }
}

impl CancelSignal for Cancel {
    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }
}

/// One request over HTTP.
pub(crate) struct HttpRequest {
    /// The header `Mcp-Name`.
    pub(crate) name: Option<String>,
    /// Whether the answer is one JSON object, which leaves no room for notifications.
    pub(crate) json: bool,
    /// Whether the client has hung up.
    pub(crate) gone: Arc<Cancel>,
    /// Whether a call of an extension failed with an error that HTTP carries with 200.
    pub(crate) ok: AtomicBool,
}

/// The request over HTTP that this task answers.
#[cfg(feature = "http")]
pub(crate) fn current() -> Option<Arc<HttpRequest>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// Without HTTP there is none.
#[cfg(not(feature = "http"))]
pub(crate) fn current() -> Option<Arc<HttpRequest>> {
    None
}

/// Runs what answers `request`.
#[cfg(feature = "http")]
pub(crate) async fn within<T>(request: Arc<HttpRequest>, answer: impl Future<Output = T>) -> T {
    CURRENT.scope(request, answer).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_after_the_cancellation_does_not_wait_and_who_waited_before_is_told() {
        let cancel = Cancel::default();
        let waiting = tokio::time::timeout(std::time::Duration::from_secs(5), cancel.cancelled());
        let (before, ()) = tokio::join!(waiting, async { cancel.cancel() });
        assert!(before.is_ok() && cancel.is_cancelled());
        let after = tokio::time::timeout(std::time::Duration::from_secs(5), cancel.cancelled());
        assert!(after.await.is_ok());
    }
}
