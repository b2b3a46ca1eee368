//! Ed25519 signatures over the digests of records and heads.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::digest::{Digest, read_hex, write_hex};

const PREFIX: &str = "ed25519:";

/// Signs records and heads. Keep its secret away from the store: whoever has both can write a new history.
#[derive(Clone)]
pub struct Signer(SigningKey);

/// Who signed. Its text is `ed25519:` and 64 hexadecimal digits.
///
/// ```
/// use mcp_ext_audit::{Digest, PublicKey, Signer};
///
/// let signer = Signer::from_secret(&[7; 32]);
/// let key: PublicKey = signer.public_key().to_string().parse()?;
/// let digest = Digest::of(b"a record");
/// assert!(key.verifies(&digest, &signer.sign(&digest)));
/// assert!(!key.verifies(&Digest::of(b"another"), &signer.sign(&digest)));
/// # Ok::<(), mcp_ext_audit::NotAPublicKey>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// Not a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected ed25519: and 64 lowercase hexadecimal digits that are a public key")]
pub struct NotAPublicKey;

impl Signer {
    /// The signer with this secret: 32 random bytes.
    #[must_use]
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// The key that verifies what it signs.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// The signature over the bytes of a digest: `ed25519:` and 128 hexadecimal digits.
    #[must_use]
    pub fn sign(&self, digest: &Digest) -> String {
        let mut text = PREFIX.to_owned();
        write_hex(&mut text, &self.0.sign(digest.as_bytes()).to_bytes());
        text
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.public_key())
    }
}

impl PublicKey {
    /// Whether `signature` is this key's over that digest. Signatures with more than one valid form are refused.
    #[must_use]
    pub fn verifies(&self, digest: &Digest, signature: &str) -> bool {
        signature
            .strip_prefix(PREFIX)
            .and_then(read_hex)
            .is_some_and(|bytes| {
                let signature = Signature::from_bytes(&bytes);
                self.0.verify_strict(digest.as_bytes(), &signature).is_ok()
            })
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = PREFIX.to_owned();
        write_hex(&mut text, self.0.as_bytes());
        f.write_str(&text)
    }
}

impl FromStr for PublicKey {
    type Err = NotAPublicKey;

    fn from_str(text: &str) -> Result<Self, NotAPublicKey> {
        text.strip_prefix(PREFIX)
            .and_then(read_hex)
            .and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok())
            .map(Self)
            .ok_or(NotAPublicKey)
    }
}
