//! The processes that the tests start.

use std::io::{BufRead, BufReader, Read, Write};
use std::time::Duration;

use mcp_ext_wire::{HttpOptions, ProxyOptions, RelayOptions, proxy, wrap};
use rustix::process::{Signal, getpid, kill_process};
use serde_json::{Value, json};

use crate::common::{Random, plain_server, set};

/// How a server fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Is killed once it has read that many lines, half a line of its own just written.
    Killed(u64),
    /// Ends with an exit code.
    Ends(u64),
    /// Closes its output and goes on living: until its input ends, or, where the number is odd, for good.
    ClosesOutput(u64),
    /// Closes its input and goes on living.
    ClosesInput(u64),
    /// Reads no more, says no more, and does not end by itself.
    Sleeps(u64),
}

impl Fault {
    /// The fault of the server of a run; the test that starts it knows it too.
    pub fn of(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x5eed);
        let after = random.below(25);
        match random.below(100) {
            0..=59 => Self::None,
            60..=69 => Self::Killed(after),
            70..=77 => Self::Ends(after),
            78..=85 => Self::ClosesOutput(after),
            86..=93 => Self::ClosesInput(after),
            _ => Self::Sleeps(after),
        }
    }
}

pub const EXIT_CODE: i32 = 7;

/// The first argument is the mode. Whatever follows its own arguments only marks the process.
pub fn main(args: &[String]) {
    let number = |at: usize| args.get(at).and_then(|arg| arg.parse::<u64>().ok());
    match args.first().map(String::as_str) {
        Some("server") => server(number(1).unwrap()),
        Some("huge") => huge(),
        Some("nothing") => {}
        Some("wrap") => run_wrap(&args[1..]),
        Some("proxy") => run_proxy(&args[1]),
        mode => panic!("no mode {mode:?}"),
    }
}

pub fn command() -> tokio::process::Command {
    let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
    command.arg("peer");
    command
}

/// `wrap MODE SEED TOKEN`: the server of that mode, wrapped.
fn run_wrap(args: &[String]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let options = RelayOptions {
        grace: Duration::from_millis(300),
        discover_timeout: Duration::from_secs(5),
        ..RelayOptions::default()
    };
    let mut server = command();
    server.args(args);
    let status = runtime.block_on(wrap(set(), server, options)).unwrap();
    std::process::exit(status.code().unwrap_or(128));
}

/// `proxy UPSTREAM`: says where it listens, and runs until its input ends.
fn run_proxy(upstream: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        let options = ProxyOptions {
            http: HttpOptions {
                timeout: Duration::from_secs(10),
                ..HttpOptions::default()
            },
            grace: Duration::from_millis(300),
            ..ProxyOptions::default()
        };
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        std::thread::spawn(move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            drop(stop);
        });
        proxy(set(), listener, upstream.parse().unwrap(), options, async {
            let _ = stopped.await;
        })
        .await
        .unwrap();
    });
    std::process::exit(0);
}

/// A server on standard input and output that answers late and out of order, and fails as its seed says.
fn server(seed: u64) {
    eprintln!("pid {}", std::process::id());
    let fault = Fault::of(seed);
    let mut random = Random::new(seed ^ 0xabcd);
    let hurried = random.chance(60);
    let mut out = std::io::stdout();
    let mut held: Vec<Value> = Vec::new();
    let mut read = 0;
    let mut line = Vec::new();
    let mut input = BufReader::new(std::io::stdin().lock());
    let nobody = || {
        std::fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .unwrap()
    };
    // Long after every test has given up.
    let forever = || {
        std::thread::sleep(Duration::from_secs(120));
        std::process::exit(EXIT_CODE)
    };
    loop {
        match fault {
            Fault::Killed(at) if at == read => {
                let _ = out.write_all(br#"{"jsonrpc":"2.0","id":"#);
                let _ = out.flush();
                let _ = kill_process(getpid(), Signal::KILL);
            }
            Fault::Ends(at) if at == read => std::process::exit(EXIT_CODE),
            Fault::ClosesOutput(at) if at == read => {
                rustix::stdio::dup2_stdout(nobody()).unwrap();
                if at % 2 == 1 {
                    forever();
                }
                while input.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                    line.clear();
                }
                std::process::exit(EXIT_CODE);
            }
            Fault::ClosesInput(at) if at == read => {
                rustix::stdio::dup2_stdin(nobody()).unwrap();
                forever()
            }
            Fault::Sleeps(at) if at == read => forever(),
            _ => {}
        }
        line.clear();
        if input.read_until(b'\n', &mut line).unwrap_or(0) == 0 {
            break;
        }
        read += 1;
        if !line.ends_with(b"\n") {
            break;
        }
        if !hurried && random.chance(30) {
            std::thread::sleep(Duration::from_micros(random.below(4000)));
        }
        let frame: Value = match serde_json::from_slice(&line) {
            Ok(frame) => frame,
            Err(error) => {
                // The test looks for this: frames were mixed.
                eprintln!("broken frame: {error}: {}", String::from_utf8_lossy(&line));
                std::process::exit(99);
            }
        };
        if let Some(mut answer) = plain_server(&frame) {
            if frame["method"] == "tools/call" {
                answer["result"]["content"][0]["text"] =
                    frame["params"]["arguments"]["text"].clone();
            }
            held.push(answer);
        }
        if random.chance(10) {
            held.push(json!({"jsonrpc": "2.0", "id": random.below(50), "method": "roots/list"}));
        }
        // What is held back goes out at the latest when there is nothing more to read.
        while !held.is_empty() && (input.buffer().is_empty() || random.chance(40)) {
            let at = usize::try_from(random.below(held.len() as u64)).unwrap();
            let answer = held.swap_remove(at);
            if out.write_all(format!("{answer}\n").as_bytes()).is_err() {
                std::process::exit(0);
            }
        }
        let _ = out.flush();
    }
    for answer in held {
        let _ = out.write_all(format!("{answer}\n").as_bytes());
    }
    let _ = out.flush();
}

/// A server that answers with as many bytes as it is asked for.
fn huge() {
    eprintln!("pid {}", std::process::id());
    let mut out = std::io::stdout().lock();
    let mut input = std::io::stdin().lock();
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        let frame: Value = serde_json::from_slice(&line).unwrap_or_default();
        if frame["method"] == "huge" {
            let bytes = usize::try_from(frame["params"]["bytes"].as_u64().unwrap()).unwrap();
            let _ = write!(
                out,
                "{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{{\"text\":\"",
                frame["id"]
            );
            let chunk = vec![b'x'; 64 * 1024];
            for at in (0..bytes).step_by(chunk.len()) {
                let _ = out.write_all(&chunk[..chunk.len().min(bytes - at)]);
            }
            let _ = out.write_all(b"\"}}\n");
        } else if frame["method"] == "length" {
            let answer =
                json!({"jsonrpc": "2.0", "id": frame["id"], "result": {"length": line.len()}});
            let _ = writeln!(out, "{answer}");
        } else if let Some(answer) = plain_server(&frame) {
            let _ = writeln!(out, "{answer}");
        }
        let _ = out.flush();
        line.clear();
        line.shrink_to(1024 * 1024);
    }
}
