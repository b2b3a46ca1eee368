//! Two extensions written out by hand, as the macros expand them, and a provider whose calls can be watched.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mcp_ext_core::__private_0_1_0 as rt;
use mcp_ext_core::algebra::{Fields, Mismatch, Negotiate};
use mcp_ext_core::protocol::{ProtocolRange, ProtocolVersion};
use mcp_ext_core::request::NotifyError;
use mcp_ext_core::wire::JsonObject;
use mcp_ext_core::{
    Cx, ExtensionError, ExtensionId, ExtensionSet, ExtensionSetBuilder, NoParams, NoSettings,
    ToolCx,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub const ID: &str = "com.example/grading";
pub const RUBRICS: &str = "com.example/grading/rubrics";
pub const RUBRIC: &str = "com.example/grading/rubric";
pub const LIVE: &str = "com.example/grading/liveRubric";
pub const CHANGED: &str = "notifications/com.example/grading/gradeChanged";
/// A tool for everyone.
pub const TOOL: &str = "grade_submission";
/// A tool that demands the extension.
pub const GATED: &str = "publish_grades";

pub const MODERN_ID: &str = "com.example/modern-only";
pub const MODERN_METHOD: &str = "com.example/modern-only/terms";
/// A tool of the extension that covers 2026-07-28 alone; one of its arguments is mirrored in a header.
pub const MODERN_TOOL: &str = "move_course";

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
pub struct Course {
    pub course: String,
    #[serde(default)]
    pub tags: Vec<String>,
}

#[derive(Deserialize, Serialize, JsonSchema)]
pub struct RubricParams {
    pub id: String,
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

impl ExtensionError for GradingError {
    const ERRORS: &'static [rt::ErrorSpec] = &[rt::ErrorSpec {
        kind: "unknown_course",
        code: 4100,
        docs: "No such course.",
        retryable: false,
    }];
    fn index(&self) -> usize {
        0
    }
    fn message(&self) -> String {
        let Self::UnknownCourse { course } = self;
        format!("no course {course}")
    }
    fn details(&self) -> JsonObject {
        let Self::UnknownCourse { course } = self;
        JsonObject::from_iter([("course".to_owned(), json!(course))])
    }
    fn from_wire(kind: &str, details: &Value) -> Option<Self> {
        (kind == "unknown_course").then(|| {
            Some(Self::UnknownCourse {
                course: details["course"].as_str()?.to_owned(),
            })
        })?
    }
}

// ---- the first extension -----------------------------------------------------------------------------------------

pub trait Grading: Send + Sync + 'static {
    fn rubrics(
        &self,
        cx: &Cx<GradingExtension>,
        params: Course,
    ) -> impl Future<Output = Result<Rubrics, GradingError>> + Send;
    fn rubric(
        &self,
        cx: &Cx<GradingExtension>,
        params: RubricParams,
    ) -> impl Future<Output = Result<Rubrics, GradingError>> + Send;
    fn grade_submission(
        &self,
        cx: &ToolCx<GradingExtension>,
        args: Course,
    ) -> impl Future<Output = Result<Rubrics, GradingError>> + Send;
    fn publish_grades(
        &self,
        cx: &Cx<GradingExtension>,
        args: Course,
    ) -> impl Future<Output = Result<Rubrics, GradingError>> + Send;
    const PROVIDED: &'static [&'static str];
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
        &rt::Contract::new(ExtensionId::from_static(ID), "Grading")
            .revision("2026-11-01")
            .settings(rt::SettingsSpec::same::<GradingSettings>())
            .items(&[
                rt::Item::of::<Course, Result<Rubrics, GradingError>>("rubrics")
                    .method(rt::MethodSpec::new(RUBRICS)),
                rt::Item::of::<RubricParams, Result<Rubrics, GradingError>>("rubric")
                    .method(rt::MethodSpec::new(RUBRIC).mcp_name("/id")),
                rt::Item::of::<Course, Result<Rubrics, GradingError>>("grade_submission")
                    .tool(rt::ToolSpec::new(TOOL).title("Grade a submission")),
                rt::Item::of::<Course, Result<Rubrics, GradingError>>("publish_grades")
                    .tool(rt::ToolSpec::new(GATED).gated()),
                rt::Item::of::<Course, Result<Rubrics, GradingError>>("live_rubric")
                    .method(rt::MethodSpec::new(LIVE))
                    .optional("liveRubrics"),
            ])
            .notifications(&[rt::NotificationSpec {
                name: "grade_changed",
                wire: CHANGED,
                docs: "",
                channel: rt::Channel::Request,
                params: rt::TypeSchema::of::<GradeChanged>(),
                filter: None,
            }]);
    fn fallback() -> GradingSettings {
        GradingSettings::default()
    }
}

