//! An extension that requires another: one refusal names everything that is missing.

use std::convert::Infallible;
use std::future::Future;
use std::sync::{Arc, Mutex};

use mcp_ext_core::protocol::Era;
use mcp_ext_core::request::{BoxFuture, Incoming, Notifier, NotifyError, Params, Target};
use mcp_ext_core::wire::JsonObject;
use mcp_ext_core::{Cx, ExtensionSet, Route, extension, handlers, settings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Done {
    said: String,
}

#[settings]
struct BaseSettings {
    #[negotiate(min)]
    depth: Option<u32>,
}

/// What others stand on.
#[extension(id = "com.example/base", settings = BaseSettings)]
trait Base {
    /// Goes.
    #[method]
    async fn base(&self, cx: &Cx<BaseExtension>) -> Result<Done, Infallible>;
}

/// Stands on the base.
#[extension(id = "com.example/upper", requires(BaseExtension))]
trait Upper {
    /// Goes, and reports how far it has come.
    #[method]
    async fn upper(&self, cx: &Cx<UpperExtension>) -> Result<Done, Infallible>;

    /// Never comes back.
    #[method]
    async fn stumble(&self, cx: &Cx<UpperExtension>) -> Result<Done, Infallible>;
}

/// Stands on both.
#[extension(id = "com.example/top", requires(UpperExtension))]
trait Top {
    /// Goes.
    #[method]
    async fn top(&self, cx: &Cx<TopExtension>) -> Result<Done, Infallible>;
}

struct All;

#[handlers]
impl Base for All {
    async fn base(&self, _: &Cx<BaseExtension>) -> Result<Done, Infallible> {
        Ok(Done {
            said: "base".to_owned(),
        })
    }
}

#[handlers]
impl Upper for All {
    async fn upper(&self, cx: &Cx<UpperExtension>) -> Result<Done, Infallible> {
        for done in [-1.0, 0.0, 0.0, 1.0, 3.0, 2.0, 3.0, f64::NAN, 4.0] {
            let _ = cx.progress(done, Some(4.0), None).await;
        }
        let depth = cx.settings_of::<BaseExtension>().and_then(|s| s.depth);
        Ok(Done {
            said: format!("depth {depth:?}, trace {:?}", cx.trace().traceparent),
        })
    }

    async fn stumble(&self, _: &Cx<UpperExtension>) -> Result<Done, Infallible> {
        panic!("this handler is broken")
    }
}

#[handlers]
impl Top for All {
    async fn top(&self, cx: &Cx<TopExtension>) -> Result<Done, Infallible> {
        Ok(Done {
            said: format!("{}", cx.settings_of::<BaseExtension>().is_some()),
        })
    }
}

fn set() -> ExtensionSet {
    let all = Arc::new(All);
    ExtensionSet::builder()
        .enable(TopExtension::provide(all.clone()))
        .enable(UpperExtension::provide(all.clone()))
        .enable(BaseExtension::provide(all).settings(BaseSettings { depth: Some(9) }))
        .build()
        .unwrap()
}

fn incoming(method: &'static str, extensions: Value) -> Incoming<'static> {
    let meta = json!({
        "io.modelcontextprotocol/clientCapabilities": {"extensions": extensions},
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "progressToken": "p-1",
    });
    Incoming::new(Era::Modern, Target::Method(method))
        .params(Params::Value(json!({})))
        .meta(meta.as_object().unwrap().clone())
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut cx) {
            return value;
        }
    }
}

#[test]
fn one_refusal_names_everything_that_is_missing() {
    let set = set();
    let Route::Refused(error) = set.route(incoming("com.example/top/top", json!({}))) else {
        panic!("not refused")
    };
    assert_eq!(error.code, -32021);
    let missing = error.data.unwrap()["requiredCapabilities"]["extensions"].clone();
    assert_eq!(
        missing,
        json!({"com.example/base": {}, "com.example/top": {}, "com.example/upper": {}})
    );
    let Route::Refused(error) = set.route(incoming(
        "com.example/top/top",
        json!({"com.example/top": {}}),
    )) else {
        panic!("not refused")
    };
    let rest = error.data.unwrap()["requiredCapabilities"]["extensions"].clone();
    assert_eq!(
        rest,
        json!({"com.example/base": {}, "com.example/upper": {}})
    );
    let Route::Call(pending) = set.route(incoming("com.example/top/top", missing)) else {
        panic!("not accepted")
    };
    assert_eq!(
        block_on(pending.run()).unwrap().into_object().unwrap()["said"],
        "true"
    );
}

#[derive(Default)]
struct Sent(Mutex<Vec<(String, JsonObject)>>);

impl Notifier for Sent {
    fn notify<'a>(
        &'a self,
        method: &'a str,
        params: JsonObject,
    ) -> BoxFuture<'a, Result<(), NotifyError>> {
        self.0.lock().unwrap().push((method.to_owned(), params));
        Box::pin(async { Ok(()) })
    }
}

#[test]
fn sub_13_progress_grows_and_only_for_a_token() {
    let set = set();
    let declared = json!({"com.example/base": {"depth": 5}, "com.example/upper": {}});
    let sent = Arc::new(Sent::default());
    let mut with_token = incoming("com.example/upper/upper", declared.clone());
    with_token.notify = Some(sent.clone());
    let Route::Call(pending) = set.route(with_token) else {
        panic!("not accepted")
    };
    let result = block_on(pending.run()).unwrap().into_object().unwrap();
    assert_eq!(
        result["said"],
        "depth Some(5), trace Some(\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\")"
    );
    let progress: Vec<_> = sent
        .0
        .lock()
        .unwrap()
        .iter()
        .map(|(_, p)| p["progress"].as_f64().unwrap())
        .collect();
    assert_eq!(progress, [0.0, 1.0, 3.0, 4.0]);
    assert!(
        sent.0
            .lock()
            .unwrap()
            .iter()
            .all(|(m, p)| m == "notifications/progress" && p["progressToken"] == "p-1")
    );

    let silent = Arc::new(Sent::default());
    let mut without = incoming("com.example/upper/upper", declared);
    Arc::make_mut(&mut without.meta).remove("progressToken");
    without.notify = Some(silent.clone());
    let Route::Call(pending) = set.route(without) else {
        panic!("not accepted")
    };
    block_on(pending.run()).unwrap();
    assert!(silent.0.lock().unwrap().is_empty());
}

#[test]
fn a_handler_that_panics_is_an_error_of_that_call_alone() {
    let set = set();
    let declared = json!({"com.example/base": {}, "com.example/upper": {}});
    for _ in 0..3 {
        let Route::Call(pending) =
            set.route(incoming("com.example/upper/stumble", declared.clone()))
        else {
            panic!("not accepted")
        };
        let error = block_on(pending.run()).unwrap_err();
        assert_eq!(error.code, -32603);
        assert_eq!(error.data.unwrap()["kind"], "handler_panicked");
    }
    let Route::Call(pending) = set.route(incoming("com.example/upper/upper", declared)) else {
        panic!("not accepted")
    };
    assert!(block_on(pending.run()).is_ok());
}
