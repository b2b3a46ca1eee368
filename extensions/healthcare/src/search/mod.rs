//! Searching: the parameters, what a search means, and its SQL.
//!
//! The parameters are those of R4 4.0.1 of kinds token, date, reference, string and quantity, for nine resource types.
//! What R4 leaves to a server is decided so:
//!
//! - A date without a time zone is in UTC. A date, searched or stored, is a half-open range as long as it is precise;
//!   a Timing reaches from its first to its last moment. `ap` widens the searched range by its own length both ways.
//! - A number, stored, is exact. Searched, it is a range half a unit of its last place either way for `eq` and `ne`
//!   (`70` is from 69.5 up to, not including, 70.5), a tenth either way for `ap`, and exact for all others: `gt70` does
//!   not find 70, `ge70` does. A stored `<5` is anything up to 5. No unit is converted. SampledData is not looked at.
//! - A `code` element is found by the system its definition binds it to, by none (`|final`), or by the code alone.
//!   Codes compare with case.
//! - A string matches from the start of a field, without case, accents, ASCII punctuation and repeated space; `:exact`
//!   compares it as it is. `phonetic` is Soundex.
//! - `Patient/1` and `1` are resources of this store; an absolute URL is compared whole. A version in a stored reference
//!   is passed over.
//! - Sorting takes the first of several values in the order wanted, of a range its start (ascending) or its end
//!   (descending); what has no value comes last; ties are in order of id.

mod error;
pub(crate) mod params;
pub(crate) mod parse;
pub(crate) mod sql;
pub(crate) mod text;

pub use error::SearchError;

/// Most conditions in a search.
pub const MAX_PARAMS: usize = 32;
/// Most values of one condition.
pub const MAX_VALUES: usize = 64;
/// Longest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 1024;
/// Longest search: the bytes of all names, modifiers and values. Keeps what is echoed, and so the answer, small.
pub const MAX_QUERY_BYTES: usize = 4096;
/// Most names to sort by.
pub const MAX_SORT: usize = 3;
/// Largest page, in bytes of JSON; it ends early, with a cursor, rather than grow beyond.
pub const MAX_RESULT_BYTES: usize = 24 * 1024;
