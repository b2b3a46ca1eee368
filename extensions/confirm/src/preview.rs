//! What a call would do, in words for a person.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most effects; the longest of them, of the summary and of the whole text, in bytes. What is longer is cut, and says so. The text of a tool's
/// error holds it with room to spare for the token.
const MOST_EFFECTS: usize = 64;
const LONGEST_EFFECT: usize = 500;
const LONGEST_SUMMARY: usize = 2000;
const LONGEST_TEXT: usize = 5000;

/// What a call would do. Everything in it is made fit to be shown: characters that do not show, or that change the order of
/// others, are written as escapes.
///
/// ```
/// use mcp_ext_confirm::Preview;
///
/// let preview = Preview::new("Release the grades of 31 students?", ["31 grades become visible"]);
/// assert_eq!(preview.effects(), ["31 grades become visible"]);
/// assert_eq!(preview.rendered(), "Release the grades of 31 students?\n- 31 grades become visible");
/// assert_eq!(Preview::new("to \u{202e}live", [""; 0]).rendered(), "to \\u{202e}live");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Preview {
    effects: Vec<String>,
    rendered: String,
}

impl Preview {
    /// A preview: a question or a summary, and the effects one by one.
    #[must_use]
    pub fn new<E: Into<String>>(
        summary: impl AsRef<str>,
        effects: impl IntoIterator<Item = E>,
    ) -> Self {
        let mut effects = effects.into_iter();
        let mut shown: Vec<String> = effects
            .by_ref()
            .take(MOST_EFFECTS)
            .map(|effect| fit(&effect.into(), LONGEST_EFFECT, escaped))
            .collect();
        let more = effects.count();
        if more > 0 {
            shown.push(format!("and {more} more effects that are not listed"));
        }
        let lines = |c: char| if c == '\n' { None } else { escaped(c) };
        let mut rendered = fit(summary.as_ref(), LONGEST_SUMMARY, lines);
        for effect in &shown {
            rendered.push_str("\n- ");
            rendered.push_str(effect);
        }
        Self {
            effects: shown,
            rendered: fit(&rendered, LONGEST_TEXT, |_| None),
        }
    }

    /// The effects, one by one.
    #[must_use]
    pub fn effects(&self) -> &[String] {
        &self.effects
    }

    /// The whole text to be shown, effects included.
    #[must_use]
    pub fn rendered(&self) -> &str {
        &self.rendered
    }
}

/// Cuts a text to so many bytes, and writes some characters as escapes.
fn fit(text: &str, longest: usize, escape: impl Fn(char) -> Option<String>) -> String {
    if text.len() <= longest && text.chars().all(|c| escape(c).is_none()) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len().min(longest));
    for (at, c) in text.char_indices() {
        let written = escape(c).unwrap_or_else(|| c.to_string());
        if out.len() + written.len() > longest {
            let left = text.get(at..).map_or(0, |rest| rest.chars().count());
            out.push_str(&format!("… ({left} more characters are not shown)"));
            return out;
        }
        out.push_str(&written);
    }
    out
}

fn escaped(c: char) -> Option<String> {
    hides(c).then(|| c.escape_unicode().to_string())
}

/// Whether a character does not show, or changes how others show: controls, line and paragraph separators, marks of
/// direction, joiners and fillers, variation selectors and tags, private use.
fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{e000}'..='\u{f8ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
            | '\u{f0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_EFFECT, LONGEST_SUMMARY, LONGEST_TEXT, MOST_EFFECTS, Preview};

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        let preview = Preview::new("x".repeat(LONGEST_SUMMARY + 7), [""; 0]);
        let cut = "… (7 more characters are not shown)";
        assert_eq!(
            preview.rendered().strip_suffix(cut).map(str::len),
            Some(LONGEST_SUMMARY)
        );
        let effects = vec!["é".repeat(LONGEST_EFFECT / 2 + 3); MOST_EFFECTS + 2];
        let preview = Preview::new("x", effects);
        assert!(preview.effects()[0].ends_with("é… (3 more characters are not shown)"));
        assert_eq!(preview.effects().len(), MOST_EFFECTS + 1);
        assert_eq!(
            preview.effects()[MOST_EFFECTS],
            "and 2 more effects that are not listed"
        );
        assert!(preview.rendered().len() < LONGEST_TEXT + 60);
        assert!(
            preview
                .rendered()
                .ends_with("more characters are not shown)")
        );
        let whole = Preview::new(
            "x".repeat(LONGEST_SUMMARY),
            ["é".repeat(LONGEST_EFFECT / 2)],
        );
        assert!(!whole.rendered().contains('…') && !whole.effects()[0].contains('…'));
    }

    #[test]
    fn what_would_not_show_is_escaped() {
        let preview = Preview::new(
            "a\nb\r\u{1b}[2K\u{200b}\u{202e}\u{e0041}",
            ["a\nb\u{2066}c", "日本語, ünï, 😀"],
        );
        assert_eq!(
            preview.rendered(),
            "a\nb\\u{d}\\u{1b}[2K\\u{200b}\\u{202e}\\u{e0041}\n- a\\u{a}b\\u{2066}c\n- 日本語, ünï, 😀"
        );
        assert_eq!(preview.effects(), ["a\\u{a}b\\u{2066}c", "日本語, ünï, 😀"]);
    }
}
