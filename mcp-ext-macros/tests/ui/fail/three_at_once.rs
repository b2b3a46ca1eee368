//! Three faults in one trait are told at once, each at its token.
use mcp_ext_core::{Cx, NoParams, extension};

#[extension(id = "com.example", tilte = "T")]
pub trait Grading {
    #[method]
    fn rubrics(&self, cx: &Cx<GradingExtension>) -> Result<NoParams, std::convert::Infallible>;
}

fn main() {}
