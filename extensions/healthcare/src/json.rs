//! A JSON tree that keeps every number as its text. `serde_json::Value` would round them.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Deepest nesting of a resource. FHIR's own examples stay below 20.
const MAX_DEPTH: usize = 64;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Node>),
    Object(BTreeMap<String, Node>),
}

/// Why a text is no tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JsonError {
    Syntax,
    TooDeep,
    DuplicateMember,
}

impl Node {
    pub(crate) fn parse(text: &str) -> Result<Self, JsonError> {
        let raw: &RawValue = serde_json::from_str(text).map_err(|_| JsonError::Syntax)?;
        Self::from_raw(raw, MAX_DEPTH)
    }

    fn from_raw(raw: &RawValue, depth: usize) -> Result<Self, JsonError> {
        let text = raw.get();
        let depth = depth.checked_sub(1).ok_or(JsonError::TooDeep)?;
        fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, JsonError> {
            serde_json::from_str(text).map_err(|_| JsonError::Syntax)
        }
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let mut members = BTreeMap::new();
                for (name, value) in parse::<Members<'_>>(text)?.0 {
                    // Two readers could each take another one of the two, and so disagree whose resource it is.
                    if members
                        .insert(name, Self::from_raw(value, depth)?)
                        .is_some()
                    {
                        return Err(JsonError::DuplicateMember);
                    }
                }
                Self::Object(members)
            }
            Some(b'[') => Self::List(
                parse::<Vec<&RawValue>>(text)?
                    .into_iter()
                    .map(|item| Self::from_raw(item, depth))
                    .collect::<Result<_, _>>()?,
            ),
            Some(b'"') => Self::Text(parse(text)?),
            Some(b't' | b'f') => Self::Bool(parse(text)?),
            Some(b'n') => Self::Null,
            _ => Self::Number(text.to_owned()),
        })
    }

    /// The member of that name, if this is an object that has it.
    pub(crate) fn get(&self, name: &str) -> Option<&Node> {
        match self {
            Self::Object(members) => members.get(name),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text of a member.
    pub(crate) fn text_of(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Self::text)
    }

    /// The items of a list, or the one thing this is. FHIR repeats an element by making it a list.
    pub(crate) fn items(&self) -> &[Node] {
        match self {
            Self::List(items) => items,
            Self::Null => &[],
            other => std::slice::from_ref(other),
        }
    }

    /// Everything a dotted path leads to, lists flattened. A step may filter: `telecom(system=email)`.
    pub(crate) fn at<'a>(&'a self, path: &str) -> Vec<&'a Node> {
        let mut found = vec![self];
        for step in path.split('.') {
            let (name, filter) = match step.strip_suffix(')').and_then(|s| s.split_once('(')) {
                Some((name, filter)) => (name, filter.split_once('=')),
                None => (step, None),
            };
            found = found
                .into_iter()
                .filter_map(|node| node.get(name))
                .flat_map(Node::items)
                .filter(|node| **node != Node::Null)
                .filter(|node| {
                    filter.is_none_or(|(member, wanted)| node.text_of(member) == Some(wanted))
                })
                .collect();
        }
        found
    }

    /// The first text a path leads to.
    pub(crate) fn first_text(&self, path: &str) -> Option<&str> {
        self.at(path).into_iter().find_map(Node::text)
    }
}

/// The members of an object, in order, duplicates kept.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::{JsonError, Node};

    #[test]
    fn numbers_keep_their_text() {
        let node = Node::parse(r#"{"a": [1.00, 1E-22, -0]}"#).unwrap();
        let texts: Vec<_> = node.at("a").into_iter().cloned().collect();
        assert_eq!(
            texts,
            ["1.00", "1E-22", "-0"].map(|t| Node::Number(t.to_owned()))
        );
    }

    #[test]
    fn paths_flatten_and_filter() {
        let node = Node::parse(r#"{"t": [{"system": "email", "v": ["a", null]}, {"system": "phone", "v": "b"}], "u": {"v": 1}}"#).unwrap();
        assert_eq!(node.at("t(system=email).v"), [&Node::Text("a".to_owned())]);
        assert_eq!(node.at("t.v").len(), 2);
        assert_eq!(node.at("t.v.w").len(), 0);
        assert_eq!(node.at("u.v").len(), 1);
    }

    #[test]
    fn hostile_texts_are_refused() {
        assert_eq!(
            Node::parse(r#"{"a": 1, "\u0061": 2}"#),
            Err(JsonError::DuplicateMember)
        );
        assert_eq!(
            Node::parse(r#"{"b": {"a": 1, "a": 1}}"#),
            Err(JsonError::DuplicateMember)
        );
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(Node::parse(&deep(60)).is_ok());
        assert_eq!(Node::parse(&deep(65)), Err(JsonError::TooDeep));
        assert!(Node::parse(&deep(100_000)).is_err());
        for text in ["", "{", "{\"a\":}", "01", "{} {}", "\"\\ud800\""] {
            assert_eq!(Node::parse(text), Err(JsonError::Syntax), "{text}");
        }
    }
}
