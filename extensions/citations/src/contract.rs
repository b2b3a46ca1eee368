//! The contract: an extension without items, so that servers can say that they cite and clients that they read citations.

use mcp_ext_core::extension;

use crate::citation::Citation;

/// Says where each piece of data in a result came from, and when it was retrieved.
///
/// A result with sources has the member `citations`, and a tool's text has a line `Source: ..` for each. A client that
/// declares the extension gets the citations under the same name in `_meta` as well.
///
/// # Fallback
/// A client that does not declare it gets member and text all the same.
#[extension(
    id = "io.github.mcp-ext/citations",
    title = "Citations",
    revision = "2026-11-01",
    meta(result("citations": Vec<Citation>)),
)]
pub trait Citations {}
