//! The block: looks a key up before the handler, and writes the outcome down after it.

use std::sync::Arc;
use std::time::Duration;

use mcp_ext_core::block::{
    Before, Block, BlockCall, BlockName, BlockOutcome, Failure, Place, Property, Refusal,
};
use mcp_ext_core::contract::{Contract, Item};
use mcp_ext_core::faults::Fault;
use mcp_ext_core::request::{BoxFuture, Principal};
use mcp_ext_core::wire::JsonObject;
use mcp_ext_core::{Enable, ExtensionError as _, RpcError};
use mcp_ext_store::rusqlite::{self, Connection};
use mcp_ext_store::{Store, StoreError};
use mcp_ext_values::digest;
use mcp_ext_values::timestamp::rfc3339;
use serde_json::{Value, json};

use crate::contract::{ARGUMENT, IdempotencyExtension, IdempotencySettings, MEMBER, NAME};
use crate::error::IdempotencyError;
use crate::key::{IdempotencyKey, MAX_KEY};
use crate::provider::Reconciler;
use crate::room::Room;
use crate::state::Decision;
use crate::stored;
use crate::table::{self, Claim, Slot};

/// How long a call may take before it is taken for lost: what a server allows a call by default, and a margin.
const LEASE: Duration = Duration::from_secs(75);

/// How long answers are kept.
const RETENTION: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Most keys that are kept of one caller.
const MAX_KEYS: u64 = 1_000_000;

/// Largest answer that is kept, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;

type OfItem = dyn Fn(&Contract, &Item) -> bool + Send + Sync;

/// The block that makes repeated calls take effect once.
///
/// ```
/// use mcp_ext_core::ExtensionSet;
/// use mcp_ext_idempotency::Idempotency;
/// use mcp_ext_store::Store;
///
/// let store = Store::in_memory()?; // Store::open("calls.db") to outlive the process
/// let idempotency = Idempotency::new(&store)?;
/// let set = ExtensionSet::builder().enable(idempotency.enable()).build()?;
/// # drop(set);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Idempotency {
    store: Store,
    required: bool,
    lease_ms: i64,
    retention: Duration,
    max_answer: usize,
    room: Arc<Room>,
    effects_in_store: Arc<OfItem>,
    covers: Arc<OfItem>,
}

/// A handler puts this into `cx.facts()` when it cannot tell whether it acted, as after a timeout of a service it called:
/// the key is then never run again, and whoever repeats the call is told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutcomeUnknown;

impl Idempotency {
    /// A block that keeps its keys in `store`. Every item it stands around demands a key.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot take the table.
    pub fn new(store: &Store) -> Result<Self, StoreError> {
        store.migrate(table::SCHEMA, table::STEPS)?;
        Ok(Self {
            store: store.clone(),
            required: true,
            lease_ms: ms(LEASE),
            retention: RETENTION,
            max_answer: MAX_ANSWER,
            room: Arc::new(Room::new(MAX_KEYS)),
            effects_in_store: Arc::new(|_, _| false),
            covers: Arc::new(|_, _| false),
        })
    }

