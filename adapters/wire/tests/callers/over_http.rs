//! Calls over HTTP, to a server that the test scripts.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, Response};
use mcp_ext_core::client::{Caller, CallerError, Stopped};
use mcp_ext_core::protocol::Era;
use mcp_ext_wire::{ClientOptions, ConnectError, HttpCaller, WireBody};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::rig::{Got, Pieces, body, upstream};
use crate::*;

fn status(code: u16) -> Response<WireBody> {
    Response::builder().status(code).body(body("")).unwrap()
}

fn with(code: u16, kind: &str, text: impl Into<String>) -> Response<WireBody> {
    Response::builder()
        .status(code)
        .header("content-type", kind)
        .body(body(text.into()))
        .unwrap()
}

fn json_of(code: u16, frame: impl Into<String>) -> Response<WireBody> {
    with(code, "application/json; charset=utf-8", frame)
}

fn events(text: impl Into<String>) -> Response<WireBody> {
    with(200, "text/event-stream", text)
}

/// Opens as a server of that era would; `then` sees the rest.
fn opening(got: &Got, era: Era, then: impl Fn(&Got) -> Response<WireBody>) -> Response<WireBody> {
    let frame = got.json();
    match (era, got.rpc_method().as_str()) {
        (Era::Modern, "server/discover") => json_of(200, result(&frame["id"], discovered())),
        (Era::Legacy, "server/discover") => status(400),
        (Era::Legacy, "initialize") => {
            let mut response = json_of(200, result(&frame["id"], initialized("2025-11-25")));
            let session = HeaderValue::from_static("session-1");
            response.headers_mut().insert("mcp-session-id", session);
            response
        }
        (_, "notifications/initialized" | "notifications/cancelled") => status(202),
        _ => then(got),
    }
}

async fn caller_of(
    era: Era,
    options: ClientOptions,
    then: impl Fn(&Got) -> Response<WireBody> + Send + Sync + 'static,
) -> (HttpCaller, Arc<Mutex<Vec<Got>>>) {
    let (address, got) = upstream(move |got| opening(got, era, &then)).await;
    let url = format!("http://{address}/mcp");
    let caller = HttpCaller::connect(&url, options).await.unwrap();
    assert_eq!(caller.era(), era);
    (caller, got)
}

fn ok(got: &Got) -> Response<WireBody> {
    json_of(200, result(&got.json()["id"], json!({"n": 1})))
}

