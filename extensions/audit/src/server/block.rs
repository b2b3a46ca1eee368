//! The block: an intent before, an outcome after.

use mcp_ext_core::block::{Before, Block, BlockCall, BlockOutcome, Failure, Place, Refusal};
use mcp_ext_core::contract::{Contract, Item};
use mcp_ext_core::request::BoxFuture;
use mcp_ext_store::StoreError;
use serde_json::{Value, json};

use super::audit::{Audit, FAILURE, PARAMS, RESULT, evidence_of, key};
use super::facts::{Pending, Touched};
use super::log::{Entry, Stage};
use crate::contract::{AuditContext, AuditError, AuditExtension, NAME, Receipt};
use crate::record::{CANONICAL_FORM, Outcome};
use crate::registry::is_policy_id;
use crate::text::Text;

/// Where a request says what it is for, beside audit's own key.
const PURPOSE: &str = "io.github.mcp-ext/purpose";

/// Words of a label's sensitivity that are recorded; anything else could be someone's data.
const SENSITIVITIES: &[&str] = &["user", "pii", "financial", "credentials"];

/// Longest `turnId` that a receipt repeats.
const MAX_TURN: usize = 128;

impl Block for Audit {
    fn name(&self) -> &'static str {
        NAME
    }

    fn place(&self) -> Place {
        Place::AUDIT
    }

    fn covers(&self, contract: &Contract, _: &Item) -> bool {
        self.everywhere && contract.id.as_str() != NAME
    }

    fn before<'a>(&'a self, call: &'a BlockCall<'a>) -> BoxFuture<'a, Before> {
        Box::pin(async move {
            match self.intend(call).await {
                Ok(pending) => {
                    call.cx.facts().put(pending);
                    self.store.join(call.cx.facts(), NAME);
                    Before::Proceed
                }
                Err(error) => match &self.unrecorded {
                    Some(unrecorded) => {
                        unrecorded(&error);
                        Before::Proceed
                    }
                    None => Before::Refuse(refusal(&AuditError::NotRecorded {
                        cause: error.kind().to_owned(),
                    })),
                },
            }
        })
    }

    fn after<'a>(
        &'a self,
        call: &'a BlockCall<'a>,
        outcome: &'a mut BlockOutcome,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let facts = call.cx.facts();
            let Some(pending) = facts.get::<Pending>() else {
                return;
            };
            let unit = self.store.unit(facts);
            // What is withheld was done all the same.
            let acted = matches!(outcome.result, Ok(_) | Err(Failure::Withheld(_)));
            let entry = self.outcome(call, &pending, &outcome.result);
            let (recorder, place) = (self.recorder.clone(), pending.place.clone());
            let recorded = unit
                .finish(NAME, acted, move |db| recorder.append(db, &place, &entry))
                .await;
            match recorded {
                Ok(Some(record)) if call.cx.settings_of::<AuditExtension>().is_some() => {
                    let receipt = Receipt {
                        event_id: record.event.event_id.as_str().to_owned(),
                        event_hash: record.event_hash.to_string(),
                        previous_hash: record.previous_hash.map(|hash| hash.to_string()),
                        segment: pending.place.segment_name,
                        occurred_at: record.event.occurred_at,
                        outcome: record.event.outcome,
                        canonical_form: CANONICAL_FORM.to_owned(),
                        turn_id: pending.turn,
                    };
                    if let Ok(receipt) = serde_json::to_value(receipt) {
                        outcome.meta.insert(NAME.to_owned(), receipt);
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    // Nothing of the call is in the store. That is recorded if it can be, and told in any case.
                    let cause = error.kind();
                    if let Some(unrecorded) = &self.unrecorded {
                        unrecorded(&error);
                    }
                    outcome.meta.clear();
                    outcome.notes.clear();
                    outcome.result =
                        Err(Failure::Refused(refusal(&AuditError::OutcomeNotRecorded {
                            cause: cause.to_owned(),
                        })));
                    let mut entry = self.outcome(call, &pending, &outcome.result);
                    entry.outcome = Outcome::Error;
                    entry.disposition = Text::new(&format!("rolled_back:{cause}")).ok();
                    let (recorder, place) = (self.recorder.clone(), pending.place.clone());
                    let _ = unit
                        .finish(NAME, false, move |db| recorder.append(db, &place, &entry))
                        .await;
                }
            }
        })
    }

    fn abandoned(&self, call: &BlockCall<'_>) {
        let facts = call.cx.facts();
        let Some(pending) = facts.get::<Pending>() else {
            return;
        };
        self.store.unit(facts).abandon();
        let entry = Entry {
            outcome: Outcome::Error,
            disposition: Text::new("abandoned").ok(),
            flagged: true,
            touched: Touched::of(facts),
            ..Self::outcome_entry(call, &pending)
        };
        let (recorder, place) = (self.recorder.clone(), pending.place);
        let unrecorded = self.unrecorded.clone();
        // An outcome that was recorded just before stays the only one.
        self.store.write_detached(
            move |db| recorder.append(db, &place, &entry).map(drop),
            move |result| {
                if let (Err(error), Some(unrecorded)) = (result, unrecorded) {
                    unrecorded(&error);
                }
            },
        );
    }
}

