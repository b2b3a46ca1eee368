//! The item survives its faults: everything made of it is still there, and only the faults are told.
use mcp_ext_core::{Cx, Extension as _, ExtensionError, ExtensionSet, NoParams, ToolCx, extension, handlers, settings};
use std::convert::Infallible;
use std::sync::Arc;

#[settings]
pub struct Settings {
    /// Has no strategy.
    pub a: bool,
}

#[settings]
pub struct Unit;

#[extension(id = "com.example/unit", settings = Unit)]
pub trait OfUnit {}

#[settings]
pub struct Tuple(bool);

#[extension(id = "com.example/tuple", settings = Tuple)]
pub trait OfTuple {}

#[derive(Debug, ExtensionError)]
pub enum Trouble {
    #[error(code = -32000, "no {corse}")]
    Unknown { course: String },
    Unmarked,
}

#[extension(id = "nonsense", settings = Settings, tilte = "x", fallback = Settings { a: true })]
pub trait Grading {
    const LIMIT: usize;
    type Store;

    #[method(nam = "x")]
    async fn sound(&self, cx: &Cx<GradingExtension>, params: NoParams) -> Result<NoParams, Trouble>;
    #[method]
    async fn wrong_cx(&self, cx: &ToolCx<GradingExtension>) -> Result<NoParams, Infallible>;
    #[tool]
    async fn too_many(&self, cx: &ToolCx<GradingExtension>, a: NoParams, b: NoParams) -> Result<NoParams, Trouble>;
    fn helper(&self) -> usize;
    #[notification]
    fn settings(params: NoParams);
}

pub struct Provider;

#[handlers]
impl Grading for Provider {
    const LIMIT: usize = 7;
    type Store = u8;

    async fn sound(&self, cx: &Cx<GradingExtension>, params: NoParams) -> Result<NoParams, Trouble> {
        if cx.settings().a {
            return Err(Trouble::Unknown { course: String::new() });
        }
        Ok(params)
    }
    async fn wrong_cx(&self, cx: &ToolCx<GradingExtension>) -> Result<NoParams, Infallible> {
        let _ = cx.negotiated();
        Ok(NoParams {})
    }
    async fn too_many(&self, _: &ToolCx<GradingExtension>, a: NoParams, _: NoParams) -> Result<NoParams, Trouble> {
        Ok(a)
    }
    fn helper(&self) -> usize {
        7
    }
}

#[extension(id = "com.example/generic")]
pub trait Generic<T: Send + 'static> {
    #[method]
    async fn read(&self, cx: &Cx<GenericExtension>, params: NoParams) -> Result<NoParams, Infallible>;
    #[notification]
    fn changed(params: NoParams);
}

#[handlers]
impl Generic<u8> for Provider {
    async fn read(&self, cx: &Cx<GenericExtension>, params: NoParams) -> Result<NoParams, Infallible> {
        let _ = cx.changed(NoParams {}).await;
        Ok(params)
    }
}

fn call<C: mcp_ext_core::client::Caller>(client: &GradingClient<C>, generic: &GenericClient<C>) {
    drop(client.sound(NoParams {}));
    drop(client.wrong_cx());
    drop(generic.offers("x"));
}

fn main() {
    let _ = ExtensionSet::builder()
        .enable(GradingExtension::provide(Arc::new(Provider)).settings(Settings { a: false }))
        .enable(GenericExtension::provide(Provider))
        .build();
    let _ = GradingExtension::CONTRACT;
    let _: fn(&GradingNotifications) = |sender| drop(sender.settings(NoParams {}));
    let _ = Trouble::Unmarked.to_string();
}
