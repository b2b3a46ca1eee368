//! The negotiation algebra: how two settings, the server's and the client's, become the negotiated one.
//!
//! Each field of a settings type has a strategy. Those that grant something can only be narrowed by the client; those
//! that state a preference cannot touch what is granted. Everything here is pure: same input, same output.
//!
//! | strategy | absent (`None`) means | law |
//! |---|---|---|
//! | [`intersect`] | no restriction | commutative (as sets), associative, idempotent |
//! | [`min`] | no limit | commutative, associative, idempotent |
//! | [`and`] | false | commutative, associative, idempotent |
//! | [`strictest`] | no demand | commutative, associative, idempotent |
//! | [`equal`] | no opinion | commutative, idempotent |
//! | [`prefer`] | no restriction | the server's order decides |
//! | `server` | - | the server says |
//! | [`max`], [`or`], `client`, custom | as `min`, `and` | preferences only |
//!
//! # What `#[settings]` writes
//!
//! One line per field, through [`Fields`], which gathers every mismatch and not the first only:
//!
//! ```
//! use std::collections::BTreeSet;
//! use mcp_ext_core::algebra::{Fields, Mismatch, Negotiate, Rule};
//!
//! #[derive(Clone, Default, Debug, PartialEq)]
//! struct GradingSettings {
//!     rubric_formats: Option<BTreeSet<String>>,
//!     max_batch: Option<u32>,
//!     write: bool,
//! }
//!
//! impl Negotiate for GradingSettings {
//!     type Negotiated = Self;
//!
//!     fn negotiate(server: &Self, client: &Self) -> Result<Self, Mismatch> {
//!         let mut f = Fields::new();
//!         let negotiated = Self {
//!             rubric_formats: f.intersect_required("rubricFormats", &server.rubric_formats, &client.rubric_formats),
//!             max_batch: f.min("maxBatch", &server.max_batch, &client.max_batch),
//!             write: f.and("write", &server.write, &client.write),
//!         };
//!         f.finish(negotiated)
//!     }
//! }
//!
//! let formats = |names: &[&str]| Some(names.iter().map(|n| n.to_string()).collect());
//! let server = GradingSettings { rubric_formats: formats(&["csv", "json"]), max_batch: Some(50), write: true };
//! let client = GradingSettings { rubric_formats: formats(&["json", "xml"]), max_batch: None, write: false };
//! let negotiated = GradingSettings::negotiate(&server, &client)?;
//! assert_eq!(negotiated, GradingSettings { rubric_formats: formats(&["json"]), max_batch: Some(50), write: false });
//!
//! let stranger = GradingSettings { rubric_formats: formats(&["xml"]), ..client };
//! let mismatch = GradingSettings::negotiate(&server, &stranger).unwrap_err();
//! assert_eq!((mismatch.rows[0].field.as_str(), mismatch.rows[0].rule), ("rubricFormats", Rule::Intersect));
//! # Ok::<(), Mismatch>(())
//! ```
//!
//! A field combined by a function of the author's, or a nested settings type, has no stand-in value to go on with when
//! it fails; its line gives an `Option`, and [`Fields::finish_with`] ends the function.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, forward_to_deserialize_any};
use serde_json::Value;

/// Combines the server's settings with a client's.
///
/// Pure, and symmetric between the two sides: both compute the same result from the same two objects.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be negotiated with `{Client}`",
    note = "put `#[settings]` on the type, or implement `Negotiate` by hand"
)]
pub trait Negotiate<Client = Self>: Sized {
    /// What both sides then go by.
    type Negotiated;

    /// Combines the two, or says which fields do not combine.
    fn negotiate(server: &Self, client: &Client) -> Result<Self::Negotiated, Mismatch>;
}

/// The strategy of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Rule {
    /// What both have.
    Intersect,
    /// The lower limit.
    Min,
    /// Granted by both.
    And,
    /// The stricter demand.
    Strictest,
    /// Must agree.
    Equal,
    /// The first of the server's list that the client has.
    Prefer,
    /// The server's word.
    Server,
    /// The higher limit.
    Max,
    /// Wanted by either.
    Or,
    /// The client's word.
    Client,
    /// A function of the author's.
    Custom,
    /// A revision both know.
    Revision,
}

