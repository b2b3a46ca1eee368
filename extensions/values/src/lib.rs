//! Values that keep their meaning on the way: small types whose `Deserialize` checks and whose JSON Schema says the same.
//!
//! | type | for |
//! |---|---|
//! | [`DecimalString`], [`Money`], [`Currency`], [`Rounding`] | amounts, to the last digit |
//! | [`PartialDate`], [`DateRange`] | dates as far as they are known, and what they stand for |
//! | [`PageParams`], [`Page`], [`SealedCursor`], `Walk` | some of many, and where it goes on |
//! | [`Untrusted`], [`PlainText`] | text that others wrote |
//! | [`Pseudonym`], `PseudonymKey` | a person who is not to be known |
//! | [`Verdict`] | checked and right, checked and wrong, not checkable |
//! | [`Clock`], [`Random`] | time and randomness, injected |
//!
//! For types of your own that must take exactly what their schema says: [`text_type!`], [`words!`] and [`object_type!`].
//!
//! Usable alone by any server: nothing here names an SDK. What needs the system (its clock, its randomness, key files) or a
//! key stands behind the feature `server`; a client needs the types alone.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod glue;

/// What the macros name.
#[doc(hidden)]
pub mod __private {
    pub use schemars;
    pub use serde;
}

pub mod clock;
pub mod cursor;
pub mod date;
pub mod decimal;
#[cfg(feature = "server")]
pub mod digest;
#[cfg(feature = "server")]
pub mod key;
pub mod list;
pub mod money;
pub mod page;
#[cfg(feature = "server")]
mod parts;
pub mod pseudonym;
pub mod random;
pub mod timestamp;
pub mod untrusted;
pub mod verdict;
#[cfg(feature = "server")]
pub mod walk;

pub use clock::{Clock, ManualClock};
pub use cursor::{CursorError, SealedCursor};
pub use date::{DateError, DateRange, PartialDate, Precision};
pub use decimal::{Decimal, DecimalError, DecimalString, Rounding};
pub use list::List;
pub use money::{Currency, Money, MoneyError};
pub use page::{Bounded, Count, Limit, MaxBytes, Page, PageParams, Truncated, TruncationReason};
pub use pseudonym::{NotAPseudonym, Pseudonym};
pub use random::{Random, RandomError, SeededRandom};
pub use untrusted::{Fenced, PlainText, Source, TextError, Untrusted};
pub use verdict::Verdict;

#[cfg(feature = "server")]
pub use clock::SystemClock;
#[cfg(feature = "server")]
pub use cursor::{Binding, CursorKey};
#[cfg(feature = "server")]
pub use key::{Key, KeyError, KeySource, SealError};
#[cfg(feature = "server")]
pub use pseudonym::{PseudonymKey, Subject};
#[cfg(feature = "server")]
pub use random::SystemRandom;
#[cfg(feature = "server")]
pub use walk::Walk;
