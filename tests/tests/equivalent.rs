//! The extension made with mcp-ext and the one written by hand answer the same frames the same way; and what each
//! costs in lines.

mod wires;

use std::collections::BTreeSet;
use std::sync::Arc;

use mcp_ext::protocol::Era;
use mcp_ext::rmcp::ServerExtensions;
use mcp_ext_tests::equivalent::by_hand::NotesServer;
use mcp_ext_tests::equivalent::by_macro;
use mcp_ext_tests::equivalent::logic::Shelf;
use mcp_ext_tests::equivalent::types::{Format, NotesSettings};
use rmcp::ServerHandler;
use serde_json::{Value, json};
use wires::Plain;
use wires::wire::{Answer, Carrier, Client};

const ID: &str = "com.example/notes";
const READ: &str = "com.example/notes/read";
const SEARCH: &str = "com.example/notes/search";
const ADD: &str = "com.example/notes/addNote";

fn offer() -> NotesSettings {
    NotesSettings {
        formats: Some(BTreeSet::from([Format::Plain])),
        max_results: Some(3),
        write: true,
    }
}

/// Runs `$check` against both servers, in both eras, over a byte stream and over HTTP with sessions.
macro_rules! both {
    ($($name:ident)*) => { $(
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn with_mcp_ext() {
                everywhere(async |at| {
                    let shelf = Arc::new(Shelf::default());
                    let set = by_macro::extensions(shelf.clone(), offer()).unwrap();
                    super::$name(Subject { server: Plain.with_extensions(set).unwrap(), shelf, at }).await;
                })
                .await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn by_hand() {
                everywhere(async |at| {
                    let shelf = Arc::new(Shelf::default());
                    let server = NotesServer { shelf: shelf.clone(), settings: offer() };
                    super::$name(Subject { server, shelf, at }).await;
                })
                .await;
            }
        }
    )* };
}

both! {
    is_advertised
    methods_answer_those_who_declare
    undeclared_methods_are_refused_before_anything_runs
    settings_that_do_not_combine_are_explained
    malformed_settings_are_refused
    params_are_checked_and_every_fault_is_named
    own_errors_have_their_code_and_kind
    what_was_negotiated_holds
    tools_degrade_and_gated_ones_do_not
    unknown_names_stay_unknown
}

async fn everywhere(check: impl AsyncFn((Carrier, Era))) {
    for carrier in [Carrier::Stdio, Carrier::HttpSessions] {
        for era in [Era::Modern, Era::Legacy] {
            check((carrier, era)).await;
        }
    }
}

struct Subject<S> {
    server: S,
    shelf: Arc<Shelf>,
    at: (Carrier, Era),
}

impl<S: ServerHandler + Clone> Subject<S> {
    async fn client(&self, declared: Option<Value>) -> Client {
        let (carrier, era) = self.at;
        let declared = declared.map(|settings| json!({ ID: settings }));
        Client::connect(self.server.clone(), carrier, era, declared).await
    }

    fn modern(&self) -> bool {
        self.at.1 == Era::Modern
    }

    /// What a method answers that may not be called: the code of the era.
    #[track_caller]
    fn refused<'a>(&self, answer: &'a Answer) -> &'a Value {
        match self.at.1 {
            Era::Modern => answer.refused(-32021, 400),
            Era::Legacy => answer.refused(-32601, 200),
        }
    }
}

/// What came back, without what the protocol adds to it.
#[track_caller]
fn content(answer: &Answer) -> Value {
    let mut result = answer.result().clone();
    if let Some(members) = result.as_object_mut() {
        members.remove("resultType");
        members.remove("_meta");
    }
    result
}

fn write() -> Option<Value> {
    Some(json!({ "write": true }))
}

