//! Why a search is refused, in words the caller can act on.

use crate::cursor::CursorError;
use crate::store::StoreError;

/// Why a search is refused. Values are described, never repeated: they may be about a person.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// The type is not searchable.
    #[error("no search on resource type {seen}{}; fhir_capabilities lists the types", suggest(.suggestion))]
    UnknownType {
        /// What was given.
        seen: String,
        /// The nearest searchable type.
        suggestion: Option<&'static str>,
    },
    /// The type has no such search parameter.
    #[error(
        "{resource_type} has no search parameter {seen}{}; {hint}", suggest(.suggestion)
    )]
    UnknownParameter {
        /// The type searched.
        resource_type: &'static str,
        /// What was given.
        seen: String,
        /// The nearest name it has.
        suggestion: Option<&'static str>,
        /// What to do.
        hint: &'static str,
    },
    /// The parameter does not take that modifier.
    #[error("{name} takes no modifier {seen}{}; it takes: {}", suggest(.suggestion), list(.supported))]
    UnsupportedModifier {
        /// The parameter.
        name: &'static str,
        /// What was given.
        seen: String,
        /// The nearest modifier it takes.
        suggestion: Option<&'static str>,
        /// The modifiers it takes.
        supported: Vec<&'static str>,
    },
    /// A value starts with letters that are no comparator.
    #[error("{name}: {seen} is no comparator; use eq, ne, gt, lt, ge, le, sa, eb or ap, or none")]
    UnsupportedComparator {
        /// The parameter.
        name: &'static str,
        /// The letters.
        seen: String,
    },
    /// A value has not the form its parameter needs.
    #[error("{name}: expected {expected}; seen: a text of {length} characters")]
    InvalidValue {
        /// The parameter.
        name: &'static str,
        /// The form needed.
        expected: String,
        /// Characters in the value.
        length: usize,
    },
    /// More of something than a search may have.
    #[error("{what}: at most {limit}, seen {seen}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
        /// How many there are.
        seen: usize,
    },
    /// The search went through more than one search may.
    #[error("the search takes too long; narrow it, for example by patient, code or date")]
    TooCostly,
    /// The type cannot be sorted by that.
    #[error("{resource_type} cannot be sorted by {seen}{}; use `name` or `-name` of a token, date, string or quantity parameter", suggest(.suggestion))]
    Sort {
        /// The type searched.
        resource_type: &'static str,
        /// What was given.
        seen: String,
        /// The nearest name it can be sorted by.
        suggestion: Option<&'static str>,
    },
    /// The cursor does not continue this search.
    #[error(transparent)]
    Cursor(#[from] CursorError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SearchError {
    /// A name for the kind of error that does not change.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::UnknownType { .. } => "unknown_type",
            Self::UnknownParameter { .. } => "unknown_parameter",
            Self::UnsupportedModifier { .. } => "unsupported_modifier",
            Self::UnsupportedComparator { .. } => "unsupported_comparator",
            Self::InvalidValue { .. } => "invalid_value",
            Self::TooMany { .. } => "too_many",
            Self::TooCostly => "too_costly",
            Self::Sort { .. } => "invalid_sort",
            Self::Cursor(CursorError::Seal) | Self::Store(_) => "store_failed",
            Self::Cursor(_) => "invalid_cursor",
        }
    }
}

fn suggest(suggestion: &Option<&'static str>) -> String {
    suggestion
        .map(|name| format!(" (did you mean {name}?)"))
        .unwrap_or_default()
}

fn list(names: &[&'static str]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// A name as it may stand in a message: short, on one line.
pub(crate) fn shown(name: &str) -> String {
    let mut text: String = name
        .chars()
        .take(64)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if name.chars().nth(64).is_some() {
        text.push('…');
    }
    format!("`{text}`")
}

#[cfg(test)]
mod tests {
    use mcp_ext_core::faults::nearest;

    use super::shown;

    #[test]
    fn near_names_are_found() {
        assert_eq!(
            nearest("birthDate", ["gender", "birthdate"]),
            Some("birthdate")
        );
        assert_eq!(nearest("exat", ["contains", "exact"]), Some("exact"));
        assert_eq!(nearest("zzz", ["contains", "exact"]), None);
        assert_eq!(shown("a\nb"), "`a\u{fffd}b`");
        assert_eq!(shown(&"x".repeat(99)).chars().count(), 67);
    }
}
