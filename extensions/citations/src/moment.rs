//! A point in time, or the part of it that is known.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// A year, a month, a day, or a time with its offset: `2026`, `2026-11`, `2026-11-24`, `2026-11-24T08:30:00Z`.
///
/// ```
/// use mcp_ext_citations::Moment;
///
/// assert_eq!(Moment::from_ms(1_700_000_000_123).as_str(), "2023-11-14T22:13:20.123Z");
/// assert!(Moment::new("2026-11-24").is_ok());
/// assert!(Moment::new("yesterday").is_err());
/// # Ok::<(), mcp_ext_citations::NotAMoment>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Moment(Box<str>);

/// A text is no [`Moment`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a year, month, day or time with offset, such as 2026-11-24 or 2026-11-24T08:30:00Z; seen: a text of {length} bytes"
)]
pub struct NotAMoment {
    /// Bytes of what was given.
    pub length: usize,
}

const PATTERN: &str = "^[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01])\
    (T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))?)?)?$";

impl Moment {
    /// The moment that a text names. Days are not checked against their month.
    ///
    /// # Errors
    /// When the text has another form.
    pub fn new(text: &str) -> Result<Self, NotAMoment> {
        if fits(text) {
            Ok(Self(text.into()))
        } else {
            Err(NotAMoment { length: text.len() })
        }
    }

    /// The moment so many milliseconds after 1970-01-01T00:00:00Z; the nearest of the years 0 to 9999.
    #[must_use]
    pub fn from_ms(ms: i64) -> Self {
        // 0000-01-01 and the last millisecond of 9999.
        let ms = ms.clamp(-62_167_219_200_000, 253_402_300_799_999);
        let (days, ms) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
        // The Gregorian calendar repeats after 146 097 days; a year that starts in March has its leap day last.
        let days = days + 719_468;
        let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let (day, month) = (day - (153 * month + 2) / 5 + 1, (month + 2) % 12 + 1);
        let year = year + era * 400 + i64::from(month <= 2);
        let (s, ms) = (ms / 1000, ms % 1000);
        let (h, m, s) = (s / 3600, s / 60 % 60, s % 60);
        Self(format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{ms:03}Z").into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a text has the form of [`PATTERN`].
fn fits(text: &str) -> bool {
    fn number(text: &str, digits: usize, range: std::ops::RangeInclusive<u32>) -> Option<&str> {
        let (number, rest) = text.split_at_checked(digits)?;
        let all_digits = number.bytes().all(|b| b.is_ascii_digit());
        (all_digits && range.contains(&number.parse().ok()?)).then_some(rest)
    }
    fn read(text: &str) -> Option<()> {
        let rest = number(text, 4, 0..=9999)?;
        if rest.is_empty() {
            return Some(());
        }
        let rest = number(rest.strip_prefix('-')?, 2, 1..=12)?;
        if rest.is_empty() {
            return Some(());
        }
        let rest = number(rest.strip_prefix('-')?, 2, 1..=31)?;
        if rest.is_empty() {
            return Some(());
        }
        let rest = number(rest.strip_prefix('T')?, 2, 0..=23)?;
        let rest = number(rest.strip_prefix(':')?, 2, 0..=59)?;
        let mut rest = number(rest.strip_prefix(':')?, 2, 0..=59)?;
        if let Some(fraction) = rest.strip_prefix('.') {
            let after = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            if !(1..=9).contains(&(fraction.len() - after.len())) {
                return None;
            }
            rest = after;
        }
        if rest == "Z" {
            return Some(());
        }
        let rest = number(rest.strip_prefix(['+', '-'])?, 2, 0..=23)?;
        let rest = number(rest.strip_prefix(':')?, 2, 0..=59)?;
        rest.is_empty().then_some(())
    }
    read(text).is_some()
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Moment {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": PATTERN })
    }
}
