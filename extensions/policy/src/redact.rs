//! Removing parts of a result. Nothing here can add or change a value.

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
        remove(value, std::slice::from_ref(self), &[])
    }

    /// Whether it names this member at the top, or something in it.
    #[cfg(feature = "server")]
    pub(crate) fn is_within(&self, member: &str) -> bool {
        matches!(self.0.first(), Some(Step::Named(name)) if **name == *member)
    }
}

/// Removes the parts that any of the paths names; gives how many there were. Members at the top that are `kept` stay,
/// whole, whatever the paths say.
pub(crate) fn remove(value: &mut Value, paths: &[Path], kept: &[&str]) -> usize {
    let paths: Vec<&[Step]> = paths.iter().map(|path| &*path.0).collect();
    match value {
        Value::Object(members) if !kept.is_empty() => {
            let mut removed = 0;
            members.retain(|name, inner| {
                kept.contains(&name.as_str()) || stays(name, inner, &paths, &mut removed)
            });
            removed
        }
        _ => within(value, &paths),
    }
}

/// All paths at once: elements are counted as they stood before any of them was removed.
fn within(value: &mut Value, paths: &[&[Step]]) -> usize {
    let mut removed = 0;
    match value {
        Value::Object(members) => {
            members.retain(|name, inner| stays(name, inner, paths, &mut removed));
        }
        Value::Array(elements) => {
            let mut index = 0_usize;
            elements.retain_mut(|inner| {
                let stays = stays(&index.to_string(), inner, paths, &mut removed);
                index += 1;
                stays
            });
        }
        _ => {}
    }
    removed
}

/// Whether a member or element stays. What is named within it is removed.
fn stays(name: &str, inner: &mut Value, paths: &[&[Step]], removed: &mut usize) -> bool {
    let rest: Vec<&[Step]> = paths
        .iter()
        .filter_map(|path| match path.split_first() {
            Some((Step::Each, rest)) => Some(rest),
            Some((Step::Named(wanted), rest)) if **wanted == *name => Some(rest),
            _ => None,
        })
        .collect();
    if rest.iter().any(|rest| rest.is_empty()) {
        *removed += 1;
        return false;
    }
    if !rest.is_empty() {
        *removed += within(inner, &rest);
    }
    true
}
