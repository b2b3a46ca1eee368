//! The block around handlers: what raises a label, where it shows, and that nothing lowers it.

use std::future::Future;
use std::task::{Context, Poll, Waker};

use mcp_ext_core::block::BlockCall;
use mcp_ext_core::contract::Item;
use mcp_ext_core::envelope::Frame;
use mcp_ext_core::protocol::ProtocolRange;
use mcp_ext_core::request::{BoxFuture, SessionDeclaration};
use mcp_ext_core::{
    BlockName, Contract, Extension, ExtensionSet, Route, RpcError, ToolCx, extension, handlers,
};
use mcp_ext_labels::{
    Code, Label, LabelSource, Labels, LabelsExtension, Regulation, Sensitivity, Source, raise,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// What to open.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Open {
    /// What the handler raises the label by.
    #[serde(default)]
    raise: Vec<Label>,
    /// What the handler itself writes into the result.
    #[serde(default)]
    write: Option<Label>,
}

/// A file.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct File {
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    labels: Option<Label>,
}

/// An issue, whose labels are of another kind.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Issue {
    labels: Vec<String>,
}

/// Files.
#[extension(id = "com.example/files")]
pub trait Files {
    /// Opens a file.
    #[method]
    #[tool(needs(Labels))]
    async fn open_file(
        &self,
        cx: &ToolCx<FilesExtension>,
        params: Open,
    ) -> Result<File, std::convert::Infallible>;

    /// Opens an issue.
    #[method]
    #[tool(needs(Labels))]
    async fn open_issue(
        &self,
        cx: &ToolCx<FilesExtension>,
        params: Open,
    ) -> Result<Issue, std::convert::Infallible>;

    /// Has nothing to do with labels.
    #[method]
    async fn plain(
        &self,
        cx: &mcp_ext_core::Cx<FilesExtension>,
        params: Open,
    ) -> Result<File, std::convert::Infallible>;
}

struct Disk;

#[handlers]
impl Files for Disk {
    async fn open_file(
        &self,
        cx: &ToolCx<FilesExtension>,
        params: Open,
    ) -> Result<File, std::convert::Infallible> {
        for label in &params.raise {
            raise(cx.facts(), label);
        }
        Ok(File {
            text: "hello".to_owned(),
            labels: params.write,
        })
    }

    async fn open_issue(
        &self,
        cx: &ToolCx<FilesExtension>,
        params: Open,
    ) -> Result<Issue, std::convert::Infallible> {
        for label in &params.raise {
            raise(cx.facts(), label);
        }
        Ok(Issue {
            labels: vec!["bug".to_owned()],
        })
    }

    async fn plain(
        &self,
        cx: &mcp_ext_core::Cx<FilesExtension>,
        params: Open,
    ) -> Result<File, std::convert::Infallible> {
        for label in &params.raise {
            raise(cx.facts(), label);
        }
        Ok(File {
            text: "plain".to_owned(),
            labels: None,
        })
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here waits"),
    }
}

fn set(labels: Labels) -> ExtensionSet {
    ExtensionSet::builder()
        .enable(FilesExtension::provide(Disk))
        .enable(labels.enable())
        .build()
        .unwrap()
}

fn ask(
    set: &ExtensionSet,
    declared: bool,
    method: &str,
    mut params: Value,
) -> Result<Value, RpcError> {
    let mut extensions = json!({ "com.example/files": {} });
    if declared {
        extensions[Labels::NAME] = json!({});
    }
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": { "extensions": extensions },
    });
    let raw = RawValue::from_string(params.to_string()).unwrap();
    let frame = Frame::read(method, Some(&raw))?;
    let incoming = frame.open(ProtocolRange::default(), SessionDeclaration::none(), None)?;
    match set.route(incoming) {
        Route::Call(pending) => {
            block_on(pending.run()).map(|reply| Value::Object(reply.into_object().unwrap()))
        }
        other => panic!("{other:?}"),
    }
}

fn tool(set: &ExtensionSet, name: &str, arguments: Value) -> Value {
    let params = json!({ "name": name, "arguments": arguments });
    ask(set, false, "tools/call", params).unwrap()
}

