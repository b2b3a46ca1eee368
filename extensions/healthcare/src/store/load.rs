//! Putting resources into a store.

use std::collections::HashSet;
use std::io::{BufRead, Read as _};
use std::sync::atomic::Ordering;

use rusqlite::{Statement, Transaction, params};

use super::{FhirStore, MAX_RESOURCE_BYTES, StoreError};
use crate::index::{Indexed, Reference, ResourceError, Row, index};
use crate::scope::AccessScope;

/// Why resources were not loaded. Nothing of a load that fails is kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A resource is not one that can be stored.
    #[error("line {line}: {error}")]
    Resource {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        error: ResourceError,
    },
    /// A resource has the type and id of an earlier one of this load.
    #[error("line {line}: an earlier line has the same resourceType and id")]
    Duplicate {
        /// The line, from 1.
        line: usize,
    },
    /// A line is not UTF-8.
    #[error("line {line}: expected UTF-8")]
    NotUtf8 {
        /// The line, from 1.
        line: usize,
    },
    /// The input cannot be read.
    #[error("line {line}: the input cannot be read: {error}")]
    Read {
        /// The line, from 1.
        line: usize,
        /// Why not.
        #[source]
        error: std::io::Error,
    },
    /// Only a caller who may see everything may load.
    #[error("loading needs a scope that hides nothing")]
    Scope,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for LoadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl FhirStore {
    /// Loads NDJSON, one resource a line, and says how many there were. Blank lines are skipped; a resource already
    /// stored is replaced. The text of each line is kept as it is. All of it is loaded, or none.
    ///
    /// # Errors
    /// [`LoadError`], naming the line.
    pub fn load(&self, scope: &AccessScope, mut input: impl BufRead) -> Result<usize, LoadError> {
        if !scope.is_all() {
            return Err(LoadError::Scope);
        }
        let mut db = self.db();
        let tx = db.transaction()?;
        let mut writer = Writer::new(&tx)?;
        let mut seen = HashSet::new();
        let mut bytes = Vec::new();
        let mut line = 0;
        loop {
            line += 1;
            bytes.clear();
            // One more than allowed, and the line's end, to tell a line that is too long.
            let most = MAX_RESOURCE_BYTES as u64 + 3;
            let read = input.by_ref().take(most).read_until(b'\n', &mut bytes);
            if read.map_err(|error| LoadError::Read { line, error })? == 0 {
                break;
            }
            let text = std::str::from_utf8(&bytes);
            if bytes.len() > MAX_RESOURCE_BYTES + 2 {
                let error = ResourceError::TooLarge;
                return Err(LoadError::Resource { line, error });
            }
            let text = text.map_err(|_| LoadError::NotUtf8 { line })?;
            let text = if line == 1 {
                text.trim_start_matches('\u{feff}')
            } else {
                text
            };
            if text.trim_ascii().is_empty() {
                continue;
            }
            writer.add(text, line, &mut seen)?;
        }
        let only_test_data = writer.only_test_data;
        drop(writer);
        tx.commit()?;
        self.synthetic.fetch_and(only_test_data, Ordering::Relaxed);
        Ok(seen.len())
    }

    /// Loads one resource, which may span lines, and gives its reference.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn load_resource(&self, scope: &AccessScope, text: &str) -> Result<String, LoadError> {
        if !scope.is_all() {
            return Err(LoadError::Scope);
        }
        let mut db = self.db();
        let tx = db.transaction()?;
        let mut writer = Writer::new(&tx)?;
        let reference = writer.add(text, 1, &mut HashSet::new())?;
        let only_test_data = writer.only_test_data;
        drop(writer);
        tx.commit()?;
        self.synthetic.fetch_and(only_test_data, Ordering::Relaxed);
        Ok(reference)
    }
}

/// The statements of a load, prepared once.
struct Writer<'a> {
    /// So far, every resource is tagged as test data.
    only_test_data: bool,
    remove: Statement<'a>,
    resource: Statement<'a>,
    compartment: Statement<'a>,
    present: Statement<'a>,
    token: Statement<'a>,
    date: Statement<'a>,
    reference: Statement<'a>,
    text: Statement<'a>,
    quantity: Statement<'a>,
}

impl<'a> Writer<'a> {
    fn new(tx: &'a Transaction<'_>) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            only_test_data: true,
            remove: tx.prepare("DELETE FROM resource WHERE type = ? AND id = ?")?,
            resource: tx.prepare(
                "INSERT INTO resource (type, id, version, last_updated, title, synthetic, text)
                 VALUES (?, ?, ?, ?, ?, ?, ?)",
            )?,
            compartment: tx.prepare("INSERT INTO compartment VALUES (?, ?)")?,
            present: tx.prepare("INSERT INTO ix_present VALUES (?, ?)")?,
            token: tx.prepare(
                "INSERT INTO ix_token (resource, param, system, code) VALUES (?, ?, ?, ?)",
            )?,
            date: tx
                .prepare("INSERT INTO ix_date (resource, param, low, high) VALUES (?, ?, ?, ?)")?,
            reference: tx.prepare(
                "INSERT INTO ix_reference (resource, param, type, id, url) VALUES (?, ?, ?, ?, ?)",
            )?,
            text: tx.prepare(
                "INSERT INTO ix_text (resource, param, normal, exact) VALUES (?, ?, ?, ?)",
            )?,
            quantity: tx.prepare(
                "INSERT INTO ix_quantity (resource, param, low, high, system, code, unit)
                 VALUES (?, ?, ?, ?, ?, ?, ?)",
            )?,
        })
    }

    fn add(
        &mut self,
        text: &str,
        line: usize,
        seen: &mut HashSet<String>,
    ) -> Result<String, LoadError> {
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        let checked = if text.len() > MAX_RESOURCE_BYTES {
            Err(ResourceError::TooLarge)
        } else {
            index(text)
        };
        let resource = checked.map_err(|error| LoadError::Resource { line, error })?;
        let reference = format!("{}/{}", resource.resource_type, resource.id);
        if !seen.insert(reference.clone()) {
            return Err(LoadError::Duplicate { line });
        }
        self.only_test_data &= resource.synthetic;
        self.write(&resource, text)?;
        Ok(reference)
    }

    fn write(&mut self, resource: &Indexed, text: &str) -> Result<(), rusqlite::Error> {
        self.remove
            .execute(params![resource.resource_type, resource.id])?;
        let pk = self.resource.insert(params![
            resource.resource_type,
            resource.id,
            resource.version_id,
            resource.last_updated,
            resource.title,
            resource.synthetic,
            text,
        ])?;
        for patient in &resource.patients {
            self.compartment.execute(params![pk, patient])?;
        }
        for (param, row) in &resource.rows {
            match row {
                Row::Present => self.present.execute(params![pk, param])?,
                Row::Token { system, code } => {
                    self.token.execute(params![pk, param, system, code])?
                }
                Row::Date(range) => {
                    self.date
                        .execute(params![pk, param, range.start, range.end])?
                }
                Row::Reference(Reference::Local { resource_type, id }) => self
                    .reference
                    .execute(params![pk, param, resource_type, id, None::<&str>])?,
                Row::Reference(Reference::Url(url)) => {
                    self.reference
                        .execute(params![pk, param, None::<&str>, None::<&str>, url])?
                }
                Row::Text { normal, exact } => {
                    self.text.execute(params![pk, param, normal, exact])?
                }
                Row::Quantity {
                    low,
                    high,
                    system,
                    code,
                    unit,
                } => self
                    .quantity
                    .execute(params![pk, param, low, high, system, code, unit])?,
            };
        }
        Ok(())
    }
}
