//! What the tests share: a shop whose orders are audited, in front of one store.
#![allow(dead_code)]

pub mod scratch;

use std::convert::Infallible;
use std::sync::Arc;

use futures_lite::future::{block_on, pending};
use mcp_ext_audit::{Audit, touch};
use mcp_ext_core::block::{
    Before, Block, BlockCall, BlockName, BlockOutcome, Failure, Place, Refusal,
};
use mcp_ext_core::envelope::Frame;
use mcp_ext_core::protocol::ProtocolRange;
use mcp_ext_core::request::{BoxFuture, Principal, SessionDeclaration};
use mcp_ext_core::{ExtensionError, ExtensionSet, Route, RpcError, ToolCx, extension, handlers};
use mcp_ext_store::Store;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// What to order, and how it is to end.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// What.
    pub item: String,
    /// How it ends.
    #[serde(default)]
    pub end: String,
}

/// What was ordered.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Placed {
    /// Its number.
    pub number: i64,
    /// What.
    pub item: String,
    /// A label, as the block of labels writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Value>,
}

/// Why nothing was ordered.
#[derive(Debug, ExtensionError)]
pub enum ShopError {
    /// Sold out.
    #[error(code = 4100, "{item} is sold out")]
    SoldOut {
        /// What.
        item: String,
    },
    /// The store failed.
    #[error(code = 4101, "the store failed: {cause}")]
    Failed {
        /// Why.
        cause: String,
    },
}

/// Sells things.
#[extension(id = "com.example/shop", needs(Audit, Guard))]
pub trait Shop {
    /// Places an order.
    #[method]
    #[tool]
    async fn place_order(
        &self,
        cx: &ToolCx<ShopExtension>,
        params: Order,
    ) -> Result<Placed, ShopError>;

    /// Whispers.
    #[method(sensitive)]
    async fn whisper(
        &self,
        cx: &mcp_ext_core::Cx<ShopExtension>,
        params: Order,
    ) -> Result<Order, Infallible>;
}

pub const PLACE: &str = "com.example/shop/placeOrder";
pub const WHISPER: &str = "com.example/shop/whisper";

#[derive(Clone)]
pub struct Till(pub Store);

#[handlers]
impl Shop for Till {
    async fn place_order(
        &self,
        cx: &ToolCx<ShopExtension>,
        params: Order,
    ) -> Result<Placed, ShopError> {
        let item = params.item.clone();
        let number = self
            .0
            .unit(cx.facts())
            .execute(move |db| {
                db.execute("INSERT INTO orders (item) VALUES (?1)", [item])?;
                Ok(db.last_insert_rowid())
            })
            .await
            .map_err(|e| ShopError::Failed {
                cause: e.kind().to_owned(),
            })?;
        touch(cx.facts(), &format!("Customer/{}", params.item));
        match params.end.as_str() {
            "sold out" => return Err(ShopError::SoldOut { item: params.item }),
            "panic" => panic!("planned"),
            "wait" => pending::<()>().await,
            _ => {}
        }
        Ok(Placed {
            number,
            item: params.item,
            labels: (params.end == "labelled")
                .then(|| json!({"sensitivity": ["pii", "Ann Example", "financial"]})),
        })
    }

    async fn whisper(
        &self,
        _: &mcp_ext_core::Cx<ShopExtension>,
        params: Order,
    ) -> Result<Order, Infallible> {
        Ok(params)
    }
}

/// Guards the shop.
#[extension(id = "com.example/guard")]
pub trait Guarding {}

/// Why the guard refuses.
#[derive(Debug, ExtensionError)]
pub enum GuardError {
    /// It must not be.
    #[error(code = 4200, "not this one")]
    NotAllowed {},
    /// A policy says so.
    #[error(code = 4201, "policy {policy_id} says no")]
    Denied {
        /// Which.
        policy_id: String,
    },
}

/// A block further in than audit.
#[derive(Clone)]
pub struct Guard(pub Store);

#[handlers]
impl Guarding for Guard {}

impl BlockName for Guard {
    const NAME: &'static str = "com.example/guard";
}

impl Block for Guard {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn place(&self) -> Place {
        Place::POLICY
    }

