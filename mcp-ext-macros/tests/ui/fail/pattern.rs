//! A param that is a pattern.
use mcp_ext_core::{Cx, NoParams, extension};

#[extension(id = "com.example/a")]
pub trait Grading {
    #[method]
    async fn pattern(&self, cx: &Cx<GradingExtension>, NoParams {}: NoParams) -> Result<NoParams, std::convert::Infallible>;
}

fn main() {}
