//! Dates of any precision, as half-open ranges of time.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use schemars::json_schema;

use crate::{text_type, words};

/// Microseconds since 1970-01-01T00:00:00Z.
pub type Micros = i64;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const DAY: i64 = 24 * 60 * MINUTE;

/// Longest text that is looked at; the longest useful one has 32 characters.
const MAX_LEN: usize = 64;

/// Everything a date stands for: from `start` up to, not including, `end`.
///
/// `2012-02` is all of February 2012. A date without a time zone is read as UTC. Digits of a second beyond the sixth are
/// dropped.
///
/// ```
/// use mcp_ext_values::DateRange;
///
/// let february: DateRange = "2012-02".parse()?;
/// let day: DateRange = "2012-02-29".parse()?;
/// assert!(february.contains(day));
/// assert!("2013-02-29".parse::<DateRange>().is_err());
/// # Ok::<(), mcp_ext_values::DateError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DateRange {
    /// The first moment in the range.
    pub start: Micros,
    /// The first moment after it.
    pub end: Micros,
}

/// Why a text is no date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DateError {
    /// Not one of the forms of a date.
    #[error("expected YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm[:ss[.sss]] with Z or +hh:mm")]
    Form,
    /// A time of day without its offset from UTC.
    #[error("expected an offset after the time of day: Z, or such as +01:00")]
    Offset,
    /// A part is out of its range, e.g. month 13 or February 30.
    #[error("{part} is out of range")]
    OutOfRange {
        /// Which part.
        part: &'static str,
    },
}

impl DateRange {
    /// All of time.
    pub const ALWAYS: Self = Self {
        start: i64::MIN,
        end: i64::MAX,
    };

    /// Whether `other` lies wholly inside.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// The range made longer by its own length at both ends: what `ap` (approximately) compares with.
    #[must_use]
    pub fn widened(self) -> Self {
        let length = self.end.saturating_sub(self.start);
        Self {
            start: self.start.saturating_sub(length),
            end: self.end.saturating_add(length),
        }
    }
}

impl FromStr for DateRange {
    type Err = DateError;

    fn from_str(text: &str) -> Result<Self, DateError> {
        read(text).map(|date| date.range)
    }
}

words! {
    /// How far a date is written out.
    pub enum Precision: "a precision of dates, such as `month`" {
        /// `2012`
        Year = "year",
        /// `2012-02`
        Month = "month",
        /// `2012-02-29`
        Day = "day",
        /// `2012-02-29T10:00Z`
        Minute = "minute",
        /// `2012-02-29T10:00:00Z`
        Second = "second",
        /// `2012-02-29T10:00:00.5Z`
        Fraction = "fraction",
    }
}

/// A date as far as it is known: `2012`, `2012-02`, `2012-02-29` or `2012-02-29T10:00:00+01:00`, kept as written.
///
/// A time of day has its offset from UTC. Two dates are equal when they are written alike: `2012` is neither equal to
/// `2012-01` nor before it; compare their ranges.
///
/// ```
/// use mcp_ext_values::{PartialDate, Precision};
///
/// let born: PartialDate = "1974-12".parse()?;
/// assert_eq!(born.precision(), Precision::Month);
/// assert!(born.range().contains("1974-12-25".parse::<PartialDate>()?.range()));
/// assert!("1974-13".parse::<PartialDate>().is_err());
/// assert!("1974-12-25T10:00:00".parse::<PartialDate>().is_err(), "no offset");
/// # Ok::<(), mcp_ext_values::DateError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PartialDate {
    text: String,
    read: Read,
}

impl PartialDate {
    /// The text, as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How far it is written out.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.read.precision
    }

    /// Everything it stands for, in UTC.
    #[must_use]
    pub fn range(&self) -> DateRange {
        self.read.range
    }
}

impl FromStr for PartialDate {
    type Err = DateError;

    fn from_str(text: &str) -> Result<Self, DateError> {
        let read = read(text)?;
        if !read.offset && read.precision > Precision::Day {
            return Err(DateError::Offset);
        }
        Ok(Self {
            text: text.to_owned(),
            read,
        })
    }
}

