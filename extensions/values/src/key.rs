//! Secret keys, each typed by what it is for.

use std::fmt;
use std::marker::PhantomData;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use crate::random::{Random, RandomError, SystemRandom};

/// A secret of 32 bytes for one use. A key for another use is another type: it cannot be put in its place.
///
/// ```
/// use mcp_ext_values::CursorKey;
///
/// let key = CursorKey::random()?;
/// assert!(!format!("{key:?}").contains("secret"));
/// # Ok::<(), mcp_ext_values::KeyError>(())
/// ```
pub struct Key<Use> {
    secret: [u8; 32],
    source: KeySource,
    used_for: PhantomData<fn() -> Use>,
}

/// Where a [`Key`] is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySource {
    /// Made at this start: what it sealed does not outlive the process. Worth telling whoever runs the server.
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
    #[error("the key file cannot be read: {0}")]
    File(#[source] std::io::Error),
    /// The environment variable is absent or not Unicode.
    #[error("the environment variable {0} is not set")]
    Environment(String),
    /// It is there, but is no key.
    #[error(
        "a key is 64 hexadecimal digits (32 random bytes); make one with `openssl rand -hex 32`"
    )]
    Form,
    /// There is no randomness to make one from.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// Why bytes cannot be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not a sealed text at all.
    #[error("this is no sealed text of ours; pass it on as it was given")]
    Malformed,
    /// Forged, cut, of another key, or for something else. Which of them is not told.
    #[error("this was not sealed here for this; pass it on as it was given, with the same call")]
    Rejected,
    /// There is no randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// Longest sealed text that is looked at.
const MAX_SEALED: usize = 64 * 1024;
const NONCE_BYTES: usize = 24;

impl<Use> Key<Use> {
    /// A new key, from the system's randomness.
    ///
    /// # Errors
    /// When there is no randomness to be had.
    pub fn random() -> Result<Self, KeyError> {
        Self::random_from(&SystemRandom)
    }

    /// A new key, from that randomness.
    ///
    /// # Errors
    /// When there is no randomness to be had.
    pub fn random_from(random: &dyn Random) -> Result<Self, KeyError> {
        let mut secret = [0; 32];
        random.fill(&mut secret)?;
        Ok(Self::new(secret, KeySource::Random))
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
        Self::new(secret, KeySource::Bytes)
    }

    /// Where the key is from.
    #[must_use]
    pub fn source(&self) -> KeySource {
        self.source
    }

    /// Seals bytes that pass through someone else's hands: nobody without the key can read or change them. `bound` is what
    /// they are good for, beginning with what names the form and its version; opening needs the same. The text is of
    /// `A-Z a-z 0-9 - _`.
    ///
    /// ```
    /// use mcp_ext_values::{Key, SealError, SystemRandom};
    ///
    /// enum Handles {}
    /// let key = Key::<Handles>::random()?;
    /// let text = key.seal_bytes(&SystemRandom, b"handle 1, of ann", b"row 17")?;
    /// assert_eq!(key.open_bytes(&text, b"handle 1, of ann")?, b"row 17");
    /// assert_eq!(key.open_bytes(&text, b"handle 1, of bob"), Err(SealError::Rejected));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`SealError::Random`], and nothing else but for more bytes than a cipher takes.
    pub fn seal_bytes(
        &self,
        random: &dyn Random,
        bound: &[u8],
        plain: &[u8],
    ) -> Result<String, SealError> {
        let mut nonce = [0; NONCE_BYTES];
        random.fill(&mut nonce)?;
        let payload = Payload {
            msg: plain,
            aad: bound,
        };
        let text = self
            .cipher()
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| SealError::Rejected)?;
        Ok(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &text].concat()))
    }

    /// Opens what was sealed with this key for that.
    ///
    /// # Errors
    /// [`SealError::Malformed`] or [`SealError::Rejected`].
    pub fn open_bytes(&self, sealed: &str, bound: &[u8]) -> Result<Vec<u8>, SealError> {
        if sealed.len() > MAX_SEALED {
            return Err(SealError::Malformed);
        }
        let sealed = URL_SAFE_NO_PAD
            .decode(sealed)
            .map_err(|_| SealError::Malformed)?;
        let (nonce, text) = sealed
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or(SealError::Malformed)?;
        let payload = Payload {
            msg: text,
            aad: bound,
        };
        self.cipher()
            .decrypt(&XNonce::from(*nonce), payload)
            .map_err(|_| SealError::Rejected)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.secret().into())
    }

    /// The bytes, for the code that implements the use.
    #[must_use]
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    fn new(secret: [u8; 32], source: KeySource) -> Self {
        Self {
            secret,
            source,
            used_for: PhantomData,
        }
    }

    fn from_hex(text: &str, source: KeySource) -> Result<Self, KeyError> {
        let text = text.trim().as_bytes();
        if text.len() != 64 {
            return Err(KeyError::Form);
        }
        let digit = |b: u8| char::from(b).to_digit(16).ok_or(KeyError::Form);
        let mut secret = [0; 32];
        for (byte, pair) in secret.iter_mut().zip(text.chunks_exact(2)) {
            for &b in pair {
                // Two digits of 16 fit a byte.
                *byte = *byte * 16 + digit(b)? as u8;
            }
        }
        Ok(Self::new(secret, source))
    }
}

impl<Use> Clone for Key<Use> {
    fn clone(&self) -> Self {
        Self::new(self.secret, self.source)
    }
}

impl<Use> fmt::Debug for Key<Use> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyError, KeySource};

    type Key = super::Key<()>;

    #[test]
    fn keys_come_from_files_and_the_environment() {
        let path = std::env::temp_dir().join(format!("mcp-ext-key-{}", std::process::id()));
        std::fs::write(&path, format!("{}\n", "0f".repeat(32))).unwrap();
        let key = Key::from_file(&path).unwrap();
        assert_eq!((*key.secret(), key.source()), ([15; 32], KeySource::File));
        std::fs::write(&path, "0g".repeat(32)).unwrap();
        assert!(matches!(Key::from_file(&path), Err(KeyError::Form)));
        std::fs::write(&path, "0f".repeat(31)).unwrap();
        assert!(matches!(Key::from_file(&path), Err(KeyError::Form)));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(Key::from_file(&path), Err(KeyError::File(_))));
        assert!(matches!(
            Key::from_env("MCP_EXT_NO_SUCH_VARIABLE"),
            Err(KeyError::Environment(_))
        ));
        assert!(!format!("{key:?}").contains("15"));
    }
}
