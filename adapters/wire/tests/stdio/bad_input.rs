//! Frames that are broken, huge or repeated, and peers that are gone.

use std::time::Duration;

use mcp_ext_wire::{Ended, RelayOptions};
use serde_json::{Value, json};

use crate::common::*;
use crate::rig::*;

async fn in_session(bench: &mut Bench) {
    bench.client.send(&initialize("init", "2025-11-25")).await;
    let request = bench.server.recv().await;
    bench.server.send(&plain_server(&request).unwrap()).await;
    bench.client.recv().await;
}

#[tokio::test]
async fn what_is_not_a_message_and_not_ours_is_forwarded_as_it_is() {
    let mut bench = bench(set());
    for line in [
        &b"not json\n"[..],
        b"\xff\xfe\x00\n",
        b"\n",
        b" \t\r\n",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"pi\n",
        b"{\"id\":1,\"method\":5}\n",
        b"{\"id\":1,\"id\":2,\"method\":\"ping\"}\n",
        b"\xef\xbb\xbf{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\r\n",
        b"5\n",
        b"[]\n",
        b"[1,[2]]\n",
        b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":[]}\n",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":7}}\n",
    ] {
        bench.client.send_raw(line).await;
        assert_eq!(bench.server.line().await, line);
        bench.server.send_raw(line).await;
        assert_eq!(bench.client.line().await, line);
    }
    bench.client.send_raw(b"no line end").await;
    bench.client.close().await;
    assert_eq!(bench.server.line().await, b"no line end");
}

#[tokio::test]
async fn a_broken_frame_that_names_a_method_of_ours_is_answered() {
    let mut bench = bench(set());
    for (frame, id, code) in [
        (
            format!("{{\"id\":7,\"method\":\"{ECHO}\",\"params\":{{"),
            json!(7),
            -32700,
        ),
        (
            format!("{{\"method\":\"{ECHO}\",\"params\":nope}}"),
            Value::Null,
            -32700,
        ),
        (
            format!("{{\"id\":1,\"id\":2,\"method\":\"{ECHO}\"}}"),
            json!(2),
            -32600,
        ),
        (
            format!("{{\"id\":\"a\",\"method\":\"{ECHO}\"}}"),
            json!("a"),
            -32600,
        ),
        (
            format!("{{\"jsonrpc\":\"1.0\",\"id\":3,\"method\":\"{ECHO}\"}}"),
            json!(3),
            -32600,
        ),
    ] {
        bench.client.send_raw(format!("{frame}\n").as_bytes()).await;
        let answer = bench.client.recv().await;
        assert_eq!(
            (&answer["id"], answer["error"]["code"].as_i64()),
            (&id, Some(code)),
            "{frame}"
        );
    }
    let mut bytes =
        format!("{{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"{ECHO}\",\"params\":{{\"text\":\"")
            .into_bytes();
    bytes.extend(b"\xff\"}}\n");
    bench.client.send_raw(&bytes).await;
    assert_eq!(
        bench.client.recv().await["error"]["code"],
        -32700,
        "invalid UTF-8"
    );
}

#[tokio::test]
async fn params_that_are_no_object_are_refused() {
    let mut bench = bench(set());
    in_session(&mut bench).await;
    for params in ["[]", "5", "\"x\"", "{\"_meta\":[]}"] {
        let frame =
            format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{ECHO}\",\"params\":{params}}}\n");
        bench.client.send_raw(frame.as_bytes()).await;
        assert_eq!(
            bench.client.recv().await["error"]["code"],
            -32602,
            "{params}"
        );
    }
}

#[tokio::test]
async fn an_id_that_is_under_way_is_refused() {
    let mut bench = bench(set());
    in_session(&mut bench).await;
    bench
        .client
        .send(&legacy(1, WAIT, json!({"millis": 200})))
        .await;
    let again = bench
        .client
        .call(&legacy(1, ECHO, json!({"text": "x"})))
        .await;
    assert_eq!(again["error"]["data"]["kind"], "duplicate_id");
    assert!(bench.client.recv().await.get("result").is_some());
    let other = bench
        .client
        .call(&legacy("1", ECHO, json!({"text": "x"})))
        .await;
    assert!(other.get("result").is_some());
}

fn small() -> RelayOptions {
    RelayOptions {
        max_frame_bytes: 100_000,
        ..Default::default()
    }
}

