//! Handlers whose form is at fault.
use mcp_ext_core::{Cx, NoParams, extension, handlers};
use std::convert::Infallible;

type Answer = Result<NoParams, Infallible>;

#[extension(id = "com.example/a")]
pub trait Grading {
    #[method]
    async fn a(&self, cx: &Cx<GradingExtension>, params: NoParams) -> Answer;
}

pub struct Marked;

#[handlers]
impl Grading for Marked {
    #[method]
    async fn a(&self, _: &Cx<GradingExtension>, _: NoParams) -> Answer {
        Ok(NoParams {})
    }
}

pub struct ByHand;

#[handlers]
impl Grading for ByHand {
    async fn a(&self, _: &Cx<GradingExtension>, _: NoParams) -> Answer {
        Ok(NoParams {})
    }
    const WRITE_HANDLERS_ABOVE_THIS_IMPL: &'static [&'static str] = &[];
}

fn main() {}
