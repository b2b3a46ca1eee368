//! Doc comments as descriptions: what rustdoc shows to programmers is also read by people and models elsewhere.

/// The text without Rust examples and without the line breaks of the source.
///
/// Lines of one paragraph are joined; paragraphs, list items, table rows, headings and code that is not Rust stay as
/// they are.
pub(crate) fn prose(docs: &str) -> String {
    let mut out = String::with_capacity(docs.len());
    // What a fence that is open began with, and whether its lines are kept.
    let mut fence: Option<(&str, bool)> = None;
    // Whether the next line belongs to the paragraph of the last one.
    let mut joins = false;
    for line in docs.lines() {
        let trimmed = line.trim();
        if let Some((mark, kept)) = fence {
            if kept {
                break_line(&mut out);
                out.push_str(line.trim_end());
            }
            if trimmed == mark {
                fence = None;
                joins = false;
            }
            continue;
        }
        if let Some(mark) = ["```", "~~~"].into_iter().find(|m| trimmed.starts_with(m)) {
            let kept = !is_rust(&trimmed[mark.len()..]);
            if kept {
                break_line(&mut out);
                out.push_str(trimmed);
            }
            fence = Some((mark, kept));
            continue;
        }
        if trimmed.is_empty() {
            if !out.is_empty() && !out.ends_with("\n\n") {
                break_line(&mut out);
                out.push('\n');
            }
            joins = false;
            continue;
        }
        if joins && !starts_anew(trimmed) {
            out.push(' ');
        } else {
            break_line(&mut out);
        }
        out.push_str(trimmed);
        joins = !trimmed.starts_with(['#', '|']);
    }
    out.truncate(out.trim_end().len());
    out
}

fn break_line(out: &mut String) {
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
}

/// Whether a line begins a list item, a table row, a quotation or a heading.
fn starts_anew(line: &str) -> bool {
    let after_digits = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let numbered = after_digits.len() < line.len() && after_digits.starts_with(". ");
    numbered
        || ["- ", "* ", "+ ", "> ", "# ", "## ", "### ", "|"]
            .iter()
            .any(|m| line.starts_with(m))
}

/// Whether rustdoc takes a block of this info string for Rust.
fn is_rust(info: &str) -> bool {
    let words = info.split([',', ' ', '\t']).filter(|word| !word.is_empty());
    let mut rust = true;
    for word in words {
        rust &= matches!(
            word,
            "rust"
                | "ignore"
                | "no_run"
                | "should_panic"
                | "compile_fail"
                | "test_harness"
                | "standalone_crate"
        ) || word.starts_with("edition")
            || word.starts_with("ignore-");
    }
    rust
}

#[cfg(test)]
mod tests {
    use super::prose;

    #[test]
    fn lines_of_a_paragraph_are_joined() {
        assert_eq!(prose("One\ntwo\nthree.\n"), "One two three.");
        assert_eq!(
            prose("One\ntwo.\n\n\nThree\n  four.\n"),
            "One two.\n\nThree four."
        );
        assert_eq!(prose(""), "");
        assert_eq!(prose("\n\n One\n"), "One");
    }

    #[test]
    fn lists_and_tables_keep_their_lines() {
        assert_eq!(
            prose(
                "Kinds:\n- one, which\n  is long\n- two\n\n1. first\n2. second\n10.5 is a number\n"
            ),
            "Kinds:\n- one, which is long\n- two\n\n1. first\n2. second 10.5 is a number"
        );
        assert_eq!(
            prose("# Title\ntext\n| a | b |\n|---|---|\n| 1 | 2 |"),
            "# Title\ntext\n| a | b |\n|---|---|\n| 1 | 2 |"
        );
    }

    #[test]
    fn rust_is_left_out_and_other_code_stays() {
        assert_eq!(prose("Set.\n\n```\nuse a::b;\n\nlet x = 1;\n```\n"), "Set.");
        assert_eq!(
            prose("Set.\n\n```rust,no_run\n# x\n```\nMore."),
            "Set.\n\nMore."
        );
        assert_eq!(
            prose("Such as\n```json\n{\n  \"a\": 1\n}\n```\nand\nmore."),
            "Such as\n```json\n{\n  \"a\": 1\n}\n```\nand more."
        );
        assert_eq!(prose("Unclosed\n```\nlet x;"), "Unclosed");
    }
}
