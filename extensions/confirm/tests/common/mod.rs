//! A school whose grades can be watched, and a way to call it without any SDK.
#![allow(dead_code)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use mcp_ext_confirm::{Confirm, ConfirmKey, Preview, Previews};
use mcp_ext_core::block::{Before, Block, BlockCall, BlockOutcome, Place, Refusal};
use mcp_ext_core::contract::{Contract, Item};
use mcp_ext_core::protocol::Era;
use mcp_ext_core::request::{BoxFuture, Incoming, Input, Params, Principal, Target};
use mcp_ext_core::wire::JsonObject;
use mcp_ext_core::{ExtensionError, ExtensionSet, Route, RpcError, ToolCx, extension, handlers};
use mcp_ext_idempotency::Idempotency;
use mcp_ext_store::{ManualClock, Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub const START: i64 = 1_700_000_000_000;
pub const LATER: &str = "2023-11-14T22:18:20.000Z";
pub const ID: &str = "io.github.mcp-ext/confirm";

/// Whose grades; `course` also says how the school behaves.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Release {
    pub course: String,
    #[serde(default)]
    pub points: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Released {
    /// Grows with every release.
    pub number: i64,
}

#[derive(Clone, Debug, PartialEq, ExtensionError)]
pub enum GradesError {
    /// Not there.
    #[error(code = 4100, "no course {course}")]
    UnknownCourse { course: String },
    /// The store failed.
    #[error(code = 4101, "{message}")]
    Store { message: String },
}

#[extension(id = "com.example/grades")]
pub trait Grades {
    /// Releases the grades of a course.
    #[method(needs(Confirm))]
    #[tool(name = "release_grades", title = "Release the grades")]
    async fn release(
        &self,
        cx: &ToolCx<GradesExtension>,
        params: Release,
    ) -> Result<Released, GradesError>;

    /// Erases a course.
    #[tool(name = "erase_course", needs(Idempotency, Confirm))]
    async fn erase(
        &self,
        cx: &ToolCx<GradesExtension>,
        params: Release,
    ) -> Result<Released, GradesError>;

    /// Writes a report about a pupil.
    #[tool(name = "write_report", needs(Confirm), sensitive)]
    async fn report(
        &self,
        cx: &ToolCx<GradesExtension>,
        params: Release,
    ) -> Result<Released, GradesError>;

    /// Reads. Names no block.
    #[tool(name = "read_grades", hints(read_only))]
    async fn read(
        &self,
        cx: &ToolCx<GradesExtension>,
        params: Release,
    ) -> Result<Released, GradesError>;
}

pub struct School {
    pub store: Store,
    /// Handlers entered.
    pub entered: AtomicUsize,
    /// Told before an effect and after it; for crash tests.
    pub at: Box<dyn Fn(&str) + Send + Sync>,
    /// A file with a line for each effect outside of the store.
    pub outside: Option<std::path::PathBuf>,
}

impl School {
    async fn act(
        &self,
        cx: &ToolCx<GradesExtension>,
        params: &Release,
    ) -> Result<Released, GradesError> {
        self.entered.fetch_add(1, Ordering::SeqCst);
        if let Some(outside) = &self.outside {
            use std::io::Write as _;
            (self.at)("before the effect");
            let mut file = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(outside)
                .unwrap();
            file.write_all(format!("{}\n", params.course).as_bytes())
                .unwrap();
            file.sync_all().unwrap();
            (self.at)("after the effect");
        }
        let course = params.course.clone();
        let number = self
            .store
            .unit(cx.facts())
            .execute(move |db| {
                db.execute("INSERT INTO releases (course) VALUES (?1)", [&course])?;
                Ok(db.last_insert_rowid())
            })
            .await
            .map_err(|e| GradesError::Store {
                message: e.to_string(),
            })?;
        match params.course.as_str() {
            "none" => Err(GradesError::UnknownCourse {
                course: "none".into(),
            }),
            "panic" => panic!("a fault in the school"),
            "hang" => std::future::pending().await,
            _ => Ok(Released { number }),
        }
    }
}

#[handlers]
impl Grades for School {
    async fn release(
        &self,
        cx: &ToolCx<GradesExtension>,
        params: Release,
    ) -> Result<Released, GradesError> {
        self.act(cx, &params).await
    }

    async fn erase(
        &self,
        cx: &ToolCx<GradesExtension>,
        params: Release,
    ) -> Result<Released, GradesError> {
        self.act(cx, &params).await
    }

    async fn report(
        &self,
        cx: &ToolCx<GradesExtension>,
        params: Release,
    ) -> Result<Released, GradesError> {
        self.act(cx, &params).await
    }

    async fn read(&self, _: &ToolCx<GradesExtension>, _: Release) -> Result<Released, GradesError> {
        Ok(Released { number: 0 })
    }
}

/// Says how many pupils would see their grades; the number can change.
#[derive(Clone, Default)]
pub struct Pupils(pub Arc<Mutex<usize>>);

impl Previews for Pupils {
    fn preview<'a>(&'a self, call: &'a BlockCall<'a>) -> BoxFuture<'a, Result<Preview, String>> {
        Box::pin(async move {
            let course = call.params["course"].as_str().unwrap_or("?");
            if course == "no preview" {
                return Err("the course cannot be read now".to_owned());
            }
            let pupils = *self.0.lock().unwrap();
            Ok(Preview::new(
                format!("Release the grades of {course} to {pupils} pupils?"),
                [format!("{pupils} pupils see their grades")],
            ))
        })
    }

    fn read_back<'a>(
        &'a self,
        call: &'a BlockCall<'a>,
        result: &'a Value,
    ) -> BoxFuture<'a, Option<bool>> {
        Box::pin(async move {
            assert!(result["number"].is_i64());
            match call.params["course"].as_str() {
                Some("seen") => Some(true),
                Some("gone") => Some(false),
                _ => None,
            }
        })
    }
}

