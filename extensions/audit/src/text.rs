//! Protected strings: text that has one form only, so that it has one digest.

use std::borrow::Cow;
use std::fmt;

use unicode_normalization::{UnicodeNormalization as _, is_nfc};

/// Longest protected string, in UTF-16 code units of its normal form.
pub const MAX_UNITS: usize = 8192;

/// A protected string: Unicode NFC, without spaces (U+0020) at its ends and without control characters. Other white space
/// is content and stays.
///
/// ```
/// use mcp_ext_audit::Text;
///
/// let decomposed = Text::new("cafe\u{301} audit ")?;
/// assert_eq!(decomposed, Text::new("caf\u{e9} audit")?);
/// assert!(Text::new("line\nbreak").is_err());
/// # Ok::<(), mcp_ext_audit::TextFault>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(String);

/// Why text cannot be protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextFault {
    /// It has a control character.
    #[error("a control character (U+{code:04X}) at character {at}; leave it out")]
    Control {
        /// Where, counted from zero.
        at: usize,
        /// Which.
        code: u32,
    },
    /// It is too long.
    #[error("{units} UTF-16 units, at most {MAX_UNITS} are allowed; record a digest of it instead")]
    TooLong {
        /// Its length.
        units: usize,
    },
}

impl Text {
    /// Normalises `text`.
    ///
    /// # Errors
    /// [`TextFault`], when it has control characters or is too long.
    pub fn new(text: &str) -> Result<Self, TextFault> {
        normalize(text).map(|text| Self(text.into_owned()))
    }

    /// The text in its normal form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn normalize(text: &str) -> Result<Cow<'_, str>, TextFault> {
    let ascii = text.is_ascii();
    let plain = ascii && !text.bytes().any(|b| b.is_ascii_control());
    if !plain && let Some((at, c)) = text.chars().enumerate().find(|(_, c)| c.is_control()) {
        return Err(TextFault::Control { at, code: c.into() });
    }
    let trimmed = |text: &str| text.trim_matches(' ').len();
    let normal = if ascii || is_nfc(text) {
        Cow::Borrowed(text.trim_matches(' '))
    } else {
        let composed: String = text.nfc().collect();
        match trimmed(&composed) == composed.len() {
            true => Cow::Owned(composed),
            false => Cow::Owned(composed.trim_matches(' ').to_owned()),
        }
    };
    // A UTF-8 text has at least as many bytes as UTF-16 units.
    if normal.len() > MAX_UNITS {
        let units = normal.encode_utf16().count();
        if units > MAX_UNITS {
            return Err(TextFault::TooLong { units });
        }
    }
    Ok(normal)
}

/// Writes a JSON string, escaping no more than `"` and `\`.
pub(crate) fn write_quoted(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = memchr::memchr2(b'"', b'\\', rest.as_bytes()) {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        out.push('\\');
        // Both are one byte.
        let (escaped, after) = after.split_at(1);
        out.push_str(escaped);
        rest = after;
    }
    out.push_str(rest);
    out.push('"');
}
