//! Notifications.
use mcp_ext_core::{NoParams, extension};

#[extension(id = "com.example/a")]
pub trait Grading {
    #[notification]
    fn with_self(&self, params: NoParams);
    #[notification]
    async fn awaited(params: NoParams);
    #[notification]
    fn answered(params: NoParams) -> u8;
    #[notification]
    fn two(a: NoParams, b: NoParams);
    #[notification]
    fn body(params: NoParams) {}
    #[notification]
    fn reference(params: &NoParams);
    #[notification]
    fn sound(params: NoParams);
    #[notification]
    fn generic<T>(params: T);
}

fn main() {}
