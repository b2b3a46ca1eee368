//! Handlers whose signature is at fault; rustc compares them with the trait only where ours cannot.
use mcp_ext_core::{Cx, NoParams, handlers};

type Answer = Result<NoParams, std::convert::Infallible>;

// Taken away, so that only what `#[handlers]` says is seen.
#[handlers]
#[cfg(any())]
impl Absent for Nobody {}

macro_rules! gone {
    ($($item:item)*) => {};
}

#[handlers]
impl Gone for Nobody {
    fn not_async(&self, cx: &Cx<()>) -> Answer {}
    async fn no_self(cx: &Cx<()>) -> Answer {}
    async fn mutable(&mut self, cx: &Cx<()>) -> Answer {}
    async fn nothing(&self) -> Answer {}
    async fn too_many(&self, cx: &Cx<()>, a: NoParams, b: NoParams) -> Answer {}
}

gone! {}

fn main() {}