impl Rule {
    /// Why two values do not combine under this rule.
    const fn complaint(self) -> &'static str {
        match self {
            Self::Intersect => "the two have nothing in common",
            Self::Prefer => "the client has none of the server's choices",
            Self::Equal => "the two must be equal",
            Self::Revision => "the client's revision is none the server knows",
            _ => "the two do not combine",
        }
    }
}

/// One field that does not combine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MismatchRow {
    /// The field's name on the wire; a nested one is `outer.inner`.
    pub field: String,
    /// The rule it failed.
    pub rule: Rule,
    /// The server's value.
    pub server: Value,
    /// The client's value.
    pub client: Value,
}

impl MismatchRow {
    /// A row that shows both values; a value longer than 1 KiB as JSON is described instead.
    pub fn new<S, C>(field: &str, rule: Rule, server: &S, client: &C) -> Self
    where
        S: Serialize + ?Sized,
        C: Serialize + ?Sized,
    {
        Self {
            field: field.to_owned(),
            rule,
            server: shown(wire(server)),
            client: shown(wire(client)),
        }
    }
}

impl fmt::Display for MismatchRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            field,
            rule,
            server,
            client,
        } = self;
        write!(
            f,
            "{field}: {} (server: {server}, client: {client})",
            rule.complaint()
        )
    }
}