fn label_in(result: &Value) -> Label {
    serde_json::from_value(result["structuredContent"]["labels"].clone()).unwrap()
}

#[test]
fn the_name_is_the_identifier() {
    assert_eq!(Labels::NAME, LabelsExtension::CONTRACT.id.as_str());
}

#[test]
fn a_label_stands_in_member_text_and_declared_meta() {
    let set = set(Labels::new());
    let arguments = json!({ "raise": [{ "sensitivity": ["pii"] }, { "regulated": ["HIPAA"] }] });
    let expected = json!({ "sensitivity": ["pii"], "regulated": ["HIPAA"] });
    let note = "Labels: sensitivity pii; regulated by HIPAA";

    let result = tool(&set, "open_file", arguments.clone());
    assert_eq!(result["structuredContent"]["labels"], expected);
    assert_eq!(result["content"][1]["text"], note);
    assert!(result.get("_meta").is_none(), "{result}");

    let params = json!({ "name": "open_file", "arguments": arguments });
    let result = ask(&set, true, "tools/call", params).unwrap();
    assert_eq!(result["structuredContent"]["labels"], expected);
    assert_eq!(result["content"][1]["text"], note);
    assert_eq!(result["_meta"][Labels::NAME], expected);

    let result = ask(&set, true, "com.example/files/openFile", arguments).unwrap();
    assert_eq!(result["labels"], expected);
    assert_eq!(result["_meta"][Labels::NAME], expected);
}

#[test]
fn the_member_is_in_the_output_schema() {
    let set = set(Labels::new());
    let schema = |tool: &str| set.tool(tool).unwrap().listing()["outputSchema"].clone();
    let file = schema("open_file");
    assert_eq!(
        file["properties"]["labels"]["properties"]["sensitivity"]["items"]["type"],
        "string"
    );
    let issue = schema("open_issue");
    assert_eq!(issue["properties"]["labels"]["type"], "array");
    assert_eq!(issue["properties"]["dataLabels"]["type"], "object");
    let validator = jsonschema::validator_for(&file).unwrap();
    let result = tool(&set, "open_file", json!({ "raise": [everything()] }));
    assert!(validator.is_valid(&result["structuredContent"]), "{result}");
}

fn everything() -> Label {
    Label::new()
        .sensitive(Sensitivity::Credentials)
        .regulated(Regulation::GDPR)
        .source(Source::User)
        .code(Code::new("urn:s", "x").unwrap())
        .handling(mcp_ext_labels::Line::lossy("do not pass on"))
        .attributed(mcp_ext_labels::Line::lossy("urn:a"))
        .ai_authored()
}

#[test]
fn a_result_that_tries_to_lower_is_joined() {
    let floor = Label::new().sensitive(Sensitivity::Financial);
    let set = set(Labels::new().at_least(floor.clone()));
    // What the handler raised, what the server set, and what the result claims: all of it holds.
    let raised = everything();
    let claimed = Label::new().source(Source::System);
    let result = tool(
        &set,
        "open_file",
        json!({ "raise": [raised], "write": claimed }),
    );
    let label = label_in(&result);
    assert!(label.covers(&raised) && label.covers(&floor) && label.covers(&claimed));
    assert_eq!(label.written_by(), Some(Source::User));
    // A claim that is higher is believed.
    let claimed = Label::undetermined();
    let result = tool(&set, "open_file", json!({ "write": claimed }));
    assert!(label_in(&result).has_more());
    assert!(
        result["content"][1]["text"]
            .as_str()
            .unwrap()
            .contains("strictest")
    );
}

#[test]
fn a_member_of_that_name_that_is_no_label_stays() {
    let set = set(Labels::new());
    let result = tool(&set, "open_issue", json!({ "raise": [everything()] }));
    let content = &result["structuredContent"];
    assert_eq!(content["labels"], json!(["bug"]));
    let label: Label = serde_json::from_value(content["dataLabels"].clone()).unwrap();
    assert_eq!(label, everything());
}

