//! The log in SQLite, and the block that writes it.

mod audit;
mod block;
mod facts;
mod log;
mod provider;
mod schema;

pub use audit::{Audit, Comparison, Erase, Erased, ExportError, Segment, Who};
pub use facts::touch;