/// Settings that do not combine: every field at fault, both values and the rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mismatch {
    /// The fields at fault, in the order of the type.
    pub rows: Vec<MismatchRow>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings of the two sides do not combine")?;
        for (i, row) in self.rows.iter().enumerate() {
            write!(f, "{}{row}", if i == 0 { ": " } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for Mismatch {}

/// Combines the fields of two settings one by one and gathers what does not combine.
///
/// Each method takes the field's wire name and the two values and gives the combined one. Where the two do not
/// combine, a row is noted and the value given back only fills the gap until [`finish`](Self::finish) refuses.
#[derive(Debug, Default)]
#[must_use = "call `finish`, which reports the fields that do not combine"]
pub struct Fields {
    rows: Vec<MismatchRow>,
}

impl Fields {
    /// No field yet.
    pub const fn new() -> Self {
        Self { rows: Vec::new() }
    }

    /// What both have; nothing in common is a value like any other.
    pub fn intersect<T: Intersect>(&mut self, _field: &str, server: &T, client: &T) -> T {
        intersect(server, client)
    }

    /// What both have; nothing in common is a mismatch.
    pub fn intersect_required<T: Intersect + Serialize>(
        &mut self,
        field: &str,
        server: &T,
        client: &T,
    ) -> T {
        let common = intersect(server, client);
        if common.is_nothing() {
            self.refuse(field, Rule::Intersect, server, client);
        }
        common
    }

    /// The lower limit.
    pub fn min<T: Ord + Clone + Serialize>(&mut self, _field: &str, server: &T, client: &T) -> T {
        min(server, client)
    }

    /// The higher limit. For preferences only.
    pub fn max<T: Ord + Clone + Serialize>(&mut self, _field: &str, server: &T, client: &T) -> T {
        max(server, client)
    }

    /// Granted by both.
    pub fn and<T: Permission>(&mut self, _field: &str, server: &T, client: &T) -> T {
        and(server, client)
    }

    /// Wanted by either. For preferences only.
    pub fn or<T: Permission>(&mut self, _field: &str, server: &T, client: &T) -> T {
        or(server, client)
    }

    /// The stricter demand.
    pub fn strictest<T: Ord + Clone>(&mut self, _field: &str, server: &T, client: &T) -> T {
        strictest(server, client)
    }

    /// What both say; a difference is a mismatch.
    pub fn equal<T: PartialEq + Clone + Serialize>(
        &mut self,
        field: &str,
        server: &T,
        client: &T,
    ) -> T {
        equal(server, client).unwrap_or_else(|| {
            self.refuse(field, Rule::Equal, server, client);
            server.clone()
        })
    }

    /// The first of the server's list that the client has; none is a value like any other.
    pub fn prefer<T: Prefer>(&mut self, _field: &str, server: &T, client: &T) -> T {
        prefer(server, client)
    }

    /// The first of the server's list that the client has; none is a mismatch.
    pub fn prefer_required<T: Prefer + Serialize>(
        &mut self,
        field: &str,
        server: &T,
        client: &T,
    ) -> T {
        let choice = prefer(server, client);
        if choice.is_nothing() {
            self.refuse(field, Rule::Prefer, server, client);
        }
        choice
    }

    /// The server's word.
    pub fn server<T: Clone>(&mut self, _field: &str, server: &T) -> T {
        server.clone()
    }

    /// The client's word. For preferences only.
    pub fn client<T: Clone>(&mut self, _field: &str, client: &T) -> T {
        client.clone()
    }

    /// A function of the author's, whose `None` is a mismatch. For preferences only.
    pub fn custom<S: Serialize, C: Serialize, N>(
        &mut self,
        field: &str,
        server: &S,
        client: &C,
        with: impl FnOnce(&S, &C) -> Option<N>,
    ) -> Option<N> {
        let combined = with(server, client);
        if combined.is_none() {
            self.refuse(field, Rule::Custom, server, client);
        }
        combined
    }

    /// A settings type inside another; its rows are named `field.inner`.
    pub fn nested<C, S: Negotiate<C>>(
        &mut self,
        field: &str,
        server: &S,
        client: &C,
    ) -> Option<S::Negotiated> {
        match S::negotiate(server, client) {
            Ok(combined) => Some(combined),
            Err(mismatch) => {
                self.rows.extend(mismatch.rows.into_iter().map(|mut row| {
                    row.field = format!("{field}.{}", row.field);
                    row
                }));
                None
            }
        }
    }

    /// Notes a field that does not combine.
    pub fn refuse<S, C>(&mut self, field: &str, rule: Rule, server: &S, client: &C)
    where
        S: Serialize + ?Sized,
        C: Serialize + ?Sized,
    {
        self.rows
            .push(MismatchRow::new(field, rule, server, client));
    }

    /// The negotiated settings, or every field that does not combine.
    pub fn finish<N>(self, negotiated: N) -> Result<N, Mismatch> {
        self.finish_with(|| Some(negotiated))
    }

    /// As [`finish`](Self::finish), for lines that give an `Option`: `f.finish_with(|| Some(N { a, b: b? }))`.
    pub fn finish_with<N>(self, build: impl FnOnce() -> Option<N>) -> Result<N, Mismatch> {
        if self.rows.is_empty()
            && let Some(negotiated) = build()
        {
            return Ok(negotiated);
        }
        Err(Mismatch { rows: self.rows })
    }
}

/// Finds the revision a client declared among those the server knows, the initial one first.
///
/// A revision is an opaque string, compared for equality; absent means the initial one.
///
/// ```
/// use mcp_ext_core::algebra::revision;
///
/// let known = ["2026-05-01", "2026-11-01"];
/// assert_eq!(revision(None, &known), Ok("2026-05-01"));
/// assert_eq!(revision(Some("2026-11-01"), &known), Ok("2026-11-01"));
/// assert!(revision(Some("2027-01-01"), &known).is_err());
/// ```
pub fn revision<'k>(declared: Option<&str>, known: &[&'k str]) -> Result<&'k str, MismatchRow> {
    let found = match declared {
        None => known.first(),
        Some(declared) => known.iter().find(|known| **known == declared),
    };
    found
        .copied()
        .ok_or_else(|| MismatchRow::new("revision", Rule::Revision, known, &declared))
}

// --- strategies ------------------------------------------------------------------------------------------------

/// What both have.
pub fn intersect<T: Intersect>(server: &T, client: &T) -> T {
    server.common(client)
}

/// The lower limit; a value that is `null` on the wire (`None`) sets none.
pub fn min<T: Ord + Clone + Serialize>(server: &T, client: &T) -> T {
    match (is_null(server), is_null(client)) {
        (true, _) => client.clone(),
        (_, true) => server.clone(),
        _ => server.min(client).clone(),
    }
}

/// The higher limit; a value that is `null` on the wire (`None`) sets none, and no limit is the highest.
pub fn max<T: Ord + Clone + Serialize>(server: &T, client: &T) -> T {
    match (is_null(server), is_null(client)) {
        (true, _) => server.clone(),
        (_, true) => client.clone(),
        _ => server.max(client).clone(),
    }
}

/// Granted by both.
pub fn and<T: Permission>(server: &T, client: &T) -> T {
    T::both(server, client)
}

/// Wanted by either.
pub fn or<T: Permission>(server: &T, client: &T) -> T {
    T::either(server, client)
}

