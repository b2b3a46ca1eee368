//! Appending to the log, inside a transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mcp_ext_store::rusqlite::{self, Connection, OptionalExtension as _};
use mcp_ext_store::{Clock, Random};
use mcp_ext_values::timestamp::rfc3339;

use crate::digest::{Digest, write_hex};
use crate::record::{Data, Event, Outcome, Record, Scalar};
use crate::registry::{CALLER_GOVERNANCE, RUNTIME_SECURITY, source_list};
use crate::text::Text;

/// Which of the two records of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Intent,
    Outcome,
}

impl Stage {
    fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Outcome => "outcome",
        }
    }
}

/// Whose pseudonym it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Who calls.
    Principal,
    /// Whose data it is.
    Subject,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::Subject => "subject",
        }
    }
}

/// What the log asks for time, randomness and signatures.
#[derive(Clone)]
pub(crate) struct Recorder {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    #[cfg(feature = "ed25519")]
    pub(crate) signer: Option<Arc<crate::sign::Signer>>,
}

/// What is recorded of a call at one of its stages.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) stage: Stage,
    pub(crate) call: String,
    pub(crate) tenant: String,
    pub(crate) item: Text,
    pub(crate) purpose: Text,
    pub(crate) outcome: Outcome,
    /// What became of the result, in words that are fixed.
    pub(crate) disposition: Option<Text>,
    pub(crate) flagged: bool,
    pub(crate) sensitivity: Option<Text>,
    pub(crate) touched: Vec<String>,
    /// A salted digest of what was sent or answered.
    pub(crate) evidence: Option<String>,
    /// The policy that decided, where another than audit's own is known.
    pub(crate) policy: Option<String>,
}

/// Where the records of a call stand, and under what name its caller is in them. It holds for both records, so that someone
/// who is forgotten while a call of theirs runs is not given another pseudonym by its outcome.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    segment: i64,
    pub(crate) segment_name: String,
    principal: String,
}

/// Makes anything an error of the closure that runs in the store.
pub(crate) fn failed(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}

