//! Requests over loopback sockets.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ::http::{Request, Response, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mcp_ext_core::ExtensionSetBuilder;
use mcp_ext_wire::{ProxyOptions, proxy};
use tokio::net::TcpListener;

use crate::{Figures, compare, processor, runtime, set};

/// Connections at once, each with a call under way.
const CONNECTIONS: usize = 16;

/// Runs a process of a comparison; it says where it listens.
pub fn run(mode: &str, upstream: Option<&str>) {
    let upstream = upstream.unwrap_or_default().to_owned();
    match mode {
        "server" => runtime(server()),
        "pump" => runtime(pump(upstream)),
        "empty" => runtime(proxied(mcp_ext_core::ExtensionSet::builder(), upstream)),
        _ => runtime(proxied(set(), upstream)),
    }
}

async fn listen() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    listener
}

/// Answers with JSON, or for the tool `stream` with events, as fast as it can.
async fn server() {
    let listener = listen().await;
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let service = service_fn(|request: Request<Incoming>| async {
            let body = request.into_body().collect().await.expect("a body");
            let body = body.to_bytes();
            Ok::<_, Infallible>(answer(&String::from_utf8_lossy(&body)))
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

fn answer(request: &str) -> Response<Full<Bytes>> {
    let id = request
        .split("\"id\":")
        .nth(1)
        .and_then(|rest| rest.split(',').next())
        .unwrap_or("0");
    let discovers = request.contains("server/discover");
    let result = if discovers {
        r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}"#
    } else {
        r#"{"content":[{"type":"text","text":"the answer to everything that was asked"}]}"#
    };
    let frame = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
    let (kind, body) = if request.contains("\"stream\"") {
        let note =
            "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n";
        (
            "text/event-stream",
            format!("{}data: {frame}\n\n", note.repeat(3)),
        )
    } else {
        ("application/json", frame)
    };
    Response::builder()
        .header("content-type", kind)
        .body(Full::new(body.into()))
        .expect("an answer")
}

/// The yardstick: requests and answers there and back, on the same HTTP implementation, nothing else.
async fn pump(upstream: String) {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Incoming> = Client::builder(TokioExecutor::new()).build(connector);
    let listener = listen().await;
    let upstream: Uri = upstream.parse().expect("a URL");
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let (client, upstream) = (client.clone(), upstream.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            *request.uri_mut() = upstream.clone();
            request.headers_mut().remove("host");
            client.request(request)
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn proxied(set: ExtensionSetBuilder, upstream: String) {
    let upstream = upstream.parse().expect("a URL");
    let set = set.build().expect("a set");
    let options = ProxyOptions::default();
    proxy(
        set,
        listen().await,
        upstream,
        options,
        std::future::pending(),
    )
    .await
    .expect("it runs");
}

/// A process of a comparison, and where it listens.
pub struct Peer {
    child: Child,
    address: SocketAddr,
    kept: Vec<Connection>,
}

/// What is called.
#[derive(Clone, Copy)]
pub enum Call {
    /// The server's own tool, which answers with JSON.
    Json,
    /// Another, which answers with a stream of events.
    Events,
    /// A method of ours.
    Own,
}

struct Connection(TcpStream, Vec<u8>);

impl Connection {
    fn send(&mut self, id: u32, call: Call) {
        let text = "some words that stand for arguments of usual length";
        let (method, name) = match call {
            Call::Json => ("tools/call", "add"),
            Call::Events => ("tools/call", "stream"),
            Call::Own => ("com.example/speed/speedEcho", ""),
        };
        let params = match call {
            Call::Own => format!(r#""text":"{text}""#),
            _ => format!(r#""name":"{name}","arguments":{{"a":1,"b":2,"text":"{text}"}}"#),
        };
        let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"extensions":{"com.example/speed":{}}}}"#;
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params},{meta}}}}}"#
        );
        let request = format!(
            "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             accept: application/json, text/event-stream\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: {method}\r\n\
             mcp-name: {name}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.write_all(request.as_bytes()).expect("it takes it");
    }

    /// Reads a whole answer.
    fn receive(&mut self) {
        let Self(stream, seen) = self;
        seen.clear();
        let mut chunk = [0; 16 * 1024];
        loop {
            let n = stream.read(&mut chunk).expect("it answers");
            assert!(n > 0, "closed: {}", String::from_utf8_lossy(seen));
            seen.extend_from_slice(&chunk[..n]);
            let Some(head) = seen.windows(4).position(|w| w == b"\r\n\r\n") else {
                continue;
            };
            let text = std::str::from_utf8(&seen[..head]).expect("a head");
            assert!(
                text.starts_with("HTTP/1.1 200"),
                "{}",
                String::from_utf8_lossy(seen)
            );
            let length = text.split("content-length: ").nth(1).map(|rest| {
                let digits = rest.split("\r\n").next().unwrap_or_default();
                digits.parse::<usize>().expect("a length")
            });
            let whole = match length {
                Some(length) => seen.len() >= head + 4 + length,
                None => seen.ends_with(b"0\r\n\r\n"),
            };
            if whole {
                return;
            }
        }
    }
}

