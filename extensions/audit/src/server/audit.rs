//! The log as whoever runs the server sees it.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use mcp_ext_core::{Enable, Principal};
use mcp_ext_store::rusqlite::{Connection, OptionalExtension as _};
use mcp_ext_store::{Store, StoreError};
use serde_json::Value;
use sha2::Sha256;

use super::log::{Kind, Recorder, failed, pseudonym_of};
use super::schema;
use crate::contract::AuditExtension;
use crate::digest::{Digest, write_hex};
use crate::head::Head;
use crate::record::Record;
use crate::text::Text;
use crate::verify::{Break, Verifier, Whole};

/// Purposes that are recorded when nothing else was set: the codes of HL7's ActReason for a purpose of use, and those that
/// the consent block has for education and finance.
const PURPOSES: &[&str] = &[
    "TREAT",
    "ETREAT",
    "HPAYMT",
    "HOPERAT",
    "HRESCH",
    "PATRQT",
    "BTG",
    "HTEST",
    "legitimateEducationalInterest",
    "directoryInformation",
    "accountInformation",
    "paymentInitiation",
];

/// Who may read all of their tenant's records.
type Auditors = dyn Fn(Option<&Principal>) -> bool + Send + Sync;

/// Is told of calls that could not be recorded.
type Unrecorded = dyn Fn(&StoreError) + Send + Sync;

/// The audit log and the block that writes it: `.enable(audit.enable())`, and `needs(Audit)` on an item or an extension.
///
/// Before a call its intent is recorded in a transaction of its own; after it the outcome, in the call's unit of work on the
/// same [`Store`]. A call whose intent cannot be recorded is refused.
///
/// ```
/// use mcp_ext_audit::{Audit, Verifier, verify};
/// use mcp_ext_core::ExtensionSet;
/// use mcp_ext_store::Store;
///
/// let audit = Audit::new(&Store::in_memory()?)?;
/// let set = ExtensionSet::builder().enable(audit.enable()).build()?;
///
/// // Later, or from another process: an export, verified with nothing but itself and a head that was put away.
/// let mut export = Vec::new();
/// for segment in audit.segments()? {
///     let head = audit.export(&segment.name, &mut export)?;
///     assert!(verify(&export[..], Verifier::new().against(head))?.is_ok());
/// }
/// # drop(set);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Audit {
    pub(crate) store: Store,
    pub(crate) recorder: Recorder,
    pub(crate) purposes: Arc<BTreeSet<Text>>,
    pub(crate) auditors: Arc<Auditors>,
    pub(crate) unrecorded: Option<Arc<Unrecorded>>,
    pub(crate) everywhere: bool,
}

/// A chain of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its name.
    pub name: String,
    /// Whose calls it records. `None`: callers without a tenant.
    pub tenant: Option<String>,
    /// How many records it has.
    pub records: u64,
}

/// Whom a pseudonym stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// A caller; `None` is one whom the transport did not authenticate.
    Principal {
        /// The tenant.
        tenant: Option<String>,
        /// The identifier.
        id: Option<String>,
    },
    /// Someone whose data a call was about.
    Subject {
        /// The tenant.
        tenant: Option<String>,
        /// The name, as the handler gave it to [`touch`](crate::touch).
        name: String,
    },
}

/// Who is to be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erase<'a> {
    /// A caller.
    Principal(&'a str),
    /// Someone whose data calls were about, by the name given to [`touch`](crate::touch).
    Subject(&'a str),
}

/// What was forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Whether anyone of that name was known.
    pub known: bool,
    /// Calls whose digests can no longer be compared with anything.
    pub calls: u64,
}

/// Whether something is what a record's digest was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// It is.
    Same,
    /// It is not.
    Different,
    /// The salt was erased, or nothing was digested: nobody can tell.
    Unverifiable,
}

/// Why an export failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Writing failed.
    #[error("the export could not be written")]
    Write(#[source] io::Error),
    /// There is no such chain, or it has no records.
    #[error("the log has no segment of this name with records; `segments` lists them")]
    UnknownSegment,
}

