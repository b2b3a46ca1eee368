//! The contract: identifier, settings, and the words on the wire. No I/O.

use mcp_ext_core::{extension, settings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::preview::Preview;

/// The identifier of the extension, and the name of the block.
pub const NAME: &str = "io.github.mcp-ext/confirm";

/// The argument that holds a confirmation token.
pub const ARGUMENT: &str = "confirmationToken";

/// The key of the form in `inputRequests` and `inputResponses`, and the name of its only property.
pub const FORM: &str = "confirm";

/// What a server says of its confirmations.
#[settings]
pub struct ConfirmSettings {
    /// For how long a confirmation works, in seconds.
    #[negotiate(server)]
    pub expires_after_seconds: Option<u64>,
}

/// What a refused call is told: the preview, and the token that confirms it. It stands in the details of the errors
/// `confirmation_required` and `preview_changed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    /// What would happen.
    #[serde(flatten)]
    pub preview: Preview,
    /// Until when the token works.
    pub expires_at: String,
    /// Confirms exactly this, once.
    pub confirmation_token: String,
}

/// The member of a result that says whether the effect was found when it was read back.
pub const MEMBER: &str = "confirmation";

/// How a call was confirmed: in `_meta["io.github.mcp-ext/confirm"]` of its result, for clients that declare the extension;
/// and, where the effect is read back, in the member `confirmation` of the result for all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Confirmed {
    /// Who said yes.
    pub by: ConfirmedBy,
    /// When.
    pub at: String,
    /// Whether the effect was there when it was read back; absent: nobody looked, or it cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
}

/// Who said yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ConfirmedBy {
    /// The user, whom the client asked with a form.
    Elicitation,
    /// Whoever repeated the call with the token.
    Token,
}

/// The extension's contract as a trait, in a module of its own: beside it the block has the same name.
mod wire {
    use super::*;

    /// Calls that must be confirmed show first what they would do.
    ///
    /// # Fallback
    /// The argument `confirmationToken` and the errors are there for every client. Whether the user is asked with a form depends on the
    /// client's core capability `elicitation`, not on this extension; without it there is no `_meta`.
    #[extension(
        id = "io.github.mcp-ext/confirm",
        title = "Confirmations",
        revision = "2026-11-24",
        settings = ConfirmSettings,
    )]
    pub trait Confirm {}
}

#[cfg(feature = "server")]
pub(crate) use wire::Confirm as Contract;
pub use wire::ConfirmExtension;
