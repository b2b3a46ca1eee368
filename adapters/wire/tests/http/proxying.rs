//! What a reverse proxy owes both sides.

use std::time::{Duration, Instant};

use http::Method;
use http_body_util::BodyExt;
use mcp_ext_wire::{HttpOptions, ProxyError, ProxyOptions, proxy};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::common::*;
use crate::rig::*;
use crate::server::*;

#[tokio::test]
async fn headers_of_one_hop_stay_there_and_the_others_pass() {
    let rig = rig(set(), |got| {
        let mut response = plain(got);
        for (name, value) in [
            ("keep-alive", "timeout=5"),
            ("x-kept", "1"),
            ("proxy-authenticate", "x"),
        ] {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        response
    })
    .await;
    let headers = [
        ("connection", "x-private"),
        ("x-private", "1"),
        ("te", "trailers"),
        ("proxy-authorization", "secret"),
        ("x-kept", "2"),
        ("x-forwarded-for", "10.0.0.1"),
    ];
    let frame = modern(1, "ping", json!({}));
    let answer = modern_post(rig.address, &headers, &frame).await;
    assert_eq!(answer.headers["x-kept"], "1");
    assert!(
        !answer.headers.contains_key("keep-alive")
            && !answer.headers.contains_key("proxy-authenticate")
    );
    let got = rig.got.lock().unwrap()[0].clone();
    assert_eq!(got.body, frame.to_string().as_bytes(), "byte for byte");
    assert_eq!(got.headers["x-kept"], "2");
    assert_eq!(got.headers["x-forwarded-for"], "10.0.0.1, 127.0.0.1");
    assert_eq!(
        got.headers["x-forwarded-host"],
        rig.address.to_string().as_str()
    );
    assert_ne!(got.headers["host"], rig.address.to_string().as_str());
    for gone in ["x-private", "te", "proxy-authorization"] {
        assert!(!got.headers.contains_key(gone), "{gone}");
    }
}

#[tokio::test]
async fn what_is_not_ours_passes_byte_for_byte() {
    for set in [set(), empty()] {
        let rig = rig(set, |got| {
            http::Response::builder()
                .status(418)
                .header("content-type", "application/json")
                .body(mcp_ext_wire::WireBody::from(got.body.clone()))
                .unwrap()
        })
        .await;
        for bytes in [
            &b"not json"[..],
            b"",
            b"\xff\xfe\x00",
            b"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]",
            b" {\"id\":1.0,\"id\":2,\"method\":\"x\"}\r\n",
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"x\":1.00}}",
            b"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"tools/list\"}",
        ] {
            let answer = open(rig.address, Method::POST, "/mcp", &[], bytes.into()).await;
            let answer = Answer::of(answer).await;
            assert_eq!((answer.status, &answer.body[..]), (418, bytes));
            assert_eq!(&rig.got.lock().unwrap().last().unwrap().body[..], bytes);
        }
    }
}

#[tokio::test]
async fn health_and_other_paths() {
    let rig = rig(set(), |got| {
        http::Response::new(body(format!("{} {}", got.method, got.path)))
    })
    .await;
    let get = |path: &'static str| async move {
        Answer::of(open(rig.address, Method::GET, path, &[], Default::default()).await).await
    };
    assert_eq!(get("/healthz").await.json(), json!({"status": "ok"}));
    assert!(rig.got.lock().unwrap().is_empty());
    let card = "/.well-known/oauth-protected-resource/mcp";
    assert_eq!(get(card).await.text(), format!("GET {card}"));
    assert_eq!(get("/mcp").await.text(), "GET /mcp");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_502() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let rig = front(set(), gone, ProxyOptions::default()).await;
    for method in ["ping", ECHO, "tools/list"] {
        let answer = modern_post(rig.address, &[], &modern(1, method, json!({"text": "x"}))).await;
        assert_eq!(answer.status, 502, "{method}");
        assert_eq!(answer.json()["error"]["data"]["kind"], "bad_gateway");
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_504() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = ProxyOptions {
        answer_timeout: Duration::from_millis(200),
        ..Default::default()
    };
    let rig = front(set(), listener.local_addr().unwrap(), options).await;
    let answer = modern_post(rig.address, &[], &modern(1, "ping", json!({}))).await;
    assert_eq!(answer.status, 504);
}

#[tokio::test]
async fn bodies_are_bounded_in_size_and_time() {
    let options = HttpOptions {
        max_body_bytes: 10_000,
        timeout: Duration::from_millis(300),
        ..Default::default()
    };
    let rig = rig_with(set(), options, plain).await;
    let big = modern(1, "ping", json!({"x": "x".repeat(20_000)}));
    let refused = modern_post(rig.address, &[], &big).await;
    assert_eq!(refused.status, 413);
    assert_eq!(refused.json()["error"]["code"], -32600);
    let mut slow = tokio::net::TcpStream::connect(rig.address).await.unwrap();
    slow.write_all(b"POST /mcp HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        .await
        .unwrap();
    let mut answer = vec![0; 12];
    slow.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 408");
    assert!(rig.got.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_head_that_never_ends_is_closed() {
    let (server, _) = upstream(plain).await;
    let options = ProxyOptions {
        head_timeout: Duration::from_millis(200),
        ..Default::default()
    };
    let rig = front(set(), server, options).await;
    let mut slow = tokio::net::TcpStream::connect(rig.address).await.unwrap();
    slow.write_all(b"POST /mcp HTTP/1.1\r\nx: ").await.unwrap();
    let mut rest = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), slow.read_to_end(&mut rest));
    assert!(read.await.is_ok(), "the connection stays open");
}

#[tokio::test]
async fn connections_are_bounded_and_the_next_one_waits() {
    let (server, _) = upstream(plain).await;
    let options = ProxyOptions {
        max_connections: 1,
        ..Default::default()
    };
    let rig = front(set(), server, options).await;
    let held = tokio::net::TcpStream::connect(rig.address).await.unwrap();
    let ping = modern(1, "ping", json!({}));
    let waiting = modern_post(rig.address, &[], &ping);
    assert!(
        tokio::time::timeout(Duration::from_millis(200), waiting)
            .await
            .is_err()
    );
    drop(held);
    assert_eq!(modern_post(rig.address, &[], &ping).await.status, 200);
}

#[tokio::test]
async fn stopping_lets_calls_end_and_cuts_what_never_does() {
    let (_send, receive) = tokio::sync::mpsc::channel::<Result<bytes::Bytes, std::io::Error>>(1);
    let stream = std::sync::Mutex::new(Some(receive));
    let mut rig = rig(set(), move |got| match got.rpc_method().as_str() {
        "subscriptions/listen" => http::Response::builder()
            .header("content-type", "text/event-stream")
            .body(mcp_ext_wire::WireBody::new(Pieces(
                stream.lock().unwrap().take().unwrap(),
            )))
            .unwrap(),
        _ => plain(got),
    })
    .await;
    let listen = modern(1, "subscriptions/listen", json!({})).to_string();
    let listen = open(rig.address, Method::POST, "/mcp", &[], listen.into()).await;
    let address = rig.address;
    let call = tokio::spawn(async move {
        modern_post(address, &[], &modern(2, WAIT, json!({"millis": 150}))).await
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let at = Instant::now();
    rig.stop.take().unwrap().send(()).unwrap();
    assert_eq!(call.await.unwrap().json()["result"]["millis"], 150);
    rig.ended.await.unwrap();
    assert!(
        at.elapsed() < Duration::from_secs(2),
        "the endless stream holds it up"
    );
    drop(listen);
    assert!(
        tokio::net::TcpStream::connect(address).await.is_err(),
        "nobody listens"
    );
}

#[tokio::test]
async fn an_upstream_that_is_no_http_url_is_refused() {
    for url in ["https://example.com/mcp", "/mcp", "ftp://x/y"] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let done = proxy(
            set(),
            listener,
            url.parse().unwrap(),
            ProxyOptions::default(),
            std::future::pending(),
        );
        assert!(matches!(done.await, Err(ProxyError::Upstream(_))), "{url}");
    }
}

/// A request is answered once, or its connection is closed, whatever the server does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_at_random_lose_nothing_of_others() {
    let rig = rig(set(), |got| {
        let request = got.json();
        let mut random = Random::new(request["params"]["seed"].as_u64().unwrap_or(7));
        let answer = plain_server(&request).unwrap_or_default();
        match random.below(10) {
            0 => status(500),
            1 => json(200, &Value::Null),
            2 => events(format!("data: {answer}")),
            3 => {
                let (send, receive) = tokio::sync::mpsc::channel(2);
                send.try_send(Ok("data: {".into())).unwrap();
                send.try_send(Err(std::io::ErrorKind::ConnectionReset.into()))
                    .unwrap();
                http::Response::builder()
                    .header("content-type", "text/event-stream")
                    .body(mcp_ext_wire::WireBody::new(Pieces(receive)))
                    .unwrap()
            }
            4 | 5 => events(format!(": x\n\ndata: {answer}\n\n")),
            _ => json(200, &answer),
        }
    })
    .await;
    let mut answered = 0;
    let mut runs = tokio::task::JoinSet::new();
    for seed in 0..300u64 {
        let address = rig.address;
        runs.spawn(async move {
            let mut random = Random::new(seed);
            let ours = random.chance(50);
            let method = match (ours, random.below(2)) {
                (true, 0) => ECHO,
                (true, _) => ANNOUNCE,
                (false, 0) => "ping",
                (false, _) => "tools/list",
            };
            let frame = modern(
                seed,
                method,
                if ours {
                    json!({"text": "x", "count": 2})
                } else {
                    json!({"seed": seed})
                },
            );
            let headers = [
                ("mcp-protocol-version", "2026-07-28"),
                ("mcp-method", method),
                ("accept", "application/json, text/event-stream"),
            ];
            let response = open(
                address,
                Method::POST,
                "/mcp",
                &headers,
                frame.to_string().into(),
            )
            .await;
            if random.chance(20) {
                return None;
            }
            let (parts, body) = response.into_parts();
            let body = body.collect().await.ok()?.to_bytes();
            let answer = Answer {
                status: parts.status.as_u16(),
                headers: parts.headers,
                body,
            };
            if !ours {
                return None;
            }
            let answers: Vec<_> = answer
                .frames()
                .into_iter()
                .filter(|f| f.get("method").is_none())
                .collect();
            assert_eq!(answers.len(), 1, "seed {seed}: {answer:?}");
            assert_eq!(answers[0]["id"], seed);
            Some(answers[0].get("result").is_some() || answers[0].get("error").is_some())
        });
        if seed % 20 == 19 {
            while let Some(done) = runs.join_next().await {
                answered += usize::from(done.unwrap() == Some(true));
            }
        }
    }
    assert!(answered > 80, "{answered}");
}