#[tokio::test]
async fn hdr_01_hdr_04_hdr_05_each_request_has_the_headers_of_its_era() {
    let options = ClientOptions::default()
        .header(
            HeaderName::from_static("authorization"),
            HeaderValue::from_static("Bearer good"),
        )
        .header(
            HeaderName::from_static("mcp-protocol-version"),
            HeaderValue::from_static("wrong"),
        )
        .header(
            HeaderName::from_static("mcp-name"),
            HeaderValue::from_static("wrong"),
        );
    let (caller, got) = caller_of(Era::Modern, options.clone(), ok).await;
    call(&caller, "com.example/a/b").await.unwrap();
    let mut named = outgoing("com.example/a/c", json!({}));
    named.mcp_name = Some("r-1".into());
    caller.call(named).await.unwrap();
    let tool = json!({"name": "grüßen", "arguments": {}});
    caller.call(outgoing("tools/call", tool)).await.unwrap();
    let resource = json!({"uri": "file:///x"});
    caller
        .call(outgoing("resources/read", resource))
        .await
        .unwrap();
    {
        let got = got.lock().unwrap();
        for request in got.iter() {
            let header = |name: &str| {
                let all: Vec<_> = request.headers.get_all(name).iter().collect();
                assert!(all.len() <= 1, "{name} {all:?}");
                all.first().map(|v| v.to_str().unwrap().to_owned())
            };
            assert_eq!(request.method, Method::POST);
            assert_eq!(request.path, "/mcp");
            assert_eq!(header("mcp-protocol-version").as_deref(), Some(MODERN));
            assert_eq!(header("mcp-method"), Some(request.rpc_method()));
            assert_eq!(header("authorization").as_deref(), Some("Bearer good"));
            let accept = header("accept").unwrap();
            assert!(accept.contains("application/json") && accept.contains("text/event-stream"));
            let name = match request.rpc_method().as_str() {
                "com.example/a/c" => Some("r-1"),
                "tools/call" => Some("=?base64?Z3LDvMOfZW4=?="),
                "resources/read" => Some("file:///x"),
                _ => None,
            };
            assert_eq!(header("mcp-name").as_deref(), name);
        }
        assert_eq!(got.len(), 5);
    }

    let (caller, got) = caller_of(Era::Legacy, options, ok).await;
    call(&caller, "com.example/a/b").await.unwrap();
    drop(caller);
    eventually("the session is ended", || {
        got.lock().unwrap().last().unwrap().method == Method::DELETE
    })
    .await;
    let got = got.lock().unwrap();
    let session = |request: &Got| request.headers.get("mcp-session-id").cloned();
    assert_eq!(got[1].rpc_method(), "initialize");
    assert_eq!(session(&got[1]), None);
    assert_eq!(got[1].headers.get("mcp-protocol-version"), None);
    for request in &got[2..] {
        assert_eq!(session(request).unwrap(), "session-1");
        assert_eq!(request.headers["mcp-protocol-version"], "2025-11-25");
        assert_eq!(request.headers.get("mcp-method"), None);
        assert_eq!(request.headers.get("mcp-name"), None);
    }
    assert_eq!(got.len(), 5);
}

#[tokio::test]
async fn a_session_that_was_forgotten_is_opened_anew_once() {
    let gone = |id: Value| json_of(404, error(&id, -32001));
    forgotten(|| status(404)).await;
    forgotten(move || gone(Value::Null)).await;
    forgotten(move || gone(json!("server-error"))).await;
}

