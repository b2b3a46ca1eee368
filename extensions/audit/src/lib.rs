//! Tamper-evident audit records: canonical JSON in a SHA-256 chain, verified offline.
//!
//! The records follow the tamper-evident audit record contract (form `audit-record-contract/1`, first proposed as
//! SEP-3004). [`verify()`] checks an export with nothing but this crate. The block `Audit` (feature `server`) writes an
//! intent before each call and an outcome after it, holds digests and pseudonyms instead of data, and keeps them in SQLite.

mod contract;
mod digest;
mod head;
mod json;
mod manifest;
mod record;
mod registry;
mod scan;
#[cfg(feature = "ed25519")]
mod sign;
mod text;
mod time;
mod verify;

#[cfg(feature = "server")]
mod server;

pub use contract::*;
pub use digest::{Digest, NotADigest};
pub use head::{Head, HeadFault};
pub use manifest::{Manifest, ManifestFault};
pub use record::{CANONICAL_FORM, Data, Event, Outcome, Record, RecordFault, Scalar};
pub use registry::{CALLER_GOVERNANCE, RUNTIME_SECURITY};
#[cfg(feature = "ed25519")]
pub use sign::{NotAPublicKey, PublicKey, Signer};
pub use text::{MAX_UNITS, Text, TextFault};
pub use verify::{Break, MAX_LINE_BYTES, Reason, Verifier, Whole, verify};

#[cfg(feature = "server")]
pub use server::*;

/// Names the block, for `needs(Audit)`. With feature `server` it is the block itself.
#[cfg(not(feature = "server"))]
#[derive(Clone, Copy, Debug)]
pub enum Audit {}

impl mcp_ext_core::BlockName for Audit {
    const NAME: &'static str = NAME;
}
