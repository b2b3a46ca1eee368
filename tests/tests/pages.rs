//! The README and every page of the book are run as tests of their examples.

use std::path::Path;

const LIB: &str = include_str!("../src/lib.rs");

/// Blocks of Rust in a page, and those that are only shown.
fn blocks(text: &str) -> (usize, usize) {
    let fences = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("```"));
    let (mut run, mut shown, mut inside) = (0, 0, false);
    for info in fences {
        if !inside {
            run += usize::from(matches!(info, "rust" | "rust,no_run"));
            shown += usize::from(info.starts_with("rust,") && info != "rust,no_run");
        }
        inside = !inside;
    }
    (run, shown)
}

#[test]
fn every_page_is_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut pages = vec!["README.md".to_owned()];
    for entry in std::fs::read_dir(root.join("docs/src")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".md") && name != "SUMMARY.md" {
            pages.push(format!("docs/src/{name}"));
        }
    }
    let mut examples = 0;
    for page in pages {
        let include = format!("include_str!(\"../../{page}\")");
        assert!(LIB.contains(&include), "tests/src/lib.rs lacks {include}");
        let text = std::fs::read_to_string(root.join(&page)).unwrap();
        let (run, shown) = blocks(&text);
        println!("{page}: {run} examples are compiled, {shown} are only shown");
        examples += run;
    }
    // Two of the README, one of the page on writing an extension.
    assert!(examples >= 3, "{examples} examples");
}
