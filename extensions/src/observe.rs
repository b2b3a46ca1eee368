//! Gates and outcomes as `tracing` events.

use std::time::Instant;

use mcp_ext_core::Observer;
use mcp_ext_core::request::Target;

/// Writes what a set decides to [`tracing`], under the target `mcp_ext`: who was turned away with which code, how calls
/// ended, what was withheld. Never params, results or `_meta`.
///
/// ```
/// use mcp_ext::{ExtensionSet, TracingObserver};
///
/// let set = ExtensionSet::builder().observer(TracingObserver).build().unwrap();
/// # drop(set);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingObserver;

impl Observer for TracingObserver {
    fn gate(&self, extension: &str, target: Target<'_>, refused: Option<i32>) {
        match refused {
            None => {
                tracing::debug!(target: "mcp_ext", extension, item = target.name(), "let through")
            }
            Some(code) => {
                tracing::info!(target: "mcp_ext", extension, item = target.name(), code, "turned away")
            }
        }
    }

    fn now(&self) -> Option<Instant> {
        Some(Instant::now())
    }

    fn done(
        &self,
        extension: &str,
        target: Target<'_>,
        error: Option<i32>,
        started: Option<Instant>,
    ) {
        let micros = started.map_or(0, |s| {
            u64::try_from(s.elapsed().as_micros()).unwrap_or(u64::MAX)
        });
        match error {
            None => {
                tracing::debug!(target: "mcp_ext", extension, item = target.name(), micros, "answered")
            }
            Some(code) => {
                tracing::info!(target: "mcp_ext", extension, item = target.name(), code, micros, "failed")
            }
        }
    }

    fn withheld(&self, what: &str) {
        tracing::warn!(target: "mcp_ext", what, "withheld");
    }
}
