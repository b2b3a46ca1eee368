//! Purposes of use: what a call is for, as its caller claims.

use std::fmt;

use mcp_ext_values::{PlainText, TextError, object_type};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A short text that names something: at most 256 characters.
pub type Name = PlainText<256>;

/// The code of a purpose, and the system it is from.
///
/// ```
/// use mcp_ext_consent::PurposeCode;
///
/// let treatment = PurposeCode::health("TREAT")?;
/// assert_eq!(treatment.to_string(), "http://terminology.hl7.org/CodeSystem/v3-ActReason|TREAT");
/// # Ok::<(), mcp_ext_values::TextError>(())
/// ```
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(remote = "Self")]
pub struct PurposeCode {
    /// The system the code is from, as a URI.
    pub system: Name,
    /// The code.
    pub code: Name,
}

object_type!(PurposeCode);

impl PurposeCode {
    /// Codes of health care: `TREAT`, `HPAYMT`, `HRESCH`, `PATRQT` and others.
    pub const HEALTH: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
    /// Codes of education: `legitimateEducationalInterest`, `directoryInformation`.
    pub const EDUCATION: &str = "urn:io.github.mcp-ext:purpose:education";
    /// Codes of finance: `accountInformation`, `paymentInitiation`.
    pub const FINANCE: &str = "urn:io.github.mcp-ext:purpose:finance";

    /// A code of a system.
    ///
    /// # Errors
    /// When one is too long, or has marks of a fence in it.
    pub fn new(system: &str, code: &str) -> Result<Self, TextError> {
        Ok(Self {
            system: system.parse()?,
            code: code.parse()?,
        })
    }

    /// A code of health care (HL7 v3 ActReason).
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn health(code: &str) -> Result<Self, TextError> {
        Self::new(Self::HEALTH, code)
    }

    /// A code of education.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn education(code: &str) -> Result<Self, TextError> {
        Self::new(Self::EDUCATION, code)
    }

    /// A code of finance.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn finance(code: &str) -> Result<Self, TextError> {
        Self::new(Self::FINANCE, code)
    }
}

impl fmt::Display for PurposeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|{}", self.system, self.code)
    }
}

/// What a call is for. It is a claim of the caller, and no evidence by itself: it can narrow what a consent allows, and
/// never widens it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, remote = "Self")]
pub struct Purpose {
    /// The system the code is from, as a URI, e.g. `http://terminology.hl7.org/CodeSystem/v3-ActReason`.
    pub system: Name,
    /// The code, e.g. `TREAT`.
    pub code: Name,
    /// The consent that is meant, where there is more than one. Only this one is then looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent_ref: Option<Name>,
    /// On whose behalf the caller says to act. It gives no rights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<Name>,
}

object_type!(Purpose);

impl Purpose {
    /// The purpose alone.
    #[must_use]
    pub fn new(code: PurposeCode) -> Self {
        Self {
            system: code.system,
            code: code.code,
            consent_ref: None,
            on_behalf_of: None,
        }
    }

    /// The code with its system.
    #[must_use]
    pub fn code(&self) -> PurposeCode {
        PurposeCode {
            system: self.system.clone(),
            code: self.code.clone(),
        }
    }
}

impl From<PurposeCode> for Purpose {
    fn from(code: PurposeCode) -> Self {
        Self::new(code)
    }
}