impl fmt::Display for PartialDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The days that exist, leap years included, the times and the offsets.
static PATTERN: LazyLock<String> = LazyLock::new(|| {
    let year = "([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])";
    // A year of the century that 4 divides, or a century that 4 divides.
    let by_four = "(0[48]|[2468][048]|[13579][26])";
    let leap = format!("([0-9]{{2}}{by_four}|{by_four}00)");
    let day = "(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8])";
    let time = "([01][0-9]|2[0-3]):[0-5][0-9](:([0-5][0-9]|60)(\\.[0-9]+)?)?";
    let offset = "(Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00))";
    format!("^({year}(-(0[1-9]|1[0-2]))?|({year}-({day})|{leap}-02-29)(T{time}{offset})?)$")
});

text_type!(
    PartialDate,
    "a date as a string: YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with Z or +hh:mm",
    json_schema!({ "type": "string", "pattern": *PATTERN, "maxLength": MAX_LEN })
);

/// What a text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Read {
    range: DateRange,
    precision: Precision,
    /// Whether it says how far from UTC.
    offset: bool,
}

impl Read {
    fn days(precision: Precision, from: i64, to: i64) -> Self {
        Self {
            range: DateRange {
                start: from * DAY,
                end: to * DAY,
            },
            precision,
            offset: false,
        }
    }
}

fn read(text: &str) -> Result<Read, DateError> {
    if text.len() > MAX_LEN {
        return Err(DateError::Form);
    }
    let mut scan = Scan(text.as_bytes());
    let year = scan.number(4)?;
    if year == 0 {
        return Err(DateError::OutOfRange { part: "year" });
    }
    if scan.done() {
        let (from, to) = (day_number(year, 1, 1), day_number(year + 1, 1, 1));
        return Ok(Read::days(Precision::Year, from, to));
    }
    scan.byte(b'-')?;
    let month = scan.number(2)?;
    if !(1..=12).contains(&month) {
        return Err(DateError::OutOfRange { part: "month" });
    }
    if scan.done() {
        let next = if month == 12 {
            day_number(year + 1, 1, 1)
        } else {
            day_number(year, month + 1, 1)
        };
        return Ok(Read::days(
            Precision::Month,
            day_number(year, month, 1),
            next,
        ));
    }
    scan.byte(b'-')?;
    let day = scan.number(2)?;
    if !(1..=month_length(year, month)).contains(&day) {
        return Err(DateError::OutOfRange { part: "day" });
    }
    let midnight = day_number(year, month, day);
    if scan.done() {
        return Ok(Read::days(Precision::Day, midnight, midnight + 1));
    }
    scan.byte(b'T')?;
    let (time, length, precision) = scan.time()?;
    let offset = !scan.done();
    let start = midnight * DAY + time - scan.offset()?;
    if !scan.done() {
        return Err(DateError::Form);
    }
    Ok(Read {
        range: DateRange {
            start,
            end: start + length,
        },
        precision,
        offset,
    })
}

fn leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn month_length(year: i64, month: i64) -> i64 {
    match month {
        2 if leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar, year 1 or later.
fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let before = year - 1;
    let years = before * 365 + before / 4 - before / 100 + before / 400;
    let months: i64 = (1..month).map(|m| month_length(year, m)).sum();
    const TO_1970: i64 = 719_162;
    years + months + day - 1 - TO_1970
}

struct Scan<'a>(&'a [u8]);

