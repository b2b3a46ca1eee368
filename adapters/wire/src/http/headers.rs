//! What the headers of a request say, and whether they agree with its body.

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName};
use mcp_ext_core::RpcError;
use mcp_ext_core::envelope::Headers;
use mcp_ext_core::headers::decode;
use mcp_ext_core::wire::code;
use serde_json::{Value, json};

pub(crate) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
pub(crate) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub(crate) const METHOD: HeaderName = HeaderName::from_static("mcp-method");
pub(crate) const NAME: HeaderName = HeaderName::from_static("mcp-name");
const PARAM: &str = "mcp-param-";

/// The value of a header; one that is given twice, or is no text, equals no value there can be.
pub(super) fn value<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let first = headers.get(name)?;
    // Most requests give no name twice.
    let twice =
        headers.len() != headers.keys_len() && headers.get_all(name).iter().nth(1).is_some();
    match first.to_str() {
        Ok(value) if !twice => Some(value),
        _ => Some("\u{0}"),
    }
}

/// What the headers say beside the body. `session`: whether they name one that is known.
pub(super) fn said(headers: &HeaderMap, session: bool) -> Headers<'_> {
    Headers {
        protocol_version: value(headers, &PROTOCOL_VERSION),
        method: value(headers, &METHOD),
        name: value(headers, &NAME),
        session,
    }
}

/// Checks `Mcp-Name` and `Mcp-Param-*` of a modern `tools/call` for a tool of ours.
///
/// # Errors
/// -32020 for a header that is missing, malformed, or differs from the body.
pub(super) fn check_tool(
    headers: &HeaderMap,
    tool: &str,
    arguments: &Value,
    schema: Option<&Value>,
) -> Result<(), RpcError> {
    compare("Mcp-Name", value(headers, &NAME), Some(&json!(tool)))?;
    schema.map_or(Ok(()), |schema| {
        check_params(headers, schema, Some(arguments))
    })
}

fn check_params(
    headers: &HeaderMap,
    schema: &Value,
    value_at: Option<&Value>,
) -> Result<(), RpcError> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Ok(());
    };
    for (name, schema) in properties {
        let argument = value_at.and_then(|value| value.get(name));
        if let Some(header) = schema.get("x-mcp-header").and_then(Value::as_str)
            && let Ok(full) = HeaderName::from_bytes(format!("{PARAM}{header}").as_bytes())
        {
            let shown = format!("Mcp-Param-{header}");
            compare(
                &shown,
                value(headers, &full),
                argument.filter(|a| !a.is_null()),
            )?;
        }
        check_params(headers, schema, argument)?;
    }
    Ok(())
}

/// A header and the member of the body that it repeats. What is no scalar there is the params' fault, said later.
fn compare(name: &str, header: Option<&str>, body: Option<&Value>) -> Result<(), RpcError> {
    let fault = match (header.map(decode), body) {
        (None, None) | (_, Some(Value::Array(_) | Value::Object(_))) => return Ok(()),
        (None, Some(_)) => "is missing",
        (Some(None), _) => "is not valid base64 of UTF-8 text",
        (Some(Some(header)), Some(body)) if agrees(&header, body) => return Ok(()),
        (Some(Some(_)), _) => "differs from the body",
    };
    Err(
        RpcError::new(code::HEADER_MISMATCH, format!("the header {name} {fault}"))
            .with_data(json!({ "header": name }))
            .in_envelope(),
    )
}

fn agrees(header: &str, body: &Value) -> bool {
    match body {
        Value::String(text) => header == text,
        Value::Bool(flag) => header == if *flag { "true" } else { "false" },
        // Numbers are compared as numbers.
        Value::Number(number) => match (header.parse::<i128>(), number.to_string().parse::<i128>())
        {
            (Ok(header), Ok(body)) => header == body,
            _ => header.parse::<f64>().ok() == number.as_f64(),
        },
        _ => false,
    }
}

/// Headers that say nothing about who calls. All others are part of what the upstream is asked about, so that a
/// credential in any header counts as one.
fn is_anonymous(name: &str) -> bool {
    matches!(
        name,
        "accept"
            | "accept-encoding"
            | "accept-language"
            | "cache-control"
            | "connection"
            | "content-length"
            | "content-type"
            | "last-event-id"
            | "mcp-method"
            | "mcp-name"
            | "mcp-protocol-version"
            | "pragma"
            | "sec-fetch-dest"
            | "sec-fetch-mode"
            | "traceparent"
            | "tracestate"
            | "transfer-encoding"
            | "user-agent"
    ) || name.starts_with(PARAM)
}

/// The headers that may say who calls: `Authorization`, `Origin`, the session, and whatever is not known. In order, each
/// name and value after its length, so that no two sets of headers give the same bytes.
pub(super) fn identifying(headers: &HeaderMap) -> Vec<u8> {
    let mut all: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .filter(|(name, _)| !is_anonymous(name))
        .collect();
    all.sort_unstable();
    let mut bytes = Vec::with_capacity(256);
    for part in all
        .into_iter()
        .flat_map(|(name, value)| [name.as_bytes(), value])
    {
        bytes.extend_from_slice(&part.len().to_ne_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

/// The `Authorization` header, if there is one.
pub(super) fn authorization(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(AUTHORIZATION).map(|value| value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in all {
            map.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        map
    }

    #[test]
    fn hdr_18_params_in_headers_agree_with_the_body() {
        let schema = json!({"properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "deep": {"properties": {"count": {"type": "integer", "x-mcp-header": "Count"}}},
        }});
        let body = json!({"region": "Zürich", "deep": {"count": 42}});
        let good = map(&[
            ("mcp-name", "move"),
            ("mcp-param-region", "=?base64?WsO8cmljaA==?="),
            ("mcp-param-count", " 042 "),
        ]);
        assert!(check_tool(&good, "move", &body, Some(&schema)).is_ok());
        for (name, value) in [
            ("mcp-name", "other"),
            ("mcp-param-region", "Zurich"),
            ("mcp-param-region", "=?base64?%%?="),
            ("mcp-param-count", "41"),
        ] {
            let mut bad = good.clone();
            bad.insert(HeaderName::from_static(name), value.parse().unwrap());
            let error = check_tool(&bad, "move", &body, Some(&schema)).unwrap_err();
            assert_eq!(error.code, code::HEADER_MISMATCH, "{name}: {value}");
            bad.remove(name);
            assert!(
                check_tool(&bad, "move", &body, Some(&schema)).is_err(),
                "{name} missing"
            );
        }
        // Null and absent want no header.
        let plain = map(&[("mcp-name", "move")]);
        assert!(check_tool(&plain, "move", &json!({"region": null}), Some(&schema)).is_ok());
        // Twice is not once.
        let twice = map(&[("mcp-name", "move"), ("mcp-name", "move")]);
        assert!(check_tool(&twice, "move", &json!({}), None).is_err());
    }
}
