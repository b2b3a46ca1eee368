//! Keys that are misspelt, given twice, or written in the wrong form.
use mcp_ext_core::{Cx, ExtensionError, NoParams, ToolCx, extension, handlers, settings};
use std::convert::Infallible;

type Answer = Result<NoParams, Infallible>;

#[extension(idd = "com.example/a", id = "com.example/a", tilte = "A", revison = "1", foo)]
pub trait Misspelt {}

#[extension(id = "com.example/b", protocol(minn = "2026-07-28"), settings(sever = NoParams), meta(requests("a": u8)))]
pub trait Nested {}

#[extension(id = "com.example/c", title = "One", title = "Two")]
pub trait Twice {}

#[extension(id = 7, title, stability(beta), settings, requires = NoParams, known_revisions(1), fallback)]
pub trait WrongForm {}

#[extension("com.example/d", id = "com.example/d" title = "D")]
pub trait NoKey {}

#[extension(id = "com.example/e", title = " ", official(prefx = "x"))]
pub trait Empty {}

#[extension(id = "com.example/f", crate = mcp_ext_core)]
pub trait Relative {}

#[extension(id = "com.example/g")]
pub trait Items {
    #[method(nam = "x", optinal = "x", mcp_nam = "/a", shape_clashes = "", read_only)]
    async fn method(&self, cx: &Cx<ItemsExtension>) -> Answer;

    #[tool(titel = "X", hint(read_only), gate)]
    async fn first(&self, cx: &ToolCx<ItemsExtension>) -> Answer;

    #[tool(hints(readonly, destructiv = false, idempotent = "yes"), gated = true, sensitive(1), echo)]
    async fn second(&self, cx: &ToolCx<ItemsExtension>) -> Answer;

    #[notification(lisen)]
    fn third();

    #[method = "x"]
    async fn fourth(&self, cx: &Cx<ItemsExtension>) -> Answer;

    #[method]
    #[method(name = "again")]
    async fn fifth(&self, cx: &Cx<ItemsExtension>) -> Answer;
}

pub struct Provider;

#[handlers(create = ::mcp_ext_core, crate = self::x)]
impl Misspelt for Provider {}

#[settings(by_hands(Default))]
pub struct Settings {
    /// A field.
    #[negotiate(intersects)]
    pub a: Vec<u8>,
    /// A field.
    #[negotiate(mni)]
    pub b: u8,
    /// A field.
    #[negotiate(with, preference)]
    pub c: u8,
}

#[settings(by_hand(Defualt))]
pub struct ByHand {}

#[derive(Debug, ExtensionError)]
#[error(crat = ::mcp_ext_core)]
pub enum Trouble {
    #[error(cod = 4100, "a")]
    A,
    #[error(code = "4101", "b")]
    B,
    #[error(code = 4102, knd = "c", retry, "c")]
    C {
        #[error(secret)]
        secret: u8,
    },
}

fn main() {}
