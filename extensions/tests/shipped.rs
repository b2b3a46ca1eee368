//! What holds for everything that ships here.
#![cfg(feature = "healthcare")]

use std::path::Path;

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

/// The root of the workspace, where the manifests and the README are.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

#[test]
fn id_10_nothing_claims_endorsement() {
    let mut words: Vec<(String, String)> = Vec::new();
    for contract in mcp_ext::registry::linked().unwrap() {
        let text = format!("{} {}", contract.title.unwrap_or_default(), contract.docs);
        words.push((contract.id.to_string(), text));
    }
    let extensions = root().join("extensions");
    let crates = std::fs::read_dir(&extensions)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    for place in crates.chain([extensions.clone()]) {
        let Ok(manifest) = std::fs::read_to_string(place.join("Cargo.toml")) else {
            continue;
        };
        let told = |line: &&str| line.starts_with("name = ") || line.starts_with("description = ");
        let lines: Vec<_> = manifest.lines().filter(told).collect();
        assert!(lines.len() >= 2, "{}", place.display());
        words.push((place.display().to_string(), lines.join(" ")));
    }
    assert!(words.len() > 2);
    for (what, text) in words {
        for claim in ["official", "certified", "compliant", "endorsed"] {
            assert!(!text.to_lowercase().contains(claim), "{what}: {claim}");
        }
    }
}

#[test]
fn neg_03_the_readme_lists_every_extension() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    for contract in mcp_ext::registry::linked().unwrap() {
        assert!(
            readme.contains(&format!("`{}`", contract.id)),
            "README.md does not name {}",
            contract.id
        );
    }
}

#[test]
fn hdr_08_no_argument_that_names_a_person_goes_into_a_header() {
    for contract in mcp_ext::registry::linked().unwrap() {
        for item in contract.items.iter().filter(|item| item.tool.is_some()) {
            let schema = mcp_ext::schema::tool_schema(&item.params).unwrap();
            assert!(
                !schema.to_string().contains("x-mcp-header"),
                "{} of {}: a proxy logs headers, and these tools take what identifies people",
                item.name,
                contract.id
            );
        }
    }
}
