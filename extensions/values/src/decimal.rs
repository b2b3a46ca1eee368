//! Decimal numbers, exact: digits as they were written, sums and products without rounding. No floating point.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use schemars::json_schema;

use crate::{text_type, words};

/// Most characters of a number that is read, digits and exponent together.
const MAX_TEXT: usize = 1024;
/// Largest exponent that is read, either way. FHIR's own examples go to 245.
const MAX_EXPONENT: i64 = 1_000_000;
/// Most digits of a result, and its largest exponent either way: bounds the work one call can cause.
const MAX_DIGITS: usize = 4096;
const MAX_RESULT_EXPONENT: i64 = 2_000_000;
/// Makes the exponent of every sort key a positive number of seven digits.
const EXPONENT_BIAS: i64 = 4_000_000;

/// Sorts below the [sort key](Decimal::sort_key) of every number.
pub const KEY_MIN: &str = "";
/// Sorts above the [sort key](Decimal::sort_key) of every number.
pub const KEY_MAX: &str = "3";

/// A decimal number of any size: `±digits × 10^exponent`, with the digits as written.
///
/// Reads numbers as JSON writes them. Equality and order are those of the numbers: `1.0` equals `1.00`.
///
/// ```
/// use mcp_ext_values::Decimal;
///
/// let tenth: Decimal = "0.1".parse()?;
/// let sum = tenth.plus(&"0.2".parse()?)?;
/// assert_eq!(sum, "0.3".parse()?);
/// assert_eq!(tenth.times(&tenth)?.to_string(), "0.01");
/// assert!("1E-245".parse::<Decimal>()? < tenth);
/// # Ok::<(), mcp_ext_values::DecimalError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Decimal {
    negative: bool,
    /// From the first to the last, each 0 to 9; at least one.
    digits: Vec<u8>,
    exponent: i64,
}

/// Why there is no decimal number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not written as a decimal number.
    #[error(
        "expected a decimal number such as 12, -0.5 or 10.50: digits, no leading zeros or `+`, a digit on each side of the point, no thousands separators"
    )]
    Form,
    /// More characters than are read, or more than a result may have.
    #[error("expected a decimal number of at most {most} characters; round it first")]
    TooLong {
        /// The most there may be.
        most: usize,
    },
    /// Too large or too small a power of ten.
    #[error("expected an exponent from -{MAX_EXPONENT} to {MAX_EXPONENT}")]
    Exponent,
}

words! {
    /// What becomes of digits that are cut off.
    pub enum Rounding: "a way of rounding, such as `halfEven`" {
        /// To the nearer; halfway, to the even digit. Banks' rounding: it does not drift. 2.345 becomes 2.34.
        HalfEven = "halfEven",
        /// To the nearer; halfway, away from zero. 2.345 becomes 2.35.
        HalfUp = "halfUp",
        /// To the nearer; halfway, towards zero.
        HalfDown = "halfDown",
        /// Away from zero, whatever is cut off.
        Up = "up",
        /// Towards zero: cuts off.
        Down = "down",
        /// Towards positive infinity.
        Ceiling = "ceiling",
        /// Towards negative infinity.
        Floor = "floor",
    }
}

