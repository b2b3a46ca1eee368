//! An extension made by the macros, from declaration to answer.
#![deny(missing_docs, warnings)]
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::sync::Arc;

use mcp_ext_core::algebra::Negotiate as _;
use mcp_ext_core::client::{Caller, CallerError, Negotiation, Outgoing};
use mcp_ext_core::protocol::Era;
use mcp_ext_core::request::{Params, Target};
use mcp_ext_core::wire::JsonObject;
use mcp_ext_core::{
    Cx, Extension as _, ExtensionError, ExtensionSet, Incoming, Route, ToolCx, extension, handlers,
    settings,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A format of rubrics.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub enum RubricFormat {
    /// Plain text.
    Text,
    /// A table.
    Table,
}

/// What the two sides agree on.
#[settings]
pub struct GradingSettings {
    /// Rubric formats this side can read.
    #[negotiate(intersect, required)]
    pub rubric_formats: Option<BTreeSet<RubricFormat>>,
    /// Largest batch this side accepts.
    #[negotiate(min)]
    pub max_batch: Option<u32>,
    /// Whether grades may be written.
    #[negotiate(and)]
    pub write: bool,
}

/// Params.
#[derive(Deserialize, Serialize, JsonSchema)]
pub struct RubricsParams {
    /// The course.
    pub course: String,
}

/// Result.
#[derive(Serialize, Deserialize, JsonSchema, Debug)]
pub struct Rubrics {
    /// Titles.
    pub titles: Vec<String>,
}

/// A grade.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct GradeChanged {
    /// The grade.
    pub grade: u32,
}

/// What goes wrong.
#[derive(Debug, ExtensionError)]
pub enum GradingError {
    /// No such course.
    #[error(code = 4100, "no course {course}")]
    UnknownCourse {
        /// The course.
        course: String,
    },
    /// Later.
    #[error(code = 4101, kind = "busy", retryable, "busy")]
    Overloaded,
}

/// Grades submissions.
///
/// # Fallback
/// The tool answers in plain terms.
#[extension(
    id = "com.example/grading", revision = "2026-11-01", settings = GradingSettings,
    fallback = GradingSettings { write: false, ..Default::default() },
)]
pub trait Grading {
    /// Lists the rubrics of a course.
    #[method]
    async fn rubrics(
        &self,
        cx: &Cx<GradingExtension>,
        params: RubricsParams,
    ) -> Result<Rubrics, GradingError>;

    /// Grades one submission.
    #[tool(title = "Grade a submission", hints(idempotent))]
    async fn grade_submission(
        &self,
        cx: &ToolCx<GradingExtension>,
        args: RubricsParams,
    ) -> Result<Rubrics, GradingError>;

    /// Streams a live rubric.
    #[method(optional = "liveRubrics")]
    async fn live_rubric(
        &self,
        cx: &Cx<GradingExtension>,
        params: RubricsParams,
    ) -> Result<Rubrics, GradingError>;

    /// Takes nothing, and is both.
    #[method]
    #[tool]
    async fn count(
        &self,
        cx: &ToolCx<GradingExtension>,
    ) -> Result<Rubrics, std::convert::Infallible>;

    /// A grade changed while this request ran.
    #[notification]
    fn grade_changed(params: GradeChanged);
}

/// A provider.
pub struct Lms;

#[handlers]
impl Grading for Lms {
    async fn rubrics(
        &self,
        cx: &Cx<GradingExtension>,
        params: RubricsParams,
    ) -> Result<Rubrics, GradingError> {
        if params.course == "none" {
            return Err(GradingError::UnknownCourse {
                course: params.course,
            });
        }
        let _ = cx.grade_changed(GradeChanged { grade: 1 }).await;
        Ok(Rubrics {
            titles: vec![format!("{} {:?}", params.course, cx.settings().max_batch)],
        })
    }

    async fn grade_submission(
        &self,
        cx: &ToolCx<GradingExtension>,
        _: RubricsParams,
    ) -> Result<Rubrics, GradingError> {
        Ok(Rubrics {
            titles: vec![format!("negotiated: {}", cx.negotiated())],
        })
    }

    async fn count(
        &self,
        _: &ToolCx<GradingExtension>,
    ) -> Result<Rubrics, std::convert::Infallible> {
        Ok(Rubrics { titles: vec![] })
    }
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

fn set() -> ExtensionSet {
    ExtensionSet::builder()
        .enable(
            GradingExtension::provide(Arc::new(Lms)).settings(GradingSettings {
                rubric_formats: Some(BTreeSet::from([RubricFormat::Text])),
                max_batch: Some(50),
                write: true,
            }),
        )
        .build()
        .unwrap()
}

struct Direct(ExtensionSet);

impl Caller for Direct {
    fn era(&self) -> Era {
        Era::Modern
    }

    async fn server_extensions(&self) -> Result<JsonObject, CallerError> {
        Ok(self.0.advertisement(Era::Modern, None))
    }