    /// Also runs calls without a key; they are not protected.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.required = false;
        self
    }

    /// How long a call may take before it is taken for lost: not less than `Limits::max_duration` of the server. 75 seconds
    /// when not set.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease_ms = ms(lease);
        self
    }

    /// For how long answers are kept, counted from the end of the call. After that the answer is erased, and the key is
    /// refused. Seven days when not set.
    #[must_use]
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// The largest answer that is kept, in bytes of JSON. The call with a larger one still takes effect once; its answer
    /// cannot be given again. 1 MiB when not set.
    #[must_use]
    pub fn max_answer_bytes(mut self, bytes: usize) -> Self {
        self.max_answer = bytes;
        self
    }

    /// How many keys are kept of one caller, about: a call with another is refused (`too_many_keys`), until
    /// [`forget`](Self::forget) has made room. One million when not set. Callers whom the transport did not authenticate are
    /// one caller.
    #[must_use]
    pub fn max_keys_per_caller(mut self, keys: u64) -> Self {
        self.room = Arc::new(Room::new(keys));
        self
    }

    /// Names the items whose every effect is written with `store.unit(cx.facts())` to this very store. A call of such an
    /// item that was lost has certainly done nothing, and is run again when it is repeated.
    #[must_use]
    pub fn effects_in_store(
        mut self,
        item: impl Fn(&Contract, &Item) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.effects_in_store = Arc::new(item);
        self
    }

    /// Names items the block stands around although they do not name it.
    #[must_use]
    pub fn around(
        mut self,
        item: impl Fn(&Contract, &Item) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.covers = Arc::new(item);
        self
    }

    /// The extension with its block, for `ExtensionSet::builder().enable(..)`.
    #[must_use]
    pub fn enable(&self) -> Enable<IdempotencyExtension> {
        IdempotencyExtension::provide(Reconciler {
            store: self.store.clone(),
        })
        .settings(IdempotencySettings {
            retention_seconds: Some(self.retention.as_secs()),
        })
        .around(self.clone())
    }

    /// Erases every answer kept for a caller. That the calls were made stays known, so none of them runs again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn erase_answers(&self, caller: Option<&Principal>) -> Result<usize, StoreError> {
        let scope = table::scope(caller);
        self.store
            .write(move |db| table::erase_answers(db, &scope))
            .await
    }

    /// Forgets calls that ended before a time, in milliseconds since 1970. Repeated after that, such a call runs again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget(&self, ended_before_ms: i64) -> Result<usize, StoreError> {
        let forgotten = self
            .store
            .write(move |db| table::forget(db, ended_before_ms))
            .await;
        self.room.forgotten();
        forgotten
    }

    /// Reserves the key of a call, or says why it is not run.
    async fn claim(&self, call: &BlockCall<'_>) -> Before {
        let key = match key_of(call, self.required) {
            Ok(Some(key)) => key,
            Ok(None) => return Before::Proceed,
            Err(fault) => {
                return Before::Answer(BlockOutcome::new(Err(Failure::Params(vec![fault]))));
            }
        };
        let Ok(owner) = self.token() else {
            return refuse(&IdempotencyError::StoreFailed);
        };
        let now = self.store.clock().now_ms();
        let claim = Claim {
            slot: Slot {
                scope: table::scope(call.cx.principal()),
                key: key.as_str().to_owned(),
                item: format!("{}/{}", call.contract.id.as_str(), call.item.name),
            },
            operations: operations(call.item),
            digest: digest::of(&call.whole()),
            owner,
            now,
            lease_until: now.saturating_add(self.lease_ms),
            rerun: (self.effects_in_store)(call.contract, call.item),
        };
        match self.settle(&claim).await {
            Ok(Some(Decision::Run | Decision::TakeOver)) => {
                self.store.join(call.cx.facts(), NAME);
                call.cx.facts().put(Held {
                    slot: claim.slot,
                    owner,
                    rerun: claim.rerun,
                });
                Before::Proceed
            }
            Ok(Some(decision)) => answer(call, decision, now),
            Ok(None) => refuse(&IdempotencyError::TooManyKeys {
                most: self.room.most,
            }),
            Err(_) => refuse(&IdempotencyError::StoreFailed),
        }
    }

    /// What is to be done with the call, whose key is reserved if it is to be run. `None`: its caller has no room for
    /// another key; calls that are known are answered as ever.
    async fn settle(&self, claim: &Claim) -> Result<Option<Decision>, StoreError> {
        if !self.has_room(&claim.slot.scope, claim.now).await? {
            let looked = claim.clone();
            match self.store.read(move |db| table::look(db, &looked)).await? {
                Decision::Run => return Ok(None),
                Decision::TakeOver => {}
                known => return Ok(Some(known)),
            }
        }
        let decision = self.decide(claim).await?;
        if decision == Decision::Run {
            self.room.used(&claim.slot.scope);
        }
        Ok(Some(decision))
    }

    async fn has_room(&self, scope: &str, now: i64) -> Result<bool, StoreError> {
        if let Some(room) = self.room.known(scope, now) {
            return Ok(room);
        }
        let (counted, most) = (scope.to_owned(), self.room.most);
        let keys = self
            .store
            .read(move |db| table::count(db, &counted, most))
            .await?;
        Ok(self.room.counted(scope.to_owned(), keys, now))
    }

    async fn decide(&self, claim: &Claim) -> Result<Decision, StoreError> {
        // A repeat is answered while another call has the right to write.
        if self.store.is_writing() {
            let looked = claim.clone();
            let decision = self.store.read(move |db| table::look(db, &looked)).await?;
            if !matches!(decision, Decision::Run | Decision::TakeOver) {
                return Ok(decision);
            }
        }
        // If this future is dropped here the key may be reserved a moment later, by nobody.
        let mut unclaimed = Unclaimed {
            block: self,
            held: Some(Held {
                slot: claim.slot.clone(),
                owner: claim.owner,
                rerun: true,
            }),
        };
        let reserved = claim.clone();
        let decision = self
            .store
            .write(move |db| table::reserve(db, &reserved))
            .await;
        unclaimed.held = None;
        // Another process has the right to write: a repeat is answered all the same.
        if let Err(StoreError::Busy { .. }) = &decision {
            let looked = claim.clone();
            let found = self.store.read(move |db| table::look(db, &looked)).await?;
            if !matches!(found, Decision::Run | Decision::TakeOver) {
                return Ok(found);
            }
        }
        decision
    }

    /// A token that no other call has.
    fn token(&self) -> Result<i64, mcp_ext_store::RandomError> {
        let mut bytes = [0; 8];
        self.store.random().fill(&mut bytes)?;
        Ok(i64::from_le_bytes(bytes))
    }

    /// Writes down what came of a call that held its key.
    async fn record(&self, call: &BlockCall<'_>, held: Held, outcome: &mut BlockOutcome) {
        let acted = matches!(outcome.result, Ok(_) | Err(Failure::Withheld(_)));
        let unknown = call.cx.facts().get::<OutcomeUnknown>().is_some();
        let what = match &outcome.result {
            Err(failure) if failure.before_the_handler() => Write::Release,
            _ if unknown => Write::Unknown,
            // Done, and the answer is not for anyone.
            Err(Failure::Withheld(_)) => Write::Complete(None),
            // No answer of the handler: a panic, or a result that cannot be written. What it wrote to this store is
            // rolled back.
            Err(failure) if !matches!(failure, Failure::Own { .. }) => held.lost(),
            // What must not be recorded, or is too much, is not kept.
            _ => Write::Complete(
                stored::write(outcome)
                    .filter(|text| !call.item.sensitive && text.len() <= self.max_answer),
            ),
        };
        let fenced = held.rerun && matches!(what, Write::Complete(_));
        match self.write(call, &held, acted, what).await {
            Ok(true) => {}
            // Another call has the key. What this one did is rolled back with its record.
            Ok(false) if fenced => outcome.result = Err(refused(&IdempotencyError::Superseded)),
            // Not there any more, though nobody else may take it: the answer is still the handler's.
            Ok(false) => {}
            Err(_) => {
                let lost = held.lost();
                let recorded = self.write(call, &held, false, lost).await.is_ok();
                let nothing_done =
                    matches!(&outcome.result, Err(failure) if failure.before_the_handler());
                match (nothing_done, held.rerun && recorded) {
                    // The key comes free when the lease is over; what the call was told still holds.
                    (true, _) => {}
                    // All it did is rolled back.
                    (false, true) => outcome.result = Err(refused(&IdempotencyError::StoreFailed)),
                    (false, false) => {
                        outcome.result = Err(uncertain(&IdempotencyError::NotRecorded));
                    }
                }
            }
        }
    }

    /// Whether the call still held its key.
    async fn write(
        &self,
        call: &BlockCall<'_>,
        held: &Held,
        acted: bool,
        what: Write,
    ) -> Result<bool, StoreError> {
        let now = self.store.clock().now_ms();
        let expires_at = now.saturating_add(ms(self.retention));
        let (slot, owner, rerun) = (held.slot.clone(), held.owner, held.rerun);
        let written = self
            .store
            .unit(call.cx.facts())
            .finish(NAME, acted, move |db| {
                let ours = what.run(db, &slot, owner, now, expires_at)?;
                // The error rolls back what the handler did.
                if rerun && !ours {
                    return Err(rusqlite::Error::QueryReturnedNoRows);
                }
                Ok(ours)
            })
            .await;
        match written {
            Err(StoreError::Sqlite(rusqlite::Error::QueryReturnedNoRows)) => Ok(false),
            written => written,
        }
    }
}

