//! Removing parts of a result. Nothing here can add or change a value.

use std::collections::BTreeSet;

use mcp_ext_labels::Line;
use serde_json::Value;

/// Longest path, in bytes.
const MAX_BYTES: usize = 512;

/// Most steps of a path.
const MAX_STEPS: usize = 32;

/// Names parts of a result: a JSON pointer (RFC 6901), in which the step `*` stands for every member or element.
///
/// ```
/// use mcp_ext_policy::Path;
/// use serde_json::json;
///
/// let mut result = json!({ "matches": [{ "title": "Ives", "id": 1 }, { "title": "Bex", "id": 2 }] });
/// let path: Path = "/matches/*/title".parse()?;
/// assert_eq!(path.remove_from(&mut result), 2);
/// assert_eq!(result, json!({ "matches": [{ "id": 1 }, { "id": 2 }] }));
/// # Ok::<(), mcp_ext_policy::NotAPath>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Path(Box<[Step]>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Each,
    Named(Box<str>),
}

/// A text names no parts of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a JSON pointer of 1 to {MAX_STEPS} steps and at most {MAX_BYTES} bytes, such as /matches/*/title; seen: a text of {length} bytes"
)]
pub struct NotAPath {
    /// Bytes of what was given.
    pub length: usize,
}

impl std::str::FromStr for Path {
    type Err = NotAPath;

    fn from_str(text: &str) -> Result<Self, NotAPath> {
        let fault = NotAPath { length: text.len() };
        if text.len() > MAX_BYTES {
            return Err(fault);
        }
        let steps = text.strip_prefix('/').ok_or(fault)?.split('/');
        let steps: Box<[Step]> = steps
            .map(|step| match step {
                "*" => Ok(Step::Each),
                _ => unescaped(step)
                    .map(|name| Step::Named(name.into()))
                    .ok_or(fault),
            })
            .collect::<Result<_, _>>()?;
        if steps.len() > MAX_STEPS {
            return Err(fault);
        }
        Ok(Self(steps))
    }
}

fn unescaped(step: &str) -> Option<String> {
    let mut out = String::with_capacity(step.len());
    let mut chars = step.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '~' => match chars.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            c => c,
        });
    }
    Some(out)
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|step| match step {
            Step::Each => f.write_str("/*"),
            Step::Named(name) => write!(f, "/{}", name.replace('~', "~0").replace('/', "~1")),
        })
    }
}

impl Path {
    /// Removes the parts from a value; gives how many there were. What is not there is no part.
    pub fn remove_from(&self, value: &mut Value) -> usize {
        remove(value, std::slice::from_ref(self), &[]).parts
    }

    /// Whether it names this member at the top, or something in it.
    #[cfg(feature = "server")]
    pub(crate) fn is_within(&self, member: &str) -> bool {
        matches!(self.0.first(), Some(Step::Named(name)) if **name == *member)
    }
}

/// What was removed.
#[derive(Debug, Default)]
pub(crate) struct Removed {
    /// How many parts.
    parts: usize,
    /// How each text and number in them begins, as a line of text would show it.
    texts: BTreeSet<String>,
}

/// Removes the parts that any of the paths names. Members at the top that are `kept` stay, whole, whatever the paths say.
pub(crate) fn remove(value: &mut Value, paths: &[Path], kept: &[&str]) -> Removed {
    let paths: Vec<&[Step]> = paths.iter().map(|path| &*path.0).collect();
    let mut removed = Removed::default();
    match value {
        Value::Object(members) if !kept.is_empty() => {
            members.retain(|name, inner| {
                kept.contains(&name.as_str()) || stays(name, inner, &paths, &mut removed)
            });
        }
        _ => within(value, &paths, &mut removed),
    }
    removed
}

/// All paths at once: elements are counted as they stood before any of them was removed.
fn within(value: &mut Value, paths: &[&[Step]], removed: &mut Removed) {
    match value {
        Value::Object(members) => {
            members.retain(|name, inner| stays(name, inner, paths, removed));
        }
        Value::Array(elements) => {
            let mut index = 0_usize;
            elements.retain_mut(|inner| {
                let stays = stays(&index.to_string(), inner, paths, removed);
                index += 1;
                stays
            });
        }
        _ => {}
    }
}