/// By a server that says so in this way.
async fn forgotten(gone: impl Fn() -> Response<WireBody> + Send + Sync + 'static) {
    let sessions = Arc::new(AtomicUsize::new(0));
    let count = sessions.clone();
    let (address, got) = upstream(move |got| {
        if got.method == Method::DELETE {
            return status(200);
        }
        let frame = got.json();
        match got.rpc_method().as_str() {
            "initialize" => {
                let n = count.fetch_add(1, Ordering::SeqCst) + 1;
                let mut response = json_of(200, result(&frame["id"], initialized("2025-11-25")));
                let session = format!("session-{n}").parse().unwrap();
                response.headers_mut().insert("mcp-session-id", session);
                response
            }
            "notifications/initialized" => status(202),
            _ => match got.headers["mcp-session-id"].to_str().unwrap() {
                "session-2" => ok(got),
                _ => gone(),
            },
        }
    })
    .await;
    let url = format!("http://{address}/mcp");
    let options = ClientOptions::default().era(Era::Legacy);
    let caller = HttpCaller::connect(&url, options).await.unwrap();
    let calls = (0..8).map(|_| {
        let caller = caller.clone();
        tokio::spawn(async move { call(&caller, "a/b").await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap().unwrap()["n"], 1);
    }
    assert_eq!(sessions.load(Ordering::SeqCst), 2, "one for all of them");
    // REQ-1: the repeated request has an id of its own.
    let mut ids: Vec<_> = got
        .lock()
        .unwrap()
        .iter()
        .filter_map(|g| g.json()["id"].as_u64())
        .collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all);

    // A server that forgets each session is not asked for ever.
    let (address, got) = upstream(|got| opening(got, Era::Legacy, |_| status(404))).await;
    let url = format!("http://{address}/mcp");
    let caller = HttpCaller::connect(&url, ClientOptions::default().era(Era::Legacy))
        .await
        .unwrap();
    let error = call(&caller, "a/b").await.unwrap_err();
    assert_eq!(stopped(error), Stopped::Status { status: 404 });
    assert_eq!(got.lock().unwrap().len(), 6);
}

#[tokio::test]
async fn the_answer_is_found_in_a_stream_of_events() {
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let hears = heard.clone();
    let options = ClientOptions::default()
        .on_notification(move |method, _| hears.lock().unwrap().push(method.to_owned()));
    let (caller, got) = caller_of(Era::Legacy, options, |got| {
        let frame = got.json();
        if frame.get("method").is_none() {
            return status(202);
        }
        let id = &frame["id"];
        let answer = result(id, json!({"n": 5}));
        let (head, tail) = answer.split_at(answer.find(':').unwrap() + 1);
        events(format!(
            "\u{feff}: comment\n\nid: 1\r\nretry: 10\r\ndata\r\n\r\n\
             event: message\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}}\n\n\
             data: nonsense\n\ndata: {}\n\ndata: {}\n\ndata: {head}\rdata: {tail}\r\rdata: {}\n\n",
            result(&json!(999_999), json!({"n": 0})),
            json!({"jsonrpc": "2.0", "id": "s-1", "method": "ping"}),
            result(id, json!({"n": 6})),
        ))
    })
    .await;
    assert_eq!(call(&caller, "a/b").await.unwrap()["n"], 5);
    assert_eq!(*heard.lock().unwrap(), ["notifications/x"]);
    eventually("the ping is answered", || {
        got.lock()
            .unwrap()
            .iter()
            .any(|g| g.json() == json!({"jsonrpc": "2.0", "id": "s-1", "result": {}}))
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_is_cut_ends_its_call() {
    for (text, whole) in [
        ("", true),
        ("data: {\"jsonrpc\":\"2.0\"", true),
        (": nothing yet\n\n", true),
        (": nothing yet\n\n", false),
    ] {
        let (caller, _) = caller_of(Era::Modern, ClientOptions::default(), move |_| {
            if whole {
                return events(text);
            }
            let (send, pieces) = tokio::sync::mpsc::channel(2);
            send.try_send(Ok(text.into())).unwrap();
            send.try_send(Err(std::io::ErrorKind::BrokenPipe.into()))
                .unwrap();
            Response::builder()
                .header("content-type", "text/event-stream")
                .body(WireBody::new(Pieces(pieces)))
                .unwrap()
        })
        .await;
        let error = call(&caller, "a/b").await.unwrap_err();
        assert!(matches!(stopped(error), Stopped::Closed { .. }), "{text:?}");
    }
}

#[tokio::test]
async fn what_http_refuses_keeps_its_status_and_what_the_protocol_refuses_its_code() {
    type Answer = fn(&Value) -> Response<WireBody>;
    let answers: [(Answer, Result<i32, u16>); 9] = [
        (|id| json_of(404, error(id, -32601)), Ok(-32601)),
        (|id| json_of(400, error(id, -32021)), Ok(-32021)),
        (|_| json_of(400, error(&Value::Null, -32700)), Ok(-32700)),
        (|id| json_of(200, error(id, 4100)), Ok(4100)),
        (|_| status(401), Err(401)),
        (|_| json_of(403, "{\"why\":\"no\"}"), Err(403)),
        (|_| with(500, "text/html", "<p>sorry"), Err(500)),
        (|_| status(302), Err(302)),
        (|_| status(404), Err(404)),
    ];
    for (answer, expected) in answers {
        let (caller, _) = caller_of(Era::Modern, ClientOptions::default(), move |got| {
            answer(&got.json()["id"])
        })
        .await;
        match (call(&caller, "a/b").await.unwrap_err(), expected) {
            (CallerError::Rpc(error), Ok(code)) => assert_eq!(error.code, code),
            (error, Err(status)) => assert_eq!(stopped(error), Stopped::Status { status }),
            (error, expected) => panic!("{error:?} is not {expected:?}"),
        }
    }
}

#[tokio::test]
async fn bodies_that_are_no_answer_are_not_taken_for_one() {
    type Answer = fn(&Value) -> Response<WireBody>;
    let answers: [Answer; 7] = [
        |_| status(202),
        |_| with(200, "text/html", "<p>"),
        |_| json_of(200, "{"),
        |id| json_of(200, format!("[{}]", result(id, json!({})))),
        |_| json_of(200, result(&json!(999_999), json!({}))),
        |_| json_of(200, result(&Value::Null, json!({}))),
        |id| json_of(404, error(&json!(format!("{id}")), -32601)),
    ];
    for answer in answers {
        let (caller, _) = caller_of(Era::Modern, ClientOptions::default(), move |got| {
            answer(&got.json()["id"])
        })
        .await;
        let error = call(&caller, "a/b").await.unwrap_err();
        assert!(matches!(stopped(error), Stopped::Malformed { .. }));
    }
}

#[tokio::test]
async fn what_is_too_large_is_not_read_to_its_end() {
    let options = ClientOptions::default().max_frame_bytes(1000);
    for kind in ["application/json", "text/event-stream"] {
        let sent = Arc::new(AtomicUsize::new(0));
        let count = sent.clone();
        let (caller, _) = caller_of(Era::Modern, options.clone(), move |_| {
            let (send, pieces) = tokio::sync::mpsc::channel(1);
            let count = count.clone();
            tokio::spawn(async move {
                // Without an end of its own.
                while send.send(Ok(vec![b'x'; 4096].into())).await.is_ok() {
                    count.fetch_add(1, Ordering::SeqCst);
                }
                count.store(usize::MAX, Ordering::SeqCst);
            });
            Response::builder()
                .header("content-type", kind)
                .body(WireBody::new(Pieces(pieces)))
                .unwrap()
        })
        .await;
        let error = call(&caller, "a/b").await.unwrap_err();
        assert_eq!(stopped(error), Stopped::TooLarge { limit: 1000 });
        eventually("the connection is given up", || {
            sent.load(Ordering::SeqCst) == usize::MAX
        })
        .await;
    }
}

/// A server that opens, and then answers nothing until the connection is gone.
async fn silent() -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let gone = Arc::new(AtomicUsize::new(0));
    let count = gone.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let count = count.clone();
            tokio::spawn(async move {
                let mut bytes = vec![0; 1 << 16];
                loop {
                    let n = stream.read(&mut bytes).await.unwrap_or(0);
                    if n == 0 {
                        count.fetch_add(1, Ordering::SeqCst);
                        return;
                    }
                    let text = String::from_utf8_lossy(&bytes[..n]);
                    let frame = text.split("\r\n\r\n").nth(1).unwrap_or_default();
                    let frame: Value = serde_json::from_str(frame).unwrap_or_default();
                    if frame["method"] == "server/discover" {
                        let answer = result(&frame["id"], discovered());
                        let head = format!(
                            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                            answer.len()
                        );
                        let _ = stream.write_all((head + &answer).as_bytes()).await;
                        return;
                    }
                }
            });
        }
    });
    (address, gone)
}