impl Audit {
    /// A log in this store, whose tables are made if they are not there. Its clock and randomness are the store's.
    ///
    /// # Errors
    /// [`StoreError`], if the tables cannot be made.
    pub fn new(store: &Store) -> Result<Self, StoreError> {
        store.migrate(schema::NAME, schema::STEPS)?;
        let audit = Self {
            store: store.clone(),
            recorder: Recorder {
                clock: store.clock().clone(),
                random: store.random().clone(),
                #[cfg(feature = "ed25519")]
                signer: None,
            },
            purposes: Arc::default(),
            auditors: Arc::new(|_| false),
            unrecorded: None,
            everywhere: false,
        };
        Ok(audit.purposes(PURPOSES.iter().copied()))
    }

    /// Which purposes of use are recorded by their code, instead of the usual ones (of HL7's ActReason and of the consent
    /// block). Whatever else a client says is
    /// recorded as `unlisted`: free text may hold personal data.
    #[must_use]
    pub fn purposes<'a>(mut self, codes: impl IntoIterator<Item = &'a str>) -> Self {
        let texts = codes.into_iter().filter_map(|code| Text::new(code).ok());
        self.purposes = Arc::new(texts.collect());
        self
    }

    /// Who may read all records of their tenant with the method `records`. When not set, nobody: everyone reads their own.
    #[must_use]
    pub fn auditors(
        mut self,
        is_auditor: impl Fn(Option<&Principal>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.auditors = Arc::new(is_auditor);
        self
    }

    /// Signs every record and every head.
    #[cfg(feature = "ed25519")]
    #[must_use]
    pub fn signer(mut self, signer: crate::sign::Signer) -> Self {
        self.recorder.signer = Some(Arc::new(signer));
        self
    }

    /// Stands around every item of every extension, not only around those that name it.
    #[must_use]
    pub fn everywhere(mut self) -> Self {
        self.everywhere = true;
        self
    }

    /// Lets calls go ahead whose intent could not be recorded, and tells `unrecorded` of each. Otherwise they are refused.
    #[must_use]
    pub fn proceed_unrecorded(
        mut self,
        unrecorded: impl Fn(&StoreError) + Send + Sync + 'static,
    ) -> Self {
        self.unrecorded = Some(Arc::new(unrecorded));
        self
    }

    /// The extension together with its block.
    pub fn enable(&self) -> Enable<AuditExtension> {
        AuditExtension::provide(self.clone()).around(self.clone())
    }

    /// The chains of the log: one for each tenant.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn segments(&self) -> Result<Vec<Segment>, StoreError> {
        self.store.read_blocking(|db| {
            db.prepare(
                "SELECT name, tenant, (SELECT coalesce(max(seq), 0) FROM audit_record WHERE segment = s.id)
                 FROM audit_segment s ORDER BY id",
            )?
            .query_map([], |row| {
                Ok(Segment {
                    name: row.get(0)?,
                    tenant: unkey(&row.get::<_, String>(1)?),
                    records: row.get::<_, i64>(2)?.unsigned_abs(),
                })
            })?
            .collect()
        })
    }

    /// The head of a chain. Put it away where whoever has the store cannot reach it: it shows when the chain is cut.
    ///
    /// # Errors
    /// [`ExportError`].
    pub fn head(&self, segment: &str) -> Result<Head, ExportError> {
        let last = self
            .store
            .read_blocking(|db| last_of(db, segment))?
            .ok_or(ExportError::UnknownSegment)?;
        self.sealed(segment, last)
    }

    /// Writes a chain, one record a line, and gives its head. [`verify()`](crate::verify()) checks it.
    ///
    /// # Errors
    /// [`ExportError`].
    pub fn export(&self, segment: &str, mut out: impl Write) -> Result<Head, ExportError> {
        let mut trouble = None;
        let last = self.store.read_blocking(|db| {
            each_line(db, segment, 0, |_, line| {
                let written = out
                    .write_all(line.as_bytes())
                    .and_then(|()| out.write_all(b"\n"));
                trouble = written.err();
                trouble.is_none()
            })?;
            last_of(db, segment)
        })?;
        if let Some(error) = trouble {
            return Err(ExportError::Write(error));
        }
        out.flush().map_err(ExportError::Write)?;
        self.sealed(segment, last.ok_or(ExportError::UnknownSegment)?)
    }

    fn sealed(&self, segment: &str, (count, hash): (i64, String)) -> Result<Head, ExportError> {
        #[cfg_attr(not(feature = "ed25519"), expect(unused_mut))]
        let mut head = hash
            .parse::<Digest>()
            .ok()
            .and_then(|hash| Head::new(segment, count.unsigned_abs(), hash).ok())
            .ok_or(ExportError::UnknownSegment)?;
        #[cfg(feature = "ed25519")]
        if let Some(signer) = &self.recorder.signer {
            head.signature = Some(signer.sign(&head.digest()));
        }
        Ok(head)
    }

    /// Verifies a chain of the log where it is.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read. The verdict is in what it returns.
    pub fn verify_segment(
        &self,
        segment: &str,
        mut verifier: Verifier,
    ) -> Result<Result<Whole, Break>, StoreError> {
        let mut broken = None;
        self.store.read_blocking(|db| {
            each_line(db, segment, 0, |_, line| {
                broken = verifier.line(line.as_bytes()).err();
                broken.is_none()
            })
        })?;
        Ok(match broken {
            Some(reason) => Err(Break {
                index: verifier.count(),
                reason,
            }),
            None => verifier.finish(),
        })
    }

    /// Intents without an outcome, oldest first: calls that are running, or whose process ended. What they did is not known.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn unfinished(&self, limit: u32) -> Result<Vec<Record>, StoreError> {
        self.store.read_blocking(|db| {
            db.prepare(
                "SELECT line FROM audit_record i WHERE stage = 'intent' AND NOT EXISTS
                    (SELECT 1 FROM audit_record o WHERE o.call = i.call AND o.stage = 'outcome') ORDER BY id LIMIT ?1",
            )?
            .query_map([limit], |row| {
                let line: String = row.get(0)?;
                Record::parse(&line).map_err(failed)
            })?
            .collect()
        })
    }

    /// Whom a pseudonym stands for; `None` when it was erased or never given.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn who(&self, pseudonym: &str) -> Result<Option<Who>, StoreError> {
        self.store.read_blocking(|db| {
            db.query_row(
                "SELECT kind, tenant, name FROM audit_subject WHERE pseudonym = ?1",
                [pseudonym],
                |row| {
                    let (kind, tenant, name): (String, String, String) =
                        (row.get(0)?, row.get(1)?, row.get(2)?);
                    let tenant = unkey(&tenant);
                    Ok(match kind == Kind::Principal.as_str() {
                        true => Who::Principal {
                            tenant,
                            id: unkey(&name),
                        },
                        false => Who::Subject { tenant, name },
                    })
                },
            )
            .optional()
        })
    }

    /// Whether `payload` is the params (of an intent) or the result (of an outcome) that the record `event_id` holds the
    /// digest of.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn compare(&self, event_id: &str, payload: &Value) -> Result<Comparison, StoreError> {
        let found: Option<(String, String, Option<Vec<u8>>)> = self.store.read_blocking(|db| {
            db.query_row(
                "SELECT line, stage, (SELECT salt FROM audit_call c WHERE c.name = r.call) FROM audit_record r WHERE event_id = ?1",
                [event_id],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()
        })?;
        let Some((line, stage, Some(salt))) = found else {
            return Ok(Comparison::Unverifiable);
        };
        let label = if stage == "intent" { PARAMS } else { RESULT };
        let evidence = Record::parse(&line).ok().and_then(|record| {
            match record
                .event
                .extensions
                .get(crate::RUNTIME_SECURITY)?
                .get("evidence_hash")?
            {
                crate::Scalar::Text(text) => Some(text.as_str().to_owned()),
                _ => None,
            }
        });
        Ok(match (evidence, evidence_of(&salt, label, payload)) {
            (Some(recorded), Some(computed)) if recorded == computed => Comparison::Same,
            (Some(_), Some(_)) => Comparison::Different,
            _ => Comparison::Unverifiable,
        })
    }

    /// Forgets someone: deletes whom the pseudonym stands for, and the salts of the digests in every record of theirs. The
    /// records stay as they are, and so does the chain; what is left in them says nothing about the person any more.
    ///
    /// Copies of the store made before, such as backups, still tell.
    ///
    /// # Errors
    /// [`StoreError`]. After [`StoreError::Busy`] everything is deleted, but traces may be in the log of the store until
    /// [`Store::checkpoint`] succeeds.
    pub fn erase(&self, tenant: Option<&str>, whom: Erase<'_>) -> Result<Erased, StoreError> {
        let tenant = key(tenant);
        let (kind, name) = match whom {
            Erase::Principal(id) => (Kind::Principal, key(Some(id))),
            Erase::Subject(name) => (Kind::Subject, name.to_owned()),
        };
        let erased = self.store.write_blocking(|db| {
            let Some(pseudonym) = pseudonym_of(db, kind, &tenant, &name)? else {
                return Ok(Erased::default());
            };
            let calls = db.execute(
                "DELETE FROM audit_call WHERE principal = ?1 OR name IN (SELECT call FROM audit_touched WHERE pseudonym = ?1)",
                [&pseudonym],
            )?;
            db.execute("DELETE FROM audit_touched WHERE pseudonym = ?1", [&pseudonym])?;
            db.execute("DELETE FROM audit_subject WHERE pseudonym = ?1", [&pseudonym])?;
            Ok(Erased {
                known: true,
                calls: calls as u64,
            })
        })?;
        self.store.checkpoint()?;
        Ok(erased)
    }
}

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Audit")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// A tenant or caller as a key: none is a key of its own, and never the same as one of that name.
pub(crate) fn key(name: Option<&str>) -> String {
    name.map_or_else(|| "-".to_owned(), |name| format!("+{name}"))
}

