//! What is known of one request beside its frame: whether its caller has gone, and what HTTP said.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mcp_ext_core::request::CancelSignal;
use tokio::sync::Notify;

tokio::task_local! {
    /// rust-mcp-sdk has no place for it in what it hands to a handler, but runs the handler in one task.
    #[cfg(feature = "http")]
    static CURRENT: Arc<HttpRequest>;
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
