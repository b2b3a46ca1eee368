//! What came out, as the table of the book.

use std::fmt::Write as _;

use mcp_ext_acceptance::{CHECKS, Check, Place};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/acceptance.md");
const BEGIN: &str = "<!-- the test writes this -->\n";
const END: &str = "<!-- end -->\n";
const HEAD: &str = "| | stdio modern | stdio legacy | HTTP modern | HTTP legacy |\n";

/// One server in one column.
pub struct Column {
    place: Place,
    pub held: usize,
    pub impossible: Option<&'static str>,
    pub lost: Vec<(&'static Check, &'static str)>,
    pub failed: Vec<(&'static Check, String)>,
}

impl Column {
    pub fn new(place: Place) -> Self {
        Self {
            place,
            held: 0,
            impossible: None,
            lost: Vec::new(),
            failed: Vec::new(),
        }
    }

    /// Whether no check of a topic can hold, for one reason.
    fn has_nothing_of(&self, topic: &str) -> bool {
        let lost: Vec<_> = self.lost.iter().filter(|(c, _)| c.topic == topic).collect();
        let all = CHECKS.iter().flat_map(|topic| topic.iter());
        let there = all.filter(|c| c.topic == topic && c.applies(self.place));
        lost.len() > 1
            && lost.len() == there.count()
            && lost.windows(2).all(|pair| pair[0].1 == pair[1].1)
    }
}

pub struct Report {
    pub rows: Vec<(&'static str, Vec<Column>)>,
    /// Whether every cell was played.
    pub complete: bool,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            complete: true,
        }
    }
}

impl Report {
    pub fn table(&self) -> String {
        let mut table = format!("{HEAD}|---|---|---|---|---|\n");
        let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
        let mut reason = |text: String, place: String| match reasons
            .iter_mut()
            .find(|(known, _)| *known == text)
        {
            Some((_, places)) if places.contains(&place) => {}
            Some((_, places)) => places.push(place),
            None => reasons.push((text, vec![place])),
        };
        for (name, columns) in &self.rows {
            let _ = write!(table, "| {name} |");
            for place in Place::ALL {
                let cell = columns.iter().find(|c| c.place == place);
                let _ = match cell {
                    None => write!(table, " - |"),
                    Some(column) if column.impossible.is_some() => write!(table, " cannot |"),
                    Some(column) => write!(
                        table,
                        " {}/{} |",
                        column.held,
                        column.held + column.failed.len()
                    ),
                };
                let Some(column) = cell else { continue };
                if let Some(why) = column.impossible {
                    reason(format!("{name}: {why}"), place.to_string());
                }
                for (check, why) in &column.lost {
                    let what = if column.has_nothing_of(check.topic) {
                        format!("all of {}", check.topic)
                    } else {
                        format!("*{}*", check.name)
                    };
                    reason(format!("{name}, {what}: {why}"), place.to_string());
                }
            }
            table.push('\n');
        }
        table.push_str("\nWhat cannot hold, and is not counted:\n\n");
        for (text, places) in reasons {
            let _ = writeln!(table, "- {text} ({})", places.join(", "));
        }
        table
    }

    /// Fails for what does not hold, and for a page that says something else.
    pub fn settle(&self) {
        let mut wrong = String::new();
        for (name, columns) in &self.rows {
            for column in columns {
                for (check, why) in &column.failed {
                    let _ = writeln!(
                        wrong,
                        "{name}, {}, {}: {}\n    {why}",
                        column.place, check.topic, check.name
                    );
                }
            }
        }
        assert!(wrong.is_empty(), "\n{wrong}");
        if !self.complete {
            return;
        }
        let page = std::fs::read_to_string(PAGE).expect("the page is there");
        let (head, rest) = page
            .split_once(BEGIN)
            .expect("the page has a place for the table");
        let (said, tail) = rest.split_once(END).expect("the place has an end");
        let table = self.table();
        if std::env::var_os("MCP_EXT_ACCEPTANCE_WRITE").is_some() {
            std::fs::write(PAGE, format!("{head}{BEGIN}{table}{END}{tail}"))
                .expect("the page can be written");
        } else {
            assert_eq!(
                said, table,
                "docs/src/acceptance.md says something else; MCP_EXT_ACCEPTANCE_WRITE=1 writes it"
            );
        }
    }
}