#[tokio::test]
async fn req_25_a_modern_call_that_is_dropped_or_late_closes_its_stream() {
    let (address, gone) = silent().await;
    let url = format!("http://{address}/mcp");
    let options = ClientOptions::default().timeout(Some(Duration::from_millis(80)));
    let caller = HttpCaller::connect(&url, options).await.unwrap();
    let error = call(&caller, "a/b").await.unwrap_err();
    assert!(matches!(stopped(error), Stopped::TimedOut { .. }));
    eventually("the late one is closed", || {
        gone.load(Ordering::SeqCst) == 1
    })
    .await;
    let dropped = tokio::time::timeout(Duration::from_millis(40), call(&caller, "a/b")).await;
    assert!(dropped.is_err());
    eventually("the dropped one is closed", || {
        gone.load(Ordering::SeqCst) == 2
    })
    .await;
}

#[tokio::test]
async fn a_legacy_call_that_is_dropped_is_cancelled_with_a_notification() {
    let (caller, got) = caller_of(Era::Legacy, ClientOptions::default(), |_| {
        // Never ends.
        let (send, pieces) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move { send.closed().await });
        Response::builder()
            .header("content-type", "text/event-stream")
            .body(WireBody::new(Pieces(pieces)))
            .unwrap()
    })
    .await;
    let dropped = tokio::time::timeout(Duration::from_millis(80), call(&caller, "a/b")).await;
    assert!(dropped.is_err());
    eventually("the cancellation", || {
        got.lock().unwrap().last().unwrap().rpc_method() == "notifications/cancelled"
    })
    .await;
    let got = got.lock().unwrap();
    let [.., asked, cancelled] = &got[..] else {
        panic!("too few")
    };
    assert_eq!(cancelled.json()["params"]["requestId"], asked.json()["id"]);
    assert_eq!(cancelled.headers["mcp-session-id"], "session-1");
}