/// The stricter demand, which is the greater in the type's order. `None` is no demand, and the least.
pub fn strictest<T: Ord + Clone>(server: &T, client: &T) -> T {
    server.max(client).clone()
}

/// What both say, if they agree; a value that is `null` on the wire (`None`) is no opinion.
pub fn equal<T: PartialEq + Clone + Serialize>(server: &T, client: &T) -> Option<T> {
    if server == client || is_null(client) {
        Some(server.clone())
    } else if is_null(server) {
        Some(client.clone())
    } else {
        None
    }
}

/// The first of the server's list that the client has, as a list of one; empty when there is none.
pub fn prefer<T: Prefer>(server: &T, client: &T) -> T {
    server.choose(client)
}

/// Sets, lists taken as sets, and maps of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be intersected",
    note = "`intersect` takes `BTreeSet`, `Vec`, `BTreeMap` of those, and `Option` of any"
)]
pub trait Intersect: Sized {
    /// What both have, in the order of `self`.
    #[must_use]
    fn common(&self, client: &Self) -> Self;

    /// Whether nothing at all is left. No restriction is not nothing.
    fn is_nothing(&self) -> bool;
}

impl<T: Ord + Clone> Intersect for BTreeSet<T> {
    fn common(&self, client: &Self) -> Self {
        self.intersection(client).cloned().collect()
    }

    fn is_nothing(&self) -> bool {
        self.is_empty()
    }
}

impl<T: PartialEq + Clone> Intersect for Vec<T> {
    fn common(&self, client: &Self) -> Self {
        self.iter()
            .filter(|member| client.contains(member))
            .cloned()
            .collect()
    }

    fn is_nothing(&self) -> bool {
        self.is_empty()
    }
}

/// Keys that one side lacks are dropped.
impl<K: Ord + Clone, V: Intersect> Intersect for BTreeMap<K, V> {
    fn common(&self, client: &Self) -> Self {
        self.iter()
            .filter_map(|(key, value)| Some((key.clone(), value.common(client.get(key)?))))
            .collect()
    }

    fn is_nothing(&self) -> bool {
        self.values().all(V::is_nothing)
    }
}

/// `None` is no restriction.
impl<T: Intersect + Clone> Intersect for Option<T> {
    fn common(&self, client: &Self) -> Self {
        match (self, client) {
            (Some(server), Some(client)) => Some(server.common(client)),
            (one, other) => one.as_ref().or(other.as_ref()).cloned(),
        }
    }

    fn is_nothing(&self) -> bool {
        self.as_ref().is_some_and(T::is_nothing)
    }
}

/// `bool` and `Option<bool>`, where absent is false.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no permission",
    note = "`and` and `or` take `bool` and `Option<bool>`"
)]
pub trait Permission: Sized {
    /// True where both are.
    #[must_use]
    fn both(server: &Self, client: &Self) -> Self;

    /// True where one is.
    #[must_use]
    fn either(server: &Self, client: &Self) -> Self;
}

impl Permission for bool {
    fn both(server: &Self, client: &Self) -> Self {
        *server && *client
    }

    fn either(server: &Self, client: &Self) -> Self {
        *server || *client
    }
}

impl Permission for Option<bool> {
    fn both(server: &Self, client: &Self) -> Self {
        server
            .or(*client)
            .map(|_| server.unwrap_or(false) && client.unwrap_or(false))
    }

    fn either(server: &Self, client: &Self) -> Self {
        server
            .or(*client)
            .map(|_| server.unwrap_or(false) || client.unwrap_or(false))
    }
}

/// Lists in order of preference.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no list of preferences",
    note = "`prefer` takes `Vec` and `Option<Vec>`, best first"
)]
pub trait Prefer: Sized {
    /// The first of `self` that the client has, as a list of one.
    #[must_use]
    fn choose(&self, client: &Self) -> Self;

    /// Whether there was none.
    fn is_nothing(&self) -> bool;
}

impl<T: PartialEq + Clone> Prefer for Vec<T> {
    fn choose(&self, client: &Self) -> Self {
        self.iter()
            .find(|choice| client.contains(choice))
            .cloned()
            .into_iter()
            .collect()
    }

    fn is_nothing(&self) -> bool {
        self.is_empty()
    }
}

