//! A citation, as it travels, and how a handler says one.

use std::borrow::Cow;

use mcp_ext_labels::Line;
use mcp_ext_values::PartialDate;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// Longest line of [`Citation::line`], in characters.
const MAX_LINE: usize = 300;

/// Where a piece of data came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Citation {
    /// Names the citation within the result.
    pub id: Line<64>,
    /// What is cited, and which part of it.
    pub target: Target,
    /// The work it belongs to.
    #[serde(
        default,
        rename = "schema:citation",
        skip_serializing_if = "Option::is_none"
    )]
    pub work: Option<Work>,
    /// When the server got it.
    pub retrieved_at: PartialDate,
    /// The time the data speaks of, where that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<PartialDate>,
}

/// What is cited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// A URI, or a reference that the server's own tools take.
    pub source: Line<512>,
    /// Which part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
}

/// Which part of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Selector {
    /// How the part is named.
    #[serde(rename = "type")]
    pub kind: SelectorKind,
    /// The part.
    pub value: Line<512>,
    /// The URI of the syntax of `value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conforms_to: Option<Line<256>>,
}

/// How a part of a source is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SelectorKind {
    /// By a fragment, as after the `#` of a URI.
    FragmentSelector,
}

/// The work a source belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Work {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Line<256>>,
    /// Where a person can read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Line<512>>,
    /// When it was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date_published: Option<PartialDate>,
    /// The SHA-256 of what was retrieved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
}

/// A SHA-256 digest, 64 hexadecimal digits in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sha256(pub [u8; 32]);

impl std::fmt::Display for Sha256 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Sha256 {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        let digit = |b: u8| match b {
            b'0'..=b'9' => Some(b - b'0'),
            b'a'..=b'f' => Some(b - b'a' + 10),
            _ => None,
        };
        let bytes: Option<Vec<u8>> = text
            .as_bytes()
            .chunks(2)
            .map(|pair| match *pair {
                [high, low] => Some(digit(high)? << 4 | digit(low)?),
                _ => None,
            })
            .collect();
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("expected 64 hexadecimal digits in lower case"))
    }
}

impl JsonSchema for Sha256 {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Sha256".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9a-f]{64}$" })
    }
}

impl Citation {
    /// The citation in one line of text: `Source: .. (retrieved ..)`.
    #[must_use]
    pub fn line(&self) -> String {
        let name = self.work.as_ref().and_then(|work| work.name.as_ref());
        let source = &self.target.source;
        let what = match name {
            // The rest of the line must still be read.
            Some(name) => format!(
                "{}, {}",
                Line::<80>::lossy(name.as_str()),
                Line::<120>::lossy(source.as_str())
            ),
            None => Line::<200>::lossy(source.as_str()).to_string(),
        };
        let as_of = self.as_of.as_ref();
        let as_of = as_of.map_or_else(String::new, |time| format!(", as of {time}"));
        let line = format!("Source: {what} (retrieved {}{as_of})", self.retrieved_at);
        Line::<MAX_LINE>::lossy(&line).to_string()
    }
}

/// A citation as a handler says it. What the block knows better it adds: the id, and the time of retrieval.
///
/// ```
/// use mcp_ext_citations::Cite;
///
/// let rates = Cite::of("https://www.ecb.europa.eu/stats/eurofxref/eurofxref-hist.csv")
///     .named("Euro foreign exchange reference rates")
///     .part("row=2026-10-30")
///     .as_of("2026-10-30".parse()?);
/// # drop(rates);
/// # Ok::<(), mcp_ext_values::DateError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cite {
    target: Target,
    work: Work,
    retrieved_at: Option<PartialDate>,
    as_of: Option<PartialDate>,
}

impl Cite {
    /// Cites a source, by a URI or a reference that the server's own tools take. Text that is too long for a citation
    /// is cut, here and below.
    #[must_use]
    pub fn of(source: &str) -> Self {
        Self {
            target: Target {
                source: Line::lossy(source),
                selector: None,
            },
            work: Work::default(),
            retrieved_at: None,
            as_of: None,
        }
    }

    /// Names the part of the source, as a fragment.
    #[must_use]
    pub fn part(mut self, fragment: &str) -> Self {
        self.target.selector = Some(Selector {
            kind: SelectorKind::FragmentSelector,
            value: Line::lossy(fragment),
            conforms_to: None,
        });
        self
    }

    /// Names the work.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.work.name = Some(Line::lossy(name));
        self
    }

    /// Says where a person can read the work. Hosts make links of it, so what is no whole `http` or `https` URL is left
    /// out.
    #[must_use]
    pub fn url(mut self, url: &str) -> Self {
        let scheme = url.split_once("://").map(|(scheme, _)| scheme);
        let web = scheme.is_some_and(|scheme| {
            scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http")
        });
        self.work.url = Line::new(url).ok().filter(|_| web);
        self
    }

    /// Says when the work was published.
    #[must_use]
    pub fn published(mut self, date: PartialDate) -> Self {
        self.work.date_published = Some(date);
        self
    }

    /// Gives the SHA-256 of what was retrieved.
    #[must_use]
    pub fn sha256(mut self, digest: [u8; 32]) -> Self {
        self.work.sha256 = Some(Sha256(digest));
        self
    }

    /// Says when it was retrieved, where that was not just now.
    #[must_use]
    pub fn retrieved(mut self, time: PartialDate) -> Self {
        self.retrieved_at = Some(time);
        self
    }

    /// Says which time the data speaks of.
    #[must_use]
    pub fn as_of(mut self, time: PartialDate) -> Self {
        self.as_of = Some(time);
        self
    }

    /// The citation, under an id, retrieved `now` unless it was said otherwise.
    #[must_use]
    pub fn cited(self, id: &str, now: &PartialDate) -> Citation {
        Citation {
            id: Line::lossy(id),
            target: self.target,
            work: (self.work != Work::default()).then_some(self.work),
            retrieved_at: self.retrieved_at.unwrap_or_else(|| now.clone()),
            as_of: self.as_of,
        }
    }
}
