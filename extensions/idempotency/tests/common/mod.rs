//! A shop whose orders can be watched, and a way to call it without any SDK.
#![allow(dead_code)]

pub mod model;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use mcp_ext_core::block::{Before, Block, BlockCall, BlockOutcome, Failure, Place};
use mcp_ext_core::contract::{Contract, Item};
use mcp_ext_core::protocol::Era;
use mcp_ext_core::request::{BoxFuture, Incoming, Params, Principal, Target};
use mcp_ext_core::{ExtensionError, ExtensionSet, Route, RpcError, ToolCx, extension, handlers};
use mcp_ext_idempotency::{Idempotency, OutcomeUnknown};
use mcp_ext_store::{ManualClock, Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub const START: i64 = 1_700_000_000_000;
pub const START_TEXT: &str = "2023-11-14T22:13:20.000Z";
pub const ID: &str = "io.github.mcp-ext/idempotency";

/// What to order; `what` also says how the shop behaves.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Order {
    pub what: String,
    #[serde(default)]
    pub amount: Option<f64>,
    #[serde(default)]
    pub note: Value,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Placed {
    /// Grows with every order.
    pub number: i64,
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, ExtensionError)]
pub enum OrderError {
    /// Not in stock.
    #[error(code = 4100, "{what} is sold out")]
    SoldOut { what: String },
    /// The warehouse did not answer.
    #[error(code = 4101, retryable, "the warehouse did not answer")]
    NoAnswer,
    /// The store failed.
    #[error(code = 4102, "{message}")]
    Store { message: String },
}

#[extension(id = "com.example/orders")]
pub trait Orders {
    /// Places an order. Its effect is in the store.
    #[method(needs(Idempotency))]
    #[tool(name = "place_order")]
    async fn place(
        &self,
        cx: &ToolCx<OrdersExtension>,
        params: Order,
    ) -> Result<Placed, OrderError>;

    /// Sends a letter. Its effect is out in the world.
    #[tool(name = "send_letter", needs(Idempotency))]
    async fn letter(
        &self,
        cx: &ToolCx<OrdersExtension>,
        params: Order,
    ) -> Result<Placed, OrderError>;

    /// Writes a diagnosis.
    #[tool(name = "write_secret", needs(Idempotency), sensitive)]
    async fn secret(
        &self,
        cx: &ToolCx<OrdersExtension>,
        params: Order,
    ) -> Result<Placed, OrderError>;

    /// Reads. Nothing stands around it.
    #[tool(name = "look")]
    async fn look(&self, cx: &ToolCx<OrdersExtension>, params: Order)
    -> Result<Placed, OrderError>;
}

pub struct Shop {
    pub store: Store,
    /// Handlers entered.
    pub entered: AtomicUsize,
    /// Letters sent.
    pub sent: AtomicUsize,
    /// Letters sent, by what they say.
    pub letters: Mutex<BTreeMap<String, usize>>,
    pub pause: Pause,
    /// So that others come in between.
    pub takes_a_moment: bool,
    /// Where letters go, and who is told around the sending; for crash tests.
    pub outside: Option<Outside>,
}

/// The world outside of the store: a file with a line for each letter.
pub struct Outside {
    pub file: std::path::PathBuf,
    pub at: Box<dyn Fn(&str) + Send + Sync>,
}

impl Outside {
    fn send(&self, letter: &str) {
        use std::io::Write as _;
        (self.at)("before the letter");
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.file)
            .unwrap();
        file.write_all(format!("{letter}\n").as_bytes()).unwrap();
        file.sync_all().unwrap();
        (self.at)("after the letter");
    }
}

/// Where a handler waits, if it is told to.
#[derive(Default)]
pub struct Pause {
    open: std::sync::Mutex<bool>,
    changed: std::sync::Condvar,
}

impl Pause {
    pub fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.changed.notify_all();
    }
    fn wait(&self) {
        let mut open = self.open.lock().unwrap();
        while !*open {
            open = self.changed.wait(open).unwrap();
        }
    }
}

/// Gives way to others so many times.
pub async fn yields(times: usize) {
    for _ in 0..times {
        futures_lite::future::yield_now().await;
    }
}

