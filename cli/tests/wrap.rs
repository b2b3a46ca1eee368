//! `mcp-ext wrap` around child processes: frames, exit codes, signals, ends and bounds.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const BIN: &str = env!("CARGO_BIN_EXE_mcp-ext");
const SEARCH: &str = "io.github.mcp-ext/healthcare-fhir/search";

fn start(options: &[&str], server: &[&str]) -> Child {
    Command::new(BIN)
        .arg("wrap")
        .args(options)
        .arg("--")
        .args(server)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

const ENABLED: &[&str] = &["--enable", "healthcare", "--data", "bundled"];

/// Runs with this input to the end.
fn run(options: &[&str], server: &[&str], input: Vec<u8>) -> Output {
    let mut child = start(options, server);
    let mut stdin = child.stdin.take().unwrap();
    let feed = std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap();
    output
}

fn wait(child: &mut Child) -> Option<i32> {
    let until = Instant::now() + Duration::from_secs(20);
    while Instant::now() < until {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    panic!("it does not end");
}

#[test]
fn the_exit_code_is_the_child_s() {
    for (script, code) in [
        ("exit 0", 0),
        ("exit 7", 7),
        ("kill -9 $$", 137),
        ("kill -TERM $$", 143),
    ] {
        let output = run(ENABLED, &["sh", "-c", script], Vec::new());
        assert_eq!(output.status.code(), Some(code), "{script}");
    }
    // Also while standard input stays open.
    let mut child = start(ENABLED, &["sh", "-c", "exit 5"]);
    assert_eq!(wait(&mut child), Some(5));
}

#[test]
fn a_command_that_does_not_start_is_said() {
    let output = run(ENABLED, &["/nonexistent/server"], Vec::new());
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("cannot start /nonexistent/server"), "{said}");
}

#[test]
fn standard_error_is_the_child_s() {
    let output = run(ENABLED, &["sh", "-c", "echo 'as it is' >&2"], Vec::new());
    assert_eq!(output.stderr, b"as it is\n");
    assert!(output.stdout.is_empty());
}

#[test]
fn the_end_of_input_closes_the_child_s_and_then_it_is_waited_for() {
    let output = run(
        ENABLED,
        &["sh", "-c", "cat; sleep 0.3; echo late; exit 4"],
        b"{}\n".to_vec(),
    );
    assert_eq!(output.stdout, b"{}\nlate\n");
    assert_eq!(output.status.code(), Some(4));
}

#[test]
fn signals_are_handed_on() {
    for (signal, code) in [("TERM", 21), ("INT", 22), ("HUP", 23)] {
        let script = "trap 'exit 21' TERM; trap 'exit 22' INT; trap 'exit 23' HUP; echo ready; while :; do sleep 0.05; done";
        let mut child = start(ENABLED, &["sh", "-c", script]);
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut ready)
            .unwrap();
        assert_eq!(ready, "ready\n");
        let sent = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -{signal} {}", child.id()))
            .status()
            .unwrap();
        assert!(sent.success());
        assert_eq!(wait(&mut child), Some(code), "{signal}");
    }
}

#[test]
fn a_server_whose_client_is_gone_is_stopped() {
    let script = "trap '' TERM; while :; do echo '{}'; sleep 0.01; done";
    let mut child = start(&["--grace", "0"], &["sh", "-c", script]);
    drop(child.stdout.take());
    drop(child.stdin.take());
    assert_eq!(wait(&mut child), Some(137));
}

#[test]
fn bytes_pass_as_they_are_without_an_extension_and_with_one() {
    let mut input = Vec::new();
    let mut state = 7u64;
    for length in [0, 1, 10, 100, 70_000, 300_000] {
        for _ in 0..length {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            input.push((state >> 33) as u8);
        }
        input.extend(b"\r\n{\"jsonrpc\":\"2.0\",\"id\":1.0,\"method\":\"ping\"}\n");
    }
    for options in [&[][..], ENABLED] {
        let output = run(options, &["cat"], input.clone());
        assert!(output.stdout == input, "{options:?}");
        assert_eq!(output.status.code(), Some(0));
    }
}

fn handshake() -> String {
    let frames = [
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25",
            "capabilities": {"extensions": {"io.github.mcp-ext/healthcare-fhir": {}}},
            "clientInfo": {"name": "test", "version": "1"}}}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}),
        json!({"jsonrpc": "2.0", "id": 3, "method": SEARCH, "params": {"type": "Patient"}}),
    ];
    frames.iter().map(|f| format!("{f}\n")).collect()
}