impl Recorder {
    pub(crate) fn bytes<const N: usize>(&self) -> rusqlite::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }

    /// A random name with this prefix.
    fn name(&self, prefix: &str) -> rusqlite::Result<String> {
        let mut name = prefix.to_owned();
        write_hex(&mut name, &self.bytes::<16>()?);
        Ok(name)
    }

    /// A UUID that begins with the time (version 7): names made one after the other stand together in an index, so that
    /// a transaction touches few of its pages.
    pub(crate) fn uuid(&self) -> rusqlite::Result<String> {
        // Indices within the sixteen bytes.
        let mut bytes = self.bytes::<16>()?;
        let [_, _, now @ ..] = self.clock.now_ms().to_be_bytes();
        bytes[..6].copy_from_slice(&now);
        bytes[6] = bytes[6] & 0x0f | 0x70;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let mut uuid = String::with_capacity(36);
        let mut rest = bytes.as_slice();
        for group in [4, 2, 2, 2, 6] {
            // The groups are sixteen bytes.
            let (group, after) = rest.split_at_checked(group).unwrap_or((rest, &[]));
            if !uuid.is_empty() {
                uuid.push('-');
            }
            write_hex(&mut uuid, group);
            rest = after;
        }
        Ok(uuid)
    }

    /// The chain of a tenant, begun if it is not there.
    fn segment(&self, db: &Connection, tenant: &str) -> rusqlite::Result<(i64, String)> {
        if let Some(found) = segment_of(db, tenant)? {
            return Ok(found);
        }
        let name = self.name("seg_")?;
        db.prepare_cached("INSERT INTO audit_segment (name, tenant) VALUES (?1, ?2)")?
            .execute((&name, tenant))?;
        Ok((db.last_insert_rowid(), name))
    }

    /// The pseudonym of someone: random, so that nothing but the table tells whose it is.
    pub(crate) fn pseudonym(
        &self,
        db: &Connection,
        kind: Kind,
        tenant: &str,
        name: &str,
    ) -> rusqlite::Result<String> {
        if let Some(found) = pseudonym_of(db, kind, tenant, name)? {
            return Ok(found);
        }
        let pseudonym = self.name("sub_")?;
        db.prepare_cached(
            "INSERT INTO audit_subject (kind, tenant, name, pseudonym) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((kind.as_str(), tenant, name, &pseudonym))?;
        Ok(pseudonym)
    }

    /// The place of the records of a caller: a chain and a pseudonym, begun and given if they are not there.
    pub(crate) fn place(
        &self,
        db: &Connection,
        tenant: &str,
        principal: &str,
    ) -> rusqlite::Result<Place> {
        let principal = self.pseudonym(db, Kind::Principal, tenant, principal)?;
        let (segment, segment_name) = self.segment(db, tenant)?;
        Ok(Place {
            segment,
            segment_name,
            principal,
        })
    }

    /// Keeps the salt of a call, without which its digests say nothing.
    pub(crate) fn keep_salt(
        &self,
        db: &Connection,
        place: &Place,
        call: &str,
        salt: &[u8; 32],
    ) -> rusqlite::Result<()> {
        db.prepare_cached("INSERT INTO audit_call (name, principal, salt) VALUES (?1, ?2, ?3)")?
            .execute((call, &place.principal, salt))
            .map(drop)
    }

    /// Appends a record to a chain; `None` when the call has one of that stage.
    pub(crate) fn append(
        &self,
        db: &Connection,
        place: &Place,
        entry: &Entry,
    ) -> rusqlite::Result<Option<Record>> {
        // A call is named just before its intent: there is none of that name.
        if entry.stage != Stage::Intent {
            let there = db
                .prepare_cached("SELECT 1 FROM audit_record WHERE call = ?1 AND stage = ?2")?
                .exists((&entry.call, entry.stage.as_str()))?;
            if there {
                return Ok(None);
            }
        }
        let last: Option<(i64, String)> = db
            .prepare_cached(
                "SELECT seq, event_hash FROM audit_record WHERE segment = ?1 ORDER BY seq DESC LIMIT 1",
            )?
            .query_row([place.segment], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (seq, previous) = match last {
            Some((seq, hash)) => (seq + 1, Some(hash.parse::<Digest>().map_err(failed)?)),
            None => (1, None),
        };
        let sealed = self
            .event(db, entry, &place.principal)?
            .seal_written(previous);
        #[cfg_attr(not(feature = "ed25519"), expect(unused_mut))]
        let (mut record, preimage) = sealed.map_err(failed)?;
        #[cfg(feature = "ed25519")]
        if let Some(signer) = &self.signer {
            record.signature = Some(signer.sign(&record.event_hash));
        }
        db.prepare_cached(
            "INSERT INTO audit_record (segment, seq, event_id, principal, call, stage, event_hash, previous_hash, line)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute((
            place.segment,
            seq,
            record.event.event_id.as_str(),
            &place.principal,
            &entry.call,
            entry.stage.as_str(),
            record.event_hash.to_text(),
            record.previous_hash.map(Digest::to_text),
            record.line_of(&preimage),
        ))?;
        Ok(Some(record))
    }

    fn event(&self, db: &Connection, entry: &Entry, principal: &str) -> rusqlite::Result<Event> {
        let text = |text: &str| Text::new(text).map_err(failed);
        let optional = |value: Option<Text>| value.map_or(Scalar::Null, Scalar::Text);
        let mut governance = Data::from([
            (
                "purpose_declared".to_owned(),
                Scalar::Text(entry.purpose.clone()),
            ),
            ("session_id".to_owned(), Scalar::Text(text(&entry.call)?)),
            ("flagged".to_owned(), Scalar::Flag(entry.flagged)),
            (
                "output_disposition".to_owned(),
                optional(entry.disposition.clone()),
            ),
        ]);
        if entry.stage == Stage::Outcome {
            let sources = self.sources(db, entry)?;
            governance.insert("sources_touched".to_owned(), optional(sources));
            governance.insert(
                "sensitivity_encountered".to_owned(),
                optional(entry.sensitivity.clone()),
            );
        }
        let mut extensions = BTreeMap::from([(CALLER_GOVERNANCE.to_owned(), governance)]);
        if let Some(evidence) = &entry.evidence {
            let decision = match entry.outcome {
                Outcome::Allowed | Outcome::Error => "release",
                Outcome::Deferred => "hold",
                Outcome::Denied => "quarantine",
            };
            let words = [
                // The surface is the one that was checked and frozen when the set of extensions was built.
                ("drift_status", "none"),
                ("severity", if entry.flagged { "low" } else { "info" }),
                ("quarantine_decision", decision),
                ("policy_id", entry.policy.as_deref().unwrap_or(POLICY)),
                ("evidence_hash", evidence),
            ];
            let data: rusqlite::Result<Data> = words
                .into_iter()
                .map(|(name, value)| Ok((name.to_owned(), Scalar::Text(text(value)?))))
                .collect();
            extensions.insert(RUNTIME_SECURITY.to_owned(), data?);
        }
        Ok(Event {
            event_id: text(&self.uuid()?)?,
            occurred_at: rfc3339(self.clock.now_ms()),
            principal_id: text(principal)?,
            event_type: text("tool_call")?,
            tool_name: Some(entry.item.clone()),
            outcome: entry.outcome,
            extensions,
        })
    }

    /// The pseudonyms of whom the call was about, and a note of each for erasure.
    fn sources(&self, db: &Connection, entry: &Entry) -> rusqlite::Result<Option<Text>> {
        let mut sources = BTreeSet::new();
        for name in entry.touched.iter().take(super::facts::MOST_TOUCHED) {
            let pseudonym = self.pseudonym(db, Kind::Subject, &entry.tenant, name)?;
            db.prepare_cached(
                "INSERT OR IGNORE INTO audit_touched (pseudonym, call) VALUES (?1, ?2)",
            )?
            .execute((&pseudonym, &entry.call))?;
            sources.insert(Text::new(&pseudonym).map_err(failed)?);
        }
        if entry.touched.len() > super::facts::MOST_TOUCHED {
            sources.insert(Text::new("and-more").map_err(failed)?);
        }
        source_list(&sources)
            .map(|list| Text::new(&list).map_err(failed))
            .transpose()
    }
}

/// Names what decides here, in the form that records want.
const POLICY: &str = "io.github.mcp-ext/audit@1";

pub(crate) fn segment_of(db: &Connection, tenant: &str) -> rusqlite::Result<Option<(i64, String)>> {
    db.prepare_cached("SELECT id, name FROM audit_segment WHERE tenant = ?1")?
        .query_row([tenant], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

pub(crate) fn pseudonym_of(
    db: &Connection,
    kind: Kind,
    tenant: &str,
    name: &str,
) -> rusqlite::Result<Option<String>> {
    db.prepare_cached(
        "SELECT pseudonym FROM audit_subject WHERE kind = ?1 AND tenant = ?2 AND name = ?3",
    )?
    .query_row((kind.as_str(), tenant, name), |row| row.get(0))
    .optional()
}
