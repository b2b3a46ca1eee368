//! Confirmations as they travel: sealed, so that nobody but the holder of the key can read or make one.

use mcp_ext_values::{Key, Random};

/// What a [`ConfirmKey`] is for.
#[derive(Debug, Clone, Copy)]
pub enum Confirmations {}

/// The secret that seals confirmations. Servers that share it, and the store, accept each other's.
pub type ConfirmKey = Key<Confirmations>;

/// What every confirmation is sealed with: the version of the form below.
const DOMAIN: &[u8] = b"mcp-ext/confirmation/2";

const SEAL_NONCE: usize = 24;
const TAG: usize = 16;

/// What a confirmation is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Confirmation {
    /// A form's state is no token: it confirms nothing without the user's answer.
    pub(crate) by: By,
    /// Tenant, principal and item.
    pub(crate) place: [u8; 32],
    /// The arguments.
    pub(crate) arguments: [u8; 32],
    /// What was shown.
    pub(crate) preview: [u8; 32],
    /// Makes it one of its kind, so that it can be used up.
    pub(crate) nonce: [u8; 16],
    /// When it was given, in milliseconds since 1970. One from the future was sealed by a clock that has been set back: its
    /// end may be years away.
    pub(crate) given_at: i64,
    /// Until when it works, in milliseconds since 1970.
    pub(crate) expires_at: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Form,
    Token,
}

const PLAIN: usize = 1 + 32 + 32 + 32 + 16 + 8 + 8;

/// The length of every confirmation, in characters: base64 without padding.
pub(crate) const LENGTH: usize = ((SEAL_NONCE + PLAIN + TAG) * 4).div_ceil(3);

impl Confirmation {
    /// The sealed text, `None` if there is no randomness.
    pub(crate) fn seal(&self, key: &ConfirmKey, random: &dyn Random) -> Option<String> {
        let mut plain = Vec::with_capacity(PLAIN);
        plain.push(match self.by {
            By::Form => 0,
            By::Token => 1,
        });
        plain.extend_from_slice(&self.place);
        plain.extend_from_slice(&self.arguments);
        plain.extend_from_slice(&self.preview);
        plain.extend_from_slice(&self.nonce);
        plain.extend_from_slice(&self.given_at.to_le_bytes());
        plain.extend_from_slice(&self.expires_at.to_le_bytes());
        key.seal_bytes(random, DOMAIN, &plain).ok()
    }

    /// The confirmation in a text, `None` if it is none of this key.
    pub(crate) fn open(key: &ConfirmKey, text: &str) -> Option<Self> {
        if text.len() != LENGTH {
            return None;
        }
        let plain = key.open_bytes(text, DOMAIN).ok()?;
        let mut rest = plain.as_slice();
        let confirmation = Self {
            by: match take::<1>(&mut rest)? {
                [0] => By::Form,
                [1] => By::Token,
                _ => return None,
            },
            place: take(&mut rest)?,
            arguments: take(&mut rest)?,
            preview: take(&mut rest)?,
            nonce: take(&mut rest)?,
            given_at: i64::from_le_bytes(take(&mut rest)?),
            expires_at: i64::from_le_bytes(take(&mut rest)?),
        };
        rest.is_empty().then_some(confirmation)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use mcp_ext_values::SeededRandom;

    use super::{By, ConfirmKey, Confirmation, LENGTH};

    fn confirmation() -> Confirmation {
        Confirmation {
            by: By::Token,
            place: [1; 32],
            arguments: [2; 32],
            preview: [3; 32],
            nonce: [4; 16],
            given_at: 1_700_000_000_000,
            expires_at: 1_700_000_300_000,
        }
    }

    #[test]
    fn a_confirmation_opens_with_its_key_alone() {
        let (key, random) = (ConfirmKey::from_bytes([7; 32]), SeededRandom::new(1));
        for by in [By::Form, By::Token] {
            let confirmation = Confirmation {
                by,
                ..confirmation()
            };
            let sealed = confirmation.seal(&key, &random).unwrap();
            assert_eq!(sealed.len(), LENGTH);
            assert_ne!(sealed, confirmation.seal(&key, &random).unwrap());
            assert_eq!(Confirmation::open(&key, &sealed), Some(confirmation));
            let other = ConfirmKey::from_bytes([8; 32]);
            assert_eq!(Confirmation::open(&other, &sealed), None);
        }
    }

    #[test]
    fn every_change_is_noticed() {
        let (key, random) = (ConfirmKey::from_bytes([7; 32]), SeededRandom::new(1));
        let sealed = confirmation().seal(&key, &random).unwrap();
        for at in 0..sealed.len() {
            let mut bytes = sealed.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(bytes).unwrap();
            assert_eq!(Confirmation::open(&key, &forged), None, "at {at}");
            assert_eq!(Confirmation::open(&key, &sealed[..at]), None, "cut at {at}");
        }
        let url = format!("https://example.org/{}", "a".repeat(LENGTH - 20));
        for text in [
            "",
            "!",
            &url,
            &"A".repeat(LENGTH),
            &format!("{sealed}A"),
            &format!("{sealed}="),
            &format!(" {sealed}"),
            &"é".repeat(LENGTH / 2),
            &"A".repeat(100_000),
        ] {
            assert_eq!(Confirmation::open(&key, text), None, "{text}");
        }
    }
}