impl Decimal {
    /// Whether it is below zero.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.negative && !self.is_zero()
    }

    /// Whether it is zero, however written.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.digits.iter().all(|&digit| digit == 0)
    }

    /// The power of ten of the last digit: -2 for `10.50`, 2 for `1e2`.
    #[must_use]
    pub fn exponent(&self) -> i64 {
        self.exponent
    }

    /// The same digits, with the point moved: `× 10^power`.
    ///
    /// # Errors
    /// When the exponent would be out of bounds.
    pub fn scaled_by(&self, power: i64) -> Result<Self, DecimalError> {
        let exponent = self.exponent.saturating_add(power);
        Self::within_bounds(self.negative, self.digits.clone(), exponent)
    }

    /// The number without its sign.
    #[must_use]
    pub fn magnitude(&self) -> Self {
        Self {
            negative: false,
            ..self.clone()
        }
    }

    /// The number with the other sign.
    #[must_use]
    pub fn negated(&self) -> Self {
        Self {
            negative: !self.negative && !self.is_zero(),
            ..self.clone()
        }
    }

    /// The sum, exactly.
    ///
    /// # Errors
    /// When it has too many digits.
    pub fn plus(&self, other: &Self) -> Result<Self, DecimalError> {
        let exponent = self.exponent.min(other.exponent);
        let (a, b) = (self.written_to(exponent)?, other.written_to(exponent)?);
        let width = a.len().max(b.len()) + 1;
        let (a, b) = (padded(&a, width), padded(&b, width));
        let (negative, digits) = if self.negative == other.negative {
            (self.negative, sum(&a, &b))
        } else if a >= b {
            (self.negative, difference(&a, &b))
        } else {
            (other.negative, difference(&b, &a))
        };
        Self::within_bounds(negative, digits, exponent)
    }

    /// The difference, exactly.
    ///
    /// # Errors
    /// When it has too many digits.
    pub fn minus(&self, other: &Self) -> Result<Self, DecimalError> {
        self.plus(&other.negated())
    }

    /// The product, exactly.
    ///
    /// # Errors
    /// When it has too many digits.
    pub fn times(&self, other: &Self) -> Result<Self, DecimalError> {
        if self.digits.len() + other.digits.len() > MAX_DIGITS {
            return Err(DecimalError::TooLong { most: MAX_DIGITS });
        }
        Self::within_bounds(
            self.negative != other.negative,
            product(&self.digits, &other.digits),
            self.exponent.saturating_add(other.exponent),
        )
    }

    /// The number with exactly that many digits after the point.
    ///
    /// # Errors
    /// When it has too many digits.
    pub fn rounded(&self, places: u32, mode: Rounding) -> Result<Self, DecimalError> {
        let target = -i64::from(places);
        if self.exponent >= target {
            return Self::within_bounds(self.negative, self.written_to(target)?, target);
        }
        let cut = usize::try_from(target - self.exponent).unwrap_or(usize::MAX);
        let (kept, dropped) = match self.digits.len().checked_sub(cut) {
            Some(at) => self.digits.split_at(at),
            None => self.digits.split_at(0),
        };
        // Against half of the last place; digits that begin further right are below it.
        let half = match dropped.split_first() {
            _ if dropped.iter().all(|&digit| digit == 0) => None,
            Some((first, rest)) if dropped.len() == cut => {
                let more = rest.iter().any(|&digit| digit != 0);
                Some(first.cmp(&5).then(more.cmp(&false)))
            }
            _ => Some(Ordering::Less),
        };
        let odd = kept.last().is_some_and(|digit| digit % 2 == 1);
        let away = match (mode, half) {
            (_, None) => false,
            (Rounding::Up, _) => true,
            (Rounding::Down, _) => false,
            (Rounding::Ceiling, _) => !self.negative,
            (Rounding::Floor, _) => self.negative,
            (_, Some(Ordering::Greater)) => true,
            (_, Some(Ordering::Less)) => false,
            (Rounding::HalfEven, _) => odd,
            (Rounding::HalfUp, _) => true,
            (Rounding::HalfDown, _) => false,
        };
        let width = kept.len() + 1;
        let kept = padded(kept, width);
        let step = padded(&[u8::from(away)], width);
        Self::within_bounds(self.negative, sum(&kept, &step), target)
    }

    /// A text that sorts, byte by byte, as the number does: for a database that compares texts. Equal numbers have equal
    /// keys; every key is between [`KEY_MIN`] and [`KEY_MAX`].
    #[must_use]
    pub fn sort_key(&self) -> String {
        let (significant, magnitude) = self.significant();
        if significant.is_empty() {
            return "1".to_owned();
        }
        let biased = EXPONENT_BIAS + magnitude;
        let mut key = String::with_capacity(significant.len() + 9);
        if self.negative {
            key.push_str(&format!("0{:07}", 9_999_999 - biased));
            key.extend(significant.iter().map(|d| char::from(b'9' - d)));
            // Above every digit: of two numbers that begin alike, the shorter is nearer to zero, so greater.
            key.push('~');
        } else {
            key.push_str(&format!("2{biased:07}"));
            key.extend(significant.iter().map(|d| char::from(b'0' + d)));
        }
        key
    }

    /// The digits without zeros at either end, and the power of ten before which they stand: `0.digits × 10^power`. Zero
    /// has no digits.
    fn significant(&self) -> (&[u8], i64) {
        let nonzero = |digit: &u8| *digit != 0;
        let Some(first) = self.digits.iter().position(nonzero) else {
            return (&[], 0);
        };
        let last = self.digits.iter().rposition(nonzero).unwrap_or(first);
        let before_point = (self.digits.len() - first) as i64;
        (&self.digits[first..=last], self.exponent + before_point)
    }

    /// The digits with zeros added until the last has the power `exponent`, which is never above ours.
    fn written_to(&self, exponent: i64) -> Result<Vec<u8>, DecimalError> {
        let zeros = usize::try_from(self.exponent - exponent).unwrap_or(0);
        if self.digits.len().saturating_add(zeros) > MAX_DIGITS {
            return Err(DecimalError::TooLong { most: MAX_DIGITS });
        }
        let mut digits = self.digits.clone();
        digits.resize(digits.len() + zeros, 0);
        Ok(digits)
    }

    fn within_bounds(
        negative: bool,
        mut digits: Vec<u8>,
        exponent: i64,
    ) -> Result<Self, DecimalError> {
        let zeros = digits.iter().take_while(|&&digit| digit == 0).count();
        digits.drain(..zeros.min(digits.len().saturating_sub(1)));
        if digits.len() > MAX_DIGITS {
            return Err(DecimalError::TooLong { most: MAX_DIGITS });
        }
        if !(-MAX_RESULT_EXPONENT..=MAX_RESULT_EXPONENT).contains(&exponent) {
            return Err(DecimalError::Exponent);
        }
        let zero = digits.iter().all(|&digit| digit == 0);
        Ok(Self {
            negative: negative && !zero,
            digits,
            exponent,
        })
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, DecimalError> {
        if text.len() > MAX_TEXT {
            return Err(DecimalError::TooLong { most: MAX_TEXT });
        }
        let (mantissa, power) = match text.split_once(['e', 'E']) {
            Some((mantissa, power)) => (mantissa, Some(power)),
            None => (text, None),
        };
        let plain = Plain::read(mantissa)?;
        let power = match power {
            None => 0,
            Some(power) => {
                let digits = power.strip_prefix(['+', '-']).unwrap_or(power);
                if digits.is_empty() || !all_digits(digits) {
                    return Err(DecimalError::Form);
                }
                power
                    .parse::<i64>()
                    .ok()
                    .filter(|power| (-MAX_EXPONENT..=MAX_EXPONENT).contains(power))
                    .ok_or(DecimalError::Exponent)?
            }
        };
        Ok(plain.decimal(power))
    }
}

