//! Sealed cursors: where a page goes on. Nobody but the holder of the key can read one, make one, or use it for something
//! else than it was made for.

use std::fmt;
use std::str::FromStr;

use schemars::json_schema;

use crate::page::Limit;
use crate::text_type;

/// Longest cursor that is looked at, in bytes.
pub const MAX_CURSOR_BYTES: usize = 4096;

/// A cursor as it travels: opaque text, which only the server that made it can read.
///
/// ```
/// use mcp_ext_values::SealedCursor;
///
/// assert!("https://example.org/?page=2".parse::<SealedCursor>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SealedCursor(String);

impl SealedCursor {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SealedCursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let base64 = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let fits = (1..=MAX_CURSOR_BYTES).contains(&text.len());
        if !fits || !text.bytes().all(base64) {
            return Err(CursorError::Malformed);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for SealedCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_type!(
    SealedCursor,
    "a cursor as it was given",
    json_schema!({
        "type": "string",
        "pattern": "^[A-Za-z0-9_-]+$",
        "maxLength": MAX_CURSOR_BYTES,
    })
);

/// Why a cursor does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// Not a cursor at all.
    #[error(
        "the cursor is not one of ours (a URL never is); pass `nextCursor` as it was given, or leave it out to start again"
    )]
    Malformed,
    /// Forged, of another query, another caller, another version or another key. Which of them is not told.
    #[error(
        "the cursor was not made for this query; repeat the other arguments exactly, or leave it out to start again"
    )]
    Rejected,
    /// Another page size than the one the cursor carries.
    #[error("the cursor carries a page size of {}; leave the page size out, or repeat that number", .expected.get())]
    Count {
        /// The page size of the cursor.
        expected: Limit,
    },
    /// A cursor could not be made.
    #[error("no cursor could be made; try again")]
    Seal,
}

#[cfg(feature = "server")]
pub use sealing::{Binding, CursorKey, Cursors};

#[cfg(feature = "server")]
mod sealing {
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::{CursorError, MAX_CURSOR_BYTES, SealedCursor};
    use crate::key::{Key, SealError};
    use crate::page::Limit;
    use crate::parts::Parts;
    use crate::random::Random;

    /// What a [`CursorKey`] is for.
    #[derive(Debug, Clone, Copy)]
    pub enum Cursors {}

    /// The secret that seals cursors. Servers that share it, and the data, can continue each other's pages.
    pub type CursorKey = Key<Cursors>;

    /// What a cursor is good for. One that was sealed for anything else is refused.
    ///
    /// ```
    /// use mcp_ext_values::Binding;
    ///
    /// let query = serde_json::json!({ "course": "c-1" }).to_string();
    /// let binding = Binding::new("com.example/grades", "1")
    ///     .caller(Some("school-7"), Some("teacher-12"))
    ///     .query(query.as_bytes());
    /// ```
    #[derive(Debug, Clone)]
    pub struct Binding(Parts);

    impl Binding {
        /// Cursors of that listing, in that version of its order and of its positions. Raise the version when they change.
        #[must_use]
        pub fn new(listing: &str, version: &str) -> Self {
            Self(Parts::new("mcp-ext cursor 1").with(listing).with(version))
        }

        /// The caller. Without this a cursor is good for everyone, and so it is for whoever is not authenticated.
        #[must_use]
        pub fn caller(self, tenant: Option<&str>, principal: Option<&str>) -> Self {
            Self(
                self.0
                    .with("caller")
                    .with_option(tenant)
                    .with_option(principal),
            )
        }

        /// The query, written so that equal queries give equal bytes; its digest is kept.
        #[must_use]
        pub fn query(self, query: &[u8]) -> Self {
            Self(self.0.with("query").with_bytes(query))
        }
    }

    impl Key<Cursors> {
        /// Seals a position: the sort keys of the last item of a page, the unique one included.
        ///
        /// # Errors
        /// [`CursorError::Seal`] when the position is too long, or there is no randomness.
        pub fn seal<P: Serialize>(
            &self,
            random: &dyn Random,
            binding: &Binding,
            limit: Limit,
            position: &P,
        ) -> Result<SealedCursor, CursorError> {
            let plain = serde_json::to_vec(&(limit, position)).map_err(|_| CursorError::Seal)?;
            let text = self
                .seal_bytes(random, &binding.0.digest(), &plain)
                .map_err(|_| CursorError::Seal)?;
            if text.len() > MAX_CURSOR_BYTES {
                return Err(CursorError::Seal);
            }
            Ok(SealedCursor(text))
        }

