//! The envelope of raw frames: era, `_meta`, headers, version, in the order of evaluation.

use mcp_ext_core::envelope::{Frame, Headers, check, era_of};
use mcp_ext_core::headers::{decode, encode};
use mcp_ext_core::protocol::{Era, ProtocolRange, ProtocolVersion};
use mcp_ext_core::request::{Declared, Params, SessionDeclaration, Target};
use mcp_ext_core::wire::{JsonObject, code};
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

fn object(value: Value) -> JsonObject {
    match value {
        Value::Object(object) => object,
        other => panic!("not an object: {other}"),
    }
}

fn good() -> JsonObject {
    object(json!({ VERSION: "2026-07-28", CAPABILITIES: {} }))
}

fn headers<'a>() -> Headers<'a> {
    Headers {
        protocol_version: Some("2026-07-28"),
        method: Some("com.example/x/go"),
        name: None,
        session: false,
    }
}

const METHOD: &str = "com.example/x/go";

#[test]
fn era_03_what_selects_an_era() {
    let none = JsonObject::new();
    assert_eq!(era_of("initialize", &good(), None), Era::Legacy);
    assert_eq!(era_of(METHOD, &none, None), Era::Legacy);
    assert_eq!(era_of(METHOD, &good(), None), Era::Modern);
    assert_eq!(
        era_of(METHOD, &none, Some(&headers())),
        Era::Modern,
        "a modern header selects the modern era"
    );
    let session = Headers {
        session: true,
        ..headers()
    };
    assert_eq!(
        era_of(METHOD, &good(), Some(&session)),
        Era::Legacy,
        "an issued session is legacy"
    );
    let old = Headers {
        protocol_version: Some("2025-11-25"),
        ..headers()
    };
    assert_eq!(era_of(METHOD, &none, Some(&old)), Era::Legacy);
}

#[test]
fn neg_16_incomplete_meta_is_bad_params_with_status_400() {
    let cases = [
        object(json!({ VERSION: "2026-07-28" })),
        object(json!({ VERSION: "2026-07-28", CAPABILITIES: null })),
        object(json!({ VERSION: "2026-07-28", CAPABILITIES: [] })),
        object(json!({ VERSION: 20260728, CAPABILITIES: {} })),
    ];
    for meta in cases {
        let error = check(METHOD, &meta, ProtocolRange::ALL, None).unwrap_err();
        assert_eq!(error.code, code::INVALID_PARAMS, "{meta:?}");
        assert_eq!(error.http_status(Era::Modern), 400, "{meta:?}");
    }
    // With a modern header the version may be what is missing.
    let meta = object(json!({ CAPABILITIES: {} }));
    let error = check(METHOD, &meta, ProtocolRange::ALL, Some(&headers())).unwrap_err();
    assert_eq!(
        (error.code, error.http_status(Era::Modern)),
        (code::INVALID_PARAMS, 400)
    );
}

#[test]
fn hdr_02_and_hdr_03_headers_are_there_and_say_what_the_body_says() {
    assert!(check(METHOD, &good(), ProtocolRange::ALL, Some(&headers())).is_ok());
    let padded = Headers {
        method: Some(" com.example/x/go\t"),
        ..headers()
    };
    assert!(
        check(METHOD, &good(), ProtocolRange::ALL, Some(&padded)).is_ok(),
        "blanks around a value are trimmed"
    );
    for wrong in [
        Headers {
            method: None,
            ..headers()
        },
        Headers {
            protocol_version: None,
            ..headers()
        },
        Headers {
            method: Some("com.example/x/Go"),
            ..headers()
        },
        Headers {
            protocol_version: Some("2027-01-01"),
            ..headers()
        },
    ] {
        let error = check(METHOD, &good(), ProtocolRange::ALL, Some(&wrong)).unwrap_err();
        assert_eq!(
            (error.code, error.http_status(Era::Modern)),
            (code::HEADER_MISMATCH, 400),
            "{wrong:?}"
        );
    }
}

#[test]
fn a_missing_header_comes_before_meta_and_meta_before_an_unequal_header() {
    let broken = object(json!({ VERSION: "2026-07-28" }));
    let missing = Headers {
        method: None,
        ..headers()
    };
    assert_eq!(
        check(METHOD, &broken, ProtocolRange::ALL, Some(&missing))
            .unwrap_err()
            .code,
        code::HEADER_MISMATCH
    );
    let unequal = Headers {
        method: Some("other"),
        ..headers()
    };
    assert_eq!(
        check(METHOD, &broken, ProtocolRange::ALL, Some(&unequal))
            .unwrap_err()
            .code,
        code::INVALID_PARAMS
    );
    let version = object(json!({ VERSION: "1900-01-01", CAPABILITIES: {} }));
    let error = check(METHOD, &version, ProtocolRange::ALL, Some(&headers())).unwrap_err();
    assert_eq!(
        error.code,
        code::HEADER_MISMATCH,
        "an unequal header comes before an unknown version"
    );
}

