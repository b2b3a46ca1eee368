//! Citations: where each piece of data in a result came from, and when it was retrieved.
//!
//! A [`Citation`] is a subset of a W3C Web Annotation with a schema.org work. The block `Citations` (feature `server`)
//! puts those of a result into a typed member, into the text of a tool as lines `Source: ..`, and into `_meta` for
//! clients that declared the extension.

mod citation;
mod contract;

#[cfg(feature = "server")]
mod block;

#[cfg(feature = "server")]
pub use block::{CitationSource, Citations, MAX_CITATIONS, cite, member_of};
pub use citation::{Citation, Cite, Selector, SelectorKind, Sha256, Target, Work};
pub use contract::CitationsExtension;
pub use mcp_ext_values::PartialDate;
