//! Searching: the parameters, what a search means, and its SQL.

mod error;
pub(crate) mod params;
pub(crate) mod parse;
pub(crate) mod sql;
pub(crate) mod text;

pub use error::SearchError;

/// Most conditions in a search.
pub const MAX_PARAMS: usize = 32;
/// Most values of one condition.
pub const MAX_VALUES: usize = 64;
/// Longest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 1024;
/// Longest search: the bytes of all names, modifiers and values. Keeps what is echoed, and so the answer, small.
pub const MAX_QUERY_BYTES: usize = 4096;
/// Most names to sort by.
pub const MAX_SORT: usize = 3;
/// Largest page, in bytes of JSON; it ends early, with a cursor, rather than grow beyond.
pub const MAX_RESULT_BYTES: usize = 24 * 1024;
