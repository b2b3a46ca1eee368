//! An item that has no name of a type.
use mcp_ext_core::settings;

#[settings]
macro_rules! not_a_struct {
    () => {};
}

not_a_struct!();

fn main() {}
