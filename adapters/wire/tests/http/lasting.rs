//! Answers that last: read from the server on a connection of their own, and written to the client without hyper.

use std::net::SocketAddr;
use std::time::Duration;

use http::Method;
use mcp_ext_core::{ExtensionSet, Limits};
use mcp_ext_wire::{HttpOptions, ProxyOptions, WireBody};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::board::*;
use crate::rig::*;
use crate::server::*;

const PATIENCE: Duration = Duration::from_secs(20);

const HEADERS: [(&str, &str); 4] = [
    ("mcp-protocol-version", "2026-07-28"),
    ("mcp-method", LISTEN),
    ("content-type", "application/json"),
    ("accept", "application/json, text/event-stream"),
];

/// A listen request that asks for nothing of the extensions'.
fn theirs() -> Value {
    listen(1, json!({ "toolsListChanged": true }))
}

/// The request as a client writes it that does no more than it must.
fn raw(version: &str, frame: &Value) -> Vec<u8> {
    let body = frame.to_string();
    let headers: String = HEADERS.map(|(n, v)| format!("{n}: {v}\r\n")).concat();
    let length = body.len();
    format!(
        "POST /mcp HTTP/{version}\r\nhost: a\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

async fn until(stream: &mut TcpStream, word: &str) -> String {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    let mut looked = 0;
    while !String::from_utf8_lossy(&all[looked..]).contains(word) {
        looked = all.len().saturating_sub(word.len());
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await;
        let read = read.expect("nothing came").unwrap();
        assert_ne!(read, 0, "the end before {word:?}");
        all.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8(all).unwrap()
}

/// A server that answers each request with these bytes, so many at a time, and then closes or says when it was closed.
async fn scripted(answer: Vec<u8>, step: usize, close: bool) -> (SocketAddr, mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (closed, receive) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (answer, closed) = (answer.clone(), closed.clone());
            tokio::spawn(async move {
                let _ = stream.set_nodelay(true);
                until(&mut stream, "toolsListChanged").await;
                for piece in answer.chunks(step) {
                    let _ = stream.write_all(piece).await;
                    tokio::task::yield_now().await;
                }
                if !close {
                    let mut rest = Vec::new();
                    let _ = stream.read_to_end(&mut rest).await;
                    let _ = closed.send(()).await;
                }
            });
        }
    });
    (address, receive)
}

fn options() -> ProxyOptions {
    ProxyOptions {
        grace: Duration::from_millis(300),
        ..Default::default()
    }
}

/// What a client gets of it: the status, and the body, or none if it was cut off.
async fn through(answer: &str, step: usize) -> (u16, Option<String>) {
    use http_body_util::BodyExt;

    let (server, _) = scripted(answer.as_bytes().to_vec(), step, true).await;
    let rig = front(board().0, server, options()).await;
    let body = theirs().to_string().into();
    let response = open(rig.address, Method::POST, "/mcp", &HEADERS, body).await;
    let status = response.status().as_u16();
    let body = tokio::time::timeout(PATIENCE, response.into_body().collect());
    let body = body.await.expect("no end").ok();
    let text = |body: http_body_util::Collected<_>| String::from_utf8(body.to_bytes().into());
    (status, body.map(|body| text(body).unwrap()))
}

