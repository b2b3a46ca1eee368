//! Money: an exact amount and its currency, with no more digits than the currency has.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use crate::decimal::{DecimalError, DecimalString, Rounding};
use crate::{object_type, text_type};

/// A currency of ISO 4217, by its three letters.
///
/// `XXX` (no currency) and `XTS` (testing) are refused. Currencies that another has replaced are taken: old amounts are in
/// them.
///
/// ```
/// use mcp_ext_values::Currency;
///
/// let yen: Currency = "JPY".parse()?;
/// assert_eq!(yen.minor_digits(), Some(0));
/// assert_eq!("XAU".parse::<Currency>()?.minor_digits(), None);
/// assert_eq!("HRK".parse::<Currency>()?.replaced_by(), Some("EUR".parse()?));
/// assert!("XXX".parse::<Currency>().is_err());
/// # Ok::<(), mcp_ext_values::MoneyError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency(iso_currency::Currency);

impl Currency {
    /// The three letters.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        self.0.code()
    }

    /// How many digits an amount may have after the point: 2 for most, 0 for the yen, 3 for the dinar of Kuwait. `None`
    /// for gold, special drawing rights and others that have no minor unit: any number of digits.
    #[must_use]
    pub fn minor_digits(&self) -> Option<u32> {
        self.0.exponent().map(u32::from)
    }

    /// The currency that replaced it.
    #[must_use]
    pub fn replaced_by(&self) -> Option<Self> {
        self.0.is_superseded().map(Self)
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(code: &str) -> Result<Self, MoneyError> {
        match code {
            "XXX" | "XTS" => None,
            _ => iso_currency::Currency::from_code(code),
        }
        .map(Self)
        .ok_or(MoneyError::Currency)
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialOrd for Currency {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Currency {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

/// The codes of every currency, by their number of minor digits.
static CODES: LazyLock<BTreeMap<Option<u32>, Vec<&'static str>>> = LazyLock::new(|| {
    let mut codes: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for a in 'A'..='Z' {
        for b in 'A'..='Z' {
            for c in 'A'..='Z' {
                if let Ok(currency) = String::from_iter([a, b, c]).parse::<Currency>() {
                    let of = codes.entry(currency.minor_digits()).or_default();
                    of.push(currency.as_str());
                }
            }
        }
    }
    codes
});

text_type!(
    Currency,
    "the three letters of a currency of ISO 4217, such as \"EUR\"",
    {
        let mut codes: Vec<_> = CODES.values().flatten().copied().collect();
        codes.sort_unstable();
        json_schema!({ "type": "string", "enum": codes })
    }
);

/// Why an amount is no money, or two do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not a currency.
    #[error(
        "expected the code of a currency of ISO 4217 in three capital letters, such as EUR; XXX and XTS are none"
    )]
    Currency,
    /// More digits after the point than the currency has.
    #[error(
        "an amount in {currency} has at most {most} digits after the point, seen {seen}; round it first"
    )]
    Digits {
        /// The currency.
        currency: Currency,
        /// The most there may be.
        most: u32,
        /// How many there are.
        seen: u32,
    },
    /// Amounts of two currencies.
    #[error("{left} and {right} do not add up; convert one of them first")]
    Mixed {
        /// The currency of one.
        left: Currency,
        /// The currency of the other.
        right: Currency,
    },
    /// The amount.
    #[error(transparent)]
    Amount(#[from] DecimalError),
}

/// An amount of a currency.
///
/// ```
/// use mcp_ext_values::{Money, Rounding};
///
/// let price = Money::parse("19.99", "EUR")?;
/// let tax = price.times(&"0.19".parse()?, Rounding::HalfEven)?;
/// assert_eq!(tax.to_string(), "3.80 EUR");
/// assert_eq!(price.plus(&tax)?.amount().as_str(), "23.79");
/// assert!(Money::parse("0.10", "JPY").is_err(), "the yen has no minor unit");
/// assert!(price.plus(&Money::parse("1", "USD")?).is_err());
/// # Ok::<(), mcp_ext_values::MoneyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Money {
    amount: DecimalString,
    currency: Currency,
}

