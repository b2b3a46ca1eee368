//! What a label is made of. Each type checks what it is given, and its schema says the same.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// What kind of data it is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Sensitivity {
    /// The user's own: mail, files, calendar.
    User,
    /// Says who a person is, or is about one.
    Pii,
    /// Accounts, balances, payments.
    Financial,
    /// Passwords, keys, tokens.
    Credentials,
}

impl Sensitivity {
    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Pii => "pii",
            Self::Financial => "financial",
            Self::Credentials => "credentials",
        }
    }
}

/// A law or standard that governs the data, by its usual short name: `HIPAA`, `PCI-DSS`.
///
/// ```
/// use mcp_ext_labels::Regulation;
///
/// assert_eq!(Regulation::new("HIPAA")?, Regulation::HIPAA);
/// assert!(Regulation::new("hipaa").is_err());
/// # Ok::<(), mcp_ext_labels::MarkError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Regulation(Cow<'static, str>);

impl Regulation {
    /// Health records in the United States.
    pub const HIPAA: Self = Self(Cow::Borrowed("HIPAA"));
    /// Customers of financial institutions in the United States.
    pub const GLBA: Self = Self(Cow::Borrowed("GLBA"));
    /// Payment cards.
    pub const PCI_DSS: Self = Self(Cow::Borrowed("PCI-DSS"));
    /// Education records in the United States.
    pub const FERPA: Self = Self(Cow::Borrowed("FERPA"));
    /// Children online in the United States.
    pub const COPPA: Self = Self(Cow::Borrowed("COPPA"));
    /// Financial reporting in the United States.
    pub const SOX: Self = Self(Cow::Borrowed("SOX"));
    /// Personal data in the European Union.
    pub const GDPR: Self = Self(Cow::Borrowed("GDPR"));

    const PATTERN: &'static str = "^[A-Z0-9][A-Z0-9-]{0,31}$";

    /// A regulation by name.
    ///
    /// # Errors
    /// When the name is not 1 to 32 of `A-Z 0-9 -`, the first no hyphen.
    pub fn new(name: &str) -> Result<Self, MarkError> {
        let fits = (1..=32).contains(&name.len())
            && !name.starts_with('-')
            && name
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-');
        if !fits {
            return Err(MarkError::Regulation {
                length: name.chars().count(),
            });
        }
        Ok(Self(Cow::Owned(name.to_owned())))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Regulation {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = Cow::<'de, str>::deserialize(from)?;
        Self::new(&name).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Regulation {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Regulation".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": Self::PATTERN })
    }
}

/// Text of one line: 1 to `MAX` characters, none of which controls or breaks a line.
///
/// ```
/// use mcp_ext_labels::Line;
///
/// assert!(Line::<8>::new("one line").is_ok());
/// assert!(Line::<8>::new("two\nlines").is_err());
/// assert_eq!(Line::<8>::lossy("two\nlines, cut").as_str(), "two lin…");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Line<const MAX: usize>(Box<str>);

/// Whether a character controls, breaks the line, or turns the direction of what follows.
fn breaks(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

impl<const MAX: usize> Line<MAX> {
    /// The text, if it is such a line.
    ///
    /// # Errors
    /// [`MarkError::Line`] otherwise.
    pub fn new(text: &str) -> Result<Self, MarkError> {
        // Of text that is far too long no more is looked at than shows it.
        let length = text.chars().take(MAX + 1).count();
        if !(1..=MAX).contains(&length) || text.chars().any(breaks) {
            return Err(MarkError::Line { max: MAX, length });
        }
        Ok(Self(text.into()))
    }

    /// The text made to fit: what may not stand in a line becomes a space, what is too long is cut.
    #[must_use]
    pub fn lossy(text: &str) -> Self {
        let mut out: String = text
            .chars()
            .take(MAX)
            .map(|c| if breaks(c) { ' ' } else { c })
            .collect();
        if text.chars().nth(MAX).is_some() {
            out.pop();
            out.push('…');
        }
        if out.is_empty() {
            out.push('?');
        }
        Self(out.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> std::fmt::Display for Line<MAX> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Line<MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

impl<const MAX: usize> JsonSchema for Line<MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Line{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": MAX,
            "pattern": r"^[^\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]+$",
        })
    }
}

/// A code of a coding system.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Code {
    /// The coding system, usually a URI.
    pub system: Line<256>,
    /// The code within it.
    pub code: Line<64>,
    /// What the code means, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<Line<128>>,
}

impl Code {
    /// A code without a display text.
    ///
    /// # Errors
    /// [`MarkError::Line`] when system or code is empty, too long, or not one line.
    pub fn new(system: &str, code: &str) -> Result<Self, MarkError> {
        Ok(Self {
            system: Line::new(system)?,
            code: Line::new(code)?,
            display: None,
        })
    }
}

/// The confidentiality codes of HL7 v3.
pub const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";

/// The codes of [`CONFIDENTIALITY`], lowest first.
const CONFIDENTIALITY_ORDER: [&str; 6] = ["U", "L", "M", "N", "R", "V"];

/// How high a code of [`CONFIDENTIALITY`] stands. One that is not known stands above all, since it may.
pub(crate) fn confidentiality_rank(code: &str) -> usize {
    CONFIDENTIALITY_ORDER
        .iter()
        .position(|known| *known == code)
        .unwrap_or(CONFIDENTIALITY_ORDER.len())
}

/// Why something cannot be part of a label. It does not repeat what was seen: that may be about a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarkError {
    /// No name of a regulation.
    #[error(
        "regulated: expected 1 to 32 characters of A-Z 0-9 -, such as HIPAA; seen: {length} characters"
    )]
    Regulation {
        /// Characters in what was given.
        length: usize,
    },
    /// Not one line, or too long.
    #[error(
        "expected one line of 1 to {max} characters without control characters; seen: {length} of them, or a character that is not allowed"
    )]
    Line {
        /// Most characters.
        max: usize,
        /// Characters in what was given, counted to one above the most.
        length: usize,
    },
    /// More of something than a label lists.
    #[error("{member}: expected at most {max} entries; seen: {length}")]
    TooMany {
        /// The member.
        member: &'static str,
        /// The most.
        max: usize,
        /// Entries in what was given.
        length: usize,
    },
}