/// What is written of a call.
enum Write {
    Release,
    Unknown,
    Complete(Option<String>),
}

impl Write {
    /// Whether the call still held its key, as far as that matters.
    fn run(
        &self,
        db: &Connection,
        slot: &Slot,
        owner: i64,
        now: i64,
        expires_at: i64,
    ) -> rusqlite::Result<bool> {
        match self {
            Self::Release => table::release(db, slot, owner).map(|()| true),
            Self::Unknown => table::mark_unknown(db, slot, owner, now).map(|()| true),
            Self::Complete(outcome) => {
                table::complete(db, slot, owner, outcome.as_deref(), now, expires_at)
            }
        }
    }
}

/// The fact that a call has reserved its key.
#[derive(Clone, Debug)]
struct Held {
    slot: Slot,
    owner: i64,
    /// Whether everything the item does is rolled back with the record.
    rerun: bool,
}

impl Held {
    /// What to write of a call that gave no answer.
    fn lost(&self) -> Write {
        if self.rerun {
            Write::Release
        } else {
            Write::Unknown
        }
    }
}

/// Gives a key back whose reservation nobody waited for.
struct Unclaimed<'a> {
    block: &'a Idempotency,
    held: Option<Held>,
}

impl Drop for Unclaimed<'_> {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            self.block.give_up(held);
        }
    }
}

