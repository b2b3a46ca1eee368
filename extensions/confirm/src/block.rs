//! The block: lets a call through with a confirmation of what it would do, and else asks for one.

use std::sync::Arc;
use std::time::Duration;

use mcp_ext_core::block::{
    Before, Block, BlockCall, BlockName, BlockOutcome, Failure, MustConfirm, Place, Property,
    Refusal,
};
use mcp_ext_core::contract::{Contract, Item};
use mcp_ext_core::faults::Fault;
use mcp_ext_core::request::BoxFuture;
use mcp_ext_core::wire::code;
use mcp_ext_core::{Enable, RpcError, handlers};
use mcp_ext_store::{Store, StoreError};
use mcp_ext_values::digest;
use mcp_ext_values::timestamp::rfc3339;
use serde_json::{Value, json};

use crate::answer::{self, Answer};
use crate::contract::{
    ARGUMENT, ConfirmExtension, ConfirmSettings, Confirmed, ConfirmedBy, FORM, MEMBER, NAME,
};
use crate::error::ConfirmError;
use crate::preview::Preview;
use crate::previews::{Previews, TitleAndArguments};
use crate::seal::{By, ConfirmKey, Confirmation, LENGTH};
use crate::table;

/// How long a confirmation works.
const EXPIRY: Duration = Duration::from_secs(300);

/// How far the clock of whoever gave a confirmation may be ahead of this one, in milliseconds.
const SKEW: i64 = 60_000;

type OfItem = dyn Fn(&Contract, &Item) -> bool + Send + Sync;
type OfCall = dyn Fn(&BlockCall<'_>) -> bool + Send + Sync;

/// The block that has calls confirmed before they are run.
///
/// A user whose client can show forms is asked with one. Every other caller is refused with a preview and a token, and
/// repeats the call with the token.
///
/// ```
/// use mcp_ext_confirm::{Confirm, ConfirmKey};
/// use mcp_ext_core::ExtensionSet;
/// use mcp_ext_store::Store;
///
/// let store = Store::in_memory()?; // Store::open("calls.db") to outlive the process
/// let confirm = Confirm::new(&store, ConfirmKey::random()?)?;
/// let set = ExtensionSet::builder().enable(confirm.enable()).build()?;
/// # drop(set);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Confirm {
    store: Store,
    key: ConfirmKey,
    expiry: Duration,
    forms_only: bool,
    previews: Arc<dyn Previews>,
    covers: Arc<OfItem>,
    when: Arc<OfCall>,
}

impl Confirm {
    /// A block that remembers in `store` which confirmations were used, and seals them with `key`. With a key of
    /// [`ConfirmKey::random`] only this process accepts its confirmations, until it ends: servers that run in several
    /// processes share a key of [`ConfirmKey::from_file`] or [`ConfirmKey::from_env`], and the store.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot take the table.
    pub fn new(store: &Store, key: ConfirmKey) -> Result<Self, StoreError> {
        store.migrate(table::SCHEMA, table::STEPS)?;
        Ok(Self {
            store: store.clone(),
            key,
            expiry: EXPIRY,
            forms_only: false,
            previews: Arc::new(TitleAndArguments),
            covers: Arc::new(|_, _| false),
            when: Arc::new(|_| true),
        })
    }

    /// For how long a confirmation works. Five minutes when not set.
    #[must_use]
    pub fn expires_after(mut self, expiry: Duration) -> Self {
        self.expiry = expiry;
        self
    }

    /// Who says what a call would do. Its title and arguments when not set.
    #[must_use]
    pub fn previews(mut self, previews: impl Previews) -> Self {
        self.previews = Arc::new(previews);
        self
    }

