//! An official extension has bare method prefixes.
#![deny(warnings)]

use mcp_ext_core::{Cx, Extension, NoParams, NoSettings, extension};
use std::convert::Infallible;

#[extension(id = "io.modelcontextprotocol/tasks", official(prefix = "tasks"))]
pub trait Tasks {
    #[method]
    async fn get(&self, cx: &Cx<TasksExtension>) -> Result<NoParams, Infallible>;
    #[notification]
    fn status();
}

#[extension(
    id = "io.modelcontextprotocol/skills",
    official,
    settings(server = NoSettings, client = NoSettings, negotiated = NoSettings),
    fallback = NoSettings {}
)]
pub trait Skills {
    #[method]
    async fn list_all(&self, cx: &Cx<SkillsExtension>) -> Result<NoParams, Infallible>;
}

fn main() {
    let tasks = TasksExtension::CONTRACT;
    assert!(tasks.official);
    assert_eq!(tasks.items[0].method.unwrap().wire, "tasks/get");
    assert_eq!(tasks.notifications[0].wire, "notifications/tasks/status");
    assert_eq!(SkillsExtension::CONTRACT.items[0].method.unwrap().wire, "skills/listAll");
}
