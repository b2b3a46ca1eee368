//! Known answers and negatives for money.

use mcp_ext_values::{Currency, DecimalString, Money, MoneyError, Rounding};
use serde_json::{Value, json};

fn money(amount: &str, currency: &str) -> Result<Money, MoneyError> {
    let parsed = Money::parse(amount, currency);
    // The wire says the same.
    let read = serde_json::from_value(json!({ "amount": amount, "currency": currency }));
    assert_eq!(read.ok(), parsed.clone().ok(), "{amount} {currency}");
    parsed
}

#[test]
fn each_currency_has_its_digits() {
    for (amount, currency) in [
        ("10", "JPY"),
        ("1.234", "BHD"),
        ("1.2345", "CLF"),
        ("1.234", "KWD"),
        ("1.2345", "UYW"),
        ("1", "ISK"),
        ("10.5", "EUR"),
        ("-10.50", "EUR"),
        ("0", "XCG"),
        ("1.23", "HRK"),
    ] {
        let read = money(amount, currency).unwrap_or_else(|e| panic!("{amount} {currency}: {e}"));
        assert_eq!(read.amount().as_str(), amount);
        assert_eq!(read.to_string(), format!("{amount} {currency}"));
    }
    for (amount, currency, most) in [
        ("0.10", "JPY", 0),
        ("1.2345", "BHD", 3),
        ("1.23456", "CLF", 4),
        ("1.2345", "KWD", 3),
        ("1.0", "ISK", 0),
        ("1.000", "EUR", 2),
    ] {
        match money(amount, currency) {
            Err(MoneyError::Digits { most: m, seen, .. }) => {
                assert_eq!(m, most, "{currency}");
                assert_eq!(seen as usize, amount.len() - 2);
            }
            other => panic!("{amount} {currency}: {other:?}"),
        }
    }
    let digits = |code: &str| code.parse::<Currency>().map(|c| c.minor_digits());
    for (code, expected) in [
        ("JPY", Some(0)),
        ("BHD", Some(3)),
        ("CLF", Some(4)),
        ("KWD", Some(3)),
        ("ISK", Some(0)),
        ("EUR", Some(2)),
        ("XAU", None),
        ("XDR", None),
    ] {
        assert_eq!(digits(code), Ok(expected), "{code}");
    }
}

#[test]
fn gold_has_no_minor_unit_and_no_currency_is_refused() {
    assert!(money("1.23456789", "XAU").is_ok());
    let weight = "1.23456789".parse().unwrap();
    let gold = Money::rounded(&weight, "XAU".parse().unwrap(), Rounding::HalfEven).unwrap();
    assert_eq!(gold.amount().as_str(), "1.23456789");
    for code in ["XXX", "XTS", "ANG", "eur", "EU", "EURO", "", "ÉUR", "ZZZ"] {
        assert_eq!(money("1", code), Err(MoneyError::Currency), "{code}");
    }
    let euro = "EUR".parse::<Currency>().unwrap();
    for old in ["HRK", "BGN"] {
        assert_eq!(old.parse::<Currency>().unwrap().replaced_by(), Some(euro));
    }
    let leone = "SLL".parse::<Currency>().unwrap();
    assert_eq!(leone.replaced_by(), "SLE".parse().ok());
    assert_eq!(euro.replaced_by(), None);
}

#[test]
fn what_is_not_an_amount_is_refused() {
    for text in [
        "1e3", "NaN", ".5", "+1", "1,000", "", "-", "1.", "01", "--1", " 1", "1 ", "1\n", "0x1",
        "Infinity", "１", "1_000", "1.2.3", "1.-2", "−1",
    ] {
        assert!(text.parse::<DecimalString>().is_err(), "{text:?}");
        assert!(money(text, "EUR").is_err(), "{text:?}");
    }
    for value in [
        json!(10.5),
        json!(10),
        json!(null),
        json!(["10"]),
        json!({"amount": "10"}),
        json!(true),
    ] {
        let read = serde_json::from_value::<DecimalString>(value.clone());
        assert!(read.is_err(), "{value}");
    }
    let error = serde_json::from_value::<DecimalString>(json!(10.5)).unwrap_err();
    assert!(error.to_string().contains("as a JSON string"), "{error}");
}

#[test]
fn thirty_digits_survive() {
    let text = "123456789012345678901234567890";
    let exact: DecimalString = text.parse().unwrap();
    assert_eq!(serde_json::to_value(&exact).unwrap(), Value::from(text));
    let cents = money(&format!("{text}.99"), "EUR").unwrap();
    let sum = cents.plus(&money("0.01", "EUR").unwrap()).unwrap();
    assert_eq!(sum.amount().as_str(), "123456789012345678901234567891.00");
    let large: DecimalString = "79228162514264337593543950336".parse().unwrap();
    assert_eq!(large.as_str(), "79228162514264337593543950336");
    assert!("9".repeat(256).parse::<DecimalString>().is_ok());
    assert!("9".repeat(257).parse::<DecimalString>().is_err());
}

#[test]
fn ten_times_a_tenth_is_one() {
    let tenth: DecimalString = "0.1".parse().unwrap();
    let mut sum = DecimalString::from(0);
    for _ in 0..10 {
        sum = sum.plus(&tenth).unwrap();
    }
    assert_eq!(sum, "1.0".parse().unwrap());
    assert_eq!(sum.as_str(), "1.0");
    let ten = DecimalString::from(10);
    assert_eq!(tenth.times(&ten).unwrap(), sum);
}

#[test]
fn half_even_does_not_drift() {
    let rounded = |text: &str| {
        let amount = text.parse().unwrap();
        let money = Money::rounded(&amount, "EUR".parse().unwrap(), Rounding::HalfEven);
        money.unwrap().amount().as_str().to_owned()
    };
    assert_eq!(rounded("2.345"), "2.34");
    assert_eq!(rounded("2.355"), "2.36");
    assert_eq!(rounded("-2.345"), "-2.34");
    assert_eq!(rounded("2.3450000000000000000000000001"), "2.35");
    assert_eq!(rounded("2"), "2.00");
}

#[test]
fn currencies_do_not_mix() {
    let (euro, dollar) = (money("1", "EUR").unwrap(), money("1", "USD").unwrap());
    assert!(matches!(euro.plus(&dollar), Err(MoneyError::Mixed { .. })));
    assert!(matches!(euro.minus(&dollar), Err(MoneyError::Mixed { .. })));
    assert_eq!(euro.partial_cmp(&dollar), None);
    assert_ne!(euro, dollar);
    assert!(euro < money("1.01", "EUR").unwrap());
    assert_eq!(euro, money("1.00", "EUR").unwrap());
}
