//! Pages with bounds: how many, how many bytes, what was left out, and where it goes on.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::cursor::SealedCursor;
use crate::{object_type, words};

/// A whole number from `LEAST` to `MOST`; `USUAL` when nothing is said.
///
/// ```
/// use mcp_ext_values::Limit;
///
/// assert_eq!(Limit::default().get(), 20);
/// assert!(Limit::new(101).is_none());
/// assert!(serde_json::from_str::<Limit>("101").is_err());
/// // Some clients write every number as a float.
/// assert_eq!(serde_json::from_str::<Limit>("50.0")?.get(), 50);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bounded<const LEAST: u32, const USUAL: u32, const MOST: u32>(u32);

/// How many items a page holds: 0 to 100, usually 20. 0 asks for the total alone.
pub type Limit = Bounded<0, 20, 100>;

/// How many bytes of JSON the items of a page may have together: 1 KiB to 1 MiB, usually 24 KiB.
pub type MaxBytes = Bounded<1024, 24_576, 1_048_576>;

/// How many there are.
pub type Count = Bounded<0, 0, { u32::MAX }>;

impl<const LEAST: u32, const USUAL: u32, const MOST: u32> Bounded<LEAST, USUAL, MOST> {
    /// The smallest.
    pub const MIN: Self = Self(LEAST);
    /// The largest.
    pub const MAX: Self = Self(MOST);

    /// That number, if it is within the bounds.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        (LEAST..=MOST).contains(&number).then_some(Self(number))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }

    fn check<E: de::Error>(number: Option<u32>) -> Result<Self, E> {
        // What was seen is a number of the caller's own, and no secret.
        number
            .and_then(Self::new)
            .ok_or_else(|| E::custom(format_args!("expected {LEAST} to {MOST}")))
    }
}

impl<const LEAST: u32, const USUAL: u32, const MOST: u32> Default for Bounded<LEAST, USUAL, MOST> {
    fn default() -> Self {
        Self(USUAL)
    }
}

impl<const LEAST: u32, const USUAL: u32, const MOST: u32> Serialize
    for Bounded<LEAST, USUAL, MOST>
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

impl<'de, const LEAST: u32, const USUAL: u32, const MOST: u32> Deserialize<'de>
    for Bounded<LEAST, USUAL, MOST>
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number<const LEAST: u32, const USUAL: u32, const MOST: u32>;
        impl<const LEAST: u32, const USUAL: u32, const MOST: u32> de::Visitor<'_>
            for Number<LEAST, USUAL, MOST>
        {
            type Value = Bounded<LEAST, USUAL, MOST>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a whole number from {LEAST} to {MOST}")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
                Bounded::check(u32::try_from(number).ok())
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
                Bounded::check(u32::try_from(number).ok())
            }
            // `20.0` is a whole number to JSON Schema, and to clients that have only floats.
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
                let whole = number as u32;
                Bounded::check((f64::from(whole) == number).then_some(whole))
            }
        }
        deserializer.deserialize_u64(Number)
    }
}

impl<const LEAST: u32, const USUAL: u32, const MOST: u32> JsonSchema
    for Bounded<LEAST, USUAL, MOST>
{
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("From{LEAST}To{MOST}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": LEAST, "maximum": MOST })
    }
}

/// What a caller may ask of a page; to be a part of params, with `#[serde(flatten)]` or member by member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct PageParams {
    /// Items per page: 0 to 100, 20 when left out; 0 answers with the total alone. With a cursor, leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// Most bytes of items in one page: 1024 to 1048576, 24576 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<MaxBytes>,
    /// `nextCursor` of the page before. Repeat the other arguments exactly as on that call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<SealedCursor>,
}

object_type!(PageParams);

/// Some of many.
///
/// ```
/// use mcp_ext_values::Page;
///
/// let page: Page<String> = serde_json::from_str(r#"{"items": ["a", "b"]}"#)?;
/// assert!(page.next_cursor.is_none());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// More follow: call again with this as `cursor`. Absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<SealedCursor>,
    /// What was left out, and why. Absent when nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated: Option<Truncated>,
}

object_type!(Page<T>);

/// That a page does not hold everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Truncated {
    /// Which bound ended the page.
    pub reason: TruncationReason,
    /// How many items this page holds.
    pub returned: Count,
    /// How many there are on all pages together, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Count>,
}

object_type!(Truncated);

words! {
    /// Which bound ended a page.
    pub enum TruncationReason: "`limit` or `maxBytes`" {
        /// The number of items.
        Limit = "limit",
        /// The number of bytes.
        MaxBytes = "maxBytes",
    }
}