fn unkey(key: &str) -> Option<String> {
    key.strip_prefix('+').map(str::to_owned)
}

pub(crate) const PARAMS: &str = "params";
pub(crate) const RESULT: &str = "result";
pub(crate) const FAILURE: &str = "failure";

/// A salted digest: HMAC-SHA-256 with the call's salt as the key, over what it is and its canonical JSON (RFC 8785).
/// Without the salt nobody can find out by trying what it was made of.
pub(crate) fn evidence_of(salt: &[u8], label: &str, payload: &Value) -> Option<String> {
    let json = serde_json_canonicalizer::to_vec(payload).ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(salt).ok()?;
    mac.update(label.as_bytes());
    mac.update(&[0]);
    mac.update(&json);
    let mut text = String::from("hmac-sha256:");
    write_hex(&mut text, &mac.finalize().into_bytes());
    Some(text)
}

fn last_of(
    db: &Connection,
    segment: &str,
) -> mcp_ext_store::rusqlite::Result<Option<(i64, String)>> {
    db.query_row(
        "SELECT r.seq, r.event_hash FROM audit_record r JOIN audit_segment s ON s.id = r.segment
         WHERE s.name = ?1 ORDER BY r.seq DESC LIMIT 1",
        [segment],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
    .optional()
}

/// Hands out the lines of a chain after `from`, in order, for as long as `take` wants more.
pub(crate) fn each_line(
    db: &Connection,
    segment: &str,
    from: i64,
    mut take: impl FnMut(i64, &str) -> bool,
) -> mcp_ext_store::rusqlite::Result<()> {
    let mut statement = db.prepare_cached(
        "SELECT r.seq, r.line FROM audit_record r
         WHERE r.segment = (SELECT id FROM audit_segment WHERE name = ?1) AND r.seq > ?2 ORDER BY r.seq",
    )?;
    let mut rows = statement.query((segment, from))?;
    while let Some(row) = rows.next()? {
        let line = row.get_ref(1)?.as_str().map_err(failed)?;
        if !take(row.get(0)?, line) {
            break;
        }
    }
    Ok(())
}
