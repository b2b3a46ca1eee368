//! The codec of `Mcp-Name` and `Mcp-Param-*`, against the crate base64.
//!
//! An input is a text, taken as a value to write and as a header to read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcp_ext_core::headers::{decode, encode};

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let header = encode(text);
    assert_eq!(decode(&header).as_deref(), Some(text), "written and read");
    assert!(
        header.bytes().all(|b| (0x20..0x7f).contains(&b)) && header.trim() == header,
        "fits a header: {header:?}"
    );
    assert_eq!(
        decode(&format!(" \t{header}\t ")).as_deref(),
        Some(text),
        "blanks around a header are no part of it"
    );
    if header != text {
        assert_eq!(header, sealed(text));
    }
    assert_eq!(decode(text), by_the_book(text), "{text:?}");
    if let Some(value) = decode(text) {
        assert_eq!(decode(&encode(&value)), Some(value));
    }
}

fn sealed(text: &str) -> String {
    format!("=?base64?{}?=", STANDARD.encode(text))
}

/// What a header says. Each value has one base64 form: all others are refused.
fn by_the_book(header: &str) -> Option<String> {
    let header = header.trim_matches([' ', '\t']);
    let inner = header
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="));
    let Some(inner) = inner else {
        return Some(header.to_owned());
    };
    let value = String::from_utf8(STANDARD.decode(inner).ok()?).ok()?;
    assert_eq!(sealed(&value), header);
    Some(value)
}