impl fmt::Display for Decimal {
    /// Without an exponent where that is short, otherwise with one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negative {
            f.write_str("-")?;
        }
        let text: String = self.digits.iter().map(|d| char::from(b'0' + d)).collect();
        match usize::try_from(-self.exponent) {
            Ok(0) => f.write_str(&text),
            Ok(places) if places <= MAX_DIGITS => {
                let text = format!("{text:0>width$}", width = places + 1);
                let (whole, fraction) = text.split_at(text.len() - places);
                write!(f, "{whole}.{fraction}")
            }
            _ => write!(f, "{text}e{}", self.exponent),
        }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, a_power) = self.significant();
        let (b, b_power) = other.significant();
        let sign = |digits: &[u8], negative: bool| match (digits.is_empty(), negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        let (a_sign, b_sign) = (sign(a, self.negative), sign(b, other.negative));
        let size = a_power.cmp(&b_power).then_with(|| a.cmp(b));
        a_sign.cmp(&b_sign).then(match a_sign {
            0 => Ordering::Equal,
            1 => size,
            _ => size.reverse(),
        })
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl Hash for Decimal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.is_negative().hash(state);
        self.significant().hash(state);
    }
}

/// A number written without exponent, taken apart.
struct Plain<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
}

impl<'a> Plain<'a> {
    fn read(text: &'a str) -> Result<Self, DecimalError> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = match text.split_once('.') {
            Some((_, "")) => return Err(DecimalError::Form),
            Some((whole, fraction)) => (whole, fraction),
            None => (text, ""),
        };
        let leading_zero = whole.len() > 1 && whole.starts_with('0');
        if whole.is_empty() || leading_zero || !all_digits(whole) || !all_digits(fraction) {
            return Err(DecimalError::Form);
        }
        Ok(Self {
            negative,
            whole,
            fraction,
        })
    }

    fn decimal(&self, power: i64) -> Decimal {
        let digits = self.whole.bytes().chain(self.fraction.bytes());
        Decimal {
            negative: self.negative,
            digits: digits.map(|b| b - b'0').collect(),
            exponent: power - self.fraction.len() as i64,
        }
    }
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