#[tokio::test]
async fn an_answer_is_read_in_whatever_form_it_comes() {
    const EVENTS: &str = "content-type: text/event-stream\r\n";
    let ok = "HTTP/1.1 200 OK\r\n";
    let chunks = "7\r\ndata: a\r\n2;x=\"y\"\r\n\n\n\r\n0\r\nx: y\r\n\r\n";
    let whole = Some("data: a\n\n".to_owned());
    let json = "content-type: application/json\r\n";
    for (answer, status, expected) in [
        (
            format!("{ok}{EVENTS}transfer-encoding: chunked\r\n\r\n{chunks}"),
            200,
            whole.clone(),
        ),
        (
            format!(
                "{ok}{EVENTS}Transfer-Encoding: gzip, Chunked\r\ncontent-length: 3\r\n\r\n{chunks}"
            ),
            200,
            whole.clone(),
        ),
        (
            format!(
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n{ok}{EVENTS}transfer-encoding: chunked\r\n\r\n{chunks}"
            ),
            200,
            whole.clone(),
        ),
        (format!("{ok}{EVENTS}\r\ndata: a\n\n"), 200, whole.clone()),
        (
            format!("HTTP/1.0 200 OK\r\n{EVENTS}\r\ndata: a\n\n"),
            200,
            whole.clone(),
        ),
        (
            format!("{ok}{EVENTS}content-length: 9\r\n\r\ndata: a\n\nmore"),
            200,
            whole.clone(),
        ),
        (
            format!("{ok}{EVENTS}content-length: 9\r\ncontent-length: 9\r\n\r\ndata: a\n\n"),
            200,
            whole.clone(),
        ),
        (
            format!("{ok}{json}content-length: 2\r\n\r\n{{}}"),
            200,
            Some("{}".to_owned()),
        ),
        (
            format!("{ok}{json}transfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"),
            200,
            Some("{}".to_owned()),
        ),
        (
            "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer\r\ncontent-length: 0\r\n\r\n"
                .to_owned(),
            401,
            Some(String::new()),
        ),
        (
            "HTTP/1.1 204 No Content\r\n\r\nnothing of this".to_owned(),
            204,
            Some(String::new()),
        ),
        // Cut off, and no end for the client either.
        (
            format!("{ok}{EVENTS}transfer-encoding: chunked\r\n\r\n7\r\ndata: a\r\n"),
            200,
            None,
        ),
        (
            format!("{ok}{EVENTS}transfer-encoding: chunked\r\n\r\n9\r\ndata: a"),
            200,
            None,
        ),
        (
            format!("{ok}{EVENTS}transfer-encoding: chunked\r\n\r\nx\r\n"),
            200,
            None,
        ),
        (
            format!("{ok}{json}content-length: 9\r\n\r\n{{}}"),
            200,
            None,
        ),
    ] {
        for step in [1, 7, 1000] {
            assert_eq!(
                through(&answer, step).await,
                (status, expected.clone()),
                "{answer:?} in steps of {step}"
            );
        }
    }
    for bad in [
        "",
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-str",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\n1",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n12",
        "HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        "SSH-2.0-server\r\n",
    ] {
        assert_eq!(through(bad, 5).await.0, 502, "{bad:?}");
    }
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n", "a".repeat(1024 * 1024));
    assert_eq!(through(&long, 100_000).await.0, 502);
}

#[tokio::test]
async fn the_server_gets_the_same_request_on_either_way() {
    let (server, got) = upstream(plain).await;
    let rig = front(board().0, server, options()).await;
    let large = "x".repeat(64 * 1024);
    let mut seen = Vec::new();
    for method in [LISTEN, "another/method"] {
        let mut headers = HEADERS;
        headers[1].1 = method;
        let more = [
            ("authorization", "Bearer x"),
            ("x-large", &large),
            ("te", "trailers"),
            ("x-mine", "1"),
        ];
        let headers = [&headers[..], &more[..], &[("x-mine", "2")]].concat();
        let frame = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": {} });
        let body = frame.to_string().replace(method, &"m".repeat(20));
        open(rig.address, Method::POST, "/mcp?a=b", &headers, body.into()).await;
        let mut got = got.lock().unwrap().pop().unwrap();
        assert_eq!(got.headers.remove("mcp-method").unwrap(), method);
        seen.push((got.method, got.path, got.headers, got.body));
    }
    assert!(seen[0].2["x-large"].len() == 64 * 1024);
    assert_eq!(seen[0], seen[1]);
}