        /// Opens a cursor: the page size it carries, and the position.
        ///
        /// # Errors
        /// [`CursorError::Malformed`] or [`CursorError::Rejected`].
        pub fn open<P: DeserializeOwned>(
            &self,
            cursor: &str,
            binding: &Binding,
        ) -> Result<(Limit, P), CursorError> {
            if cursor.len() > MAX_CURSOR_BYTES {
                return Err(CursorError::Malformed);
            }
            let plain =
                self.open_bytes(cursor, &binding.0.digest())
                    .map_err(|error| match error {
                        SealError::Malformed => CursorError::Malformed,
                        _ => CursorError::Rejected,
                    })?;
            serde_json::from_slice(&plain).map_err(|_| CursorError::Rejected)
        }
    }

    #[cfg(test)]
    mod tests {
        use super::{Binding, CursorError, CursorKey, Limit};
        use crate::random::SystemRandom;

        type Position = (Vec<Option<String>>, i64);

        fn position() -> Position {
            (vec![None, Some("a".to_owned())], -1)
        }

        fn sealed(key: &CursorKey, binding: &Binding) -> String {
            let cursor = key.seal(&SystemRandom, binding, Limit::default(), &position());
            cursor.unwrap().to_string()
        }

        fn opened(
            key: &CursorKey,
            cursor: &str,
            binding: &Binding,
        ) -> Result<Position, CursorError> {
            key.open(cursor, binding).map(|(limit, position)| {
                assert_eq!(limit, Limit::default());
                position
            })
        }

        #[test]
        fn a_cursor_opens_only_with_its_key_and_binding() {
            let key = CursorKey::random().unwrap();
            let binding = Binding::new("list", "1")
                .caller(Some("t"), Some("p"))
                .query(b"q");
            let cursor = sealed(&key, &binding);
            assert_eq!(opened(&key, &cursor, &binding), Ok(position()));
            let other = CursorKey::random().unwrap();
            assert_eq!(
                opened(&other, &cursor, &binding),
                Err(CursorError::Rejected)
            );
            assert_ne!(cursor, sealed(&key, &binding), "no two are alike");
            let list = || Binding::new("list", "1");
            for (what, binding) in [
                ("query", list().caller(Some("t"), Some("p")).query(b"r")),
                ("no query", list().caller(Some("t"), Some("p"))),
                ("tenant", list().caller(Some("u"), Some("p")).query(b"q")),
                ("no tenant", list().caller(None, Some("p")).query(b"q")),
                (
                    "empty tenant",
                    list().caller(Some(""), Some("p")).query(b"q"),
                ),
                ("caller", list().caller(Some("t"), Some("o")).query(b"q")),
                ("no caller", list().caller(Some("t"), None).query(b"q")),
                ("anyone", list().query(b"q")),
                ("split", list().caller(Some("tp"), Some("")).query(b"q")),
                (
                    "version",
                    Binding::new("list", "2")
                        .caller(Some("t"), Some("p"))
                        .query(b"q"),
                ),
                (
                    "listing",
                    Binding::new("lis", "t1")
                        .caller(Some("t"), Some("p"))
                        .query(b"q"),
                ),
            ] {
                let seen = opened(&key, &cursor, &binding);
                assert_eq!(seen, Err(CursorError::Rejected), "{what}");
            }
        }

        #[test]
        fn every_changed_character_is_noticed() {
            let key = CursorKey::from_bytes([7; 32]);
            let binding = Binding::new("list", "1");
            let cursor = sealed(&key, &binding);
            for at in 0..cursor.len() {
                let mut bytes = cursor.clone().into_bytes();
                bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
                let forged = String::from_utf8(bytes).unwrap();
                assert!(opened(&key, &forged, &binding).is_err(), "at {at}");
                assert!(opened(&key, &cursor[..at], &binding).is_err(), "cut {at}");
            }
            for text in [
                "",
                "!",
                "http://example.org/next",
                "é",
                &"A".repeat(5000),
                &"A".repeat(100),
            ] {
                assert!(opened(&key, text, &binding).is_err(), "{text}");
            }
            let url = opened(&key, "https://example.org/?page=2", &binding).unwrap_err();
            assert!(url.to_string().contains("URL"), "{url}");
        }

        #[test]
        fn a_cursor_of_another_kind_of_position_is_rejected() {
            let key = CursorKey::from_bytes([7; 32]);
            let binding = Binding::new("list", "1");
            let cursor = sealed(&key, &binding);
            let read = key.open::<u64>(&cursor, &binding);
            assert_eq!(read, Err(CursorError::Rejected));
            let long = "x".repeat(5000);
            let made = key.seal(&SystemRandom, &binding, Limit::default(), &long);
            assert_eq!(made, Err(CursorError::Seal));
        }
    }
}
