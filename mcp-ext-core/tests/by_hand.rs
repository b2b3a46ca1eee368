//! An extension written out by hand, as the macros expand it, and what any adapter may rely on.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex};

use mcp_ext_core::__private_0_1_0 as rt;
use mcp_ext_core::algebra::{Fields, Mismatch, Negotiate};
use mcp_ext_core::block::{Before, Block, BlockCall, Place};
use mcp_ext_core::envelope::{Frame, Headers};
use mcp_ext_core::protocol::{Era, ProtocolRange};
use mcp_ext_core::request::{BoxFuture, Notifier, NotifyError, Principal, SessionDeclaration};
use mcp_ext_core::wire::JsonObject;
use mcp_ext_core::{
    Cx, ExtensionError, ExtensionId, ExtensionSet, Incoming, Route, RpcError, ToolCx,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

// ---- types -------------------------------------------------------------------------------------------------------

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
enum RubricFormat {
    Text,
    Table,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct GradingSettings {
    #[serde(deserialize_with = "mcp_ext_core::algebra::lenient")]
    rubric_formats: Option<BTreeSet<RubricFormat>>,
    max_batch: Option<u32>,
    write: bool,
}

impl Negotiate for GradingSettings {
    type Negotiated = Self;
    fn negotiate(server: &Self, client: &Self) -> Result<Self, Mismatch> {
        let mut f = Fields::new();
        let negotiated = Self {
            rubric_formats: f.intersect_required(
                "rubricFormats",
                &server.rubric_formats,
                &client.rubric_formats,
            ),
            max_batch: f.min("maxBatch", &server.max_batch, &client.max_batch),
            write: f.and("write", &server.write, &client.write),
        };
        f.finish(negotiated)
    }
}

#[derive(Deserialize, Serialize, JsonSchema)]
struct RubricsParams {
    course: String,
    cursor: Option<String>,
}

#[derive(Serialize, Deserialize, JsonSchema, Debug)]
struct Rubrics {
    titles: Vec<String>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct GradeChanged {
    grade: u32,
}

#[derive(Debug)]
enum GradingError {
    UnknownCourse { course: String },
}

// ---- what #[derive(ExtensionError)] makes ------------------------------------------------------------------------

impl ExtensionError for GradingError {
    const ERRORS: &'static [rt::ErrorSpec] = &[rt::ErrorSpec {
        kind: "unknown_course",
        code: 4100,
        docs: "No such course.",
        retryable: false,
    }];
    fn index(&self) -> usize {
        match self {
            Self::UnknownCourse { .. } => 0,
        }
    }
    fn message(&self) -> String {
        match self {
            Self::UnknownCourse { course } => format!("no course {course}"),
        }
    }
    fn details(&self) -> JsonObject {
        match self {
            Self::UnknownCourse { course } => {
                JsonObject::from_iter([("course".to_owned(), json!(course))])
            }
        }
    }
    fn from_wire(kind: &str, details: &Value) -> Option<Self> {
        match kind {
            "unknown_course" => Some(Self::UnknownCourse {
                course: Deserialize::deserialize(details.get("course")?).ok()?,
            }),
            _ => None,
        }
    }
}

// ---- what #[extension] makes -------------------------------------------------------------------------------------

trait Grading: Send + Sync + 'static {
    fn rubrics(
        &self,
        cx: &Cx<GradingExtension>,
        params: RubricsParams,
    ) -> impl Future<Output = Result<Rubrics, GradingError>> + Send;
    fn grade_submission(
        &self,
        cx: &ToolCx<GradingExtension>,
        args: RubricsParams,
    ) -> impl Future<Output = Result<Rubrics, GradingError>> + Send;
    fn live_rubric(
        &self,
        _cx: &Cx<GradingExtension>,
        _params: RubricsParams,
    ) -> impl Future<Output = Result<Rubrics, GradingError>> + Send {
        async { unreachable!("not provided, so the gate never lets a call through") }
    }
    const WRITE_HANDLERS_ABOVE_THIS_IMPL: &'static [&'static str];
}