/// A block further in, which refuses when it is told to.
#[derive(Clone, Default)]
pub struct Gate(pub Arc<AtomicBool>);

impl Block for Gate {
    fn name(&self) -> &'static str {
        "com.example/gate"
    }
    fn place(&self) -> Place {
        Place::LABELS
    }
    fn covers(&self, contract: &Contract, _: &Item) -> bool {
        contract.id.as_str() == "com.example/grades"
    }
    fn before<'a>(&'a self, _: &'a BlockCall<'a>) -> BoxFuture<'a, Before> {
        Box::pin(async {
            if self.0.load(Ordering::SeqCst) {
                return Before::Refuse(Refusal {
                    extension: "com.example/gate".into(),
                    code: 4900,
                    kind: "closed".into(),
                    message: "the gate is closed".into(),
                    details: JsonObject::new(),
                    retryable: true,
                });
            }
            Before::Proceed
        })
    }
    fn after<'a>(&'a self, _: &'a BlockCall<'a>, _: &'a mut BlockOutcome) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}

pub const RELEASES: &[&str] =
    &["CREATE TABLE releases (number INTEGER PRIMARY KEY, course TEXT NOT NULL)"];

/// A school, its set and its clock.
pub struct Rig {
    pub school: Arc<School>,
    pub set: ExtensionSet,
    pub store: Store,
    pub clock: ManualClock,
    pub pupils: Pupils,
    pub gate: Gate,
}

pub fn key() -> ConfirmKey {
    ConfirmKey::from_bytes([7; 32])
}

impl Rig {
    pub fn new() -> Self {
        Self::with(|confirm| confirm)
    }

    pub fn with(change: impl FnOnce(Confirm) -> Confirm) -> Self {
        let clock = ManualClock::at(START);
        let store = Store::builder().clock(clock.clone()).in_memory().unwrap();
        Self::on(store, clock, change)
    }

    pub fn on(store: Store, clock: ManualClock, change: impl FnOnce(Confirm) -> Confirm) -> Self {
        Self::build(store, clock, change, |_| {}, None)
    }

    pub fn build(
        store: Store,
        clock: ManualClock,
        change: impl FnOnce(Confirm) -> Confirm,
        at: impl Fn(&str) + Send + Sync + 'static,
        outside: Option<std::path::PathBuf>,
    ) -> Self {
        store.migrate("releases", RELEASES).unwrap();
        let school = Arc::new(School {
            store: store.clone(),
            entered: AtomicUsize::new(0),
            at: Box::new(at),
            outside,
        });
        let (pupils, gate) = (Pupils::default(), Gate::default());
        *pupils.0.lock().unwrap() = 31;
        let confirm = Confirm::new(&store, key()).unwrap();
        let confirm = change(confirm.previews(pupils.clone()));
        let idempotency = Idempotency::new(&store)
            .unwrap()
            .effects_in_store(|_, _| true);
        let set = ExtensionSet::builder()
            .enable(GradesExtension::provide(school.clone()))
            .enable(confirm.enable())
            .enable(idempotency.enable())
            .block(gate.clone())
            .build()
            .unwrap();
        Self {
            school,
            set,
            store,
            clock,
            pupils,
            gate,
        }
    }