impl Audit {
    async fn intend(&self, call: &BlockCall<'_>) -> Result<Pending, StoreError> {
        let principal = call.cx.principal();
        let context: AuditContext = call
            .cx
            .meta()
            .get(NAME)
            .and_then(|context| serde_json::from_value(context.clone()).ok())
            .unwrap_or_default();
        let turn = context.turn_id.clone();
        let purpose = self.purpose(call, context);
        let tenant = key(principal.and_then(|p| p.tenant()));
        let principal = key(principal.map(|p| p.id()));
        // Made before it is this call's turn to write.
        let name = self.recorder.uuid().map_err(StoreError::Sqlite)?;
        let salt = self.recorder.bytes().map_err(StoreError::Sqlite)?;
        let mut entry = Self::entry(call, Stage::Intent, &name, &tenant, &purpose);
        if !call.item.sensitive {
            entry.evidence = evidence_of(&salt, PARAMS, call.params);
        }
        let recorder = self.recorder.clone();
        let place = self
            .store
            .write(move |db| {
                let place = recorder.place(db, &entry.tenant, &principal)?;
                recorder.keep_salt(db, &place, &entry.call, &salt)?;
                recorder.append(db, &place, &entry)?;
                Ok(place)
            })
            .await?;
        Ok(Pending {
            call: name,
            salt,
            purpose,
            tenant,
            place,
            turn: turn.filter(|turn| turn.len() <= MAX_TURN),
        })
    }

    fn entry(
        call: &BlockCall<'_>,
        stage: Stage,
        name: &str,
        tenant: &str,
        purpose: &Text,
    ) -> Entry {
        let item = match (call.tool, call.item.tool, call.item.method) {
            (true, Some(tool), _) => tool.name,
            (_, _, Some(method)) => method.wire,
            _ => call.item.name,
        };
        Entry {
            stage,
            call: name.to_owned(),
            tenant: tenant.to_owned(),
            item: word(item),
            purpose: purpose.clone(),
            outcome: Outcome::Deferred,
            disposition: None,
            flagged: false,
            sensitivity: None,
            touched: Vec::new(),
            evidence: None,
            policy: None,
        }
    }

    fn outcome_entry(call: &BlockCall<'_>, pending: &Pending) -> Entry {
        let Pending {
            call: name,
            tenant,
            purpose,
            ..
        } = pending;
        Self::entry(call, Stage::Outcome, name, tenant, purpose)
    }

    /// What the request says it is for, as far as the server lists it.
    fn purpose(&self, call: &BlockCall<'_>, context: AuditContext) -> Text {
        // Clients that cannot send `_meta` say it in an argument of the block that asks for it.
        let code = [call.cx.meta().get(PURPOSE), call.arguments.get("purpose")]
            .into_iter()
            .flatten()
            .find_map(|purpose| purpose.get("code")?.as_str().map(str::to_owned))
            .or(context.purpose);
        match code.map(|code| Text::new(&code)) {
            None => word("unspecified"),
            Some(Ok(code)) if self.purposes.contains(&code) => code,
            Some(_) => word("unlisted"),
        }
    }