#[test]
fn without_a_mark_there_is_no_note() {
    let set = set(Labels::new());
    let result = tool(&set, "open_file", json!({}));
    assert_eq!(result["structuredContent"]["labels"], json!({}));
    assert_eq!(result["content"].as_array().unwrap().len(), 1);
}

#[test]
fn the_block_stands_where_it_is_needed_or_told_to() {
    let items = |labels: Labels| -> Vec<&str> {
        let set = set(labels);
        let chains = set.chains();
        let with = chains.into_iter().filter(|(.., blocks)| !blocks.is_empty());
        with.map(|(_, item, _)| item.name).collect()
    };
    assert_eq!(items(Labels::new()), ["open_file", "open_issue"]);
    let all = ["open_file", "open_issue", "plain"];
    assert_eq!(items(Labels::new().at_least(Label::new())), all);
    assert_eq!(
        items(Labels::new().at_least_for::<FilesExtension>(Label::new())),
        all
    );
    let elsewhere = Labels::new().at_least_for::<LabelsExtension>(Label::new());
    assert_eq!(items(elsewhere), ["open_file", "open_issue"]);
    assert_eq!(items(Labels::new().source(Derived(Kind::Text))), all);
}

#[test]
fn an_item_outside_the_block_is_not_labelled() {
    let set = set(Labels::new());
    let params = json!({ "raise": [everything()] });
    let result = ask(&set, true, "com.example/files/plain", params).unwrap();
    assert!(result.get("labels").is_none());
}

enum Kind {
    /// Labels by the text of the result.
    Text,
    /// Cannot tell.
    Blind,
    /// Panics.
    Broken,
}

struct Derived(Kind);

impl LabelSource for Derived {
    fn covers(&self, contract: &Contract, _: &Item) -> bool {
        contract.id.as_str() == "com.example/files"
    }

    fn label<'a>(&'a self, _: &'a BlockCall<'a>, result: &'a Value) -> BoxFuture<'a, Label> {
        Box::pin(async move {
            match self.0 {
                Kind::Text if result["text"] == "hello" => {
                    Label::new().sensitive(Sensitivity::User)
                }
                Kind::Text => Label::new(),
                Kind::Blind => Label::undetermined(),
                Kind::Broken => panic!("a fault in the source"),
            }
        })
    }
}

#[test]
fn sources_label_for_handlers_that_know_nothing_of_it() {
    let set1 = set(Labels::new().source(Derived(Kind::Text)));
    let result = tool(
        &set1,
        "open_file",
        json!({ "raise": [{ "sensitivity": ["pii"] }] }),
    );
    let both = Label::new()
        .sensitive(Sensitivity::Pii)
        .sensitive(Sensitivity::User);
    assert_eq!(label_in(&result), both);

    let two = Labels::new()
        .source(Derived(Kind::Text))
        .source(Derived(Kind::Blind));
    let label = label_in(&tool(&set(two), "open_file", json!({})));
    assert!(label.has_more() && label.covers(&Label::new().sensitive(Sensitivity::User)));
}

#[test]
fn a_source_that_panics_gives_no_unlabelled_result() {
    let set = set(Labels::new().source(Derived(Kind::Broken)));
    let params = json!({ "name": "open_file", "arguments": {} });
    let error = ask(&set, true, "tools/call", params).unwrap_err();
    assert_eq!(error.code, -32603);
    assert!(!format!("{error:?}").contains("hello"));
}

#[test]
fn raising_from_many_threads_loses_nothing() {
    let facts = mcp_ext_core::cx::Facts::default();
    raise(&facts, &Label::new());
    std::thread::scope(|scope| {
        for n in 0..8 {
            let facts = &facts;
            scope.spawn(move || {
                for m in 0..4 {
                    let name = format!("R{n}-{m}");
                    raise(
                        facts,
                        &Label::new().regulated(Regulation::new(&name).unwrap()),
                    );
                }
            });
        }
    });
    assert_eq!(mcp_ext_labels::current(&facts).regulations().count(), 32);
}