impl Idempotency {
    /// Writes down, behind the back of whoever left, that a call gave no answer.
    fn give_up(&self, held: Held) {
        let now = self.store.clock().now_ms();
        let what = held.lost();
        self.store.write_detached(
            move |db| what.run(db, &held.slot, held.owner, now, now),
            // Not written, the key is taken for lost when its lease is over.
            |_| {},
        );
    }
}

impl Block for Idempotency {
    fn name(&self) -> &'static str {
        <Self as BlockName>::NAME
    }

    fn place(&self) -> Place {
        Place::IDEMPOTENCY
    }

    fn covers(&self, contract: &Contract, item: &Item) -> bool {
        (self.covers)(contract, item)
    }

    fn arguments(&self, _: &Contract, _: &Item) -> Vec<Property> {
        vec![Property {
            name: ARGUMENT,
            schema: json!({
                "type": "string",
                "minLength": 1,
                "maxLength": MAX_KEY,
                "pattern": "^[A-Za-z0-9._~:-]{1,128}$",
                "description": "A new random text, such as a UUID, for each new call. When an answer was lost, repeat the call unchanged with the same key: it takes effect once and the answer is given again.",
            }),
            required: self.required,
        }]
    }

    fn members(&self, _: &Contract, _: &Item) -> Vec<Property> {
        vec![Property {
            name: MEMBER,
            schema: json!({
                "type": "object",
                "properties": {
                    "replayed": { "type": "boolean", "description": "Nothing was done for this call: its answer was given before." },
                    "firstAt": { "type": "string", "description": "When the call that was run began." },
                },
                "required": ["replayed", "firstAt"],
                "description": "There when this answer was given before.",
            }),
            required: false,
        }]
    }

    fn before<'a>(&'a self, call: &'a BlockCall<'a>) -> BoxFuture<'a, Before> {
        Box::pin(self.claim(call))
    }

    fn after<'a>(
        &'a self,
        call: &'a BlockCall<'a>,
        outcome: &'a mut BlockOutcome,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if let Some(held) = call.cx.facts().get::<Held>() {
                self.record(call, held, outcome).await;
            }
        })
    }

    fn abandoned(&self, call: &BlockCall<'_>) {
        if let Some(held) = call.cx.facts().get::<Held>() {
            self.store.unit(call.cx.facts()).abandon();
            self.give_up(held);
        }
    }
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The key of a call, `None` where it has none and needs none.
fn key_of(call: &BlockCall<'_>, required: bool) -> Result<Option<IdempotencyKey>, Fault> {
    let expected = format!("1 to {MAX_KEY} letters, digits and . _ ~ : -");
    let fault = |seen: String, message: String| Fault {
        pointer: format!("/{ARGUMENT}"),
        expected: expected.clone(),
        seen,
        message,
    };
    match call.argument(ARGUMENT) {
        None | Some(Value::Null) if !required => Ok(None),
        None | Some(Value::Null) => Err(fault(
            "nothing".to_owned(),
            format!(
                "{ARGUMENT} is missing; send a new random text, such as a UUID, and the same one again whenever this very call is repeated"
            ),
        )),
        Some(Value::String(text)) => {
            IdempotencyKey::new(text.as_str())
                .map(Some)
                .map_err(|invalid| {
                    fault(
                        format!("a string of {} bytes", invalid.bytes),
                        invalid.to_string(),
                    )
                })
        }
        Some(other) => {
            let seen = match other {
                Value::Bool(_) => "a boolean",
                Value::Number(_) => "a number",
                Value::Array(_) => "an array",
                _ => "an object",
            };
            Err(fault(
                seen.to_owned(),
                format!("{ARGUMENT} must be a string of {expected}; saw {seen}"),
            ))
        }
    }
}

