//! The embedded store: FHIR resources in SQLite, as text and as index rows.

mod load;
mod schema;
#[cfg(feature = "labels")]
mod security;
mod stop;

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mcp_ext_values::{Binding, SystemRandom};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Row, params_from_iter};

use crate::cursor::{CursorError, CursorKey, KeyError, KeySource, Position, SortValue};
use crate::scope::{AccessScope, is_id, is_type};
use crate::search::parse::{Query, parse};
use crate::search::{MAX_RESULT_BYTES, SearchError, params, sql};
use crate::types::{
    Accuracy, CONTENT_TYPE, Capabilities, CapabilitiesParams, FHIR_VERSION, Match, PageSize,
    ReadParams, ReadResult, SearchParamInfo, SearchParams, SearchResult, Total, TypeCapabilities,
};

pub use crate::index::ResourceError;
pub use load::LoadError;
pub use stop::Stop;

/// Largest resource that is stored, in bytes of JSON.
pub const MAX_RESOURCE_BYTES: usize = 1024 * 1024;

/// Steps of SQLite's machine that one search may take: about a second.
const MAX_STEPS: u64 = 20_000_000;

/// How often a search looks whether it has had its steps.
const STEPS_AT_ONCE: i32 = 1_000;

/// Kept free in a page for its cursor, which is made last.
const CURSOR_ROOM: usize = 3 * 1024;

const BUNDLED: &[&str] = &[
    include_str!("../../data/r4/AllergyIntolerance.ndjson"),
    include_str!("../../data/r4/Condition.ndjson"),
    include_str!("../../data/r4/DiagnosticReport.ndjson"),
    include_str!("../../data/r4/Encounter.ndjson"),
    include_str!("../../data/r4/MedicationRequest.ndjson"),
    include_str!("../../data/r4/Observation.ndjson"),
    include_str!("../../data/r4/Patient.ndjson"),
    include_str!("../../data/r4/Practitioner.ndjson"),
];

/// FHIR R4 resources that can be searched and read. Every method takes the [`AccessScope`] of its caller.
///
/// ```
/// use mcp_ext_healthcare::scope::AccessScope;
/// use mcp_ext_healthcare::store::FhirStore;
/// use mcp_ext_healthcare::types::{ReadParams, SearchParams};
///
/// let store = FhirStore::bundled()?;
/// let query: SearchParams = serde_json::from_str(
///     r#"{"type": "Observation", "params": [{"name": "code", "values": ["http://loinc.org|8867-4"]}], "count": 1}"#,
/// )?;
/// let page = store.search(&AccessScope::all(), None, &query)?;
/// assert!(page.synthetic && page.next_cursor.is_some());
///
/// let reference = page.matches[0].reference.clone();
/// let read = store.read(&AccessScope::all(), &ReadParams { reference, ..Default::default() })?;
/// assert!(read.text.contains("8867-4"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FhirStore {
    db: Mutex<Connection>,
    key: CursorKey,
    max_steps: u64,
    /// It began with the bundled resources, and nothing but test data was added since.
    synthetic: AtomicBool,
}

/// Why a store failed. The source says more; it is for whoever runs the server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// SQLite refused.
    #[error("the store failed")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The file is not a store that this version reads.
    #[error("the file is no FHIR store of version {version}; load the resources into a new file")]
    Foreign {
        /// The version read.
        version: i32,
    },
    /// No cursor key could be made.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(Box::new(error))
    }
}

impl From<rusqlite::Error> for SearchError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => Self::TooCostly,
            _ => Self::Store(error.into()),
        }
    }
}

