//! The numbered checks of the protocol, as far as they concern frames.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::*;
use crate::rig::*;

#[tokio::test]
async fn neg_13_and_era_03_both_eras_are_served_where_the_server_serves_both() {
    let mut rig = rig(set(), plain_server);
    let discover = rig
        .client
        .call(&modern(1, "server/discover", json!({})))
        .await;
    let capabilities = &discover["result"]["capabilities"];
    assert_eq!(capabilities["extensions"][ID]["maxText"], 1000);
    assert_eq!(capabilities["extensions"]["com.example/theirs"]["x"], 1.5);
    assert_eq!(discover["result"]["ttlMs"], 5);

    let echo = rig
        .client
        .call(&modern("a", ECHO, json!({"text": "hi"})))
        .await;
    assert_eq!(echo["id"], "a");
    assert_eq!(echo["result"]["text"], "hi");
    assert_eq!(echo["result"]["resultType"], "complete");
    assert_eq!(
        echo["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "plain",
        "the wrapped server's own name"
    );

    let init = rig.client.call(&initialize(2, "2025-11-25")).await;
    assert!(init["result"]["capabilities"]["extensions"][ID].is_object());
    assert_eq!(init["result"]["capabilities"]["logging"], json!({}));
    let echo = rig
        .client
        .call(&legacy(3, ECHO, json!({"text": "hi"})))
        .await;
    assert_eq!(
        echo["result"],
        json!({"text": "hi"}),
        "no resultType towards legacy"
    );
    // The session's declaration does not leak into a modern request.
    let mut undeclared = modern(4, ECHO, json!({"text": "hi"}));
    undeclared["params"]["_meta"] = modern_meta(false);
    let refused = rig.client.call(&undeclared).await;
    assert_eq!(refused["error"]["code"], -32021);
    assert!(refused["error"]["data"]["requiredCapabilities"]["extensions"][ID].is_object());
    assert!(
        !rig.methods().iter().any(|m| m == ECHO),
        "ours is not forwarded"
    );
}

#[tokio::test]
async fn neg_06_undeclared_calls_are_refused_in_both_eras() {
    let (seen, builder) = builder();
    let mut rig = rig(builder.build().unwrap(), plain_server);
    let mut init = initialize(1, "2025-06-18");
    init["params"]["capabilities"] = json!({});
    rig.client.call(&init).await;
    let refused = rig
        .client
        .call(&legacy(2, ECHO, json!({"text": "x"})))
        .await;
    assert_eq!(refused["error"]["code"], -32601);
    assert_eq!(refused["error"]["data"]["kind"], "not_declared");
    let stamp = json!({"name": GATED, "arguments": {"text": "x"}});
    let refused = rig.client.call(&legacy(3, "tools/call", stamp)).await;
    assert_eq!(refused["result"]["isError"], true);
    assert_eq!(seen.started.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn neg_11_a_malformed_declaration_of_a_session_is_refused_on_calls_of_ours_alone() {
    let mut rig = rig(set(), plain_server);
    let mut init = initialize(1, "2025-11-25");
    init["params"]["capabilities"]["extensions"] = json!({ ID: null });
    assert!(rig.client.call(&init).await.get("result").is_some());
    let refused = rig
        .client
        .call(&legacy(2, ECHO, json!({"text": "x"})))
        .await;
    assert_eq!(refused["error"]["code"], -32602);
    assert!(
        rig.client
            .call(&legacy(3, "ping", json!({})))
            .await
            .get("result")
            .is_some()
    );
}

#[tokio::test]
async fn neg_16_incomplete_meta_is_refused_for_our_methods_and_forwarded_for_theirs() {
    let mut rig = rig(set(), plain_server);
    rig.client
        .call(&modern(1, "server/discover", json!({})))
        .await;
    let mut call = modern(2, ECHO, json!({"text": "x"}));
    call["params"]["_meta"]
        .as_object_mut()
        .unwrap()
        .remove("io.modelcontextprotocol/clientCapabilities");
    assert_eq!(rig.client.call(&call).await["error"]["code"], -32602);
    call["method"] = "ping".into();
    assert!(rig.client.call(&call).await.get("result").is_some());
}

#[tokio::test]
async fn era_01_an_unknown_version_is_refused_for_our_methods() {
    let mut rig = rig(set(), plain_server);
    let mut call = modern(1, ECHO, json!({"text": "x"}));
    call["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = "2099-01-01".into();
    let refused = rig.client.call(&call).await;
    assert_eq!(refused["error"]["code"], -32022);
    assert_eq!(refused["error"]["data"]["requested"], "2099-01-01");
}

#[tokio::test]
async fn era_02_an_era_that_the_server_has_not_shown_is_not_offered() {
    // A server that knows initialize alone.
    let old = |request: &Value| match request["method"].as_str() {
        Some("server/discover") => Some(json!({"jsonrpc": "2.0", "id": request["id"],
            "error": {"code": -32601, "message": "what?"}})),
        _ => plain_server(request),
    };
    let mut rig = rig(set(), old);
    let answer = rig
        .client
        .call(&modern(1, ECHO, json!({"text": "x"})))
        .await;
    assert_eq!(
        answer["error"]["message"],
        format!("no {ECHO}"),
        "the server answers itself"
    );
    assert_eq!(rig.methods(), ["server/discover", ECHO]);
    let answer = rig
        .client
        .call(&modern(2, "server/discover", json!({})))
        .await;
    assert_eq!(
        answer["error"]["message"], "what?",
        "not offered by us either"
    );
    rig.client.call(&initialize(3, "2025-11-25")).await;
    let echo = rig
        .client
        .call(&legacy(4, ECHO, json!({"text": "x"})))
        .await;
    assert_eq!(echo["result"]["text"], "x");

    // A server that knows the modern era alone.
    let new = |request: &Value| match request["method"].as_str() {
        Some("initialize") => Some(json!({"jsonrpc": "2.0", "id": request["id"],
            "error": {"code": -32022, "message": "modern only"}})),
        _ => plain_server(request),
    };
    let mut rig = crate::rig::rig(set(), new);
    let answer = rig.client.call(&initialize(1, "2025-11-25")).await;
    assert_eq!(answer["error"]["message"], "modern only");
    assert_eq!(
        rig.client
            .call(&legacy(2, ECHO, json!({"text": "x"})))
            .await["error"]["code"],
        -32602
    );
    let echo = rig
        .client
        .call(&modern(3, ECHO, json!({"text": "x"})))
        .await;
    assert_eq!(
        echo["result"]["text"], "x",
        "without a discover of the client's"
    );
}

#[tokio::test]
async fn req_01_ids_are_strings_or_integers_and_come_back_as_they_were() {
    let mut rig = rig(set(), plain_server);
    rig.client.call(&initialize(0, "2025-11-25")).await;
    for id in [
        "1",
        "\"1\"",
        "-5",
        "9007199254740993",
        "\"\\u00fc\\n\"",
        "\"\"",
    ] {
        let frame = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{ECHO}\",\"params\":{{\"text\":\"x\"}}}}\n"
        );
        rig.client.send_raw(frame.as_bytes()).await;
        let line = String::from_utf8(rig.client.line().await).unwrap();
        assert!(line.contains(&format!("\"id\":{id},")), "{line}");
    }
    for id in ["null", "1.5", "true", "[1]", "{}"] {
        let frame = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{ECHO}\"}}\n");
        rig.client.send_raw(frame.as_bytes()).await;
        let answer = rig.client.recv().await;
        assert_eq!(answer["error"]["code"], -32600, "{id}");
        assert_eq!(answer["id"], Value::Null);
    }
}

#[tokio::test]
async fn req_18_a_request_of_ours_without_an_id_gets_no_answer_and_does_nothing() {
    let (seen, builder) = builder();
    let mut rig = rig(builder.build().unwrap(), plain_server);
    rig.client.call(&initialize(0, "2025-11-25")).await;
    rig.client
        .send(&json!({"jsonrpc": "2.0", "method": ECHO, "params": {"text": "x"}}))
        .await;
    rig.client
        .send(&json!({"jsonrpc": "2.0", "method": "notifications/com.example/desk/x"}))
        .await;
    assert!(rig.client.silent().await);
    assert_eq!(rig.methods(), ["initialize"]);
    assert_eq!(seen.started.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn sub_07_notifications_come_before_the_answer_and_never_after() {
    let mut rig = rig(set(), plain_server);
    rig.client.call(&initialize(0, "2025-11-25")).await;
    let mut call = legacy(1, ANNOUNCE, json!({"count": 3}));
    call["params"]["_meta"] = json!({"progressToken": "p"});
    rig.client.send(&call).await;
    let mut seen = Vec::new();
    loop {
        let frame = rig.client.recv().await;
        if frame.get("id").is_some() {
            assert_eq!(frame["result"]["count"], 3);
            break;
        }
        seen.push(frame);
    }
    assert_eq!(seen.len(), 6);
    let progress: Vec<_> = seen
        .iter()
        .filter(|f| f["method"] == "notifications/progress")
        .map(|f| f["params"]["progress"].as_f64().unwrap())
        .collect();
    assert_eq!(progress, [1.0, 2.0, 3.0]);
    assert!(seen.iter().any(|f| f["method"] == NOTED));
    assert!(rig.client.silent().await);
}

#[tokio::test]
async fn hdr_14_a_cancelled_call_is_dropped_and_nothing_more_is_sent() {
    let (seen, builder) = builder();
    let mut rig = rig(builder.build().unwrap(), plain_server);
    rig.client.call(&initialize(0, "2025-11-25")).await;
    rig.client
        .send(&legacy(1, WAIT, json!({"millis": 60_000})))
        .await;
    while seen.started.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    rig.client
        .send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}))
        .await;
    while seen.dropped.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(rig.client.silent().await);
    assert_eq!(rig.methods(), ["initialize"], "not forwarded");
    // The id is free again.
    let echo = rig
        .client
        .call(&legacy(1, ECHO, json!({"text": "x"})))
        .await;
    assert_eq!(echo["result"]["text"], "x");
}

#[tokio::test]
async fn req_19_calls_run_at_once_and_answers_come_as_they_are_ready() {
    let mut rig = rig(set(), plain_server);
    rig.client.call(&initialize(0, "2025-11-25")).await;
    for (id, millis) in [(1, 300), (2, 150), (3, 0)] {
        rig.client
            .send(&legacy(id, WAIT, json!({ "millis": millis })))
            .await;
    }
    rig.client.send(&legacy(4, "ping", json!({}))).await;
    let mut order = Vec::new();
    for _ in 0..4 {
        order.push(rig.client.recv().await["id"].as_i64().unwrap());
    }
    let place = |id| order.iter().position(|o| *o == id).unwrap();
    assert!(
        place(3) < place(2) && place(2) < place(1) && place(4) < place(1),
        "{order:?}"
    );
}

#[tokio::test]
async fn requests_sent_without_waiting_for_initialize_wait_for_it_here() {
    let mut rig = rig(set(), plain_server);
    let all = format!(
        "{}\n{}\n{}\n",
        initialize(1, "2025-11-25"),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        legacy(2, ECHO, json!({"text": "x"}))
    );
    rig.client.send_raw(all.as_bytes()).await;
    rig.client.close().await;
    assert_eq!(rig.client.recv().await["id"], 1);
    assert_eq!(rig.client.recv().await["result"]["text"], "x");
    assert!(
        rig.client.line().await.is_empty(),
        "then the connection closes"
    );
    rig.relay.await.unwrap();
}

#[tokio::test]
async fn at_most_the_set_s_number_of_calls_run_at_once() {
    let limits = mcp_ext_core::Limits {
        max_concurrent: 2,
        ..Default::default()
    };
    let set = builder().1.limits(limits).build().unwrap();
    let mut rig = rig(set, plain_server);
    rig.client.call(&initialize(0, "2025-11-25")).await;
    for id in 1..=3 {
        rig.client
            .send(&legacy(id, WAIT, json!({"millis": 200})))
            .await;
    }
    let busy = rig.client.recv().await;
    assert_eq!(busy["id"], 3);
    assert_eq!(busy["error"]["data"]["kind"], "busy");
    for _ in 0..2 {
        assert!(rig.client.recv().await.get("result").is_some());
    }
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_stopped() {
    let limits = mcp_ext_core::Limits {
        max_duration: Duration::from_millis(50),
        ..Default::default()
    };
    let set = builder().1.limits(limits).build().unwrap();
    let mut rig = rig(set, plain_server);
    rig.client.call(&initialize(0, "2025-11-25")).await;
    let stopped = rig
        .client
        .call(&legacy(1, WAIT, json!({"millis": 60_000})))
        .await;
    assert_eq!(stopped["error"]["data"]["kind"], "timeout");
}
