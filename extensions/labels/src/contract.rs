//! The contract: an extension without items, so that servers can say that they label and clients that they read labels.

use mcp_ext_core::extension;

use crate::label::Label;

/// Labels results with how sensitive they are, which rules govern them, and who may have written into them.
///
/// A labelled result has the member `labels`, and a tool's text says the same in a line of its own. A client that
/// declares the extension gets the label under the same name in `_meta` as well.
///
/// # Fallback
/// A client that does not declare it gets member and text all the same.
#[extension(
    id = "io.github.mcp-ext/labels",
    title = "Labels",
    revision = "2026-11-01",
    meta(result("labels": Label)),
)]
pub trait Labels {}
