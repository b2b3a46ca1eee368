//! Attributes that are misspelt, missing, or of the wrong kind of item.
use mcp_ext_core::{Cx, ExtensionError, NoParams, ToolCx, extension, handlers, settings};
use std::convert::Infallible;

type Answer = Result<NoParams, Infallible>;

#[extension(id = "com.example/a")]
pub trait Misspelt {
    #[methd]
    async fn one(&self, cx: &Cx<MisspeltExtension>) -> Answer;
    #[tools]
    async fn two(&self, cx: &ToolCx<MisspeltExtension>) -> Answer;
    #[notifcation]
    fn three();
    /// Not marked.
    async fn four(&self, cx: &Cx<MisspeltExtension>) -> Answer;
    #[method]
    #[notification]
    fn six();
}

#[settings]
pub struct Negotated {
    /// A field.
    #[negotate(and)]
    pub a: bool,
}

#[derive(Debug, ExtensionError)]
pub enum Unmarked {
    B,
}

#[extension(id = "com.example/b")]
pub struct NotATrait;

#[extension(id = "com.example/b")]
pub fn not_a_trait() {}

#[handlers]
pub struct NotAnImpl;

#[handlers]
impl NotAnImpl {}

#[settings]
pub enum NotAStruct {
    A,
}

#[derive(Debug, ExtensionError)]
pub struct NotAnEnum {
    a: u8,
}

fn main() {}