impl Scan<'_> {
    fn done(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self, wanted: u8) -> Result<(), DateError> {
        match self.0.split_first() {
            Some((&first, rest)) if first == wanted => {
                self.0 = rest;
                Ok(())
            }
            _ => Err(DateError::Form),
        }
    }

    fn number(&mut self, digits: usize) -> Result<i64, DateError> {
        let Some((head, rest)) = self.0.split_at_checked(digits) else {
            return Err(DateError::Form);
        };
        if !head.iter().all(u8::is_ascii_digit) {
            return Err(DateError::Form);
        }
        self.0 = rest;
        Ok(head.iter().fold(0, |n, &d| n * 10 + i64::from(d - b'0')))
    }

    /// hh:mm, hh:mm:ss or hh:mm:ss.fraction: the time of day, and how long what is written lasts.
    fn time(&mut self) -> Result<(i64, i64, Precision), DateError> {
        let hour = self.number(2)?;
        self.byte(b':')?;
        let minute = self.number(2)?;
        if hour > 23 {
            return Err(DateError::OutOfRange { part: "hour" });
        }
        if minute > 59 {
            return Err(DateError::OutOfRange { part: "minute" });
        }
        let mut time = (hour * 60 + minute) * MINUTE;
        if self.byte(b':').is_err() {
            return Ok((time, MINUTE, Precision::Minute));
        }
        let second = self.number(2)?;
        // 60 is a leap second; it falls on the first second of the next minute.
        if second > 60 {
            return Err(DateError::OutOfRange { part: "second" });
        }
        time += second * SECOND;
        if self.byte(b'.').is_err() {
            return Ok((time, SECOND, Precision::Second));
        }
        let digits = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 {
            return Err(DateError::Form);
        }
        let (fraction, rest) = self.0.split_at(digits);
        self.0 = rest;
        let mut unit = SECOND;
        for &digit in fraction.iter().take(6) {
            unit /= 10;
            time += i64::from(digit - b'0') * unit;
        }
        Ok((time, unit, Precision::Fraction))
    }

    fn offset(&mut self) -> Result<i64, DateError> {
        let Some((&first, rest)) = self.0.split_first() else {
            return Ok(0);
        };
        self.0 = rest;
        let sign = match first {
            b'Z' => return Ok(0),
            b'+' => 1,
            b'-' => -1,
            _ => return Err(DateError::Form),
        };
        let hours = self.number(2)?;
        self.byte(b':')?;
        let minutes = self.number(2)?;
        if hours > 14 || minutes > 59 || (hours == 14 && minutes > 0) {
            return Err(DateError::OutOfRange { part: "time zone" });
        }
        Ok(sign * (hours * 60 + minutes) * MINUTE)
    }
}

#[cfg(test)]
mod tests {
    use super::{DAY, DateError, DateRange, MINUTE, SECOND};

    fn range(text: &str) -> DateRange {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn the_epoch_and_known_days() {
        assert_eq!(range("1970-01-01"), DateRange { start: 0, end: DAY });
        assert_eq!(range("2000-03-01").start, 11_017 * DAY);
        assert_eq!(range("1969-12-31").start, -DAY);
        assert_eq!(range("0001-01-01").start, -719_162 * DAY);
        assert_eq!(range("9999").end, 2_932_897 * DAY);
    }

    #[test]
    fn each_precision_has_its_length() {
        let length = |text| range(text).end - range(text).start;
        assert_eq!(length("2012"), 366 * DAY);
        assert_eq!(length("2013"), 365 * DAY);
        assert_eq!(length("1900"), 365 * DAY);
        assert_eq!(length("2016-02"), 29 * DAY);
        assert_eq!(length("2016-02-29"), DAY);
        assert_eq!(length("2016-12"), 31 * DAY);
        assert_eq!(length("2016-02-29T10:00"), MINUTE);
        assert_eq!(length("2016-02-29T10:00:00Z"), SECOND);
        assert_eq!(length("2016-02-29T10:00:00.5Z"), SECOND / 10);
        assert_eq!(length("2016-02-29T10:00:00.123456789Z"), 1);
    }

    #[test]
    fn time_zones_move_the_range() {
        assert_eq!(
            range("2015-02-07T13:28:17-05:00"),
            range("2015-02-07T18:28:17Z")
        );
        assert_eq!(
            range("2015-02-07T23:30:00+14:00"),
            range("2015-02-07T09:30:00Z")
        );
        assert_eq!(range("2015-02-07T13:28"), range("2015-02-07T13:28Z"));
        assert_eq!(range("2016-12-31T23:59:60Z"), range("2017-01-01T00:00:00Z"));
    }

    #[test]
    fn invalid_dates_are_refused() {
        for text in [
            "",
            "974",
            "1974-13-01",
            "1974-00",
            "2015-02-29",
            "2016-02-30",
            "1974-1-1",
            "1974-01-01T",
            "1974/01/01",
        ] {
            assert!(text.parse::<DateRange>().is_err(), "{text}");
        }
        for text in [
            "1974-01-01T24:00:00Z",
            "1974-01-01T10",
            "1974-01-01T10:60Z",
            "1974-01-01T10:00:61Z",
            "1974-01-01T10:00:00.Z",
        ] {
            assert!(text.parse::<DateRange>().is_err(), "{text}");
        }
        for text in [
            "1974-01-01T10:00:00+15:00",
            "1974-01-01T10:00:00+1:00",
            "1974-01-01T10:00:00Zx",
            "0000",
            "１９７４",
            "1974-01-01 ",
        ] {
            assert!(text.parse::<DateRange>().is_err(), "{text}");
        }
        assert_eq!(
            "1974-13-01".parse::<DateRange>(),
            Err(DateError::OutOfRange { part: "month" })
        );
    }
}
