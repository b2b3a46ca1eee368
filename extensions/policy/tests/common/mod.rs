//! Records behind a policy: an extension whose handler can be watched, and calls by anyone.
#![allow(dead_code, missing_docs)]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use mcp_ext_core::block::{Before, Block, BlockCall, BlockName, BlockOutcome, MustConfirm, Place};
use mcp_ext_core::contract::{Contract, Item};
use mcp_ext_core::envelope::Frame;
use mcp_ext_core::protocol::ProtocolRange;
use mcp_ext_core::request::{BoxFuture, SessionDeclaration};
use mcp_ext_core::{
    Enable, Extension, ExtensionSet, Principal, Route, RpcError, ToolCx, extension, handlers,
};
use mcp_ext_labels::{Label, Labels, raise};
use mcp_ext_policy::{Decided, Narrow, Policy, PolicyExtension};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// What to search.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Search {
    #[serde(default)]
    pub text: String,
    /// What the handler raises the label by.
    #[serde(default)]
    pub raise: Label,
}

/// What was found.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Found {
    pub matches: Vec<Record>,
    /// Wards that the caller was narrowed to.
    pub wards: Vec<String>,
}

/// A record.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Record {
    pub id: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// Records.
#[extension(id = "com.example/records")]
pub trait Records {
    /// Searches records.
    #[method]
    #[tool(title = "Search the records")]
    async fn search(
        &self,
        cx: &ToolCx<RecordsExtension>,
        params: Search,
    ) -> Result<Found, std::convert::Infallible>;

    /// Searches records, asking first.
    #[method]
    #[tool(needs(Confirm))]
    async fn erase(
        &self,
        cx: &ToolCx<RecordsExtension>,
        params: Search,
    ) -> Result<Found, std::convert::Infallible>;
}

/// Wards a caller may see: a fact that policy narrows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wards(pub BTreeSet<String>);

impl Wards {
    pub fn of<const N: usize>(names: [&str; N]) -> Self {
        Self(names.map(str::to_owned).into_iter().collect())
    }
}

impl Narrow for Wards {
    fn narrowed(self, by: &Self) -> Self {
        Self(self.0.intersection(&by.0).cloned().collect())
    }
}

pub struct Shelf {
    pub ran: Arc<AtomicUsize>,
}

impl Shelf {
    fn find(&self, cx: &ToolCx<RecordsExtension>, params: &Search) -> Found {
        self.ran.fetch_add(1, Ordering::SeqCst);
        raise(cx.facts(), &params.raise);
        let wards = cx.facts().get::<Wards>();
        Found {
            matches: [(1, "Ives"), (2, "Bex")]
                .map(|(id, title)| Record {
                    id,
                    title: Some(title.to_owned()),
                })
                .into(),
            wards: wards.map(|w| w.0.into_iter().collect()).unwrap_or_default(),
        }
    }
}

#[handlers]
impl Records for Shelf {
    async fn search(
        &self,
        cx: &ToolCx<RecordsExtension>,
        params: Search,
    ) -> Result<Found, std::convert::Infallible> {
        Ok(self.find(cx, &params))
    }

    async fn erase(
        &self,
        cx: &ToolCx<RecordsExtension>,
        params: Search,
    ) -> Result<Found, std::convert::Infallible> {
        Ok(self.find(cx, &params))
    }
}

/// Stands for the block of that name.
#[derive(Clone)]
pub struct Confirm {
    /// Around items that do not need it, too.
    pub everywhere: bool,
}

#[extension(id = "io.github.mcp-ext/confirm")]
pub trait Confirming {}

#[handlers]
impl Confirming for Confirm {}

impl BlockName for Confirm {
    const NAME: &'static str = "io.github.mcp-ext/confirm";
}

impl Block for Confirm {
    fn name(&self) -> &'static str {
        Self::NAME
    }
    fn place(&self) -> Place {
        Place::CONFIRM
    }
    fn covers(&self, contract: &Contract, _: &Item) -> bool {
        self.everywhere && contract.id.as_str() == "com.example/records"
    }
    /// Answers from a store when told to: the blocks further in are not there then.
    fn before<'a>(&'a self, call: &'a BlockCall<'a>) -> BoxFuture<'a, Before> {
        let before = if call.params["text"] == "stored" {
            Before::Answer(BlockOutcome::new(Ok(json!({
                "matches": [], "wards": ["kept"], "labels": { "regulated": ["HIPAA"] },
            }))))
        } else if call.params["text"] == "must" {
            let must = call.cx.facts().get::<MustConfirm>().is_some();
            Before::Answer(BlockOutcome::new(Ok(json!({
                "matches": [], "wards": [must.to_string()],
            }))))
        } else {
            Before::Proceed
        };
        Box::pin(async { before })
    }
    /// Says what blocks further in than policy may say of a result.
    fn after<'a>(
        &'a self,
        _: &'a BlockCall<'a>,
        outcome: &'a mut BlockOutcome,
    ) -> BoxFuture<'a, ()> {
        for note in [
            "Source: a letter to Ives",
            "Replayed: nothing was done again",
        ] {
            outcome.notes.push(note.to_owned());
        }
        for key in ["citations", "idempotency"] {
            let key = format!("io.github.mcp-ext/{key}");
            let said = if key.ends_with("citations") {
                json!([{ "name": "Ives" }])
            } else {
                json!({ "replayed": true })
            };
            outcome.meta.insert(key, said);
        }
        Box::pin(async {})
    }
}

