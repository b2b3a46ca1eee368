//! Names on the wire.
use mcp_ext_core::{Cx, NoParams, ToolCx, extension};
use std::convert::Infallible;

type Answer = Result<NoParams, Infallible>;

#[extension(id = "com.example/a")]
pub trait Grading {
    #[method(name = "")]
    async fn empty(&self, cx: &Cx<GradingExtension>) -> Answer;
    #[method(name = "read it")]
    async fn req_5_space(&self, cx: &Cx<GradingExtension>) -> Answer;
    #[method(name = "com.example/read")]
    async fn slash(&self, cx: &Cx<GradingExtension>) -> Answer;
    #[method]
    async fn read(&self, cx: &Cx<GradingExtension>) -> Answer;
    #[method(name = "read")]
    async fn read_again(&self, cx: &Cx<GradingExtension>) -> Answer;
    #[tool(name = "Grade-It")]
    async fn upper(&self, cx: &ToolCx<GradingExtension>) -> Answer;
    #[tool]
    async fn a_name_that_is_longer_than_the_forty_characters(&self, cx: &ToolCx<GradingExtension>) -> Answer;
    #[tool]
    async fn grade(&self, cx: &ToolCx<GradingExtension>) -> Answer;
    #[tool(name = "grade")]
    async fn grade_again(&self, cx: &ToolCx<GradingExtension>) -> Answer;
    #[method]
    async fn settings(&self, cx: &Cx<GradingExtension>) -> Answer;
    #[method]
    #[tool]
    async fn count(&self, cx: &ToolCx<GradingExtension>) -> Answer;
    #[tool]
    async fn count_tool(&self, cx: &ToolCx<GradingExtension>) -> Answer;
    #[notification]
    fn progress(params: NoParams);
    #[notification]
    fn changed();
    #[notification(name = "changed")]
    fn changed_again();
    #[cfg(unix)]
    #[method(name = "either")]
    async fn fine_on_unix(&self, cx: &Cx<GradingExtension>) -> Answer;
    #[cfg(not(unix))]
    #[method(name = "either")]
    async fn fine_elsewhere(&self, cx: &Cx<GradingExtension>) -> Answer;
}

fn main() {}