fn padded(digits: &[u8], width: usize) -> Vec<u8> {
    let mut padded = vec![0; width.saturating_sub(digits.len())];
    padded.extend_from_slice(digits);
    padded
}

/// The sum of two numbers of one width, which has room for the carry.
fn sum(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let mut digits: Vec<u8> = a
        .iter()
        .zip(b)
        .rev()
        .map(|(a, b)| {
            let value = a + b + carry;
            carry = value / 10;
            value % 10
        })
        .collect();
    digits.reverse();
    digits
}

/// `a - b` for `a >= b` of one width.
fn difference(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    let mut digits: Vec<u8> = a
        .iter()
        .zip(b)
        .rev()
        .map(|(a, b)| {
            let value = 10 + a - b - borrow;
            borrow = 1 - value / 10;
            value % 10
        })
        .collect();
    digits.reverse();
    digits
}

fn product(a: &[u8], b: &[u8]) -> Vec<u8> {
    // From the last digit. A column is at most 81 × 4096, and the carry a tenth of that.
    let mut columns = vec![0_u32; a.len() + b.len()];
    for (i, x) in a.iter().rev().enumerate() {
        for (column, y) in columns.iter_mut().skip(i).zip(b.iter().rev()) {
            *column += u32::from(*x) * u32::from(*y);
        }
    }
    let mut carry = 0;
    let mut digits: Vec<u8> = columns
        .iter()
        .map(|column| {
            let value = column + carry;
            carry = value / 10;
            (value % 10) as u8
        })
        .collect();
    digits.reverse();
    digits
}

/// A decimal number that travels as a JSON string, to the last digit: JSON numbers become floats on the way.
///
/// Written without exponent, in at most [`MAX_CHARS`](Self::MAX_CHARS) characters. Equality and order are those of the
/// numbers; the digits stay as written.
///
/// ```
/// use mcp_ext_values::{DecimalString, Rounding};
///
/// let price: DecimalString = "10.50".parse()?;
/// assert_eq!(price.as_str(), "10.50");
/// assert_eq!(price, "10.5".parse()?);
/// assert_eq!(price.times(&"0.19".parse()?)?.rounded(2, Rounding::HalfEven)?.as_str(), "2.00");
/// assert!("1e3".parse::<DecimalString>().is_err());
/// assert!(serde_json::from_str::<DecimalString>("10.5").is_err(), "a JSON number is refused");
/// # Ok::<(), mcp_ext_values::DecimalError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DecimalString {
    // First, so that the derived order is by value. What is equal so far may still be written differently, so the text
    // is no part of equality: see `Written`.
    value: Decimal,
    text: Written,
}