impl Shop {
    async fn order(
        &self,
        cx: &ToolCx<OrdersExtension>,
        params: &Order,
    ) -> Result<Placed, OrderError> {
        self.entered.fetch_add(1, Ordering::SeqCst);
        let what = params.what.clone();
        if what == "early" {
            return Err(OrderError::SoldOut { what });
        }
        if what.starts_with("slow") {
            self.pause.wait();
        }
        if self.takes_a_moment {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        yields(2).await;
        let text = what.clone();
        let number = self
            .store
            .unit(cx.facts())
            .execute(move |db| {
                db.execute("INSERT INTO orders (what) VALUES (?1)", [&text])?;
                Ok(db.last_insert_rowid())
            })
            .await
            .map_err(|e| OrderError::Store {
                message: e.to_string(),
            })?;
        yields(2).await;
        match what.as_str() {
            "sold out" => Err(OrderError::SoldOut { what }),
            "no answer" => Err(OrderError::NoAnswer),
            "panic" => panic!("a fault in the shop"),
            "hang" => std::future::pending().await,
            "unknown" => {
                cx.facts().put(OutcomeUnknown);
                Err(OrderError::NoAnswer)
            }
            "large" => Ok(Placed {
                number,
                text: "x".repeat(5000),
            }),
            _ => Ok(Placed { number, text: what }),
        }
    }
}

#[handlers]
impl Orders for Shop {
    async fn place(
        &self,
        cx: &ToolCx<OrdersExtension>,
        params: Order,
    ) -> Result<Placed, OrderError> {
        self.order(cx, &params).await
    }

    async fn letter(
        &self,
        cx: &ToolCx<OrdersExtension>,
        params: Order,
    ) -> Result<Placed, OrderError> {
        self.sent.fetch_add(1, Ordering::SeqCst);
        *self
            .letters
            .lock()
            .unwrap()
            .entry(params.what.clone())
            .or_default() += 1;
        if let Some(outside) = &self.outside {
            outside.send(&params.what);
        }
        self.order(cx, &params).await
    }

    async fn secret(
        &self,
        cx: &ToolCx<OrdersExtension>,
        params: Order,
    ) -> Result<Placed, OrderError> {
        self.order(cx, &params).await
    }

    async fn look(&self, _: &ToolCx<OrdersExtension>, _: Order) -> Result<Placed, OrderError> {
        Ok(Placed {
            number: 0,
            text: "seen".into(),
        })
    }
}

pub const ORDERS: &[&str] =
    &["CREATE TABLE orders (number INTEGER PRIMARY KEY, what TEXT NOT NULL)"];

pub const JOURNAL: &[&str] = &["CREATE TABLE journal (what TEXT NOT NULL)"];

/// A block further out that writes outcomes to the same store, as an audit does.
pub struct Journal(pub Store);

impl Block for Journal {
    fn name(&self) -> &'static str {
        "com.example/journal"
    }
    fn place(&self) -> Place {
        Place::AUDIT
    }
    fn covers(&self, contract: &Contract, _: &Item) -> bool {
        contract.id.as_str() == "com.example/orders"
    }
    fn before<'a>(&'a self, call: &'a BlockCall<'a>) -> BoxFuture<'a, Before> {
        self.0.join(call.cx.facts(), self.name());
        Box::pin(async { Before::Proceed })
    }
    fn after<'a>(
        &'a self,
        call: &'a BlockCall<'a>,
        outcome: &'a mut BlockOutcome,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let what = match &outcome.result {
                Ok(_) if outcome.notes.iter().any(|n| n.starts_with("Replayed")) => "replayed",
                Ok(_) => "ok",
                Err(Failure::Own { details, .. }) if details.contains_key("idempotency") => {
                    "replayed"
                }
                Err(Failure::Own { .. }) => "error",
                Err(_) => "other",
            };
            let acted = outcome.result.is_ok();
            self.0
                .unit(call.cx.facts())
                .finish(self.name(), acted, move |db| {
                    db.execute("INSERT INTO journal VALUES (?1)", [what])
                })
                .await
                .unwrap();
        })
    }
    fn abandoned(&self, call: &BlockCall<'_>) {
        self.0.unit(call.cx.facts()).abandon();
    }
}

/// A shop, its set and its clock.
pub struct Rig {
    pub shop: Arc<Shop>,
    pub set: ExtensionSet,
    pub store: Store,
    pub clock: ManualClock,
    pub block: Idempotency,
}

impl Rig {
    pub fn new() -> Self {
        Self::with(|block| block)
    }

    pub fn with(change: impl FnOnce(Idempotency) -> Idempotency) -> Self {
        let clock = ManualClock::at(START);
        let store = Store::builder().clock(clock.clone()).in_memory().unwrap();
        Self::on(store, clock, change)
    }

    /// `place` is an item whose effects are all in the store.
    pub fn on(
        store: Store,
        clock: ManualClock,
        change: impl FnOnce(Idempotency) -> Idempotency,
    ) -> Self {
        Self::build(store, clock, change, None, false)
    }