impl<P: Grading> Grading for Arc<P> {
    fn rubrics(
        &self,
        cx: &Cx<GradingExtension>,
        params: RubricsParams,
    ) -> impl Future<Output = Result<Rubrics, GradingError>> + Send {
        P::rubrics(self, cx, params)
    }
    fn grade_submission(
        &self,
        cx: &ToolCx<GradingExtension>,
        args: RubricsParams,
    ) -> impl Future<Output = Result<Rubrics, GradingError>> + Send {
        P::grade_submission(self, cx, args)
    }
    fn live_rubric(
        &self,
        cx: &Cx<GradingExtension>,
        params: RubricsParams,
    ) -> impl Future<Output = Result<Rubrics, GradingError>> + Send {
        P::live_rubric(self, cx, params)
    }
    const WRITE_HANDLERS_ABOVE_THIS_IMPL: &'static [&'static str] =
        P::WRITE_HANDLERS_ABOVE_THIS_IMPL;
}

struct GradingExtension;

struct GradingNotifications(rt::NotificationHandle);

impl From<rt::NotificationHandle> for GradingNotifications {
    fn from(handle: rt::NotificationHandle) -> Self {
        Self(handle)
    }
}

impl GradingNotifications {
    async fn grade_changed(&self, params: GradeChanged) -> Result<(), NotifyError> {
        self.0.send("grade_changed", params).await
    }
}

impl rt::Extension for GradingExtension {
    type Server = GradingSettings;
    type Client = GradingSettings;
    type Negotiated = GradingSettings;
    type Notifications = GradingNotifications;
    const CONTRACT: &'static rt::Contract =
        &rt::Contract::new(ExtensionId::from_static("com.example/grading"), "Grading")
            .revision("2026-11-01")
            .settings(rt::SettingsSpec::same::<GradingSettings>())
            .items(&[
                rt::Item::of::<RubricsParams, Result<Rubrics, GradingError>>("rubrics")
                    .method(rt::MethodSpec::new("com.example/grading/rubrics")),
                rt::Item::of::<RubricsParams, Result<Rubrics, GradingError>>("grade_submission")
                    .tool(rt::ToolSpec::new("grade_submission").title("Grade a submission")),
                rt::Item::of::<RubricsParams, Result<Rubrics, GradingError>>("live_rubric")
                    .method(rt::MethodSpec::new("com.example/grading/liveRubric"))
                    .optional("liveRubrics"),
            ])
            .notifications(&[rt::NotificationSpec {
                name: "grade_changed",
                wire: "notifications/com.example/grading/gradeChanged",
                docs: "",
                channel: rt::Channel::Request,
                params: rt::TypeSchema::of::<GradeChanged>(),
            }]);
    fn fallback() -> GradingSettings {
        GradingSettings {
            write: false,
            ..Default::default()
        }
    }
}

impl<P: Grading> rt::Serves<P> for GradingExtension {
    const PROVIDED: &'static [&'static str] = P::WRITE_HANDLERS_ABOVE_THIS_IMPL;
    async fn serve(provider: &P, item: &'static str, mut call: rt::Call<'_>) -> rt::Outcome {
        match item {
            "rubrics" => {
                let (cx, params) = call.method()?;
                call.reply(P::rubrics(provider, &cx, params).await)
            }
            "grade_submission" => {
                let (cx, params) = call.tool()?;
                call.reply(P::grade_submission(provider, &cx, params).await)
            }
            "live_rubric" => {
                let (cx, params) = call.method()?;
                call.reply(P::live_rubric(provider, &cx, params).await)
            }
            _ => call.no_such_item(),
        }
    }
}

rt::client! {
    struct GradingClient<C>(rt::Active<GradingExtension, C>);

    impl<C> std::ops::Deref for GradingClient<C> {
        type Target = rt::Active<GradingExtension, C>;
        fn deref(&self) -> &Self::Target {
            &self.0
        }
    }

    impl<C> From<rt::Active<GradingExtension, C>> for GradingClient<C> {
        fn from(active: rt::Active<GradingExtension, C>) -> Self {
            Self(active)
        }
    }

    impl rt::HasClient for GradingExtension {
        type Typed<C: rt::Caller> = GradingClient<C>;
    }

    impl<C: rt::Caller> GradingClient<C> {
        async fn rubrics(&self, params: RubricsParams) -> Result<Rubrics, rt::CallError<GradingError>> {
            self.0.method("rubrics", &params).await
        }
        async fn grade_submission(&self, args: RubricsParams) -> Result<Rubrics, rt::CallError<GradingError>> {
            self.0.tool("grade_submission", &args).await
        }
    }

    impl GradingExtension {
        fn client<C: rt::Caller>(caller: C) -> rt::Client<Self, C> {
            rt::Client::new(caller)
        }
    }
}

