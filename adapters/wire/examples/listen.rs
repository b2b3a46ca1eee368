//! What an open listen stream costs the proxy in resident memory, and whether it comes back when the streams close.
//!
//! `cargo run --release -p mcp-ext-wire --features proxy --example listen [STREAMS]`
//!
//! Three processes: this one is the clients, one is the proxy that is measured, one is the server behind it. Each kind of
//! stream is opened and closed five times in one proxy. Fails when a stream of the proxy's own takes more than 16 KiB in a
//! fresh process, or when the last round leaves more than 5 % above what the round before it left.
//!
//! What is freed is not what is resident: the allocator of most Linux systems keeps most of it for the next streams, so
//! that the first closing shows little and the following openings cost little. A leak would show in every round. Most of a
//! stream is two buffers of 8 KiB that hyper has for each connection. Linux, since it reads `/proc`.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mcp_ext_core::{ExtensionSet, extension, handlers};
use mcp_ext_wire::{ProxyOptions, WireBody, proxy};
use tokio::io::AsyncBufReadExt;
use tokio::net::TcpListener;

/// Most resident memory of an open stream that the proxy answers alone, in a fresh process.
const MOST: f64 = 16.0 * 1024.0;

/// How often the streams are opened and closed.
const ROUNDS: usize = 5;

/// An extension with something to tell.
#[extension(id = "com.example/bell")]
pub trait Bell {
    /// It rang.
    #[notification(listen)]
    fn rang();
}

struct Tower;

#[handlers]
impl Bell for Tower {}

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["server"] => runtime()?.block_on(server()),
        ["proxy", upstream] => runtime()?.block_on(proxied(upstream)),
        [] => measure(2000),
        [streams] => measure(streams.parse()?),
        _ => Err("at most one argument: how many streams".into()),
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
}

// ---- the server ------------------------------------------------------------------------------------------------------

/// Answers `server/discover`; and a listen request, by a stream that stays open.
async fn server() -> Result<(), Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer)),
        );
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<WireBody>, Infallible> {
    let body = request.into_body().collect().await.map(|b| b.to_bytes());
    let frame: serde_json::Value =
        serde_json::from_slice(&body.unwrap_or_default()).unwrap_or_default();
    let id = &frame["id"];
    if frame["method"] == "server/discover" {
        let result = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{{}}}}}}"#
        );
        let mut response = Response::new(WireBody::new(Full::new(Bytes::from(result))));
        let kind = http::HeaderValue::from_static("application/json");
        response.headers_mut().insert("content-type", kind);
        return Ok(response);
    }
    let first = format!(
        "data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\",\"params\":{{\"_meta\":\
         {{\"io.modelcontextprotocol/subscriptionId\":{id}}},\"notifications\":{{\"toolsListChanged\":true}}}}}}\n\n"
    );
    let mut response = Response::new(WireBody::new(Endless(Some(first.into()))));
    let kind = http::HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert("content-type", kind);
    Ok(response)
}

/// One event, and no end.
struct Endless(Option<Bytes>);

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        match self.0.take() {
            Some(first) => std::task::Poll::Ready(Some(Ok(http_body::Frame::data(first)))),
            None => std::task::Poll::Pending,
        }
    }
}

// ---- the proxy -------------------------------------------------------------------------------------------------------

/// Says on a line of its own how many streams are open; rings first if it is told to.
async fn proxied(upstream: &str) -> Result<(), Error> {
    let set = ExtensionSet::builder()
        .enable(BellExtension::provide(Tower))
        .build()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let (told, publisher) = (set.clone(), BellExtension::publisher(&set));
    let asked = async move {
        let mut lines = tokio::io::BufReader::new(tokio::io::stdin()).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if line == "ring" {
                let _ = publisher.rang();
            }
            println!("{}", told.subscriptions());
        }
    };
    let upstream = format!("http://{upstream}/mcp").parse()?;
    proxy(set, listener, upstream, ProxyOptions::default(), asked).await?;
    Ok(())
}

// ---- the clients -----------------------------------------------------------------------------------------------------

struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    address: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    fn start(args: &[&str]) -> Result<Self, Error> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take().ok_or("no stdin")?;
        let mut stdout = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        let mut address = String::new();
        stdout.read_line(&mut address)?;
        Ok(Self {
            child,
            stdin,
            stdout,
            address: address.trim().to_owned(),
        })
    }

    fn ask(&mut self, what: &str) -> Result<usize, Error> {
        writeln!(self.stdin, "{what}")?;
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Ok(line.trim().parse()?)
    }

    /// Resident memory in bytes.
    fn resident(&self) -> Result<f64, Error> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next());
        Ok(kilobytes.ok_or("no VmRSS")?.parse::<f64>()? * 1024.0)
    }
}

/// Opens one stream, and reads up to the end of its acknowledgement.
fn open(address: &str, id: usize, filter: &str) -> Result<TcpStream, Error> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let body = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"subscriptions/listen\",\"params\":{{\"_meta\":\
         {{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\",\"io.modelcontextprotocol/clientCapabilities\":\
         {{\"extensions\":{{\"com.example/bell\":{{}}}}}}}},\"notifications\":{filter}}}}}"
    );
    write!(
        stream,
        "POST /mcp HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\naccept: application/json, \
         text/event-stream\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: subscriptions/listen\r\nauthorization: \
         Bearer 0123456789abcdef\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    until(&mut stream, "acknowledged")?;
    Ok(stream)
}

fn until(stream: &mut TcpStream, word: &str) -> Result<(), Error> {
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut buffer)?;
        all.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&all);
        if read == 0 {
            return Err(format!("the stream ended before {word}: {text}").into());
        }
        if let Some(at) = text.find(word)
            && text[at..].contains("\n\n")
        {
            return Ok(());
        }
    }
}

fn measure(streams: usize) -> Result<(), Error> {
    let mut good = true;
    println!("{streams} streams over HTTP; resident memory of the proxy\n");
    println!(
        "| answered by | round | before, MiB | open, MiB | a stream, KiB | after one notification each, KiB | closed, MiB |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (kind, server_too, filter) in [
        (
            "the proxy alone",
            false,
            r#"{"com.example/bell":{"rang":true}}"#,
        ),
        (
            "the proxy and the server",
            true,
            r#"{"toolsListChanged":true,"com.example/bell":{"rang":true}}"#,
        ),
    ] {
        let server = Process::start(&["server"])?;
        let mut proxy = Process::start(&["proxy", &server.address])?;
        // Whatever is made once.
        drop(open(&proxy.address, 0, filter)?);
        wait(&mut proxy, 0)?;
        for round in 1..=ROUNDS {
            let before = proxy.resident()?;
            let mut all = Vec::with_capacity(streams);
            for id in 1..=streams {
                all.push(open(&proxy.address, id, filter)?);
            }
            wait(&mut proxy, streams)?;
            let opened = proxy.resident()?;
            proxy.ask("ring")?;
            for stream in &mut all {
                until(stream, "rang")?;
            }
            let rang = proxy.resident()?;
            drop(all);
            wait(&mut proxy, 0)?;
            // Connections end a moment after their streams.
            std::thread::sleep(Duration::from_millis(500));
            let closed = proxy.resident()?;
            let each = |resident: f64| (resident - before) / streams as f64;
            let mib = |bytes: f64| bytes / 1024.0 / 1024.0;
            println!(
                "| {kind} | {round} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} |",
                mib(before),
                mib(opened),
                each(opened) / 1024.0,
                each(rang) / 1024.0,
                mib(closed),
            );
            good &= round > 1 || server_too || each(rang) <= MOST;
            good &= round < ROUNDS || closed <= before * 1.05;
        }
    }
    if good {
        return Ok(());
    }
    Err("more than 16 KiB a stream, or it does not come back".into())
}

/// Waits until so many streams are open.
fn wait(proxy: &mut Process, streams: usize) -> Result<(), Error> {
    let start = Instant::now();
    while proxy.ask("count")? != streams {
        if start.elapsed() > Duration::from_secs(20) {
            return Err(format!("there are not {streams} streams").into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
