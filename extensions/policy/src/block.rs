//! The block: has decisions made, and carries them out.

use std::sync::Arc;
use std::time::Duration;

use mcp_ext_core::block::{
    Before, Block, BlockCall, BlockOutcome, Failure, Grounds, MustConfirm, Place, Property, Refusal,
};
use mcp_ext_core::contract::{Contract, Item};
use mcp_ext_core::request::BoxFuture;
use mcp_ext_core::schema::{TypeSchema, tool_output_schema};
use mcp_ext_core::{BlockName, Enable, handlers};
use mcp_ext_labels::{Label, Labels, Line, Member};
use mcp_ext_values::{Clock, Random, SystemClock, SystemRandom};
use serde_json::Value;

use crate::confirm::{self, Answer, ConfirmationKey, Seal};
use crate::contract::{self, Applied, PolicyError, PolicyExtension};
use crate::decision::{Decision, Effect, PolicyId};
use crate::engine::{EngineFailure, PolicyEngine, Question, Stage, ask};
use crate::redact;

/// How long an engine may take, when nothing else is set.
const DEADLINE: Duration = Duration::from_secs(2);

/// The block whose business it is to have calls confirmed.
const CONFIRM: &str = "io.github.mcp-ext/confirm";

/// The member of a result that says what a policy did to it.
const MEMBER: Member = Member {
    name: "policy",
    other: "policyDecision",
    sign: "/properties/policyId",
};

/// What was decided about a call so far, among the facts of the call: for blocks further out, such as audit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decided {
    /// The effect.
    pub effect: Effect,
    /// The policy.
    pub policy: PolicyId,
    /// Its reasons.
    pub reasons: Vec<Line<256>>,
    /// What whoever uses the result has to do.
    pub obligations: Vec<Line<256>>,
    /// Whether it was decided about the result.
    pub on_result: bool,
}

/// What was decided before the call and holds for its result. The type is private: nobody can take it away.
#[derive(Clone)]
struct Standing(Decision);

/// Which items a policy stands around.
type Covers = dyn Fn(&Contract, &Item) -> bool + Send + Sync;

/// Is told why a decision could not be had.
type OnFailure = dyn Fn(&EngineFailure) + Send + Sync;