impl GradingExtension {
    fn provide<P: Grading>(provider: P) -> rt::Enable<Self> {
        rt::Enable::new(provider)
    }
}

// ---- what a server author writes, with what #[handlers] fills in -------------------------------------------------

#[derive(Default)]
struct Lms {
    calls: Mutex<Vec<String>>,
}

impl Grading for Lms {
    async fn rubrics(
        &self,
        cx: &Cx<GradingExtension>,
        params: RubricsParams,
    ) -> Result<Rubrics, GradingError> {
        self.calls.lock().unwrap().push(params.course.clone());
        if params.course == "none" {
            return Err(GradingError::UnknownCourse {
                course: params.course,
            });
        }
        let _ = cx.grade_changed(GradeChanged { grade: 1 }).await;
        let who = cx.principal().map_or("nobody", |p| p.id());
        Ok(Rubrics {
            titles: vec![format!(
                "{} for {who}, {:?}",
                params.course,
                cx.settings().max_batch
            )],
        })
    }
    async fn grade_submission(
        &self,
        cx: &ToolCx<GradingExtension>,
        args: RubricsParams,
    ) -> Result<Rubrics, GradingError> {
        self.calls.lock().unwrap().push(args.course.clone());
        if args.course == "none" {
            return Err(GradingError::UnknownCourse {
                course: args.course,
            });
        }
        Ok(Rubrics {
            titles: vec![format!("negotiated: {}", cx.negotiated())],
        })
    }
    const WRITE_HANDLERS_ABOVE_THIS_IMPL: &'static [&'static str] =
        &["rubrics", "grade_submission"];
}

// ---- helpers -----------------------------------------------------------------------------------------------------

fn set() -> (Arc<Lms>, ExtensionSet) {
    let lms = Arc::new(Lms::default());
    let set = ExtensionSet::builder()
        .enable(
            GradingExtension::provide(lms.clone()).settings(GradingSettings {
                rubric_formats: Some(BTreeSet::from([RubricFormat::Text, RubricFormat::Table])),
                max_batch: Some(50),
                write: true,
            }),
        )
        .build()
        .unwrap()
        .with_server_info(json!({"name": "lms", "version": "1"}));
    (lms, set)
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

/// A whole adapter on raw frames, with no SDK: text in, text out; `None`: the wrapped server's business.
fn raw_adapter(
    set: &ExtensionSet,
    frame: &str,
    session: SessionDeclaration,
    headers: Option<&Headers<'_>>,
    principal: Option<Principal>,
) -> Option<Value> {
    #[derive(Deserialize)]
    struct Request<'a> {
        id: Value,
        method: String,
        #[serde(borrow)]
        params: Option<&'a RawValue>,
    }
    let request: Request<'_> = serde_json::from_str(frame).unwrap();
    let answer = (|| {
        let frame = Frame::read(&request.method, request.params)?;
        let incoming = frame
            .open(ProtocolRange::ALL, session, headers)?
            .principal(principal);
        match set.route(incoming) {
            Route::Forward(_) => Ok(None),
            Route::Refused(error) => Err(error),
            Route::Answered(object) => Ok(Some(Value::Object(object))),
            Route::Call(pending) => block_on(pending.run())?
                .into_object()
                .map(|o| Some(Value::Object(o)))
                .map_err(|e| RpcError::new(-32603, e.to_string())),
        }
    })();
    match answer {
        Ok(None) => None,
        Ok(Some(result)) => Some(json!({"jsonrpc": "2.0", "id": request.id, "result": result})),
        Err(error) => Some(json!({"jsonrpc": "2.0", "id": request.id, "error": error})),
    }
}

fn modern(method: &str, mut params: Value, extensions: Value) -> String {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"extensions": extensions},
    });
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()
}

const RUBRICS: &str = "com.example/grading/rubrics";

// ---- tests -------------------------------------------------------------------------------------------------------

