//! Sessions of the legacy era, and servers without them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Method;
use serde_json::json;

use crate::common::*;
use crate::rig::*;
use crate::server::*;

#[tokio::test]
async fn era_03_a_session_keeps_what_initialize_declared() {
    let rig = rig(set(), plain).await;
    let init = post(rig.address, &[], &initialize(1, "2025-11-25")).await;
    assert_eq!(init.headers["mcp-session-id"], SESSION);
    assert!(init.json()["result"]["capabilities"]["extensions"][ID].is_object());
    let session = [
        ("mcp-session-id", SESSION),
        ("mcp-protocol-version", "2025-11-25"),
    ];
    let echo = post(
        rig.address,
        &session,
        &legacy(2, ECHO, json!({"text": "x"})),
    )
    .await;
    assert_eq!(echo.json()["result"], json!({"text": "x"}));
    let bad = post(rig.address, &session, &legacy(3, ECHO, json!({"text": 5}))).await;
    assert_eq!(
        (bad.status, bad.json()["error"]["code"].as_i64()),
        (200, Some(-32602))
    );
    let list = post(rig.address, &session, &legacy(4, "tools/list", json!({}))).await;
    assert_eq!(list.json()["result"]["tools"].as_array().unwrap().len(), 3);
    // A modern request on the same endpoint does not see the session.
    let mut undeclared = modern(5, ECHO, json!({"text": "x"}));
    undeclared["params"]["_meta"] = modern_meta(false);
    assert_eq!(modern_post(rig.address, &[], &undeclared).await.status, 400);
}

#[tokio::test]
async fn neg_06_a_session_that_did_not_declare_is_refused_with_status_200() {
    let rig = rig(set(), plain).await;
    let mut init = initialize(1, "2025-06-18");
    init["params"]["capabilities"] = json!({});
    post(rig.address, &[], &init).await;
    let session = [("mcp-session-id", SESSION)];
    let refused = post(
        rig.address,
        &session,
        &legacy(2, ECHO, json!({"text": "x"})),
    )
    .await;
    assert_eq!(refused.status, 200);
    assert_eq!(refused.json()["error"]["code"], -32601);
    assert_eq!(refused.json()["error"]["data"]["kind"], "not_declared");
}

#[tokio::test]
async fn sessions_that_are_unknown_or_ended_are_the_server_s_to_answer() {
    let rig = rig(set(), plain).await;
    let call = legacy(2, ECHO, json!({"text": "x"}));
    let unknown = post(rig.address, &[("mcp-session-id", "no-such")], &call).await;
    assert_eq!(unknown.status, 404);
    assert_eq!(
        post(rig.address, &[], &call).await.status,
        404,
        "no session at all"
    );
    assert_eq!(rig.methods(), [ECHO, ECHO]);

    post(rig.address, &[], &initialize(1, "2025-11-25")).await;
    let session = [("mcp-session-id", SESSION)];
    assert_eq!(post(rig.address, &session, &call).await.status, 200);
    let ended = open(
        rig.address,
        Method::DELETE,
        "/mcp",
        &session,
        Default::default(),
    )
    .await;
    assert_eq!(ended.status(), 200);
    rig.clear();
    post(rig.address, &session, &call).await;
    assert_eq!(rig.methods(), [ECHO], "forwarded");
}

#[tokio::test]
async fn a_server_without_sessions_loses_the_declaration_and_says_so() {
    let rig = rig(set(), stateless).await;
    post(rig.address, &[], &initialize(1, "2025-11-25")).await;
    let call = legacy(2, ECHO, json!({"text": "x"}));
    let unknown = post(rig.address, &[], &call).await;
    assert_eq!(
        (unknown.status, unknown.json()["error"]["code"].as_i64()),
        (200, Some(-32601))
    );
    assert_eq!(
        unknown.json()["error"]["data"]["kind"],
        "declaration_unknown"
    );
    let mut repeated = call;
    repeated["params"]["_meta"] =
        json!({"io.modelcontextprotocol/clientCapabilities": {"extensions": {ID: {}}}});
    let echo = post(rig.address, &[], &repeated).await;
    assert_eq!(echo.json()["result"]["text"], "x");
    assert_eq!(rig.methods(), ["initialize"]);
}

#[tokio::test]
async fn a_cancelled_request_of_a_session_ends_here() {
    let (seen, builder) = builder();
    let rig = rig(builder.build().unwrap(), plain).await;
    post(rig.address, &[], &initialize(1, "2025-11-25")).await;
    let session = [("mcp-session-id", SESSION)];
    let address = rig.address;
    let call = tokio::spawn(async move {
        post(
            address,
            &[("mcp-session-id", SESSION)],
            &legacy(7, WAIT, json!({"millis": 60_000})),
        )
        .await
    });
    while seen.started.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let again = post(address, &session, &legacy(7, ECHO, json!({"text": "x"}))).await;
    assert_eq!(again.json()["error"]["data"]["kind"], "duplicate_id");
    let cancel = |id: i32| json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
    assert_eq!(post(address, &session, &cancel(7)).await.status, 202);
    let ended = call.await.unwrap();
    assert!(ended.body.is_empty(), "{ended:?}");
    assert_eq!(seen.dropped.load(Ordering::SeqCst), 1);
    assert_eq!(post(address, &session, &cancel(8)).await.status, 202);
    assert_eq!(
        rig.methods(),
        ["initialize", "notifications/cancelled"],
        "the other one is the server's"
    );
}