    fn outcome(
        &self,
        call: &BlockCall<'_>,
        pending: &Pending,
        result: &Result<Value, Failure>,
    ) -> Entry {
        let (outcome, disposition) = match result {
            Ok(_) => (Outcome::Allowed, "returned".to_owned()),
            Err(Failure::Own { kind, .. }) => (Outcome::Allowed, format!("failed:{kind}")),
            Err(Failure::Params(_)) => (Outcome::Denied, "invalid_params".to_owned()),
            Err(Failure::Refused(refusal)) => (
                Outcome::Denied,
                format!("refused:{}:{}", refusal.extension, refusal.kind),
            ),
            Err(Failure::Withheld(refusal)) => (
                Outcome::Denied,
                format!("withheld:{}:{}", refusal.extension, refusal.kind),
            ),
            Err(Failure::Rejected(error)) => (Outcome::Denied, format!("rejected:{}", error.code)),
            Err(Failure::InputRequired(_)) => (Outcome::Deferred, "input_required".to_owned()),
            Err(Failure::Rpc(error)) => {
                let kind = error
                    .data
                    .as_ref()
                    .and_then(|data| data.get("kind")?.as_str());
                match kind {
                    Some("handler_panicked") => (Outcome::Error, "panicked".to_owned()),
                    _ => (Outcome::Error, format!("error:{}", error.code)),
                }
            }
        };
        let evidence = match result {
            _ if call.item.sensitive => None,
            Ok(value) => evidence_of(&pending.salt, RESULT, value),
            Err(failure) => evidence_of(&pending.salt, FAILURE, &told(failure)),
        };
        Entry {
            outcome,
            disposition: Some(word(&disposition)),
            flagged: matches!(outcome, Outcome::Denied | Outcome::Error),
            sensitivity: result.as_ref().ok().and_then(sensitivity),
            touched: Touched::of(call.cx.facts()),
            evidence,
            policy: result.as_ref().err().and_then(policy),
            ..Self::outcome_entry(call, pending)
        }
    }
}

fn refusal(error: &AuditError) -> Refusal {
    Refusal::of::<AuditExtension, _>(error)
}

/// A name that contracts are made of, as protected text.
fn word(name: &str) -> Text {
    // Names of contracts have no control characters; one that had would be recorded without its name.
    Text::new(name).unwrap_or_else(|_| word("unnamed"))
}

/// What is digested of a failure.
fn told(failure: &Failure) -> Value {
    match failure {
        Failure::Rpc(error) | Failure::Rejected(error) => {
            json!({ "code": error.code, "message": error.message })
        }
        Failure::Params(faults) => json!({ "faults": faults }),
        Failure::Own {
            code,
            message,
            details,
            ..
        } => json!({ "code": code, "message": message, "details": details }),
        Failure::Refused(refusal) | Failure::Withheld(refusal) => {
            json!({ "code": refusal.code, "message": refusal.message, "details": refusal.details })
        }
        Failure::InputRequired(_) => json!({ "inputRequired": true }),
    }
}

/// The policy that a refusal names.
fn policy(failure: &Failure) -> Option<String> {
    let (Failure::Refused(refusal) | Failure::Withheld(refusal)) = failure else {
        return None;
    };
    let id = refusal.details.get("policyId")?.as_str()?;
    (is_policy_id(id) && Text::new(id).is_ok_and(|text| text.as_str() == id)).then(|| id.to_owned())
}

/// The sensitivity that the labels of the result name.
fn sensitivity(result: &Value) -> Option<Text> {
    let label = ["labels", "dataLabels"]
        .iter()
        .find_map(|member| result.get(member)?.get("sensitivity")?.as_array())?;
    let words: Vec<&str> = SENSITIVITIES
        .iter()
        .copied()
        .filter(|word| label.iter().any(|seen| seen.as_str() == Some(word)))
        .collect();
    (!words.is_empty()).then(|| word(&words.join(",")))
}
