//! The contract: settings, the call that asks, and what is refused.

use std::collections::BTreeSet;

use mcp_ext_core::{ExtensionError, ToolCx, extension, settings};
use mcp_ext_values::{List, object_type, words};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::purpose::{Name, Purpose, PurposeCode};

/// What each side puts under `capabilities.extensions["io.github.mcp-ext/consent"]`.
#[settings]
pub struct ConsentSettings {
    /// Whether a call must name the purpose it is for.
    #[negotiate(server)]
    pub required: bool,
    /// The purposes this side accepts, or ever names. Absent: any.
    #[negotiate(intersect)]
    pub accepted: Option<BTreeSet<PurposeCode>>,
}

/// What is to be allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, remote = "Self")]
pub struct CheckParams {
    /// Whom the data is about, as the server identifies them.
    pub subject: Name,
    /// What is to be done, e.g. the name of a tool.
    pub action: Name,
    /// Which kinds of data are needed. Left out: every kind.
    #[serde(default)]
    pub data_classes: List<Name, 64>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
}

object_type!(CheckParams);

/// Whether it is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct CheckResult {
    /// `permit` or `deny`.
    pub decision: Answer,
    /// What the decision rests on, in words.
    pub basis: String,
    /// Until when it is permitted, at most (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// What whoever gets the data must do, or must not.
    pub obligations: Vec<String>,
}

object_type!(CheckResult);

words! {
    /// The two answers.
    pub enum Answer: "`permit` or `deny`" {
        /// It is allowed.
        Permit = "permit",
        /// It is not allowed.
        Deny = "deny",
    }
}

/// On what consent a result was given: the member `consent` of results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Permission {
    /// What the permission rests on, in words.
    pub basis: String,
    /// Until when it is permitted, at most (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// What whoever gets the data must do, or must not.
    pub obligations: Vec<String>,
}

object_type!(Permission);

/// Why a call is refused. Nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, ExtensionError)]
pub enum ConsentError {
    /// The call does not say what it is for.
    #[error(
        code = 43301,
        "say what the call is for: `purpose` with `system` and `code`, as an argument or in `_meta` under `io.github.mcp-ext/purpose`; {message}"
    )]
    PurposeRequired {
        /// Which purposes are accepted, in words.
        message: String,
        /// Which purposes are accepted; empty: any.
        accepted: Vec<PurposeCode>,
    },
    /// The purpose is not written as one.
    #[error(
        code = 43302,
        "the purpose {place} is malformed; expected an object with the texts `system` and `code`, and where needed `consentRef` and `onBehalfOf`"
    )]
    PurposeMalformed {
        /// Where it stands.
        place: String,
    },
    /// Argument and `_meta` name two purposes.
    #[error(
        code = 43303,
        "the argument `purpose` and `_meta` name different purposes; send one, or the same twice"
    )]
    PurposeConflict,
    /// The purpose is not among those this server accepts.
    #[error(
        code = 43304,
        "the purpose is not accepted here; {message}, and name another only if it is true"
    )]
    PurposeNotAccepted {
        /// Which purposes are accepted, in words.
        message: String,
        /// Which purposes are accepted.
        accepted: Vec<PurposeCode>,
    },
    /// No consent covers the call.
    #[error(
        code = 43305,
        "no consent on record covers this call; have the person it is about, or who decides for them, give it to this server, and do not repeat the call before"
    )]
    NoConsent,
    /// The person has objected.
    #[error(
        code = 43306,
        "the person this is about has objected to this use; do not repeat the call"
    )]
    Objection,
    /// The consent has run out.
    #[error(
        code = 43307,
        "the consent that covered this call has expired; have it renewed, and do not repeat the call before"
    )]
    Expired,
    /// The server cannot tell whom the call is about.
    #[error(
        code = 43308,
        "it cannot be told whom this call is about, so no consent can be looked up; name one person, or tell whoever runs the server"
    )]
    SubjectUnknown,
    /// The consents cannot be looked up now.
    #[error(
        code = 43309,
        retryable,
        "consents cannot be looked up at the moment, so nothing was done; try again later"
    )]
    Unavailable,
}

/// Lets a call happen only where the person it is about has consented, and says for what purpose data is used.
///
/// Around items that need it, a call is refused unless a consent on record covers it. The purpose is named in the argument
/// `purpose` or in `_meta`, whichever the client can send.
///
/// # Fallback
/// A client that does not declare it is refused all the same, and names its purpose in the argument `purpose`.
#[extension(
    id = "io.github.mcp-ext/consent",
    title = "Consent and purpose of use",
    revision = "2026-11-01",
    settings = ConsentSettings,
    meta(request("purpose": Purpose), result("consent": Permission)),
)]
pub trait Consent {
    /// Asks whether the caller may do something with data about a person. The answer is about this caller alone, and may
    /// have changed when the call is made.
    #[method(name = "check")]
    #[tool(
        name = "consent_check",
        title = "Check consent",
        hints(read_only, open_world = false)
    )]
    async fn check(
        &self,
        cx: &ToolCx<ConsentExtension>,
        params: CheckParams,
    ) -> Result<CheckResult, ConsentError>;
}
