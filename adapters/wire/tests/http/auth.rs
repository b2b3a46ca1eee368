//! Nothing is answered to a caller that the server would not take.

use std::sync::atomic::Ordering;
use std::time::Duration;

use mcp_ext_wire::{Auth, HttpOptions, ProxyError, ProxyOptions, proxy};
use serde_json::json;

use crate::common::*;
use crate::rig::*;
use crate::server::*;

#[tokio::test]
async fn refusals_of_the_server_are_relayed_word_for_word() {
    let (seen, builder) = builder();
    let rig = rig(builder.build().unwrap(), guarded).await;
    let call = modern(1, ECHO, json!({"text": "x"}));
    let refused = modern_post(rig.address, &[], &call).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.text(), "who are you?");
    assert_eq!(
        refused.headers["www-authenticate"],
        "Bearer resource_metadata=\"https://example.com/x\""
    );
    let refused = modern_post(rig.address, &[("authorization", "Bearer bad")], &call).await;
    assert_eq!(
        (refused.status, refused.text().as_str()),
        (403, "you may not")
    );
    // Nothing is learnt from the envelope either.
    let refused = post(
        rig.address,
        &[("mcp-protocol-version", "2026-07-28")],
        &call,
    )
    .await;
    assert_eq!(refused.status, 401);
    assert_eq!(seen.started.load(Ordering::SeqCst), 0);
    let taken = modern_post(rig.address, &[("authorization", "Bearer good")], &call).await;
    assert_eq!(taken.json()["result"]["text"], "x");
    let asked = rig.got.lock().unwrap().last().unwrap().clone();
    assert_eq!(
        asked.headers["authorization"], "Bearer good",
        "the caller's own headers"
    );
    assert_eq!(asked.headers["mcp-method"], "server/discover");
    assert!(!asked.headers.contains_key("mcp-name"));
}

#[tokio::test]
async fn each_pair_of_authorization_and_origin_is_asked_about() {
    let rig = rig(set(), guarded).await;
    let call = modern(1, ECHO, json!({"text": "x"}));
    let good = ("authorization", "Bearer good");
    let callers: [&[(&str, &str)]; 5] = [
        &[good],
        &[("authorization", "Bearer other")],
        &[good, ("origin", "https://a.example")],
        &[good, ("origin", "https://b.example")],
        // Credentials of any other kind count too.
        &[good, ("x-api-key", "k")],
    ];
    for caller in callers {
        rig.clear();
        for _ in 0..3 {
            assert_eq!(modern_post(rig.address, caller, &call).await.status, 200);
        }
        assert_eq!(rig.methods(), ["server/discover"], "{caller:?}");
    }
    // What says nothing about the caller does not.
    rig.clear();
    let other = [good, ("user-agent", "x"), ("accept-language", "de")];
    modern_post(rig.address, &other, &call).await;
    assert!(rig.methods().is_empty());
}

#[tokio::test]
async fn a_caller_is_remembered_for_a_while_only() {
    let options = HttpOptions {
        remember: Duration::from_millis(200),
        ..Default::default()
    };
    let rig = rig_with(set(), options, guarded).await;
    let good = [("authorization", "Bearer good")];
    let call = modern(1, ECHO, json!({"text": "x"}));
    modern_post(rig.address, &good, &call).await;
    tokio::time::sleep(Duration::from_millis(250)).await;
    modern_post(rig.address, &good, &call).await;
    assert_eq!(rig.methods(), ["server/discover", "server/discover"]);
    // A discover of the client's own counts as well.
    tokio::time::sleep(Duration::from_millis(250)).await;
    modern_post(rig.address, &good, &modern(2, "server/discover", json!({}))).await;
    modern_post(rig.address, &good, &call).await;
    assert_eq!(rig.methods().len(), 3);
}

#[tokio::test]
async fn a_session_is_no_credential() {
    let rig = rig(set(), guarded).await;
    let good = ("authorization", "Bearer good");
    post(rig.address, &[good], &initialize(1, "2025-11-25")).await;
    let call = legacy(2, ECHO, json!({"text": "x"}));
    let session = ("mcp-session-id", SESSION);
    assert_eq!(
        post(rig.address, &[good, session], &call).await.json()["result"]["text"],
        "x"
    );
    assert_eq!(
        rig.methods(),
        ["initialize"],
        "the client's own initialize was taken"
    );
    assert_eq!(post(rig.address, &[session], &call).await.status, 401);
    let other = post(
        rig.address,
        &[("authorization", "Bearer other"), session],
        &call,
    )
    .await;
    assert_eq!(other.status, 200);
    assert_eq!(
        rig.methods(),
        ["initialize", "ping", "ping"],
        "asked in the session itself"
    );
}

#[tokio::test]
async fn without_authentication_only_loopback_origins_are_taken() {
    let options = HttpOptions {
        auth: Auth::None,
        ..Default::default()
    };
    let rig = rig_with(set(), options, plain).await;
    let call = modern(1, ECHO, json!({"text": "x"}));
    for (origin, status) in [
        ("http://localhost:3000", 200),
        ("http://127.0.0.1", 200),
        ("http://[::1]:80", 200),
        ("https://evil.example", 403),
        ("https://localhost.evil.example", 403),
        ("null", 403),
    ] {
        let answer = modern_post(rig.address, &[("origin", origin)], &call).await;
        assert_eq!(answer.status, status, "{origin}");
    }
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let options = ProxyOptions {
        http: options,
        ..Default::default()
    };
    let url = "http://127.0.0.1:1/mcp".parse().unwrap();
    let error = proxy(set(), listener, url, options, std::future::pending())
        .await
        .unwrap_err();
    assert!(matches!(error, ProxyError::NotLoopback(_)), "{error}");
}
