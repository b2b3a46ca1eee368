//! What travels: params, results, settings, the error. Ranges and lengths are checked by the types.

use std::collections::BTreeSet;

use mcp_ext::{ExtensionError, settings};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A text of 1 to `MAX` characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> TryFrom<String> for Text<MAX> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.chars().count() {
            1.. if text.chars().count() <= MAX => Ok(Self(text)),
            seen => Err(format!("expected 1 to {MAX} characters, seen {seen}")),
        }
    }
}

impl<const MAX: usize> From<Text<MAX>> for String {
    fn from(text: Text<MAX>) -> Self {
        text.0
    }
}

impl<const MAX: usize> JsonSchema for Text<MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Text{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": MAX })
    }
}

/// How many: 1 to 50.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Limit(u32);

impl Limit {
    /// The number.
    pub fn get(self) -> usize {
        self.0 as usize
    }
}

impl TryFrom<u32> for Limit {
    type Error = String;

    fn try_from(limit: u32) -> Result<Self, String> {
        match limit {
            1..=50 => Ok(Self(limit)),
            _ => Err(format!("expected 1 to 50, seen {limit}")),
        }
    }
}

impl From<Limit> for u32 {
    fn from(limit: Limit) -> Self {
        limit.0
    }
}

impl JsonSchema for Limit {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": 50 })
    }
}

/// The form of a note.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Format {
    /// As it is.
    Plain,
    /// Markdown.
    Markdown,
}

/// What each side says.
#[settings]
pub struct NotesSettings {
    /// Formats this side can handle. Absent: all.
    #[negotiate(intersect, required)]
    pub formats: Option<BTreeSet<Format>>,
    /// Most notes in one answer. Absent: no limit.
    #[negotiate(min)]
    pub max_results: Option<u32>,
    /// Whether notes may be written.
    #[negotiate(and)]
    pub write: bool,
}

/// Which note.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReadParams {
    /// The note's id.
    pub id: Text<64>,
}

/// What to look for.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SearchParams {
    /// A word that the note has.
    pub word: Text<100>,
    /// Most notes in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
}

/// A new note.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddNoteParams {
    /// Its title.
    pub title: Text<80>,
    /// Its text.
    pub text: Text<2000>,
}

/// A note.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its text.
    pub text: String,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// The notes, oldest first.
    pub notes: Vec<Note>,
}

/// What every call answers.
pub type Answer<T> = Result<T, NotesError>;

/// Why a call failed.
#[derive(Debug, ExtensionError)]
pub enum NotesError {
    /// There is no such note.
    #[error(code = 40404, "no note {id}")]
    UnknownNote {
        /// The id asked for.
        id: String,
    },
    /// Writing was not agreed on.
    #[error(code = 40403, "writing was not negotiated; declare write: true")]
    ReadOnly {},
}