/// The block that has calls and results decided on. Unless it is [told otherwise](Self::only), it stands around every item
/// of every extension.
///
/// ```
/// use mcp_ext_core::ExtensionSet;
/// use mcp_ext_policy::{Policy, Rule, Rules};
///
/// let rules = Rules::new("shop", "1", [Rule::allow("reads").item("search").item("read")])?;
/// let set = ExtensionSet::builder().enable(Policy::new(rules).enable()).build()?;
/// # drop(set);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Policy {
    engine: Arc<dyn PolicyEngine>,
    deadline: Duration,
    covers: Option<Arc<Covers>>,
    on_failure: Option<Arc<OnFailure>>,
    seal: Arc<Seal>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Policy {
    /// The block, decided by this engine.
    #[must_use]
    pub fn new(engine: impl PolicyEngine) -> Self {
        Self {
            engine: Arc::new(engine),
            deadline: DEADLINE,
            covers: None,
            on_failure: None,
            seal: Arc::default(),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
        }
    }

    /// Waits so long for a decision, then denies; two seconds when not set. A call is decided on twice.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Stands around these items alone, and those that need it.
    #[must_use]
    pub fn only(
        mut self,
        covers: impl Fn(&Contract, &Item) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.covers = Some(Arc::new(covers));
        self
    }

    /// Calls this when a decision could not be had: for logs, since a caller is told no more than the kind.
    #[must_use]
    pub fn on_failure(mut self, tell: impl Fn(&EngineFailure) + Send + Sync + 'static) -> Self {
        self.on_failure = Some(Arc::new(tell));
        self
    }

    /// Seals questions to a person with this key, so that another process of the server can take the answer. Without it
    /// the key is made at random on first use.
    #[must_use]
    pub fn confirmation_key(mut self, key: ConfirmationKey) -> Self {
        self.seal = Arc::new(Seal::with(key));
        self
    }

    /// Takes time and randomness from these instead of the system's.
    #[must_use]
    pub fn with_sources(
        mut self,
        clock: impl Clock + 'static,
        random: impl Random + 'static,
    ) -> Self {
        self.clock = Arc::new(clock);
        self.random = Arc::new(random);
        self
    }

    /// The extension and its block, for [`ExtensionSet::builder`](mcp_ext_core::ExtensionSet::builder).
    #[must_use]
    pub fn enable(self) -> Enable<PolicyExtension> {
        PolicyExtension::provide(self.clone()).around(self)
    }

    /// Has a question decided. An answer that cannot be carried out is none.
    async fn decide(
        &self,
        call: &BlockCall<'_>,
        stage: Stage<'_>,
    ) -> Result<Decision, EngineFailure> {
        let question = Question { call, stage };
        let decided = ask(&*self.engine, &question, self.deadline)
            .await
            .and_then(|decision| match sense(&decision, &question) {
                Some(fault) => Err(EngineFailure::Nonsense(fault)),
                None => Ok(decision),
            });
        if let Err(failure) = &decided {
            self.tell(failure);
        }
        decided
    }

    fn tell(&self, failure: &EngineFailure) {
        if let Some(tell) = &self.on_failure {
            tell(failure);
        }
    }

    /// What is answered instead, unless a person has confirmed the call.
    fn unconfirmed(&self, call: &BlockCall<'_>, decision: &Decision) -> Option<Before> {
        if call.is_within(CONFIRM) {
            // That block has it confirmed, in its own way. Two that ask would take each other's answers away.
            call.cx.facts().put(MustConfirm);
            return None;
        }
        let refuse = |error: PolicyError| Before::Refuse(Refusal::of::<PolicyExtension, _>(&error));
        let now = self.clock.now_ms();
        match confirm::answer(&self.seal, &*self.random, call, decision, now) {
            Answer::Confirmed => return None,
            Answer::NotConfirmed => {
                return Some(refuse(PolicyError::NotConfirmed {
                    policy_id: decision.policy().to_string(),
                }));
            }
            Answer::None => {}
        }
        let Some(elicitation) = call.elicitation() else {
            let (policy_id, reasons) = words(decision);
            return Some(refuse(PolicyError::ConfirmationNeeded {
                policy_id,
                reasons,
            }));
        };
        let faults = call.faults();
        if !faults.is_empty() {
            // Nobody is asked about what cannot be done.
            let outcome = BlockOutcome::new(Err(Failure::Params(faults)));
            return Some(Before::Answer(outcome));
        }
        match confirm::seal(&self.seal, &*self.random, call, decision, now) {
            Some(state) => Some(Before::Ask(confirm::ask(
                elicitation,
                call,
                decision,
                state,
            ))),
            None => {
                let failure = EngineFailure::NoRandomness;
                self.tell(&failure);
                Some(refuse(PolicyError::Undecided {
                    why: failure.kind().to_owned(),
                }))
            }
        }
    }

    /// Takes the result away. What the blocks further in say of it goes too, since it may repeat it.
    fn withhold(outcome: &mut BlockOutcome, error: &PolicyError) {
        outcome.meta.clear();
        outcome.notes.clear();
        outcome.result = Err(Failure::Withheld(Refusal::of::<PolicyExtension, _>(error)));
    }

    async fn decide_on_result(
        &self,
        call: &BlockCall<'_>,
        outcome: &mut BlockOutcome,
        standing: Option<Decision>,
    ) {
        let Ok(value) = &mut outcome.result else {
            return;
        };
        let labels = mcp_ext_labels::member_of(call.contract, call.item);
        let mut label = mcp_ext_labels::current(call.cx.facts());
        // An outcome that was kept from an earlier call has its label in itself alone.
        if let Some(held) = value.get(labels).filter(|held| held.is_object()) {
            label = label.join(&Label::read(held));
        }
        let removes = standing.as_ref().map_or(&[][..], Decision::removes);
        let removed = redact::remove(value, removes, &[labels]);
        let stage = Stage::Result {
            value,
            label: &label,
        };
        let decision = match self.decide(call, stage).await {
            Ok(decision) => decision,
            Err(failure) => {
                let why = failure.kind().to_owned();
                return Self::withhold(outcome, &PolicyError::ResultUndecided { why });
            }
        };
        put(call, &decision, true);
        if decision.effect() == Effect::Deny {
            let (policy_id, reasons) = words(&decision);
            let error = PolicyError::Withheld { policy_id, reasons };
            return Self::withhold(outcome, &error);
        }
        let removed = removed.and(redact::remove(value, decision.removes(), &[labels]));
        if !removed.is_empty() {
            // Lines and `_meta` of the blocks further in may repeat what was removed; the label may not be lost.
            let label = label.note();
            outcome
                .notes
                .retain(|note| Some(note) == label.as_ref() || !removed.is_repeated_in(note));
            outcome
                .meta
                .retain(|key, value| key == Labels::NAME || !removed.is_repeated_within(value));
        }
        let decision = match standing {
            // What was confirmed is done; what is left of that decision is its obligations and removed parts.
            Some(standing) => decision.and(standing.once_confirmed()),
            None => decision,
        };
        let mut applied = decision.applied();
        applied.effect = if removed.is_empty() {
            Effect::Allow
        } else {
            Effect::Redact
        };
        if !removed.is_empty() || !applied.obligations.is_empty() {
            say(call, outcome, &applied);
        }
    }
}

