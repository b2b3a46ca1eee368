//! Idempotency and confirmation, each enabled alone in an rmcp server and both together, through real wires: clients that
//! declare the extensions and clients that do not, with forms and without, in both eras.

#![allow(missing_docs)]

mod wires;

use mcp_ext::confirm::{Confirm, ConfirmKey};
use mcp_ext::idempotency::Idempotency;
use mcp_ext::prelude::*;
use mcp_ext::protocol::Era;
use mcp_ext::rmcp::WithExtensions;
use mcp_ext::store::Store;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wires::Plain;
use wires::wire::{Answer, CARRIERS, Carrier, Client, MODERN};

const KEYS: &str = "io.github.mcp-ext/idempotency";
const CONFIRM: &str = "io.github.mcp-ext/confirm";
const ERAS: [Era; 2] = [Era::Modern, Era::Legacy];

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Order {
    what: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Placed {
    number: i64,
}

#[derive(Debug, ExtensionError)]
pub enum OrderError {
    /// The store failed.
    #[error(code = 4100, retryable, "the order could not be written")]
    Store,
}

struct Shop(Store);

impl Shop {
    async fn place(&self, facts: &mcp_ext::cx::Facts, order: Order) -> Result<Placed, OrderError> {
        let unit = self.0.unit(facts);
        let number = unit
            .execute(move |db| {
                db.execute("INSERT INTO orders (what) VALUES (?1)", [&order.what])?;
                Ok(db.last_insert_rowid())
            })
            .await;
        number
            .map(|number| Placed { number })
            .map_err(|_| OrderError::Store)
    }
}

// ---- one trait for each test, since the blocks stand in the contract ------------------------------------------------

#[extension(id = "com.example/keyed")]
pub trait Keyed {
    /// Places an order.
    #[method(needs(Idempotency))]
    #[tool(name = "place_keyed")]
    async fn place_keyed(
        &self,
        cx: &ToolCx<KeyedExtension>,
        order: Order,
    ) -> Result<Placed, OrderError>;
}

#[handlers]
impl Keyed for Shop {
    async fn place_keyed(
        &self,
        cx: &ToolCx<KeyedExtension>,
        order: Order,
    ) -> Result<Placed, OrderError> {
        self.place(cx.facts(), order).await
    }
}

#[extension(id = "com.example/confirmed")]
pub trait Confirmed {
    /// Places an order.
    #[method(needs(Confirm))]
    #[tool(name = "place_confirmed", title = "Place the order")]
    async fn place_confirmed(
        &self,
        cx: &ToolCx<ConfirmedExtension>,
        order: Order,
    ) -> Result<Placed, OrderError>;
}

#[handlers]
impl Confirmed for Shop {
    async fn place_confirmed(
        &self,
        cx: &ToolCx<ConfirmedExtension>,
        order: Order,
    ) -> Result<Placed, OrderError> {
        self.place(cx.facts(), order).await
    }
}

#[extension(id = "com.example/both")]
pub trait Both {
    /// Places an order.
    #[tool(name = "place_both", needs(Idempotency, Confirm))]
    async fn place_both(
        &self,
        cx: &ToolCx<BothExtension>,
        order: Order,
    ) -> Result<Placed, OrderError>;
}

#[handlers]
impl Both for Shop {
    async fn place_both(
        &self,
        cx: &ToolCx<BothExtension>,
        order: Order,
    ) -> Result<Placed, OrderError> {
        self.place(cx.facts(), order).await
    }
}

fn store() -> Store {
    let store = Store::in_memory().unwrap();
    let orders = "CREATE TABLE orders (number INTEGER PRIMARY KEY, what TEXT NOT NULL)";
    store.migrate("orders", &[orders]).unwrap();
    store
}

fn orders(store: &Store) -> i64 {
    store
        .read_blocking(|db| db.query_row("SELECT count(*) FROM orders", [], |row| row.get(0)))
        .unwrap()
}

/// What a server author writes to have one block.
fn keyed(store: &Store) -> WithExtensions<Plain> {
    let idempotency = Idempotency::new(store).unwrap();
    let extensions = ExtensionSet::builder()
        .enable(KeyedExtension::provide(Shop(store.clone())))
        .enable(idempotency.enable())
        .build()
        .unwrap();
    Plain.with_extensions(extensions).unwrap()
}

fn confirmed(store: &Store) -> WithExtensions<Plain> {
    let confirm = Confirm::new(store, ConfirmKey::random().unwrap()).unwrap();
    let extensions = ExtensionSet::builder()
        .enable(ConfirmedExtension::provide(Shop(store.clone())))
        .enable(confirm.enable())
        .build()
        .unwrap();
    Plain.with_extensions(extensions).unwrap()
}

fn both(store: &Store) -> WithExtensions<Plain> {
    let confirm = Confirm::new(store, ConfirmKey::random().unwrap()).unwrap();
    let extensions = ExtensionSet::builder()
        .enable(BothExtension::provide(Shop(store.clone())))
        .enable(Idempotency::new(store).unwrap().enable())
        .enable(confirm.enable())
        .build()
        .unwrap();
    Plain.with_extensions(extensions).unwrap()
}

/// A tool call of a modern client that shows forms, and what it brings back.
async fn with_forms(client: &mut Client, tool: &str, arguments: &Value, back: Value) -> Answer {
    let mut capabilities = client.capabilities();
    capabilities["elicitation"] = json!({});
    let mut params = json!({
        "name": tool,
        "arguments": arguments,
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": capabilities,
        },
    });
    for (member, value) in back.as_object().unwrap() {
        params[member] = value.clone();
    }
    client.call("tools/call", params).await
}

