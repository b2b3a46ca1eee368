//! Servers that do what they must not.

use std::time::Duration;

use mcp_ext_core::client::{Caller, CallerError, Stopped};
use mcp_ext_wire::ClientOptions;
use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt, duplex};

use crate::*;

/// Answers each call with these lines, in which `ID` is its id.
async fn answering(options: ClientOptions, lines: &'static [&'static str]) -> StdioCaller {
    let (caller, _) = modern(options, move |frame| {
        let id = frame["id"].to_string();
        Some(lines.iter().map(|line| line.replace("ID", &id)).collect())
    })
    .await;
    caller
}

#[tokio::test]
async fn req_25_what_nobody_waits_for_is_passed_over() {
    let caller = answering(
        ClientOptions::default(),
        &[
            "starting up ...",
            "",
            "{",
            "[]",
            r#"[{"jsonrpc":"2.0","id":ID,"result":{"n":0}}]"#,
            r#"{"jsonrpc":"2.0","id":999,"result":{"n":0}}"#,
            r#"{"jsonrpc":"2.0","id":"ID","result":{"n":0}}"#,
            r#"{"jsonrpc":"2.0","id":-1,"result":{"n":0}}"#,
            r#"{"jsonrpc":"2.0","id":ID.0,"result":{"n":0}}"#,
            r#"{"jsonrpc":"2.0","id":1e99,"result":{"n":0}}"#,
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"?"}}"#,
            r#"{"jsonrpc":"2.0","id":ID,"id":ID,"result":{"n":0}}"#,
            r#"{"jsonrpc":"2.0","id":ID,"result":{"n":1}}"#,
            // A second answer, of a call that is over.
            r#"{"jsonrpc":"2.0","id":ID,"result":{"n":2}}"#,
        ],
    )
    .await;
    for _ in 0..3 {
        assert_eq!(call(&caller, "a/b").await.unwrap()["n"], 1);
    }
}

