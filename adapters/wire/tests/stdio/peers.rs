//! In front of servers of other makers, in other languages, as their own processes.

use std::process::Stdio;

use mcp_ext_wire::Relay;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, split};

use crate::common::*;
use crate::peers_installed::*;

/// A client of a wrapped child.
struct Wrapped {
    read: BufReader<tokio::io::ReadHalf<tokio::io::DuplexStream>>,
    write: tokio::io::WriteHalf<tokio::io::DuplexStream>,
    _child: tokio::process::Child,
}

fn wrap(command: std::process::Command) -> Wrapped {
    let mut child = tokio::process::Command::from(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (server_in, server_out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (client, near) = tokio::io::duplex(64 * 1024);
    let (client_in, client_out) = split(near);
    tokio::spawn(Relay::new(set()).run(client_in, client_out, server_in, server_out));
    let (read, write) = split(client);
    Wrapped {
        read: BufReader::new(read),
        write,
        _child: child,
    }
}

impl Wrapped {
    async fn send(&mut self, frame: &Value) {
        let line = format!("{frame}\n");
        self.write.write_all(line.as_bytes()).await.unwrap();
    }

    /// Sends a request; gives its answer, past notifications and requests of the server.
    async fn call(&mut self, frame: &Value) -> Value {
        self.send(frame).await;
        loop {
            let mut line = String::new();
            let read = self.read.read_line(&mut line);
            tokio::time::timeout(std::time::Duration::from_secs(60), read)
                .await
                .expect("no answer")
                .unwrap();
            let got: Value =
                serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"));
            if got.get("method").is_none() && got["id"] == frame["id"] {
                return got;
            }
        }
    }
}

fn names(answer: &Value) -> Vec<&str> {
    let tools = answer["result"]["tools"].as_array().unwrap();
    tools.iter().filter_map(|t| t["name"].as_str()).collect()
}

async fn legacy_era(server: &mut Wrapped, tool: &str, arguments: Value, text: &str) {
    let init = server.call(&initialize(1, "2025-11-25")).await;
    assert!(
        init["result"]["capabilities"]["extensions"][ID].is_object(),
        "{init}"
    );
    server
        .send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
        .await;
    let list = server.call(&legacy(2, "tools/list", json!({}))).await;
    let all = names(&list);
    assert!(
        all.contains(&tool) && all.ends_with(&[TOOL, GATED]),
        "{all:?}"
    );
    let theirs = legacy(
        3,
        "tools/call",
        json!({"name": tool, "arguments": arguments}),
    );
    let theirs = server.call(&theirs).await;
    assert!(
        theirs["result"]["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains(text),
        "{theirs}"
    );
    let ours = legacy(
        4,
        "tools/call",
        json!({"name": TOOL, "arguments": {"text": "x"}}),
    );
    assert_eq!(
        server.call(&ours).await["result"]["structuredContent"]["text"],
        "X true"
    );
    let echo = server
        .call(&legacy("five", ECHO, json!({"text": "x"})))
        .await;
    assert_eq!(echo["result"], json!({"text": "x"}));
    assert!(
        server
            .call(&legacy(6, "ping", json!({})))
            .await
            .get("result")
            .is_some()
    );
}

/// A server with the tool `add` that serves both eras, and calls itself `their-server` of version 3.
async fn both_eras(command: impl Fn() -> std::process::Command) {
    let mut server = wrap(command());
    legacy_era(&mut server, "add", json!({"a": 1, "b": 2}), "3").await;

    let mut server = wrap(command());
    let echo = server.call(&modern(1, ECHO, json!({"text": "x"}))).await;
    assert_eq!(echo["result"]["text"], "x", "{echo}");
    let info = &echo["result"]["_meta"]["io.modelcontextprotocol/serverInfo"];
    assert_eq!(
        (info["name"].as_str(), info["version"].as_str()),
        (Some("their-server"), Some("3"))
    );
    let discover = server.call(&modern(2, "server/discover", json!({}))).await;
    assert!(
        discover["result"]["capabilities"]["extensions"][ID].is_object(),
        "{discover}"
    );
    let list = server.call(&modern(3, "tools/list", json!({}))).await;
    assert_eq!(names(&list), ["add", TOOL, GATED]);
    let mut undeclared = modern(4, ECHO, json!({"text": "x"}));
    undeclared["params"]["_meta"] = modern_meta(false);
    assert_eq!(server.call(&undeclared).await["error"]["code"], -32021);
    let add = json!({"name": "add", "arguments": {"a": 1, "b": 2}});
    let add = server.call(&modern(5, "tools/call", add)).await;
    assert_eq!(add["result"]["content"][0]["text"], "3");
}

#[tokio::test]
async fn a_python_server() {
    match python_server("server.run()") {
        Err(why) => skipped("a_python_server", &why),
        Ok(_) => both_eras(|| python_server("server.run()").unwrap()).await,
    }
}

#[tokio::test]
async fn a_typescript_server() {
    match typescript_server(TYPESCRIPT_STDIO) {
        Err(why) => skipped("a_typescript_server", &why),
        Ok(_) => both_eras(|| typescript_server(TYPESCRIPT_STDIO).unwrap()).await,
    }
}

#[tokio::test]
async fn the_reference_server_of_the_protocol_s_authors() {
    let command = || everything("stdio");
    if let Err(why) = command() {
        return skipped("the_reference_server_of_the_protocol_s_authors", &why);
    }
    let mut server = wrap(command().unwrap());
    legacy_era(&mut server, "echo", json!({"message": "hi"}), "hi").await;

    // It knows the legacy era alone: it answers modern requests of ours itself.
    let mut server = wrap(command().unwrap());
    let answer = server.call(&modern(1, ECHO, json!({"text": "x"}))).await;
    assert_eq!(answer["error"]["code"], -32601, "{answer}");
    assert_eq!(answer["error"]["message"], "Method not found");
}
