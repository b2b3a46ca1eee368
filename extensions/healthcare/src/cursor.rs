//! Cursors of a search: a place after the last match of a page, sealed.

use serde::{Deserialize, Serialize};

pub use mcp_ext_values::cursor::{CursorError, CursorKey, MAX_CURSOR_BYTES};
pub use mcp_ext_values::key::{KeyError, KeySource};

/// The place after the last match of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// The values of the sort keys of the last match; none: it has no such element.
    #[serde(rename = "k")]
    pub(crate) keys: Vec<Option<SortValue>>,
    /// The id of the last match.
    #[serde(rename = "i")]
    pub(crate) id: String,
}

/// The value of a sort key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SortValue {
    #[serde(rename = "t")]
    Text(String),
    #[serde(rename = "n")]
    Number(i64),
}