    /// Gives no tokens: who cannot be asked with a form is refused. A token can be repeated by a model that has asked
    /// nobody; a form is shown by the client.
    #[must_use]
    pub fn forms_only(mut self) -> Self {
        self.forms_only = true;
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

    /// Has only those calls confirmed, and those that a policy wants confirmed; the others run. Every call when not set.
    #[must_use]
    pub fn when(mut self, call: impl Fn(&BlockCall<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.when = Arc::new(call);
        self
    }

    /// The extension with its block, for `ExtensionSet::builder().enable(..)`.
    #[must_use]
    pub fn enable(&self) -> Enable<ConfirmExtension> {
        ConfirmExtension::provide(Provider)
            .settings(ConfirmSettings {
                expires_after_seconds: Some(self.expiry.as_secs()),
            })
            .around(self.clone())
    }

    /// Whether a call may run.
    async fn check(&self, call: &BlockCall<'_>) -> Before {
        // A block further out may have left it to this one.
        let must = call.cx.facts().get::<MustConfirm>().is_some();
        if !must && !(self.when)(call) {
            return Before::Proceed;
        }
        let (place, arguments) = (place(call), digest::of(&call.whole()));
        let token = match (&call.input().state, call.argument(ARGUMENT)) {
            (None, Some(Value::String(token))) => Confirmation::open(&self.key, token)
                .filter(|c| c.by == By::Token && c.place == place),
            _ => None,
        };
        // Nobody is asked about a call that would be refused afterwards. Who has a token for these arguments was asked.
        if token.as_ref().is_none_or(|c| c.arguments != arguments) {
            let faults = call.faults();
            if !faults.is_empty() {
                return params(faults);
            }
        }
        let preview = match self.previews.preview(call).await {
            Ok(preview) => preview,
            Err(message) => return refuse(&ConfirmError::NoPreview { message }),
        };
        let asked = Asked {
            place,
            arguments,
            shown: digest::of(&json!([preview.rendered(), preview.effects()])),
            preview,
        };
        if let Some(state) = &call.input().state {
            return self.answered(call, &asked, state).await;
        }
        match call.argument(ARGUMENT) {
            None | Some(Value::Null) => self.ask(call, &asked, false),
            Some(Value::String(_)) => self.with_token(call, &asked, token).await,
            Some(_) => params(vec![Fault {
                pointer: format!("/{ARGUMENT}"),
                expected: "a string".to_owned(),
                seen: "something else".to_owned(),
                message: format!("{ARGUMENT} must be the string that was given, or left out"),
            }]),
        }
    }

    /// The client comes back from a form.
    async fn answered(&self, call: &BlockCall<'_>, asked: &Asked, state: &str) -> Before {
        let answer = answer::read(call.input());
        let opened = Confirmation::open(&self.key, state).filter(|c| {
            c.by == By::Form && c.place == asked.place && c.arguments == asked.arguments
        });
        let confirmation = match (opened, answer) {
            (Some(confirmation), _) => confirmation,
            // The state of another block's question: ours has not been asked yet.
            (None, Answer::Missing) => return self.ask(call, asked, false),
            // Changed on the way, or made for another call or caller (MR-5).
            (None, _) => {
                return reject(
                    "requestState",
                    "as it was given, with the params it was given for",
                    "confirmation_invalid",
                );
            }
        };
        match answer {
            Answer::Missing => self.ask(call, asked, false),
            Answer::Malformed(at, expected) => reject(
                &format!("inputResponses/{FORM}/{at}"),
                expected,
                "malformed_answer",
            ),
            Answer::No | Answer::Dismissed => {
                // An answer is final: the same form cannot be accepted later. If that cannot be written down it expires.
                let _ = self.spend(call, &confirmation).await;
                refuse(if answer == Answer::No {
                    &ConfirmError::Declined
                } else {
                    &ConfirmError::Cancelled
                })
            }
            Answer::Yes => self.confirmed(call, asked, confirmation).await,
        }
    }

    /// The call is repeated with a token; `None` is one that is not ours, or not for this caller and item.
    async fn with_token(
        &self,
        call: &BlockCall<'_>,
        asked: &Asked,
        token: Option<Confirmation>,
    ) -> Before {
        match token {
            None => refuse(&ConfirmError::InvalidConfirmation),
            Some(c) if c.arguments != asked.arguments => refuse(&ConfirmError::ArgumentsChanged),
            Some(confirmation) => self.confirmed(call, asked, confirmation).await,
        }
    }

    /// Someone said yes to this call: it runs if that is still in time, still about the same, and for the first time.
    async fn confirmed(
        &self,
        call: &BlockCall<'_>,
        asked: &Asked,
        confirmation: Confirmation,
    ) -> Before {
        let now = self.store.clock().now_ms();
        if confirmation.given_at > now.saturating_add(SKEW) {
            // That it was used says more.
            let nonce = confirmation.nonce;
            let used = self.store.read(move |db| table::used(db, &nonce)).await;
            return refuse(&match used {
                Ok(false) => ConfirmError::ConfirmationFromFuture {
                    given_at: rfc3339(confirmation.given_at),
                },
                Ok(true) => ConfirmError::ConfirmationUsed,
                Err(_) => ConfirmError::StoreFailed,
            });
        }
        if now >= confirmation.expires_at {
            return refuse(&ConfirmError::ConfirmationExpired {
                expired_at: rfc3339(confirmation.expires_at),
            });
        }
        if confirmation.preview != asked.shown {
            return self.ask(call, asked, true);
        }
        // Committed before the handler begins: whatever happens to it, the confirmation does not work twice.
        match self.spend(call, &confirmation).await {
            Ok(true) => {
                call.cx.facts().put(Spent {
                    nonce: confirmation.nonce,
                    by: confirmation.by,
                    at: now,
                });
                Before::Proceed
            }
            Ok(false) => refuse(&ConfirmError::ConfirmationUsed),
            Err(_) => refuse(&ConfirmError::StoreFailed),
        }
    }

    async fn spend(
        &self,
        call: &BlockCall<'_>,
        confirmation: &Confirmation,
    ) -> Result<bool, StoreError> {
        let now = self.store.clock().now_ms();
        let (nonce, expires_at) = (confirmation.nonce, confirmation.expires_at);
        let scope = scope(call);
        self.store
            .write(move |db| table::spend(db, &nonce, &scope, expires_at, now))
            .await
    }

    /// Shows what would happen, and asks for a confirmation of it.
    fn ask(&self, call: &BlockCall<'_>, asked: &Asked, changed: bool) -> Before {
        let elicitation = call.elicitation();
        let by = match elicitation {
            Some(_) => By::Form,
            None if self.forms_only => return refuse(&ConfirmError::CannotAsk),
            None => By::Token,
        };
        let expiry = i64::try_from(self.expiry.as_millis()).unwrap_or(i64::MAX);
        let given_at = self.store.clock().now_ms();
        let expires_at = given_at.saturating_add(expiry);
        let random = self.store.random();
        let mut nonce = [0; 16];
        let sealed = random.fill(&mut nonce).ok().and_then(|()| {
            let confirmation = Confirmation {
                by,
                place: asked.place,
                arguments: asked.arguments,
                preview: asked.shown,
                nonce,
                given_at,
                expires_at,
            };
            confirmation.seal(&self.key, random)
        });
        let Some(sealed) = sealed else {
            return refuse(&ConfirmError::StoreFailed);
        };
        if let Some(elicitation) = elicitation {
            let rendered = asked.preview.rendered();
            let message = if changed {
                format!("What this would do has changed since you were asked. {rendered}")
            } else {
                rendered.to_owned()
            };
            return Before::Ask(elicitation.form(FORM, message, answer::schema(), sealed));
        }
        let effects = asked.preview.effects().to_vec();
        let rendered = asked.preview.rendered().to_owned();
        let expires_at = rfc3339(expires_at);
        refuse(&if changed {
            ConfirmError::PreviewChanged {
                effects,
                rendered,
                expires_at,
                confirmation_token: sealed,
            }
        } else {
            ConfirmError::ConfirmationRequired {
                effects,
                rendered,
                expires_at,
                confirmation_token: sealed,
            }
        })
    }
}

/// The call as it stands now.
struct Asked {
    place: [u8; 32],
    arguments: [u8; 32],
    shown: [u8; 32],
    preview: Preview,
}

/// The fact that a confirmation was used for this call.
#[derive(Clone, Copy, Debug)]
struct Spent {
    nonce: [u8; 16],
    by: By,
    at: i64,
}

impl Block for Confirm {
    fn name(&self) -> &'static str {
        <Self as BlockName>::NAME
    }

    fn place(&self) -> Place {
        Place::CONFIRM
    }

    fn covers(&self, contract: &Contract, item: &Item) -> bool {
        (self.covers)(contract, item)
    }

    fn arguments(&self, _: &Contract, _: &Item) -> Vec<Property> {
        vec![Property {
            name: ARGUMENT,
            schema: json!({
                "type": "string",
                "minLength": LENGTH,
                "maxLength": LENGTH,
                "description": "Left out at first. If the call is refused with confirmation_required, show the user what it says; if they agree, repeat the call with identical arguments and the confirmationToken it gives.",
            }),
            required: false,
        }]
    }

    fn before<'a>(&'a self, call: &'a BlockCall<'a>) -> BoxFuture<'a, Before> {
        Box::pin(self.check(call))
    }

    fn members(&self, _: &Contract, _: &Item) -> Vec<Property> {
        vec![Property {
            name: MEMBER,
            schema: json!({
                "type": "object",
                "properties": {
                    "by": { "type": "string", "enum": ["elicitation", "token"], "description": "Who confirmed the call." },
                    "at": { "type": "string", "description": "When it was confirmed." },
                    "verified": { "type": "boolean", "description": "Whether the effect was there when it was read back." },
                },
                "required": ["by", "at", "verified"],
                "description": "There when the effect was read back.",
            }),
            required: false,
        }]
    }

    fn after<'a>(
        &'a self,
        call: &'a BlockCall<'a>,
        outcome: &'a mut BlockOutcome,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let Some(spent) = call.cx.facts().get::<Spent>() else {
                return;
            };
            match &outcome.result {
                Ok(result) => {
                    let verified = self.previews.read_back(call, result).await;
                    tell(call, outcome, spent, verified);
                }
                // Nothing was done for certain: it may be confirmed with the same token. If that cannot be written down
                // it stays used, and the call is confirmed anew.
                Err(failure) if failure.before_the_handler() => {
                    let unit = self.store.unit(call.cx.facts());
                    let release = move |db: &_| table::release(db, &spent.nonce);
                    let _ = unit.finish(NAME, false, release).await;
                }
                Err(_) => {}
            }
        })
    }
}

