//! Conditions on attributes of ours.
use mcp_ext_core::{Cx, NoParams, extension};

#[extension(id = "com.example/a")]
pub trait Grading {
    #[cfg_attr(all(), method)]
    async fn a(&self, cx: &Cx<GradingExtension>) -> Result<NoParams, std::convert::Infallible>;
}

fn main() {}
