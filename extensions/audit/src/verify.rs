//! Verification of a chain of records, one at a time.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read as _};

use crate::digest::Digest;
use crate::head::Head;
use crate::record::{Record, RecordFault};

/// Longest line of an export, in bytes. A record at all its limits is shorter.
pub const MAX_LINE_BYTES: usize = 4 * 1024 * 1024;

/// How many digests are remembered to tell a replayed record from a gap, and how many lines are read ahead to tell records
/// that changed places from one that is missing.
const REMEMBERED: usize = 1024;

/// Verifies the records of one chain in their order, in memory that does not grow with their number.
///
/// ```
/// use mcp_ext_audit::{Break, Reason, Verifier, verify};
///
/// let line = concat!(r#"{"event_hash":"d494769c1ae442ea88dd190068747abf63c0568a3b856f85791b1a50a99d48b4","event_id":"99999999-9999-9999-9999-999999999999","event_type":"tool_call","extensions":{"caller-governance":{"flagged":false,"invoked_by_principal_id":null,"purpose_declared":"reconcile June invoices","session_id":"55555555-5555-5555-5555-555555555555"}},"occurred_at":"2026-06-06T12:00:00.000Z","outcome":"deferred","previous_hash":null,"principal_id":"aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa","tool_name":"export"}"#, "\n");
/// let whole = verify(line.as_bytes(), Verifier::new())?.expect("an untouched export");
/// assert_eq!(whole.records, 1);
///
/// let tampered = line.replace("June", "July");
/// let broken = verify(tampered.as_bytes(), Verifier::new())?;
/// assert_eq!(broken, Err(Break { index: 0, reason: Reason::HashMismatch }));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Verifier {
    previous: Option<Digest>,
    count: u64,
    /// How many records stand before the first that is verified.
    before: u64,
    /// The digest of the last of these.
    start: Option<Digest>,
    recent: VecDeque<Digest>,
    head: Option<Head>,
    any_form: bool,
    #[cfg(feature = "ed25519")]
    key: Option<crate::sign::PublicKey>,
}

/// A chain in which everything fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole {
    /// How many records were verified.
    pub records: u64,
    /// The digest of the last.
    pub last: Option<Digest>,
}

/// Where a chain does not fit, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {index}: {reason}")]
pub struct Break {
    /// Which record, counted from zero.
    pub index: u64,
    /// Why.
    #[source]
    pub reason: Reason,
}

/// Why a chain does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// It is no record.
    #[error("no record: {0}")]
    Schema(#[source] RecordFault),
    /// The line is not UTF-8, or too long to be read.
    #[error("a line that is no text of at most {MAX_LINE_BYTES} bytes")]
    Line,
    /// The record is written in another way than its one canonical form.
    #[error("not in the canonical form; something was added, or it was written by other software")]
    Form,
    /// The last line has no end: the file was cut within it.
    #[error("the line is cut off")]
    Torn,
    /// Something in the record was changed after it was sealed.
    #[error("the record was changed after it was written: its digest does not fit")]
    HashMismatch,
    /// It does not follow the record before it: one was removed or inserted there.
    #[error("it does not follow the record before it: one was removed or inserted")]
    ChainGap,
    /// It does not follow the record before it; the one that does comes later.
    #[error("records have changed places")]
    Reordered,
    /// The same record stood there before.
    #[error("the record stands in the chain already")]
    Replayed,
    /// The chain ends before the head that was put away.
    #[error("the end was cut off: the head names {expected} records")]
    Cut {
        /// How many there were.
        expected: u64,
    },
    /// The record that the head names has another digest: the chain was written anew.
    #[error("not the record that the head names: the chain was written anew, or is another")]
    HeadMismatch,
    /// The head is of a record before those that are verified, so it shows nothing about them.
    #[error(
        "the head names {head} records, and those are taken for verified: compare with a later head, or verify from the start"
    )]
    HeadBefore {
        /// How many records the head names.
        head: u64,
    },
    /// The signature is missing or not of the key.
    #[error("the signature is missing or not of this key")]
    Signature,
    /// The signature of the head is missing or not of the key.
    #[error("the signature of the head is missing or not of this key")]
    HeadSignature,
}

