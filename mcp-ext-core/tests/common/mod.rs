//! An extension written out by hand, as the macros expand it, and a whole adapter on raw frames.
#![allow(dead_code, missing_docs)]

use std::collections::BTreeSet;
use std::future::{Future, pending};
use std::sync::{Arc, Mutex};

use mcp_ext_core::__private_0_1_0 as rt;
use mcp_ext_core::algebra::{Fields, Mismatch, Negotiate};
use mcp_ext_core::envelope::{Frame, Headers};
use mcp_ext_core::protocol::ProtocolRange;
use mcp_ext_core::request::{NotifyError, Principal, SessionDeclaration};
use mcp_ext_core::wire::JsonObject;
use mcp_ext_core::{Cx, ExtensionError, ExtensionId, ExtensionSet, Route, ToolCx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

// ---- types -------------------------------------------------------------------------------------------------------

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub enum RubricFormat {
    Text,
    Table,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GradingSettings {
    #[serde(deserialize_with = "mcp_ext_core::algebra::lenient")]
    pub rubric_formats: Option<BTreeSet<RubricFormat>>,
    pub max_batch: Option<u32>,
    pub write: bool,
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
pub struct RubricsParams {
    pub course: String,
    pub cursor: Option<String>,
}

#[derive(Serialize, Deserialize, JsonSchema, Debug)]
pub struct Rubrics {
    pub titles: Vec<String>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct GradeChanged {
    pub grade: u32,
}

#[derive(Debug)]
pub enum GradingError {
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

pub trait Grading: Send + Sync + 'static {
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

pub struct GradingExtension;

pub struct GradingNotifications(rt::NotificationHandle);

impl From<rt::NotificationHandle> for GradingNotifications {
    fn from(handle: rt::NotificationHandle) -> Self {
        Self(handle)
    }
}

impl GradingNotifications {
    pub async fn grade_changed(&self, params: GradeChanged) -> Result<(), NotifyError> {
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
                filter: None,
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
    fn serve<'a>(
        provider: &'a P,
        item: &'static str,
        call: rt::Call<'a>,
    ) -> rt::BoxFuture<'a, rt::Outcome> {
        match item {
            "rubrics" => call.run::<Cx<Self>, _, RubricsParams, _>(provider, P::rubrics),
            "grade_submission" => {
                call.run::<ToolCx<Self>, _, RubricsParams, _>(provider, P::grade_submission)
            }
            "live_rubric" => call.run::<Cx<Self>, _, RubricsParams, _>(provider, P::live_rubric),
            _ => call.no_such_item(),
        }
    }
}

rt::client! {
    pub struct GradingClient<C>(rt::Active<GradingExtension, C>);

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
        pub async fn rubrics(&self, params: RubricsParams) -> Result<Rubrics, rt::CallError<GradingError>> {
            self.0.method("rubrics", &params).await
        }
        pub async fn grade_submission(&self, args: RubricsParams) -> Result<Rubrics, rt::CallError<GradingError>> {
            self.0.tool("grade_submission", &args).await
        }
    }

    impl GradingExtension {
        pub fn client<C: rt::Caller>(caller: C) -> rt::Client<Self, C> {
            rt::Client::new(caller)
        }
    }
}

impl GradingExtension {
    pub fn provide<P: Grading>(provider: impl rt::IntoProvider<Self, P>) -> rt::Enable<Self> {
        rt::Enable::new(provider)
    }
}

// ---- what a server author writes, with what #[handlers] fills in -------------------------------------------------

#[derive(Default)]
pub struct Lms {
    pub calls: Mutex<Vec<String>>,
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

pub fn set() -> (Arc<Lms>, ExtensionSet) {
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

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut cx) {
            return value;
        }
    }
}

/// A whole adapter on raw frames, with no SDK: text in, text out; `None`: the wrapped server's business.
pub fn raw_adapter(
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
            ours => block_on(ours.answer(pending(), |_| pending()))?
                .into_object()
                .map(|result| Some(Value::Object(result))),
        }
    })();
    match answer {
        Ok(None) => None,
        Ok(Some(result)) => Some(json!({"jsonrpc": "2.0", "id": request.id, "result": result})),
        Err(error) => Some(json!({"jsonrpc": "2.0", "id": request.id, "error": error})),
    }
}

pub fn modern(method: &str, mut params: Value, extensions: Value) -> String {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"extensions": extensions},
    });
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()
}

pub const RUBRICS: &str = "com.example/grading/rubrics";
