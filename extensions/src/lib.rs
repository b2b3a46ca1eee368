//! Typed, negotiated extensions for the Model Context Protocol: declare once, plug into any server.
//!
//! An extension is an annotated trait. From it come the advertisement, the negotiation, typed and gated handlers, a
//! typed client, tools, and JSON Schemas.
//!
//! | feature | what it brings |
//! |---|---|
//! | `client` | a typed client for each extension |
//! | `rmcp` | [`rmcp`]: extensions in front of any rmcp server, typed clients over any rmcp client |
//! | `wire` | [`client::StdioCaller`], [`client::HttpCaller`]: typed clients over stdio and HTTP, with no SDK |
//! | `tracing` | [`TracingObserver`]: gates and outcomes as `tracing` events |
//! | `labels` | [`labels`]: how sensitive a result is, which rules govern it; joined, never lowered |
//! | `citations` | [`citations`]: where the data of a result came from |
//! | `policy` | [`policy`]: decisions before a handler and on its result |
//! | `idempotency` | [`idempotency`]: a repeated call takes effect once |
//! | `store` | [`store`]: one durable SQLite file for blocks and handlers |
//! | `values` | [`values`]: exact decimals and money, partial dates, pages, untrusted text, pseudonyms |
//! | `confirm` | [`confirm`]: preview first, then act, with a confirmation that works once |
//! | `consent` | [`consent`]: a call happens only where the person it is about has consented |
//! | `audit` | [`audit`]: a chain of records of each call, which shows that it was not changed |
//! | `healthcare` | [`healthcare`]: FHIR R4 search and read, with an embedded store and synthetic data |
//!
//! No feature enables an extension: that takes a call of
//! [`ExtensionSetBuilder::enable`](mcp_ext_core::ExtensionSetBuilder::enable).
//!
//! ```
//! use mcp_ext::prelude::*;
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! pub struct Greeting {
//!     text: String,
//! }
//!
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! pub struct Name {
//!     name: String,
//! }
//!
//! /// Greets people.
//! #[extension(id = "com.example/greeting", revision = "2026-11-01")]
//! pub trait Greeter {
//!     /// Greets one person.
//!     #[method]
//!     #[tool(hints(read_only))]
//!     async fn greet(&self, cx: &ToolCx<GreeterExtension>, params: Name) -> Result<Greeting, Infallible>;
//! }
//!
//! struct Polite;
//!
//! #[handlers]
//! impl Greeter for Polite {
//!     async fn greet(&self, _: &ToolCx<GreeterExtension>, params: Name) -> Result<Greeting, Infallible> {
//!         Ok(Greeting { text: format!("Good day, {}.", params.name) })
//!     }
//! }
//!
//! let extensions = ExtensionSet::builder().enable(GreeterExtension::provide(Polite)).build()?;
//! assert_eq!(extensions.contracts().count(), 1);
//! # Ok::<(), BuildError>(())
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc(hidden)]
pub use mcp_ext_core::__private_0_1_0;
#[doc(inline)]
pub use mcp_ext_core::*;
pub use mcp_ext_macros::{
    __FacadeExtensionError as ExtensionError, __facade_extension as extension,
    __facade_handlers as handlers, __facade_settings as settings,
};

#[cfg(feature = "tracing")]
mod observe;
#[cfg(feature = "tracing")]
pub use observe::TracingObserver;

/// The client's side: negotiation, typed calls, and what they are sent through. See [`mcp_ext_core::client`].
#[cfg(feature = "client")]
pub mod client {
    #[doc(inline)]
    pub use mcp_ext_core::client::*;
    #[cfg(feature = "wire")]
    #[doc(inline)]
    pub use mcp_ext_wire::{ClientOptions, ConnectError, HttpCaller, StdioCaller};
}

/// Labels on results. See [`mcp_ext_labels`].
#[cfg(feature = "labels")]
pub mod labels {
    #[doc(inline)]
    pub use mcp_ext_labels::*;
}

/// Citations on results. See [`mcp_ext_citations`].
#[cfg(feature = "citations")]
pub mod citations {
    #[doc(inline)]
    pub use mcp_ext_citations::*;
}

/// Policy decisions around handlers. See [`mcp_ext_policy`].
#[cfg(feature = "policy")]
pub mod policy {
    #[doc(inline)]
    pub use mcp_ext_policy::*;
}

/// A repeated call takes effect once. See [`mcp_ext_idempotency`].
#[cfg(feature = "idempotency")]
pub mod idempotency {
    #[doc(inline)]
    pub use mcp_ext_idempotency::*;
}

/// One durable SQLite file for blocks and handlers. See [`mcp_ext_store`].
#[cfg(feature = "store")]
pub mod store {
    #[doc(inline)]
    pub use mcp_ext_store::*;
}

/// Exact decimals and money, partial dates, pages, untrusted text, pseudonyms. See [`mcp_ext_values`].
#[cfg(feature = "values")]
pub mod values {
    #[doc(inline)]
    pub use mcp_ext_values::*;
}

/// Preview first, then act, with a confirmation that works once. See [`mcp_ext_confirm`].
#[cfg(feature = "confirm")]
pub mod confirm {
    #[doc(inline)]
    pub use mcp_ext_confirm::*;
}

/// A call happens only where the person it is about has consented. See [`mcp_ext_consent`].
#[cfg(feature = "consent")]
pub mod consent {
    #[doc(inline)]
    pub use mcp_ext_consent::*;
}

/// A chain of records of each call, which shows that it was not changed. See [`mcp_ext_audit`].
#[cfg(feature = "audit")]
pub mod audit {
    #[doc(inline)]
    pub use mcp_ext_audit::*;
}

/// FHIR R4 search and read as an extension. See [`mcp_ext_healthcare`].
#[cfg(feature = "healthcare")]
pub mod healthcare {
    #[doc(inline)]
    pub use mcp_ext_healthcare::*;
}

/// Extensions in front of any rmcp server. See [`mcp_ext_rmcp`].
#[cfg(feature = "rmcp")]
pub mod rmcp {
    #[doc(inline)]
    pub use mcp_ext_rmcp::*;
}

/// What writing, providing and calling an extension needs.
pub mod prelude {
    pub use std::collections::{BTreeMap, BTreeSet};
    pub use std::convert::Infallible;

    #[cfg(feature = "client")]
    pub use mcp_ext_core::client::{CallError, Caller, Negotiation};
    pub use mcp_ext_core::{
        BuildError, Contract, Cx, Extension, ExtensionSet, ListenFilter, Listener, NoParams,
        NoSettings, ToolCx,
    };
    #[cfg(feature = "rmcp")]
    pub use mcp_ext_rmcp::ServerExtensions;

    // The trait and the derive of this name.
    pub use crate::{ExtensionError, extension, handlers, settings};
}
