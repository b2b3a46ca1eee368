//! Faults are told in a crate that knows mcp-ext-core by another name.
extern crate mcp_ext_core as renamed;

use renamed::{Cx, NoParams, extension, settings};

#[settings(crate = ::renamed)]
pub struct Settings {
    /// Has no strategy.
    pub a: bool,
}

#[extension(id = "com.example/a", settings = Settings, crate = ::renamed)]
pub trait Grading {
    #[method(nam = "x")]
    async fn rubrics(&self, cx: &Cx<GradingExtension>) -> Result<NoParams, std::convert::Infallible>;
}

#[extension(id = "com.example/b", crate = super::renamed)]
pub trait Relative {}

fn main() {}
