//! A register of consents in SQLite: small, exact, and scoped by tenant.

use std::collections::BTreeSet;

use mcp_ext_core::request::BoxFuture;
use mcp_ext_store::rusqlite::{self, Connection, params};
use mcp_ext_store::{Store, StoreError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::purpose::PurposeCode;
use crate::source::{ConsentSource, Decision, Denial, Permit, Question, Unavailable};

/// Most records of one person that are looked at; with more, nothing is decided.
const MAX_RECORDS: usize = 1000;

const SCHEMA: &[&str] = &["
    CREATE TABLE consent (
        id INTEGER PRIMARY KEY,
        tenant TEXT NOT NULL,
        reference TEXT NOT NULL,
        subject TEXT NOT NULL,
        record TEXT NOT NULL,
        withdrawn_at INTEGER,
        UNIQUE (tenant, reference)
    );
    CREATE INDEX consent_of ON consent (tenant, subject);
"];

/// What a record says of one aspect of a call. Every member of the aspect is meant only when it says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Covers<T: Ord> {
    /// All there are.
    Any,
    /// These.
    Only(BTreeSet<T>),
}

impl<T: Ord> Covers<T> {
    /// These.
    pub fn only(members: impl IntoIterator<Item = T>) -> Self {
        Self::Only(members.into_iter().collect())
    }
}

/// What a person has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// They consent.
    Consent,
    /// They object. An objection outweighs every consent.
    Objection,
}

/// What one person has consented or objected to.
///
/// ```
/// use mcp_ext_consent::{Covers, PurposeCode, Record};
///
/// let mut record = Record::consent("c-17", "patient-1");
/// record.data_classes = Covers::only(["labResults".to_owned()]);
/// record.purposes = Covers::only([PurposeCode::health("TREAT")?]);
/// record.expires_at_ms = Some(1_800_000_000_000);
/// # Ok::<(), mcp_ext_values::TextError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What it is called: unique within the tenant.
    pub reference: String,
    /// Who said it.
    pub subject: String,
    /// Consent or objection.
    pub kind: Kind,
    /// Who may act on it, or is objected to, by the identifiers of callers.
    pub callers: Covers<String>,
    /// What may be done, or not.
    pub actions: Covers<String>,
    /// With which kinds of data.
    pub data_classes: Covers<String>,
    /// For which purposes.
    pub purposes: Covers<PurposeCode>,
    /// When it ends, in milliseconds since 1970-01-01T00:00:00Z; `None`: when it is withdrawn.
    pub expires_at_ms: Option<i64>,
    /// What whoever gets the data must do, or must not.
    pub obligations: Vec<String>,
}

impl Record {
    fn new(kind: Kind, reference: impl Into<String>, subject: impl Into<String>) -> Self {
        Self {
            reference: reference.into(),
            subject: subject.into(),
            kind,
            callers: Covers::Any,
            actions: Covers::Any,
            data_classes: Covers::Any,
            purposes: Covers::Any,
            expires_at_ms: None,
            obligations: Vec::new(),
        }
    }

    /// A consent to everything, to be narrowed.
    pub fn consent(reference: impl Into<String>, subject: impl Into<String>) -> Self {
        Self::new(Kind::Consent, reference, subject)
    }

    /// An objection to everything, to be narrowed.
    pub fn objection(reference: impl Into<String>, subject: impl Into<String>) -> Self {
        Self::new(Kind::Objection, reference, subject)
    }

    fn expired(&self, now_ms: i64) -> bool {
        self.expires_at_ms.is_some_and(|end| end <= now_ms)
    }

    /// Whether it is about caller, action and purpose of the question. What is not known counts against the call: a consent
    /// must name it, an objection need not.
    fn is_about(&self, question: &Question) -> bool {
        let unknown = self.kind == Kind::Objection;
        let caller = question.caller.as_ref().map(|caller| caller.id());
        let purpose = question.purpose.as_ref().map(|purpose| purpose.code());
        has(&self.callers, caller, unknown)
            && has(&self.actions, Some(question.action.as_str()), unknown)
            && match (&self.purposes, &purpose) {
                (Covers::Any, _) => true,
                (Covers::Only(_), None) => unknown,
                (Covers::Only(purposes), Some(purpose)) => purposes.contains(purpose),
            }
    }
}

