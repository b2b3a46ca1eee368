//! Streams of notifications, of a set in front of a server.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp_ext_core::ExtensionSet;
use mcp_ext_core::wire::JsonObject;
use mcp_ext_wire::{ClientOptions, HttpCaller, ProxyOptions, Relay, StdioCaller, WireBody};
use serde_json::{Value, json};

use crate::board::{ACKNOWLEDGED, BOARD, BoardPublisher, PINNED, SUBSCRIPTION, all, board, note};
use crate::common::plain_server;
use crate::rig::{body, front, upstream};
use crate::{connect, eventually, scripted};

enum Either {
    Stdio(StdioCaller),
    Http(HttpCaller),
}

impl Either {
    async fn listen(&self, filter: Value) -> Result<Value, mcp_ext_core::client::CallerError> {
        let filter = filter.as_object().unwrap().clone();
        let declare = JsonObject::from_iter([(BOARD.to_owned(), json!({}))]);
        match self {
            Self::Stdio(caller) => caller.listen(filter, declare).await,
            Self::Http(caller) => caller.listen(filter, declare).await,
        }
    }
}

async fn over_stdio(set: ExtensionSet, options: ClientOptions) -> Either {
    let (server, _) = scripted(|frame| {
        let answer = plain_server(frame).map(|answer| answer.to_string());
        Some(answer.into_iter().collect())
    });
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (client_in, client_out) = tokio::io::split(theirs);
    let (server_out, server_in) = tokio::io::split(server);
    tokio::spawn(Relay::new(set).run(client_in, client_out, server_in, server_out));
    Either::Stdio(connect(ours, options).await.unwrap())
}

async fn over_http(set: ExtensionSet, options: ClientOptions) -> Either {
    let (address, _) = upstream(|got| {
        let answer = plain_server(&got.json()).unwrap_or_default().to_string();
        let response = http::Response::builder().header("content-type", "application/json");
        response.body::<WireBody>(body(answer)).unwrap()
    })
    .await;
    let rig = front(set, address, ProxyOptions::default()).await;
    let url = format!("http://{}/mcp", rig.address);
    // Dropped, it would stop the proxy.
    std::mem::forget(rig.stop);
    Either::Http(HttpCaller::connect(&url, options).await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_is_heard_until_nobody_listens() {
    for carrier in ["stdio", "http"] {
        let (set, publisher): (ExtensionSet, BoardPublisher) = board();
        let heard: Arc<Mutex<Vec<(String, JsonObject)>>> = Arc::default();
        let hears = heard.clone();
        // No stream is ended by the time that a call may take.
        let options = ClientOptions::default()
            .timeout(Some(Duration::from_millis(300)))
            .on_notification(move |method, params| {
                hears.lock().unwrap().push((method.to_owned(), params));
            });
        let caller = match carrier {
            "stdio" => over_stdio(set.clone(), options).await,
            _ => over_http(set.clone(), options).await,
        };
        let listening = tokio::spawn(async move { caller.listen(all()).await });
        eventually("it listens", || set.subscriptions() == 1).await;
        tokio::time::sleep(Duration::from_millis(600)).await;
        publisher.pinned(note("a", 7)).unwrap();
        eventually("the note is heard", || heard.lock().unwrap().len() == 2).await;
        {
            let heard = heard.lock().unwrap();
            assert_eq!(heard[0].0, ACKNOWLEDGED, "{carrier}");
            assert_eq!(
                (heard[1].0.as_str(), &heard[1].1["number"]),
                (PINNED, &json!(7))
            );
            assert!(heard[1].1["_meta"][SUBSCRIPTION].is_u64());
        }
        assert!(!listening.is_finished());
        listening.abort();
        eventually("it is over", || set.subscriptions() == 0).await;
    }
}

#[tokio::test]
async fn a_filter_that_does_not_fit_is_refused_with_its_faults() {
    let (set, _) = board();
    let caller = over_stdio(set, ClientOptions::default()).await;
    let refused = caller
        .listen(json!({ BOARD: { "pinned": { "topics": 1 } } }))
        .await;
    let Err(mcp_ext_core::client::CallerError::Rpc(error)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(error.code, -32602);
}