/// Why a resource was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Not a reference.
    #[error(
        "reference: expected `Type/id`, such as `Patient/123`; seen: a text of {length} characters"
    )]
    Reference {
        /// Characters in what was given.
        length: usize,
    },
    /// `versionId` is not a version, or not that of the reference.
    #[error(
        "versionId: expected 1 to 64 characters of A-Z a-z 0-9 - ., the same as in the reference if it has one"
    )]
    Version,
    /// There is no such resource that the caller may see, or not in that version.
    #[error("no {resource_type} of that id and version is known here; fhir_search finds what is")]
    NotFound {
        /// The type asked for. The id may be about a person, and is not repeated.
        resource_type: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ReadError {
    /// A name for the kind of error that does not change.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Reference { .. } => "invalid_reference",
            Self::Version => "invalid_version",
            Self::NotFound { .. } => "not_found",
            Self::Store(_) => "store_failed",
        }
    }
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl FhirStore {
    /// A store in memory with the bundled synthetic resources.
    ///
    /// # Errors
    /// [`LoadError`], if SQLite fails or the system gives no random bytes.
    pub fn bundled() -> Result<Self, LoadError> {
        let store = Self::in_memory()?;
        store.synthetic.store(true, Ordering::Relaxed);
        for file in BUNDLED {
            store.load(&AccessScope::all(), file.as_bytes())?;
        }
        Ok(store)
    }

    /// An empty store in memory.
    ///
    /// # Errors
    /// [`StoreError`], if SQLite fails or the system gives no random bytes.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::new(Connection::open_in_memory()?)
    }

    /// The store in a file, which is made if it is not there.
    ///
    /// # Errors
    /// [`StoreError`], if the file cannot be opened or is no store of this version.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::new(Connection::open(path)?)
    }

    /// A store in memory with resources from NDJSON, one a line.
    ///
    /// # Errors
    /// [`LoadError`], naming the line.
    pub fn from_ndjson(input: impl BufRead) -> Result<Self, LoadError> {
        let store = Self::in_memory()?;
        store.load(&AccessScope::all(), input)?;
        Ok(store)
    }

    fn new(mut db: Connection) -> Result<Self, StoreError> {
        schema::prepare(&mut db)?;
        Ok(Self {
            db: Mutex::new(db),
            key: CursorKey::random()?,
            max_steps: MAX_STEPS,
            synthetic: AtomicBool::new(false),
        })
    }

    /// The same store, sealing its cursors with that key rather than one made at this start.
    #[must_use]
    pub fn with_cursor_key(self, key: CursorKey) -> Self {
        Self { key, ..self }
    }

    /// The same store, with another bound on the work of one search, in steps of SQLite's machine. Twenty million,
    /// a fraction of a second, when not set.
    #[must_use]
    pub fn with_max_steps(self, max_steps: u64) -> Self {
        Self { max_steps, ..self }
    }

    /// Where the key of the cursors is from.
    #[must_use]
    pub fn cursor_key_source(&self) -> KeySource {
        self.key.source()
    }

    /// Whether this is the bundled test data, with nothing added that is not tagged as test data (`HTEST`).
    #[must_use]
    pub fn is_synthetic(&self) -> bool {
        self.synthetic.load(Ordering::Relaxed)
    }

    fn db(&self) -> MutexGuard<'_, Connection> {
        // A panic elsewhere leaves no half-done work: an open transaction is rolled back when it is dropped.
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The database, which stops what takes more than its steps while `work` runs.
    fn bounded<T>(
        &self,
        stop: &Stop,
        work: impl FnOnce(&mut Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, rusqlite::Error> {
        let mut db = self.db();
        // Whoever asked may have gone while this waited.
        if stop.is_stopped() {
            return Err(interrupted());
        }
        let stop = stop.clone();
        let mut left = self.max_steps / u64::from(STEPS_AT_ONCE.unsigned_abs());
        db.progress_handler(
            STEPS_AT_ONCE,
            Some(move || {
                let spent = left == 0;
                left = left.saturating_sub(1);
                spent || stop.is_stopped()
            }),
        )?;
        let result = work(&mut db);
        db.progress_handler(0, None::<fn() -> bool>)?;
        result
    }

    /// What can be read and searched within a scope.
    ///
    /// # Errors
    /// [`SearchError::UnknownType`], or the store failed.
    pub fn capabilities(
        &self,
        scope: &AccessScope,
        params: &CapabilitiesParams,
    ) -> Result<Capabilities, SearchError> {
        self.capabilities_until(&Stop::default(), scope, params)
    }

    /// As [`capabilities`](Self::capabilities), unless the answer is no longer wanted.
    ///
    /// # Errors
    /// As there; [`SearchError::TooCostly`] when it was stopped.
    pub fn capabilities_until(
        &self,
        stop: &Stop,
        scope: &AccessScope,
        params: &CapabilitiesParams,
    ) -> Result<Capabilities, SearchError> {
        let mut types = BTreeMap::new();
        if let Some(wanted) = &params.resource_type {
            let query = SearchParams {
                resource_type: wanted.clone(),
                ..SearchParams::default()
            };
            let name = parse(&query)?.resource_type;
            types.insert(name.to_owned(), searchable(name, true));
        } else {
            for (name, _) in params::TYPES
                .iter()
                .filter(|(name, _)| scope.allows_type(name))
            {
                types.insert((*name).to_owned(), searchable(name, false));
            }
            for name in self.types_present(stop, scope)? {
                types
                    .entry(name.clone())
                    .or_insert_with(|| TypeCapabilities {
                        resource_type: name,
                        interactions: vec!["read".to_owned()],
                        search_params: Vec::new(),
                    });
            }
        }
        Ok(Capabilities {
            fhir_version: FHIR_VERSION.to_owned(),
            synthetic: self.is_synthetic(),
            types: types.into_values().collect(),
        })
    }

    fn types_present(
        &self,
        stop: &Stop,
        scope: &AccessScope,
    ) -> Result<Vec<String>, rusqlite::Error> {
        let mut statement = sql::Sql::default();
        statement.push("SELECT DISTINCT r.type FROM resource r WHERE 1");
        sql::scoped(&mut statement, scope);
        self.bounded(stop, |db| {
            let mut prepared = db.prepare(&statement.text)?;
            let rows = prepared.query_map(params_from_iter(statement.values), |row| row.get(0))?;
            rows.collect()
        })
    }

    /// Searches one resource type.
    ///
    /// A cursor it gives works for the same `principal`, scope, type, params and sort only. `None` is everyone who is
    /// not authenticated.
    ///
    /// # Errors
    /// [`SearchError`]: anything unknown or malformed is refused, never ignored.
    pub fn search(
        &self,
        scope: &AccessScope,
        principal: Option<&str>,
        params: &SearchParams,
    ) -> Result<SearchResult, SearchError> {
        self.search_until(&Stop::default(), scope, principal, params)
    }

    /// As [`search`](Self::search), unless the answer is no longer wanted.
    ///
    /// # Errors
    /// As there; [`SearchError::TooCostly`] when it was stopped.
    pub fn search_until(
        &self,
        stop: &Stop,
        scope: &AccessScope,
        principal: Option<&str>,
        params: &SearchParams,
    ) -> Result<SearchResult, SearchError> {
        let query = parse(params)?;
        let bound = bound(&query, scope, principal, &params.sort);
        let after = match &params.cursor {
            None => None,
            Some(cursor) => Some(self.key.open::<Position>(cursor, &bound)?),
        };
        let count = match (&after, params.count) {
            (Some((expected, _)), Some(count)) if count != *expected => {
                let expected = *expected;
                return Err(CursorError::Count { expected }.into());
            }
            (Some((expected, _)), _) => *expected,
            (None, count) => count.unwrap_or_default(),
        };
        let after = after.map(|(_, position)| position);
        let (total, rows) = self.page(stop, &query, scope, after.as_ref(), count)?;
        let mut result = SearchResult {
            matches: Vec::new(),
            total: Total {
                value: total,
                accuracy: Accuracy::Exact,
            },
            applied: query.applied,
            next_cursor: None,
            synthetic: self.is_synthetic(),
        };
        let mut last = None;
        let mut all_tagged = true;
        let mut size = CURSOR_ROOM + json_bytes(&result);
        let available = rows.len();
        for row in rows.into_iter().take(count.get() as usize) {
            size += json_bytes(&row.found) + 1;
            if size > MAX_RESULT_BYTES && last.is_some() {
                break;
            }
            last = Some(row.position());
            all_tagged &= row.synthetic;
            result.matches.push(row.found);
        }
        result.synthetic |= all_tagged && !result.matches.is_empty();
        if let Some(position) = last.filter(|_| available > result.matches.len()) {
            let cursor = self.key.seal(&SystemRandom, &bound, count, &position)?;
            result.next_cursor = Some(cursor.to_string());
        }
        Ok(result)
    }

    fn page(
        &self,
        stop: &Stop,
        query: &Query,
        scope: &AccessScope,
        after: Option<&Position>,
        count: PageSize,
    ) -> Result<(u64, Vec<PageRow>), rusqlite::Error> {
        self.bounded(stop, |db| {
            // Total and page are of one moment.
            let tx = db.transaction()?;
            let statement = sql::total(query, scope);
            let total: i64 =
                tx.query_row(&statement.text, params_from_iter(statement.values), |row| {
                    row.get(0)
                })?;
            let total = u64::try_from(total).unwrap_or(0);
            if count.get() == 0 {
                return Ok((total, Vec::new()));
            }
            let statement = sql::page(query, scope, after, count.get() + 1);
            let mut prepared = tx.prepare(&statement.text)?;
            let rows = prepared.query_map(params_from_iter(statement.values), |row| {
                PageRow::read(row, query)
            })?;
            Ok((total, rows.collect::<Result<_, _>>()?))
        })
    }

    /// Reads one resource. One outside the scope is answered exactly as one that does not exist.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(&self, scope: &AccessScope, params: &ReadParams) -> Result<ReadResult, ReadError> {
        let (resource_type, id, version) = target(params)?;
        let mut statement = sql::Sql::default();
        statement
            .push("SELECT r.version, r.last_updated, r.text, r.synthetic FROM resource r WHERE r.type = ")
            .bind(resource_type.to_owned());
        statement.push(" AND r.id = ").bind(id.to_owned());
        if let Some(version) = version {
            statement.push(" AND r.version = ").bind(version.to_owned());
        }
        sql::scoped(&mut statement, scope);
        let found = self
            .db()
            .query_row(&statement.text, params_from_iter(statement.values), |row| {
                Ok(ReadResult {
                    reference: format!("{resource_type}/{id}"),
                    version_id: row.get(0)?,
                    last_updated: row.get(1)?,
                    content_type: CONTENT_TYPE.to_owned(),
                    text: row.get(2)?,
                    resource: None,
                    synthetic: self.is_synthetic() || row.get(3)?,
                })
            })
            .optional()?;
        let Some(mut result) = found else {
            return Err(ReadError::NotFound {
                resource_type: resource_type.to_owned(),
            });
        };
        if params.parsed {
            // What is stored was read as an object when it was loaded; a number too large for a float is all that
            // can go wrong, and then the text alone is given.
            result.resource = serde_json::from_str(&result.text).ok();
        }
        Ok(result)
    }
}