#[tokio::test]
async fn more_calls_than_allowed_at_once_are_not_sent() {
    let (address, _) = silent().await;
    let url = format!("http://{address}/mcp");
    let options = ClientOptions::default().max_in_flight(1);
    let caller = HttpCaller::connect(&url, options).await.unwrap();
    let first = caller.clone();
    let first = tokio::spawn(async move { call(&first, "a/b").await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let error = call(&caller, "a/b").await.unwrap_err();
    assert_eq!(stopped(error), Stopped::Busy { limit: 1 });
    first.abort();
}

#[tokio::test]
async fn urls_that_cannot_be_called_are_refused_and_not_shown() {
    for (url, expected) in [
        ("", "cannot be read"),
        ("/mcp", "host"),
        ("ftp://example.com/x", "scheme"),
        ("https://example.com/mcp", "HttpCaller::over"),
        ("http://user:secret@example.com/mcp", "credentials"),
    ] {
        let failed = HttpCaller::connect(url, ClientOptions::default()).await;
        let failed = failed.unwrap_err();
        assert!(matches!(failed, ConnectError::Url { .. }), "{url}");
        let text = failed.to_string();
        assert!(text.contains(expected), "{url}: {text}");
        assert!(!text.contains("secret"), "{text}");
    }
    // Nobody listens there, and nobody is asked twice.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://{address}/mcp");
    let failed = HttpCaller::connect(&url, ClientOptions::default());
    assert!(matches!(
        failed.await.unwrap_err(),
        ConnectError::Failed {
            method: "server/discover",
            error: CallerError::Transport(_)
        }
    ));
}

#[tokio::test]
async fn who_is_turned_away_is_not_asked_to_initialize() {
    let (address, got) = upstream(|_| status(401)).await;
    let url = format!("http://{address}/mcp");
    let failed = HttpCaller::connect(&url, ClientOptions::default());
    let ConnectError::Failed { error, .. } = failed.await.unwrap_err() else {
        panic!("another error")
    };
    assert_eq!(stopped(error), Stopped::Status { status: 401 });
    assert_eq!(got.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_that_asks_without_end_is_answered_within_bounds() {
    let (caller, got) = caller_of(Era::Legacy, ClientOptions::default(), |got| {
        let frame = got.json();
        if frame.get("method").is_none() {
            return status(202);
        }
        let ping = format!(
            "data: {}\n\n",
            json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})
        );
        events(format!(
            "{}data: {}\n\n",
            ping.repeat(5000),
            result(&frame["id"], json!({"n": 1}))
        ))
    })
    .await;
    assert_eq!(call(&caller, "a/b").await.unwrap()["n"], 1);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(got.lock().unwrap().len() < 500);
}

#[tokio::test]
async fn hdr_19_a_tool_that_wants_arguments_in_headers_gets_them() {
    let schema = json!({"type": "object", "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "none": {"type": "string", "x-mcp-header": "None"},
        "bad": {"type": "string", "x-mcp-header": "no header"},
        "deep": {"type": "object", "properties": {"count": {"type": "integer", "x-mcp-header": "Count"}}},
    }});
    let (caller, got) = caller_of(Era::Modern, ClientOptions::default(), move |got| {
        let frame = got.json();
        let id = &frame["id"];
        match (
            got.rpc_method().as_str(),
            frame["params"]["cursor"].as_str(),
        ) {
            ("tools/list", None) => json_of(
                200,
                result(id, json!({"tools": [{"name": "a"}], "nextCursor": "2"})),
            ),
            ("tools/list", Some("2")) => json_of(
                200,
                result(
                    id,
                    json!({"tools": [{"name": "move", "inputSchema": schema}]}),
                ),
            ),
            _ if got.headers.get("mcp-param-region").is_some() => ok(got),
            _ => json_of(400, error(id, -32020)),
        }
    })
    .await;
    let arguments = json!({"region": "Zürich", "none": null, "bad": "x", "deep": {"count": 42}});
    let call = || {
        outgoing(
            "tools/call",
            json!({"name": "move", "arguments": arguments}),
        )
    };
    assert_eq!(caller.call(call()).await.unwrap()["n"], 1);
    {
        let got = got.lock().unwrap();
        let last = &got.last().unwrap().headers;
        assert_eq!(last["mcp-param-region"], "=?base64?WsO8cmljaA==?=");
        assert_eq!(last["mcp-param-count"], "42");
        let mirrored = last.keys().filter(|k| k.as_str().starts_with("mcp-param-"));
        assert_eq!(mirrored.count(), 2);
        // Refused, two pages, and again.
        assert_eq!(got.len(), 5);
    }
    // It is known now.
    caller.call(call()).await.unwrap();
    assert_eq!(got.lock().unwrap().len(), 6);
    // A tool that cannot be helped is not called for ever.
    let other = outgoing("tools/call", json!({"name": "a", "arguments": {}}));
    let refused = caller.call(other).await.unwrap_err();
    assert!(matches!(refused, CallerError::Rpc(e) if e.code == -32020));
    assert_eq!(got.lock().unwrap().len(), 9);
}

#[tokio::test]
async fn any_service_can_carry_the_requests() {
    // As a client with TLS would: it is handed an https URL.
    #[derive(Clone, Default)]
    struct Within(Arc<Mutex<Vec<String>>>);
    impl tower_service::Service<http::Request<WireBody>> for Within {
        type Response = Response<WireBody>;
        type Error = std::io::Error;
        type Future = std::pin::Pin<
            Box<dyn Future<Output = Result<Response<WireBody>, std::io::Error>> + Send>,
        >;
        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), std::io::Error>> {
            std::task::Poll::Ready(Ok(()))
        }
        fn call(&mut self, request: http::Request<WireBody>) -> Self::Future {
            use http_body_util::BodyExt;
            let seen = self.0.clone();
            Box::pin(async move {
                seen.lock().unwrap().push(request.uri().to_string());
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let frame: Value = serde_json::from_slice(&body).unwrap();
                match frame["method"].as_str() {
                    Some("server/discover") => Ok(json_of(200, result(&frame["id"], discovered()))),
                    Some("a/b") => Ok(json_of(200, result(&frame["id"], json!({"n": 1})))),
                    _ => Err(std::io::ErrorKind::ConnectionReset.into()),
                }
            })
        }
    }
    let service = Within::default();
    let url = "https://example.com/mcp?x=1";
    let caller = HttpCaller::over(service.clone(), url, ClientOptions::default())
        .await
        .unwrap();
    assert_eq!(call(&caller, "a/b").await.unwrap()["n"], 1);
    let error = call(&caller, "c/d").await.unwrap_err();
    assert!(matches!(stopped(error), Stopped::Closed { .. }));
    assert!(service.0.lock().unwrap().iter().all(|seen| seen == url));
}
