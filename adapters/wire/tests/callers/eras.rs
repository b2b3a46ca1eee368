//! Which era is spoken.

use std::time::Duration;

use mcp_ext_core::client::{Caller, CallerError, Stopped};
use mcp_ext_core::protocol::{Era, ProtocolVersion};
use mcp_ext_wire::{ClientOptions, ConnectError};
use serde_json::json;

use crate::*;

fn quick() -> ClientOptions {
    ClientOptions::default().open_timeout(Duration::from_millis(200))
}

#[tokio::test]
async fn era_07_whatever_is_no_modern_error_leads_to_initialize() {
    type Answer = fn(&serde_json::Value) -> Vec<String>;
    let answers: [(&str, Answer); 8] = [
        ("-32601", |id| vec![error(id, -32601)]),
        ("-32602", |id| vec![error(id, -32602)]),
        ("-32600", |id| vec![error(id, -32600)]),
        ("-32000", |id| vec![error(id, -32000)]),
        ("its own code", |id| vec![error(id, 1)]),
        ("an empty result", |id| vec![result(id, json!({}))]),
        ("an error that is none", |id| {
            vec![json!({"jsonrpc": "2.0", "id": id, "error": "what?"}).to_string()]
        }),
        ("silence", |_| vec![]),
    ];
    for (what, answer) in answers {
        let (stream, log) = scripted(move |frame| match frame["method"].as_str() {
            Some("server/discover") => Some(answer(&frame["id"])),
            Some("initialize") => Some(vec![result(&frame["id"], initialized("2025-06-18"))]),
            _ => Some(vec![]),
        });
        let caller = connect(stream, quick()).await;
        let caller = caller.unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(caller.era(), Era::Legacy, "{what}");
        assert_eq!(caller.version(), ProtocolVersion::V2025_06_18);
        eventually("initialized", || methods(&log).len() == 3).await;
        assert_eq!(
            methods(&log),
            ["server/discover", "initialize", "notifications/initialized"],
            "{what}"
        );
    }
}

#[tokio::test]
async fn era_07_a_modern_error_is_not_answered_with_initialize() {
    for code in [-32020, -32021] {
        let (stream, log) = scripted(move |frame| Some(vec![error(&frame["id"], code)]));
        let failed = connect(stream, quick()).await.unwrap_err();
        assert!(
            matches!(&failed, ConnectError::Failed { method: "server/discover", error: CallerError::Rpc(e) } if i64::from(e.code) == code),
            "{failed:?}"
        );
        assert_eq!(methods(&log), ["server/discover"]);
    }
}

#[tokio::test]
async fn era_08_the_versions_a_server_names_decide() {
    let unsupported = |id: &serde_json::Value, versions: &[&str]| {
        let error = json!({"code": -32022, "message": "no", "data": {"supported": versions, "requested": MODERN}});
        vec![json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string()]
    };
    let serving = |versions: &'static [&'static str]| {
        scripted(move |frame| match frame["method"].as_str() {
            Some("server/discover") => Some(unsupported(&frame["id"], versions)),
            Some("initialize") => Some(vec![result(&frame["id"], initialized("2025-11-25"))]),
            _ => Some(vec![]),
        })
    };
    let (stream, _) = serving(&["2025-11-25", "2027-01-01"]);
    assert_eq!(connect(stream, quick()).await.unwrap().era(), Era::Legacy);
    for versions in [&["2027-01-01"][..], &[]] {
        let (stream, log) = serving(versions);
        let failed = connect(stream, quick()).await.unwrap_err();
        assert!(
            matches!(&failed, ConnectError::Version { offered, .. } if offered == versions),
            "{failed:?}"
        );
        assert_eq!(methods(&log), ["server/discover"]);
    }
    // A list without ours in a result says the same.
    let (stream, _) = scripted(|frame| {
        let mut answer = discovered();
        answer["supportedVersions"] = json!(["2027-01-01"]);
        Some(vec![result(&frame["id"], answer)])
    });
    let failed = connect(stream, quick()).await.unwrap_err();
    assert!(failed.to_string().contains("2027-01-01"), "{failed}");
}

