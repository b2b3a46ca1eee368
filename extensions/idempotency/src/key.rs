//! The key that makes a repeated call known.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// Longest key, in characters; each is one byte.
pub const MAX_KEY: usize = 128;

/// The key of one call: 1 to 128 letters, digits and `. _ ~ : -`.
///
/// ```
/// use mcp_ext_idempotency::IdempotencyKey;
///
/// let key: IdempotencyKey = "6f1c2d3e-order-17".parse()?;
/// assert_eq!(key.as_str(), "6f1c2d3e-order-17");
/// assert!("two words".parse::<IdempotencyKey>().is_err());
/// # Ok::<(), mcp_ext_idempotency::InvalidKey>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct IdempotencyKey(String);

/// A text that cannot be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidKey {
    /// Its length in bytes.
    pub bytes: usize,
}

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "idempotencyKey must be 1 to {MAX_KEY} letters, digits and . _ ~ : - , such as a UUID; saw {} bytes",
            self.bytes
        )
    }
}

impl std::error::Error for InvalidKey {}

impl IdempotencyKey {
    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes a text that is one.
    ///
    /// # Errors
    /// When it is empty, too long, or has another character.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidKey> {
        let text = text.into();
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"._~:-".contains(&b);
        if text.is_empty() || text.len() > MAX_KEY || !text.bytes().all(fits) {
            return Err(InvalidKey { bytes: text.len() });
        }
        Ok(Self(text))
    }
}

impl std::str::FromStr for IdempotencyKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        Self::new(text)
    }
}

impl<'de> Deserialize<'de> for IdempotencyKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for IdempotencyKey {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "IdempotencyKey".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_KEY,
            "pattern": "^[A-Za-z0-9._~:-]{1,128}$",
        })
    }
}
