//! The book's table of what each adapter can carry, against the adapters themselves.

use mcp_ext::Carries;

const PAGE: &str = include_str!("../../docs/src/adapters.md");

#[test]
fn the_books_table_is_what_the_adapters_say() {
    // The tests of adapters that are workspaces of their own look for their own row.
    let adapters = [mcp_ext::rmcp::CARRIES, mcp_ext_wire::CARRIES];
    let word = |can: bool| if can { "yes" } else { "no" };
    let row = |a: &Carries| {
        format!(
            "| {} | {} | {} | {} | {} |",
            a.adapter,
            word(a.request_notifications),
            word(a.listen_notifications),
            word(a.mcp_name),
            word(a.stateless_legacy_declarations),
        )
    };
    for adapter in &adapters {
        let row = row(adapter);
        assert!(PAGE.lines().any(|line| line == row), "{row}");
    }
}