/// Says in member, text and declared `_meta` what was done to a result.
fn say(call: &BlockCall<'_>, outcome: &mut BlockOutcome, applied: &Applied) {
    let (Ok(Value::Object(members)), Ok(value)) =
        (&mut outcome.result, serde_json::to_value(applied))
    else {
        return;
    };
    members.insert(
        MEMBER.of(call.contract, call.item).to_owned(),
        value.clone(),
    );
    outcome.notes.push(applied.note());
    if call.cx.settings_of::<PolicyExtension>().is_some() {
        outcome.meta.insert(Policy::NAME.to_owned(), value);
    }
}

/// What is wrong with a decision, if it cannot be carried out.
fn sense(decision: &Decision, question: &Question<'_>) -> Option<&'static str> {
    let labels = mcp_ext_labels::member_of(question.contract(), question.item());
    let on_result = matches!(question.stage, Stage::Result { .. });
    if decision.removes().iter().any(|path| path.is_within(labels)) {
        Some("it removes the label of the result")
    } else if decision.effect() == Effect::Redact && decision.removes().is_empty() {
        Some("it redacts nothing")
    } else if on_result && decision.effect() == Effect::Confirm {
        Some("it wants a call confirmed that has been carried out")
    } else if on_result && decision.narrows() {
        Some("it narrows a call that has been carried out")
    } else {
        None
    }
}

/// The id and reasons of a decision, for an error.
fn words(decision: &Decision) -> (String, String) {
    let reasons: Vec<&str> = decision.reasons().iter().map(Line::as_str).collect();
    let reasons = match reasons.as_slice() {
        [] => "no reason is given".to_owned(),
        reasons => reasons.join("; "),
    };
    (decision.policy().to_string(), reasons)
}

/// Tells the blocks further out.
fn put(call: &BlockCall<'_>, decision: &Decision, on_result: bool) {
    call.cx.facts().put(Decided {
        effect: decision.effect(),
        policy: decision.policy().clone(),
        reasons: decision.reasons().to_vec(),
        obligations: decision.obligations().to_vec(),
        on_result,
    });
}

impl BlockName for Policy {
    const NAME: &'static str = "io.github.mcp-ext/policy";
}

#[handlers]
impl contract::Policy for Policy {}

impl Block for Policy {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn place(&self) -> Place {
        Place::POLICY
    }

    fn covers(&self, contract: &Contract, item: &Item) -> bool {
        self.covers
            .as_ref()
            .is_none_or(|covers| covers(contract, item))
    }

    fn members(&self, contract: &Contract, item: &Item) -> Vec<Property> {
        const APPLIED: TypeSchema = TypeSchema::of::<Applied>();
        vec![Property {
            name: MEMBER.of(contract, item),
            // Our own type always has a schema; should it not, the member goes without.
            schema: tool_output_schema(&APPLIED).unwrap_or_default(),
            required: false,
        }]
    }

    fn before<'a>(&'a self, call: &'a BlockCall<'a>) -> BoxFuture<'a, Before> {
        Box::pin(async move {
            let refuse =
                |error: PolicyError| Before::Refuse(Refusal::of::<PolicyExtension, _>(&error));
            let decision = match self.decide(call, Stage::Call).await {
                Ok(decision) => decision,
                Err(failure) => {
                    let why = failure.kind().to_owned();
                    return refuse(PolicyError::Undecided { why });
                }
            };
            put(call, &decision, false);
            match decision.effect() {
                Effect::Allow | Effect::Redact => {}
                Effect::Confirm => {
                    if let Some(instead) = self.unconfirmed(call, &decision) {
                        return instead;
                    }
                }
                Effect::Deny => {
                    let (policy_id, reasons) = words(&decision);
                    return refuse(PolicyError::Denied { policy_id, reasons });
                }
            }
            if decision.narrows() {
                Grounds::add(call.cx.facts(), Self::NAME, decision.policy().to_string());
            }
            decision.narrow_facts(call.cx.facts());
            call.cx.facts().put(Standing(decision));
            Before::Proceed
        })
    }

    fn after<'a>(
        &'a self,
        call: &'a BlockCall<'a>,
        outcome: &'a mut BlockOutcome,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let standing = call.cx.facts().get::<Standing>();
            self.decide_on_result(call, outcome, standing.map(|s| s.0))
                .await;
        })
    }
}