/// Looks at what comes out, from the place of audit.
#[derive(Clone, Default)]
pub struct Recorder(pub Arc<Mutex<Vec<Seen>>>);

/// What an outer block saw of a call.
#[derive(Clone, Debug)]
pub struct Seen {
    pub decided: Option<Decided>,
    /// `None` for a result; whether the handler certainly did nothing otherwise.
    pub failed_before_handler: Option<bool>,
}

#[extension(id = "com.example/recorder")]
pub trait Recording {}

#[handlers]
impl Recording for Recorder {}

impl Block for Recorder {
    fn name(&self) -> &'static str {
        "com.example/recorder"
    }
    fn place(&self) -> Place {
        Place::AUDIT
    }
    fn covers(&self, _: &Contract, _: &Item) -> bool {
        true
    }
    fn before<'a>(&'a self, _: &'a BlockCall<'a>) -> BoxFuture<'a, Before> {
        Box::pin(async { Before::Proceed })
    }
    fn after<'a>(
        &'a self,
        call: &'a BlockCall<'a>,
        outcome: &'a mut BlockOutcome,
    ) -> BoxFuture<'a, ()> {
        self.0.lock().unwrap().push(Seen {
            decided: call.cx.facts().get(),
            failed_before_handler: outcome
                .result
                .as_ref()
                .err()
                .map(|f| f.before_the_handler()),
        });
        Box::pin(async {})
    }
}

/// A server of records, and what happened in it.
pub struct Server {
    pub set: ExtensionSet,
    ran: Arc<AtomicUsize>,
    pub recorder: Recorder,
}

impl Server {
    pub fn new(policy: Policy) -> Self {
        Self::labelled(policy, Label::new())
    }

    /// With results labelled at least so.
    pub fn labelled(policy: Policy, label: Label) -> Self {
        Self::with(policy, label, Confirm { everywhere: false })
    }

    pub fn with(policy: Policy, label: Label, confirm: Confirm) -> Self {
        let ran = Arc::new(AtomicUsize::new(0));
        let recorder = Recorder::default();
        let confirm: Enable<ConfirmingExtension> =
            ConfirmingExtension::provide(confirm.clone()).around(confirm);
        let recording: Enable<RecordingExtension> =
            RecordingExtension::provide(recorder.clone()).around(recorder.clone());
        let set = ExtensionSet::builder()
            .enable(RecordsExtension::provide(Shelf { ran: ran.clone() }))
            .enable(Labels::new().at_least(label).enable())
            .enable(policy.enable())
            .enable(confirm)
            .enable(recording)
            .build()
            .unwrap();
        Self { set, ran, recorder }
    }

    /// How often the handler ran.
    pub fn ran(&self) -> usize {
        self.ran.load(Ordering::SeqCst)
    }

    pub fn seen(&self) -> Seen {
        self.recorder.0.lock().unwrap().last().unwrap().clone()
    }
}

/// One call.
#[derive(Clone)]
pub struct Ask {
    pub method: &'static str,
    pub params: Value,
    pub meta: Value,
    pub principal: Option<Principal>,
    pub capabilities: Value,
}

impl Ask {
    pub fn method(method: &'static str, params: Value) -> Self {
        Self {
            method,
            params,
            meta: json!({}),
            principal: None,
            capabilities: json!({}),
        }
    }

    pub fn tool(name: &str, arguments: Value) -> Self {
        Self::method(
            "tools/call",
            json!({ "name": name, "arguments": arguments }),
        )
    }

    pub fn by(mut self, principal: Principal) -> Self {
        self.principal = Some(principal);
        self
    }

    pub fn declaring(mut self) -> Self {
        self.capabilities["extensions"] =
            json!({ Policy::NAME: {}, Labels::NAME: {}, "com.example/records": {} });
        self
    }

    pub fn eliciting(mut self) -> Self {
        self.capabilities["elicitation"] = json!({});
        self
    }

    pub fn purpose(mut self, purpose: Value) -> Self {
        self.meta["io.github.mcp-ext/purpose"] = purpose;
        self
    }

    /// The answer to a question asked before.
    pub fn answering(mut self, responses: Value, state: Value) -> Self {
        self.params["inputResponses"] = responses;
        self.params["requestState"] = state;
        self
    }

    pub async fn send(mut self, server: &Server) -> Result<Value, RpcError> {
        if self.method != "tools/call" {
            self = self.declaring();
        }
        self.meta["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
        self.meta["io.modelcontextprotocol/clientCapabilities"] = self.capabilities;
        self.params["_meta"] = self.meta;
        let raw = RawValue::from_string(self.params.to_string()).unwrap();
        let frame = Frame::read(self.method, Some(&raw))?;
        let mut incoming =
            frame.open(ProtocolRange::default(), SessionDeclaration::none(), None)?;
        incoming.principal = self.principal;
        match server.set.route(incoming) {
            Route::Call(pending) => pending
                .run()
                .await
                .map(|reply| Value::Object(reply.into_object().unwrap())),
            other => panic!("{other:?}"),
        }
    }

    /// The error of the policy block that a tool call gives.
    pub async fn refused(self, server: &Server) -> Value {
        let result = self.send(server).await.unwrap();
        assert_eq!(result["isError"], true, "{result}");
        let error = result["structuredContent"]["error"].clone();
        assert_eq!(error["extension"], PolicyExtension::CONTRACT.id.as_str());
        assert_eq!(result["content"][0]["text"], error["message"]);
        assert_eq!(
            result["content"].as_array().unwrap().len(),
            1,
            "nothing of the result is left: {result}"
        );
        error
    }
}