    async fn call(&self, request: Outgoing) -> Result<Value, CallerError> {
        let mut params = request.params;
        let target = if request.method == "tools/call" {
            Target::Tool(params["name"].as_str().unwrap().to_owned().leak())
        } else {
            Target::Method(request.method.leak())
        };
        if let Target::Tool(_) = target {
            let Some(Value::Object(arguments)) = params.remove("arguments") else {
                panic!("no arguments")
            };
            params = arguments;
        }
        let meta =
            json!({"io.modelcontextprotocol/clientCapabilities": {"extensions": request.declare}});
        let incoming = Incoming::new(Era::Modern, target)
            .params(Params::Value(Value::Object(params)))
            .meta(meta.as_object().unwrap().clone());
        match self.0.route(incoming) {
            Route::Call(pending) => match pending.run().await {
                Ok(reply) => Ok(Value::Object(reply.into_object().unwrap())),
                Err(error) => Err(CallerError::Rpc(error)),
            },
            Route::Refused(error) => Err(CallerError::Rpc(error)),
            _ => panic!("not ours"),
        }
    }
}

#[test]
fn from_declaration_to_answer() {
    let client = GradingExtension::client(Direct(set())).declare(GradingSettings {
        max_batch: Some(3),
        ..Default::default()
    });
    let Negotiation::Active(grading) = block_on(client.negotiate()).unwrap() else {
        panic!("not active")
    };
    let params = |course: &str| RubricsParams {
        course: course.to_owned(),
    };
    assert_eq!(
        block_on(grading.rubrics(params("c-9"))).unwrap().titles,
        ["c-9 Some(3)"]
    );
    assert_eq!(
        block_on(grading.grade_submission(params("c")))
            .unwrap()
            .titles,
        ["negotiated: true"]
    );
    assert!(block_on(grading.count()).unwrap().titles.is_empty());
    assert!(block_on(grading.count_tool()).unwrap().titles.is_empty());
    let error = block_on(grading.rubrics(params("none"))).unwrap_err();
    assert_eq!(error.to_string(), "no course none");
    let refused = block_on(grading.live_rubric(params("c"))).unwrap_err();
    assert!(refused.to_string().contains("liveRubrics"), "{refused}");
}

#[test]
fn the_contract_says_what_was_written() {
    let contract = GradingExtension::CONTRACT;
    assert_eq!(contract.id.as_str(), "com.example/grading");
    assert_eq!(contract.name, "Grading");
    assert_eq!(
        contract.docs,
        "Grades submissions.\n\n# Fallback\nThe tool answers in plain terms."
    );
    assert_eq!(contract.items[0].docs, "Lists the rubrics of a course.");
    let wires: Vec<_> = contract
        .items
        .iter()
        .map(|i| i.method.map(|m| m.wire))
        .collect();
    assert_eq!(
        wires,
        [
            Some("com.example/grading/rubrics"),
            None,
            Some("com.example/grading/liveRubric"),
            Some("com.example/grading/count")
        ]
    );
    assert_eq!(
        contract.notifications[0].wire,
        "notifications/com.example/grading/gradeChanged"
    );
    assert_eq!((contract.fallback)()["write"], false);
    assert!(contract.source.file.ends_with("happy.rs") && contract.source.line > 0);
    let linked = mcp_ext_core::registry::linked().unwrap();
    assert_eq!(linked.len(), 1);
    assert_eq!(
        contract.errors().iter().map(|e| e.kind).collect::<Vec<_>>(),
        ["unknown_course", "busy"]
    );
}

#[test]
fn settings_read_camel_case_and_drop_unknown_members() {
    let settings: GradingSettings = serde_json::from_value(
        json!({"rubricFormats": ["text", "hologram"], "maxBatch": 7, "new": 1}),
    )
    .unwrap();
    assert_eq!(
        settings.rubric_formats,
        Some(BTreeSet::from([RubricFormat::Text]))
    );
    let other = GradingSettings {
        rubric_formats: Some(BTreeSet::from([RubricFormat::Table])),
        ..Default::default()
    };
    let mismatch = GradingSettings::negotiate(&settings, &other).unwrap_err();
    assert_eq!(mismatch.rows[0].field, "rubricFormats");
}

#[test]
fn an_error_goes_over_the_wire_and_back() {
    let error = GradingError::UnknownCourse {
        course: "c".to_owned(),
    };
    assert_eq!(
        (error.index(), error.message().as_str()),
        (0, "no course c")
    );
    let details = Value::Object(error.details());
    assert_eq!(details, json!({"course": "c"}));
    let back = GradingError::from_wire("unknown_course", &details);
    assert!(matches!(back, Some(GradingError::UnknownCourse { course }) if course == "c"));
    assert!(GradingError::from_wire("unknown_course", &json!({})).is_none());
    assert!(matches!(
        GradingError::from_wire("busy", &json!({})),
        Some(GradingError::Overloaded)
    ));
    assert!(GradingError::ERRORS[1].retryable);
    let _: &dyn std::error::Error = &error;
}

#[test]
fn a_client_reads_what_a_server_sends() {
    let wire = GradingExtension::CONTRACT.notifications[0].wire;
    let read = |method, params: Value| GradingNotification::read(method, &params);
    // `_meta` is the protocol's.
    let sent = json!({ "grade": 3, "_meta": { "io.modelcontextprotocol/subscriptionId": 1 } });
    let Some(Ok(GradingNotification::GradeChanged(changed))) = read(wire, sent) else {
        panic!("it is a grade that changed");
    };
    assert_eq!(changed.grade, 3);
    assert!(matches!(read(wire, json!({ "grade": "x" })), Some(Err(_))));
    assert!(matches!(read(wire, Value::Null), Some(Err(_))));
    assert!(read("notifications/progress", json!({})).is_none());
}
