//! `TABLE.md`: every test it names is there, and every row names one.

use std::collections::BTreeSet;

/// Names of test functions, and of modules that hold the tests of one cell.
fn names() -> BTreeSet<String> {
    let sources = [
        include_str!("bad_input.rs"),
        include_str!("checks.rs"),
        include_str!("client.rs"),
        include_str!("combinations.rs"),
        include_str!("complete.rs"),
        include_str!("table.rs"),
        include_str!("traps.rs"),
    ];
    let mut names = BTreeSet::new();
    for source in sources {
        let mut lines = source.lines().peekable();
        while let Some(line) = lines.next() {
            let line = line.trim();
            if line == "#[test]" || line == "#[tokio::test]" {
                let Some(declaration) = lines.peek() else {
                    continue;
                };
                let rest = declaration
                    .trim()
                    .trim_start_matches("async ")
                    .strip_prefix("fn ");
                names.extend(
                    rest.and_then(|rest| rest.split('(').next())
                        .map(str::to_owned),
                );
            }
            if let Some(module) = line
                .strip_prefix("mod ")
                .and_then(|rest| rest.strip_suffix(" {"))
            {
                names.insert(module.to_owned());
            }
        }
        // The cells of the table are made by a macro.
        if let Some((_, cells)) = source.split_once("\ncells!(") {
            let cells = cells.split(");").next().unwrap_or_default();
            names.extend(
                cells
                    .split(',')
                    .map(|cell| cell.trim().to_owned())
                    .filter(|cell| !cell.is_empty()),
            );
        }
    }
    names
}

#[test]
fn every_test_that_the_table_names_exists() {
    let names = names();
    let mut rows = 0;
    for line in include_str!("../../TABLE.md").lines() {
        let Some(row) = line
            .strip_prefix("| ")
            .and_then(|rest| rest.strip_suffix(" |"))
        else {
            continue;
        };
        let (fact, tests) = row.rsplit_once(" | ").expect("two columns");
        if fact == "fact" {
            continue;
        }
        rows += 1;
        let tests: Vec<_> = tests
            .split(", ")
            .map(|name| name.trim_matches('`'))
            .collect();
        assert!(!tests.is_empty());
        for test in tests {
            assert!(
                names.contains(test),
                "no test {test}, which is to keep true: {fact}"
            );
        }
    }
    assert!(rows > 30, "{rows} rows");
}