impl<P: Grading> rt::Serves<P> for GradingExtension {
    const PROVIDED: &'static [&'static str] = P::PROVIDED;
    fn serve<'a>(
        provider: &'a P,
        item: &'static str,
        call: rt::Call<'a>,
    ) -> rt::BoxFuture<'a, rt::Outcome> {
        match item {
            "rubrics" => call.run::<Cx<Self>, _, Course, _>(provider, P::rubrics),
            "rubric" => call.run::<Cx<Self>, _, RubricParams, _>(provider, P::rubric),
            "grade_submission" => {
                call.run::<ToolCx<Self>, _, Course, _>(provider, P::grade_submission)
            }
            "publish_grades" => call.run::<Cx<Self>, _, Course, _>(provider, P::publish_grades),
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
        pub async fn rubrics(&self, params: Course) -> Result<Rubrics, rt::CallError<GradingError>> {
            self.0.method("rubrics", &params).await
        }
        pub async fn grade_submission(&self, args: Course) -> Result<Rubrics, rt::CallError<GradingError>> {
            self.0.tool("grade_submission", &args).await
        }
        pub async fn publish_grades(&self, args: Course) -> Result<Rubrics, rt::CallError<GradingError>> {
            self.0.tool("publish_grades", &args).await
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

// ---- the second one, for 2026-07-28 alone ------------------------------------------------------------------------

#[derive(Deserialize, Serialize, JsonSchema)]
pub struct Move {
    #[schemars(extend("x-mcp-header" = "Term"))]
    pub term: String,
}

pub struct ModernExtension;

impl rt::Extension for ModernExtension {
    type Server = NoSettings;
    type Client = NoSettings;
    type Negotiated = NoSettings;
    type Notifications = rt::NoNotifications;
    const CONTRACT: &'static rt::Contract =
        &rt::Contract::new(ExtensionId::from_static(MODERN_ID), "Modern only")
            .protocol(ProtocolRange::from(ProtocolVersion::V2026_07_28))
            .items(&[
                rt::Item::of::<NoParams, Result<Rubrics, std::convert::Infallible>>("terms")
                    .method(rt::MethodSpec::new(MODERN_METHOD)),
                rt::Item::of::<Move, Result<Rubrics, std::convert::Infallible>>("move_course")
                    .tool(rt::ToolSpec::new(MODERN_TOOL)),
            ]);
    fn fallback() -> NoSettings {
        NoSettings::default()
    }
}

pub struct Terms;

impl rt::Serves<Terms> for ModernExtension {
    const PROVIDED: &'static [&'static str] = &["terms", "move_course"];
    fn serve<'a>(
        provider: &'a Terms,
        item: &'static str,
        call: rt::Call<'a>,
    ) -> rt::BoxFuture<'a, rt::Outcome> {
        match item {
            "terms" => {
                call.run::<Cx<Self>, _, NoParams, _>(provider, rt::WithoutParams(Terms::terms))
            }
            "move_course" => call.run::<ToolCx<Self>, _, Move, _>(provider, Terms::move_course),
            _ => call.no_such_item(),
        }
    }
}

impl Terms {
    async fn terms(&self, _: &Cx<ModernExtension>) -> Result<Rubrics, std::convert::Infallible> {
        Ok(Rubrics {
            titles: vec!["spring".into()],
        })
    }

    async fn move_course(
        &self,
        _: &ToolCx<ModernExtension>,
        args: Move,
    ) -> Result<Rubrics, std::convert::Infallible> {
        Ok(Rubrics {
            titles: vec![args.term],
        })
    }
}

// ---- a provider whose calls can be watched -----------------------------------------------------------------------

