//! `#[handlers]` forgotten: what is missing says what to write.
use mcp_ext_core::{Cx, NoParams, extension};

#[extension(id = "com.example/a")]
pub trait Grading {
    #[method]
    async fn a(&self, cx: &Cx<GradingExtension>) -> Result<NoParams, std::convert::Infallible>;
}

pub struct Provider;

impl Grading for Provider {
    async fn a(&self, _: &Cx<GradingExtension>) -> Result<NoParams, std::convert::Infallible> {
        Ok(NoParams {})
    }
}

fn main() {}
