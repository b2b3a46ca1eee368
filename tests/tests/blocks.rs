//! Labels, citations and policy, each alone in a server built with rmcp, over real wires: to a client that declares it and
//! to one that does not, in both eras. Every frame is validated against the schema of its revision.

mod wires;

use mcp_ext::citations::{Citations, Cite, cite};
use mcp_ext::labels::{Label, Labels, Regulation, Sensitivity, raise};
use mcp_ext::policy::{Decision, Policy, PolicyEngine, PolicyId, Rule, Rules};
use mcp_ext::prelude::*;
use mcp_ext::protocol::Era;
use mcp_ext::rmcp::WithExtensions;
use mcp_ext::{BlockName, Principal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wires::Plain;
use wires::http::USER;
use wires::wire::{Answer, CARRIERS, Carrier, Client};

const ERAS: [Era; 2] = [Era::Modern, Era::Legacy];
const ID: &str = "com.example/notebook";

/// Which note.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Which {
    id: u32,
}

/// A note.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Note {
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    author: Option<String>,
}

/// Notes.
#[extension(id = "com.example/notebook", revision = "1")]
pub trait Notebook {
    /// Reads a note.
    #[method]
    #[tool(title = "Read a note")]
    async fn read_note(
        &self,
        cx: &ToolCx<NotebookExtension>,
        params: Which,
    ) -> Result<Note, Infallible>;
}

struct Paper;

#[handlers]
impl Notebook for Paper {
    async fn read_note(
        &self,
        cx: &ToolCx<NotebookExtension>,
        params: Which,
    ) -> Result<Note, Infallible> {
        raise(cx.facts(), &Label::new().sensitive(Sensitivity::Pii));
        cite(
            cx.facts(),
            Cite::of(&format!("note/{}", params.id)).named("The notebook"),
        );
        Ok(Note {
            text: "See Bex on Monday".to_owned(),
            author: Some("Ives".to_owned()),
        })
    }
}

type Server = WithExtensions<Plain>;

fn with<E: Extension>(block: mcp_ext::Enable<E>) -> Server {
    let set = ExtensionSet::builder()
        .enable(NotebookExtension::provide(Paper))
        .enable(block)
        .build();
    Plain.with_extensions(set.unwrap()).unwrap()
}

/// One call in each way: what a program reads of it, what only a reader of text sees, and `_meta`.
struct Read {
    content: Value,
    notes: Vec<String>,
    meta: Value,
    /// Whether the client's declaration of the block has reached the server.
    declared: bool,
}

#[track_caller]
fn tool(answer: &Answer, declared: bool) -> Read {
    let result = answer.result();
    let texts = result["content"].as_array().unwrap();
    let text = |block: &Value| block["text"].as_str().unwrap().to_owned();
    let content = result["structuredContent"].clone();
    if result["isError"] != true {
        assert_eq!(
            serde_json::from_str::<Value>(&text(&texts[0])).unwrap(),
            content
        );
    }
    Read {
        content,
        notes: texts[1..].iter().map(text).collect(),
        meta: result["_meta"].clone(),
        declared,
    }
}

