//! What holds for everything that ships here.
#![cfg(feature = "healthcare")]

use mcp_ext::wire::{VENDOR_PREFIX, meta};

// Naming the facade links what its features enable.
use mcp_ext as _;

#[test]
fn everything_that_ships_has_the_vendor_prefix() {
    let linked = mcp_ext::registry::linked().unwrap();
    assert!(!linked.is_empty());
    for contract in linked {
        assert!(
            contract.id.as_str().starts_with(VENDOR_PREFIX),
            "{}",
            contract.id
        );
        assert!(contract.id.warnings().is_empty(), "{}", contract.id);
        assert!(contract.revision.is_some(), "ID-11: {}", contract.id);
        assert!(
            contract.docs.contains("# Fallback"),
            "ID-13: {}",
            contract.id
        );
        assert!(contract.schema().is_ok(), "{}", contract.id);
    }
    for key in [meta::EXTENSION, meta::REQUIRED_CAPABILITIES] {
        assert!(key.starts_with(VENDOR_PREFIX), "{key}");
    }
}

#[test]
fn id_10_nothing_claims_endorsement() {
    for contract in mcp_ext::registry::linked().unwrap() {
        let words =
            format!("{} {}", contract.title.unwrap_or_default(), contract.docs).to_lowercase();
        for claim in ["official", "certified", "compliant", "endorsed"] {
            assert!(!words.contains(claim), "{}: {claim}", contract.id);
        }
    }
}