impl Reason {
    /// A name that does not change.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Schema(_) | Self::Line => "schema",
            Self::Form => "form",
            Self::Torn => "torn",
            Self::HashMismatch => "hash_mismatch",
            Self::ChainGap => "chain_gap",
            Self::Reordered => "reordered",
            Self::Replayed => "replayed",
            Self::Cut { .. } => "cut",
            Self::HeadMismatch => "head_mismatch",
            Self::HeadBefore { .. } => "head_before",
            Self::Signature => "signature",
            Self::HeadSignature => "head_signature",
        }
    }
}

impl Default for Verifier {
    fn default() -> Self {
        Self::new()
    }
}

impl Verifier {
    /// Verifies a chain from its first record.
    #[must_use]
    pub fn new() -> Self {
        Self {
            previous: None,
            count: 0,
            before: 0,
            start: None,
            recent: VecDeque::with_capacity(REMEMBERED),
            head: None,
            any_form: false,
            #[cfg(feature = "ed25519")]
            key: None,
        }
    }

    /// Verifies what follows the first `count` records, of which `last` is the last.
    #[must_use]
    pub fn after(mut self, count: u64, last: Digest) -> Self {
        self.count = count;
        self.before = count;
        self.start = Some(last);
        self.previous = Some(last);
        self
    }

    /// Verifies too that the chain reaches this head, and has not been written anew before it.
    #[must_use]
    pub fn against(mut self, head: Head) -> Self {
        self.head = Some(head);
        self
    }

    /// Verifies too that each record, and the head if one is given, is signed by this key.
    #[cfg(feature = "ed25519")]
    #[must_use]
    pub fn signed_by(mut self, key: crate::sign::PublicKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Accepts records that other software wrote in another form: with white space, in another order, with members at
    /// the top level that the contract does not know.
    #[must_use]
    pub fn any_form(mut self) -> Self {
        self.any_form = true;
        self
    }

    /// Takes the next line, without its line break.
    ///
    /// # Errors
    /// [`Reason`]. After one, the verifier is of no more use.
    pub fn line(&mut self, line: &[u8]) -> Result<(), Reason> {
        if line.len() > MAX_LINE_BYTES {
            return Err(Reason::Line);
        }
        let text = std::str::from_utf8(line).map_err(|_| Reason::Line)?;
        if let Some(canonical) = crate::scan::scan(text) {
            let hash = Digest::of_parts(canonical.preimage());
            return self.take(
                canonical.event_hash,
                canonical.previous_hash,
                hash,
                canonical.signature,
            );
        }
        let record = Record::parse(text).map_err(Reason::Schema)?;
        if !self.any_form && record.to_line() != text {
            return Err(Reason::Form);
        }
        self.record(&record)
    }

    /// Takes the next record.
    ///
    /// # Errors
    /// As [`line`](Self::line).
    pub fn record(&mut self, record: &Record) -> Result<(), Reason> {
        self.take(
            record.event_hash,
            record.previous_hash,
            record.digest(),
            record.signature.as_deref(),
        )
    }

    fn take(
        &mut self,
        carried: Digest,
        previous: Option<Digest>,
        computed: Digest,
        signature: Option<&str>,
    ) -> Result<(), Reason> {
        if computed != carried {
            return Err(Reason::HashMismatch);
        }
        if previous != self.previous {
            return Err(match self.recent.contains(&carried) {
                true => Reason::Replayed,
                false => Reason::ChainGap,
            });
        }
        self.check_signature(&carried, signature)?;
        self.count += 1;
        if let Some(head) = &self.head
            && head.count() == self.count
            && head.event_hash() != carried
        {
            return Err(Reason::HeadMismatch);
        }
        self.previous = Some(carried);
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(carried);
        Ok(())
    }

    #[cfg(feature = "ed25519")]
    fn check_signature(&self, digest: &Digest, signature: Option<&str>) -> Result<(), Reason> {
        match (&self.key, signature) {
            (None, _) => Ok(()),
            (Some(key), Some(signature)) if key.verifies(digest, signature) => Ok(()),
            (Some(_), _) => Err(Reason::Signature),
        }
    }

    #[cfg(not(feature = "ed25519"))]
    #[expect(
        clippy::unused_self,
        reason = "the same call with and without signatures"
    )]
    fn check_signature(&self, _: &Digest, _: Option<&str>) -> Result<(), Reason> {
        Ok(())
    }

    /// How many records have been verified, with those before the first.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Ends the chain.
    ///
    /// # Errors
    /// [`Break`], when it ends before the head, or the head is not signed as it must be.
    pub fn finish(self) -> Result<Whole, Break> {
        let broken = |reason| Break {
            index: self.count,
            reason,
        };
        match &self.head {
            Some(head) if head.count() > self.count => {
                return Err(broken(Reason::Cut {
                    expected: head.count(),
                }));
            }
            Some(head) if head.count() < self.before => {
                return Err(broken(Reason::HeadBefore { head: head.count() }));
            }
            // Of the record before the first, whose digest is known.
            Some(head)
                if self.before > 0
                    && head.count() == self.before
                    && Some(head.event_hash()) != self.start =>
            {
                return Err(broken(Reason::HeadMismatch));
            }
            #[cfg(feature = "ed25519")]
            Some(head) => {
                let signature = head.signature.as_deref().unwrap_or_default();
                if !self
                    .key
                    .is_none_or(|key| key.verifies(&head.digest(), signature))
                {
                    return Err(broken(Reason::HeadSignature));
                }
            }
            _ => {}
        }
        Ok(Whole {
            records: self.count,
            last: self.previous,
        })
    }
}

