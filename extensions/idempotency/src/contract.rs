//! The contract: identifier, settings, and `reconcile`. No I/O.

use mcp_ext_core::{Cx, extension, settings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::IdempotencyError;
use crate::key::IdempotencyKey;

/// The identifier of the extension, and the name of the block.
pub const NAME: &str = "io.github.mcp-ext/idempotency";

/// The argument that holds the key.
pub const ARGUMENT: &str = "idempotencyKey";

/// The member of a result that says that it was given before.
pub const MEMBER: &str = "idempotency";

/// What a server says of its keys.
#[settings]
pub struct IdempotencySettings {
    /// For how long the answer to a key is kept, in seconds.
    #[negotiate(server)]
    pub retention_seconds: Option<u64>,
}

/// What says that an answer was given before; in `_meta["io.github.mcp-ext/idempotency"]` for clients that declare the
/// extension, and in the member `idempotency` of the result for all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Replay {
    /// Always true: nothing was done for this request.
    pub replayed: bool,
    /// When the first call with this key began.
    pub first_at: String,
}

/// Which calls to look up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReconcileParams {
    /// The key they were made with.
    pub idempotency_key: IdempotencyKey,
    /// The tool or method that was called. Absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
}

/// What is known of the caller's own calls with a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reconciled {
    /// The calls, oldest first. None: no call with this key has begun, or it was certain to have done nothing.
    pub calls: Vec<KnownCall>,
}

/// One call, without its arguments and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KnownCall {
    /// The names under which it can be called: the tool, the method, or both.
    pub operations: Vec<String>,
    /// How it stands.
    pub state: CallState,
    /// When it began.
    pub first_at: String,
    /// When it ended, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// Until when its answer is given again, if it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_until: Option<String>,
}

/// How a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CallState {
    /// It is running.
    InProgress,
    /// It has an outcome, which may be an error.
    Completed,
    /// It began, and nobody knows whether it took effect.
    Unknown,
}

/// The extension's contract as a trait, in a module of its own: beside it the block has the same name.
mod wire {
    use super::*;

    /// Repeats of a call with the same `idempotencyKey` take effect once and get the same answer.
    ///
    /// # Fallback
    /// The argument and the member `idempotency` of a repeated answer are there for every client; without the extension there is no
    /// `_meta` and no `reconcile`.
    #[extension(
        id = "io.github.mcp-ext/idempotency",
        title = "Idempotency keys",
        revision = "2026-11-24",
        settings = IdempotencySettings,
    )]
    pub trait Idempotency {
        /// Says what is known of the caller's own calls with a key: after a lost answer, whether the call has an outcome.
        #[method]
        async fn reconcile(
            &self,
            cx: &Cx<IdempotencyExtension>,
            params: ReconcileParams,
        ) -> Result<Reconciled, IdempotencyError>;
    }
}

pub use wire::Idempotency as Reconciling;
#[cfg(feature = "client")]
pub use wire::IdempotencyClient;
pub use wire::IdempotencyExtension;
