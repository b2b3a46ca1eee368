use mcp_ext_core::{BlockName, Cx, ToolCx};

/// The settings.
#[settings]
pub struct GradingSettings {
    /// Whether grades may be written.
    #[negotiate(and)]
    pub write: bool,
}

/// A block.
pub struct Audit;

impl BlockName for Audit {
    const NAME: &'static str = "com.example/audit";
}

/// Another extension.
#[extension(id = "com.example/labels")]
pub trait Labels {}

/// A type with serde and a schema.
#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Data {
    /// The rubric.
    pub rubric_id: String,
}

/// An alias of a result.
pub type Answer = Result<Data, std::convert::Infallible>;

/// Every key there is.
#[doc = concat!("Also ", "computed docs.")]
#[extension(
    id = "com.example/grading",
    title = "Grading",
    revision = "2026-11-01",
    known_revisions("2026-05-01", "2026-08-01"),
    stability = "beta",
    protocol(min = "2025-11-25", max = "2026-07-28"),
    settings = GradingSettings,
    fallback = GradingSettings { write: false },
    requires(LabelsExtension),
    needs(Audit),
    meta(request("purpose": String), result("label": String, "cost": u32)),
    crate = ::mcp_ext_core,
)]
pub(crate) trait Grading {
    /// A method with every key.
    #[method(
        name = "read",
        optional = "reading",
        needs(Audit),
        echo("/rubricId"),
        mcp_name = "/rubricId",
        shape_clash = "no client reads it by shape"
    )]
    async fn read_rubric(&self, cx: &Cx<GradingExtension>, params: Data) -> Answer;

    /// A tool with every key.
    #[tool(
        name = "grade",
        title = "Grade",
        hints(read_only = false, destructive, idempotent, open_world = false),
        needs(Audit),
        sensitive
    )]
    async fn grade_submission(&self, cx: &ToolCx<GradingExtension>, args: Data) -> Answer;

    /// A gated tool.
    #[tool(gated)]
    async fn publish(&self, cx: &Cx<GradingExtension>, _: Data) -> Answer;

    /// Both at once.
    #[method]
    #[tool]
    #[deprecated(note = "count for yourself")]
    async fn count(&self, cx: &ToolCx<GradingExtension>) -> Answer;

    #[cfg(any())]
    #[method]
    async fn gone(&self, cx: &Cx<GradingExtension>, params: Missing) -> Answer;

    /// A keyword.
    #[method]
    async fn r#move(&self, cx: &Cx<GradingExtension>) -> Answer;

    /// A grade changed.
    #[notification]
    fn grade_changed(params: Data);

    /// Something happened.
    #[notification(listen, name = "happened")]
    fn something_happened();

    /// A rubric changed.
    #[notification(listen(filter = Data))]
    #[deprecated(note = "listen to what happened")]
    fn rubric_changed(params: Data);
}

impl mcp_ext_core::ListenFilter<Data> for Data {
    fn admits(&self, params: &Data, _: &mcp_ext_core::Listener<'_>) -> bool {
        self.rubric_id == params.rubric_id
    }
}

struct Lms;

#[handlers]
impl Grading for Lms {
    async fn read_rubric(&self, cx: &Cx<GradingExtension>, params: Data) -> Answer {
        let _ = cx.grade_changed(Data { rubric_id: String::new() }).await;
        Ok(params)
    }

    async fn grade_submission(&self, cx: &ToolCx<GradingExtension>, args: Data) -> Answer {
        if let Some(cx) = cx.active() {
            let _ = cx.something_happened().await;
        }
        Ok(args)
    }

    async fn publish(&self, _: &Cx<GradingExtension>, args: Data) -> Answer {
        Ok(args)
    }

    async fn count(&self, _: &ToolCx<GradingExtension>) -> Answer {
        Ok(Data { rubric_id: String::new() })
    }

    #[cfg(any())]
    async fn gone(&self, _: &Cx<GradingExtension>, _: Missing) -> Answer {}

    async fn r#move(&self, _: &Cx<GradingExtension>) -> Answer {
        Ok(Data { rubric_id: String::new() })
    }
}
