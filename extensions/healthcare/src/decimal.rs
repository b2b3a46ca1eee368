//! Decimal numbers of any size, compared exactly. No floating point.

use std::cmp::Ordering;

/// Most characters in a number, digits and exponent together.
const MAX_LEN: usize = 1024;
/// Largest exponent, either way. FHIR's own examples go to 245.
const MAX_EXPONENT: i64 = 1_000_000;
/// Makes every exponent a positive number of seven digits.
const EXPONENT_BIAS: i64 = 4_000_000;

/// `±digits × 10^exponent`, with the digits as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    exponent: i64,
    /// `1e2` rather than `100` or `1.0e2`.
    bare_exponent: bool,
}

impl Decimal {
    /// Reads a number as JSON writes one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_LEN {
            return None;
        }
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, power) = match text.split_once(['e', 'E']) {
            Some((mantissa, power)) => (mantissa, Some(power)),
            None => (text, None),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return None,
            Some((whole, fraction)) => (whole, fraction),
            None => (mantissa, ""),
        };
        let is_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        if whole.len() > 1 && whole.starts_with('0') {
            return None;
        }
        let power_value = match power {
            None => 0,
            Some(power) => {
                let digits = power.strip_prefix(['+', '-']).unwrap_or(power);
                if digits.is_empty() || !is_digits(digits) {
                    return None;
                }
                power
                    .parse::<i64>()
                    .ok()
                    .filter(|p| p.abs() <= MAX_EXPONENT)?
            }
        };
        Some(Self {
            negative,
            digits: whole
                .bytes()
                .chain(fraction.bytes())
                .map(|b| b - b'0')
                .collect(),
            exponent: power_value - i64::try_from(fraction.len()).ok()?,
            bare_exponent: power.is_some() && fraction.is_empty(),
        })
    }

    /// From half a unit of the last place below to half above: what the number stands for at its written precision.
    ///
    /// `70` is `[69.5, 70.5)`, `70.00` is `[69.995, 70.005)`, and `1e2` is `[95, 105)`, as the R4 search page has it.
    pub(crate) fn precision_range(&self) -> (Self, Self) {
        let places = if self.bare_exponent { 2 } else { 1 };
        self.around(&Self {
            negative: false,
            digits: vec![5],
            exponent: self.exponent - places,
            bare_exponent: false,
        })
    }

    /// A tenth of the value around it, but no narrower than its precision.
    pub(crate) fn approximate_range(&self) -> (Self, Self) {
        let tenth = Self {
            negative: false,
            digits: self.digits.clone(),
            exponent: self.exponent - 1,
            bare_exponent: false,
        };
        let (low, high) = self.around(&tenth);
        let (precise_low, precise_high) = self.precision_range();
        (
            if precise_low < low { precise_low } else { low },
            if precise_high > high {
                precise_high
            } else {
                high
            },
        )
    }

    fn around(&self, margin: &Self) -> (Self, Self) {
        let minus = Self {
            negative: true,
            ..margin.clone()
        };
        (self.add(&minus), self.add(margin))
    }

    fn add(&self, other: &Self) -> Self {
        let exponent = self.exponent.min(other.exponent);
        let (a, b) = (self.scaled(exponent), other.scaled(exponent));
        let width = a.len().max(b.len()) + 1;
        let (a, b) = (padded(&a, width), padded(&b, width));
        let (negative, digits) = if self.negative == other.negative {
            (self.negative, sum(&a, &b))
        } else if a >= b {
            (self.negative, difference(&a, &b))
        } else {
            (other.negative, difference(&b, &a))
        };
        Self {
            negative,
            digits,
            exponent,
            bare_exponent: false,
        }
    }

    /// The digits with zeros added until the exponent is `exponent`, which is never above ours.
    fn scaled(&self, exponent: i64) -> Vec<u8> {
        let zeros = usize::try_from(self.exponent - exponent).unwrap_or(0);
        let mut digits = self.digits.clone();
        digits.resize(digits.len() + zeros, 0);
        digits
    }

    /// A text that sorts, byte by byte, as the number does. Equal numbers have equal keys.
    pub(crate) fn sort_key(&self) -> String {
        let Some(first) = self.digits.iter().position(|&d| d != 0) else {
            return "1".to_owned();
        };
        let last = self.digits.iter().rposition(|&d| d != 0).unwrap_or(first);
        let significant = &self.digits[first..=last];
        // The number is 0.significant × 10^magnitude.
        let magnitude = self.exponent + (self.digits.len() - first) as i64;
        let biased = EXPONENT_BIAS + magnitude;
        let mut key = String::with_capacity(significant.len() + 9);
        if self.negative {
            key.push('0');
            key.push_str(&format!("{:07}", 9_999_999 - biased));
            key.extend(significant.iter().map(|d| char::from(b'9' - d)));
            // Above every digit: of two numbers that begin alike, the shorter is nearer to zero, so greater.
            key.push('~');
        } else {
            key.push('2');
            key.push_str(&format!("{biased:07}"));
            key.extend(significant.iter().map(|d| char::from(b'0' + d)));
        }
        key
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.sort_key().cmp(&other.sort_key()))
    }
}

