//! The traps that were found in front of real servers, as far as they concern frames.

use std::sync::atomic::{AtomicUsize, Ordering};

use mcp_ext_core::Limits;
use serde_json::{Value, json};

use crate::common::*;
use crate::rig::*;

fn names(answer: &Value) -> Vec<&str> {
    let tools = answer["result"]["tools"].as_array();
    tools.map_or(Vec::new(), |tools| {
        tools.iter().filter_map(|t| t["name"].as_str()).collect()
    })
}

#[tokio::test]
async fn trap_02_meta_reaches_no_strict_params_but_the_handler() {
    let mut rig = rig(set(), plain_server);
    rig.client.call(&initialize(0, "2025-11-25")).await;
    let mut call = legacy(1, ANNOUNCE, json!({"count": 1}));
    call["params"]["_meta"] = json!({"progressToken": 7, "x.example/y": {}});
    let progress = rig.client.call(&call).await;
    assert_eq!(progress["params"]["progressToken"], 7);
}

#[tokio::test]
async fn trap_03_a_request_with_neither_meta_nor_session_is_refused() {
    let (seen, builder) = builder();
    let mut rig = rig(builder.build().unwrap(), plain_server);
    for frame in [
        legacy(1, ECHO, json!({"text": "x"})),
        legacy(
            2,
            "tools/call",
            json!({"name": TOOL, "arguments": {"text": "x"}}),
        ),
    ] {
        let refused = rig.client.call(&frame).await;
        assert_eq!(refused["error"]["code"], -32602, "{refused}");
    }
    assert_eq!(seen.started.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn trap_07_ids_are_tracked_per_direction() {
    let mut bench = bench(set());
    bench.client.send(&initialize(1, "2025-11-25")).await;
    bench.server.recv().await;
    // A request of the server has the id that initialize has, and comes first.
    let sampling = json!({"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage", "params": {"x": 1.0}});
    bench.server.send(&sampling).await;
    assert_eq!(bench.client.recv().await, sampling);
    let answer = json!({"jsonrpc": "2.0", "id": 1, "result": {"capabilities": {}, "tools": []}});
    bench.client.send(&answer).await;
    assert_eq!(bench.server.recv().await, answer);
    bench
        .server
        .send(&json!({"jsonrpc": "2.0", "id": 1, "result": {"protocolVersion": "2025-11-25", "capabilities": {}}}))
        .await;
    let init = bench.client.recv().await;
    assert!(init["result"]["capabilities"]["extensions"][ID].is_object());
    assert_eq!(init["result"]["capabilities"]["tools"], json!({}));
    // Unknown and string ids of answers are nobody's.
    for id in [json!(99), json!("1"), Value::Null] {
        let stray = json!({"jsonrpc": "2.0", "id": id, "result": {"capabilities": {}}});
        bench.server.send(&stray).await;
        assert_eq!(bench.client.recv().await, stray);
    }
}

#[tokio::test]
async fn trap_07_cancellations_end_where_the_request_was_answered() {
    let mut bench = bench(set());
    let cancel = |id: Value| json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
    bench.client.send(&initialize(1, "2025-11-25")).await;
    bench.server.recv().await;
    bench
        .server
        .send(&json!({"jsonrpc": "2.0", "id": 1, "result": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}}}))
        .await;
    bench.client.recv().await;
    bench
        .client
        .call(&legacy(2, ECHO, json!({"text": "x"})))
        .await;
    // Late for ours; the other one is the server's.
    bench.client.send(&cancel(2.into())).await;
    bench.client.send(&cancel("2".into())).await;
    bench.client.send(&cancel(77.into())).await;
    assert_eq!(bench.server.recv().await, cancel("2".into()));
    assert_eq!(bench.server.recv().await, cancel(77.into()));
    // The id is used again, for a request of the server's.
    bench.client.send(&legacy(2, "tools/list", json!({}))).await;
    bench.client.send(&cancel(2.into())).await;
    assert_eq!(bench.server.recv().await["method"], "tools/list");
    assert_eq!(bench.server.recv().await, cancel(2.into()));
}