/// Verifies an export: one record a line. It reads as it goes, in memory that does not grow with the file.
///
/// # Errors
/// Only when reading fails. The verdict is in what it returns.
pub fn verify(
    mut export: impl BufRead,
    mut verifier: Verifier,
) -> io::Result<Result<Whole, Break>> {
    let mut line = Vec::new();
    loop {
        let end = match next_line(&mut export, &mut line)? {
            Next::None => return Ok(verifier.finish()),
            Next::Line => verifier.line(&line).err(),
            Next::Torn => Some(Reason::Torn),
            Next::TooLong => Some(Reason::Line),
        };
        let Some(mut reason) = end else {
            continue;
        };
        if reason == Reason::ChainGap && follows_later(&mut export, verifier.previous)? {
            reason = Reason::Reordered;
        }
        return Ok(Err(Break {
            index: verifier.count,
            reason,
        }));
    }
}

enum Next {
    None,
    Line,
    Torn,
    TooLong,
}

fn next_line(export: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Next> {
    line.clear();
    let limit = MAX_LINE_BYTES as u64 + 1;
    export.take(limit).read_until(b'\n', line)?;
    Ok(match line.pop() {
        None => Next::None,
        Some(b'\n') => Next::Line,
        Some(_) if line.len() == MAX_LINE_BYTES => Next::TooLong,
        Some(_) => Next::Torn,
    })
}

/// Whether one of the next lines is the record that should have come now.
fn follows_later(export: &mut impl BufRead, expected: Option<Digest>) -> io::Result<bool> {
    let mut line = Vec::new();
    for _ in 0..REMEMBERED {
        let Next::Line = next_line(export, &mut line)? else {
            return Ok(false);
        };
        let follows = std::str::from_utf8(&line)
            .ok()
            .and_then(|text| Record::parse(text).ok())
            .is_some_and(|record| record.previous_hash == expected);
        if follows {
            return Ok(true);
        }
    }
    Ok(false)
}