#[test]
fn an_adapter_on_raw_frames_needs_no_sdk() {
    let (_, set) = set();
    let frame = modern(
        RUBRICS,
        json!({"course": "c-1"}),
        json!({"com.example/grading": {"maxBatch": 10}}),
    );
    let answer = raw_adapter(&set, &frame, SessionDeclaration::none(), None, None).unwrap();
    assert_eq!(
        answer["result"],
        json!({
            "resultType": "complete",
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "lms", "version": "1"}},
            "titles": ["c-1 for nobody, Some(10)"],
        })
    );
    // The same extension under a legacy session: no resultType, no serverInfo.
    let session = SessionDeclaration::Known(Some(Arc::new(
        json!({"com.example/grading": {}})
            .as_object()
            .unwrap()
            .clone(),
    )));
    let frame = json!({"jsonrpc": "2.0", "id": 2, "method": RUBRICS, "params": {"course": "c-2"}})
        .to_string();
    let answer = raw_adapter(&set, &frame, session, None, None).unwrap();
    assert_eq!(
        answer["result"],
        json!({"titles": ["c-2 for nobody, Some(50)"]})
    );
    // What is not ours goes on to the wrapped server.
    assert_eq!(
        raw_adapter(
            &set,
            &modern("tools/list", json!({}), json!({})),
            SessionDeclaration::none(),
            None,
            None
        ),
        None
    );
}

#[test]
fn neg_06_undeclared_is_refused_before_anything_runs() {
    let (lms, set) = set();
    let answer = raw_adapter(
        &set,
        &modern(RUBRICS, json!({"course": "c"}), json!({})),
        SessionDeclaration::none(),
        None,
        None,
    )
    .unwrap();
    assert_eq!(answer["error"]["code"], -32021);
    assert_eq!(
        answer["error"]["data"],
        json!({"requiredCapabilities": {"extensions": {"com.example/grading": {}}}})
    );
    assert!(lms.calls.lock().unwrap().is_empty());
}

#[test]
fn settings_that_do_not_combine_name_what_would_pass() {
    let (lms, set) = set();
    let declared = json!({"com.example/grading": {"rubricFormats": []}});
    let frame = modern(RUBRICS, json!({"course": "c"}), declared);
    let answer = raw_adapter(&set, &frame, SessionDeclaration::none(), None, None).unwrap();
    let data = &answer["error"]["data"];
    assert_eq!(answer["error"]["code"], -32021);
    assert_eq!(data["mismatch"][0]["field"], "rubricFormats");
    assert_eq!(data["mismatch"][0]["rule"], "intersect");
    assert!(lms.calls.lock().unwrap().is_empty());
    // Declaring what was asked for passes.
    let frame = modern(
        RUBRICS,
        json!({"course": "c"}),
        data["requiredCapabilities"]["extensions"].clone(),
    );
    assert!(
        raw_adapter(&set, &frame, SessionDeclaration::none(), None, None).unwrap()["result"]
            .is_object()
    );
}

#[test]
fn a_tool_degrades_and_a_missing_optional_item_is_not_offered() {
    let (_, set) = set();
    let call = json!({"name": "grade_submission", "arguments": {"course": "c"}});
    let answer = raw_adapter(
        &set,
        &modern("tools/call", call, json!({})),
        SessionDeclaration::none(),
        None,
        None,
    )
    .unwrap();
    assert_eq!(
        answer["result"]["structuredContent"],
        json!({"titles": ["negotiated: false"]})
    );
    assert_eq!(
        answer["result"]["content"][0]["text"],
        "{\"titles\":[\"negotiated: false\"]}"
    );
    assert_eq!(answer["result"]["resultType"], "complete");

    let declared = json!({"com.example/grading": {}});
    let frame = modern(
        "com.example/grading/liveRubric",
        json!({"course": "c"}),
        declared,
    );
    let answer = raw_adapter(&set, &frame, SessionDeclaration::none(), None, None).unwrap();
    assert_eq!(answer["error"]["code"], -32601);
    assert_eq!(
        set.advertisement(Era::Modern, None)["com.example/grading"]["liveRubrics"],
        false
    );
}

#[test]
fn own_errors_keep_extension_kind_and_details() {
    let (_, set) = set();
    let declared = json!({"com.example/grading": {}});
    let frame = modern(RUBRICS, json!({"course": "none"}), declared);
    let answer = raw_adapter(&set, &frame, SessionDeclaration::none(), None, None).unwrap();
    assert_eq!(
        answer["error"],
        json!({"code": 4100, "message": "no course none", "data": {
            "extension": "com.example/grading", "kind": "unknown_course", "details": {"course": "none"}}})
    );
    let call = json!({"name": "grade_submission", "arguments": {"course": "none"}});
    let answer = raw_adapter(
        &set,
        &modern("tools/call", call, json!({})),
        SessionDeclaration::none(),
        None,
        None,
    )
    .unwrap();
    assert_eq!(answer["result"]["isError"], true);
    assert_eq!(
        answer["result"]["structuredContent"]["error"]["kind"],
        "unknown_course"
    );
}