#[tokio::test]
async fn a_frame_above_the_bound_is_answered_for_whoever_waits() {
    let mut bench = bench_with(set(), small(), 64 * 1024);
    let filler = "x".repeat(300_000);
    // A request of the client, ours or not.
    for (frame, id) in [
        (
            format!("{{\"params\":\"{filler}\",\"id\":5,\"method\":\"ping\"}}\n"),
            json!(5),
        ),
        (
            format!("{{\"id\":\"six\",\"method\":\"{ECHO}\",\"params\":\"{filler}\"}}\n"),
            json!("six"),
        ),
        (format!("{filler}\n"), Value::Null),
    ] {
        bench.client.send_raw(frame.as_bytes()).await;
        let answer = bench.client.recv().await;
        assert_eq!(answer["id"], id);
        assert_eq!(answer["error"]["code"], -32600);
        assert_eq!(answer["error"]["data"]["kind"], "frame_too_large");
    }
    // The client's answer to a request of the server: the server is told.
    let frame = format!("{{\"id\":8,\"result\":\"{filler}\"}}\n");
    bench.client.send_raw(frame.as_bytes()).await;
    assert_eq!(bench.server.recv().await["error"]["code"], -32600);
    // A notification is gone without a word.
    let frame = format!("{{\"method\":\"notifications/x\",\"params\":\"{filler}\"}}\n");
    bench.client.send_raw(frame.as_bytes()).await;
    // The server's answer to a request of the client.
    let frame = format!("{{\"id\":9,\"result\":\"{filler}\"}}\n");
    bench.server.send_raw(frame.as_bytes()).await;
    let answer = bench.client.recv().await;
    assert_eq!(
        (answer["id"].as_i64(), answer["error"]["code"].as_i64()),
        (Some(9), Some(-32603))
    );
    // A request of the server.
    let frame =
        format!("{{\"id\":10,\"method\":\"sampling/createMessage\",\"params\":\"{filler}\"}}\n");
    bench.server.send_raw(frame.as_bytes()).await;
    assert_eq!(bench.server.recv().await["error"]["code"], -32600);
    // The frames after it are whole.
    let ping = legacy(11, "ping", json!({}));
    bench.client.send(&ping).await;
    assert_eq!(bench.server.recv().await, ping);
}

#[tokio::test]
async fn an_initialize_answer_above_the_bound_opens_no_session() {
    let mut bench = bench_with(set(), small(), 64 * 1024);
    bench.client.send(&initialize(1, "2025-11-25")).await;
    bench.server.recv().await;
    let frame = format!(
        "{{\"id\":1,\"result\":{{\"x\":\"{}\"}}}}\n",
        "x".repeat(200_000)
    );
    bench.server.send_raw(frame.as_bytes()).await;
    assert_eq!(bench.client.recv().await["error"]["code"], -32603);
    let refused = bench
        .client
        .call(&legacy(2, ECHO, json!({"text": "x"})))
        .await;
    assert_eq!(refused["error"]["code"], -32602);
}

#[tokio::test]
async fn the_end_of_the_client_closes_the_server_s_input_and_then_waits_for_it() {
    let mut bench = bench(set());
    in_session(&mut bench).await;
    bench
        .client
        .send(&legacy(1, WAIT, json!({"millis": 100})))
        .await;
    bench.client.close().await;
    assert!(bench.server.line().await.is_empty(), "its input is closed");
    bench
        .server
        .send(&json!({"jsonrpc": "2.0", "method": "notifications/message"}))
        .await;
    assert_eq!(bench.client.recv().await["method"], "notifications/message");
    drop(bench.server);
    assert_eq!(bench.client.recv().await["id"], 1, "a call under way ends");
    assert!(bench.client.line().await.is_empty());
    assert!(matches!(bench.relay.await.unwrap(), Ended::Server));
}

#[tokio::test]
async fn a_server_that_dies_ends_the_connection_within_the_grace() {
    let options = RelayOptions {
        grace: Duration::from_millis(100),
        ..Default::default()
    };
    let mut bench = bench_with(set(), options, 64 * 1024);
    in_session(&mut bench).await;
    bench
        .client
        .send(&legacy(1, WAIT, json!({"millis": 60_000})))
        .await;
    drop(bench.server);
    assert!(
        bench.client.line().await.is_empty(),
        "the connection closes"
    );
    assert!(matches!(bench.relay.await.unwrap(), Ended::Server));
}