#[tokio::test]
async fn req_02_an_answer_that_is_none_of_the_protocol_fails_its_call_alone() {
    for (line, expected) in [
        (&[r#"{"id":ID,"result":{}}"#], "jsonrpc"),
        (&[r#"{"jsonrpc":"1.0","id":ID,"result":{}}"#], "jsonrpc"),
        (&[r#"{"jsonrpc":"2.0","id":ID}"#], "neither"),
        (
            &[r#"{"jsonrpc":"2.0","id":ID,"result":{},"error":{"code":1,"message":"m"}}"#],
            "a result and an error",
        ),
        (&[r#"{"jsonrpc":"2.0","id":ID,"error":"m"}"#], "code"),
        (
            &[r#"{"jsonrpc":"2.0","id":ID,"error":{"code":"1","message":"m"}}"#],
            "code",
        ),
        (
            &[r#"{"jsonrpc":"2.0","id":ID,"error":{"code":99999999999,"message":"m"}}"#],
            "code",
        ),
        (
            &[r#"{"jsonrpc":"2.0","id":ID,"error":{"code":1}}"#],
            "message",
        ),
        (&[r#"{"jsonrpc":"2.0","id":ID,"result":1e999}"#], "numbers"),
    ] as [(&'static [&'static str], &str); 9]
    {
        let caller = answering(ClientOptions::default(), line).await;
        let error = call(&caller, "a/b").await.unwrap_err();
        let Stopped::Malformed { why } = stopped(error) else {
            panic!("{line:?}")
        };
        assert!(why.contains(expected), "{line:?}: {why}");
    }
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":2,"result":{}{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let (caller, _) = modern(ClientOptions::default(), move |_| Some(vec![deep.clone()])).await;
    let error = call(&caller, "a/b").await.unwrap_err();
    assert!(matches!(stopped(error), Stopped::Malformed { .. }));
}

#[tokio::test]
async fn an_answer_that_is_too_large_fails_its_call_and_no_other() {
    let options = ClientOptions::default().max_frame_bytes(1000);
    let (caller, _) = modern(options, |frame| {
        let pages = frame["params"]["pages"].as_u64().unwrap_or(0);
        let text = "x".repeat(usize::try_from(pages).unwrap());
        Some(vec![result(&frame["id"], json!({"text": text}))])
    })
    .await;
    for pages in [2_000, 500_000] {
        let large = outgoing("a/b", json!({"pages": pages}));
        let error = caller.call(large).await.unwrap_err();
        assert_eq!(stopped(error), Stopped::TooLarge { limit: 1000 });
        assert_eq!(call(&caller, "a/b").await.unwrap()["text"], "");
    }
}

#[tokio::test]
async fn each_call_that_waits_is_told_when_the_server_dies() {
    let (caller, log) = modern(ClientOptions::default(), |frame| {
        (frame["method"] != "die").then(Vec::new)
    })
    .await;
    let waiting: Vec<_> = (0..5)
        .map(|_| {
            let caller = caller.clone();
            tokio::spawn(async move { call(&caller, "wait").await })
        })
        .collect();
    eventually("all are under way", || methods(&log).len() == 6).await;
    let error = call(&caller, "die").await.unwrap_err();
    assert!(matches!(stopped(error), Stopped::Closed { .. }));
    for waiting in waiting {
        let error = waiting.await.unwrap().unwrap_err();
        assert!(matches!(stopped(error), Stopped::Closed { .. }));
    }
    // And whoever comes later, at once.
    let error = call(&caller, "wait").await.unwrap_err();
    assert!(matches!(stopped(error), Stopped::Closed { .. }));
}

#[tokio::test]
async fn an_answer_that_is_cut_is_none() {
    let (ours, theirs) = duplex(1 << 16);
    let server = tokio::spawn(async move {
        let mut side = pipe::Side::new(theirs);
        let asked = side.recv().await;
        let frame = result(&asked["id"], discovered());
        side.send_raw(format!("{frame}\n").as_bytes()).await;
        let asked = side.recv().await;
        let frame = result(&asked["id"], json!({"text": "long"}));
        let half = &frame.as_bytes()[..frame.len() - 3];
        side.send_raw(half).await;
    });
    let caller = connect(ours, ClientOptions::default()).await.unwrap();
    let error = call(&caller, "a/b").await.unwrap_err();
    assert!(matches!(stopped(error), Stopped::Closed { .. }));
    server.await.unwrap();
}

#[tokio::test]
async fn a_server_that_dies_while_it_is_asked_first_is_no_server() {
    let (stream, _) = scripted(|_| None);
    let failed = connect(stream, ClientOptions::default()).await.unwrap_err();
    let ConnectError::Failed { error, .. } = failed else {
        panic!("{failed:?}")
    };
    assert!(matches!(stopped(error), Stopped::Closed { .. }));
}

#[tokio::test]
async fn a_handler_of_notifications_that_panics_ends_the_connection_and_no_more() {
    let options = ClientOptions::default().on_notification(|_, _| panic!("a fault of the user's"));
    let (caller, _) = modern(options, |frame| {
        Some(vec![
            json!({"jsonrpc": "2.0", "method": "notifications/x"}).to_string(),
            result(&frame["id"], json!({})),
        ])
    })
    .await;
    let error = call(&caller, "a/b").await.unwrap_err();
    let Stopped::Closed { why } = stopped(error) else {
        panic!("not closed")
    };
    assert!(why.contains("panicked"), "{why}");
}

#[tokio::test]
async fn a_server_that_floods_and_does_not_read_holds_nobody_up() {
    let (ours, theirs) = duplex(4096);
    let (mut read, mut write) = tokio::io::split(theirs);
    let server = tokio::spawn(async move {
        use tokio::io::AsyncReadExt;
        let mut bytes = vec![0; 4096];
        let n = read.read(&mut bytes).await.unwrap();
        let asked: Value = serde_json::from_slice(&bytes[..n]).unwrap();
        assert_eq!(asked["method"], "initialize");
        let frame = result(&asked["id"], initialized("2025-11-25"));
        write
            .write_all(format!("{frame}\n").as_bytes())
            .await
            .unwrap();
        // Reads nothing any more, and asks without end.
        let ping = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n";
        while write.write_all(ping).await.is_ok() {}
    });
    let options = ClientOptions::default()
        .era(mcp_ext_core::protocol::Era::Legacy)
        .timeout(Some(Duration::from_millis(300)))
        .grace(Duration::from_millis(50));
    let caller = connect(ours, options).await.unwrap();
    let error = call(&caller, "a/b").await.unwrap_err();
    assert!(matches!(stopped(error), Stopped::TimedOut { .. }));
    // When the caller is dropped the connection is, although nobody reads what is left to write.
    drop(caller);
    tokio::time::timeout(Duration::from_secs(5), server)
        .await
        .expect("the streams are closed")
        .unwrap();
}

#[tokio::test]
async fn errors_of_the_server_keep_code_and_data() {
    let caller = answering(
        ClientOptions::default(),
        &[r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32021,"message":"m","data":{"x":[1]}}}"#],
    )
    .await;
    let CallerError::Rpc(error) = call(&caller, "a/b").await.unwrap_err() else {
        panic!("no error of the server")
    };
    assert_eq!((error.code, error.message.as_str()), (-32021, "m"));
    assert_eq!(error.data, Some(json!({"x": [1]})));
}