/// What `course` says decides what happens: `none` fails, `panic` panics, `hang` never ends, `sleep` takes a while,
/// `notify` and `notify none` send
/// progress and a notification first, `meta` gives back what `_meta` held.
#[derive(Default)]
pub struct Lms {
    /// Calls that reached a handler.
    pub started: AtomicUsize,
    /// Calls whose future was dropped or has ended.
    pub ended: AtomicUsize,
    /// Calls that ran to their end.
    pub finished: AtomicUsize,
}

struct Ended<'a>(&'a Lms);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

impl Lms {
    pub fn started(&self) -> usize {
        self.started.load(Ordering::SeqCst)
    }

    /// Waits until `n` calls have started and `ended` of them are over.
    pub async fn wait(&self, n: usize, ended: usize) {
        for _ in 0..500 {
            if self.started() >= n && self.ended.load(Ordering::SeqCst) >= ended {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!(
            "started {}, ended {}",
            self.started(),
            self.ended.load(Ordering::SeqCst)
        );
    }

    async fn run(&self, course: &str) -> Result<(), GradingError> {
        self.started.fetch_add(1, Ordering::SeqCst);
        let _ended = Ended(self);
        match course {
            "none" | "notify none" => {
                return Err(GradingError::UnknownCourse {
                    course: course.to_owned(),
                });
            }
            "panic" => panic!("a fault in the provider"),
            "hang" => std::future::pending::<()>().await,
            "sleep" => tokio::time::sleep(Duration::from_millis(20)).await,
            _ => {}
        }
        self.finished.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl Grading for Lms {
    async fn rubrics(
        &self,
        cx: &Cx<GradingExtension>,
        params: Course,
    ) -> Result<Rubrics, GradingError> {
        if params.course.starts_with("notify") {
            let _ = cx.progress(1.0, Some(2.0), Some("half")).await;
            let _ = cx.grade_changed(GradeChanged { grade: 1 }).await;
        }
        self.run(&params.course).await?;
        if params.course == "meta" {
            let keys = cx.meta().keys().cloned().collect::<Vec<_>>().join(" ");
            return Ok(Rubrics {
                titles: vec![keys, cx.trace().traceparent.unwrap_or_default().to_owned()],
            });
        }
        let who = cx.principal().map_or("nobody", |p| p.id());
        Ok(Rubrics {
            titles: vec![format!(
                "{} for {who}, {:?}",
                params.course,
                cx.settings().max_batch
            )],
        })
    }
    async fn rubric(
        &self,
        _: &Cx<GradingExtension>,
        params: RubricParams,
    ) -> Result<Rubrics, GradingError> {
        self.run(&params.id).await?;
        Ok(Rubrics {
            titles: vec![params.id],
        })
    }
    async fn grade_submission(
        &self,
        cx: &ToolCx<GradingExtension>,
        args: Course,
    ) -> Result<Rubrics, GradingError> {
        self.run(&args.course).await?;
        let who = cx.principal().map_or("nobody", |p| p.id());
        Ok(Rubrics {
            titles: vec![format!(
                "{} for {who}, negotiated: {}",
                args.course,
                cx.negotiated()
            )],
        })
    }
    async fn publish_grades(
        &self,
        _: &Cx<GradingExtension>,
        args: Course,
    ) -> Result<Rubrics, GradingError> {
        self.run(&args.course).await?;
        Ok(Rubrics {
            titles: vec![format!("{} published", args.course)],
        })
    }
    const PROVIDED: &'static [&'static str] =
        &["rubrics", "rubric", "grade_submission", "publish_grades"];
}

/// A set of both extensions, and the provider behind the first.
pub fn set() -> (Arc<Lms>, ExtensionSet) {
    set_with(|builder| builder)
}

pub fn set_with(
    more: impl FnOnce(ExtensionSetBuilder) -> ExtensionSetBuilder,
) -> (Arc<Lms>, ExtensionSet) {
    let lms = Arc::new(Lms::default());
    let builder = ExtensionSet::builder()
        .enable(
            GradingExtension::provide(lms.clone()).settings(GradingSettings {
                rubric_formats: Some(BTreeSet::from([RubricFormat::Text, RubricFormat::Table])),
                max_batch: Some(50),
                write: true,
            }),
        )
        .enable(rt::Enable::<ModernExtension>::new(Terms));
    (lms, more(builder).build().unwrap())
}

/// A declaration of the first extension that negotiates.
pub fn declared() -> Option<Value> {
    Some(json!({ ID: { "maxBatch": 10 } }))
}
