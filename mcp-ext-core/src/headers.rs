//! Values of `Mcp-Name` and `Mcp-Param-*` headers.

const OPEN: &str = "=?base64?";
const CLOSE: &str = "?=";
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Writes a value so that it fits a header: as it is, or as base64 of its UTF-8 between sentinels when it has
/// non-ASCII or control characters, leading or trailing blanks, or looks like the sentinel itself.
///
/// ```
/// use mcp_ext_core::headers::{decode, encode};
///
/// assert_eq!(encode("rubric-1"), "rubric-1");
/// assert_eq!(encode("Übung"), "=?base64?w5xidW5n?=");
/// assert_eq!(decode(&encode(" padded ")).as_deref(), Some(" padded "));
/// assert_eq!(decode("=?base64?%%%?="), None);
/// ```
pub fn encode(value: &str) -> String {
    let plain = value.bytes().all(|b| (0x20..0x7f).contains(&b))
        && !value.starts_with(' ')
        && !value.ends_with(' ')
        && !value.starts_with(OPEN);
    if plain {
        return value.to_owned();
    }
    let mut out = String::from(OPEN);
    for chunk in value.as_bytes().chunks(3) {
        let bits = chunk.iter().enumerate().fold(0u32, |bits, (i, byte)| {
            bits | u32::from(*byte) << (16 - 8 * i)
        });
        for i in 0..4 {
            let index = (bits >> (18 - 6 * i)) & 63;
            out.push(if i <= chunk.len() {
                char::from(ALPHABET[index as usize])
            } else {
                '='
            });
        }
    }
    out.push_str(CLOSE);
    out
}

/// Reads a value that [`encode`] may have written; `None` when the base64 or its UTF-8 is broken.
pub fn decode(header: &str) -> Option<String> {
    let header = header.trim_matches([' ', '\t']);
    let Some(inner) = header
        .strip_prefix(OPEN)
        .and_then(|rest| rest.strip_suffix(CLOSE))
    else {
        return Some(header.to_owned());
    };
    if inner.len() % 4 != 0 {
        return None;
    }
    let text = inner
        .strip_suffix("==")
        .or_else(|| inner.strip_suffix('='))
        .unwrap_or(inner);
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut have) = (0u32, 0u32);
    for byte in text.bytes() {
        let index = ALPHABET.iter().position(|a| *a == byte)?;
        bits = bits << 6 | u32::try_from(index).ok()?;
        have += 6;
        if have >= 8 {
            have -= 8;
            bytes.push(u8::try_from(bits >> have & 0xff).ok()?);
        }
    }
    // Leftover bits must be zero, so that each value has one spelling.
    if bits & ((1 << have) - 1) != 0 {
        return None;
    }
    String::from_utf8(bytes).ok()
}