fn has(covers: &Covers<String>, member: Option<&str>, unknown: bool) -> bool {
    match (covers, member) {
        (Covers::Any, _) => true,
        (Covers::Only(_), None) => unknown,
        (Covers::Only(members), Some(member)) => members.contains(member),
    }
}

/// Decides by the records of the person. An objection that touches the call denies it; else each kind of data must be
/// covered by a consent that has not expired.
fn decide(records: &[Record], question: &Question) -> Decision {
    let about: Vec<_> = records.iter().filter(|r| r.is_about(question)).collect();
    let objects = |record: &&&Record| {
        record.kind == Kind::Objection
            && !record.expired(question.now_ms)
            && match &record.data_classes {
                Covers::Any => true,
                Covers::Only(classes) => {
                    question.data_classes.is_empty() || !classes.is_disjoint(&question.data_classes)
                }
            }
    };
    if about.iter().any(|record| objects(&record)) {
        return Decision::Deny(Denial::Objection);
    }
    // A claimed reference narrows to one consent, and cannot reach another person's.
    let claimed = question
        .purpose
        .as_ref()
        .and_then(|p| p.consent_ref.as_ref());
    let consents = about.iter().filter(|record| {
        record.kind == Kind::Consent
            && claimed.is_none_or(|reference| reference.as_str() == record.reference)
    });
    let (expired, live): (Vec<&Record>, Vec<&Record>) = consents
        .copied()
        .partition(|record| record.expired(question.now_ms));
    // Of those that cover a kind of data, the one that lasts longest. `None` stands for every kind.
    let covering = |among: &[&Record], class: Option<&String>| -> Option<Record> {
        among
            .iter()
            .filter(|record| match (&record.data_classes, class) {
                (Covers::Any, _) => true,
                (Covers::Only(_), None) => false,
                (Covers::Only(classes), Some(class)) => classes.contains(class),
            })
            .max_by_key(|record| record.expires_at_ms.unwrap_or(i64::MAX))
            .map(|record| (*record).clone())
    };
    let classes: Vec<Option<&String>> = match question.data_classes.is_empty() {
        true => vec![None],
        false => question.data_classes.iter().map(Some).collect(),
    };
    let mut permit = Permit::default();
    let mut references = BTreeSet::new();
    for class in classes {
        let Some(record) = covering(&live, class) else {
            return Decision::Deny(match covering(&expired, class) {
                Some(_) => Denial::Expired,
                None => Denial::NoConsent,
            });
        };
        let end = record.expires_at_ms;
        permit.expires_at_ms = permit
            .expires_at_ms
            .map_or(end, |one| Some(end.map_or(one, |other| one.min(other))));
        for obligation in record.obligations {
            if !permit.obligations.contains(&obligation) {
                permit.obligations.push(obligation);
            }
        }
        references.insert(record.reference);
    }
    permit.basis = format!("consent {}", Vec::from_iter(references).join(", "));
    Decision::Permit(permit)
}

