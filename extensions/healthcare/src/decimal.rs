//! Numbers as a FHIR search compares them: by the precision they are written with.

use mcp_ext_values::Decimal as Number;
pub(crate) use mcp_ext_values::decimal::{KEY_MAX, KEY_MIN};

/// A number, and how it was written.
#[derive(Debug, Clone)]
pub(crate) struct Decimal {
    number: Number,
    /// Half a unit of the last place that was written.
    half: Number,
}

impl Decimal {
    /// Reads a number as JSON writes one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let number: Number = text.parse().ok()?;
        // `1e2` stands for two digits, unlike `100` and `1.0e2`: the R4 search page has `[95, 105)`.
        let bare_exponent = text.contains(['e', 'E']) && !text.contains('.');
        let places = if bare_exponent { 2 } else { 1 };
        let half = Number::from(5).scaled_by(number.exponent() - places).ok()?;
        Some(Self { number, half })
    }

    /// From half a unit of the last place below to half above: what the number stands for at its written precision.
    ///
    /// `70` is `[69.5, 70.5)`, `70.00` is `[69.995, 70.005)`, and `1e2` is `[95, 105)`, as the R4 search page has it.
    pub(crate) fn precision_range(&self) -> Option<(Number, Number)> {
        self.around(&self.half)
    }

    /// A tenth of the value around it, but no narrower than its precision.
    pub(crate) fn approximate_range(&self) -> Option<(Number, Number)> {
        let tenth = self.number.scaled_by(-1).ok()?;
        let (low, high) = self.around(&tenth.magnitude())?;
        let (precise_low, precise_high) = self.precision_range()?;
        Some((low.min(precise_low), high.max(precise_high)))
    }

    /// `None` only where the numbers become too long, which those that are read do not.
    fn around(&self, margin: &Number) -> Option<(Number, Number)> {
        let low = self.number.minus(margin).ok()?;
        Some((low, self.number.plus(margin).ok()?))
    }

    /// A text that sorts, byte by byte, as the number does.
    pub(crate) fn sort_key(&self) -> String {
        self.number.sort_key()
    }
}

#[cfg(test)]
mod tests {
    use super::Decimal;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    fn key(text: &str) -> String {
        decimal(text).sort_key()
    }

    #[test]
    fn precision_is_what_was_written() {
        let check = |text: &str, low: &str, high: &str| {
            let (a, b) = decimal(text).precision_range().unwrap();
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
        let (low, high) = decimal("-100").approximate_range().unwrap();
        assert_eq!((low.sort_key(), high.sort_key()), (key("-110"), key("-90")));
        let (low, high) = decimal("1").approximate_range().unwrap();
        assert_eq!((low.sort_key(), high.sort_key()), (key("0.5"), key("1.5")));
    }
}
