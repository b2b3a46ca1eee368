//! Labels on results: how sensitive data is, which rules govern it, and who may have written into it.
//!
//! [`Label`] is a join semilattice: two labels become one that has the marks of both, and nothing takes a mark off. The
//! block `Labels` (feature `server`) puts the label of each result into a typed member, into the text of a tool, and into
//! `_meta` for clients that declared the extension.
//!
//! A label is a statement about data, never a permission.

mod contract;
mod label;
mod marks;

#[cfg(feature = "server")]
mod block;
#[cfg(feature = "server")]
mod member;

#[cfg(feature = "server")]
pub use block::{LabelSource, Labels, current, member_of, raise};
pub use contract::LabelsExtension;
pub use label::{Label, MAX_MARKS};
pub use marks::{CONFIDENTIALITY, Code, Line, MarkError, Regulation, Sensitivity};
pub use mcp_ext_values::Source;
#[cfg(feature = "server")]
pub use member::Member;