/// `None` is no restriction: the first of the other side's list.
impl<T: PartialEq + Clone> Prefer for Option<Vec<T>> {
    fn choose(&self, client: &Self) -> Self {
        match (self, client) {
            (Some(server), Some(client)) => Some(server.choose(client)),
            (one, other) => one
                .as_ref()
                .or(other.as_ref())
                .map(|list| list.iter().take(1).cloned().collect()),
        }
    }

    fn is_nothing(&self) -> bool {
        self.as_ref().is_some_and(Vec::is_empty)
    }
}

// --- values ----------------------------------------------------------------------------------------------------

/// The value as it stands on the wire. One that cannot be written is described.
fn wire<T: Serialize + ?Sized>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or_else(|_| Value::from("(not representable in JSON)"))
}

/// Absence is a matter of the wire: `None`, however it is wrapped, is `null` there.
fn is_null<T: Serialize>(value: &T) -> bool {
    wire(value).is_null()
}

/// The value, or, where it is too long for an error, what it is.
pub(crate) fn shown(value: Value) -> Value {
    const LONGEST: usize = 1024;
    let length = value.to_string().len();
    if length <= LONGEST {
        value
    } else {
        Value::from(format!("({}, {length} bytes of JSON)", json_type(&value)))
    }
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

// --- lenient decoding ------------------------------------------------------------------------------------------

/// Most members a set, list or map of settings may have.
pub const MOST_MEMBERS: usize = 1024;

/// Reads a set, list or map of sets and drops the members this side does not know.
///
/// For `#[serde(deserialize_with = "...")]` on fields of the strategies `intersect` and `prefer`: a newer peer may
/// name variants this side has never heard of, which is no error and means nothing here. A member is unknown when it
/// is a scalar its type refuses by value (an unknown variant, a string a checked type does not take); a member of the
/// wrong JSON type is an error, and so are more than [`MOST_MEMBERS`].
///
/// ```
/// use std::collections::BTreeSet;
/// use mcp_ext_core::algebra::lenient;
/// use serde::Deserialize;
///
/// #[derive(Deserialize, Debug, PartialEq, Eq, PartialOrd, Ord)]
/// #[serde(rename_all = "lowercase")]
/// enum Format { Csv, Json }
///
/// #[derive(Deserialize, Debug, Default, PartialEq)]
/// #[serde(default)]
/// struct Settings {
///     #[serde(deserialize_with = "lenient")]
///     formats: Option<BTreeSet<Format>>,
/// }
///
/// let settings: Settings = serde_json::from_str(r#"{ "formats": ["csv", "holograms"] }"#)?;
/// assert_eq!(settings.formats, Some(BTreeSet::from([Format::Csv])));
/// assert!(serde_json::from_str::<Settings>(r#"{ "formats": ["csv", 7] }"#).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn lenient<'de, D: Deserializer<'de>, T: LenientSet>(deserializer: D) -> Result<T, D::Error> {
    T::read(deserializer)
}

/// What [`lenient`] reads.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no set that could be read leniently",
    note = "`lenient` takes `BTreeSet`, `Vec`, `BTreeMap` of those, and `Option` of any"
)]
pub trait LenientSet: Sized {
    /// Reads the known members.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

impl<T: DeserializeOwned + Ord> LenientSet for BTreeSet<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_members(deserializer).map(BTreeSet::from_iter)
    }
}

impl<T: DeserializeOwned> LenientSet for Vec<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_members(deserializer)
    }
}

impl<K: DeserializeOwned + Ord, V: LenientSet> LenientSet for BTreeMap<K, V> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(std::marker::PhantomData))
    }
}

impl<T: LenientSet> LenientSet for Option<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_option(Maybe(std::marker::PhantomData))
    }
}

/// Lets a lenient set stand where serde wants a `Deserialize`.
struct Lenient<T>(T);

impl<'de, T: LenientSet> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read(deserializer).map(Self)
    }
}

struct Maybe<T>(std::marker::PhantomData<T>);

impl<'de, T: LenientSet> Visitor<'de> for Maybe<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a set or null")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        T::read(deserializer).map(Some)
    }
}

struct Entries<K, V>(std::marker::PhantomData<(K, V)>);

