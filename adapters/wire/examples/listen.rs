//! What an open listen stream costs the proxy in resident memory, and whether it comes back when the streams close.
//!
//! `cargo run --release -p mcp-ext-wire --features proxy --example listen [STREAMS [target/release/mcp-ext]]`
//!
//! Three processes: this one is the clients, one is the proxy that is measured, one is the server behind it. The proxy is
//! this program with an extension that has something to tell and the allocator of the command; or, with its path as the
//! second argument, the command itself, whose extensions have nothing to tell.
//!
//! After 10,000 calls, each kind of stream is opened and closed twice in one proxy. Fails when in either round a stream
//! takes more than 16 KiB; when after it the command has more than 5 % above what it had before the first; or when this
//! program, which is less than half as large, has more than 1 MiB above it. Linux, since it reads `/proc`.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
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

// The allocator of the command.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Most resident memory of an open stream.
const MOST: f64 = 16.0 * 1024.0;

/// Most of it that is left in the command when all have closed, beside what there was before.
const LEFT: f64 = 1.05;

/// The same in bytes, in this program: of its few MiB what each thread keeps for its next allocations is a larger part.
const LEFT_HERE: f64 = 1024.0 * 1024.0;

/// The allocator gives back what has been free for ten seconds, in steps.
const SETTLED: Duration = Duration::from_secs(25);

/// Calls before the first stream, and how many connections make them.
const CALLS: usize = 10_000;
const CONNECTIONS: usize = 16;

/// How often the streams are opened and closed.
const ROUNDS: usize = 2;

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
        [] => measure(2000, None),
        [streams] => measure(streams.parse()?, None),
        [streams, command] => measure(streams.parse()?, Some(command)),
        _ => Err("at most two arguments: how many streams, and the command".into()),
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
}

// ---- the server ------------------------------------------------------------------------------------------------------

/// Answers a listen request by a stream that stays open, and all else as if it were `server/discover`.
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
    if frame["method"] != "subscriptions/listen" {
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

/// Rings for each line it reads.
async fn proxied(upstream: &str) -> Result<(), Error> {
    let set = ExtensionSet::builder()
        .enable(BellExtension::provide(Tower))
        .build()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let publisher = BellExtension::publisher(&set);
    let asked = async move {
        let mut lines = tokio::io::BufReader::new(tokio::io::stdin()).lines();
        while let Ok(Some(_)) = lines.next_line().await {
            let _ = publisher.rang();
        }
    };
    let upstream = format!("http://{upstream}/mcp").parse()?;
    proxy(set, listener, upstream, ProxyOptions::default(), asked).await?;
    Ok(())
}

// ---- the clients -----------------------------------------------------------------------------------------------------

struct Process {
    child: Child,
    address: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Another process of this program; the first line it writes is its address.
    fn start(args: &[&str]) -> Result<Self, Error> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut address = String::new();
        BufReader::new(child.stdout.take().ok_or("no stdout")?).read_line(&mut address)?;
        let address = address.trim().to_owned();
        Ok(Self { child, address })
    }

    /// The command; the first line that it writes with an address says where it listens.
    fn command(command: &str, upstream: &str) -> Result<Self, Error> {
        let mut child = Command::new(command)
            .args(["wrap", "--enable", "healthcare", "--data", "bundled"])
            .args(["--listen", "127.0.0.1:0"])
            .args(["--upstream", &format!("http://{upstream}/mcp")])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let said = BufReader::new(child.stderr.take().ok_or("no stderr")?);
        for line in said.lines() {
            let line = line?;
            let address = line.split_once("serving http://");
            if let Some((address, _)) = address.and_then(|(_, rest)| rest.split_once('/')) {
                let address = address.to_owned();
                return Ok(Self { child, address });
            }
        }
        Err("the command does not say where it listens".into())
    }

    fn ring(&mut self) -> Result<(), Error> {
        writeln!(self.child.stdin.as_mut().ok_or("no stdin")?)?;
        Ok(())
    }

    /// Resident memory in bytes.
    fn resident(&self) -> Result<f64, Error> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next());
        Ok(kilobytes.ok_or("no VmRSS")?.parse::<f64>()? * 1024.0)
    }

    /// How many files and sockets are open.
    fn files(&self) -> Result<usize, Error> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count())
    }

    /// Waits until no more files are open than these, and then until the allocator has given back what is free.
    fn settle(&self, files: usize) -> Result<(), Error> {
        let start = Instant::now();
        while self.files()? > files {
            if start.elapsed() > Duration::from_secs(20) {
                return Err("streams stay open".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(SETTLED);
        Ok(())
    }
}

/// Makes calls on a few connections at once; the server answers all of them.
fn calls(address: &str) -> Result<(), Error> {
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                scope.spawn(|| {
                    let mut stream = TcpStream::connect(address).map_err(|e| e.to_string())?;
                    for id in 0..CALLS / CONNECTIONS {
                        call(&mut stream, address, id).map_err(|e| e.to_string())?;
                    }
                    Ok::<_, String>(())
                })
            })
            .collect();
        for one in all {
            one.join().map_err(|_| "a client has panicked")??;
        }
        Ok(())
    })
}

