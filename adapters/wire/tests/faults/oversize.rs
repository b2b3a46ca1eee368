//! Too much of everything: frames and bodies of 100 MB, floods, bytes that are no text. What is held stays bounded.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::common::*;
use crate::leaks;
use crate::peer;
use crate::runs;
use crate::wire::{Answer, Client, Head, body, post};

const PATIENCE: Duration = Duration::from_secs(60);

const HUGE: usize = 100 * 1024 * 1024;

/// The most that may be held of what passes or is refused, in kB: twice the largest frame, since a buffer grows by
/// doubling, and what the process takes by itself.
const BOUND: u64 = 80 * 1024;

fn assert_bounded(pid: u32, most: u64, what: &str) {
    // Elsewhere than on Linux nobody knows.
    if let Some(peak) = leaks::memory(pid, "VmHWM") {
        eprintln!("{what}: {} MB at most", peak / 1024);
        assert!(
            peak < most,
            "{what}: {peak} kB were held, at most {most} may be"
        );
    }
}

/// A server behind `wrap`.
struct Wrapped {
    wrap: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Wrapped {
    fn start() -> Self {
        let mut wrap = peer::command()
            .args(["wrap", "huge"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (to, from) = (wrap.stdin.take().unwrap(), wrap.stdout.take().unwrap());
        Self {
            wrap,
            to,
            from: BufReader::new(from),
        }
    }

    fn pid(&self) -> u32 {
        self.wrap.id().unwrap()
    }

    async fn line(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        let read = self.from.read_until(b'\n', &mut line);
        timeout(PATIENCE, read)
            .await
            .expect("nothing came")
            .unwrap();
        line
    }

    async fn recv(&mut self) -> Value {
        let line = self.line().await;
        serde_json::from_slice(&line).unwrap_or_else(|e| panic!("{e}: {} bytes", line.len()))
    }

    async fn call(&mut self, frame: &Value) -> Value {
        self.to
            .write_all(format!("{frame}\n").as_bytes())
            .await
            .unwrap();
        self.recv().await
    }

    /// A request with that many bytes of filler.
    async fn send_filled(&mut self, id: u64, method: &str, bytes: usize) {
        let head = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\",\"params\":{{\"text\":\""
        );
        self.to.write_all(head.as_bytes()).await.unwrap();
        let chunk = vec![b'x'; 64 * 1024];
        for at in (0..bytes).step_by(chunk.len()) {
            self.to
                .write_all(&chunk[..chunk.len().min(bytes - at)])
                .await
                .unwrap();
        }
        self.to.write_all(b"\"}}\n").await.unwrap();
    }

    async fn end(self) {
        let Self {
            mut wrap,
            to,
            mut from,
        } = self;
        drop(to);
        let mut rest = Vec::new();
        let read = from.read_to_end(&mut rest);
        timeout(PATIENCE, read).await.unwrap().unwrap();
        assert!(rest.is_empty(), "{} bytes more", rest.len());
        let status = timeout(PATIENCE, wrap.wait()).await.unwrap().unwrap();
        assert!(status.success(), "{status}");
    }
}

pub fn stdio_frames() {
    runs::runtime().block_on(async {
        let mut wrapped = Wrapped::start();
        assert!(wrapped.call(&initialize(1, "2025-11-25")).await["result"].is_object());
        // From the client: for the server, and for us.
        for (id, method) in [(2, "length"), (3, ECHO)] {
            wrapped.send_filled(id, method, HUGE).await;
            let refused = wrapped.recv().await;
            assert_eq!(
                (&refused["id"], &refused["error"]["code"]),
                (&json!(id), &json!(-32600))
            );
        }
        // From the server.
        let refused = wrapped
            .call(&legacy(4, "huge", json!({"bytes": HUGE})))
            .await;
        assert_eq!(
            (&refused["id"], &refused["error"]["code"]),
            (&json!(4), &json!(-32603))
        );
        assert_bounded(wrapped.pid(), BOUND, "frames of 100 MB");
        // What fits passes whole, in both directions.
        let fits = 30 * 1024 * 1024;
        wrapped.send_filled(5, "length", fits).await;
        let length = wrapped.recv().await["result"]["length"].as_u64().unwrap();
        assert!(length > fits as u64);
        let answer = wrapped
            .call(&legacy(6, "huge", json!({"bytes": fits})))
            .await;
        assert_eq!(answer["result"]["text"].as_str().unwrap().len(), fits);
        assert_bounded(wrapped.pid(), BOUND, "frames of 30 MB");
        let echo = wrapped.call(&legacy(7, ECHO, json!({"text": "x"}))).await;
        assert_eq!(echo["result"]["text"], "x");
        // And none of it stays.
        if let Some(left) = leaks::memory(wrapped.pid(), "VmRSS") {
            assert!(left < BOUND / 2, "{left} kB are still held");
        }
        wrapped.end().await;
    });
}

pub fn stdio_floods() {
    runs::runtime().block_on(async {
        let mut wrapped = Wrapped::start();
        wrapped.call(&initialize("init", "2025-11-25")).await;
        // A client that sends and does not read is not taken without end.
        let mut sent = 0;
        let line = format!("{}\n", legacy(1, ECHO, json!({"text": "x".repeat(900)})));
        while timeout(Duration::from_millis(500), wrapped.to.write_all(line.as_bytes())).await.is_ok() {
            sent += 1;
            assert!(sent < 50_000, "the relay takes without end");
        }
        assert_bounded(wrapped.pid(), BOUND / 2, "a client that does not read");
        // Ids that are under way are refused and every request is answered. The last one was not taken whole.
        let (mut taken, mut doubled) = (0, 0);
        while taken + doubled < sent {
            let answer = wrapped.recv().await;
            match answer["error"]["data"]["kind"].as_str() {
                None if answer["result"].is_object() => taken += 1,
                Some("duplicate_id") => doubled += 1,
                _ => panic!("{answer}"),
            }
        }
        assert!(taken > 0);
        wrapped.wrap.start_kill().unwrap();
        wrapped.wrap.wait().await.unwrap();

        // Calls that wait, each with an id of its own: so many as may be, and the rest is told.
        let mut wrapped = Wrapped::start();
        wrapped.call(&initialize("init", "2025-11-25")).await;
        for id in 0..300 {
            let frame = legacy(id, WAIT, json!({"millis": 300}));
            wrapped.to.write_all(format!("{frame}\n").as_bytes()).await.unwrap();
        }
        // Notifications of ours, of the server, and cancellations of nothing.
        for _ in 0..20_000 {
            let lines = format!(
                "{{\"jsonrpc\":\"2.0\",\"method\":\"{NOTED}\"}}\n{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}}\n\
                 {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{{\"requestId\":\"none\"}}}}\n"
            );
            wrapped.to.write_all(lines.as_bytes()).await.unwrap();
        }
        let (mut done, mut busy) = (0, 0);
        while done + busy < 300 {
            let answer = wrapped.recv().await;
            if answer["result"].is_object() {
                done += 1;
            } else {
                assert_eq!(answer["error"]["data"]["kind"], "busy", "{answer}");
                busy += 1;
            }
        }
        assert!(done >= 256, "{done} of 300, {busy} were refused");
        assert_bounded(wrapped.pid(), BOUND / 2, "floods");
        wrapped.end().await;
    });
}

/// The proxy as a process, in front of a server of the test.
struct Proxied {
    proxy: Child,
    address: std::net::SocketAddr,
    _server: JoinSet<()>,
}

impl Proxied {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(BufReader::new(stream)));
            }
        });
        let mut proxy = peer::command()
            .args(["proxy", &url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(proxy.stdout.take().unwrap());
        timeout(PATIENCE, out.read_line(&mut line))
            .await
            .unwrap()
            .unwrap();
        Self {
            proxy,
            address: line.trim().parse().unwrap(),
            _server: server,
        }
    }

    fn pid(&self) -> u32 {
        self.proxy.id().unwrap()
    }

    async fn post(&self, frame: &Value, session: Option<&str>) -> Answer {
        let mut client = Client::connect(self.address).await;
        assert!(client.send(&post(frame, session)).await);
        timeout(PATIENCE, client.answer(&mut None))
            .await
            .unwrap()
            .unwrap()
    }

    async fn still_serves(&self) {
        let echo = self
            .post(&modern(1, ECHO, json!({"text": "still"})), None)
            .await;
        assert_eq!(echo.answers()[0]["result"]["text"], "still");
    }

    async fn end(mut self) {
        drop(self.proxy.stdin.take());
        let status = timeout(PATIENCE, self.proxy.wait()).await.unwrap().unwrap();
        assert!(status.success(), "{status}");
    }
}

