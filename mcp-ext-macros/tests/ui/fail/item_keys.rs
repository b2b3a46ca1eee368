//! Values of keys of items.
use mcp_ext_core::{Cx, NoParams, ToolCx, extension};
use std::convert::Infallible;

type Answer = Result<NoParams, Infallible>;

#[extension(id = "com.example/a")]
pub trait Grading {
    #[method(optional = "revision")]
    async fn a(&self, cx: &Cx<GradingExtension>) -> Answer;
    #[method(optional = "live rubrics")]
    async fn b(&self, cx: &Cx<GradingExtension>) -> Answer;
    #[method(optional = "c")]
    #[tool(optional = "d")]
    async fn c(&self, cx: &ToolCx<GradingExtension>) -> Answer;
    #[method(mcp_name = "rubricId", echo("/ok", "//"))]
    async fn d(&self, cx: &Cx<GradingExtension>) -> Answer;
    #[method(mcp_name = "/rubric/id")]
    async fn e(&self, cx: &Cx<GradingExtension>) -> Answer;
    #[tool(sensitive, echo("/a"))]
    async fn f(&self, cx: &ToolCx<GradingExtension>) -> Answer;
    #[tool(hints(read_only, destructive))]
    async fn g(&self, cx: &ToolCx<GradingExtension>) -> Answer;
}

fn main() {}