#[tokio::test]
async fn trap_07_batches_of_2025_03_26_are_split() {
    let mut rig = rig(set(), |request| {
        let batch = request.as_array();
        match batch {
            Some(batch) => Some(batch.iter().filter_map(plain_server).collect()),
            None => plain_server(request),
        }
    });
    rig.client.call(&initialize(0, "2025-03-26")).await;
    let batch = json!([
        legacy(1, ECHO, json!({"text": "x"})),
        legacy(2, "ping", json!({})),
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        legacy(3, ECHO, json!({"text": 5})),
        legacy(4, "tools/list", json!({})),
    ]);
    rig.client.send(&batch).await;
    let mut answers = Vec::new();
    for _ in 0..2 {
        answers.extend(rig.client.recv().await.as_array().unwrap().clone());
    }
    answers.sort_by_key(|a| a["id"].as_i64());
    assert_eq!(answers.len(), 4);
    assert_eq!(answers[0]["result"]["text"], "x");
    assert_eq!(answers[1]["result"], json!({}));
    assert_eq!(answers[2]["error"]["code"], -32602);
    assert_eq!(names(&answers[3]), ["add", TOOL, GATED]);
    let forwarded: Value = serde_json::from_str(&rig.got.lock().unwrap()[1]).unwrap();
    assert_eq!(forwarded.as_array().unwrap().len(), 3);
    // Nothing of ours: the same bytes.
    let theirs = b" [ {\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"ping\"} ]\r\n";
    rig.client.send_raw(theirs).await;
    rig.client.recv().await;
    assert_eq!(rig.got.lock().unwrap()[2].as_bytes(), theirs);
}

#[tokio::test]
async fn trap_07_newer_revisions_have_no_batches_so_the_server_answers_them() {
    let mut bench = bench(set());
    bench.client.send(&initialize(0, "2025-06-18")).await;
    bench.server.recv().await;
    bench
        .server
        .send(&json!({"jsonrpc": "2.0", "id": 0, "result": {"protocolVersion": "2025-06-18"}}))
        .await;
    bench.client.recv().await;
    let batch = json!([legacy(1, ECHO, json!({"text": "x"}))]);
    bench.client.send(&batch).await;
    assert_eq!(bench.server.recv().await, batch);
}

#[tokio::test]
async fn trap_07_contributed_tools_stand_on_the_first_page_alone() {
    let paged = |request: &Value| match request["method"].as_str() {
        Some("tools/list") => {
            let first = request["params"].get("cursor").is_none();
            let tools = json!([{"name": if first {"a"} else {"b"}, "inputSchema": {}}]);
            let mut result = json!({ "tools": tools });
            if first {
                result["nextCursor"] = "2".into();
            }
            Some(json!({"jsonrpc": "2.0", "id": request["id"], "result": result}))
        }
        _ => plain_server(request),
    };
    let mut rig = rig(set(), paged);
    rig.client.call(&initialize(0, "2025-11-25")).await;
    let first = rig.client.call(&legacy(1, "tools/list", json!({}))).await;
    assert_eq!(names(&first), ["a", TOOL, GATED]);
    assert_eq!(first["result"]["nextCursor"], "2");
    let second = rig
        .client
        .call(&legacy(2, "tools/list", json!({"cursor": "2"})))
        .await;
    assert_eq!(names(&second), ["b"]);
    let empty_cursor = rig
        .client
        .call(&legacy(3, "tools/list", json!({"cursor": ""})))
        .await;
    assert_eq!(names(&empty_cursor), ["b"], "an empty cursor is a cursor");
}

