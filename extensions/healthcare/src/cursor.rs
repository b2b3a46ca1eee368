//! Sealed cursors: where a search goes on, readable and forgeable by nobody but the key's holder.

use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};

use crate::types::PageSize;

/// Longest cursor that is looked at.
pub const MAX_CURSOR_BYTES: usize = 4096;

const NONCE_BYTES: usize = 24;

/// The secret that seals cursors. Servers that share it, and the data, can continue each other's pages.
#[derive(Clone)]
pub struct CursorKey {
    secret: [u8; 32],
    source: KeySource,
}

/// Where a [`CursorKey`] is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySource {
    /// Made at this start: cursors do not outlive the process. Worth telling whoever runs the server.
    Random,
    /// A file.
    File,
    /// An environment variable.
    Environment,
    /// Bytes handed over by the program.
    Bytes,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("the cursor key file cannot be read: {0}")]
    File(#[source] std::io::Error),
    /// The environment variable is absent or not Unicode.
    #[error("the environment variable {0} is not set")]
    Environment(String),
    /// It is there, but is no key.
    #[error(
        "a cursor key is 64 hexadecimal digits (32 random bytes); make one with `openssl rand -hex 32`"
    )]
    Form,
    /// The system has no randomness to give.
    #[error("the system gave no random bytes")]
    Random,
}

impl CursorKey {
    /// A new key.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn random() -> Result<Self, KeyError> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|_| KeyError::Random)?;
        Ok(Self {
            secret,
            source: KeySource::Random,
        })
    }

    /// The key in a file: 64 hexadecimal digits, white space around them ignored.
    ///
    /// # Errors
    /// When the file cannot be read or holds no key.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        let text = std::fs::read_to_string(path).map_err(KeyError::File)?;
        Self::from_hex(&text, KeySource::File)
    }

    /// The key in an environment variable: 64 hexadecimal digits.
    ///
    /// # Errors
    /// When the variable is not set or holds no key.
    pub fn from_env(name: &str) -> Result<Self, KeyError> {
        let text = std::env::var(name).map_err(|_| KeyError::Environment(name.to_owned()))?;
        Self::from_hex(&text, KeySource::Environment)
    }

    /// These 32 bytes, which must be random and secret.
    #[must_use]
    pub fn from_bytes(secret: [u8; 32]) -> Self {
        Self {
            secret,
            source: KeySource::Bytes,
        }
    }

    /// Where the key is from.
    #[must_use]
    pub fn source(&self) -> KeySource {
        self.source
    }

    fn from_hex(text: &str, source: KeySource) -> Result<Self, KeyError> {
        let text = text.trim().as_bytes();
        let mut secret = [0; 32];
        if text.len() != 64 {
            return Err(KeyError::Form);
        }
        for (byte, pair) in secret.iter_mut().zip(text.chunks_exact(2)) {
            let digit = |b: u8| char::from(b).to_digit(16).ok_or(KeyError::Form);
            // Two digits of 16 fit a byte.
            *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
        }
        Ok(Self { secret, source })
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.secret.into())
    }

    /// Seals a position. `bound` is what the cursor is good for; opening needs the same.
    pub(crate) fn seal(&self, position: &Position, bound: &[u8]) -> Result<String, CursorError> {
        let plain = serde_json::to_vec(position).map_err(|_| CursorError::Seal)?;
        let mut sealed = vec![0; NONCE_BYTES];
        getrandom::fill(&mut sealed).map_err(|_| CursorError::Seal)?;
        let nonce = XNonce::try_from(&sealed[..]).map_err(|_| CursorError::Seal)?;
        let payload = Payload {
            msg: &plain,
            aad: bound,
        };
        let text = self
            .cipher()
            .encrypt(&nonce, payload)
            .map_err(|_| CursorError::Seal)?;
        sealed.extend_from_slice(&text);
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    pub(crate) fn open(&self, cursor: &str, bound: &[u8]) -> Result<Position, CursorError> {
        if cursor.len() > MAX_CURSOR_BYTES {
            return Err(CursorError::Malformed);
        }
        let sealed = URL_SAFE_NO_PAD
            .decode(cursor)
            .map_err(|_| CursorError::Malformed)?;
        let (nonce, text) = sealed
            .split_at_checked(NONCE_BYTES)
            .ok_or(CursorError::Malformed)?;
        let nonce = XNonce::try_from(nonce).map_err(|_| CursorError::Malformed)?;
        let payload = Payload {
            msg: text,
            aad: bound,
        };
        let plain = self
            .cipher()
            .decrypt(&nonce, payload)
            .map_err(|_| CursorError::Rejected)?;
        serde_json::from_slice(&plain).map_err(|_| CursorError::Rejected)
    }
}