    pub fn entered(&self) -> usize {
        self.school.entered.load(Ordering::SeqCst)
    }

    pub fn count(&self, table: &'static str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        self.store
            .read_blocking(|db| db.query_row(&sql, [], |row| row.get(0)))
            .unwrap()
    }

    /// One request.
    pub async fn ask(&self, ask: Ask<'_>) -> Result<Value, RpcError> {
        let mut capabilities = json!({ "extensions": {"com.example/grades": {}} });
        if ask.declares {
            capabilities["extensions"][ID] = json!({});
        }
        if let Some(elicitation) = ask.elicitation {
            capabilities["elicitation"] = elicitation;
        }
        let Value::Object(meta) = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": capabilities,
        }) else {
            unreachable!()
        };
        let mut incoming = Incoming::new(ask.era, ask.target)
            .params(Params::Value(ask.params))
            .meta(meta)
            .principal(ask.who);
        if ask.responses.is_some() || ask.state.is_some() {
            let input = Input::read(ask.responses, ask.state.map(Value::String))?;
            incoming.input = Some(Box::new(input));
        }
        match self.set.route(incoming) {
            Route::Forward(_) => panic!("not ours"),
            Route::Refused(error) => Err(error),
            Route::Answered(object) => Ok(Value::Object(object)),
            Route::Call(pending) => Ok(Value::Object(pending.run().await?.into_object().unwrap())),
        }
    }

    /// The token for a call of `release_grades`.
    pub async fn token(&self, params: Value) -> String {
        let answer = self.ask(Ask::tool("release_grades", params)).await.unwrap();
        assert_eq!(kind(&answer), "confirmation_required", "{answer}");
        token_of(&answer)
    }
}

/// One request of a client.
#[derive(Clone)]
pub struct Ask<'a> {
    pub era: Era,
    pub target: Target<'a>,
    pub params: Value,
    pub who: Option<Principal>,
    pub declares: bool,
    pub elicitation: Option<Value>,
    pub responses: Option<Value>,
    pub state: Option<String>,
}

impl<'a> Ask<'a> {
    /// A tool call of ann, whose client declares nothing.
    pub fn tool(name: &'a str, params: Value) -> Self {
        Self {
            era: Era::Modern,
            target: Target::Tool(name),
            params,
            who: ann(),
            declares: false,
            elicitation: None,
            responses: None,
            state: None,
        }
    }

    /// With a client that shows forms.
    pub fn form(mut self) -> Self {
        self.elicitation = Some(json!({}));
        self
    }

    /// The client comes back.
    pub fn back(mut self, state: &str, answer: Value) -> Self {
        self.state = Some(state.to_owned());
        self.responses = Some(json!({ "confirm": answer }));
        self
    }

    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.params[name] = value.into();
        self
    }
}

pub fn accept() -> Value {
    json!({"action": "accept", "content": {"confirm": true}})
}

pub fn ann() -> Option<Principal> {
    Some(Principal::new("ann").in_tenant("school"))
}

/// The kind of a tool's error, `asked`, or `ok`.
pub fn kind(result: &Value) -> &str {
    if result["resultType"] == "input_required" {
        return "asked";
    }
    if result["isError"] == true {
        return result["structuredContent"]["error"]["kind"]
            .as_str()
            .unwrap();
    }
    "ok"
}

pub fn text(result: &Value) -> String {
    let lines = result["content"].as_array().unwrap();
    lines
        .iter()
        .map(|line| line["text"].as_str().unwrap())
        .collect::<Vec<_>>()
        .join("\n")
}

pub fn token_of(refused: &Value) -> String {
    let details = &refused["structuredContent"]["error"]["details"];
    details["confirmationToken"].as_str().unwrap().to_owned()
}

pub fn state_of(asked: &Value) -> String {
    assert_eq!(kind(asked), "asked", "{asked}");
    asked["requestState"].as_str().unwrap().to_owned()
}