/// The names under which an item can be called.
fn operations(item: &Item) -> String {
    let names: Vec<&str> = item
        .tool
        .iter()
        .map(|tool| tool.name)
        .chain(item.method.iter().map(|method| method.wire))
        .collect();
    json!(names).to_string()
}

/// What a call is told that is not run.
fn answer(call: &BlockCall<'_>, decision: Decision, now: i64) -> Before {
    let error = match decision {
        Decision::Replay { first_at, outcome } => match stored::read(&outcome) {
            Ok(outcome) => return Before::Answer(replayed(call, outcome, first_at)),
            // Written by a program that knew more than this one.
            Err(_) => IdempotencyError::AnswerNotKept {
                first_at: rfc3339(first_at),
            },
        },
        Decision::Conflict { first_at } => IdempotencyError::Conflict {
            first_at: rfc3339(first_at),
        },
        Decision::InProgress {
            first_at,
            lease_until,
        } => IdempotencyError::InProgress {
            first_at: rfc3339(first_at),
            retry_after_ms: lease_until.saturating_sub(now),
        },
        Decision::Unknown { first_at } => IdempotencyError::UnknownOutcome {
            first_at: rfc3339(first_at),
        },
        Decision::Expired { first_at } => IdempotencyError::KeyExpired {
            first_at: rfc3339(first_at),
        },
        Decision::NotKept { first_at } => IdempotencyError::AnswerNotKept {
            first_at: rfc3339(first_at),
        },
        Decision::Run | Decision::TakeOver => return Before::Proceed,
    };
    refuse(&error)
}

/// The stored outcome, with word that it is one.
fn replayed(call: &BlockCall<'_>, mut outcome: BlockOutcome, first_at: i64) -> BlockOutcome {
    let first_at = rfc3339(first_at);
    let replay = json!({ "replayed": true, "firstAt": first_at });
    let mark = |members: &mut JsonObject| {
        // A member of the item's own is left alone.
        members.entry(MEMBER).or_insert_with(|| replay.clone());
    };
    let mut anew = false;
    match &mut outcome.result {
        Ok(Value::Object(members)) => mark(members),
        Err(Failure::Own {
            details, retryable, ..
        }) => {
            mark(details);
            // The same call with the same key would only bring this answer again.
            anew = std::mem::take(retryable);
        }
        _ => {}
    }
    let anew = if anew {
        " To try anew, send a new idempotencyKey."
    } else {
        ""
    };
    outcome.notes.push(format!(
        "Replayed: a call with this idempotencyKey was run at {first_at}, and this is its answer; nothing was done again.{anew}"
    ));
    if call.cx.settings_of::<IdempotencyExtension>().is_some() {
        outcome.meta.insert(NAME.to_owned(), replay);
    }
    outcome
}

fn refused(error: &IdempotencyError) -> Failure {
    Failure::Refused(Refusal::of::<IdempotencyExtension, _>(error))
}

fn refuse(error: &IdempotencyError) -> Before {
    Before::Refuse(Refusal::of::<IdempotencyExtension, _>(error))
}

/// An error of ours that does not say that nothing was done.
fn uncertain(error: &IdempotencyError) -> Failure {
    let refusal = Refusal::of::<IdempotencyExtension, _>(error);
    Failure::Rpc(
        RpcError::new(refusal.code, error.message())
            .with_data(json!({ "extension": refusal.extension, "kind": refusal.kind })),
    )
}