/// Why a record was not written.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The tenant has a record of that reference.
    #[error(
        "a record with this reference is there already; a record is never changed: withdraw it, and write another"
    )]
    Exists,
    /// The record cannot be written as text.
    #[error("the record cannot be written")]
    Record(#[source] serde_json::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Consents and objections, in a [`Store`]. Records are added and withdrawn, never changed; of those withdrawn the register
/// remembers when, until [`forget`](Self::forget).
///
/// ```
/// use mcp_ext_consent::{Record, Register};
/// use mcp_ext_store::Store;
///
/// # futures_lite::future::block_on(async {
/// let register = Register::new(Store::in_memory()?)?;
/// register.record(None, Record::consent("c-1", "patient-1")).await?;
/// assert!(register.withdraw(None, "c-1").await?);
/// # Ok::<(), mcp_ext_consent::RegisterError>(())
/// # })?;
/// # Ok::<(), mcp_ext_consent::RegisterError>(())
/// ```
#[derive(Clone)]
pub struct Register {
    store: Store,
}

impl Register {
    /// The register in that store, which may hold other things as well.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn new(store: Store) -> Result<Self, StoreError> {
        store.migrate("consent", SCHEMA)?;
        Ok(Self { store })
    }

    /// A register in memory: for tests, and for what may be lost.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::new(Store::in_memory()?)
    }

    /// Writes down what a person has said. It counts as soon as this returns.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub async fn record(&self, tenant: Option<&str>, record: Record) -> Result<(), RegisterError> {
        let text = serde_json::to_string(&record).map_err(RegisterError::Record)?;
        let tenant = tenant_key(tenant);
        let written = self
            .store
            .write(move |db| {
                db.execute(
                    "INSERT INTO consent (tenant, reference, subject, record) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT DO NOTHING",
                    params![tenant, record.reference, record.subject, text],
                )
            })
            .await?;
        if written == 0 {
            return Err(RegisterError::Exists);
        }
        Ok(())
    }

    /// Withdraws a record. True: it was there, and in force.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn withdraw(
        &self,
        tenant: Option<&str>,
        reference: &str,
    ) -> Result<bool, RegisterError> {
        let (tenant, reference) = (tenant_key(tenant), reference.to_owned());
        let now = self.store.clock().now_ms();
        let withdrawn = self
            .store
            .write(move |db| {
                db.execute(
                    "UPDATE consent SET withdrawn_at = ?3
                     WHERE tenant = ?1 AND reference = ?2 AND withdrawn_at IS NULL",
                    params![tenant, reference, now],
                )
            })
            .await?;
        Ok(withdrawn > 0)
    }

    /// Erases everything a person has said. How many records that were.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget(
        &self,
        tenant: Option<&str>,
        subject: &str,
    ) -> Result<usize, RegisterError> {
        let (tenant, subject) = (tenant_key(tenant), subject.to_owned());
        let sql = "DELETE FROM consent WHERE tenant = ?1 AND subject = ?2";
        Ok(self
            .store
            .write(move |db| db.execute(sql, [tenant, subject]))
            .await?)
    }
}

impl ConsentSource for Register {
    fn decide<'a>(
        &'a self,
        question: &'a Question,
    ) -> BoxFuture<'a, Result<Decision, Unavailable>> {
        Box::pin(async move {
            let (tenant, subject) = (tenant_key(question.tenant()), question.subject.clone());
            let records = self
                .store
                .read(move |db| records(db, &tenant, &subject))
                .await
                .map_err(|error| Unavailable(error.to_string()))?;
            if records.len() > MAX_RECORDS {
                return Err(Unavailable(format!(
                    "a person has more than {MAX_RECORDS} records"
                )));
            }
            Ok(decide(&records, question))
        })
    }
}

/// The records of a person that are in force or have expired, one more than is looked at.
fn records(db: &Connection, tenant: &str, subject: &str) -> rusqlite::Result<Vec<Record>> {
    // SQLite prepares a statement anew for each bound that is bound to it, so this one stands in the text.
    let mut statement = db.prepare_cached(&format!(
        "SELECT record FROM consent
         WHERE tenant = ?1 AND subject = ?2 AND withdrawn_at IS NULL ORDER BY id LIMIT {}",
        MAX_RECORDS + 1
    ))?;
    let rows = statement.query_map(params![tenant, subject], |row| {
        from_text(&row.get::<_, String>(0)?)
    })?;
    rows.collect()
}

/// A record that cannot be read fails the whole question: it may be an objection.
fn from_text<T: DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })
}

/// No tenant is its own key, and no tenant's name.
fn tenant_key(tenant: Option<&str>) -> String {
    tenant.map_or_else(|| "-".to_owned(), |tenant| format!("={tenant}"))
}
