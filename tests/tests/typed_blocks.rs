//! Typed clients call items with blocks: arguments go there, refusals and questions come back typed. Against an rmcp
//! server, through rmcp's client and through the callers that need no SDK, in both eras.

#![allow(missing_docs)]

use mcp_ext::client::{
    CallError, Caller, ClientOptions, HttpCaller, InputRequired, Refusal, StdioCaller,
};
use mcp_ext::confirm::{
    Confirm, ConfirmError, ConfirmExtension, ConfirmKey, Offer, answer, question,
};
use mcp_ext::consent::{
    About, Consent, ConsentError, ConsentExtension, ConsentSource, Decision, Permit, Purpose,
    PurposeCode, Question, Unavailable,
};
use mcp_ext::idempotency::{Idempotency, IdempotencyError, IdempotencyExtension, IdempotencyKey};
use mcp_ext::prelude::*;
use mcp_ext::protocol::Era;
use mcp_ext::request::BoxFuture;
use mcp_ext::rmcp::{RmcpCaller, WithExtensions};
use mcp_ext::store::Store;
use rmcp::model::{ClientConfig, ProtocolVersion};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt};
use rmcp::{ServerHandler, ServiceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

const ERAS: [Era; 2] = [Era::Modern, Era::Legacy];

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct Order {
    what: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Placed {
    number: i64,
}

#[derive(Debug, ExtensionError)]
pub enum OrderError {
    /// The store failed.
    #[error(code = 4100, retryable, "the order could not be written")]
    Store,
}

#[extension(id = "com.example/orders")]
pub trait Orders {
    /// Places an order.
    #[method(needs(Idempotency))]
    #[tool(name = "place_keyed")]
    async fn keyed(&self, cx: &ToolCx<OrdersExtension>, order: Order)
    -> Result<Placed, OrderError>;

    /// Places an order.
    #[method(needs(Confirm))]
    #[tool(name = "place_confirmed", title = "Place the order")]
    async fn confirmed(
        &self,
        cx: &ToolCx<OrdersExtension>,
        order: Order,
    ) -> Result<Placed, OrderError>;

    /// Places an order.
    #[tool(name = "place_both", needs(Idempotency, Confirm))]
    async fn both(&self, cx: &ToolCx<OrdersExtension>, order: Order) -> Result<Placed, OrderError>;
}

struct Shop(Store);

impl Shop {
    async fn place(&self, facts: &mcp_ext::Facts, order: Order) -> Result<Placed, OrderError> {
        let unit = self.0.unit(facts);
        let write = unit.execute(move |db| {
            db.execute("INSERT INTO orders (what) VALUES (?1)", [&order.what])?;
            Ok(db.last_insert_rowid())
        });
        let number = write.await.map_err(|_| OrderError::Store)?;
        Ok(Placed { number })
    }
}

#[handlers]
impl Orders for Shop {
    async fn keyed(
        &self,
        cx: &ToolCx<OrdersExtension>,
        order: Order,
    ) -> Result<Placed, OrderError> {
        self.place(cx.facts(), order).await
    }
    async fn confirmed(
        &self,
        cx: &ToolCx<OrdersExtension>,
        order: Order,
    ) -> Result<Placed, OrderError> {
        self.place(cx.facts(), order).await
    }
    async fn both(&self, cx: &ToolCx<OrdersExtension>, order: Order) -> Result<Placed, OrderError> {
        self.place(cx.facts(), order).await
    }
}

#[derive(Clone)]
struct Plain;

impl ServerHandler for Plain {}

fn server() -> (WithExtensions<Plain>, Store) {
    let store = Store::in_memory().unwrap();
    let orders = "CREATE TABLE orders (number INTEGER PRIMARY KEY, what TEXT NOT NULL)";
    store.migrate("orders", &[orders]).unwrap();
    let confirm = Confirm::new(&store, ConfirmKey::random().unwrap()).unwrap();
    let extensions = ExtensionSet::builder()
        .enable(OrdersExtension::provide(Shop(store.clone())))
        .enable(Idempotency::new(&store).unwrap().enable())
        .enable(confirm.enable())
        .build()
        .unwrap();
    (Plain.with_extensions(extensions).unwrap(), store)
}

fn placed(store: &Store) -> i64 {
    store
        .read_blocking(|db| db.query_row("SELECT count(*) FROM orders", [], |row| row.get(0)))
        .unwrap()
}

fn order(what: &str) -> Order {
    Order {
        what: what.to_owned(),
    }
}

fn key(text: &str) -> IdempotencyKey {
    text.parse().unwrap()
}

type Answered = Result<Placed, CallError<OrderError>>;

#[track_caller]
fn refused(answer: Answered) -> Refusal {
    match answer {
        Err(CallError::Refused(refusal)) => *refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[track_caller]
fn asked(answer: Answered) -> InputRequired {
    match answer {
        Err(CallError::InputRequired(asked)) => *asked,
        other => panic!("nobody is asked: {other:?}"),
    }
}

// ---- what each caller has to do ----------------------------------------------------------------------------------

async fn orders<C: Caller>(caller: C) -> OrdersClient<C> {
    let negotiation = OrdersExtension::client(caller).negotiate().await.unwrap();
    negotiation.active().unwrap()
}

async fn keys(caller: impl Caller, store: &Store) {
    let orders = orders(caller).await;
    let first = orders.with(&key("k-1")).keyed(order("tea")).await.unwrap();
    let keyed = orders.with(&key("k-1"));
    assert_eq!(keyed.keyed(order("tea")).await.unwrap(), first);
    assert_eq!(keyed.keyed_tool(order("tea")).await.unwrap(), first);
    // Untyped as well.
    let untyped = orders.with_argument("idempotencyKey", "k-1");
    assert_eq!(untyped.keyed(order("tea")).await.unwrap(), first);
    assert_eq!(placed(store), 1);
    for answer in [
        keyed.keyed(order("milk")).await,
        keyed.keyed_tool(order("milk")).await,
    ] {
        let error = refused(answer).error::<IdempotencyExtension, IdempotencyError>();
        assert!(
            matches!(error, Some(IdempotencyError::Conflict { .. })),
            "{error:?}"
        );
    }
    // Without a key the params do not fit.
    let error = orders.keyed(order("tea")).await.unwrap_err();
    assert!(
        matches!(&error, CallError::Rpc(e) if e.code == -32602),
        "{error:?}"
    );
    assert_eq!(placed(store), 1);
}

async fn tokens(caller: impl Caller, store: &Store) {
    let before = placed(store);
    let orders = orders(caller).await;
    let why = |refusal: Refusal| refusal.error::<ConfirmExtension, ConfirmError>().unwrap();
    let refusal = refused(orders.confirmed(order("tea")).await);
    assert_eq!(refusal.code, Some(46001));
    let offer = Offer::of(&refusal).expect("a preview and a token");
    assert!(offer.preview.rendered().contains("what: \"tea\""));
    assert_eq!(placed(store), before);
    let other = refused(orders.with(&offer).confirmed(order("milk")).await);
    assert_eq!(Offer::of(&other), None);
    assert_eq!(why(other), ConfirmError::ArgumentsChanged);
    orders.with(&offer).confirmed(order("tea")).await.unwrap();
    assert_eq!(placed(store), before + 1);
    let again = refused(orders.with(&offer).confirmed(order("tea")).await);
    assert_eq!(why(again), ConfirmError::ConfirmationUsed);
    // The same as a tool.
    let refusal = refused(orders.confirmed_tool(order("tea")).await);
    let offer = Offer::of(&refusal).unwrap();
    orders
        .with(&offer)
        .confirmed_tool(order("tea"))
        .await
        .unwrap();
    // Both blocks at once, and a repetition that needs no confirmation.
    let key = key("k-9");
    let keyed = orders.with(&key);
    let offer = Offer::of(&refused(keyed.both(order("oil")).await)).unwrap();
    let first = keyed.with(&offer).both(order("oil")).await.unwrap();
    assert_eq!(keyed.both(order("oil")).await.unwrap(), first);
    assert_eq!(placed(store), before + 3);
}

async fn forms(caller: impl Caller, store: &Store) {
    let before = placed(store);
    let orders = orders(caller).await;
    let why = |refusal: Refusal| refusal.error::<ConfirmExtension, ConfirmError>().unwrap();
    let form = asked(orders.confirmed_tool(order("tea")).await);
    assert!(question(&form).unwrap().contains("what: \"tea\""));
    let schema = &form.requests[0].params["requestedSchema"];
    assert_eq!(schema["properties"]["confirm"]["type"], "boolean");

    let yes = answer(form.clone(), true);
    // Of another tool nothing is sent; of other arguments it is refused there.
    let wrong = orders.with_answers(yes.clone()).both(order("tea")).await;
    assert!(matches!(wrong, Err(CallError::Transport(_))), "{wrong:?}");
    let milk = orders.with_answers(yes.clone());
    let milk = milk.confirmed_tool(order("milk")).await.unwrap_err();
    assert!(
        matches!(&milk, CallError::Rpc(e) if e.code == -32602),
        "{milk:?}"
    );
    // Without an answer it is asked again.
    let none = orders.with_answers(form.answers());
    asked(none.confirmed_tool(order("tea")).await);
    assert_eq!(placed(store), before);

    let confirmed = orders.with_answers(yes.clone());
    confirmed.confirmed_tool(order("tea")).await.unwrap();
    assert_eq!(placed(store), before + 1);
    let again = refused(confirmed.confirmed_tool(order("tea")).await);
    assert_eq!(why(again), ConfirmError::ConfirmationUsed);

    let form = asked(orders.confirmed_tool(order("tea")).await);
    for (answers, expected) in [
        (
            form.clone().answers().decline("confirm"),
            ConfirmError::Declined,
        ),
        (
            form.clone().answers().cancel("confirm"),
            ConfirmError::Cancelled,
        ),
        (answer(form, false), ConfirmError::Declined),
    ] {
        let refusal = refused(
            orders
                .with_answers(answers)
                .confirmed_tool(order("tea"))
                .await,
        );
        assert_eq!(why(refusal), expected);
    }
    let key = key("k-8");
    let keyed = orders.with(&key);
    let form = asked(keyed.both(order("oil")).await);
    let first = keyed
        .with_answers(answer(form, true))
        .both(order("oil"))
        .await;
    assert_eq!(keyed.both(order("oil")).await.unwrap(), first.unwrap());
    assert_eq!(placed(store), before + 2);
}

// ---- what a call is for --------------------------------------------------------------------------------------------

#[extension(id = "com.example/charts")]
pub trait Charts {
    /// Counts what is in a chart.
    #[method(needs(Consent))]
    #[tool(name = "count_chart")]
    async fn count(
        &self,
        cx: &ToolCx<ChartsExtension>,
        params: Order,
    ) -> Result<Placed, Infallible>;
}

struct Ward;

#[handlers]
impl Charts for Ward {
    async fn count(&self, _: &ToolCx<ChartsExtension>, _: Order) -> Result<Placed, Infallible> {
        Ok(Placed { number: 7 })
    }
}

struct Everyone;

impl ConsentSource for Everyone {
    fn decide<'a>(&'a self, _: &'a Question) -> BoxFuture<'a, Result<Decision, Unavailable>> {
        Box::pin(async { Ok(Decision::Permit(Permit::default())) })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_typed_client_says_what_a_call_is_for() {
    let consent = Consent::new(Everyone, |_| Some(About::person("p-1"))).purpose_required();
    let extensions = ExtensionSet::builder()
        .enable(ChartsExtension::provide(Ward))
        .enable(consent.enable())
        .build()
        .unwrap();
    let server = Plain.with_extensions(extensions).unwrap();
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    tokio::spawn(async move { server.serve(theirs).await.unwrap().waiting().await });
    let (read, write) = tokio::io::split(ours);
    let caller = StdioCaller::over(read, write, ClientOptions::default()).await;
    let charts = ChartsExtension::client(caller.unwrap()).negotiate().await;
    let charts = charts.unwrap().active().unwrap();
    for answer in [
        charts.count(order("x")).await,
        charts.count_tool(order("x")).await,
    ] {
        let Err(CallError::Refused(refusal)) = answer else {
            panic!("not refused: {answer:?}")
        };
        let error = refusal.error::<ConsentExtension, ConsentError>();
        assert!(
            matches!(error, Some(ConsentError::PurposeRequired { .. })),
            "{error:?}"
        );
    }
    let treatment = Purpose::new(PurposeCode::health("TREAT").unwrap());
    let charts = charts.with(&treatment);
    assert_eq!(charts.count(order("x")).await.unwrap().number, 7);
    assert_eq!(charts.count_tool(order("x")).await.unwrap().number, 7);
}

// ---- through each caller -----------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_the_client_of_rmcp() {
    for elicits in [false, true] {
        for era in ERAS {
            let (server, store) = server();
            let (ours, theirs) = tokio::io::duplex(1 << 16);
            tokio::spawn(async move { server.serve(theirs).await.unwrap().waiting().await });
            let mut config = ClientConfig::default();
            if elicits {
                config.capabilities = serde_json::from_value(json!({"elicitation": {}})).unwrap();
            }
            let lifecycle = match era {
                Era::Legacy => ClientLifecycleMode::Initialize,
                Era::Modern => ClientLifecycleMode::Discover {
                    preferred_versions: vec![ProtocolVersion::V_2026_07_28],
                },
            };
            let client = config.serve_with_lifecycle(ours, lifecycle).await.unwrap();
            keys(RmcpCaller::of(&client), &store).await;
            if elicits && era == Era::Modern {
                forms(RmcpCaller::of(&client), &store).await;
            } else {
                tokens(RmcpCaller::of(&client), &store).await;
            }
        }
    }
}

fn options(era: Era, elicits: bool) -> ClientOptions {
    let mut capabilities = json!({});
    if elicits {
        capabilities["elicitation"] = json!({});
    }
    let capabilities = capabilities.as_object().unwrap().clone();
    ClientOptions::default().era(era).capabilities(capabilities)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_streams_with_no_sdk() {
    for elicits in [false, true] {
        for era in ERAS {
            let (server, store) = server();
            let (ours, theirs) = tokio::io::duplex(1 << 16);
            tokio::spawn(async move { server.serve(theirs).await.unwrap().waiting().await });
            let (read, write) = tokio::io::split(ours);
            let caller = StdioCaller::over(read, write, options(era, elicits)).await;
            let caller = caller.unwrap();
            keys(caller.clone(), &store).await;
            if elicits && era == Era::Modern {
                forms(caller, &store).await;
            } else {
                tokens(caller, &store).await;
            }
        }
    }
}

#[path = "../../adapters/rmcp/tests/common/http.rs"]
#[allow(dead_code)]
mod http;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http_with_no_sdk() {
    for (era, elicits) in [
        (Era::Modern, true),
        (Era::Modern, false),
        (Era::Legacy, false),
    ] {
        let (server, store) = server();
        let url = format!("http://{}/mcp", http::serve(server, true).await);
        let caller = HttpCaller::connect(&url, options(era, elicits)).await;
        let caller = caller.unwrap();
        keys(caller.clone(), &store).await;
        if elicits {
            forms(caller, &store).await;
        } else {
            tokens(caller, &store).await;
        }
    }
}
