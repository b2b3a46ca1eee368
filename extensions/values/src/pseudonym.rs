//! Keyed pseudonyms: the same person under one name within one purpose, and under no name that can be linked elsewhere.

use std::fmt;
use std::str::FromStr;

use schemars::json_schema;

use crate::text_type;

const PREFIX: &str = "psn1-";
const HEX_DIGITS: usize = 64;

/// A pseudonym: what stands for a person where the person is not to be known.
///
/// A server gets one from a `PseudonymKey` (feature `server`), never from an identifier alone: without the key, whoever has a list of identifiers could
/// compute the pseudonym of each. A field of this type cannot hold a raw identifier; neither can it be read from one.
///
/// ```
/// use mcp_ext_values::Pseudonym;
///
/// assert!("patient-123".parse::<Pseudonym>().is_err());
/// assert!(serde_json::from_str::<Pseudonym>(r#""ann@example.org""#).is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pseudonym(String);

/// Not a pseudonym.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a pseudonym as this server gave it ({PREFIX} and {HEX_DIGITS} hexadecimal digits), never an identifier of a person"
)]
pub struct NotAPseudonym;

impl Pseudonym {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Pseudonym {
    type Err = NotAPseudonym;

    fn from_str(text: &str) -> Result<Self, NotAPseudonym> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        text.strip_prefix(PREFIX)
            .filter(|digits| digits.len() == HEX_DIGITS && digits.bytes().all(hex))
            .map(|_| Self(text.to_owned()))
            .ok_or(NotAPseudonym)
    }
}

impl fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_type!(
    Pseudonym,
    "a pseudonym as this server gave it, never an identifier of a person",
    json_schema!({ "type": "string", "pattern": "^psn1-[0-9a-f]{64}$" })
);

#[cfg(feature = "server")]
pub use keyed::{PseudonymKey, Pseudonyms, Subject};

#[cfg(feature = "server")]
mod keyed {
    use hmac::{Hmac, KeyInit, Mac};
    use sha2::Sha256;

    use super::{PREFIX, Pseudonym};
    use crate::key::Key;
    use crate::parts::Parts;

    /// What a [`PseudonymKey`] is for.
    #[derive(Debug, Clone, Copy)]
    pub enum Pseudonyms {}

    /// The secret that pseudonyms are made with. Whoever has it can tell whom a pseudonym stands for; losing it loses them.
    pub type PseudonymKey = Key<Pseudonyms>;

    /// Who is to have a pseudonym, and for what. Another tenant or purpose gives another pseudonym.
    #[derive(Clone, Copy)]
    pub struct Subject<'a> {
        /// The tenant whose subject it is.
        pub tenant: Option<&'a str>,
        /// The purpose, such as the code of a study.
        pub purpose: &'a str,
        /// The identifier of the subject.
        pub id: &'a str,
    }

    impl Key<Pseudonyms> {
        /// The pseudonym of a subject: HMAC-SHA-256 over tenant, purpose and identifier.
        ///
        /// ```
        /// use mcp_ext_values::{PseudonymKey, Subject};
        ///
        /// let key = PseudonymKey::from_bytes([7; 32]);
        /// let subject = Subject { tenant: Some("school-7"), purpose: "study-1", id: "pupil-3" };
        /// let name = key.pseudonym(&subject);
        /// assert_eq!(name, key.pseudonym(&subject));
        /// assert_ne!(name, key.pseudonym(&Subject { purpose: "study-2", ..subject }));
        /// ```
        #[must_use]
        pub fn pseudonym(&self, subject: &Subject<'_>) -> Pseudonym {
            let parts = Parts::new("mcp-ext pseudonym 1")
                .with_option(subject.tenant)
                .with(subject.purpose)
                .with(subject.id);
            // A key shorter than a block is filled up with zeros, by the definition of HMAC.
            let mut block = [0; 64];
            for (byte, secret) in block.iter_mut().zip(self.secret()) {
                *byte = *secret;
            }
            let mut mac = Hmac::<Sha256>::new(&block.into());
            mac.update(parts.bytes());
            let tag = mac.finalize().into_bytes();
            let hex = tag.iter().map(|byte| format!("{byte:02x}"));
            Pseudonym(hex.fold(PREFIX.to_owned(), |text, byte| text + &byte))
        }

        /// Whether a pseudonym stands for that subject.
        #[must_use]
        pub fn stands_for(&self, pseudonym: &Pseudonym, subject: &Subject<'_>) -> bool {
            self.pseudonym(subject) == *pseudonym
        }
    }

    #[cfg(test)]
    mod tests {
        use super::{PseudonymKey, Subject};

        #[test]
        fn it_is_hmac_sha256_over_the_told_apart_parts() {
            // Computed with another implementation over the bytes written out by hand.
            let key = PseudonymKey::from_bytes(std::array::from_fn(|i| i as u8));
            let subject = Subject {
                tenant: Some("t"),
                purpose: "study",
                id: "42",
            };
            assert_eq!(
                key.pseudonym(&subject).as_str(),
                "psn1-5f98769a736c869a14910ecce2b1e4fef8e5bcc54b4f4e4a9d3c31f58d7cb135"
            );
            let without = Subject {
                tenant: None,
                ..subject
            };
            assert_eq!(
                key.pseudonym(&without).as_str(),
                "psn1-5b290a2e31ac964b630dd5a2471eb8101b456b4a4d492f2f5812fabfd04c3f19"
            );
        }

        #[test]
        fn another_key_tenant_purpose_or_subject_has_another_name() {
            let key = PseudonymKey::from_bytes([1; 32]);
            let of = |tenant, purpose, id| {
                key.pseudonym(&Subject {
                    tenant,
                    purpose,
                    id,
                })
            };
            let names = [
                of(Some("t"), "p", "1"),
                of(Some("u"), "p", "1"),
                of(None, "p", "1"),
                of(Some(""), "p", "1"),
                of(Some("t"), "q", "1"),
                of(Some("t"), "p", "2"),
                of(Some("t"), "p1", ""),
                of(Some("tp"), "", "1"),
                PseudonymKey::from_bytes([2; 32]).pseudonym(&Subject {
                    tenant: Some("t"),
                    purpose: "p",
                    id: "1",
                }),
            ];
            let unlike: std::collections::BTreeSet<_> = names.iter().collect();
            assert_eq!(unlike.len(), names.len());
            for name in &names {
                assert_eq!(name.as_str().parse().as_ref(), Ok(name));
            }
            let subject = Subject {
                tenant: Some("t"),
                purpose: "p",
                id: "1",
            };
            assert!(key.stands_for(&names[0], &subject));
            assert!(!key.stands_for(&names[1], &subject));
        }
    }
}