/// Calls the item on every wire: as a tool, declared and not, and as a method.
async fn on_every_wire(block: &str, server: impl Fn() -> Server, check: impl Fn(Read)) {
    for carrier in CARRIERS {
        for era in ERAS {
            for declares in [true, false] {
                let mut extensions = json!({ ID: {} });
                if declares {
                    extensions[block] = json!({});
                }
                let mut client = Client::connect(server(), carrier, era, Some(extensions)).await;
                let offered = &client.greeting["capabilities"]["extensions"][block];
                assert!(
                    offered.is_object(),
                    "{carrier:?} {era:?}: {}",
                    client.greeting
                );
                // Over HTTP without sessions rmcp forgets what a legacy client declared.
                let lost = era == Era::Legacy && carrier == Carrier::HttpStateless;
                let declared = declares && !lost;
                check(tool(
                    &client.tool("read_note", json!({ "id": 1 })).await,
                    declared,
                ));
                if lost {
                    continue;
                }
                let method = client
                    .call(&format!("{ID}/readNote"), json!({ "id": 1 }))
                    .await;
                let result = method.result().clone();
                check(Read {
                    meta: result["_meta"].clone(),
                    content: result,
                    notes: Vec::new(),
                    declared,
                });
            }
            // A client that has never heard of extensions has the tool all the same.
            let mut client = Client::connect(server(), carrier, era, None).await;
            check(tool(
                &client.tool("read_note", json!({ "id": 1 })).await,
                false,
            ));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_alone() {
    let gdpr = || Label::new().regulated(Regulation::GDPR);
    let server = || with(Labels::new().at_least(gdpr()).enable());
    let label = json!({ "sensitivity": ["pii"], "regulated": ["GDPR"] });
    on_every_wire(Labels::NAME, server, |read| {
        assert_eq!(read.content["labels"], label);
        assert_eq!(read.content["text"], "See Bex on Monday");
        if !read.notes.is_empty() {
            assert_eq!(read.notes, ["Labels: sensitivity pii; regulated by GDPR"]);
        }
        let meta = if read.declared {
            label.clone()
        } else {
            Value::Null
        };
        assert_eq!(read.meta[Labels::NAME], meta);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn citations_alone() {
    let server = || with(Citations::new().on::<NotebookExtension>().enable());
    on_every_wire(Citations::NAME, server, |read| {
        let citation = &read.content["citations"][0];
        assert_eq!(citation["id"], "c1");
        assert_eq!(citation["target"], json!({ "source": "note/1" }));
        assert_eq!(
            citation["schema:citation"],
            json!({ "name": "The notebook" })
        );
        if let [note] = read.notes.as_slice() {
            let when = citation["retrievedAt"].as_str().unwrap();
            let line = format!("Source: The notebook, note/1 (retrieved {when})");
            assert_eq!(*note, line);
        }
        let meta = if read.declared {
            read.content["citations"].clone()
        } else {
            Value::Null
        };
        assert_eq!(read.meta[Citations::NAME], meta);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policy_alone_redacts() {
    let rules = || {
        let author = Rule::redact("authors", ["/author".parse().unwrap()]);
        Rules::new("notes", "2", [Rule::allow("all"), author]).unwrap()
    };
    let server = || with(Policy::new(rules()).enable());
    let applied = json!({ "effect": "redact", "policyId": "notes/authors@2" });
    on_every_wire(Policy::NAME, server, |read| {
        assert_eq!(read.content["text"], "See Bex on Monday");
        assert!(read.content.get("author").is_none());
        assert_eq!(read.content["policy"], applied);
        if !read.notes.is_empty() {
            assert_eq!(
                read.notes,
                ["Policy notes/authors@2 removed parts of this result"]
            );
        }
        let meta = if read.declared {
            applied.clone()
        } else {
            Value::Null
        };
        assert_eq!(read.meta[Policy::NAME], meta);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policy_alone_denies_by_caller() {
    let alice = Rule::allow("alice").caller(Principal::new("alice"));
    let rules = Rules::new("notes", "1", [alice]).unwrap();
    let server = with(Policy::new(rules).enable());
    for carrier in [Carrier::HttpSessions, Carrier::HttpStateless] {
        let mut client = Client::connect(
            server.clone(),
            carrier,
            Era::Modern,
            Some(json!({ ID: {} })),
        )
        .await;
        for (who, allowed) in [("alice", true), ("bob", false), ("", false)] {
            client.headers = vec![(USER, who.to_owned())];
            let call = client.tool("read_note", json!({ "id": 1 })).await;
            let method = client
                .call(&format!("{ID}/readNote"), json!({ "id": 1 }))
                .await;
            if allowed {
                assert_eq!(call.result()["structuredContent"]["author"], "Ives");
                assert_eq!(method.result()["author"], "Ives");
                continue;
            }
            let result = call.result();
            assert_eq!(result["isError"], true);
            let error = &result["structuredContent"]["error"];
            assert_eq!(error["extension"], Policy::NAME);
            assert_eq!(error["kind"], "denied");
            assert_eq!(error["details"]["policyId"], "notes/otherwise@1");
            let refused = method.refused(43401, 200);
            assert_eq!(refused["data"]["extension"], Policy::NAME);
        }
    }
}

/// Asks a person about everything.
struct Careful;

impl PolicyEngine for Careful {
    fn decide<'a>(
        &'a self,
        question: &'a mcp_ext::policy::Question<'a>,
    ) -> mcp_ext::request::BoxFuture<'a, Result<Decision, mcp_ext::policy::EngineError>> {
        let on_call = matches!(question.stage, mcp_ext::policy::Stage::Call);
        Box::pin(async move {
            let id = PolicyId::new("notes", "careful", "1")
                .map_err(mcp_ext::policy::EngineError::new)?;
            Ok(if on_call {
                Decision::confirm(id)
            } else {
                Decision::allow(id)
            })
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policy_alone_has_a_person_asked() {
    for carrier in CARRIERS {
        let server = with(Policy::new(Careful).enable());
        let mut client = Client::connect(server, carrier, Era::Modern, None).await;
        let call = |extra: Value| {
            let mut params = json!({ "name": "read_note", "arguments": { "id": 1 }, "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": { "name": "raw", "version": "1" },
                "io.modelcontextprotocol/clientCapabilities": { "elicitation": { "form": {} } },
            } });
            for (name, value) in extra.as_object().unwrap() {
                params[name] = value.clone();
            }
            params
        };
        let asked = client.call("tools/call", call(json!({}))).await;
        let asked = asked.result();
        assert_eq!(asked["resultType"], "input_required", "{asked}");
        let answer = json!({
            "inputResponses": { "policy": { "action": "accept", "content": { "confirm": true } } },
            "requestState": asked["requestState"],
        });
        let done = client.call("tools/call", call(answer)).await;
        assert_eq!(done.result()["structuredContent"]["author"], "Ives");
        // A client that cannot ask is told what to do.
        let refused = client.tool("read_note", json!({ "id": 1 })).await;
        let error = &refused.result()["structuredContent"]["error"];
        assert_eq!(error["kind"], "confirmation_needed");
    }
    let server = with(Policy::new(Careful).enable());
    let mut client = Client::connect(server, Carrier::Stdio, Era::Legacy, None).await;
    let refused = client.tool("read_note", json!({ "id": 1 })).await;
    let error = &refused.result()["structuredContent"]["error"];
    assert_eq!(error["kind"], "confirmation_needed");
}

/// All three at once: policy sees the label that labels put there, and what it withholds leaves nothing behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policy_denies_a_result_over_its_label() {
    use mcp_ext::policy::Ceiling;
    let rules =
        |most: Ceiling| Rules::new("notes", "1", [Rule::allow("all").label_at_most(most)]).unwrap();
    for (most, given) in [
        (Ceiling::new().sensitivity([]), false),
        (Ceiling::new().sensitivity([Sensitivity::Pii]), true),
    ] {
        let set = ExtensionSet::builder()
            .enable(NotebookExtension::provide(Paper))
            .enable(
                Labels::new()
                    .at_least_for::<NotebookExtension>(Label::new())
                    .enable(),
            )
            .enable(Citations::new().on::<NotebookExtension>().enable())
            .enable(Policy::new(rules(most)).enable())
            .build()
            .unwrap();
        let chains = set.chains();
        let (.., blocks) = &chains
            .iter()
            .find(|(contract, ..)| contract.id.as_str() == ID)
            .unwrap();
        assert_eq!(*blocks, [Policy::NAME, Citations::NAME, Labels::NAME]);
        let declared = json!({ ID: {}, Labels::NAME: {}, Citations::NAME: {}, Policy::NAME: {} });
        let server = Plain.with_extensions(set).unwrap();
        let mut client = Client::connect(server, Carrier::Stdio, Era::Modern, Some(declared)).await;
        let answer = client.tool("read_note", json!({ "id": 1 })).await;
        let read = tool(&answer, true);
        if given {
            assert_eq!(read.content["labels"], json!({ "sensitivity": ["pii"] }));
            assert_eq!(read.notes.len(), 2, "{:?}", read.notes);
            assert!(read.meta[Citations::NAME].is_array());
        } else {
            assert_eq!(read.content["error"]["kind"], "withheld");
            let frame = answer.frame.to_string();
            for left in ["Bex", "Ives", "note/1", "sensitivity"] {
                assert!(!frame.contains(left), "{left}: {frame}");
            }
        }
    }
}