impl fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CursorKey")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// Why a cursor does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// Not a cursor at all.
    #[error(
        "the cursor is not one of ours; pass `nextCursor` as it was given, or leave it out to start again"
    )]
    Malformed,
    /// Forged, of another query, another caller or another start of the server. Which of them is not told.
    #[error(
        "the cursor was not made for this query; repeat type, params and sort exactly, or leave it out to start again"
    )]
    Rejected,
    /// Another page size than the one the cursor carries.
    #[error("the cursor carries count {}; leave count out, or repeat that number", .expected.get())]
    Count {
        /// The page size of the cursor.
        expected: PageSize,
    },
    /// A cursor could not be made.
    #[error("no cursor could be made")]
    Seal,
}

/// The place after the last match of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Matches per page.
    #[serde(rename = "n")]
    pub(crate) count: PageSize,
    /// The values of the sort keys of the last match; none: it has no such element.
    #[serde(rename = "k")]
    pub(crate) keys: Vec<Option<SortValue>>,
    /// The id of the last match.
    #[serde(rename = "i")]
    pub(crate) id: String,
}

/// The value of a sort key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SortValue {
    #[serde(rename = "t")]
    Text(String),
    #[serde(rename = "n")]
    Number(i64),
}

#[cfg(test)]
mod tests {
    use super::{CursorError, CursorKey, KeyError, KeySource, PageSize, Position, SortValue};

    fn position() -> Position {
        Position {
            count: PageSize::default(),
            keys: vec![
                None,
                Some(SortValue::Text("a".to_owned())),
                Some(SortValue::Number(-1)),
            ],
            id: "x".to_owned(),
        }
    }

    #[test]
    fn a_cursor_opens_only_with_its_key_and_binding() {
        let key = CursorKey::random().unwrap();
        let cursor = key.seal(&position(), b"query").unwrap();
        assert_eq!(key.open(&cursor, b"query"), Ok(position()));
        assert_eq!(key.open(&cursor, b"other"), Err(CursorError::Rejected));
        assert_eq!(
            CursorKey::random().unwrap().open(&cursor, b"query"),
            Err(CursorError::Rejected)
        );
        assert_ne!(cursor, key.seal(&position(), b"query").unwrap());
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let key = CursorKey::from_bytes([7; 32]);
        let cursor = key.seal(&position(), b"query").unwrap();
        for at in 0..cursor.len() {
            let mut bytes = cursor.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(bytes).unwrap();
            assert!(key.open(&forged, b"query").is_err(), "at {at}");
            assert!(key.open(&cursor[..at], b"query").is_err(), "cut at {at}");
        }
        for text in [
            "",
            "!",
            "http://example.org/next",
            "é",
            &"A".repeat(5000),
            &"A".repeat(100),
        ] {
            assert!(key.open(text, b"query").is_err(), "{text}");
        }
    }

    #[test]
    fn keys_come_from_files_and_the_environment() {
        let path = std::env::temp_dir().join(format!("mcp-ext-cursor-key-{}", std::process::id()));
        std::fs::write(&path, format!("{}\n", "0f".repeat(32))).unwrap();
        let key = CursorKey::from_file(&path).unwrap();
        assert_eq!((key.secret, key.source()), ([15; 32], KeySource::File));
        std::fs::write(&path, "0g".repeat(32)).unwrap();
        assert!(matches!(CursorKey::from_file(&path), Err(KeyError::Form)));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(
            CursorKey::from_file(&path),
            Err(KeyError::File(_))
        ));
        assert!(matches!(
            CursorKey::from_env("MCP_EXT_NO_SUCH_VARIABLE"),
            Err(KeyError::Environment(_))
        ));
        assert!(!format!("{key:?}").contains("15"));
    }
}