#[track_caller]
fn error_of(answer: &Answer) -> &Value {
    let result = answer.result();
    assert_eq!(result["isError"], true, "{result}");
    &result["structuredContent"]["error"]
}

/// Over HTTP without sessions rmcp forgets what a legacy client declared.
fn forgotten(carrier: Carrier, era: Era) -> bool {
    era == Era::Legacy && carrier == Carrier::HttpStateless
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_work_for_clients_that_declare_the_extension_and_for_others() {
    for carrier in CARRIERS {
        for era in ERAS {
            for declares in [false, true] {
                let store = store();
                let declared = json!({ (KEYS): {}, "com.example/keyed": {} });
                let declared = declares.then_some(declared);
                let mut client = Client::connect(keyed(&store), carrier, era, declared).await;
                let place = format!("{carrier:?} {era:?} {declares}");

                let list = client.call("tools/list", json!({})).await;
                let tool = &list.result()["tools"][0];
                assert_eq!(tool["name"], "place_keyed");
                let required = tool["inputSchema"]["required"].as_array().unwrap();
                assert!(required.contains(&json!("idempotencyKey")), "{place}");

                let order = json!({"what": "tea", "idempotencyKey": "k-1"});
                let first = client.tool("place_keyed", order.clone()).await;
                assert_eq!(first.result()["structuredContent"], json!({"number": 1}));
                let again = client.tool("place_keyed", order.clone()).await;
                let content = &again.result()["structuredContent"];
                assert_eq!(content["number"], 1, "{place}");
                assert_eq!(content["idempotency"]["replayed"], true);
                let note = again.result()["content"][1]["text"].as_str().unwrap();
                assert!(note.starts_with("Replayed"), "{note}");
                let known = declares && !forgotten(carrier, era);
                let meta = &again.result()["_meta"][KEYS];
                assert_eq!(meta["replayed"] == true, known, "{place}: {meta}");

                let other = json!({"what": "milk", "idempotencyKey": "k-1"});
                let other = client.tool("place_keyed", other).await;
                assert_eq!(error_of(&other)["kind"], "conflict");
                let none = client.tool("place_keyed", json!({"what": "tea"})).await;
                assert_eq!(error_of(&none)["kind"], "invalid_params");

                if known {
                    let method = "com.example/keyed/placeKeyed";
                    let replay = client.call(method, order).await;
                    assert_eq!(replay.result()["number"], 1);
                    let params = json!({"idempotencyKey": "k-1"});
                    let found = client.call(&format!("{KEYS}/reconcile"), params).await;
                    assert_eq!(found.result()["calls"][0]["state"], "completed", "{place}");
                }
                assert_eq!(orders(&store), 1, "{place}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_confirms_for_clients_that_declare_the_extension_and_for_others() {
    for carrier in CARRIERS {
        for era in ERAS {
            for declares in [false, true] {
                let store = store();
                let declared = json!({ (CONFIRM): {}, "com.example/confirmed": {} });
                let declared = declares.then_some(declared);
                let mut client = Client::connect(confirmed(&store), carrier, era, declared).await;
                let place = format!("{carrier:?} {era:?} {declares}");

                let mut order = json!({"what": "tea"});
                let refused = client.tool("place_confirmed", order.clone()).await;
                let error = error_of(&refused);
                assert_eq!(error["kind"], "confirmation_required", "{place}");
                let token = error["details"]["confirmationToken"].clone();
                let words = refused.result()["content"][0]["text"].as_str().unwrap();
                assert!(
                    words.contains("Place the order") && words.contains("what: \"tea\""),
                    "{words}"
                );
                assert!(words.contains(token.as_str().unwrap()));
                assert_eq!(orders(&store), 0);

                order["confirmationToken"] = token;
                let done = client.tool("place_confirmed", order.clone()).await;
                assert_eq!(
                    done.result()["structuredContent"],
                    json!({"number": 1}),
                    "{place}"
                );
                let known = declares && !forgotten(carrier, era);
                let meta = &done.result()["_meta"][CONFIRM];
                assert_eq!(meta["by"] == "token", known, "{place}: {meta}");
                let used = client.tool("place_confirmed", order).await;
                assert_eq!(error_of(&used)["kind"], "confirmation_used");

                if known {
                    let method = "com.example/confirmed/placeConfirmed";
                    let refused = client.call(method, json!({"what": "tea"})).await;
                    let error = refused.refused(46001, 200);
                    let token = &error["data"]["details"]["confirmationToken"];
                    let order = json!({"what": "tea", "confirmationToken": token});
                    assert_eq!(client.call(method, order).await.result()["number"], 2);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_confirms_where_the_client_shows_forms() {
    for carrier in CARRIERS {
        for declares in [false, true] {
            let store = store();
            let declared = declares.then(|| json!({ (CONFIRM): {} }));
            let server = confirmed(&store);
            let mut client = Client::connect(server, carrier, Era::Modern, declared).await;
            let (tool, order) = ("place_confirmed", json!({"what": "tea"}));

            let asked = with_forms(&mut client, tool, &order, json!({})).await;
            assert_eq!(asked.result()["resultType"], "input_required");
            let request = &asked.result()["inputRequests"]["confirm"]["params"];
            assert!(
                request["message"]
                    .as_str()
                    .unwrap()
                    .contains("what: \"tea\"")
            );
            let state = asked.result()["requestState"].clone();
            let answer = |answer: Value| json!({"requestState": state, "inputResponses": {"confirm": answer}});

            let malformed = answer(json!({"action": "accept", "content": {"confirm": "yes"}}));
            let malformed = with_forms(&mut client, tool, &order, malformed).await;
            malformed.refused(-32602, 200);
            let other = json!({"what": "milk"});
            let yes = answer(json!({"action": "accept", "content": {"confirm": true}}));
            let other = with_forms(&mut client, tool, &other, yes.clone()).await;
            other.refused(-32602, 200);
            assert_eq!(orders(&store), 0);

            let done = with_forms(&mut client, tool, &order, yes.clone()).await;
            assert_eq!(done.result()["structuredContent"], json!({"number": 1}));
            let meta = &done.result()["_meta"][CONFIRM];
            assert_eq!(meta["by"] == "elicitation", declares, "{meta}");
            let used = with_forms(&mut client, tool, &order, yes).await;
            assert_eq!(error_of(&used)["kind"], "confirmation_used");

            let asked = with_forms(&mut client, tool, &order, json!({})).await;
            let no = json!({
                "requestState": asked.result()["requestState"],
                "inputResponses": {"confirm": {"action": "decline"}},
            });
            let declined = with_forms(&mut client, tool, &order, no).await;
            assert_eq!(error_of(&declined)["kind"], "declined");
            assert_eq!(orders(&store), 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_together_ask_once_and_act_once() {
    for carrier in CARRIERS {
        let store = store();
        let mut client = Client::connect(both(&store), carrier, Era::Modern, None).await;
        let (tool, order) = (
            "place_both",
            json!({"what": "tea", "idempotencyKey": "k-1"}),
        );
        let asked = with_forms(&mut client, tool, &order, json!({})).await;
        let yes = json!({
            "requestState": asked.result()["requestState"],
            "inputResponses": {"confirm": {"action": "accept", "content": {"confirm": true}}},
        });
        let done = with_forms(&mut client, tool, &order, yes.clone()).await;
        assert_eq!(done.result()["structuredContent"], json!({"number": 1}));
        for back in [yes, json!({})] {
            let again = with_forms(&mut client, tool, &order, back).await;
            assert_eq!(
                again.result()["structuredContent"]["idempotency"]["replayed"],
                true
            );
        }
        let again = client.tool(tool, order).await;
        assert_eq!(again.result()["structuredContent"]["number"], 1);
        assert_eq!(orders(&store), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typed_clients_read_the_errors_of_both() {
    let mut client = Client::connect(keyed(&store()), Carrier::Stdio, Era::Modern, None).await;
    let order = json!({"what": "tea", "idempotencyKey": "k-1"});
    client.tool("place_keyed", order.clone()).await;
    let other = client
        .tool(
            "place_keyed",
            json!({"what": "milk", "idempotencyKey": "k-1"}),
        )
        .await;
    let error = error_of(&other);
    let typed = <mcp_ext::idempotency::IdempotencyError as ExtensionError>::from_wire(
        error["kind"].as_str().unwrap(),
        &error["details"],
    );
    assert!(matches!(
        typed,
        Some(mcp_ext::idempotency::IdempotencyError::Conflict { .. })
    ));
    let mut client = Client::connect(confirmed(&store()), Carrier::Stdio, Era::Modern, None).await;
    let refused = client.tool("place_confirmed", json!({"what": "tea"})).await;
    let error = error_of(&refused);
    let typed = <mcp_ext::confirm::ConfirmError as ExtensionError>::from_wire(
        error["kind"].as_str().unwrap(),
        &error["details"],
    );
    assert!(matches!(
        typed,
        Some(mcp_ext::confirm::ConfirmError::ConfirmationRequired { .. })
    ));
}