#[tokio::test]
async fn requests_that_wait_for_a_server_that_dies_are_answered() {
    let mut bench = bench(set());
    bench.client.send(&initialize(1, "2025-11-25")).await;
    bench
        .client
        .send(&legacy(2, ECHO, json!({"text": "x"})))
        .await;
    bench
        .client
        .send(&modern(3, ECHO, json!({"text": "x"})))
        .await;
    for _ in 0..2 {
        bench.server.recv().await;
    }
    drop(bench.server);
    let mut codes = Vec::new();
    for _ in 0..2 {
        let answer = bench.client.recv().await;
        codes.push((
            answer["id"].as_i64().unwrap(),
            answer["error"]["code"].as_i64().unwrap(),
        ));
    }
    codes.sort_unstable();
    assert_eq!(codes, [(2, -32602), (3, -32601)]);
    assert!(bench.client.line().await.is_empty());
}

#[tokio::test]
async fn a_client_that_is_gone_ends_the_relay() {
    let Bench {
        client,
        mut server,
        relay,
    } = bench(set());
    drop(client);
    let flood = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"x": "y".repeat(1000)}});
    assert!(server.line().await.is_empty(), "its input is closed");
    let Some(mut write) = server.write.take() else {
        panic!()
    };
    let line = format!("{flood}\n");
    while tokio::io::AsyncWriteExt::write_all(&mut write, line.as_bytes())
        .await
        .is_ok()
    {}
    assert!(matches!(relay.await.unwrap(), Ended::Client(_)));
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_the_server_back() {
    let mut bench = bench_with(set(), RelayOptions::default(), 8 * 1024);
    let Some(mut write) = bench.server.write.take() else {
        panic!()
    };
    let line = format!(
        "{}\n",
        json!({"jsonrpc": "2.0", "method": "notifications/message", "params": "y".repeat(500)})
    );
    let mut sent = 0;
    loop {
        let send = tokio::io::AsyncWriteExt::write_all(&mut write, line.as_bytes());
        if tokio::time::timeout(Duration::from_millis(100), send)
            .await
            .is_err()
        {
            break;
        }
        sent += line.len();
        assert!(sent < 1024 * 1024, "the relay takes without end");
    }
    // Nothing was lost on the way.
    let first = bench.client.line().await;
    assert_eq!(first, line.as_bytes());
}

#[tokio::test]
async fn half_a_frame_of_a_server_that_dies_takes_no_answer_with_it() {
    let (seen, builder) = builder();
    let mut bench = bench(builder.build().unwrap());
    in_session(&mut bench).await;
    let wait = legacy(1, WAIT, json!({"millis": 100}));
    bench.client.send(&wait).await;
    while seen.started.load(std::sync::atomic::Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let half = b"{\"jsonrpc\":\"2.0\",\"id\":";
    bench.server.send_raw(half).await;
    drop(bench.server);
    assert_eq!(bench.client.line().await, [&half[..], b"\n"].concat());
    assert_eq!(bench.client.recv().await["result"]["millis"], 100);
}

/// A request that is handed on waits for the server to read, and the server for its output to be read.
#[tokio::test]
async fn the_end_of_the_client_holds_nobody_up_who_waits_for_the_other() {
    let mut bench = bench_with(set(), RelayOptions::default(), 64);
    let echo = modern(1, ECHO, json!({"text": "x".repeat(900)}));
    bench.client.send(&echo).await;
    let probe = bench.server.recv().await;
    let no =
        json!({"jsonrpc": "2.0", "id": probe["id"], "error": {"code": -32601, "message": "no"}});
    bench.server.send(&no).await;
    // The pipe is too small for the request.
    tokio::time::sleep(Duration::from_millis(50)).await;
    bench.client.close().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let much =
        json!({"jsonrpc": "2.0", "method": "notifications/message", "params": "y".repeat(10_000)});
    let Bench {
        mut client,
        mut server,
        relay,
    } = bench;
    let ended = tokio::time::timeout(Duration::from_secs(10), async {
        let (_, got) = tokio::join!(server.send(&much), client.recv());
        assert_eq!(got, much);
        assert_eq!(server.recv().await, echo);
        assert!(server.line().await.is_empty(), "its input is closed");
        drop(server);
        relay.await.unwrap()
    });
    assert!(matches!(ended.await.expect("both wait"), Ended::Server));
}
