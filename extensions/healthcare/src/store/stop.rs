//! Ends work whose caller is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A signal that the answer is no longer wanted. Work that waits for the database does not begin, and work that runs in
/// it ends soon.
///
/// ```
/// use mcp_ext_healthcare::store::Stop;
///
/// let stop = Stop::default();
/// assert!(!stop.is_stopped());
/// stop.clone().stop();
/// assert!(stop.is_stopped());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Gives the signal.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether the signal was given.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