#[derive(Default)]
struct Recorder(Mutex<Vec<(String, JsonObject)>>);

impl Notifier for Recorder {
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
fn notifications_are_typed_and_about_the_request() {
    let (_, set) = set();
    let recorder = Arc::new(Recorder::default());
    let mut incoming = Incoming::new(Era::Modern, mcp_ext_core::request::Target::Method(RUBRICS))
        .params(mcp_ext_core::request::Params::Value(json!({"course": "c"})))
        .meta(
            json!({"io.modelcontextprotocol/clientCapabilities": {"extensions": {"com.example/grading": {}}}})
                .as_object()
                .unwrap()
                .clone(),
        );
    incoming.notify = Some(recorder.clone());
    let Route::Call(pending) = set.route(incoming) else {
        panic!("not routed")
    };
    block_on(pending.run()).unwrap();
    let sent = recorder.0.lock().unwrap();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].0, "notifications/com.example/grading/gradeChanged");
    assert_eq!(sent[0].1, json!({"grade": 1}).as_object().unwrap().clone());
}

// ---- a block that answers early ----------------------------------------------------------------------------------

struct Trace(&'static str, Place, Arc<Mutex<Vec<String>>>, bool);

impl Block for Trace {
    fn name(&self) -> &'static str {
        self.0
    }
    fn place(&self) -> Place {
        self.1
    }
    fn covers(&self, _: &mcp_ext_core::Contract, _: &rt::Item) -> bool {
        true
    }
    fn before<'a>(&'a self, _: &'a BlockCall<'a>) -> BoxFuture<'a, Before> {
        self.2.lock().unwrap().push(format!("before {}", self.0));
        let answer = if self.3 {
            Before::Answer(json!({"titles": ["from the store"]}))
        } else {
            Before::Proceed
        };
        Box::pin(async { answer })
    }
    fn after<'a>(
        &'a self,
        _: &'a BlockCall<'a>,
        outcome: &'a mut Result<Value, rt::Failure>,
    ) -> BoxFuture<'a, ()> {
        self.2
            .lock()
            .unwrap()
            .push(format!("after {} {}", self.0, outcome.is_ok()));
        if let Ok(value) = outcome {
            value["seenBy"] = json!(self.0);
        }
        Box::pin(async {})
    }
}

#[test]
fn a_block_that_answers_early_is_seen_only_by_the_blocks_outside_it() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let lms = Arc::new(Lms::default());
    let set = ExtensionSet::builder()
        .enable(GradingExtension::provide(lms.clone()))
        .block(Trace("inner", Place::LABELS, log.clone(), false))
        .block(Trace("store", Place::IDEMPOTENCY, log.clone(), true))
        .block(Trace("audit", Place::AUDIT, log.clone(), false))
        .build()
        .unwrap();
    let frame = modern(
        RUBRICS,
        json!({"course": "c"}),
        json!({"com.example/grading": {}}),
    );
    let answer = raw_adapter(&set, &frame, SessionDeclaration::none(), None, None).unwrap();
    assert_eq!(answer["result"]["titles"], json!(["from the store"]));
    assert_eq!(answer["result"]["seenBy"], "audit");
    assert_eq!(
        *log.lock().unwrap(),
        ["before audit", "before store", "after audit true"]
    );
    assert!(
        lms.calls.lock().unwrap().is_empty(),
        "the handler must not run"
    );
}

// ---- a cursor bound to a principal -------------------------------------------------------------------------------

#[test]
fn a_handler_can_bind_a_cursor_to_the_principal() {
    let (_, set) = set();
    let declared = json!({"com.example/grading": {}});
    for who in ["ada", "ben"] {
        let frame = modern(RUBRICS, json!({"course": "c"}), declared.clone());
        let answer = raw_adapter(
            &set,
            &frame,
            SessionDeclaration::none(),
            None,
            Some(Principal::new(who)),
        )
        .unwrap();
        assert_eq!(
            answer["result"]["titles"],
            json!([format!("c for {who}, Some(50)")])
        );
    }
}

// ---- bounds and faults -------------------------------------------------------------------------------------------

fn limited(limits: mcp_ext_core::Limits) -> (Arc<Lms>, ExtensionSet) {
    let lms = Arc::new(Lms::default());
    let set = ExtensionSet::builder()
        .enable(GradingExtension::provide(lms.clone()))
        .limits(limits)
        .build()
        .unwrap();
    (lms, set)
}

