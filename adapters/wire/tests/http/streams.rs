//! Streams of events, theirs and ours.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Method;
use http_body_util::BodyExt;
use mcp_ext_wire::HttpOptions;
use serde_json::json;

use crate::common::*;
use crate::rig::*;
use crate::server::*;

#[tokio::test]
async fn in_a_stream_only_the_event_with_the_answer_is_amended() {
    let before = ": hi\r\n\r\nid: 1\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":1.0}\n\n";
    let after =
        "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"capabilities\":{}}}\n\nrest without end";
    let rig = rig(set(), move |got| match got.rpc_method().as_str() {
        "initialize" => {
            let answer = plain_server(&got.json()).unwrap();
            let mut response = events(format!(
                "{before}id: 2\nevent: message\ndata: {answer}\n\n{after}"
            ));
            response
                .headers_mut()
                .insert("mcp-session-id", SESSION.parse().unwrap());
            response
        }
        _ => plain(got),
    })
    .await;
    let init = post(rig.address, &[], &initialize(1, "2025-11-25")).await;
    let text = init.text();
    assert!(
        text.starts_with(&format!("{before}id: 2\nevent: message\ndata: {{")),
        "{text}"
    );
    assert!(text.ends_with(&format!("\n\n{after}")), "{text}");
    assert!(init.frames()[1]["result"]["capabilities"]["extensions"][ID].is_object());
    let session = [("mcp-session-id", SESSION)];
    let echo = post(
        rig.address,
        &session,
        &legacy(2, ECHO, json!({"text": "x"})),
    )
    .await;
    assert_eq!(
        echo.json()["result"]["text"],
        "x",
        "the session is known from the stream"
    );
}

#[tokio::test]
async fn the_question_of_ours_may_be_answered_by_a_stream() {
    let rig = rig(set(), |got| {
        let answer = plain_server(&got.json()).unwrap();
        events(format!(
            ": x\n\ndata: {{\"method\":\"notifications/message\"}}\n\ndata: {answer}\n\n"
        ))
    })
    .await;
    let echo = modern_post(rig.address, &[], &modern(1, ECHO, json!({"text": "x"}))).await;
    assert_eq!(echo.json()["result"]["text"], "x");
}

#[tokio::test]
async fn hdr_12_hdr_17_notifications_of_a_call_make_its_answer_a_stream() {
    let rig = rig(set(), plain).await;
    let mut call = modern("s", ANNOUNCE, json!({"count": 3}));
    call["params"]["_meta"]["progressToken"] = "p".into();
    let answer = modern_post(rig.address, &[], &call).await;
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    assert_eq!(answer.headers["x-accel-buffering"], "no");
    let frames = answer.frames();
    assert_eq!(frames.len(), 7);
    assert_eq!(frames[0]["method"], "notifications/progress");
    assert_eq!(frames[1]["method"], NOTED);
    assert_eq!(
        (&frames[6]["id"], &frames[6]["result"]["count"]),
        (&json!("s"), &json!(3))
    );
    // Whoever takes no stream gets the answer alone.
    let headers = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", ANNOUNCE),
        ("accept", "application/json"),
    ];
    let answer = open(
        rig.address,
        Method::POST,
        "/mcp",
        &headers,
        call.to_string().into(),
    )
    .await;
    let answer = Answer::of(answer).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.json()["result"]["count"], 3);
}

#[tokio::test]
async fn hdr_16_what_is_refused_is_refused_before_a_stream_is_opened() {
    let rig = rig(set(), plain).await;
    let mut call = modern(1, ANNOUNCE, json!({"count": 3}));
    call["params"]["_meta"] = modern_meta(false);
    let answer = modern_post(rig.address, &[], &call).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.headers["content-type"], "application/json");
}

#[tokio::test]
async fn req_25_a_client_that_hangs_up_cancels_its_call() {
    let (seen, builder) = builder();
    let rig = rig(builder.build().unwrap(), plain).await;
    let frame = modern(1, WAIT, json!({"millis": 60_000}));
    let address = rig.address;
    let call = tokio::spawn(async move { modern_post(address, &[], &frame).await });
    while seen.started.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    call.abort();
    let _ = call.await;
    for _ in 0..500 {
        if seen.dropped.load(Ordering::SeqCst) == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the call goes on");
}

#[tokio::test]
async fn an_upstream_that_breaks_off_breaks_the_client_s_stream_and_no_other() {
    let (send, receive) = tokio::sync::mpsc::channel(4);
    let stream = std::sync::Mutex::new(Some(receive));
    let rig = rig(set(), move |got| match got.rpc_method().as_str() {
        "tools/call" => http::Response::builder()
            .header("content-type", "text/event-stream")
            .body(mcp_ext_wire::WireBody::new(Pieces(
                stream.lock().unwrap().take().unwrap(),
            )))
            .unwrap(),
        _ => plain(got),
    })
    .await;
    let call = modern(1, "tools/call", json!({"name": "add"}));
    let headers = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
    ];
    let response = open(
        rig.address,
        Method::POST,
        "/mcp",
        &headers,
        call.to_string().into(),
    )
    .await;
    let mut body = response.into_body();
    send.send(Ok("data: 1\n\n".into())).await.unwrap();
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "data: 1\n\n"
    );
    send.send(Err(std::io::ErrorKind::BrokenPipe.into()))
        .await
        .unwrap();
    assert!(
        body.frame().await.unwrap().is_err(),
        "the end is no good end"
    );
    let echo = modern_post(rig.address, &[], &modern(2, ECHO, json!({"text": "x"}))).await;
    assert_eq!(echo.json()["result"]["text"], "x");
}

#[tokio::test]
async fn an_answer_that_is_too_large_to_amend_is_an_error() {
    let options = HttpOptions {
        max_amended_bytes: 10_000,
        ..Default::default()
    };
    let big = "x".repeat(20_000);
    let answer = move |got: &Got| {
        let result =
            json!({"jsonrpc": "2.0", "id": got.json()["id"], "result": {"tools": [], "x": big}});
        if got.headers.contains_key("x-stream") {
            events(format!("data: {result}\n\n"))
        } else {
            json(200, &result)
        }
    };
    let rig = rig_with(set(), options, answer).await;
    let list = modern(3, "tools/list", json!({}));
    let refused = modern_post(rig.address, &[], &list).await;
    assert_eq!((refused.status, &refused.json()["id"]), (502, &json!(3)));
    let passed = modern_post(rig.address, &[("x-stream", "1")], &list).await;
    assert_eq!(
        passed.json()["result"]["tools"],
        json!([]),
        "a stream passes unamended"
    );
}