impl Money {
    /// That amount, if the currency has as many digits.
    ///
    /// # Errors
    /// [`MoneyError::Digits`]; [`rounded`](Self::rounded) takes any amount.
    pub fn new(amount: DecimalString, currency: Currency) -> Result<Self, MoneyError> {
        match currency.minor_digits() {
            Some(most) if amount.places() > most => Err(MoneyError::Digits {
                currency,
                most,
                seen: amount.places(),
            }),
            _ => Ok(Self { amount, currency }),
        }
    }

    /// The same from two texts.
    ///
    /// # Errors
    /// When one of them is not what it should be.
    pub fn parse(amount: &str, currency: &str) -> Result<Self, MoneyError> {
        Self::new(amount.parse()?, currency.parse()?)
    }

    /// That amount, rounded to the digits of the currency. Where there is no minor unit it stays as it is.
    ///
    /// # Errors
    /// When it becomes too long.
    pub fn rounded(
        amount: &DecimalString,
        currency: Currency,
        mode: Rounding,
    ) -> Result<Self, MoneyError> {
        let amount = match currency.minor_digits() {
            Some(places) => amount.rounded(places, mode)?,
            None => amount.clone(),
        };
        Ok(Self { amount, currency })
    }

    /// The amount.
    #[must_use]
    pub fn amount(&self) -> &DecimalString {
        &self.amount
    }

    /// The currency.
    #[must_use]
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// The sum, exactly.
    ///
    /// # Errors
    /// [`MoneyError::Mixed`].
    pub fn plus(&self, other: &Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        Ok(Self {
            amount: self.amount.plus(&other.amount)?,
            currency: self.currency,
        })
    }

    /// The difference, exactly.
    ///
    /// # Errors
    /// [`MoneyError::Mixed`].
    pub fn minus(&self, other: &Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        Ok(Self {
            amount: self.amount.minus(&other.amount)?,
            currency: self.currency,
        })
    }

    /// The product, computed exactly and then rounded to the digits of the currency.
    ///
    /// # Errors
    /// When it becomes too long.
    pub fn times(&self, factor: &DecimalString, mode: Rounding) -> Result<Self, MoneyError> {
        let exact = self.amount.decimal().times(factor.decimal())?;
        let amount = match self.currency.minor_digits() {
            Some(places) => exact.rounded(places, mode)?,
            None => exact,
        };
        Ok(Self {
            amount: amount.try_into()?,
            currency: self.currency,
        })
    }

    fn same_currency(&self, other: &Self) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            return Ok(());
        }
        Err(MoneyError::Mixed {
            left: self.currency,
            right: other.currency,
        })
    }
}

/// Amounts of different currencies have no order.
impl PartialOrd for Money {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self.currency == other.currency).then(|| self.amount.cmp(&other.amount))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}

/// The members, before they are known to go together.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Self")]
struct Members {
    amount: DecimalString,
    currency: Currency,
}

object_type!(Members);

impl Serialize for Money {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let members = Members {
            amount: self.amount.clone(),
            currency: self.currency,
        };
        Serialize::serialize(&members, serializer)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = <Members as Deserialize>::deserialize(deserializer)?;
        Self::new(members.amount, members.currency).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Money {
    fn schema_name() -> Cow<'static, str> {
        "Money".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let amount = generator.subschema_for::<DecimalString>();
        // What each currency allows stands beside plain members, so that who reads only those still has the shape.
        let allowed: Vec<_> = CODES
            .iter()
            .map(|(digits, codes)| {
                let fraction = match digits {
                    None => "(\\.[0-9]+)?".to_owned(),
                    Some(0) => String::new(),
                    Some(digits) => format!("(\\.[0-9]{{1,{digits}}})?"),
                };
                json_schema!({ "properties": {
                    "amount": { "pattern": format!("^-?(0|[1-9][0-9]*){fraction}$") },
                    "currency": { "enum": codes },
                } })
            })
            .collect();
        let mut amount = amount;
        amount.insert(
            "description".into(),
            "The exact amount, with no more digits after the point than the currency has.".into(),
        );
        json_schema!({
            "type": "object",
            "description": "An amount of money.",
            "properties": {
                "amount": amount,
                "currency": {
                    "type": "string",
                    "pattern": "^[A-Z]{3}$",
                    "description": "The code of the currency (ISO 4217), such as `EUR`.",
                },
            },
            "required": ["amount", "currency"],
            "anyOf": allowed,
        })
    }
}
