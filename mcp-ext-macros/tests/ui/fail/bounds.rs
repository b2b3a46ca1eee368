//! What a type cannot do, in words, at the type.
use mcp_ext_core::{Cx, NoParams, ToolCx, extension};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;

pub struct Bare {
    pub a: u8,
}

#[derive(Serialize, Deserialize)]
pub struct NoSchema {
    pub a: u8,
}

#[derive(Debug)]
pub enum NoError {}

pub type NoResult = NoParams;

#[extension(id = "com.example/a")]
pub trait Grading {
    #[method]
    async fn bare_params(&self, cx: &Cx<GradingExtension>, params: Bare) -> Result<NoParams, Infallible>;
    #[tool]
    async fn no_schema(&self, cx: &ToolCx<GradingExtension>, args: NoSchema) -> Result<NoParams, Infallible>;
}

#[extension(id = "com.example/b")]
pub trait Results {
    #[method]
    async fn bare_result(&self, cx: &Cx<ResultsExtension>) -> Result<Bare, Infallible>;
}

#[extension(id = "com.example/c")]
pub trait Errors {
    #[method]
    async fn no_error(&self, cx: &Cx<ErrorsExtension>) -> Result<NoParams, NoError>;
}

#[extension(id = "com.example/d")]
pub trait Answers {
    #[method]
    async fn no_result(&self, cx: &Cx<AnswersExtension>) -> NoResult;
}

#[extension(id = "com.example/e")]
pub trait Fine {}

pub struct Provider;

fn main() {
    let _ = FineExtension::provide(Provider);
    let _ = FineExtension::provide(std::sync::Arc::new(Provider));
}