fn interrupted() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_INTERRUPT),
        None,
    )
}

/// Type, id and version of what is to be read.
fn target(params: &ReadParams) -> Result<(&str, &str, Option<&str>), ReadError> {
    let (current, in_reference) = match params.reference.split_once("/_history/") {
        Some((current, version)) => (current, Some(version)),
        None => (params.reference.as_str(), None),
    };
    let (resource_type, id) = current
        .split_once('/')
        .filter(|(resource_type, id)| is_type(resource_type) && is_id(id))
        .ok_or_else(|| ReadError::Reference {
            length: params.reference.chars().count(),
        })?;
    let version = match (in_reference, params.version_id.as_deref()) {
        (Some(a), Some(b)) if a != b => return Err(ReadError::Version),
        (a, b) => a.or(b),
    };
    if version.is_some_and(|version| !is_id(version)) {
        return Err(ReadError::Version);
    }
    Ok((resource_type, id, version))
}

fn searchable(name: &str, detailed: bool) -> TypeCapabilities {
    let owned = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    let own = params::of_type(name).unwrap_or(&[]);
    TypeCapabilities {
        resource_type: name.to_owned(),
        interactions: owned(&["read", "search-type"]),
        search_params: params::COMMON
            .iter()
            .chain(own)
            .map(|def| SearchParamInfo {
                name: def.name.to_owned(),
                kind: def.kind,
                modifiers: if detailed {
                    owned(def.modifiers())
                } else {
                    Vec::new()
                },
                comparators: if detailed {
                    owned(def.comparators())
                } else {
                    Vec::new()
                },
                targets: if detailed {
                    owned(def.targets)
                } else {
                    Vec::new()
                },
            })
            .collect(),
    }
}