#[test]
fn a_server_made_with_rmcp_gets_an_extension() {
    let mut child = start(ENABLED, &[BIN, "serve"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(handshake().as_bytes()).unwrap();
    let mut answers = [Value::Null, Value::Null, Value::Null];
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..3 {
        let frame: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        let at = usize::try_from(frame["id"].as_u64().unwrap()).unwrap() - 1;
        answers[at] = frame;
    }
    let capabilities = &answers[0]["result"]["capabilities"];
    assert!(capabilities["extensions"]["io.github.mcp-ext/healthcare-fhir"].is_object());
    assert!(capabilities["tools"].is_object());
    let tools = answers[1]["result"]["tools"].as_array().unwrap();
    assert!(tools.iter().any(|t| t["name"] == "fhir_search"));
    assert_eq!(answers[2]["result"]["synthetic"], true);
    drop(stdin);
    assert_eq!(wait(&mut child), Some(0));
}

/// The most memory a process has ever held, in KiB.
#[cfg(target_os = "linux")]
fn peak(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn a_frame_of_100_mb_is_refused_in_bounded_memory() {
    let size = 100_000_000;
    for (options, most) in [
        (&["--max-frame", "1000000"][..], 8 * 1024),
        (&[], 80 * 1024),
    ] {
        let options = [ENABLED, options].concat();
        let mut child = start(&options, &["cat"]);
        let mut stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        // What it holds without any.
        stdin.write_all(b"{}\n").unwrap();
        stdout.read_line(&mut line).unwrap();
        let before = peak(&child);
        stdin
            .write_all(b"{\"jsonrpc\":\"2.0\",\"method\":\"ping\",\"params\":\"")
            .unwrap();
        let chunk = vec![b'a'; 1_000_000];
        for _ in 0..size / chunk.len() {
            stdin.write_all(&chunk).unwrap();
        }
        stdin.write_all(b"\",\"id\":77}\n{\"after\":1}\n").unwrap();
        line.clear();
        stdout.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (&answer["id"], &answer["error"]["code"]),
            (&json!(77), &json!(-32600))
        );
        line.clear();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "{\"after\":1}\n");
        let grown = peak(&child) - before;
        eprintln!("{options:?}: {grown} KiB more for a frame of {size} bytes");
        assert!(grown < most, "{grown} KiB");
        drop(stdin);
        let mut rest = Vec::new();
        stdout.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty());
        assert_eq!(wait(&mut child), Some(0));
    }
}

#[test]
fn a_server_over_http_gets_an_extension_and_the_proxy_ends_on_a_signal() {
    let listening = |child: &mut Child| {
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        loop {
            let line = lines.next().expect("it says where it listens").unwrap();
            if let Some((_, rest)) = line.split_once("http://") {
                let (address, _) = rest.split_once('/').unwrap();
                // Whatever it says later has nobody to read it; it must not break for that.
                std::thread::spawn(move || lines.for_each(drop));
                return address.to_owned();
            }
        }
    };
    let mut server = Command::new(BIN)
        .args(["serve", "--http", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let upstream = format!("http://{}/mcp", listening(&mut server));
    let mut proxy = Command::new(BIN)
        .arg("wrap")
        .args(ENABLED)
        .args([
            "--listen",
            "127.0.0.1:0",
            "--upstream",
            &upstream,
            "--grace",
            "1",
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let address = listening(&mut proxy);
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": SEARCH, "params": {"type": "Patient", "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.github.mcp-ext/healthcare-fhir": {}}},
    }}})
    .to_string();
    let mut stream = std::net::TcpStream::connect(&address).unwrap();
    write!(
        stream,
        "POST /mcp HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: {SEARCH}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("\"synthetic\":true"), "{answer}");
    for child in [&proxy, &server] {
        let sent = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -TERM {}", child.id()))
            .status()
            .unwrap();
        assert!(sent.success());
    }
    assert_eq!(wait(&mut proxy), Some(0));
    server.wait().unwrap();
}

#[test]
fn wrong_usage_is_said() {
    for args in [
        &["wrap"][..],
        &["wrap", "--listen", "127.0.0.1:0"],
        &["wrap", "--upstream", "http://127.0.0.1:1/mcp"],
        &[
            "wrap",
            "--listen",
            "127.0.0.1:0",
            "--upstream",
            "http://127.0.0.1:1/mcp",
            "--",
            "cat",
        ],
    ] {
        let output = Command::new(BIN).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
    }
    let open = [
        "wrap",
        "--listen",
        "0.0.0.0:0",
        "--upstream",
        "http://127.0.0.1:1/mcp",
        "--auth",
        "none",
    ];
    let output = Command::new(BIN).args(open).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("only a loopback address"), "{said}");
    assert!(!said.contains("serving"), "{said}");
    let upstream = "https://127.0.0.1:1/mcp";
    let tls = ["wrap", "--listen", "127.0.0.1:0", "--upstream", upstream];
    let output = Command::new(BIN).args(tls).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains(upstream) && !said.contains("serving"),
        "{said}"
    );
}
