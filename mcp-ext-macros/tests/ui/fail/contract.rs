//! Keys of the extension whose values do not fit together.
use mcp_ext_core::{NoSettings, extension};

#[extension(id = "com.example/a", known_revisions("1"))]
pub trait KnownWithout {}
#[extension(id = "com.example/b", revision = "2", known_revisions("1", "2"))]
pub trait TwiceRevision {}
#[extension(id = "com.example/c", stability = "stabel")]
pub trait Stability {}
#[extension(id = "com.example/d", stability = "finished")]
pub trait StabilityFar {}
#[extension(id = "com.example/e", protocol(min = "2026-07-27", max = "later"))]
pub trait Protocol {}
#[extension(id = "com.example/f", protocol(min = "2026-07-28", max = "2025-11-25"))]
pub trait Order {}
#[extension(id = "com.example/g", fallback = NoSettings {})]
pub trait Fallback {}
#[extension(id = "com.example/h", settings(server = NoSettings))]
pub trait Incomplete {}
#[extension(id = "com.example/i", meta(request("a b": u8), result("x": u8, "x": u8), tool("": u8)))]
pub trait Meta {}

fn main() {}