/// What a cursor is bound to. The order of conditions does not matter, as it does not to the search.
fn bound(query: &Query, scope: &AccessScope, principal: Option<&str>, sort: &[String]) -> Binding {
    let mut applied: Vec<String> = query
        .applied
        .iter()
        .map(|param| serde_json::json!(param).to_string())
        .collect();
    applied.sort();
    let query = serde_json::json!([
        scope.patient_ids(),
        scope.types(),
        query.resource_type,
        applied,
        sort
    ])
    .to_string();
    Binding::new("fhir search", "1")
        .caller(None, principal)
        .query(query.as_bytes())
}

fn json_bytes(value: &impl serde::Serialize) -> usize {
    // Our own types always serialise; should one not, the page is taken to be full.
    serde_json::to_vec(value).map_or(MAX_RESULT_BYTES, |bytes| bytes.len())
}

/// One row of a page.
struct PageRow {
    id: String,
    found: Match,
    synthetic: bool,
    keys: Vec<Option<SortValue>>,
}

impl PageRow {
    fn read(row: &Row<'_>, query: &Query) -> Result<Self, rusqlite::Error> {
        let id: String = row.get(0)?;
        let first_key = 5;
        let keys = (first_key..first_key + query.sort.len())
            .map(|at| {
                Ok(match row.get::<_, rusqlite::types::Value>(at)? {
                    rusqlite::types::Value::Text(text) => Some(SortValue::Text(text)),
                    rusqlite::types::Value::Integer(number) => Some(SortValue::Number(number)),
                    _ => None,
                })
            })
            .collect::<Result<_, rusqlite::Error>>()?;
        Ok(Self {
            found: Match {
                reference: format!("{}/{id}", query.resource_type),
                version_id: row.get(1)?,
                last_updated: row.get(2)?,
                title: row.get(3)?,
            },
            synthetic: row.get(4)?,
            id,
            keys,
        })
    }

    fn position(&self) -> Position {
        Position {
            keys: self.keys.clone(),
            id: self.id.clone(),
        }
    }
}