#[tokio::test]
async fn a_stream_of_the_server_alone_lasts_as_long_as_its_client() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n";
    for method in [Method::POST, Method::GET] {
        let (server, mut closed) = scripted(answer.into(), 1000, false).await;
        let mut rig = front(board().0, server, options()).await;
        let request = match method {
            Method::POST => raw("1.1", &theirs()),
            _ => b"GET /mcp?toolsListChanged HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n\r\n".to_vec(),
        };
        let mut client = TcpStream::connect(rig.address).await.unwrap();
        client.write_all(&request).await.unwrap();
        let head = until(&mut client, "data: a\n\n\r\n").await.to_lowercase();
        assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
        assert!(
            head.contains("\r\ntransfer-encoding: chunked\r\n"),
            "{head}"
        );
        assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
        assert!(head.contains("\r\ndate: "), "{head}");
        // What it still sends is passed over.
        client.write_all(&request).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(closed.try_recv().is_err());
        drop(client);
        tokio::time::timeout(PATIENCE, closed.recv())
            .await
            .unwrap()
            .unwrap();
        // And is cut when the proxy stops.
        let mut client = TcpStream::connect(rig.address).await.unwrap();
        client.write_all(&request).await.unwrap();
        until(&mut client, "data: a\n\n\r\n").await;
        rig.stop.take().unwrap().send(()).unwrap();
        tokio::time::timeout(PATIENCE, rig.ended)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(client.read(&mut [0; 10]).await.unwrap_or(0), 0);
    }
}

#[tokio::test]
async fn a_client_of_http_1_0_reads_up_to_the_end() {
    let (set, publisher) = board();
    let rig = rig(set.clone(), plain).await;
    let mut client = TcpStream::connect(rig.address).await.unwrap();
    client
        .write_all(&raw("1.0", &listen(1, all())))
        .await
        .unwrap();
    let head = until(&mut client, "\n\n").await.to_lowercase();
    assert!(!head.contains("chunked"), "{head}");
    publisher.wiped().unwrap();
    let event = until(&mut client, "\n\n").await;
    assert!(event.starts_with("event: message\ndata: {"), "{event}");
    set.end_subscriptions();
    let mut rest = String::new();
    tokio::time::timeout(PATIENCE, client.read_to_string(&mut rest))
        .await
        .unwrap()
        .unwrap();
    assert!(
        rest.contains("\"resultType\":\"complete\"") && rest.ends_with("\n\n"),
        "{rest}"
    );
}

#[tokio::test]
async fn an_answer_before_the_stream_on_the_same_connection_is_whole() {
    let (set, _publisher) = board();
    let large = "x".repeat(8 * 1024 * 1024);
    let body = large.clone();
    let rig = rig(set.clone(), move |got| match got.path.as_str() {
        "/large" => http::Response::new(WireBody::from(bytes::Bytes::from(body.clone()))),
        _ => plain(got),
    })
    .await;
    let mut client = TcpStream::connect(rig.address).await.unwrap();
    // Both at once, and the first answer is more than the connection holds.
    let both = [
        &b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n"[..],
        &raw("1.1", &listen(1, all())),
    ]
    .concat();
    client.write_all(&both).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let all = until(&mut client, "acknowledged").await;
    assert!(all.contains(&large));
    assert_eq!(all.matches("HTTP/1.1 200 OK").count(), 2);
}

/// How many streams there are once there are so many.
async fn left(set: &ExtensionSet, count: usize) {
    for _ in 0..800 {
        if set.subscriptions() == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} streams, not {count}", set.subscriptions());
}

#[tokio::test]
async fn a_client_that_stops_reading_loses_its_stream_after_its_time() {
    let limits = Limits {
        max_listen_queue: 8,
        ..Default::default()
    };
    for (lasting, lost) in [
        (Duration::from_millis(300), true),
        (Duration::from_secs(3600), false),
    ] {
        let (set, publisher) = board_with(limits);
        let options = HttpOptions {
            max_listen: lasting,
            timeout: Duration::from_millis(300),
            ..Default::default()
        };
        let rig = rig_with(set.clone(), options, plain).await;
        let mut client = TcpStream::connect(rig.address).await.unwrap();
        client
            .write_all(&raw("1.1", &listen(1, all())))
            .await
            .unwrap();
        until(&mut client, "acknowledged").await;
        // More than what sockets hold on the way, unread.
        let topic = "x".repeat(256 * 1024);
        for number in 0..200 {
            if publisher.pinned(note(&topic, number)).unwrap() == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if lost {
            left(&set, 0).await;
        } else {
            // It may take its time while it has some.
            tokio::time::sleep(Duration::from_millis(900)).await;
            assert_eq!(set.subscriptions(), 1);
        }
        drop(client);
        left(&set, 0).await;
    }
}