impl Peer {
    /// Starts it, in front of another.
    pub fn start(mode: &str, upstream: Option<&Self>) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["http", mode]).stdout(Stdio::piped());
        if let Some(upstream) = upstream {
            command.arg(format!("http://{}/mcp", upstream.address));
        }
        let mut child = command.spawn().expect("a peer");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("it says where it listens");
        let address: SocketAddr = line.trim().parse().expect("an address");
        let kept = (0..CONNECTIONS)
            .map(|_| {
                let stream = TcpStream::connect(address).expect("it listens");
                stream.set_nodelay(true).expect("a socket");
                Connection(stream, Vec::new())
            })
            .collect();
        Self {
            child,
            address,
            kept,
        }
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn sequential(&mut self, calls: u32, call: Call) -> Duration {
        let connection = &mut self.kept[0];
        let mut times: Vec<Duration> = (1..=calls)
            .map(|id| {
                let at = Instant::now();
                connection.send(id, call);
                connection.receive();
                at.elapsed()
            })
            .collect();
        times.sort_unstable();
        times[times.len() / 2]
    }

    /// Calls a second with one under way on each connection; what is called goes around.
    pub fn concurrent(&mut self, calls: u32, around: &[Call]) -> f64 {
        let at = Instant::now();
        let mut around = around.iter().cycle();
        let mut next = |connection: &mut Connection, id| {
            connection.send(id, *around.next().expect("something is called"));
        };
        for (connection, id) in self.kept.iter_mut().zip(0..) {
            next(connection, id);
        }
        for id in (CONNECTIONS as u32)..calls {
            let connection = &mut self.kept[id as usize % CONNECTIONS];
            connection.receive();
            next(connection, id);
        }
        for connection in &mut self.kept {
            connection.receive();
        }
        f64::from(calls) / at.elapsed().as_secs_f64()
    }

    /// One round.
    fn round(&mut self, call: Call) -> Figures {
        const SEQUENTIAL: u32 = 300;
        const CONCURRENT: u32 = 1_500;
        let before = processor(self.pid());
        let median = self.sequential(SEQUENTIAL, call);
        let rate = self.concurrent(CONCURRENT, &[call]);
        let used = processor(self.pid()).zip(before);
        Figures {
            median,
            rate,
            processor: used.map(|(after, before)| (after - before) / (SEQUENTIAL + CONCURRENT)),
        }
    }

    /// Ends it.
    pub fn end(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Compares the proxy with the pump and the bare server.
///
/// There and back in turn, many short rounds. The load is one thread's, which waits for each answer: it has time to spare
/// (its own share of a processor is printed), so that what is measured is what stands behind it.
pub fn measure() {
    const ROUNDS: usize = 60;
    let server = Peer::start("server", None);
    let modes = ["pump", "server", "empty", "wrap"];
    let mut peers: Vec<Peer> = modes
        .iter()
        .map(|mode| Peer::start(mode, Some(&server)))
        .collect();
    for (what, call) in [
        ("JSON over HTTP", Call::Json),
        ("events over HTTP", Call::Events),
    ] {
        let (at, before) = (Instant::now(), processor(std::process::id()));
        compare(what, &modes, ROUNDS, |at| peers[at].round(call));
        if let (Some(before), Some(after)) = (before, processor(std::process::id())) {
            let share = (after - before).as_secs_f64() / at.elapsed().as_secs_f64();
            println!("    load: {:.0}% of a processor", share * 100.0);
        }
    }
    let mut wrap = peers.pop().expect("the last one");
    compare("a method of ours over HTTP", &["wrap"], ROUNDS, |_| {
        wrap.round(Call::Own)
    });
    for peer in peers.into_iter().chain([wrap, server]) {
        peer.end();
    }
}