/// How a number is written, which says nothing of its value.
#[derive(Debug, Clone)]
struct Written(String);

impl PartialEq for Written {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Written {}

impl PartialOrd for Written {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Written {
    fn cmp(&self, _: &Self) -> Ordering {
        Ordering::Equal
    }
}

impl Hash for Written {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl DecimalString {
    /// Most characters, sign and point included.
    pub const MAX_CHARS: usize = 256;

    /// The text, as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text.0
    }

    /// The number.
    #[must_use]
    pub fn decimal(&self) -> &Decimal {
        &self.value
    }

    /// How many digits stand after the point.
    #[must_use]
    pub fn places(&self) -> u32 {
        // A text of 256 characters has fewer.
        u32::try_from(-self.value.exponent).unwrap_or(0)
    }

    /// The sum, exactly.
    ///
    /// # Errors
    /// When it has too many digits.
    pub fn plus(&self, other: &Self) -> Result<Self, DecimalError> {
        self.value.plus(&other.value)?.try_into()
    }

    /// The difference, exactly.
    ///
    /// # Errors
    /// When it has too many digits.
    pub fn minus(&self, other: &Self) -> Result<Self, DecimalError> {
        self.value.minus(&other.value)?.try_into()
    }

    /// The product, exactly.
    ///
    /// # Errors
    /// When it has too many digits; round the factors first.
    pub fn times(&self, other: &Self) -> Result<Self, DecimalError> {
        self.value.times(&other.value)?.try_into()
    }

    /// The number with exactly that many digits after the point.
    ///
    /// # Errors
    /// When it has too many digits.
    pub fn rounded(&self, places: u32, mode: Rounding) -> Result<Self, DecimalError> {
        self.value.rounded(places, mode)?.try_into()
    }
}

impl FromStr for DecimalString {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let most = Self::MAX_CHARS;
        if text.len() > most {
            return Err(DecimalError::TooLong { most });
        }
        Ok(Self {
            value: Plain::read(text)?.decimal(0),
            text: Written(text.to_owned()),
        })
    }
}

impl TryFrom<Decimal> for DecimalString {
    type Error = DecimalError;

    fn try_from(value: Decimal) -> Result<Self, DecimalError> {
        let most = Self::MAX_CHARS;
        if value.exponent > most as i64 || value.exponent < -(most as i64) {
            return Err(DecimalError::TooLong { most });
        }
        let value = match value.exponent {
            1.. => Decimal {
                digits: value.written_to(0)?,
                exponent: 0,
                ..value
            },
            _ => value,
        };
        let text = value.to_string();
        if text.len() > most {
            return Err(DecimalError::TooLong { most });
        }
        Ok(Self {
            value,
            text: Written(text),
        })
    }
}

impl From<i64> for Decimal {
    fn from(number: i64) -> Self {
        let text = number.unsigned_abs().to_string();
        Self {
            negative: number < 0,
            digits: text.bytes().map(|b| b - b'0').collect(),
            exponent: 0,
        }
    }
}

impl From<i64> for DecimalString {
    fn from(number: i64) -> Self {
        Self {
            value: number.into(),
            text: Written(number.to_string()),
        }
    }
}

impl fmt::Display for DecimalString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

text_type!(
    DecimalString,
    "a decimal number as a JSON string, such as \"10.50\"; JSON numbers lose digits",
    json_schema!({
        "type": "string",
        "pattern": "^-?(0|[1-9][0-9]*)(\\.[0-9]+)?$",
        "maxLength": DecimalString::MAX_CHARS,
    })
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Decimal, DecimalError, DecimalString, MAX_DIGITS, Rounding};

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    fn key(text: &str) -> String {
        decimal(text).sort_key()
    }