#[test]
fn era_01_an_unknown_version_is_answered_with_what_is_served() {
    let meta = object(json!({ VERSION: "1900-01-01", CAPABILITIES: {} }));
    let error = check(METHOD, &meta, ProtocolRange::ALL, None).unwrap_err();
    assert_eq!(
        (error.code, error.http_status(Era::Modern)),
        (code::UNSUPPORTED_PROTOCOL_VERSION, 400)
    );
    assert_eq!(
        error.data.unwrap(),
        json!({ "supported": ["2026-07-28"], "requested": "1900-01-01" })
    );
    // A modern `_meta` that names an older revision is not served statelessly.
    let meta = object(json!({ VERSION: "2025-11-25", CAPABILITIES: {} }));
    assert_eq!(
        check(METHOD, &meta, ProtocolRange::ALL, None)
            .unwrap_err()
            .code,
        code::UNSUPPORTED_PROTOCOL_VERSION
    );
    // A hostile version is cut short.
    let meta = object(json!({ VERSION: "9".repeat(10_000), CAPABILITIES: {} }));
    let error = check(METHOD, &meta, ProtocolRange::ALL, None).unwrap_err();
    assert!(serde_json::to_string(&error).unwrap().len() < 500);
    let legacy_only =
        ProtocolRange::between(ProtocolVersion::V2024_11_05, ProtocolVersion::V2025_11_25);
    assert_eq!(
        check(METHOD, &good(), legacy_only, None).unwrap_err().code,
        code::UNSUPPORTED_PROTOCOL_VERSION
    );
}

fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap()
}

#[test]
fn frames_take_meta_out_and_find_the_tool() {
    let params = raw(&json!({ "a": 1, "_meta": good() }));
    let frame = Frame::read(METHOD, Some(&params)).unwrap();
    let incoming = frame
        .open(ProtocolRange::ALL, SessionDeclaration::none(), None)
        .unwrap();
    assert_eq!(incoming.target, Target::Method(METHOD));
    assert!(matches!(incoming.params, Params::Raw(text) if text.get() == r#"{"a":1}"#));
    assert!(incoming.meta.contains_key(VERSION));

    let params = raw(&json!({ "name": "go", "arguments": { "b": 1.00 }, "_meta": good() }));
    let frame = Frame::read("tools/call", Some(&params)).unwrap();
    let incoming = frame
        .open(ProtocolRange::ALL, SessionDeclaration::none(), None)
        .unwrap();
    assert_eq!(incoming.target, Target::Tool("go"));

    for bad in [
        json!([1]),
        json!("x"),
        json!(3),
        json!({ "_meta": [] }),
        json!({ "_meta": null }),
    ] {
        assert_eq!(
            Frame::read(METHOD, Some(&raw(&bad))).unwrap_err().code,
            code::INVALID_PARAMS,
            "{bad}"
        );
    }
    for bad in [json!({}), json!({ "nam": "x" }), json!({ "name": 3 })] {
        assert_eq!(
            Frame::read("tools/call", Some(&raw(&bad)))
                .unwrap_err()
                .code,
            code::INVALID_PARAMS,
            "{bad}"
        );
    }
    assert!(Frame::read(METHOD, None).is_ok());
}

#[test]
fn neg_11_a_declaration_that_is_not_an_object_is_named() {
    let meta = object(
        json!({ VERSION: "2026-07-28", CAPABILITIES: { "extensions": { "com.example/x": null } } }),
    );
    let params = raw(&json!({ "_meta": meta }));
    let frame = Frame::read(METHOD, Some(&params)).unwrap();
    let incoming = frame
        .open(ProtocolRange::ALL, SessionDeclaration::none(), None)
        .unwrap();
    let error = incoming.declared(8).unwrap_err();
    assert_eq!(
        (error.code, error.http_status(Era::Modern)),
        (code::INVALID_PARAMS, 400)
    );
    assert!(
        error.data.unwrap()["pointer"]
            .as_str()
            .unwrap()
            .ends_with("com.example/x")
    );
}

#[test]
fn era_03_a_modern_request_sees_nothing_of_the_session() {
    let session = SessionDeclaration::Known(Some(std::sync::Arc::new(object(
        json!({ "com.example/x": { "a": 1 } }),
    ))));
    let params = raw(&json!({ "_meta": good() }));
    let frame = Frame::read(METHOD, Some(&params)).unwrap();
    let incoming = frame
        .open(ProtocolRange::ALL, session.clone(), None)
        .unwrap();
    assert!(matches!(
        incoming.declared(8).unwrap(),
        Declared::Known(None)
    ));
    let frame = Frame::read(METHOD, None).unwrap();
    let incoming = frame.open(ProtocolRange::ALL, session, None).unwrap();
    assert!(matches!(
        incoming.declared(8).unwrap(),
        Declared::Known(Some(_))
    ));
}

proptest! {
    #[test]
    fn hdr_06_header_values_come_back_and_fit_a_header(value in any::<String>()) {
        let written = encode(&value);
        prop_assert!(written.bytes().all(|b| (0x20..0x7f).contains(&b)));
        prop_assert!(!written.starts_with(' ') && !written.ends_with(' '));
        prop_assert_eq!(decode(&written), Some(value));
    }

    #[test]
    fn hdr_06_broken_base64_is_told_from_text(inner in "[A-Za-z0-9+/=%]{0,12}") {
        // Never panics, and what decodes, encodes back to the same bytes or is plain text.
        let header = format!("=?base64?{inner}?=");
        if let Some(value) = decode(&header) {
            let again = encode(&value);
            prop_assert!(decode(&again).as_deref() == Some(value.as_str()));
        }
    }

    #[test]
    fn no_frame_panics(method in "[ -~]{0,40}", params in "[\\[\\]{}:,\"a-z0-9_. -]{0,80}") {
        if let Ok(params) = serde_json::from_str::<&RawValue>(&params)
            && let Ok(frame) = Frame::read(&method, Some(params)) {
                let _ = frame.open(ProtocolRange::ALL, SessionDeclaration::Unknown, Some(&headers()));
        }
    }
}
