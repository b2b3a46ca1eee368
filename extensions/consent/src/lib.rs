//! Consent and purpose of use: a call happens only where the person it is about has consented, and says what it is for.
//!
//! The wire types stand alone. Behind the feature `server` are the block, `Consent`, and the trait of whoever knows the
//! consents, `ConsentSource`; behind `store` is a `Register` of them in SQLite.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "client")]
mod client;
mod contract;
mod purpose;

#[cfg(feature = "server")]
mod block;
#[cfg(feature = "store")]
mod register;
#[cfg(feature = "server")]
mod source;

/// The argument that names the purpose, for clients that cannot send `_meta`.
#[cfg(any(feature = "client", feature = "server"))]
const ARGUMENT: &str = "purpose";

#[cfg(feature = "client")]
pub use contract::*;
pub use contract::{
    Answer, CheckParams, CheckResult, ConsentError, ConsentExtension, ConsentSettings, Permission,
};
pub use purpose::{Name, Purpose, PurposeCode};

#[cfg(feature = "server")]
pub use block::{About, Consent, Permitted};
#[cfg(feature = "store")]
pub use register::{Covers, Kind, Record, Register, RegisterError};
#[cfg(feature = "server")]
pub use source::{ConsentSource, Decision, Denial, Permit, Question, Unavailable};