#[tokio::test]
async fn trap_07_a_server_without_tools_gets_a_list() {
    // It says so in its capabilities: it is not even asked.
    let bare = |request: &Value| {
        let mut answer = plain_server(request)?;
        match request["method"].as_str() {
            Some("initialize" | "server/discover") => {
                answer["result"]["capabilities"]
                    .as_object_mut()?
                    .remove("tools");
            }
            Some("tools/list" | "tools/call") => {
                panic!("a server without tools was asked for them")
            }
            _ => {}
        }
        Some(answer)
    };
    let mut rig = rig(set(), bare);
    let init = rig.client.call(&initialize(0, "2025-11-25")).await;
    assert_eq!(init["result"]["capabilities"]["tools"], json!({}));
    let list = rig.client.call(&legacy(1, "tools/list", json!({}))).await;
    assert_eq!(
        list["result"].as_object().unwrap().len(),
        1,
        "no cache hints towards legacy"
    );
    assert_eq!(names(&list), [TOOL, GATED]);
    let unknown = rig
        .client
        .call(&legacy(
            2,
            "tools/call",
            json!({"name": "no", "arguments": {}}),
        ))
        .await;
    assert_eq!(unknown["error"]["code"], -32602);
    let cursor = rig
        .client
        .call(&legacy(3, "tools/list", json!({"cursor": "x"})))
        .await;
    assert_eq!(cursor["error"]["code"], -32602);
    let discover = rig
        .client
        .call(&modern(4, "server/discover", json!({})))
        .await;
    assert_eq!(discover["result"]["capabilities"]["tools"], json!({}));
    let list = rig.client.call(&modern(5, "tools/list", json!({}))).await;
    assert_eq!(names(&list), [TOOL, GATED]);
    assert_eq!(list["result"]["resultType"], "complete");
    assert_eq!(list["result"]["cacheScope"], "public");
    assert!(list["result"]["ttlMs"].as_u64().is_some());

    // It claims to have some, or was not asked, and does not know the method.
    let liar = |request: &Value| match request["method"].as_str() {
        Some("tools/list") => Some(
            json!({"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32601, "message": "no"}}),
        ),
        _ => plain_server(request),
    };
    let mut rig = crate::rig::rig(set(), liar);
    let list = rig.client.call(&modern("l", "tools/list", json!({}))).await;
    assert_eq!(names(&list), [TOOL, GATED]);
    assert_eq!(list["id"], "l");
    // Another error is the server's own word.
    let broken = |request: &Value| {
        Some(
            json!({"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32603, "message": "disk"}}),
        )
    };
    let mut rig = crate::rig::rig(set(), broken);
    let list = rig.client.call(&modern(1, "tools/list", json!({}))).await;
    assert_eq!(list["error"]["message"], "disk");
}

#[tokio::test]
async fn trap_08_lists_that_depend_on_the_client_are_private_and_stale() {
    let set = builder().1.filter_lists(true).build().unwrap();
    let mut rig = rig(set, plain_server);
    let list = rig.client.call(&modern(1, "tools/list", json!({}))).await;
    assert_eq!(names(&list), ["add", TOOL, GATED]);
    assert_eq!(list["result"]["cacheScope"], "private");
    assert_eq!(list["result"]["ttlMs"], 0);
    let mut undeclared = modern(2, "tools/list", json!({"cursor": "x"}));
    undeclared["params"]["_meta"] = modern_meta(false);
    let list = rig.client.call(&undeclared).await;
    assert_eq!(names(&list), ["add"]);
    assert_eq!(list["result"]["cacheScope"], "private");
    rig.client.call(&initialize(3, "2025-11-25")).await;
    let list = rig.client.call(&legacy(4, "tools/list", json!({}))).await;
    assert_eq!(names(&list), ["add", TOOL, GATED]);
    assert!(list["result"].get("ttlMs").is_none() && list["result"].get("cacheScope").is_none());
}

#[tokio::test]
async fn a_tool_of_the_server_keeps_its_name() {
    let same = |request: &Value| match request["method"].as_str() {
        Some("tools/list") => Some(json!({"jsonrpc": "2.0", "id": request["id"], "result":
            {"tools": [{"name": TOOL, "description": "theirs", "inputSchema": {}}]}})),
        _ => plain_server(request),
    };
    let mut rig = rig(set(), same);
    rig.client.call(&initialize(0, "2025-11-25")).await;
    let list = rig.client.call(&legacy(1, "tools/list", json!({}))).await;
    assert_eq!(names(&list), [TOOL, GATED]);
    assert_eq!(list["result"]["tools"][0]["description"], "theirs");
    let call = json!({"name": TOOL, "arguments": {"text": "x"}});
    let answer = rig.client.call(&legacy(2, "tools/call", call)).await;
    assert_eq!(
        answer["result"]["content"][0]["text"], "3",
        "the server's tool ran"
    );
}

#[tokio::test]
async fn an_extension_of_the_server_stays_its_own() {
    let same = |request: &Value| {
        let id = request["id"].clone();
        match request["method"].as_str() {
            Some("initialize") => Some(
                json!({"jsonrpc": "2.0", "id": id, "result": {"protocolVersion": "2025-11-25",
                "capabilities": {"extensions": {ID: {"own": true}}}}}),
            ),
            Some(ECHO) => Some(json!({"jsonrpc": "2.0", "id": id, "result": {"text": "theirs"}})),
            _ => plain_server(request),
        }
    };
    let mut rig = rig(set(), same);
    let init = rig.client.call(&initialize(0, "2025-11-25")).await;
    assert_eq!(
        init["result"]["capabilities"]["extensions"][ID],
        json!({"own": true})
    );
    let answer = rig
        .client
        .call(&legacy(1, ECHO, json!({"text": "x"})))
        .await;
    assert_eq!(answer["result"]["text"], "theirs");
}

#[tokio::test]
async fn merged_answers_keep_every_other_byte() {
    let mut bench = bench(set());
    bench
        .client
        .send(&modern(1, "server/discover", json!({})))
        .await;
    bench.server.recv().await;
    let line = "\u{feff} {\"id\" : 1,\"z\":1.00, \"result\":{\"b\":1e400,\"capabilities\":{ \"tools\" :{},\"extensions\":{ } },\
                \"a\":\"\\u00e9\",\"supportedVersions\":[\"2026-07-28\"]} ,\"jsonrpc\":\"2.0\"}\r\n";
    bench.server.send_raw(line.as_bytes()).await;
    let got = String::from_utf8(bench.client.line().await).unwrap();
    let (head, tail) = line.split_once("\"extensions\":{ ").unwrap();
    let inserted = got
        .strip_prefix(&format!("{head}\"extensions\":{{ "))
        .and_then(|rest| rest.strip_suffix(tail))
        .unwrap_or_else(|| panic!("{got}"));
    assert!(inserted.starts_with(&format!("\"{ID}\":{{")), "{inserted}");
    // And a list, whose digits survive.
    bench.client.send(&modern(2, "tools/list", json!({}))).await;
    bench.server.recv().await;
    let line = "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"tools\":[],\"x\":0.10}}\n";
    bench.server.send_raw(line.as_bytes()).await;
    let got = String::from_utf8(bench.client.line().await).unwrap();
    assert!(
        got.starts_with("{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"tools\":[{"),
        "{got}"
    );
    assert!(got.ends_with("}],\"x\":0.10}}\n"), "{got}");
}

#[tokio::test]
async fn a_slow_server_is_asked_once_and_a_late_answer_still_counts() {
    let mut bench = bench_with(
        set(),
        mcp_ext_wire::RelayOptions {
            discover_timeout: std::time::Duration::from_millis(50),
            ..Default::default()
        },
        4096,
    );
    for id in [1, 2] {
        bench
            .client
            .send(&modern(id, ECHO, json!({"text": "x"})))
            .await;
    }
    let probe = bench.server.recv().await;
    assert_eq!(probe["method"], "server/discover");
    // No answer in time: both are handed on as they came.
    let mut ids = [
        bench.server.recv().await["id"].as_i64(),
        bench.server.recv().await["id"].as_i64(),
    ];
    ids.sort();
    assert_eq!(ids, [Some(1), Some(2)]);
    let discovered = json!({"jsonrpc": "2.0", "id": probe["id"], "result": {"supportedVersions": ["2026-07-28"]}});
    bench.server.send(&discovered).await;
    bench
        .server
        .send(&json!({"jsonrpc": "2.0", "id": 1, "result": {}}))
        .await;
    assert_eq!(
        bench.client.recv().await["id"],
        1,
        "the answer to our own question is not the client's"
    );
    let echo = bench
        .client
        .call(&modern(3, ECHO, json!({"text": "x"})))
        .await;
    assert_eq!(echo["result"]["text"], "x");
}

#[tokio::test]
async fn what_is_held_when_the_client_ends_still_gets_to_the_server() {
    for shown in [true, false] {
        let mut bench = bench(set());
        let call = modern(1, ECHO, json!({"text": "x"}));
        bench.client.send(&call).await;
        bench.client.close().await;
        let probe = bench.server.recv().await;
        assert_eq!(probe["method"], "server/discover");
        let answer = match shown {
            true => {
                json!({"jsonrpc": "2.0", "id": probe["id"], "result": {"supportedVersions": ["2026-07-28"]}})
            }
            false => {
                json!({"jsonrpc": "2.0", "id": probe["id"], "error": {"code": -32601, "message": "?"}})
            }
        };
        bench.server.send(&answer).await;
        if shown {
            assert_eq!(bench.client.recv().await["result"]["text"], "x");
        } else {
            // Not the server's era: it is to answer itself.
            assert_eq!(bench.server.recv().await, call);
            let theirs = json!({"jsonrpc": "2.0", "id": 1, "result": {"theirs": true}});
            bench.server.send(&theirs).await;
            assert_eq!(bench.client.recv().await, theirs);
        }
        assert_eq!(bench.server.line().await, b"", "then its input ends");
        bench.server.close().await;
        bench.relay.await.unwrap();
    }
}

#[tokio::test]
async fn forwarded_lists_under_way_are_bounded() {
    let got = std::sync::Arc::new(AtomicUsize::new(0));
    let count = got.clone();
    let mut rig = rig(
        builder().1.limits(Limits::default()).build().unwrap(),
        move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            None
        },
    );
    for id in 0..1024 {
        rig.client.send(&legacy(id, "tools/list", json!({}))).await;
    }
    let busy = rig
        .client
        .call(&legacy(1024, "tools/list", json!({})))
        .await;
    assert_eq!(busy["error"]["data"]["kind"], "busy");
    assert_eq!(got.load(Ordering::SeqCst), 1024);
}
