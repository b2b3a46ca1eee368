//! The `mcp-ext` command.
fn main() {}
