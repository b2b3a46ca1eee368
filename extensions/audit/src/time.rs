//! Timestamps in their one written form: RFC 3339 in UTC with milliseconds and `Z`.

/// Whether `text` is such a time.
pub(crate) fn is_valid(text: &str) -> bool {
    let pattern = b"dddd-dd-ddTdd:dd:dd.dddZ";
    let bytes = text.as_bytes();
    let fits = bytes.len() == pattern.len()
        && bytes.iter().zip(pattern).all(|(b, p)| match p {
            b'd' => b.is_ascii_digit(),
            p => b == p,
        });
    let number = |range: std::ops::Range<usize>| -> u32 {
        text.get(range)
            .and_then(|digits| digits.parse().ok())
            .unwrap_or(u32::MAX)
    };
    if !fits || number(11..13) > 23 || number(14..16) > 59 || number(17..19) > 59 {
        return false;
    }
    let year = number(0..4);
    let days = match number(5..7) {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        1..=12 => 31,
        _ => return false,
    };
    (1..=days).contains(&number(8..10))
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn times_are_checked() {
        for good in [
            "2024-02-29T23:59:59.999Z",
            "2000-02-29T00:00:00.000Z",
            "0000-01-01T00:00:00.000Z",
            "9999-12-31T23:59:59.999Z",
        ] {
            assert!(is_valid(good), "{good}");
        }
        for bad in [
            "2023-02-29T00:00:00.000Z",
            "1900-02-29T00:00:00.000Z",
            "2024-13-01T00:00:00.000Z",
            "2024-00-01T00:00:00.000Z",
            "2024-01-00T00:00:00.000Z",
            "2024-04-31T00:00:00.000Z",
            "2024-01-01T24:00:00.000Z",
            "2024-01-01T00:60:00.000Z",
            "2024-01-01T00:00:60.000Z",
            "2024-01-01T00:00:00Z",
            "2024-01-01T00:00:00.00Z",
            "2024-01-01T00:00:00.000+00:00",
            "2024-01-01t00:00:00.000z",
            "2024-01-01T00:00:00.00\u{e9}",
            "",
        ] {
            assert!(!is_valid(bad), "{bad}");
        }
    }
}
