//! The wire: methods for reading, verifying and describing the log, and what a result tells of its record.

use mcp_ext_core::{Cx, ExtensionError, NoParams, extension};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::manifest::Manifest;
use crate::record::{Outcome, Record};

/// The identifier of the extension, and the name of its block.
pub const NAME: &str = "io.github.mcp-ext/audit";

/// Most records of one page.
pub const MAX_PAGE: u32 = 100;

/// Most records that one call verifies.
pub const MAX_VERIFIED: u32 = 100_000;

/// Which records to read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RecordsParams {
    /// The chain, as `records` names it. Absent: the caller's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub segment: Option<String>,
    /// Go on after the record with this `event_id`: `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub after: Option<String>,
    /// Most records to return, up to 100. Twenty when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_PAGE))]
    pub limit: Option<u32>,
}

/// A page of records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecordsPage {
    /// The chain they are of.
    pub segment: String,
    /// The records, oldest first. An auditor sees all of the chain; others see their own, between which there are gaps.
    pub records: Vec<Record>,
    /// Where the next page begins: `after` of the next call. Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What to verify.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct VerifyParams {
    /// A chain of the log. Absent: the caller's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub segment: Option<String>,
    /// How many records of the chain an earlier call has verified: `checked`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// These records instead of a chain of the log: a run without gaps, oldest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_PAGE))]
    pub records: Option<Vec<serde_json::Map<String, serde_json::Value>>>,
}

/// What verification found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// Whether every record that was checked fits.
    pub ok: bool,
    /// How many records fit, from the first of the chain.
    pub checked: u64,
    /// Whether the end was reached. If not, call again with `from` set to `checked`.
    pub complete: bool,
    /// Where it does not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_broken: Option<Broken>,
}

/// A record that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Broken {
    /// Which, counted from zero.
    pub index: u64,
    /// Why, such as `hash_mismatch`, `chain_gap` or `schema`.
    pub reason: String,
}

/// What a request may say about why it is made. Nothing of it is believed; of it all, only a purpose that the server
/// lists is recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AuditContext {
    /// Why the model calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invocation_reason: Option<String>,
    /// Which model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What the user wants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_intent: Option<String>,
    /// Names the turn; the receipt repeats it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<String>,
    /// A code of the purpose, such as `TREAT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
}

/// Proof that a call was recorded: `_meta["io.github.mcp-ext/audit"]` of its result, for clients that declare audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// The record of the outcome.
    pub event_id: String,
    /// Its digest.
    pub event_hash: String,
    /// The digest of the record before it.
    pub previous_hash: Option<String>,
    /// The chain.
    pub segment: String,
    /// When the outcome was recorded.
    pub occurred_at: String,
    /// What was recorded.
    pub outcome: Outcome,
    /// The form of the record.
    pub canonical_form: String,
    /// `turnId` of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<String>,
}

/// Why audit refuses.
#[derive(Clone, Debug, PartialEq, Eq, ExtensionError)]
pub enum AuditError {
    /// The call was not begun, since its intent could not be recorded.
    #[error(
        code = 44001,
        retryable,
        "the call was not begun, since it could not be recorded first ({cause}); try again later"
    )]
    NotRecorded {
        /// What failed, as a word.
        cause: String,
    },
    /// The outcome could not be recorded; what the call wrote to the store that audit shares was rolled back.
    #[error(
        code = 44002,
        "the outcome could not be recorded ({cause}), so what the call wrote to this store was rolled back; what it did elsewhere was not. Look before you repeat it"
    )]
    OutcomeNotRecorded {
        /// What failed, as a word.
        cause: String,
    },
    /// No such chain that the caller may read.
    #[error(
        code = 44003,
        "no such segment here; leave `segment` out to read your own"
    )]
    UnknownSegment {},
    /// No such record that the caller may read.
    #[error(
        code = 44004,
        "no such record in this segment; pass `next` as it was given, or leave `after` out to start again"
    )]
    UnknownRecord {},
    /// More than one call verifies.
    #[error(
        code = 44005,
        "{count} records, at most {limit} are verified at once; send fewer"
    )]
    TooMany {
        /// How many there were.
        count: u64,
        /// How many may be.
        limit: u64,
    },
    /// The log cannot be read.
    #[error(
        code = 44006,
        retryable,
        "the log could not be read ({cause}); try again later"
    )]
    Unavailable {
        /// What failed, as a word.
        cause: String,
    },
}

/// The extension's contract as a trait, in a module of its own: beside it the block has the same name.
mod wire {
    use super::{
        AuditContext, AuditError, Cx, Manifest, NoParams, Receipt, RecordsPage, RecordsParams,
        Verified, VerifyParams, extension,
    };

    /// Tamper-evident records of calls: what was called, when, by whom under a pseudonym, and what became of it, in a chain
    /// of digests. Records hold digests, never arguments or results.
    ///
    /// # Fallback
    /// Calls of clients that do not declare the extension are recorded as well. They get no receipt, and cannot read the
    /// log.
    #[extension(
        id = "io.github.mcp-ext/audit",
        title = "Audit",
        revision = "2026-11-24",
        meta(request("audit": AuditContext), result("audit": Receipt)),
    )]
    pub trait Audit {
        /// Reads records: an auditor those of a whole chain, anyone else their own.
        #[method]
        async fn records(
            &self,
            cx: &Cx<AuditExtension>,
            params: RecordsParams,
        ) -> Result<RecordsPage, AuditError>;

        /// Verifies a chain of the log, or records that are sent.
        #[method]
        async fn verify(
            &self,
            cx: &Cx<AuditExtension>,
            params: VerifyParams,
        ) -> Result<Verified, AuditError>;

        /// Says how records are kept, and how an export is verified.
        #[method]
        async fn manifest(
            &self,
            cx: &Cx<AuditExtension>,
            params: NoParams,
        ) -> Result<Manifest, AuditError>;
    }
}

pub use wire::Audit as Auditing;
#[cfg(feature = "client")]
pub use wire::AuditClient;
pub use wire::AuditExtension;
