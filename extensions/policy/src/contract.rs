//! The contract: an extension without items, the errors of the block, and what a result says about its policy.

use mcp_ext_core::{ExtensionError, extension};
use mcp_ext_labels::Line;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decision::{Effect, PolicyId};

/// Decides whether a call may happen, and what of its result may be given.
///
/// A result that a policy has shortened, or attached obligations to, has the member `policy`, and a tool's text says so
/// in a line of its own. A client that declares the extension gets the same under that name in `_meta`.
///
/// # Fallback
/// A client that does not declare it gets member and text all the same, and is decided on all the same.
#[extension(
    id = "io.github.mcp-ext/policy",
    title = "Policy",
    revision = "2026-11-01",
    meta(result("policy": Applied)),
)]
pub trait Policy {}

/// What a policy did to a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// What was decided. `redact`: parts of the result were removed.
    pub effect: Effect,
    /// The policy that decided.
    pub policy_id: PolicyId,
    /// Why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub reasons: Vec<Line<256>>,
    /// What whoever uses the result has to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub obligations: Vec<Line<256>>,
}

impl Applied {
    /// The same in one line of text.
    #[must_use]
    pub fn note(&self) -> String {
        let mut note = match self.effect {
            Effect::Redact => format!("Policy {} removed parts of this result", self.policy_id),
            _ => format!("Policy {} applies to this result", self.policy_id),
        };
        let mut list = |what: &str, lines: &[Line<256>]| {
            if !lines.is_empty() {
                let lines: Vec<&str> = lines.iter().map(Line::as_str).collect();
                note.push_str(what);
                note.push_str(&lines.join("; "));
            }
        };
        list(": ", &self.reasons);
        list(". To do: ", &self.obligations);
        Line::<1000>::lossy(&note).to_string()
    }
}

/// Why a call was not let through, or its result not given.
#[derive(Clone, Debug, PartialEq, Eq, ExtensionError)]
pub enum PolicyError {
    /// A policy denies the call. Nothing was done.
    #[error(
        code = 43401,
        "policy {policy_id} does not allow this call ({reasons}); ask whoever runs the server, or ask for something else"
    )]
    Denied {
        /// The policy.
        policy_id: String,
        /// Its reasons.
        reasons: String,
    },
    /// A policy denies the result. The call was carried out, and what it did stays done.
    #[error(
        code = 43402,
        "the call was carried out, but policy {policy_id} does not allow its result to be given ({reasons}); do not repeat a call that changes anything"
    )]
    Withheld {
        /// The policy.
        policy_id: String,
        /// Its reasons.
        reasons: String,
    },
    /// A person must confirm the call, and this client has no way to ask one. Nothing was done.
    #[error(
        code = 43403,
        "policy {policy_id} wants a person to confirm this call ({reasons}); call the tool from a client that declares form elicitation"
    )]
    ConfirmationNeeded {
        /// The policy.
        policy_id: String,
        /// Its reasons.
        reasons: String,
    },
    /// The person who was asked did not confirm. Nothing was done.
    #[error(code = 43404, "the call was not confirmed; do not repeat it unasked")]
    NotConfirmed {
        /// The policy that wanted it confirmed.
        policy_id: String,
    },
    /// No decision could be had, so nothing is allowed. Nothing was done.
    #[error(
        code = 43405,
        retryable,
        "no policy decision could be had ({why}); nothing was done, try again later"
    )]
    Undecided {
        /// `timed_out`, `failed`, `panicked` or `nonsense`.
        why: String,
    },
    /// No decision on the result could be had, so it is not given. The call was carried out.
    #[error(
        code = 43406,
        "the call was carried out, but no policy decision on its result could be had ({why}), so it is not given; do not repeat a call that changes anything"
    )]
    ResultUndecided {
        /// `timed_out`, `failed`, `panicked` or `nonsense`.
        why: String,
    },
}
