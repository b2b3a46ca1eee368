//! Answers with three outcomes: what cannot be checked is not thereby wrong.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::object_type;

/// What came of checking an identifier, a code, an enrolment, a signature.
///
/// An unknown country or a missing code system is `Unverifiable`, never `Refuted`.
///
/// ```
/// use mcp_ext_values::Verdict;
///
/// let verdict = Verdict::unverifiable("no rules are known for this country");
/// assert!(!verdict.is_verified() && !verdict.is_refuted());
/// assert_eq!(
///     serde_json::to_value(&verdict)?,
///     serde_json::json!({ "verdict": "unverifiable", "why": "no rules are known for this country" })
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "verdict", rename_all = "camelCase", remote = "Self")]
pub enum Verdict {
    /// Checked, and right.
    Verified,
    /// Checked, and wrong.
    Refuted,
    /// It could not be checked. It may be right or wrong.
    Unverifiable {
        /// What is missing for a check.
        why: String,
    },
}

object_type!(Verdict);

impl Verdict {
    /// It could not be checked, for this reason.
    pub fn unverifiable(why: impl Into<String>) -> Self {
        Self::Unverifiable { why: why.into() }
    }

    /// Whether it was checked and is right.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        matches!(self, Self::Verified)
    }

    /// Whether it was checked and is wrong.
    #[must_use]
    pub fn is_refuted(&self) -> bool {
        matches!(self, Self::Refuted)
    }

    /// Both must hold: refuted if either is, otherwise unverifiable if either is.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Refuted, _) | (_, Self::Refuted) => Self::Refuted,
            (open @ Self::Unverifiable { .. }, _) | (_, open @ Self::Unverifiable { .. }) => open,
            (Self::Verified, Self::Verified) => Self::Verified,
        }
    }
}