    pub fn build(
        store: Store,
        clock: ManualClock,
        change: impl FnOnce(Idempotency) -> Idempotency,
        outside: Option<Outside>,
        journal: bool,
    ) -> Self {
        store.migrate("orders", ORDERS).unwrap();
        let shop = Arc::new(Shop {
            store: store.clone(),
            entered: AtomicUsize::new(0),
            sent: AtomicUsize::new(0),
            letters: Mutex::default(),
            pause: Pause::default(),
            takes_a_moment: store.path().is_some(),
            outside,
        });
        let block = change(
            Idempotency::new(&store)
                .unwrap()
                .effects_in_store(|_, item| item.name == "place"),
        );
        let mut builder = ExtensionSet::builder()
            .enable(OrdersExtension::provide(shop.clone()))
            .enable(block.enable());
        if journal {
            store.migrate("journal", JOURNAL).unwrap();
            builder = builder.block(Journal(store.clone()));
        }
        let set = builder.build().unwrap();
        Self {
            shop,
            set,
            store,
            clock,
            block,
        }
    }

    pub fn orders(&self) -> i64 {
        self.store
            .read_blocking(|db| db.query_row("SELECT count(*) FROM orders", [], |row| row.get(0)))
            .unwrap()
    }

    pub fn entered(&self) -> usize {
        self.shop.entered.load(Ordering::SeqCst)
    }

    /// A tool call of `ann`, who declares nothing.
    pub async fn tool(&self, name: &str, arguments: Value) -> Value {
        call(&self.set, Target::Tool(name), arguments, ann(), false)
            .await
            .unwrap()
    }

    pub async fn place(&self, key: &str, what: &str) -> Value {
        self.tool("place_order", json!({"idempotencyKey": key, "what": what}))
            .await
    }

    pub async fn letter(&self, key: &str, what: &str) -> Value {
        self.tool("send_letter", json!({"idempotencyKey": key, "what": what}))
            .await
    }

    pub async fn reconcile(&self, who: Option<Principal>, key: &str) -> Value {
        let params = json!({ "idempotencyKey": key });
        let method = Target::Method("io.github.mcp-ext/idempotency/reconcile");
        call(&self.set, method, params, who, true).await.unwrap()["calls"].clone()
    }
}

pub fn ann() -> Option<Principal> {
    Some(Principal::new("ann").in_tenant("acme"))
}

/// One request of a modern client.
pub async fn call(
    set: &ExtensionSet,
    target: Target<'_>,
    params: Value,
    who: Option<Principal>,
    declares: bool,
) -> Result<Value, RpcError> {
    let extensions = if declares {
        json!({ID: {}, "com.example/orders": {}})
    } else {
        json!({"com.example/orders": {}})
    };
    let Value::Object(meta) = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": { "extensions": extensions },
    }) else {
        unreachable!()
    };
    let incoming = Incoming::new(Era::Modern, target)
        .params(Params::Value(params))
        .meta(meta)
        .principal(who);
    match set.route(incoming) {
        Route::Forward(_) => panic!("not ours"),
        Route::Refused(error) => Err(error),
        Route::Answered(object) => Ok(Value::Object(object)),
        Route::Call(pending) => Ok(Value::Object(pending.run().await?.into_object().unwrap())),
    }
}

/// The kind of a tool's error, or `ok`.
pub fn kind(result: &Value) -> &str {
    if result["isError"] == true {
        result["structuredContent"]["error"]["kind"]
            .as_str()
            .unwrap()
    } else {
        "ok"
    }
}

/// All the text of a tool's answer.
pub fn text(result: &Value) -> String {
    let lines = result["content"].as_array().unwrap();
    lines
        .iter()
        .map(|line| line["text"].as_str().unwrap())
        .collect::<Vec<_>>()
        .join("\n")
}

impl Rig {
    pub fn clock_now(&self) -> i64 {
        self.store.clock().now_ms()
    }
}

/// Adds the set's tools to a list.
pub fn amend_tools(set: &ExtensionSet, list: &mut mcp_ext_core::wire::JsonObject) {
    let cx = mcp_ext_core::AmendCx {
        era: Era::Modern,
        version: None,
        declared: mcp_ext_core::request::Declared::Known(None),
        first_page: true,
    };
    set.amend("tools/list", list, &cx);
}

/// A tool's answer in the words of the model.
pub fn response(answer: &Value) -> model::Response {
    let content = &answer["structuredContent"];
    match kind(answer) {
        "ok" => {
            let number = content["number"].as_i64().unwrap();
            if content["idempotency"]["replayed"] == true {
                model::Response::Replayed(number)
            } else {
                model::Response::Ran(number)
            }
        }
        "conflict" => model::Response::Conflict,
        "in_progress" => model::Response::InProgress,
        "unknown_outcome" => model::Response::Unknown,
        "superseded" => model::Response::Superseded,
        other => panic!("{other}: {answer}"),
    }
}
