//! The methods.

use mcp_ext_core::{Cx, NoParams, Principal, handlers};
use mcp_ext_store::StoreError;
use mcp_ext_store::rusqlite::OptionalExtension as _;
use serde_json::Value;

use super::audit::{Audit, each_line, key};
use super::log::{Kind, failed, pseudonym_of, segment_of};
use crate::contract::{
    AuditError, AuditExtension, Auditing, Broken, MAX_PAGE, MAX_VERIFIED, RecordsPage,
    RecordsParams, Verified, VerifyParams,
};
use crate::manifest::Manifest;
use crate::record::Record;
use crate::verify::{Reason, Verifier};

/// Records of a page when nothing else was asked for.
const PAGE: u32 = 20;

/// Most bytes of records in a page; one is always returned.
const MAX_PAGE_BYTES: usize = 24 * 1024;

/// What a reading found.
enum Lookup<T> {
    UnknownSegment,
    UnknownRecord,
    Found(T),
}

impl<T> Lookup<T> {
    fn ok(self) -> Result<T, AuditError> {
        match self {
            Self::Found(found) => Ok(found),
            Self::UnknownSegment => Err(AuditError::UnknownSegment {}),
            Self::UnknownRecord => Err(AuditError::UnknownRecord {}),
        }
    }
}

#[handlers]
impl Auditing for Audit {
    async fn records(
        &self,
        cx: &Cx<AuditExtension>,
        params: RecordsParams,
    ) -> Result<RecordsPage, AuditError> {
        let whole = (self.auditors)(cx.principal());
        let (tenant, principal) = keys(cx.principal());
        let limit = params.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
        let found = self
            .store
            .read(move |db| {
                let Some((id, name)) = segment_of(db, &tenant)? else {
                    return Ok(match params.segment {
                        Some(_) => Lookup::UnknownSegment,
                        None => Lookup::Found(RecordsPage {
                            segment: String::new(),
                            records: Vec::new(),
                            next: None,
                        }),
                    });
                };
                if params.segment.is_some_and(|wanted| wanted != name) {
                    return Ok(Lookup::UnknownSegment);
                }
                // Nobody has this pseudonym: whoever has made no calls has no records.
                let own = pseudonym_of(db, Kind::Principal, &tenant, &principal)?;
                let own = own.unwrap_or_default();
                let scope = "segment = ?1 AND (?2 OR principal = ?3)";
                let after: i64 = match &params.after {
                    None => 0,
                    Some(event) => {
                        let sql =
                            format!("SELECT seq FROM audit_record WHERE {scope} AND event_id = ?4");
                        let found = db
                            .prepare_cached(&sql)?
                            .query_row((id, whole, &own, event), |row| row.get(0))
                            .optional()?;
                        match found {
                            Some(seq) => seq,
                            None => return Ok(Lookup::UnknownRecord),
                        }
                    }
                };
                let sql = format!(
                    "SELECT line FROM audit_record WHERE {scope} AND seq > ?4 ORDER BY seq LIMIT ?5"
                );
                let mut statement = db.prepare_cached(&sql)?;
                let mut rows = statement.query((id, whole, &own, after, i64::from(limit) + 1))?;
                let mut page = RecordsPage {
                    segment: name,
                    records: Vec::new(),
                    next: None,
                };
                let mut bytes = 2;
                while let Some(row) = rows.next()? {
                    let line = row.get_ref(0)?.as_str().map_err(failed)?;
                    bytes += line.len() + 1;
                    let full = page.records.len() >= limit as usize || bytes > MAX_PAGE_BYTES;
                    if let (true, Some(last)) = (full, page.records.last()) {
                        page.next = Some(last.event.event_id.as_str().to_owned());
                        break;
                    }
                    page.records.push(Record::parse(line).map_err(failed)?);
                }
                Ok(Lookup::Found(page))
            })
            .await;
        found.map_err(unavailable)?.ok()
    }

    async fn verify(
        &self,
        cx: &Cx<AuditExtension>,
        params: VerifyParams,
    ) -> Result<Verified, AuditError> {
        if let Some(records) = params.records {
            return verify_sent(records.into_iter().map(Value::Object).collect());
        }
        let (tenant, _) = keys(cx.principal());
        let from = i64::try_from(params.from.unwrap_or(0)).unwrap_or(i64::MAX);
        let found = self
            .store
            .read(move |db| {
                let Some((id, name)) = segment_of(db, &tenant)? else {
                    return Ok(match params.segment {
                        Some(_) => Lookup::UnknownSegment,
                        None => Lookup::Found(verdict(0, true, None)),
                    });
                };
                if params.segment.is_some_and(|wanted| wanted != name) {
                    return Ok(Lookup::UnknownSegment);
                }
                let mut verifier = Verifier::new();
                if from > 0 {
                    let last: Option<String> = db
                        .prepare_cached(
                            "SELECT event_hash FROM audit_record WHERE segment = ?1 AND seq = ?2",
                        )?
                        .query_row((id, from), |row| row.get(0))
                        .optional()?;
                    let Some(last) = last else {
                        return Ok(Lookup::UnknownRecord);
                    };
                    verifier = verifier.after(from.unsigned_abs(), last.parse().map_err(failed)?);
                }
                let mut left = MAX_VERIFIED;
                let mut reason = None;
                let mut complete = true;
                each_line(db, &name, from, |_, line| {
                    if left == 0 {
                        complete = false;
                        return false;
                    }
                    left -= 1;
                    reason = verifier.line(line.as_bytes()).err();
                    reason.is_none()
                })?;
                Ok(Lookup::Found(verdict(verifier.count(), complete, reason)))
            })
            .await;
        found.map_err(unavailable)?.ok()
    }

    async fn manifest(&self, _: &Cx<AuditExtension>, _: NoParams) -> Result<Manifest, AuditError> {
        #[cfg(feature = "ed25519")]
        if let Some(signer) = &self.recorder.signer {
            return Ok(Manifest::sqlite().signed_by(&signer.public_key().to_string()));
        }
        Ok(Manifest::sqlite())
    }
}

/// The keys of the caller's tenant and of the caller.
fn keys(principal: Option<&Principal>) -> (String, String) {
    (
        key(principal.and_then(|p| p.tenant())),
        key(principal.map(|p| p.id())),
    )
}

fn unavailable(error: StoreError) -> AuditError {
    AuditError::Unavailable {
        cause: error.kind().to_owned(),
    }
}

/// Verifies a run of records that need not begin at the first.
fn verify_sent(records: Vec<Value>) -> Result<Verified, AuditError> {
    if records.len() > MAX_PAGE as usize {
        return Err(AuditError::TooMany {
            count: records.len() as u64,
            limit: MAX_PAGE.into(),
        });
    }
    let mut verifier = Verifier::new();
    for (index, value) in records.iter().enumerate() {
        let taken = Record::from_value(value)
            .map_err(Reason::Schema)
            .and_then(|record| {
                if let (0, Some(previous)) = (index, record.previous_hash) {
                    verifier = Verifier::new().after(0, previous);
                }
                verifier.record(&record)
            });
        if let Err(reason) = taken {
            return Ok(verdict(index as u64, false, Some(reason)));
        }
    }
    Ok(verdict(verifier.count(), true, None))
}

fn verdict(checked: u64, complete: bool, reason: Option<Reason>) -> Verified {
    Verified {
        ok: reason.is_none(),
        checked,
        complete: complete && reason.is_none(),
        first_broken: reason.map(|reason| Broken {
            index: checked,
            reason: reason.kind().to_owned(),
        }),
    }
}
