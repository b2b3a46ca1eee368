//! What the macros say about faults, and what they accept, compiled for real.
//!
//! The expected texts hold only what this crate says; `TRYBUILD=overwrite cargo test -p mcp-ext-macros --test ui` writes
//! them anew.

#[test]
fn ui() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/fail/*.rs");
    cases.pass("tests/ui/pass/*.rs");
}