fn declared() -> Value {
    json!({"com.example/grading": {}})
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!([inner]))
}

#[test]
fn bounds_on_depth_size_and_declarations_hold_before_the_handler() {
    let limits = mcp_ext_core::Limits {
        max_depth: 8,
        max_params_bytes: 1_000,
        max_declared: 4,
        ..Default::default()
    };
    let (lms, set) = limited(limits);
    let many: JsonObject = (0..5)
        .map(|i| (format!("com.example/e{i}"), json!({})))
        .collect();
    let cases = [
        (
            json!({"course": "c", "x": nested(9)}),
            declared(),
            "too_deep",
        ),
        (
            json!({"course": "c".repeat(2_000)}),
            declared(),
            "too_large",
        ),
        (
            json!({"course": "c"}),
            Value::Object(many),
            "too_many_extensions",
        ),
    ];
    for (params, extensions, kind) in cases {
        // As text, through the raw adapter.
        let answer = raw_adapter(
            &set,
            &modern(RUBRICS, params.clone(), extensions.clone()),
            SessionDeclaration::none(),
            None,
            None,
        )
        .unwrap();
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        assert_eq!(answer["error"]["data"]["kind"], kind);
        // As a value, as under an SDK.
        let meta =
            json!({"io.modelcontextprotocol/clientCapabilities": {"extensions": extensions}});
        let incoming = Incoming::new(Era::Modern, mcp_ext_core::request::Target::Method(RUBRICS))
            .params(mcp_ext_core::request::Params::Value(params))
            .meta(meta.as_object().unwrap().clone());
        let Route::Refused(error) = set.route(incoming) else {
            panic!("not refused: {kind}")
        };
        assert_eq!(error.data.unwrap()["kind"], kind);
    }
    assert!(lms.calls.lock().unwrap().is_empty());
}

#[test]
fn calls_beyond_the_limit_are_turned_away_and_the_place_comes_back() {
    let (_, set) = limited(mcp_ext_core::Limits {
        max_concurrent: 1,
        ..Default::default()
    });
    let incoming = || {
        let meta =
            json!({"io.modelcontextprotocol/clientCapabilities": {"extensions": declared()}});
        Incoming::new(Era::Modern, mcp_ext_core::request::Target::Method(RUBRICS))
            .params(mcp_ext_core::request::Params::Value(json!({"course": "c"})))
            .meta(meta.as_object().unwrap().clone())
    };
    let Route::Call(first) = set.route(incoming()) else {
        panic!("not routed")
    };
    let Route::Refused(error) = set.route(incoming()) else {
        panic!("not refused")
    };
    assert_eq!(error.data.unwrap()["kind"], "busy");
    drop(first);
    let Route::Call(second) = set.route(incoming()) else {
        panic!("the place did not come back")
    };
    block_on(second.run()).unwrap();
    assert!(matches!(set.route(incoming()), Route::Call(_)));
}