async fn is_advertised<S: ServerHandler + Clone>(subject: Subject<S>) {
    let mut client = subject.client(None).await;
    let capabilities = &client.greeting["capabilities"];
    let settings = &capabilities["extensions"][ID];
    assert_eq!(
        *settings,
        json!({ "formats": ["plain"], "maxResults": 3, "write": true })
    );
    assert!(capabilities["tools"].is_object());

    let listed = client.call("tools/list", json!({})).await;
    let tools = listed.result()["tools"].as_array().unwrap();
    let names: Vec<_> = tools.iter().map(|t| t["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["add_note", "search_notes"]);
    let (add, search) = (&tools[0], &tools[1]);
    assert_eq!(add["annotations"], json!({ "destructiveHint": false }));
    assert_eq!(search["annotations"], json!({ "readOnlyHint": true }));
    let input = &search["inputSchema"];
    assert_eq!(input["type"], "object");
    assert_eq!(input["required"], json!(["word"]));
    assert_eq!(input["properties"]["word"]["maxLength"], 100);
    assert_eq!(add["inputSchema"]["required"], json!(["title", "text"]));
    assert_eq!(search["outputSchema"]["type"], "object");
}

async fn methods_answer_those_who_declare<S: ServerHandler + Clone>(subject: Subject<S>) {
    let mut client = subject.client(write()).await;
    let note = json!({ "id": "n1", "title": "One", "text": "red wine" });
    let added = client
        .call(ADD, json!({ "title": "One", "text": "red wine" }))
        .await;
    assert_eq!(content(&added), note);
    let read = client.call(READ, json!({ "id": "n1" })).await;
    assert_eq!(content(&read), note);
    let found = client.call(SEARCH, json!({ "word": "wine" })).await;
    assert_eq!(content(&found), json!({ "notes": [note] }));
    let none = client
        .call(SEARCH, json!({ "word": "beer", "limit": 1 }))
        .await;
    assert_eq!(content(&none), json!({ "notes": [] }));
    // `resultType` was looked at by the client: there for modern answers, absent from legacy ones.
}

async fn undeclared_methods_are_refused_before_anything_runs<S: ServerHandler + Clone>(
    subject: Subject<S>,
) {
    let mut client = subject.client(None).await;
    for (method, params) in [
        (ADD, json!({ "title": "One", "text": "red" })),
        (READ, json!({ "id": "n1" })),
        (SEARCH, json!({ "params that": "do not fit" })),
    ] {
        let answer = client.call(method, params).await;
        let error = subject.refused(&answer);
        if subject.modern() {
            assert_eq!(
                error["data"],
                json!({ "requiredCapabilities": { "extensions": { ID: {} } } })
            );
        } else {
            assert_eq!(
                error["data"],
                json!({ "extension": ID, "kind": "not_declared" })
            );
        }
    }
    assert!(subject.shelf.is_empty());
}

async fn settings_that_do_not_combine_are_explained<S: ServerHandler + Clone>(subject: Subject<S>) {
    let declared = json!({ "formats": ["markdown"], "write": true });
    let mut client = subject.client(Some(declared)).await;
    let answer = client
        .call(ADD, json!({ "title": "One", "text": "red" }))
        .await;
    let data = &subject.refused(&answer)["data"];
    assert_eq!(
        data["mismatch"],
        json!([{ "field": "formats", "rule": "intersect", "server": ["plain"], "client": ["markdown"] }])
    );
    assert_eq!(
        (&data["extension"], &data["kind"]),
        (&json!(ID), &json!("settings_mismatch"))
    );
    assert!(subject.shelf.is_empty());
    // What is asked for passes.
    let passing = data["requiredCapabilities"]["extensions"][ID].clone();
    let mut client = subject.client(Some(passing)).await;
    client.call(SEARCH, json!({ "word": "red" })).await.result();
}

async fn malformed_settings_are_refused<S: ServerHandler + Clone>(subject: Subject<S>) {
    let mut client = subject.client(Some(json!({ "maxResults": "three" }))).await;
    let answer = client.call(SEARCH, json!({ "word": "red" })).await;
    let error = answer.refused(-32602, 200);
    assert_eq!(
        (&error["data"]["extension"], &error["data"]["kind"]),
        (&json!(ID), &json!("invalid_settings"))
    );
    // Members that nobody knows are no fault, nor are members of a set.
    let declared = json!({ "formats": ["plain", "runes"], "colour": { "of": "ink" } });
    let mut client = subject.client(Some(declared)).await;
    client.call(SEARCH, json!({ "word": "red" })).await.result();
}

async fn params_are_checked_and_every_fault_is_named<S: ServerHandler + Clone>(
    subject: Subject<S>,
) {
    let long = "x".repeat(2001);
    let cases = [
        (READ, "", json!({}), vec!["/id"]),
        (READ, "", json!({ "id": "" }), vec!["/id"]),
        (READ, "", json!({ "id": 7 }), vec!["/id"]),
        (READ, "", json!({ "id": "x".repeat(65) }), vec!["/id"]),
        (
            SEARCH,
            "search_notes",
            json!({ "word": "a", "limit": 0 }),
            vec!["/limit"],
        ),
        (
            SEARCH,
            "search_notes",
            json!({ "word": "a", "limit": 51 }),
            vec!["/limit"],
        ),
        (
            SEARCH,
            "search_notes",
            json!({ "word": "a", "limit": 1.5 }),
            vec!["/limit"],
        ),
        (
            SEARCH,
            "search_notes",
            json!({ "word": ["a"], "limit": "5" }),
            vec!["/limit", "/word"],
        ),
        (
            SEARCH,
            "search_notes",
            json!({ "word": "a", "wrod": "b" }),
            vec!["/wrod"],
        ),
        (
            ADD,
            "add_note",
            json!({ "title": "", "text": long, "by": 1 }),
            vec!["/by", "/text", "/title"],
        ),
    ];
    let mut client = subject.client(write()).await;
    for (method, tool, params, expected) in cases {
        let answer = client.call(method, params.clone()).await;
        let data = &answer.refused(-32602, 200)["data"];
        assert_eq!(
            (&data["extension"], &data["kind"]),
            (&json!(ID), &json!("invalid_params"))
        );
        assert_eq!(
            pointers(&data["faults"]),
            expected,
            "{method} {params}: {data}"
        );
        assert!(
            !data.to_string().contains("xxxx"),
            "values are not repeated: {data}"
        );
        if tool.is_empty() {
            continue;
        }
        // A tool says the same to the model.
        let answer = client.tool(tool, params.clone()).await;
        let result = answer.result();
        assert_eq!(result["isError"], true, "{result}");
        let error = &result["structuredContent"]["error"];
        assert_eq!(
            (&error["extension"], &error["kind"]),
            (&json!(ID), &json!("invalid_params"))
        );
        assert_eq!(
            pointers(&error["faults"]),
            expected,
            "{tool} {params}: {error}"
        );
    }
    assert!(subject.shelf.is_empty());
}

#[track_caller]
fn pointers(faults: &Value) -> Vec<&str> {
    let faults = faults.as_array().unwrap();
    for fault in faults {
        for member in ["expected", "seen", "message"] {
            assert!(
                fault[member].as_str().is_some_and(|text| !text.is_empty()),
                "{fault}"
            );
        }
    }
    let mut pointers: Vec<_> = faults
        .iter()
        .map(|f| f["pointer"].as_str().unwrap())
        .collect();
    pointers.sort_unstable();
    pointers
}

async fn own_errors_have_their_code_and_kind<S: ServerHandler + Clone>(subject: Subject<S>) {
    let mut client = subject.client(Some(json!({}))).await;
    let answer = client.call(READ, json!({ "id": "n9" })).await;
    let error = answer.refused(40404, 200);
    assert_eq!(error["message"], "no note n9");
    assert_eq!(
        error["data"],
        json!({ "extension": ID, "kind": "unknown_note", "details": { "id": "n9" } })
    );
    let answer = client
        .tool("add_note", json!({ "title": "One", "text": "red" }))
        .await;
    let result = answer.result();
    assert_eq!(result["isError"], true);
    let error = &result["structuredContent"]["error"];
    assert_eq!(
        (&error["extension"], &error["kind"]),
        (&json!(ID), &json!("read_only"))
    );
    assert_eq!(result["content"][0]["text"], error["message"]);
}

async fn what_was_negotiated_holds<S: ServerHandler + Clone>(subject: Subject<S>) {
    let mut client = subject
        .client(Some(json!({ "maxResults": 2, "write": true })))
        .await;
    for n in 0..5 {
        let note = json!({ "title": format!("Note {n}"), "text": "red" });
        client.call(ADD, note).await.result();
    }
    let count = |answer: &Answer| answer.result()["notes"].as_array().unwrap().len();
    let found = client
        .call(SEARCH, json!({ "word": "red", "limit": 50 }))
        .await;
    assert_eq!(count(&found), 2, "the client narrows");
    let mut other = subject.client(Some(json!({ "maxResults": 40 }))).await;
    let found = other
        .call(SEARCH, json!({ "word": "red", "limit": 50 }))
        .await;
    assert_eq!(count(&found), 3, "and cannot widen");
    let refused = other
        .call(ADD, json!({ "title": "One", "text": "red" }))
        .await;
    refused.refused(40403, 200);
    assert_eq!(subject.shelf.len(), 5);
}

async fn tools_degrade_and_gated_ones_do_not<S: ServerHandler + Clone>(subject: Subject<S>) {
    let mut client = subject.client(write()).await;
    let args = json!({ "title": "One", "text": "red" });
    let note = json!({ "id": "n1", "title": "One", "text": "red" });
    let added = client.tool("add_note", args.clone()).await;
    assert_eq!(added.result()["structuredContent"], note);
    let text = added.result()["content"][0]["text"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), note);

    let mut stranger = subject.client(None).await;
    let found = stranger
        .tool("search_notes", json!({ "word": "red" }))
        .await;
    assert_eq!(
        found.result()["structuredContent"],
        json!({ "notes": [note] })
    );
    let answer = stranger.tool("add_note", args).await;
    if subject.modern() {
        let error = answer.refused(-32021, 400);
        assert_eq!(
            error["data"],
            json!({ "requiredCapabilities": { "extensions": { ID: {} } } })
        );
    } else {
        let result = answer.result();
        assert_eq!(result["isError"], true);
        let error = &result["structuredContent"]["error"];
        assert_eq!(
            (&error["extension"], &error["kind"]),
            (&json!(ID), &json!("not_declared"))
        );
        assert_eq!(result["content"][0]["text"], error["message"]);
    }
    assert_eq!(subject.shelf.len(), 1);
}

async fn unknown_names_stay_unknown<S: ServerHandler + Clone>(subject: Subject<S>) {
    let mut client = subject.client(write()).await;
    let status = if subject.modern() { 404 } else { 200 };
    for method in ["com.example/notes/burn", "com.example/notes", "nonsense"] {
        client.call(method, json!({})).await.refused(-32601, status);
    }
    client
        .tool("burn_notes", json!({}))
        .await
        .refused(-32602, 200);
    client.call(SEARCH, json!({ "word": "red" })).await.result();
}

// --- lines -------------------------------------------------------------------------------------------------------

/// Most lines that an extension of this size may need beside its types and its logic.
const MOST: usize = 16;

/// The lines that are code: neither blank nor comment. Attributes count.
fn code(text: &str) -> Vec<&str> {
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    text.lines().filter(is_code).collect()
}

/// Takes the lines from the one that starts with `first` to the next that is `last`, both included.
#[track_caller]
fn take<'a>(lines: &mut Vec<&'a str>, first: &str, last: &str) -> Vec<&'a str> {
    let start = lines.iter().position(|line| line.starts_with(first));
    let start = start.unwrap_or_else(|| panic!("no line starts with {first}"));
    let length = lines[start..]
        .iter()
        .position(|line| *line == last)
        .unwrap();
    lines.drain(start..=start + length).collect()
}