    #[test]
    fn keys_sort_as_numbers() {
        let sorted = [
            "-1.000000000000000000E+245",
            "-100",
            "-99.9",
            "-1.01",
            "-1",
            "-0.5",
            "-1E-22",
            "0",
            "1.000000000000000000E-245",
            "1E-22",
            "0.1",
            "0.12",
            "0.123",
            "1",
            "1.0000000000000000001",
            "9",
            "10",
            "69.5",
            "70",
            "70.5",
            "1000000000000000000",
        ];
        for pair in sorted.windows(2) {
            assert!(key(pair[0]) < key(pair[1]), "{} < {}", pair[0], pair[1]);
            assert!(decimal(pair[0]) < decimal(pair[1]));
        }
        for (a, b) in [
            ("1.0", "1.00"),
            ("100", "1e2"),
            ("0", "-0.00"),
            ("0E5", "0"),
            ("1E-1", "0.1"),
        ] {
            assert_eq!(key(a), key(b), "{a} = {b}");
            assert_eq!(decimal(a), decimal(b));
        }
    }

    #[test]
    fn only_json_numbers_are_numbers() {
        for text in [
            "",
            "-",
            "+1",
            ".5",
            "1.",
            "01",
            "1e",
            "1e+",
            "1e9999999",
            "0x1",
            "1,0",
            "NaN",
            "1 ",
            "--1",
            "１",
            "1e99999999999999999999",
            "1e-9223372036854775808",
            "1e9223372036854775807",
        ] {
            assert!(text.parse::<Decimal>().is_err(), "{text}");
        }
        assert!("1".repeat(2000).parse::<Decimal>().is_err());
    }

    #[test]
    fn results_are_bounded() {
        let far = decimal("1e1000000").plus(&decimal("1e-1000000"));
        assert_eq!(far, Err(DecimalError::TooLong { most: MAX_DIGITS }));
        let mut power = decimal("1e1000000");
        power = power.times(&power).unwrap();
        assert_eq!(
            power.times(&decimal("1e1")).map(|d| d.to_string()),
            Err(DecimalError::Exponent)
        );
        for power in [i64::MIN, i64::MAX] {
            let scaled = decimal("0.5").scaled_by(power);
            assert_eq!(scaled, Err(DecimalError::Exponent), "{power}");
        }
        let mut nines = decimal(&"9".repeat(1000));
        let grown = loop {
            match nines.times(&nines) {
                Ok(more) => nines = more,
                Err(error) => break error,
            }
        };
        assert_eq!(grown, DecimalError::TooLong { most: MAX_DIGITS });
        let long: DecimalString = "9".repeat(200).parse().unwrap();
        assert_eq!(long.times(&long), Err(DecimalError::TooLong { most: 256 }));
        assert!(DecimalString::try_from(decimal("1e300")).is_err());
        assert!(DecimalString::try_from(decimal("1e-300")).is_err());
        assert_eq!(
            DecimalString::try_from(decimal("12e3")).unwrap().as_str(),
            "12000"
        );
    }

    #[test]
    fn every_rounding_of_every_case() {
        use Rounding::{Ceiling, Down, Floor, HalfDown, HalfEven, HalfUp, Up};
        let modes = [HalfEven, HalfUp, HalfDown, Up, Down, Ceiling, Floor];
        for (text, expected) in [
            ("5.5", ["6", "6", "5", "6", "5", "6", "5"]),
            ("2.5", ["2", "3", "2", "3", "2", "3", "2"]),
            ("1.6", ["2", "2", "2", "2", "1", "2", "1"]),
            ("1.1", ["1", "1", "1", "2", "1", "2", "1"]),
            ("1.0", ["1", "1", "1", "1", "1", "1", "1"]),
            ("-1.0", ["-1", "-1", "-1", "-1", "-1", "-1", "-1"]),
            ("-1.1", ["-1", "-1", "-1", "-2", "-1", "-1", "-2"]),
            ("-2.5", ["-2", "-3", "-2", "-3", "-2", "-2", "-3"]),
            ("-5.5", ["-6", "-6", "-5", "-6", "-5", "-5", "-6"]),
            ("0.5", ["0", "1", "0", "1", "0", "1", "0"]),
            ("0.05", ["0", "0", "0", "1", "0", "1", "0"]),
            ("-0.4", ["0", "0", "0", "-1", "0", "0", "-1"]),
            ("2.50001", ["3", "3", "3", "3", "2", "3", "2"]),
            ("99.5", ["100", "100", "99", "100", "99", "100", "99"]),
        ] {
            for (mode, expected) in modes.into_iter().zip(expected) {
                let rounded = decimal(text).rounded(0, mode).unwrap();
                assert_eq!(rounded.to_string(), expected, "{text} {mode}");
            }
        }
        let far = decimal("1e-1000").rounded(2, Up).unwrap();
        assert_eq!(far.to_string(), "0.01");
        assert_eq!(
            decimal("7").rounded(3, HalfEven).unwrap().to_string(),
            "7.000"
        );
    }