#[test]
fn params_that_do_not_fit_are_explained_without_showing_them() {
    let (lms, set) = set();
    let secret = "s3cret-value";
    let frame = modern(
        RUBRICS,
        json!({"course": 7, "cursor": {"s3cret-value": secret}}),
        declared(),
    );
    let answer = raw_adapter(&set, &frame, SessionDeclaration::none(), None, None).unwrap();
    assert_eq!(answer["error"]["code"], -32602);
    assert_eq!(answer["error"]["data"]["extension"], "com.example/grading");
    assert_eq!(answer["error"]["data"]["kind"], "invalid_params");
    let faults = answer["error"]["data"]["faults"].as_array().unwrap();
    assert_eq!(faults[0]["pointer"], "/course", "{answer}");
    assert_eq!(faults.len(), 2, "every fault at once: {answer}");
    assert!(!answer.to_string().contains(secret));
    // A tool says it in words, as its result.
    let call = json!({"name": "grade_submission", "arguments": {"course": 7}});
    let answer = raw_adapter(
        &set,
        &modern("tools/call", call, json!({})),
        SessionDeclaration::none(),
        None,
        None,
    )
    .unwrap();
    assert_eq!(answer["result"]["isError"], true);
    assert!(
        answer["result"]["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("course")
    );
    assert!(lms.calls.lock().unwrap().is_empty());
}

#[test]
fn settings_of_a_wrong_type_are_bad_params_of_this_extension_alone() {
    let (_, set) = set();
    let wrong = json!({"com.example/grading": {"maxBatch": "many"}});
    let answer = raw_adapter(
        &set,
        &modern(RUBRICS, json!({"course": "c"}), wrong),
        SessionDeclaration::none(),
        None,
        None,
    )
    .unwrap();
    assert_eq!(answer["error"]["code"], -32602);
    assert_eq!(answer["error"]["data"]["kind"], "invalid_settings");
    assert_eq!(
        answer["error"]["data"]["faults"][0]["pointer"], "/maxBatch",
        "{answer}"
    );
    // Another extension's settings may be whatever object they like (NEG-10, NEG-12).
    let foreign =
        json!({"com.example/grading": {"new": 1}, "org.other/thing": {"maxBatch": "many"}});
    let answer = raw_adapter(
        &set,
        &modern(RUBRICS, json!({"course": "c"}), foreign),
        SessionDeclaration::none(),
        None,
        None,
    )
    .unwrap();
    assert!(answer["result"].is_object(), "{answer}");
}

#[test]
fn an_unknown_revision_counts_as_a_mismatch() {
    let (_, set) = set();
    for (revision, passes) in [(json!("2026-11-01"), true), (json!("2031-01-01"), false)] {
        let extensions = json!({"com.example/grading": {"revision": revision}});
        let answer = raw_adapter(
            &set,
            &modern(RUBRICS, json!({"course": "c"}), extensions),
            SessionDeclaration::none(),
            None,
            None,
        )
        .unwrap();
        assert_eq!(answer["result"].is_object(), passes, "{answer}");
        if !passes {
            assert_eq!(answer["error"]["code"], -32021);
            assert_eq!(answer["error"]["data"]["mismatch"][0]["field"], "revision");
            assert_eq!(
                answer["error"]["data"]["requiredCapabilities"]["extensions"]["com.example/grading"]
                    ["revision"],
                "2026-11-01"
            );
        }
    }
}

#[test]
fn legacy_refusals_are_minus_32601_and_say_why() {
    let (_, set) = set();
    let frame = json!({"jsonrpc": "2.0", "id": 2, "method": RUBRICS, "params": {"course": "c"}})
        .to_string();
    let cases = [
        (SessionDeclaration::none(), "not_declared"),
        (SessionDeclaration::Unknown, "declaration_unknown"),
    ];
    for (session, kind) in cases {
        let answer = raw_adapter(&set, &frame, session, None, None).unwrap();
        assert_eq!(answer["error"]["code"], -32601);
        assert_eq!(answer["error"]["data"]["extension"], "com.example/grading");
        assert_eq!(answer["error"]["data"]["kind"], kind);
    }
}

#[test]
fn neg_14_the_advertisement_and_the_list_do_not_depend_on_the_caller() {
    let (_, set) = set();
    let listing = |extensions: Value| {
        let extensions = extensions.as_object().unwrap().clone();
        let cx = mcp_ext_core::AmendCx {
            era: Era::Modern,
            version: None,
            declared: mcp_ext_core::request::Declared::Known(Some(&extensions)),
            first_page: true,
        };
        let mut discover = JsonObject::new();
        set.amend("server/discover", &mut discover, &cx);
        let mut list = json!({"tools": [], "ttlMs": 5, "cacheScope": "public"})
            .as_object()
            .unwrap()
            .clone();
        set.amend("tools/list", &mut list, &cx);
        (discover, list)
    };
    let (discover, list) = listing(declared());
    assert_eq!((discover.clone(), list.clone()), listing(json!({})));
    assert_eq!(list["cacheScope"], "public");
    assert_eq!(list["tools"][0]["name"], "grade_submission");
    assert!(
        discover["capabilities"]["tools"].is_object(),
        "REQ-16: contributed tools advertise the capability"
    );
    assert_eq!(
        discover["capabilities"]["extensions"]["com.example/grading"]["maxBatch"],
        50
    );
}

#[test]
fn ca_03_a_filtered_list_is_private_and_stale_at_once() {
    let set = ExtensionSet::builder()
        .enable(GradingExtension::provide(Lms::default()))
        .filter_lists(true)
        .build()
        .unwrap();
    for (extensions, listed) in [(declared(), 1), (json!({}), 0)] {
        let extensions = extensions.as_object().unwrap().clone();
        let cx = mcp_ext_core::AmendCx {
            era: Era::Modern,
            version: None,
            declared: mcp_ext_core::request::Declared::Known(Some(&extensions)),
            first_page: true,
        };
        let mut list = json!({"tools": [], "ttlMs": 5, "cacheScope": "public"})
            .as_object()
            .unwrap()
            .clone();
        set.amend("tools/list", &mut list, &cx);
        assert_eq!(list["tools"].as_array().unwrap().len(), listed);
        assert_eq!(
            (&list["cacheScope"], &list["ttlMs"]),
            (&json!("private"), &json!(0))
        );
    }
}

#[test]
fn purity_the_same_request_gets_the_same_answer_from_any_thread_in_any_order() {
    let (_, set) = set();
    let requests: Vec<String> = (0..40)
        .map(|i| {
            modern(
                RUBRICS,
                json!({"course": "c"}),
                json!({"com.example/grading": {"maxBatch": i % 7, "write": i % 2 == 0}}),
            )
        })
        .collect();
    let alone: Vec<Value> = requests
        .iter()
        .map(|r| raw_adapter(&set, r, SessionDeclaration::none(), None, None).unwrap())
        .collect();
    std::thread::scope(|scope| {
        for offset in 0..4 {
            let (set, requests, alone) = (set.clone(), &requests, &alone);
            scope.spawn(move || {
                for i in 0..requests.len() {
                    let i = (i * 7 + offset * 11) % requests.len();
                    let answer =
                        raw_adapter(&set, &requests[i], SessionDeclaration::none(), None, None)
                            .unwrap();
                    assert_eq!(answer, alone[i]);
                }
            });
        }
    });
}

#[test]
fn notifications_in_our_name_space_are_not_forwarded() {
    let (_, set) = set();
    assert!(set.notification("notifications/com.example/grading/anything"));
    assert!(!set.notification("notifications/com.example/gradings/x"));
    assert!(!set.notification("notifications/cancelled"));
}

// ---- the typed client ---------------------------------------------------------------------------------------------

#[cfg(feature = "client")]
mod client {
    use super::*;
    use mcp_ext_core::client::{Caller, CallerError, Negotiation, Outgoing};

    struct Direct(ExtensionSet, Arc<Mutex<Vec<Outgoing>>>);

    impl Caller for Direct {
        fn era(&self) -> Era {
            Era::Modern
        }
        async fn server_extensions(&self) -> Result<JsonObject, CallerError> {
            Ok(self.0.advertisement(Era::Modern, None))
        }
        async fn call(&self, request: Outgoing) -> Result<Value, CallerError> {
            self.1.lock().unwrap().push(request.clone());
            let frame = modern(
                &request.method,
                Value::Object(request.params),
                Value::Object(request.declare),
            );
            let answer =
                raw_adapter(&self.0, &frame, SessionDeclaration::none(), None, None).unwrap();
            match answer.get("error") {
                Some(error) => Err(CallerError::Rpc(
                    serde_json::from_value(error.clone()).unwrap(),
                )),
                None => Ok(answer["result"].clone()),
            }
        }
    }

    #[test]
    fn the_typed_client_negotiates_and_calls() {
        let (_, set) = set();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let client = GradingExtension::client(Direct(set, sent.clone())).declare(GradingSettings {
            max_batch: Some(3),
            ..Default::default()
        });
        let Negotiation::Active(grading) = block_on(client.negotiate()).unwrap() else {
            panic!("not active")
        };
        assert_eq!(grading.settings().max_batch, Some(3));
        let params = |course: &str| RubricsParams {
            course: course.to_owned(),
            cursor: None,
        };
        let rubrics = block_on(grading.rubrics(params("c-9"))).unwrap();
        assert_eq!(rubrics.titles, ["c-9 for nobody, Some(3)"]);
        let rubrics = block_on(grading.grade_submission(params("c-9"))).unwrap();
        assert_eq!(rubrics.titles, ["negotiated: true"]);
        for error in [
            block_on(grading.rubrics(params("none"))).unwrap_err(),
            block_on(grading.grade_submission(params("none"))).unwrap_err(),
        ] {
            assert!(
                matches!(error, rt::CallError::Own(GradingError::UnknownCourse { course }) if course == "none")
            );
        }
        assert_eq!(
            sent.lock().unwrap()[0].declare["com.example/grading"]["revision"],
            "2026-11-01"
        );
    }
}