/// Takes the imports.
fn imports(lines: &mut Vec<&str>) -> usize {
    let mut taken = 0;
    while let Some(at) = lines.iter().position(|line| line.starts_with("use ")) {
        let length = lines[at..]
            .iter()
            .position(|line| line.ends_with(';'))
            .unwrap();
        taken += lines.drain(at..=at + length).count();
    }
    taken
}

/// Plumbing is what an author writes because there is a protocol: what is left when the types, the business logic and
/// the imports are taken away.
///
/// With mcp-ext that is the trait with its attributes, `#[handlers]`, the first and last line of the impl, and the two
/// lines that enable the extension. Business logic are the fns inside the impl: here they hand over to `logic.rs`,
/// since the one written by hand shares it; otherwise their bodies would be the logic. The fn around the two lines is
/// this test's. By hand everything in the file is plumbing.
#[test]
fn an_extension_needs_sixteen_lines_of_plumbing() {
    let mut ours = code(include_str!("../src/equivalent/by_macro.rs"));
    let all = ours.len();
    let our_imports = imports(&mut ours);
    let mut logic = 0;
    while ours
        .iter()
        .any(|line| line.starts_with("    async fn") && line.ends_with('{'))
    {
        let at = ours
            .iter()
            .position(|l| l.starts_with("    async fn") && l.ends_with('{'))
            .unwrap();
        let length = ours[at..].iter().position(|line| *line == "    }").unwrap();
        logic += ours.drain(at..=at + length).count();
    }
    let enable = take(&mut ours, "pub fn extensions(", "}");
    let enable = &enable[1..enable.len() - 1];
    let plumbing = ours.len() + enable.len();
    assert_eq!(
        plumbing + our_imports + logic + 2,
        all,
        "every line is one of these"
    );

    let mut hand = code(include_str!("../src/equivalent/by_hand.rs"));
    let hand_imports = imports(&mut hand);

    println!("plumbing with mcp-ext: {plumbing} lines (and {our_imports} of imports)");
    println!(
        "plumbing by hand on rmcp: {} lines (and {hand_imports} of imports)",
        hand.len()
    );
    let shown = [&ours[..], enable].concat().join("\n");
    assert!(
        plumbing <= MOST,
        "{plumbing} lines, at most {MOST}:\n{shown}"
    );
    assert!(hand.len() > 100, "the comparison has lost its other half");
}

/// Lines are counted as rustfmt lays them out.
#[test]
fn the_counted_lines_are_formatted() {
    let files = ["by_macro", "by_hand"]
        .map(|name| format!("{}/src/equivalent/{name}.rs", env!("CARGO_MANIFEST_DIR")));
    let rustfmt = std::process::Command::new("rustfmt")
        .args(["--edition", "2024", "--check"])
        .args(files)
        .output();
    match rustfmt {
        Ok(output) => {
            let diff = String::from_utf8_lossy(&output.stdout);
            assert!(
                output.status.success(),
                "{diff}{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Err(error) => eprintln!("SKIPPED the_counted_lines_are_formatted: no rustfmt ({error})"),
    }
}
