//! Signatures of methods and tools.
use mcp_ext_core::{Cx, NoParams, ToolCx, extension};
use std::convert::Infallible;

type Answer = Result<NoParams, Infallible>;

#[extension(id = "com.example/other")]
pub trait Other {}

#[extension(id = "com.example/a")]
pub trait Grading {
    #[method]
    fn not_async(&self, cx: &Cx<GradingExtension>) -> Answer;
    #[method]
    async fn no_self(cx: &Cx<GradingExtension>) -> Answer;
    #[method]
    async fn nothing() -> Answer;
    #[method]
    async fn by_value(self, cx: &Cx<GradingExtension>) -> Answer
    where
        Self: Sized;
    #[method]
    async fn mutable(&mut self, cx: &Cx<GradingExtension>) -> Answer;
    #[method]
    async fn generic<T: Send>(&self, cx: &Cx<GradingExtension>, params: T) -> Answer;
    #[method]
    async fn lifetime<'a>(&'a self, cx: &'a Cx<GradingExtension>) -> Answer;
    #[method]
    async unsafe fn unsafe_fn(&self, cx: &Cx<GradingExtension>) -> Answer;
    #[method]
    async fn body(&self, _cx: &Cx<GradingExtension>) -> Answer {
        Ok(NoParams {})
    }
    #[method]
    async fn no_cx(&self) -> Answer;
    #[method]
    async fn params_only(&self, params: NoParams) -> Answer;
    #[method]
    async fn cx_by_value(&self, cx: Cx<GradingExtension>) -> Answer;
    #[method]
    async fn cx_mut(&self, cx: &mut Cx<GradingExtension>) -> Answer;
    #[method]
    async fn tool_cx(&self, cx: &ToolCx<GradingExtension>) -> Answer;
    #[tool]
    async fn tool_with_cx(&self, cx: &Cx<GradingExtension>) -> Answer;
    #[tool(gated)]
    async fn gated(&self, cx: &ToolCx<GradingExtension>) -> Answer;
    #[method]
    #[tool]
    async fn both(&self, cx: &Cx<GradingExtension>) -> Answer;
    #[method]
    async fn other_cx(&self, cx: &Cx<OtherExtension>) -> Answer;
    #[method]
    async fn trait_cx(&self, cx: &Cx<Grading>) -> Answer;
    #[tool]
    async fn trait_tool_cx(&self, cx: &ToolCx<Grading>) -> Answer;
    #[method]
    async fn bare_cx(&self, cx: &Cx) -> Answer;
    #[method]
    async fn too_many(&self, cx: &Cx<GradingExtension>, a: NoParams, b: NoParams) -> Answer;
    #[method]
    async fn reference(&self, cx: &Cx<GradingExtension>, params: &NoParams) -> Answer;
    #[method]
    async fn impl_trait(&self, cx: &Cx<GradingExtension>, params: impl Send) -> Answer;
    #[method]
    async fn own_type(&self, cx: &Cx<GradingExtension>, params: Vec<Self>) -> Answer
    where
        Self: Sized;
    #[method]
    async fn no_answer(&self, cx: &Cx<GradingExtension>);
    #[method]
    async fn unit(&self, cx: &Cx<GradingExtension>) -> ();
    #[method]
    async fn option(&self, cx: &Cx<GradingExtension>) -> Option<NoParams>;
    #[method]
    async fn hidden(&self, cx: &Cx<GradingExtension>) -> impl Send;
}

fn main() {}
