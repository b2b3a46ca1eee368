//! Calls over one pair of streams.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp_ext_core::client::{Caller, Stopped};
use mcp_ext_wire::ClientOptions;
use serde_json::json;

use crate::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_many_calls_gets_its_own_answer_in_any_order_req_19() {
    const CALLS: usize = 200;
    let mut held = Vec::new();
    let (caller, log) = modern(ClientOptions::default(), move |frame| {
        held.push(result(&frame["id"], json!({"n": frame["params"]["n"]})));
        if held.len() < CALLS {
            return Some(vec![]);
        }
        held.reverse();
        Some(std::mem::take(&mut held))
    })
    .await;
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..CALLS {
        let caller = caller.clone();
        calls.spawn(async move {
            let got = caller
                .call(outgoing("com.example/a/b", json!({"n": n})))
                .await;
            assert_eq!(got.unwrap()["n"], n);
        });
    }
    while let Some(done) = calls.join_next().await {
        done.unwrap();
    }
    // REQ-1: integers, each of them once.
    let log = log.lock().unwrap();
    let mut ids: Vec<u64> = log.iter().map(|f| f["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), CALLS + 1);
}

#[tokio::test]
async fn req_13_a_call_that_takes_too_long_is_given_up_and_cancelled() {
    for era in ["modern", "legacy"] {
        let options = ClientOptions::default().timeout(Some(Duration::from_millis(60)));
        let script = |frame: &serde_json::Value| match frame["method"].as_str() {
            Some("fast") => Some(vec![result(&frame["id"], json!({}))]),
            _ => Some(vec![]),
        };
        let (caller, log) = match era {
            "modern" => modern(options, script).await,
            _ => legacy(options, script).await,
        };
        let error = call(&caller, "slow").await.unwrap_err();
        let after = Duration::from_millis(60);
        assert_eq!(stopped(error), Stopped::TimedOut { after });
        let last = |log: &Log| log.lock().unwrap().last().unwrap().clone();
        eventually("the cancellation", || {
            last(&log)["method"] == "notifications/cancelled"
        })
        .await;
        let cancelled = last(&log);
        let slow = log
            .lock()
            .unwrap()
            .iter()
            .rfind(|f| f["method"] == "slow")
            .unwrap()["id"]
            .clone();
        assert_eq!(cancelled["params"]["requestId"], slow, "{era}");
        assert!(cancelled.get("id").is_none());
        call(&caller, "fast").await.unwrap();
    }
}

#[tokio::test]
async fn req_26_a_call_that_is_dropped_is_cancelled_and_one_that_was_answered_is_not() {
    let (caller, log) = modern(ClientOptions::default(), |frame| {
        match frame["method"].as_str() {
            Some("slow") => Some(vec![]),
            _ => Some(vec![result(&frame["id"], json!({}))]),
        }
    })
    .await;
    let call_slow = tokio::time::timeout(Duration::from_millis(60), call(&caller, "slow"));
    assert!(call_slow.await.is_err());
    eventually("the cancellation", || {
        methods(&log).last().unwrap() == "notifications/cancelled"
    })
    .await;
    call(&caller, "fast").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let cancelled = |m: &&String| *m == "notifications/cancelled";
    assert_eq!(methods(&log).iter().filter(cancelled).count(), 1);
    assert_eq!(methods(&log).last().unwrap(), "fast");
}

#[tokio::test]
async fn more_calls_than_allowed_at_once_are_not_sent() {
    let options = ClientOptions::default().max_in_flight(2);
    let (caller, log) = modern(options, |frame| match frame["method"].as_str() {
        Some("slow") => Some(vec![]),
        _ => Some(vec![result(&frame["id"], json!({}))]),
    })
    .await;
    let slow: Vec<_> = (0..2)
        .map(|_| {
            let caller = caller.clone();
            tokio::spawn(async move { call(&caller, "slow").await })
        })
        .collect();
    eventually("both are under way", || methods(&log).len() == 3).await;
    let error = call(&caller, "fast").await.unwrap_err();
    assert_eq!(stopped(error), Stopped::Busy { limit: 2 });
    assert_eq!(methods(&log).len(), 3);
    for slow in slow {
        slow.abort();
        let _ = slow.await;
    }
    call(&caller, "fast").await.unwrap();
}

#[tokio::test]
async fn a_legacy_server_may_ask_and_a_modern_one_may_not_req_09() {
    let asks = |frame: &serde_json::Value| match frame["method"].as_str() {
        Some("go") => Some(vec![
            json!({"jsonrpc": "2.0", "id": "p-1", "method": "ping"}).to_string(),
            json!({"jsonrpc": "2.0", "id": 7, "method": "roots/list"}).to_string(),
            json!({"jsonrpc": "2.0", "id": null, "method": "ping"}).to_string(),
            result(&frame["id"], json!({})),
        ]),
        _ => Some(vec![]),
    };
    let (caller, log) = legacy(ClientOptions::default(), asks).await;
    call(&caller, "go").await.unwrap();
    eventually("two answers", || log.lock().unwrap().len() == 6).await;
    let answers = log.lock().unwrap()[4..].to_vec();
    assert_eq!(
        answers[0],
        json!({"jsonrpc": "2.0", "id": "p-1", "result": {}})
    );
    assert_eq!(answers[1]["id"], 7);
    assert_eq!(answers[1]["error"]["code"], -32601);

    let (caller, log) = modern(ClientOptions::default(), asks).await;
    call(&caller, "go").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(methods(&log), ["server/discover", "go"]);
}

#[tokio::test]
async fn notifications_are_handed_over_with_their_params() {
    let seen: Arc<Mutex<Vec<(String, serde_json::Value)>>> = Arc::default();
    let heard = seen.clone();
    let options = ClientOptions::default().on_notification(move |method, params| {
        heard
            .lock()
            .unwrap()
            .push((method.to_owned(), params.into()));
    });
    let (caller, log) = modern(options, |frame| {
        let token = &frame["params"]["_meta"]["progressToken"];
        Some(vec![
            json!({"jsonrpc": "2.0", "method": "notifications/progress",
                "params": {"progressToken": token, "progress": 1}})
            .to_string(),
            json!({"jsonrpc": "2.0", "method": "notifications/x/y"}).to_string(),
            result(&frame["id"], json!({})),
        ])
    })
    .await;
    call(&caller, "com.example/a/b").await.unwrap();
    let seen = seen.lock().unwrap();
    // META-4: the token is an integer, and the request's own.
    let id = &log.lock().unwrap()[1]["id"];
    assert_eq!(seen[0].1, json!({"progressToken": id, "progress": 1}));
    assert_eq!(seen[1], ("notifications/x/y".to_owned(), json!({})));
}