/// Whether a member or element stays. What is named within it is removed.
fn stays(name: &str, inner: &mut Value, paths: &[&[Step]], removed: &mut Removed) -> bool {
    let rest: Vec<&[Step]> = paths
        .iter()
        .filter_map(|path| match path.split_first() {
            Some((Step::Each, rest)) => Some(rest),
            Some((Step::Named(wanted), rest)) if **wanted == *name => Some(rest),
            _ => None,
        })
        .collect();
    if rest.iter().any(|rest| rest.is_empty()) {
        removed.parts += 1;
        removed.texts_of(inner);
        return false;
    }
    if !rest.is_empty() {
        within(inner, &rest, removed);
    }
    true
}

/// How much of a removed text is looked for: others may have cut it.
const BEGINNING: usize = 16;

/// Most different texts that are looked for. Of more than that, everything counts as repeated.
const MOST_TEXTS: usize = 1000;

/// Text of fewer characters is looked for as a word.
#[cfg(feature = "server")]
const SHORT: usize = 4;

impl Removed {
    #[cfg(feature = "server")]
    pub(crate) fn is_empty(&self) -> bool {
        self.parts == 0
    }

    #[cfg(feature = "server")]
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.parts += other.parts;
        self.texts.extend(other.texts);
        self
    }

    fn texts_of(&mut self, value: &Value) {
        match value {
            Value::String(text) if text.trim().is_empty() => {}
            // Enough to know that there are too many.
            _ if self.texts.len() > MOST_TEXTS => {}
            Value::String(text) => {
                self.texts.insert(as_shown(text.trim(), BEGINNING));
            }
            Value::Number(number) => {
                self.texts.insert(number.to_string());
            }
            Value::Array(elements) => elements.iter().for_each(|inner| self.texts_of(inner)),
            Value::Object(members) => members.values().for_each(|inner| self.texts_of(inner)),
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// Whether a text repeats something of it, or the beginning of it.
    #[cfg(feature = "server")]
    pub(crate) fn is_repeated_in(&self, text: &str) -> bool {
        if self.texts.len() > MOST_TEXTS {
            return true;
        }
        let text = as_shown(text, usize::MAX);
        self.texts.iter().any(|removed| {
            let word = removed.chars().count() < SHORT;
            text.match_indices(removed.as_str()).any(|(at, found)| {
                let (before, after) = (&text[..at], &text[at + found.len()..]);
                !(word
                    && (before.ends_with(char::is_alphanumeric)
                        || after.starts_with(char::is_alphanumeric)))
            })
        })
    }

    /// Whether a value repeats something of it, in a text or as a number.
    #[cfg(feature = "server")]
    pub(crate) fn is_repeated_within(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.is_repeated_in(text),
            Value::Number(number) => self.is_repeated_in(&number.to_string()),
            Value::Array(elements) => elements.iter().any(|inner| self.is_repeated_within(inner)),
            Value::Object(members) => members
                .iter()
                .any(|(name, inner)| self.is_repeated_in(name) || self.is_repeated_within(inner)),
            Value::Null | Value::Bool(_) => false,
        }
    }
}

/// The beginning of a text as it stands in one line, with no more and no less replaced than other blocks replace in theirs.
fn as_shown(text: &str, most: usize) -> String {
    let beginning: String = text.chars().take(most).collect();
    Line::<{ usize::MAX }>::lossy(&beginning).to_string()
}

#[cfg(all(test, feature = "server"))]
mod tests {
    use super::{MOST_TEXTS, remove};
    use mcp_ext_labels::Line;
    use serde_json::json;

    #[test]
    fn what_is_removed_is_found_in_a_line_with_its_marks_of_direction_replaced() {
        let name = "Ana\u{200f}\u{2028}Ives";
        let mut value = json!({ "name": name });
        let removed = remove(&mut value, &["/name".parse().unwrap()], &[]);
        let line = Line::<80>::lossy(&format!("Source: a letter to {name}"));
        assert!(removed.is_repeated_in(line.as_str()));
        assert!(removed.is_repeated_in(&format!("Source: a letter to {name}")));
        assert!(!removed.is_repeated_in("Source: a letter to Bex"));
    }

    #[test]
    fn of_more_than_can_be_looked_for_everything_counts_as_repeated() {
        let removed = |count: usize| {
            let names: Vec<String> = (0..count).map(|n| format!("name {n}")).collect();
            let mut value = json!({ "names": names, "again": names });
            remove(&mut value, &["/*".parse().unwrap()], &[])
        };
        assert!(!removed(MOST_TEXTS).is_repeated_in("Source: a letter"));
        let many = removed(50 * MOST_TEXTS);
        assert_eq!(many.texts.len(), MOST_TEXTS + 1);
        assert!(many.is_repeated_in("Source: a letter"));
        assert!(many.is_repeated_within(&json!([{ "name": "Bex" }])));
    }
}
