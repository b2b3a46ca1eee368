//! What travels: the parameters and results of the three FHIR calls. No I/O, no store.
//!
//! The text on types and fields becomes the tool schema that a model reads, so it is written to it.
//!
//! ```
//! use mcp_ext_healthcare::types::SearchParams;
//!
//! let params: SearchParams = serde_json::from_str(
//!     r#"{"type": "Observation", "params": [{"name": "code", "values": ["http://loinc.org|8867-4"]}], "sort": ["-date"]}"#,
//! )?;
//! assert_eq!(params.params[0].name, "code");
//! // A misspelt member is an error, never ignored.
//! assert!(serde_json::from_str::<SearchParams>(r#"{"type": "Observation", "parms": []}"#).is_err());
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The FHIR release these types speak.
pub const FHIR_VERSION: &str = "4.0.1";
/// The media type of a resource's text.
pub const CONTENT_TYPE: &str = "application/fhir+json; fhirVersion=4.0";

/// What to describe.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CapabilitiesParams {
    /// One resource type, e.g. `Observation`: answers with modifiers and comparators of each of its search parameters.
    /// Left out: every type, with the names and kinds of its search parameters only.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
}

/// What can be read and searched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Capabilities {
    /// The FHIR release, e.g. `4.0.1`.
    pub fhir_version: String,
    /// True: every resource here is invented test data, about nobody.
    pub synthetic: bool,
    /// The resource types, by name.
    pub types: Vec<TypeCapabilities>,
}

/// What can be done with one resource type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TypeCapabilities {
    /// The resource type, e.g. `Observation`.
    #[serde(rename = "type")]
    pub resource_type: String,
    /// `read`, `search-type`.
    pub interactions: Vec<String>,
    /// The search parameters. Any other name is refused.
    #[serde(default)]
    pub search_params: Vec<SearchParamInfo>,
}

/// One search parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SearchParamInfo {
    /// Its name, e.g. `value-quantity`.
    pub name: String,
    /// How its values are written and compared.
    #[serde(rename = "type")]
    pub kind: ParamKind,
    /// Modifiers it takes, e.g. `exact`. Given when one type was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modifiers: Vec<String>,
    /// Comparators a value may start with, e.g. `ge`. Given when one type was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comparators: Vec<String>,
    /// Resource types a reference may point at; empty: any, or not a reference. Given when one type was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
}

/// How the values of a search parameter are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ParamKind {
    /// `code`, `system|code`, `|code` (without a system) or `system|`.
    Token,
    /// `[eq ne gt lt ge le sa eb ap]` and a date, partial date or date-time: `ge2024-01`, `2024-02-29T10:00:00Z`.
    Date,
    /// `Patient/123`, `123` or an absolute URL.
    Reference,
    /// Text; matches from the start of a field, whatever its case, accents and punctuation.
    String,
    /// `[comparator]number`, `number|system|code` or `number||unit`: `gt5.4|http://unitsofmeasure.org|mg`.
    Quantity,
}

impl fmt::Display for ParamKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token => "token",
            Self::Date => "date",
            Self::Reference => "reference",
            Self::String => "string",
            Self::Quantity => "quantity",
        })
    }
}

/// A FHIR R4 search on one resource type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SearchParams {
    /// The resource type, e.g. `Observation`.
    #[serde(rename = "type")]
    pub resource_type: String,
    /// Conditions; a match meets all of them. Repeat a name to narrow further (`date` twice for a range).
    #[serde(default)]
    pub params: Vec<SearchParam>,
    /// Names of search parameters to sort by, `-` before one for descending, e.g. `["-date"]`. Resources without the
    /// element come last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sort: Vec<String>,
    /// Matches per page: 0 to 100, 20 when left out; 0 answers with the total alone. With a cursor, leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<PageSize>,
    /// `nextCursor` of the page before. Repeat `type`, `params` and `sort` exactly as on that call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// How many matches a page holds: 0 to 100, 20 when nothing is said.
pub type PageSize = mcp_ext_values::Limit;

/// One condition of a search.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SearchParam {
    /// The search parameter, e.g. `birthdate`, without modifier. `fhir_capabilities` lists those of a type.
    pub name: String,
    /// `exact` or `contains` (string), `not` (token), `missing` (any; its value is `true` or `false`), or a type such
    /// as `Patient` (reference).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modifier: Option<String>,
    /// Values, any of which may match. Comparators go in front of dates and quantities: `ge2024-01-01`. A comma also
    /// separates values; write `\,` `\|` `\$` `\\` for these characters themselves.
    pub values: Vec<String>,
}

/// One page of matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SearchResult {
    /// The matches: pointers and titles. `fhir_read` gives a resource.
    pub matches: Vec<Match>,
    /// How many resources match on all pages together.
    pub total: Total,
    /// Every condition that was applied, as understood.
    pub applied: Vec<SearchParam>,
    /// More matches follow: call again with this as `cursor`. Absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// True: all of this is invented test data, about nobody.
    pub synthetic: bool,
}

/// A resource that matches, without its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Match {
    /// What to pass to `fhir_read`, e.g. `Observation/123`.
    pub reference: String,
    /// The version that matched.
    pub version_id: String,
    /// When it last changed, where the resource says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<String>,
    /// A short description for a person, e.g. `Heart rate 72 /min, 2024-03-01`.
    pub title: String,
}

/// A number of matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Total {
    /// The number.
    pub value: u64,
    /// How far to trust it.
    pub accuracy: Accuracy,
}

/// How exact a total is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Accuracy {
    /// Counted.
    Exact,
    /// Near the true number.
    Estimate,
    /// Not known.
    Unknown,
}

/// Which resource to read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReadParams {
    /// Type and id, e.g. `Observation/123`, as a search gives them.
    pub reference: String,
    /// Fails unless this is still the current version. Older ones are not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// Also give `resource` as a JSON object. Its numbers may lose digits; `text` has them all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub parsed: bool,
}

/// A resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadResult {
    /// Type and id, e.g. `Observation/123`.
    pub reference: String,
    /// Its version.
    pub version_id: String,
    /// When it last changed, where the resource says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<String>,
    /// The media type of `text`.
    pub content_type: String,
    /// The resource exactly as stored, to the last digit. Take values from here.
    pub text: String,
    /// The same as an object, when asked for. Lossy: JSON readers may round its numbers (`1.00` becomes `1.0`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Map<String, Value>>,
    /// True: this is invented test data, about nobody.
    pub synthetic: bool,
}