#[tokio::test]
async fn an_era_that_is_asked_for_is_the_only_one_tried() {
    let both = || {
        scripted(|frame| match frame["method"].as_str() {
            Some("server/discover") => Some(vec![result(&frame["id"], discovered())]),
            Some("initialize") => Some(vec![result(&frame["id"], initialized("2025-11-25"))]),
            _ => Some(vec![]),
        })
    };
    let (stream, log) = both();
    let caller = connect(stream, quick().era(Era::Legacy)).await.unwrap();
    assert_eq!(caller.era(), Era::Legacy);
    assert_eq!(methods(&log)[0], "initialize");
    let (stream, _) = both();
    let caller = connect(stream, quick().era(Era::Modern)).await.unwrap();
    assert_eq!(caller.era(), Era::Modern);
    assert!(caller.server().contains_key("supportedVersions"));

    let (stream, log) = scripted(|frame| Some(vec![error(&frame["id"], -32601)]));
    let failed = connect(stream, quick().era(Era::Modern)).await.unwrap_err();
    assert!(matches!(failed, ConnectError::Failed { .. }), "{failed:?}");
    assert_eq!(methods(&log), ["server/discover"]);
    let (stream, _) = scripted(|frame| Some(vec![error(&frame["id"], -32601)]));
    let failed = connect(stream, quick()).await.unwrap_err();
    assert!(matches!(failed, ConnectError::Neither { .. }), "{failed:?}");
}

#[tokio::test]
async fn an_initialize_that_cannot_be_believed_is_refused() {
    for (answer, expected) in [
        (json!([]), "object"),
        (json!({"capabilities": {}}), "protocolVersion"),
        (json!({"protocolVersion": 3}), "protocolVersion"),
        (initialized("2027-01-01"), "2027-01-01"),
        // The handshake is none of that era.
        (initialized(MODERN), MODERN),
        (initialized("1\u{1b}[2J"), "1[2J"),
    ] {
        let (stream, log) = scripted(move |frame| Some(vec![result(&frame["id"], answer.clone())]));
        let options = quick().era(Era::Legacy);
        let failed = connect(stream, options).await.unwrap_err().to_string();
        assert!(failed.contains(expected), "{failed}");
        assert!(!failed.contains('\u{1b}'), "{failed:?}");
        assert_eq!(methods(&log), ["initialize"]);
    }
    let (stream, _) = scripted(|_| Some(vec![]));
    let failed = connect(stream, quick()).await.unwrap_err();
    let ConnectError::Neither { modern, legacy } = failed else {
        panic!("{failed:?}")
    };
    for error in [modern, legacy] {
        assert!(matches!(stopped(*error), Stopped::TimedOut { .. }));
    }
}

#[tokio::test]
async fn neg_15_each_modern_request_says_version_and_capabilities() {
    let capabilities = json!({"elicitation": {}}).as_object().unwrap().clone();
    let options = ClientOptions::default()
        .name("me", "2")
        .declare(JsonObject::from_iter([(
            "com.example/a".to_owned(),
            json!({"x": 1}),
        )]))
        .capabilities(capabilities);
    let (caller, log) = modern(options, |frame| Some(vec![result(&frame["id"], json!({}))])).await;
    let mut request = outgoing("com.example/b/c", json!({"p": 1}));
    request.declare = JsonObject::from_iter([("com.example/b".to_owned(), json!({}))]);
    caller.call(request).await.unwrap();
    call(&caller, "tools/list").await.unwrap();
    let log = log.lock().unwrap();
    for frame in log.iter() {
        let meta = &frame["params"]["_meta"];
        assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], MODERN);
        let capabilities = &meta["io.modelcontextprotocol/clientCapabilities"];
        assert_eq!(capabilities["elicitation"], json!({}), "{frame}");
        assert_eq!(capabilities["extensions"]["com.example/a"]["x"], 1);
        assert_eq!(meta["io.modelcontextprotocol/clientInfo"]["name"], "me");
        let declares = capabilities["extensions"].get("com.example/b").is_some();
        // For one request alone (NEG-4).
        assert_eq!(declares, frame["method"] == "com.example/b/c", "{frame}");
    }
    assert_eq!(log[1]["params"]["p"], 1);
}

#[tokio::test]
async fn a_legacy_server_is_told_once_and_on_each_call() {
    let options = ClientOptions::default().declare(JsonObject::from_iter([(
        "com.example/a".to_owned(),
        json!({"x": 1}),
    )]));
    let (caller, log) = legacy(options, |frame| Some(vec![result(&frame["id"], json!({}))])).await;
    call(&caller, "com.example/a/b").await.unwrap();
    let log = log.lock().unwrap();
    let params = &log[1]["params"];
    assert_eq!(params["protocolVersion"], "2025-11-25");
    assert_eq!(
        params["capabilities"]["extensions"]["com.example/a"]["x"],
        1
    );
    let meta = &log[3]["params"]["_meta"];
    assert_eq!(
        meta["io.modelcontextprotocol/clientCapabilities"]["extensions"]["com.example/a"]["x"],
        1
    );
    // Nothing of the other era.
    assert_eq!(meta.as_object().unwrap().len(), 1, "{meta}");
}
