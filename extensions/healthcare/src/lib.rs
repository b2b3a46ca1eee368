//! FHIR R4 search and read: the wire types, and behind feature `server` the store that answers them.
//!
//! HL7 and FHIR are registered trademarks of Health Level Seven International; this project is not affiliated with it.

mod fhir;
pub mod types;

#[cfg(feature = "server")]
mod blocks;
#[cfg(feature = "server")]
pub mod cursor;
#[cfg(feature = "server")]
mod decimal;
#[cfg(feature = "server")]
mod index;
#[cfg(feature = "server")]
mod json;
#[cfg(feature = "server")]
pub mod scope;
#[cfg(feature = "server")]
pub mod search;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "server")]
pub mod store;
#[cfg(feature = "server")]
mod title;

#[cfg(feature = "server")]
pub use cursor::CursorKey;
/// Dates as ranges of time, as FHIR compares them.
#[cfg(feature = "server")]
pub use mcp_ext_values::date as dates;
#[cfg(feature = "server")]
pub use scope::AccessScope;
#[cfg(feature = "server")]
pub use server::{FhirServer, NeedsScope};
#[cfg(feature = "server")]
pub use store::FhirStore;

pub use fhir::*;
