//! Server processes.
#![cfg(unix)]

use std::process::Stdio;
use std::time::{Duration, Instant};

use mcp_ext_core::client::{Caller, Stopped};
use mcp_ext_core::protocol::Era;
use mcp_ext_wire::{ClientOptions, ConnectError, StdioCaller};
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use crate::{call, stopped};

/// A server in shell: `line` is what was read, and `$id` the id in it.
fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!(
        r#"
        id_of() {{ printf '%s' "$1" | sed 's/.*"id":\([0-9]*\).*/\1/'; }}
        answer() {{ printf '{{"jsonrpc":"2.0","id":%s,"result":%s}}\n' "$(id_of "$1")" "$2"; }}
        discovered='{{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{{}}}}'
        initialized='{{"protocolVersion":"2025-11-25","capabilities":{{}},"serverInfo":{{"name":"s","version":"1"}}}}'
        {script}
        "#
    ));
    command
}

#[tokio::test]
async fn a_process_is_spoken_to_and_its_standard_error_can_be_had() {
    let mut command = shell(
        r#"
        echo 'a word of the server' >&2
        while read -r line; do
            case "$line" in
                *server/discover*) answer "$line" "$discovered" ;;
                *) answer "$line" '{"n":1}' ;;
            esac
        done"#,
    );
    command.stderr(Stdio::piped());
    let caller = StdioCaller::spawn(command, ClientOptions::default())
        .await
        .unwrap();
    assert_eq!(call(&caller, "a/b").await.unwrap()["n"], 1);
    let mut stderr = caller.take_stderr().unwrap();
    assert!(caller.take_stderr().is_none());
    drop(caller);
    // HDR-22: its input ends, and so does it.
    let mut text = String::new();
    tokio::time::timeout(Duration::from_secs(5), stderr.read_to_string(&mut text))
        .await
        .expect("the process ends")
        .unwrap();
    assert_eq!(text, "a word of the server\n");
}

#[tokio::test]
async fn a_command_that_does_not_start_is_named() {
    let command = Command::new("no-such-server-anywhere");
    let failed = StdioCaller::spawn(command, ClientOptions::default())
        .await
        .unwrap_err();
    assert!(
        matches!(&failed, ConnectError::Start { command, .. } if command == "no-such-server-anywhere"),
        "{failed:?}"
    );
}

#[tokio::test]
async fn a_server_that_ends_at_a_first_message_it_does_not_know_is_started_again() {
    let command = shell(
        r#"
        read -r line
        case "$line" in *'"initialize"'*) ;; *) exit 3 ;; esac
        answer "$line" "$initialized"
        read -r line
        read -r line
        answer "$line" '{"n":2}'"#,
    );
    let caller = StdioCaller::spawn(command, ClientOptions::default())
        .await
        .unwrap();
    assert_eq!(caller.era(), Era::Legacy);
    assert_eq!(call(&caller, "a/b").await.unwrap()["n"], 2);
    let error = call(&caller, "a/b").await.unwrap_err();
    assert!(matches!(stopped(error), Stopped::Closed { .. }));

    let failed = StdioCaller::spawn(shell("exit 3"), ClientOptions::default())
        .await
        .unwrap_err();
    let ConnectError::Neither { modern, legacy } = &failed else {
        panic!("{failed:?}")
    };
    for error in [modern, legacy] {
        let Stopped::Closed { why } = stopped((**error).clone()) else {
            panic!("{failed:?}")
        };
        assert!(why.contains("exit status: 3"), "{why}");
    }
}

#[tokio::test]
async fn a_process_that_does_not_end_with_its_input_is_killed() {
    let mut command = shell(
        r#"
        read -r line
        answer "$line" "$discovered"
        exec sleep 60"#,
    );
    command.stderr(Stdio::piped());
    let options = ClientOptions::default().grace(Duration::from_millis(100));
    let caller = StdioCaller::spawn(command, options).await.unwrap();
    let mut stderr = caller.take_stderr().unwrap();
    let began = Instant::now();
    drop(caller);
    let mut text = String::new();
    tokio::time::timeout(Duration::from_secs(20), stderr.read_to_string(&mut text))
        .await
        .expect("it is killed")
        .unwrap();
    assert!(began.elapsed() < Duration::from_secs(20));
}