/// Sorts below the key of every number.
pub(crate) const KEY_MIN: &str = "";
/// Sorts above the key of every number.
pub(crate) const KEY_MAX: &str = "3";

fn padded(digits: &[u8], width: usize) -> Vec<u8> {
    let mut padded = vec![0; width - digits.len()];
    padded.extend_from_slice(digits);
    padded
}

fn sum(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut digits = vec![0; a.len()];
    let mut carry = 0;
    for i in (0..a.len()).rev() {
        let value = a[i] + b[i] + carry;
        digits[i] = value % 10;
        carry = value / 10;
    }
    digits
}

/// `a - b` for `a >= b`.
fn difference(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut digits = vec![0; a.len()];
    let mut borrow = 0;
    for i in (0..a.len()).rev() {
        let value = 10 + a[i] - b[i] - borrow;
        digits[i] = value % 10;
        borrow = 1 - value / 10;
    }
    digits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Decimal;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap_or_else(|| panic!("{text}"))
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
        }
        for (a, b) in [
            ("1.0", "1.00"),
            ("100", "1e2"),
            ("0", "-0.00"),
            ("0E5", "0"),
            ("1E-1", "0.1"),
        ] {
            assert_eq!(key(a), key(b), "{a} = {b}");
        }
    }

    #[test]
    fn precision_is_what_was_written() {
        let check = |text: &str, low: &str, high: &str| {
            let (a, b) = decimal(text).precision_range();
            assert_eq!(
                (a.sort_key(), b.sort_key()),
                (key(low), key(high)),
                "{text}"
            );
        };
        check("70", "69.5", "70.5");
        check("70.00", "69.995", "70.005");
        check("0", "-0.5", "0.5");
        check("-5.4", "-5.45", "-5.35");
        check("1e2", "95", "105");
        check("1.0E-22", "0.95E-22", "1.05E-22");
        check("999.9", "999.85", "999.95");
        let (low, high) = decimal("-100").approximate_range();
        assert_eq!((low.sort_key(), high.sort_key()), (key("-110"), key("-90")));
        let (low, high) = decimal("1").approximate_range();
        assert_eq!((low.sort_key(), high.sort_key()), (key("0.5"), key("1.5")));
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
        ] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
        assert_eq!(Decimal::parse(&"1".repeat(2000)), None);
    }

    proptest! {
        #[test]
        fn keys_agree_with_integers(a in -1_000_000_000_i64..1_000_000_000, b in -1_000_000_000_i64..1_000_000_000, shift in -30..30_i64) {
            let (x, y) = (key(&format!("{a}e{shift}")), key(&format!("{b}e{shift}")));
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        }

        #[test]
        fn sums_agree_with_integers(a in -1_000_000_i64..1_000_000, b in -1_000_000_i64..1_000_000, shift in 0..4_u32) {
            let sum = decimal(&a.to_string()).add(&decimal(&format!("{b}e{shift}")));
            prop_assert_eq!(sum.sort_key(), key(&(a + b * 10_i64.pow(shift)).to_string()));
        }
    }
}