    fn before<'a>(&'a self, call: &'a BlockCall<'a>) -> BoxFuture<'a, Before> {
        Box::pin(async move {
            match call.params.get("end").and_then(Value::as_str) {
                Some("refuse") => Before::Refuse(Refusal::of::<GuardingExtension, _>(
                    &GuardError::NotAllowed {},
                )),
                Some("ask") => match call.elicitation() {
                    Some(elicitation) => {
                        Before::Ask(elicitation.form("sure", "Sure?", json!({}), "state"))
                    }
                    None => Before::Proceed,
                },
                Some("policy") => {
                    Before::Refuse(Refusal::of::<GuardingExtension, _>(&GuardError::Denied {
                        policy_id: "example.org/opening-hours@2".into(),
                    }))
                }
                Some("reject") => Before::Reject(RpcError::new(-32602, "malformed")),
                Some("break") => panic!("planned"),
                Some("inner record fails") => {
                    self.0.join(call.cx.facts(), Self::NAME);
                    Before::Proceed
                }
                _ => Before::Proceed,
            }
        })
    }

    fn after<'a>(
        &'a self,
        call: &'a BlockCall<'a>,
        outcome: &'a mut BlockOutcome,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if call.params.get("end").and_then(Value::as_str) == Some("withhold") {
                let refusal = Refusal::of::<GuardingExtension, _>(&GuardError::NotAllowed {});
                outcome.result = Err(Failure::Withheld(refusal));
            }
            if call.params.get("end").and_then(Value::as_str) == Some("inner record fails") {
                let unit = self.0.unit(call.cx.facts());
                let failed = unit
                    .finish(Self::NAME, true, |db| {
                        db.execute("INSERT INTO nowhere VALUES (1)", [])
                    })
                    .await;
                assert!(failed.is_err());
            }
        })
    }
}

/// A set with the shop, and what of it is asked later.
#[derive(Clone)]
pub struct Rig {
    pub store: Store,
    pub audit: Audit,
    pub set: Arc<ExtensionSet>,
}

impl Rig {
    pub fn new(store: Store, configure: impl FnOnce(Audit) -> Audit) -> Self {
        store
            .migrate(
                "shop",
                &["CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT NOT NULL)"],
            )
            .unwrap();
        let audit = configure(Audit::new(&store).unwrap());
        let set = ExtensionSet::builder()
            .enable(ShopExtension::provide(Till(store.clone())))
            .enable(audit.enable())
            .enable(GuardingExtension::provide(Guard(store.clone())).around(Guard(store.clone())))
            .build()
            .unwrap();
        Self {
            store,
            audit,
            set: Arc::new(set),
        }
    }

    /// One modern request of that caller; `declared` under `extensions`, `more` into `_meta`.
    pub async fn ask(
        &self,
        who: Option<Principal>,
        method: &str,
        mut params: Value,
        declared: Value,
        more: Value,
    ) -> Result<Value, RpcError> {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {"extensions": declared, "elicitation": {}},
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            params["_meta"][key] = value.clone();
        }
        let raw = RawValue::from_string(params.to_string()).unwrap();
        let frame = Frame::read(method, Some(&raw))?;
        let incoming = frame
            .open(ProtocolRange::default(), SessionDeclaration::none(), None)?
            .principal(who);
        match self.set.route(incoming) {
            Route::Call(pending) => pending
                .run()
                .await
                .map(|reply| Value::Object(reply.into_object().unwrap())),
            Route::Refused(error) => Err(error),
            other => panic!("{other:?}"),
        }
    }

    /// Orders with the tool, as a client that declares audit.
    pub fn order(&self, item: &str, end: &str) -> Result<Value, RpcError> {
        let params = json!({"name": "place_order", "arguments": {"item": item, "end": end}});
        let declared = json!({"io.github.mcp-ext/audit": {}});
        block_on(self.ask(None, "tools/call", params, declared, json!({})))
    }

    /// Calls a method of audit.
    pub fn audit(
        &self,
        who: Option<Principal>,
        verb: &str,
        params: Value,
    ) -> Result<Value, RpcError> {
        let declared = json!({"io.github.mcp-ext/audit": {}});
        block_on(self.ask(
            who,
            &format!("io.github.mcp-ext/audit/{verb}"),
            params,
            declared,
            json!({}),
        ))
    }

    pub fn orders(&self) -> Vec<String> {
        self.store
            .read_blocking(|db| {
                db.prepare("SELECT item FROM orders ORDER BY id")?
                    .query_map([], |row| row.get(0))?
                    .collect()
            })
            .unwrap()
    }

    /// The export of the only segment.
    pub fn export(&self) -> String {
        let segments = self.audit.segments().unwrap();
        let mut out = Vec::new();
        for segment in &segments {
            self.audit.export(&segment.name, &mut out).unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    pub fn records(&self) -> Vec<Value> {
        self.export()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Outcome and disposition of each record.
    pub fn story(&self) -> Vec<String> {
        self.records()
            .iter()
            .map(|record| {
                let disposition = &record["extensions"]["caller-governance"]["output_disposition"];
                format!(
                    "{} {}",
                    record["outcome"].as_str().unwrap(),
                    disposition.as_str().unwrap_or("-")
                )
            })
            .collect()
    }
}
