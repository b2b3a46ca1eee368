//! The envelope of a request, against a second reading of the same text and of the rules.
//!
//! An input has lines: the method; the header `MCP-Protocol-Version`, empty for none; the header `Mcp-Method`, empty
//! for none; any of the letters `h` (there are headers), `s` (an issued session), `m` (modern revisions are served),
//! `l` (legacy ones are served); and all the rest is the text of the params, empty for none.

use std::collections::BTreeMap;

use mcp_ext_core::RpcError;
use mcp_ext_core::envelope::{Frame, Headers, check, era_of};
use mcp_ext_core::protocol::{Era, ProtocolRange, ProtocolVersion};
use mcp_ext_core::request::{Params, SessionDeclaration, Target};
use mcp_ext_core::wire::JsonObject;
use serde_json::Value;
use serde_json::value::RawValue;

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut lines = text.splitn(5, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (method, version, named, flags, params) = (line(), line(), line(), line(), line());
    let params = match params {
        "" => None,
        text => match RawValue::from_string(text.to_owned()) {
            Ok(raw) => Some(raw),
            // An adapter reads the whole message as JSON first.
            Err(_) => return,
        },
    };
    // What a header can hold.
    let header = |text| {
        Some(text).filter(|t: &&str| {
            !t.is_empty() && t.bytes().all(|b| b == b'\t' || (b' '..0x7f).contains(&b))
        })
    };
    let headers = flags.contains('h').then(|| Headers {
        protocol_version: header(version),
        method: header(named),
        name: None,
        session: flags.contains('s'),
    });
    let served = match (flags.contains('l'), flags.contains('m')) {
        (true, false) => {
            ProtocolRange::between(ProtocolVersion::V2024_11_05, ProtocolVersion::V2025_11_25)
        }
        (false, true) => ProtocolRange::from(ProtocolVersion::V2026_07_28),
        _ => ProtocolRange::ALL,
    };

    let read = Frame::read(method, params.as_deref());
    if let Err(error) = &read {
        documented(error, &[-32602]);
    }
    let whole: Result<Value, _> = params
        .as_deref()
        .map_or(Ok(Value::Null), |p| serde_json::from_str(p.get()));
    if let Ok(whole) = whole {
        agrees(method, params.as_deref(), &whole, &read);
    }
    let Ok(frame) = read else { return };
    let modern_served = flags.contains('m') || !flags.contains('l');
    let expected = judged(method, &frame.meta, headers.as_ref(), modern_served);
    let found = check(method, &frame.meta, served, headers.as_ref());
    match (&found, expected) {
        (Ok((era, version)), Ok(expected)) => {
            assert_eq!(*era, expected);
            assert_eq!(
                *version,
                (expected == Era::Modern).then_some(ProtocolVersion::V2026_07_28)
            );
        }
        (Err(error), Err(code)) => documented(error, &[code]),
        (found, expected) => panic!("found {found:?}, expected {expected:?}"),
    }
    assert_eq!(
        era_of(method, &frame.meta, headers.as_ref()) == Era::Legacy,
        matches!(found, Ok((Era::Legacy, _))),
        "a legacy request has no envelope to be at fault"
    );
    match (
        frame.open(served, SessionDeclaration::none(), headers.as_ref()),
        found,
    ) {
        (Ok(incoming), Ok((era, version))) => {
            assert_eq!((incoming.era, incoming.version), (era, version));
            assert_eq!(incoming.meta, frame.meta);
            assert_eq!(incoming.mcp_name.is_some(), headers.is_some());
            let target = match &frame.tool {
                Some(tool) => Target::Tool(tool),
                None => Target::Method(method),
            };
            assert_eq!(incoming.target, target);
            match (incoming.params, &frame.params) {
                (Params::Raw(opened), Some(params)) => assert_eq!(opened.get(), params.get()),
                (Params::None, None) => {}
                other => panic!("{other:?}"),
            }
        }
        (Err(opened), Err(checked)) => assert_eq!(opened, checked),
        (opened, checked) => panic!("opened {:?}, checked {checked:?}", opened.map(|_| ())),
    }
}