fn call(stream: &mut TcpStream, address: &str, id: usize) -> Result<(), Error> {
    let body = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":{{\"name\":\"any\"}}}}"
    );
    write!(
        stream,
        "POST /mcp HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\naccept: application/json, \
         text/event-stream\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nmcp-name: any\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    until(stream, "\"capabilities\":{}", "}}")
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
    until(&mut stream, "acknowledged", "\n\n")?;
    Ok(stream)
}

/// Reads up to a word, and then up to `end`.
fn until(stream: &mut TcpStream, word: &str, end: &str) -> Result<(), Error> {
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut buffer)?;
        all.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&all);
        if read == 0 {
            return Err(format!("the stream ended before {word}: {text}").into());
        }
        if let Some(at) = text.find(word)
            && text[at..].contains(end)
        {
            return Ok(());
        }
    }
}

fn measure(streams: usize, command: Option<&str>) -> Result<(), Error> {
    let mut good = true;
    println!("{streams} streams over HTTP; resident memory of the proxy\n");
    println!(
        "| sent on by | round | before, MiB | a stream, KiB | after one notification each, KiB | closed, MiB | of before the first |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (kind, rings, filter) in [
        ("the server alone", false, r#"{"toolsListChanged":true}"#),
        (
            "the proxy alone",
            true,
            r#"{"com.example/bell":{"rang":true}}"#,
        ),
        (
            "the proxy and the server",
            true,
            r#"{"toolsListChanged":true,"com.example/bell":{"rang":true}}"#,
        ),
    ] {
        let server = Process::start(&["server"])?;
        let mut proxy = match command {
            Some(_) if rings => continue,
            Some(command) => Process::command(command, &server.address)?,
            None => Process::start(&["proxy", &server.address])?,
        };
        // Whatever is made once, and connections to the server that are kept for the next calls.
        let files = proxy.files()?;
        calls(&proxy.address)?;
        drop(open(&proxy.address, 0, filter)?);
        proxy.settle(files + CONNECTIONS)?;
        let (first, files) = (proxy.resident()?, proxy.files()?);
        for round in 1..=ROUNDS {
            let before = proxy.resident()?;
            let mut all = Vec::with_capacity(streams);
            for id in 1..=streams {
                all.push(open(&proxy.address, id, filter)?);
            }
            let opened = proxy.resident()?;
            if rings {
                proxy.ring()?;
                for stream in &mut all {
                    until(stream, "rang", "\n\n")?;
                }
            }
            let rang = proxy.resident()?;
            if proxy.files()? < streams {
                return Err("not all of the streams are open".into());
            }
            drop(all);
            proxy.settle(files)?;
            let closed = proxy.resident()?;
            let each = |resident: f64| (resident - before) / streams as f64;
            let mib = |bytes: f64| bytes / 1024.0 / 1024.0;
            println!(
                "| {kind} | {round} | {:.2} | {:.1} | {:.1} | {:.2} | {:.3} |",
                mib(before),
                each(opened) / 1024.0,
                each(rang) / 1024.0,
                mib(closed),
                closed / first,
            );
            let most = match command {
                Some(_) => first * LEFT,
                None => first + LEFT_HERE,
            };
            good &= each(opened.max(rang)) <= MOST && closed <= most;
        }
    }
    if good {
        return Ok(());
    }
    Err("more than 16 KiB a stream, or too much is left of them".into())
}