impl<'de, K: DeserializeOwned + Ord, V: LenientSet> Visitor<'de> for Entries<K, V> {
    type Value = BTreeMap<K, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of sets")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut entries = BTreeMap::new();
        let mut seen = 0;
        while let Some(key) = access.next_key::<String>()? {
            seen += 1;
            if seen > MOST_MEMBERS {
                return Err(too_many());
            }
            match K::deserialize(Scalar(&Value::String(key))) {
                Ok(key) => {
                    let Lenient(value) = access.next_value()?;
                    entries.insert(key, value);
                }
                Err(MemberError::Unknown) => {
                    access.next_value::<IgnoredAny>()?;
                }
                Err(MemberError::WrongType(words)) => {
                    return Err(serde::de::Error::custom(format_args!(
                        "key {seen}: {words}"
                    )));
                }
            }
        }
        Ok(entries)
    }
}

/// The known members of an array. The array is read without a type parameter, the members with theirs.
fn read_members<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let mut known = Vec::new();
    for (i, member) in deserializer
        .deserialize_seq(Members)?
        .into_iter()
        .enumerate()
    {
        let wrong = |words: &dyn fmt::Display| {
            Err(serde::de::Error::custom(format_args!(
                "member {}: {words}",
                i + 1
            )))
        };
        if matches!(member, Value::Array(_) | Value::Object(_)) {
            let seen = json_type(&member);
            match T::deserialize(member) {
                Ok(member) => known.push(member),
                // The message of the type may hold the value, which is the peer's.
                Err(_) => {
                    return wrong(&format_args!(
                        "expected a known member of the set, saw {seen}"
                    ));
                }
            }
            continue;
        }
        match T::deserialize(Scalar(&member)) {
            Ok(member) => known.push(member),
            Err(MemberError::Unknown) => {}
            Err(MemberError::WrongType(words)) => return wrong(&words),
        }
    }
    Ok(known)
}

fn too_many<E: serde::de::Error>() -> E {
    E::custom(format_args!(
        "expected at most {MOST_MEMBERS} members, saw more"
    ))
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = access.next_element()? {
            if members.len() == MOST_MEMBERS {
                return Err(too_many());
            }
            members.push(member);
        }
        Ok(members)
    }
}

/// Why a member was not read: serde's own errors, told apart.
#[derive(Debug)]
enum MemberError {
    /// The right JSON type, and a value this side does not know.
    Unknown,
    /// The wrong JSON type.
    WrongType(String),
}

impl fmt::Display for MemberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown member"),
            Self::WrongType(words) => f.write_str(words),
        }
    }
}

impl std::error::Error for MemberError {}

impl serde::de::Error for MemberError {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Unknown
    }

    fn invalid_type(seen: Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        // The kind of JSON value only: the value is the peer's.
        let seen = match seen {
            Unexpected::Bool(_) => "a boolean",
            Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
            Unexpected::Str(_) | Unexpected::Char(_) => "a string",
            Unexpected::Unit | Unexpected::Option => "null",
            _ => "something else",
        };
        Self::WrongType(format!("expected {expected}, saw {seen}"))
    }
}

/// A JSON scalar as a deserializer whose error tells an unknown value from a wrong type.
struct Scalar<'a>(&'a Value);

impl Scalar<'_> {
    fn unexpected(&self) -> Unexpected<'_> {
        match self.0 {
            Value::Bool(b) => Unexpected::Bool(*b),
            Value::Number(n) => Unexpected::Float(n.as_f64().unwrap_or_default()),
            Value::String(s) => Unexpected::Str(s),
            Value::Null => Unexpected::Unit,
            Value::Array(_) => Unexpected::Seq,
            Value::Object(_) => Unexpected::Map,
        }
    }
}

impl<'de> Deserializer<'de> for Scalar<'_> {
    type Error = MemberError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, MemberError> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(b) => visitor.visit_bool(*b),
            Value::String(s) => visitor.visit_str(s),
            Value::Number(n) => match (n.as_u64(), n.as_i64(), n.as_f64()) {
                (Some(n), ..) => visitor.visit_u64(n),
                (_, Some(n), _) => visitor.visit_i64(n),
                (.., n) => visitor.visit_f64(n.unwrap_or_default()),
            },
            Value::Array(_) | Value::Object(_) => {
                Err(serde::de::Error::invalid_type(self.unexpected(), &visitor))
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, MemberError> {
        if self.0.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, MemberError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, MemberError> {
        match self.0 {
            Value::String(s) => visitor.visit_enum(StrDeserializer::new(s)),
            _ => Err(serde::de::Error::invalid_type(
                self.unexpected(),
                &"a string",
            )),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}