    proptest! {
        #[test]
        fn keys_agree_with_integers(a in -1_000_000_000_i64..1_000_000_000, b in -1_000_000_000_i64..1_000_000_000, shift in -30..30_i64) {
            let (x, y) = (decimal(&format!("{a}e{shift}")), decimal(&format!("{b}e{shift}")));
            prop_assert_eq!(x.sort_key().cmp(&y.sort_key()), a.cmp(&b));
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        }

        #[test]
        fn keys_and_order_agree(a in "-?(0|[1-9][0-9]{0,8})(\\.[0-9]{1,8})?", b in "-?(0|[1-9][0-9]{0,8})(\\.[0-9]{1,8})?") {
            let (x, y) = (decimal(&a), decimal(&b));
            prop_assert_eq!(x.sort_key().cmp(&y.sort_key()), x.cmp(&y));
        }

        #[test]
        fn sums_agree_with_integers(a in -1_000_000_i64..1_000_000, b in -1_000_000_i64..1_000_000, shift in 0..4_u32) {
            let sum = decimal(&a.to_string()).plus(&decimal(&format!("{b}e{shift}"))).unwrap();
            prop_assert_eq!(sum.sort_key(), key(&(a + b * 10_i64.pow(shift)).to_string()));
        }

        #[test]
        fn products_and_differences_agree_with_integers(a in any::<i64>(), b in any::<i64>()) {
            let (x, y) = (DecimalString::from(a), DecimalString::from(b));
            let (a, b) = (i128::from(a), i128::from(b));
            let (product, difference) = ((a * b).to_string(), (a - b).to_string());
            prop_assert_eq!(x.times(&y).unwrap().to_string(), product);
            prop_assert_eq!(x.minus(&y).unwrap().to_string(), difference);
        }

        #[test]
        fn rounding_is_the_nearest(n in -1_000_000_i64..1_000_000, places in 0..3_u32) {
            // n thousandths, rounded to even by whole numbers alone.
            let unit = 10_i64.pow(3 - places);
            let (quotient, rest) = (n.div_euclid(unit), n.rem_euclid(unit));
            let up = match (rest * 2).cmp(&unit) {
                std::cmp::Ordering::Greater => 1,
                std::cmp::Ordering::Equal => quotient.rem_euclid(2),
                std::cmp::Ordering::Less => 0,
            };
            let rounded = decimal(&format!("{n}e-3")).rounded(places, Rounding::HalfEven).unwrap();
            prop_assert_eq!(&rounded, &decimal(&format!("{}e-{places}", quotient + up)));
            prop_assert_eq!(rounded.exponent(), -i64::from(places));
        }

        #[test]
        fn texts_are_kept(text in "-?(0|[1-9][0-9]{0,60})(\\.[0-9]{1,60})?") {
            let number: DecimalString = text.parse().unwrap();
            prop_assert_eq!(number.as_str(), &text);
            let again = DecimalString::try_from(number.decimal().clone()).unwrap();
            prop_assert_eq!(again.as_str(), &text);
        }
    }
}