/// An error that says what the documentation says, on few bytes.
fn documented(error: &RpcError, codes: &[i32]) {
    assert!(
        codes.contains(&error.code),
        "{error:?}, expected one of {codes:?}"
    );
    assert!(
        error.message.len() < 1024 && error.data.is_some(),
        "{error:?}"
    );
    if error.code != -32022
        && !matches!(error.data.as_ref().map(|d| &d["kind"]), Some(Value::String(kind)) if kind == "malformed_params")
    {
        assert!(error.envelope, "{error:?}");
    }
}

/// The frame against params that were read as a whole.
fn agrees(
    method: &str,
    text: Option<&RawValue>,
    whole: &Value,
    read: &Result<Frame<'_>, RpcError>,
) {
    let empty = JsonObject::new();
    let members = match whole {
        Value::Object(members) => members,
        Value::Null => &empty,
        _ => {
            assert!(read.is_err(), "params that are no object: {read:?}");
            return;
        }
    };
    let meta = match members.get("_meta") {
        None => &empty,
        Some(Value::Object(meta)) => meta,
        Some(_) => {
            assert!(read.is_err(), "_meta that is no object: {read:?}");
            return;
        }
    };
    // The last of several members of one name, as text. A name that no text can hold was refused above.
    let texts: BTreeMap<String, &RawValue> = text
        .filter(|t| t.get() != "null")
        .map_or_else(BTreeMap::new, |t| {
            serde_json::from_str(t.get()).expect("an object")
        });
    if method == "tools/call" {
        let Some(name) = members.get("name").and_then(Value::as_str) else {
            assert!(read.is_err(), "a call of no tool: {read:?}");
            return;
        };
        let frame = read.as_ref().expect("a tool call");
        assert_eq!(*frame.meta, *meta);
        assert_eq!(frame.tool.as_deref(), Some(name));
        assert_eq!(
            frame.params.as_deref().map(RawValue::get),
            texts.get("arguments").map(|raw| raw.get()),
            "arguments keep every byte"
        );
        return;
    }
    let frame = read.as_ref().expect("params that are an object");
    assert_eq!(*frame.meta, *meta);
    assert_eq!(frame.tool, None);
    let params = frame.params.as_deref().expect("params of a method");
    let kept: BTreeMap<String, &RawValue> = serde_json::from_str(params.get()).expect("an object");
    let kept: Vec<_> = kept
        .iter()
        .map(|(name, raw)| (name.as_str(), raw.get()))
        .collect();
    let sent: Vec<_> = texts
        .iter()
        .filter(|(name, _)| *name != "_meta")
        .map(|(name, raw)| (name.as_str(), raw.get()))
        .collect();
    assert_eq!(kept, sent, "every member but _meta, its bytes as they were");
    let again = Frame::read(method, Some(params)).expect("what was read once");
    assert!(again.meta.is_empty());
    assert_eq!(
        again.params.as_deref().map(RawValue::get),
        Some(params.get())
    );
}

/// The rules of the envelope, one after the other: the era, or the code of the first that is broken.
fn judged(
    method: &str,
    meta: &JsonObject,
    headers: Option<&Headers<'_>>,
    modern_served: bool,
) -> Result<Era, i32> {
    let trimmed = |value: Option<&str>| value.map(|v| v.trim().to_owned());
    let version_header = trimmed(headers.and_then(|h| h.protocol_version));
    let method_header = trimmed(headers.and_then(|h| h.method));
    let says_modern =
        meta.get(VERSION).is_some() || version_header.as_deref().is_some_and(|v| v >= "2026-07-28");
    if method == "initialize" || headers.is_some_and(|h| h.session) || !says_modern {
        return Ok(Era::Legacy);
    }
    let over_http = headers.is_some();
    let version = meta.get(VERSION).and_then(Value::as_str);
    let capable = meta.get(CAPABILITIES).is_some_and(Value::is_object);
    let steps = [
        (
            !over_http || (version_header.is_some() && method_header.is_some()),
            -32020,
        ),
        (version.is_some() && capable, -32602),
        (
            !over_http
                || (version_header.as_deref() == version
                    && method_header.as_deref() == Some(method)),
            -32020,
        ),
        (modern_served && version == Some("2026-07-28"), -32022),
    ];
    match steps.iter().find(|(holds, _)| !holds) {
        Some((_, code)) => Err(*code),
        None => Ok(Era::Modern),
    }
}