/// Says how the call was confirmed, and what came of reading its effect back.
fn tell(call: &BlockCall<'_>, outcome: &mut BlockOutcome, spent: Spent, verified: Option<bool>) {
    let confirmed = json!(Confirmed {
        by: match spent.by {
            By::Form => ConfirmedBy::Elicitation,
            By::Token => ConfirmedBy::Token,
        },
        at: rfc3339(spent.at),
        verified,
    });
    if let Some(verified) = verified {
        if let Ok(Value::Object(members)) = &mut outcome.result {
            // A member of the item's own is left alone.
            members.entry(MEMBER).or_insert_with(|| confirmed.clone());
        }
        let note = if verified {
            "Read back: the effect is there as it was confirmed."
        } else {
            "Read back: the effect is NOT there as it was confirmed. Tell the user, and look before you do anything else."
        };
        outcome.notes.push(note.to_owned());
    }
    if call.cx.settings_of::<ConfirmExtension>().is_some() {
        outcome.meta.insert(NAME.to_owned(), confirmed);
    }
}

/// Answers nothing itself: the extension has no methods.
struct Provider;

#[handlers]
impl crate::contract::Contract for Provider {}

/// Tenant and principal as one text; nobody is a caller of their own.
fn scope(call: &BlockCall<'_>) -> String {
    match call.cx.principal() {
        None => "[]".to_owned(),
        Some(principal) => json!([principal.tenant(), principal.id()]).to_string(),
    }
}

/// Who calls what.
fn place(call: &BlockCall<'_>) -> [u8; 32] {
    digest::of(&json!([
        scope(call),
        call.contract.id.as_str(),
        call.item.name
    ]))
}

fn refuse(error: &ConfirmError) -> Before {
    Before::Refuse(Refusal::of::<ConfirmExtension, _>(error))
}

fn params(faults: Vec<Fault>) -> Before {
    Before::Answer(BlockOutcome::new(Err(Failure::Params(faults))))
}

/// A fault of the client, not of the model: a JSON-RPC error on tools too (MR-5, MR-8).
fn reject(pointer: &str, expected: &str, kind: &str) -> Before {
    let pointer = format!("/params/{pointer}");
    let error = RpcError::new(
        code::INVALID_PARAMS,
        format!(
            "nothing was done: {pointer} must be {expected}; call without requestState and inputResponses to be asked anew"
        ),
    );
    Before::Reject(error.with_data(
        json!({ "extension": NAME, "kind": kind, "pointer": pointer, "expected": expected }),
    ))
}
