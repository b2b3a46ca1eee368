//! The command as a person or a program runs it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

const BIN: &str = env!("CARGO_BIN_EXE_mcp-ext");

fn run(args: &[&str]) -> Output {
    Command::new(BIN)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_demo_holds_and_every_fact_is_in_a_captured_frame() {
    let output = run(&["demo", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    assert!(output.status.success(), "{report:#}");
    assert_eq!(report["holds"], true);
    let scenes = report["scenes"].as_array().unwrap();
    let played: Vec<_> = scenes
        .iter()
        .map(|s| (s["transport"].as_str().unwrap(), s["era"].as_str().unwrap()))
        .collect();
    assert_eq!(
        played,
        [
            ("stdio", "modern"),
            ("stdio", "legacy"),
            ("http", "modern"),
            ("http", "legacy")
        ]
    );
    for scene in scenes {
        let facts = scene["facts"].as_array().unwrap();
        assert_eq!(facts.len(), 7, "{scene:#}");
        let frames = scene["frames"].as_array().unwrap();
        let answers: Vec<_> = frames
            .iter()
            .filter(|f| f["from"] == "server")
            .map(|f| &f["body"])
            .collect();
        let code = if scene["era"] == "modern" {
            -32021
        } else {
            -32601
        };
        assert!(
            answers.iter().any(|a| a["error"]["code"] == code),
            "{scene:#}"
        );
        assert!(
            answers.iter().any(|a| a["result"]["synthetic"] == true),
            "{scene:#}"
        );
        assert!(
            answers
                .iter()
                .any(|a| a["result"]["structuredContent"]["matches"].is_array()),
            "{scene:#}"
        );
        // Legacy peers are never sent a resultType.
        let stamped = answers
            .iter()
            .filter(|a| a["result"].get("resultType").is_some())
            .count();
        assert_eq!(stamped == 0, scene["era"] == "legacy", "{scene:#}");
    }
}

#[test]
fn the_demo_is_readable_without_a_terminal_too() {
    let output = run(&["demo"]);
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{shown}");
    assert!(
        shown.contains("io.github.mcp-ext/healthcare-fhir/search"),
        "{shown}"
    );
    assert!(shown.contains("fhir_search"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "no colour in a pipe");
}

#[test]
fn the_demo_fails_when_the_server_is_broken() {
    let folder = std::env::temp_dir().join(format!("mcp-ext-demo-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let empty = folder.join("empty.ndjson");
    std::fs::write(&empty, "").unwrap();
    let empty = empty.to_string_lossy().into_owned();
    let broken: [(&str, Vec<&str>); 3] = [
        ("a server without the extension", vec![BIN, "serve"]),
        (
            "a server without data",
            vec![BIN, "serve", "--enable", "healthcare", "--data", &empty],
        ),
        ("no server at all", vec!["/nonexistent/server"]),
    ];
    for (what, server) in broken {
        let args: Vec<&str> = ["demo", "--json", "--server"]
            .into_iter()
            .chain(server)
            .collect();
        let output = run(&args);
        assert_eq!(
            output.status.code(),
            Some(1),
            "{what}: {}",
            text(&output.stdout)
        );
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["holds"], false, "{what}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn list_prints_json_in_a_pipe() {
    let output = run(&["list"]);
    assert!(output.status.success());
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let all = all.as_array().unwrap();
    let ids: Vec<_> = all.iter().map(|c| c["id"].as_str().unwrap()).collect();
    assert!(
        ids.is_sorted_by(|a, b| a < b),
        "each linked contract once: {ids:?}"
    );
    // Built with the whole workspace, more of it is linked than this program can enable.
    let enable: Vec<_> = all.iter().filter(|c| c["enable"].is_string()).collect();
    let ids: Vec<_> = enable.iter().map(|c| c["id"].as_str().unwrap()).collect();
    assert_eq!(
        ids,
        [
            "io.github.mcp-ext/citations",
            "io.github.mcp-ext/healthcare-fhir",
            "io.github.mcp-ext/labels"
        ]
    );
    assert_eq!(
        enable[1]["tools"],
        json!(["fhir_capabilities", "fhir_search", "fhir_read"])
    );
    let chains: Value = serde_json::from_slice(&run(&["list", "--chains"]).stdout).unwrap();
    assert_eq!(chains[0]["blocks"], json!([]), "{chains:#}");
    let around = json!(["io.github.mcp-ext/citations", "io.github.mcp-ext/labels"]);
    assert_eq!(chains[1]["blocks"], around, "{chains:#}");
}

#[test]
fn labels_and_citations_stand_on_results_when_they_are_enabled() {
    let serve = |names: &[&str]| {
        let mut child = Command::new(BIN)
            .args(["serve", "--enable", "healthcare", "--data", "bundled"])
            .args(names.iter().flat_map(|name| ["--enable", name]))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "name": "fhir_search",
            "arguments": {"type": "Patient", "count": 1},
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        }});
        writeln!(child.stdin.take().unwrap(), "{call}").unwrap();
        let output = child.wait_with_output().unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        answer["result"].clone()
    };
    let plain = serve(&[]);
    assert_eq!(plain["content"].as_array().unwrap().len(), 1);
    let result = serve(&["labels", "citations"]);
    let found = &result["structuredContent"];
    assert_eq!(found["labels"]["sensitivity"], json!(["pii"]), "{result:#}");
    assert_eq!(found["citations"].as_array().unwrap().len(), 1);
    assert_eq!(result["content"].as_array().unwrap().len(), 3);
}

#[test]
fn hdr_22_serve_ends_when_standard_input_does() {
    let mut child = Command::new(BIN)
        .args(["serve", "--enable", "healthcare", "--data", "bundled"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let frame =
        json!({"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": meta}});
    writeln!(input, "{frame}").unwrap();
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let answer: Value = serde_json::from_str(&line).unwrap();
    let offered =
        &answer["result"]["capabilities"]["extensions"]["io.github.mcp-ext/healthcare-fhir"];
    assert_eq!(offered["fhirVersions"], json!(["4.0.1"]), "{answer}");
    drop(input);
    assert!(child.wait().unwrap().success());
    // A client that goes away before it says anything is no failure either.
    assert!(
        run(&["serve", "--enable", "healthcare", "--data", "bundled"])
            .status
            .success()
    );
}

#[test]
fn wrong_usage_says_what_to_do() {
    let cases: [(&[&str], i32, &str); 5] = [
        (&["serve", "--enable", "healtcare"], 2, "healthcare"),
        (&["serve", "--enable", "healthcare"], 1, "--data bundled"),
        (
            &["serve", "--enable", "healthcare", "--data", "/nonexistent"],
            1,
            "/nonexistent",
        ),
        (&["serve", "--http", "0.0.0.0:0"], 1, "loopback"),
        (&["sevre"], 2, "serve"),
    ];
    for (args, code, hint) in cases {
        let output = run(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        assert!(
            text(&output.stderr).contains(hint),
            "{args:?}: {}",
            text(&output.stderr)
        );
        assert!(
            output.stdout.is_empty(),
            "{args:?}: errors go to standard error"
        );
    }
    let help = text(&run(&["serve", "--help"]).stdout);
    assert!(
        help.contains("--enable") && help.contains("bundled"),
        "{help}"
    );
}

#[test]
fn cursors_outlive_the_process_when_their_key_is_kept() {
    let folder = std::env::temp_dir().join(format!("mcp-ext-key-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let key = folder.join("key");
    std::fs::write(&key, "00112233445566778899aabbccddeeff".repeat(2)).unwrap();
    let key = key.to_string_lossy().into_owned();
    let search = |args: &[&str], cursor: Option<&str>| {
        let mut arguments = json!({"type": "Observation", "count": 2});
        if let Some(cursor) = cursor {
            arguments = json!({"type": "Observation", "cursor": cursor});
        }
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let params = json!({"name": "fhir_search", "arguments": arguments, "_meta": meta});
        let frame = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let mut child = Command::new(BIN)
            .args(["serve", "--enable", "healthcare", "--data", "bundled"])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        writeln!(input, "{frame}").unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        drop(input);
        let told = text(&child.wait_with_output().unwrap().stderr);
        let answer: Value = serde_json::from_str(&line).unwrap();
        (answer["result"]["structuredContent"].clone(), told)
    };
    let kept = ["--cursor-key", key.as_str()];
    let (first, told) = search(&kept, None);
    assert!(!told.contains("cursor"), "{told}");
    let (second, _) = search(&kept, first["nextCursor"].as_str());
    assert_eq!(second["matches"].as_array().unwrap().len(), 2, "{second}");
    assert_ne!(first["matches"], second["matches"]);
    let (first, told) = search(&[], None);
    assert!(
        told.contains("--cursor-key"),
        "a random key is said so: {told}"
    );
    let (second, _) = search(&[], first["nextCursor"].as_str());
    assert_eq!(second["error"]["kind"], "invalid_cursor", "{second}");
    let bad = run(&[
        "serve",
        "--enable",
        "healthcare",
        "--data",
        "bundled",
        "--cursor-key",
        "/nonexistent",
    ]);
    assert_eq!(bad.status.code(), Some(1));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn sec_05_nothing_a_client_sends_is_printed() {
    for first in [
        r#"{"jsonrpc":"2.0","method":"notifications/x","params":{"ssn":"planted-marker"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"ssn":"planted-marker"}}"#,
        "planted-marker",
    ] {
        let mut child = Command::new(BIN)
            .args(["serve", "--enable", "healthcare", "--data", "bundled"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let _ = writeln!(input, "{first}");
        drop(input);
        let told = text(&child.wait_with_output().unwrap().stderr);
        assert!(!told.contains("planted-marker"), "{told}");
    }
}

#[test]
fn a_settings_file_is_advertised_and_its_faults_are_told() {
    let dir = std::env::temp_dir().join(format!("mcp-ext-settings-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("settings.json");
    let path = file.to_str().unwrap();
    let serve = |content: &str, input: &[u8]| {
        std::fs::write(&file, content).unwrap();
        let mut child = Command::new(BIN)
            .args(["serve", "--enable", "healthcare", "--data", "bundled"])
            .args(["--settings", path])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A child that refuses its settings has closed the pipe.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    };

    let discover = json!({"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }}});
    let output = serve(
        r#"{"healthcare": {"maxResults": 7}}"#,
        format!("{discover}\n").as_bytes(),
    );
    let answer: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    let advertised =
        &answer["result"]["capabilities"]["extensions"]["io.github.mcp-ext/healthcare-fhir"];
    assert_eq!(advertised["maxResults"], 7);
    assert_eq!(
        advertised["fhirVersions"],
        json!(["4.0.1"]),
        "what the file does not say keeps its default"
    );

    for (content, says) in [
        (
            r#"{"healthcare": {"maxResult": 7}}"#,
            "did you mean `maxResults`?",
        ),
        (
            r#"{"healthcare": {"maxResults": "many"}}"#,
            "maxResults: expected",
        ),
        (r#"{"health-care": {}}"#, "did you mean `healthcare`?"),
        (r#"{"finance": {}}"#, "enabled are: healthcare"),
        ("[]", "expected an object"),
        ("{", "EOF"),
    ] {
        let output = serve(content, b"");
        assert!(!output.status.success(), "{content}");
        assert!(
            text(&output.stderr).contains(says),
            "{content}: {}",
            text(&output.stderr)
        );
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn calls_are_recorded_exported_and_verified_and_a_changed_or_cut_export_shows() {
    let dir = std::env::temp_dir().join(format!("mcp-ext-audit-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let (log, export, head) = (path("log.db"), path("calls.jsonl"), path("head.json"));
    let mut child = Command::new(BIN)
        .args(["serve", "--enable", "healthcare", "--data", "bundled"])
        .args(["--audit", &log])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    for kind in ["Patient", "Observation"] {
        let call = json!({"jsonrpc": "2.0", "id": kind, "method": "tools/call", "params": {
            "name": "fhir_search",
            "arguments": {"type": kind, "count": 1},
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        }});
        writeln!(input, "{call}").unwrap();
    }
    drop(input);
    let served = child.wait_with_output().unwrap();
    assert_eq!(text(&served.stdout).lines().count(), 2);

    let output = run(&["audit", "export", &log, "--to", &export, "--head", &head]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let whole = std::fs::read_to_string(&export).unwrap();
    assert_eq!(
        whole.lines().count(),
        4,
        "an intent and an outcome of each call"
    );
    assert!(!whole.contains("Patient"), "arguments are not recorded");

    let verify = |content: &str| {
        std::fs::write(&export, content).unwrap();
        let output = run(&["audit", "verify", &export, "--head", &head]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.success(), report)
    };
    let (success, report) = verify(&whole);
    assert!(
        success && report["ok"] == true && report["records"] == 4,
        "{report}"
    );
    let (success, report) = verify(&whole.replacen("fhir_search", "fhir_read", 1));
    assert!(!success && report["firstBroken"]["index"] == 0, "{report}");
    assert_eq!(report["firstBroken"]["reason"], "hash_mismatch");
    let cut: String = whole
        .lines()
        .take(3)
        .map(|line| format!("{line}\n"))
        .collect();
    let (success, report) = verify(&cut);
    assert!(
        !success && report["firstBroken"]["reason"] == "cut",
        "{report}"
    );

    let output = run(&["audit", "export", &path("nothing.db")]);
    assert!(!output.status.success() && text(&output.stderr).contains("there is no such log"));
    std::fs::remove_dir_all(&dir).unwrap();
}
