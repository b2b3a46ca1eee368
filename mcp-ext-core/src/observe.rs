//! What a server can watch: which gate decided what, and how calls ended. Never params.

use std::time::Instant;

use crate::request::Target;

/// Watches a set. Every method has a default that does nothing.
pub trait Observer: Send + Sync + 'static {
    /// The gate let a call through or turned it away with this code.
    fn gate(&self, _extension: &str, _target: Target<'_>, _refused: Option<i32>) {}

    /// The time now, for an observer that measures: the core has no clock. It is handed back to [`done`](Self::done).
    fn now(&self) -> Option<Instant> {
        None
    }

    /// A call ended: `None` for a result, else the code of the error; a tool's own error is not one.
    fn done(
        &self,
        _extension: &str,
        _target: Target<'_>,
        _error: Option<i32>,
        _started: Option<Instant>,
    ) {
    }

    /// Something of ours was withheld from a client, in words.
    fn withheld(&self, _what: &str) {}
}