/// A server that answers with as many bytes as it is asked for.
async fn serve(mut stream: BufReader<tokio::net::TcpStream>) {
    while let Some(head) = Head::read(&mut stream).await {
        let (body, whole) = body(&mut stream, &head, &mut None).await;
        if !whole {
            return;
        }
        let frame: Value = serde_json::from_slice(&body).unwrap_or_default();
        let bytes = frame["params"]["bytes"].as_u64().unwrap_or_default();
        let kind = if frame["params"]["events"] == true {
            "text/event-stream"
        } else {
            "application/json"
        };
        let answer = match plain_server(&frame) {
            Some(_) if bytes > 0 => format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{{\"text\":\"",
                frame["id"]
            ),
            Some(answer) => answer.to_string(),
            // What cannot be read comes back.
            None if frame.is_null() => String::new(),
            None => "{}".to_owned(),
        };
        let (start, end) = match (bytes, kind) {
            (0, _) => ("", ""),
            (_, "text/event-stream") => ("data: ", "\"}}\n\n"),
            _ => ("", "\"}}"),
        };
        let echo: &[u8] = if frame.is_null() { &body } else { b"" };
        let length =
            start.len() + answer.len() + usize::try_from(bytes).unwrap() + end.len() + echo.len();
        let session = if frame["method"] == "initialize" {
            "mcp-session-id: s\r\n"
        } else {
            ""
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{session}content-length: {length}\r\n\r\n{start}{answer}"
        );
        let mut sent = stream.write_all(head.as_bytes()).await;
        let chunk = vec![b'x'; 64 * 1024];
        let mut left = usize::try_from(bytes).unwrap();
        while left > 0 && sent.is_ok() {
            let piece = chunk.len().min(left);
            sent = stream.write_all(&chunk[..piece]).await;
            left -= piece;
        }
        for rest in [end.as_bytes(), echo] {
            if sent.is_ok() {
                sent = stream.write_all(rest).await;
            }
        }
        if sent.is_err() {
            return;
        }
    }
}

pub fn http_bodies() {
    runs::runtime().block_on(async {
        let proxied = Proxied::start().await;
        // From the client, with a length and without. The connection may be closed before the refusal is read.
        for (how, head) in [
            ("with a length", format!("content-length: {HUGE}\r\n")),
            ("in chunks", "transfer-encoding: chunked\r\n".into()),
        ] {
            let mut client = Client::connect(proxied.address).await;
            let head = format!("POST /mcp HTTP/1.1\r\nhost: x\r\n{head}\r\n");
            let chunk = vec![b'x'; 64 * 1024];
            let mut taken = client.send(head.as_bytes()).await;
            let mut sent = 0;
            while taken && sent < HUGE {
                if how == "in chunks" {
                    client
                        .send(format!("{:x}\r\n", chunk.len()).as_bytes())
                        .await;
                }
                taken = client.send(&chunk).await;
                if how == "in chunks" {
                    client.send(b"\r\n").await;
                }
                sent += chunk.len();
            }
            assert!(sent < HUGE / 2, "{how}: {sent} bytes were taken");
            if let Some(answer) = timeout(PATIENCE, client.answer(&mut None)).await.unwrap() {
                assert_eq!(answer.status, 413, "{how}: {answer:?}");
            }
        }
        assert_bounded(proxied.pid(), BOUND / 2, "bodies of the client");
        // From the server: what passes is not held.
        for events in [false, true] {
            let frame = modern(
                5,
                "tools/call",
                json!({"name": "add", "bytes": HUGE, "events": events}),
            );
            let passed = proxied.post(&frame, None).await;
            assert!(passed.whole && passed.body.len() > HUGE);
        }
        assert_bounded(proxied.pid(), BOUND / 2, "bodies that pass");
        // What is amended is, up to the bound.
        let refused = proxied
            .post(&modern(6, "tools/list", json!({"bytes": HUGE})), None)
            .await;
        assert_eq!(
            (refused.status, &refused.answers()[0]["id"]),
            (502, &json!(6))
        );
        let frame = modern(7, "tools/list", json!({"bytes": HUGE, "events": true}));
        let passed = proxied.post(&frame, None).await;
        assert!(
            passed.whole && passed.body.len() > HUGE,
            "a stream passes unamended"
        );
        assert_bounded(proxied.pid(), BOUND, "bodies that are amended");
        proxied.still_serves().await;
        proxied.end().await;
    });
}

pub fn http_floods() {
    runs::runtime().block_on(async {
        let proxied = Proxied::start().await;
        let init = proxied
            .post(&initialize(0, "2025-11-25"), Some("none-yet"))
            .await;
        assert_eq!(init.status, 200, "{init:?}");
        // The same id at once from many connections: one is answered, the others are refused.
        let address = proxied.address;
        let mut callers = JoinSet::new();
        for _ in 0..50 {
            callers.spawn(async move {
                let mut client = Client::connect(address).await;
                let frame = legacy(7, WAIT, json!({"millis": 2000}));
                assert!(client.send(&post(&frame, Some("s"))).await);
                let answer = timeout(PATIENCE, client.answer(&mut None))
                    .await
                    .unwrap()
                    .unwrap();
                answer.answers().remove(0)
            });
        }
        let answers = callers.join_all().await;
        let refused = answers
            .iter()
            .filter(|a| a["error"]["data"]["kind"] == "duplicate_id")
            .count();
        let answered = answers.iter().filter(|a| a["result"].is_object()).count();
        assert!(
            answered >= 1 && answered + refused == 50,
            "{answered} answered, {refused} refused"
        );
        // Many connections that say half a head, half a body, or nothing, and many calls beside them.
        let mut held = Vec::new();
        for at in 0..200 {
            let mut client = Client::connect(address).await;
            let half: &[u8] = match at % 3 {
                0 => b"",
                1 => b"POST /mcp HTTP/1.1\r\nhost: x\r\nx-",
                _ => {
                    b"POST /mcp HTTP/1.1\r\nhost: x\r\ncontent-length: 4000000\r\n\r\n{\"jsonrpc\""
                }
            };
            assert!(client.send(half).await);
            held.push(client);
        }
        let mut callers = JoinSet::new();
        for id in 0..300u64 {
            callers.spawn(async move {
                let mut client = Client::connect(address).await;
                let frame = modern(id, ECHO, json!({"text": id.to_string()}));
                assert!(client.send(&post(&frame, None)).await);
                let answer = timeout(PATIENCE, client.answer(&mut None))
                    .await
                    .unwrap()
                    .unwrap();
                let answers = answer.answers();
                assert_eq!(answers.len(), 1, "{answer:?}");
                assert_eq!(answers[0]["id"], id);
                let text = answers[0]["result"]["text"].as_str();
                text.and_then(|text| text.parse().ok()) == Some(id)
            });
        }
        let right = callers
            .join_all()
            .await
            .into_iter()
            .filter(|right| *right)
            .count();
        assert!(right >= 256, "{right} of 300 were answered");
        // More headers than are read.
        let mut client = Client::connect(address).await;
        let many = format!("POST /mcp HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(100_000));
        client.send(many.as_bytes()).await;
        if let Some(answer) = timeout(PATIENCE, client.answer(&mut None)).await.unwrap() {
            assert_eq!(answer.status, 431, "{answer:?}");
        }
        assert_bounded(proxied.pid(), BOUND, "floods");
        proxied.still_serves().await;
        drop(held);
        proxied.end().await;
    });
}

pub fn http_bytes() {
    runs::runtime().block_on(async {
        let proxied = Proxied::start().await;
        let bad = [
            format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{ECHO}\",\"params\":{{\"text\":\"").into_bytes(),
            b"\xff\xfe{\"id\":1}".to_vec(),
            [b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"com.example/desk/echo\",\"params\":{\"text\":\"\xff".to_vec(), b"\"}}".to_vec()].concat(),
            vec![0; 1000],
            "[".repeat(1_000_000).into_bytes(),
            "{\"a\":".repeat(500_000).into_bytes(),
        ];
        for bytes in bad {
            let mut client = Client::connect(proxied.address).await;
            let head = format!(
                "POST /mcp HTTP/1.1\r\nhost: x\r\nmcp-protocol-version: 2026-07-28\r\ncontent-length: {}\r\n\r\n",
                bytes.len()
            );
            client.send(head.as_bytes()).await;
            assert!(client.send(&bytes).await);
            // What is no message is the server's to refuse; this one sends it back.
            let answer = timeout(PATIENCE, client.answer(&mut None)).await.unwrap().unwrap();
            assert_eq!((answer.status, &answer.body), (200, &bytes));
            // No other request of the connection suffers.
            assert!(client.send(&post(&modern(2, ECHO, json!({"text": "next"})), None)).await);
            let next = timeout(PATIENCE, client.answer(&mut None)).await.unwrap().unwrap();
            assert_eq!(next.answers()[0]["result"]["text"], "next");
        }
        // What is no HTTP at all, and two requests smuggled as one.
        for bytes in [
            &b"\x16\x03\x01\x02\x00\x01\x00\x01"[..],
            b"POST /mcp HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n12345",
            b"POST /mcp HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
            b"POST /mcp HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        ] {
            let mut client = Client::connect(proxied.address).await;
            client.send(bytes).await;
            client.write.shutdown().await.unwrap();
            if let Some(answer) = timeout(PATIENCE, client.answer(&mut None)).await.unwrap() {
                assert!((400..500).contains(&answer.status), "{answer:?}");
            }
        }
        proxied.still_serves().await;
        proxied.end().await;
    });
}
