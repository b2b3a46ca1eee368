//! Bounds on what a peer can cause.

use std::time::Duration;

/// The bounds of one server, with defaults that fit interactive use.
///
/// ```
/// let limits = mcp_ext_core::Limits { max_concurrent: 8, ..Default::default() };
/// assert_eq!(limits.max_depth, 64);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Deepest nesting of params, in levels. More is -32602.
    pub max_depth: usize,
    /// Largest params, in bytes of compact JSON. More is -32602.
    pub max_params_bytes: usize,
    /// Most extensions a client may declare on one request. More is -32602.
    pub max_declared: usize,
    /// Most negotiated settings kept per extension.
    pub negotiation_cache: usize,
    /// Largest declared settings that are kept, in bytes; larger ones are combined anew each time.
    pub max_cached_settings_bytes: usize,
    /// Most calls at once, over the whole set. More are turned away with `data.kind` `busy`.
    pub max_concurrent: usize,
    /// Longest run of one call, from when it first has to wait; [`Route::answer`](crate::Route::answer) stops it then,
    /// with `data.kind` `timeout`.
    pub max_duration: Duration,
    /// Most `subscriptions/listen` streams open at once, over the whole set. More are turned away with `data.kind` `busy`.
    pub max_listen_streams: usize,
    /// Largest filters of extensions in one listen request, in bytes of compact JSON. More is -32602.
    pub max_filter_bytes: usize,
    /// Most notifications that wait on one listen stream. When one more comes, the stream ends with its result.
    pub max_listen_queue: usize,
    /// Most bytes that wait on one listen stream; a larger notification may wait alone.
    pub max_listen_queue_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_depth: 64,
            max_params_bytes: 1024 * 1024,
            max_declared: 256,
            negotiation_cache: 64,
            max_cached_settings_bytes: 16 * 1024,
            max_concurrent: 256,
            max_duration: Duration::from_secs(60),
            max_listen_streams: 4096,
            max_filter_bytes: 8 * 1024,
            max_listen_queue: 64,
            max_listen_queue_bytes: 64 * 1024,
        }
    }
}
