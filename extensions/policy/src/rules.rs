//! The rules built in: an allow-list by extension, item, caller and purpose, with ceilings on labels.

use std::collections::BTreeSet;
use std::sync::Arc;

use mcp_ext_core::request::BoxFuture;
use mcp_ext_core::{Extension, ExtensionId, Principal};
use mcp_ext_labels::{Label, Regulation, Sensitivity, Source};

use crate::decision::{Decision, Effect, Narrow, NotAPolicyId, PolicyId};
use crate::engine::{EngineError, PolicyEngine, Question, Stage};
use crate::redact::Path;

/// Rules that are read like this:
///
/// - A `deny` rule that matches denies. So does a `confirm` rule want the call confirmed.
/// - Of the `allow` rules the first that matches counts, with what it narrows. When none does, the call is denied.
/// - What `confirm` and `redact` rules that match narrow, is narrowed too.
/// - On the result: a `deny` rule with a ceiling denies a result whose label is above it, a `redact` rule removes its
///   parts, and the `allow` rule that let the call through denies a result above its own ceiling.
///
/// ```
/// use mcp_ext_core::Principal;
/// use mcp_ext_policy::{Ceiling, Rule, Rules};
///
/// let rules = Rules::new("clinic", "2026-11", [
///     Rule::allow("doctors").caller(Principal::new("dr-jones")),
///     Rule::allow("front-desk").caller(Principal::new("desk")).item("search")
///         .label_at_most(Ceiling::new().confidentiality("N")),
///     Rule::redact("titles", ["/matches/*/title".parse()?]).caller(Principal::new("desk")),
/// ])?;
/// # drop(rules);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Rules {
    rules: Arc<[(PolicyId, Rule)]>,
    otherwise: PolicyId,
}

impl Rules {
    /// Rules of this scope and revision; each is `<scope>/<its name>@<revision>`, and what no rule allows is denied by
    /// `<scope>/otherwise@<revision>`.
    ///
    /// # Errors
    /// [`NotAPolicyId`] when a part is not 1 to 64 characters of `A-Z a-z 0-9 . _ -`.
    pub fn new(
        scope: &str,
        revision: &str,
        rules: impl IntoIterator<Item = Rule>,
    ) -> Result<Self, NotAPolicyId> {
        let rules = rules
            .into_iter()
            .map(|rule| Ok((PolicyId::new(scope, &rule.name, revision)?, rule)));
        Ok(Self {
            rules: rules.collect::<Result<_, _>>()?,
            otherwise: PolicyId::new(scope, "otherwise", revision)?,
        })
    }

    fn matching<'a>(
        &'a self,
        question: &'a Question<'a>,
        effect: Effect,
    ) -> impl Iterator<Item = &'a (PolicyId, Rule)> + 'a {
        self.rules
            .iter()
            .filter(move |(_, rule)| rule.effect == effect && rule.matches(question))
    }

    fn on_call(&self, question: &Question<'_>) -> Decision {
        let allowed = match self.matching(question, Effect::Allow).next() {
            Some((id, rule)) => rule.narrowing(rule.decision(id)),
            None => self.deny_otherwise(),
        };
        let confirm = self.matching(question, Effect::Confirm);
        // A ceiling is about the result.
        let deny = self
            .matching(question, Effect::Deny)
            .filter(|(_, rule)| rule.ceiling.is_none());
        let decision = confirm.chain(deny).fold(allowed, |all, (id, rule)| {
            all.and(rule.narrowing(rule.decision(id)))
        });
        // What these remove is decided on the result; what they narrow must be narrowed before there is one.
        self.matching(question, Effect::Redact)
            .fold(decision, |all, (_, rule)| rule.narrowing(all))
    }

    fn on_result(&self, question: &Question<'_>, label: &Label) -> Decision {
        let above = |rule: &Rule| rule.ceiling.as_ref().is_some_and(|c| !c.admits(label));
        let allowed = match self.matching(question, Effect::Allow).next() {
            Some((id, rule)) if above(rule) => {
                Decision::deny(id.clone()).because("the label of the result is above the limit")
            }
            Some((id, _)) => Decision::allow(id.clone()),
            None => self.deny_otherwise(),
        };
        let redact = self
            .matching(question, Effect::Redact)
            .filter(|(_, rule)| rule.ceiling.is_none() || above(rule));
        let deny = self
            .matching(question, Effect::Deny)
            .filter(|(_, rule)| above(rule));
        redact
            .chain(deny)
            .fold(allowed, |all, (id, rule)| all.and(rule.decision(id)))
    }

    fn deny_otherwise(&self) -> Decision {
        Decision::deny(self.otherwise.clone()).because("no rule allows it")
    }
}

impl PolicyEngine for Rules {
    fn decide<'a>(
        &'a self,
        question: &'a Question<'a>,
    ) -> BoxFuture<'a, Result<Decision, EngineError>> {
        let decision = match question.stage {
            Stage::Call => self.on_call(question),
            Stage::Result { label, .. } => self.on_result(question, label),
        };
        Box::pin(async { Ok(decision) })
    }
}

type When = Arc<dyn Fn(&Question<'_>) -> bool + Send + Sync>;
type Adds = Arc<dyn Fn(Decision) -> Decision + Send + Sync>;

/// One rule of [`Rules`]. Conditions of different kinds must all hold, of one kind any; without a condition it always
/// matches.
#[derive(Clone)]
pub struct Rule {
    name: String,
    effect: Effect,
    extensions: Vec<ExtensionId>,
    items: Vec<String>,
    callers: Vec<Principal>,
    tenants: Vec<String>,
    purposes: Vec<String>,
    when: Vec<When>,
    ceiling: Option<Ceiling>,
    removes: Vec<Path>,
    adds: Vec<Adds>,
    narrows: Vec<Adds>,
}

impl Rule {
    fn new(name: &str, effect: Effect) -> Self {
        Self {
            name: name.to_owned(),
            effect,
            extensions: Vec::new(),
            items: Vec::new(),
            callers: Vec::new(),
            tenants: Vec::new(),
            purposes: Vec::new(),
            when: Vec::new(),
            ceiling: None,
            removes: Vec::new(),
            adds: Vec::new(),
            narrows: Vec::new(),
        }
    }

    /// Allows what matches.
    #[must_use]
    pub fn allow(name: &str) -> Self {
        Self::new(name, Effect::Allow)
    }

    /// Denies what matches.
    #[must_use]
    pub fn deny(name: &str) -> Self {
        Self::new(name, Effect::Deny)
    }

    /// Wants calls that match confirmed by a person.
    #[must_use]
    pub fn confirm(name: &str) -> Self {
        Self::new(name, Effect::Confirm)
    }

    /// Removes these parts from results that match.
    #[must_use]
    pub fn redact(name: &str, parts: impl IntoIterator<Item = Path>) -> Self {
        Self {
            removes: parts.into_iter().collect(),
            ..Self::new(name, Effect::Redact)
        }
    }

    /// On items of the extension `E`.
    #[must_use]
    pub fn on<E: Extension>(mut self) -> Self {
        self.extensions.push(E::CONTRACT.id.clone());
        self
    }

    /// On the item that is the fn of this name, called as a method or as a tool.
    #[must_use]
    pub fn item(mut self, name: &str) -> Self {
        self.items.push(name.to_owned());
        self
    }

    /// For this caller, of this tenant or of none.
    #[must_use]
    pub fn caller(mut self, caller: Principal) -> Self {
        self.callers.push(caller);
        self
    }

    /// For callers of this tenant.
    #[must_use]
    pub fn tenant(mut self, tenant: &str) -> Self {
        self.tenants.push(tenant.to_owned());
        self
    }

    /// For calls that say they have the purpose of this code. A claim of the client: let it narrow, not widen.
    #[must_use]
    pub fn purpose(mut self, code: &str) -> Self {
        self.purposes.push(code.to_owned());
        self
    }

    /// Where this holds; each further one must hold too.
    #[must_use]
    pub fn when(mut self, holds: impl Fn(&Question<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.when.push(Arc::new(holds));
        self
    }

    /// An `allow` rule lets no result pass whose label is above this; a `deny` or `redact` rule applies to those alone. A
    /// `confirm` rule is about the call, of which there is no label yet: it asks all the same.
    #[must_use]
    pub fn label_at_most(mut self, ceiling: Ceiling) -> Self {
        self.ceiling = Some(ceiling);
        self
    }

    /// Says why.
    #[must_use]
    pub fn because(self, reason: &str) -> Self {
        let reason = reason.to_owned();
        self.adding(move |decision| decision.because(&reason))
    }

    /// Obliges whoever uses the result.
    #[must_use]
    pub fn obliged(self, obligation: &str) -> Self {
        let obligation = obligation.to_owned();
        self.adding(move |decision| decision.obliged(&obligation))
    }

    /// Narrows a fact of every call that matches, before the handler runs.
    #[must_use]
    pub fn narrow<T: Narrow>(mut self, fact: T) -> Self {
        self.narrows
            .push(Arc::new(move |decision| decision.narrow(fact.clone())));
        self
    }

    fn adding(mut self, add: impl Fn(Decision) -> Decision + Send + Sync + 'static) -> Self {
        self.adds.push(Arc::new(add));
        self
    }

    fn decision(&self, id: &PolicyId) -> Decision {
        let decision = match self.effect {
            Effect::Allow => Decision::allow(id.clone()),
            Effect::Redact => Decision::redact(id.clone(), self.removes.iter().cloned()),
            Effect::Confirm => Decision::confirm(id.clone()),
            Effect::Deny => Decision::deny(id.clone()),
        };
        self.adds
            .iter()
            .fold(decision, |decision, add| add(decision))
    }

    fn narrowing(&self, decision: Decision) -> Decision {
        self.narrows
            .iter()
            .fold(decision, |decision, narrow| narrow(decision))
    }

    fn matches(&self, question: &Question<'_>) -> bool {
        fn any<T>(of: &[T], matches: impl FnMut(&T) -> bool) -> bool {
            of.is_empty() || of.iter().any(matches)
        }
        let who = question.principal();
        let tenant = who.and_then(Principal::tenant);
        let purpose = || question.purpose();
        any(&self.extensions, |id| *id == question.contract().id)
            && any(&self.items, |name| *name == question.item().name)
            && any(&self.callers, |caller| Some(caller) == who)
            && any(&self.tenants, |name| Some(name.as_str()) == tenant)
            && any(&self.purposes, |code| {
                purpose().is_some_and(|purpose| purpose.code.as_str() == code)
            })
            && self.when.iter().all(|holds| holds(question))
    }
}

/// The highest label that is let pass. What is not limited, may be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ceiling {
    sensitivity: Option<BTreeSet<Sensitivity>>,
    regulated: Option<BTreeSet<Regulation>>,
    source: Option<Source>,
    confidentiality: Option<String>,
    by_people: bool,
}

impl Ceiling {
    /// No limit.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// No other kinds of data than these.
    #[must_use]
    pub fn sensitivity(mut self, kinds: impl IntoIterator<Item = Sensitivity>) -> Self {
        self.sensitivity = Some(kinds.into_iter().collect());
        self
    }

    /// Governed by no other laws and standards than these.
    #[must_use]
    pub fn regulated(mut self, regulations: impl IntoIterator<Item = Regulation>) -> Self {
        self.regulated = Some(regulations.into_iter().collect());
        self
    }

    /// From no less trusted a source than this. Data that does not say passes.
    #[must_use]
    pub fn source(mut self, source: Source) -> Self {
        self.source = Some(source);
        self
    }

    /// Confidential at most to this code of [`CONFIDENTIALITY`](mcp_ext_labels::CONFIDENTIALITY).
    #[must_use]
    pub fn confidentiality(mut self, code: &str) -> Self {
        self.confidentiality = Some(code.to_owned());
        self
    }

    /// Nothing written by an AI.
    #[must_use]
    pub fn by_people(mut self) -> Self {
        self.by_people = true;
        self
    }

    /// Whether a label is no higher. One that does not list all its marks is higher than any limit.
    #[must_use]
    pub fn admits(&self, label: &Label) -> bool {
        if label.has_more() && *self != Self::new() {
            return false;
        }
        self.sensitivity
            .as_ref()
            .is_none_or(|most| label.sensitivities().all(|kind| most.contains(&kind)))
            && self
                .regulated
                .as_ref()
                .is_none_or(|most| label.regulations().all(|r| most.contains(r)))
            && self
                .source
                .is_none_or(|most| label.written_by().is_none_or(|by| by >= most))
            && self
                .confidentiality
                .as_ref()
                .is_none_or(|most| label.confidentiality_at_most(most))
            && !(self.by_people && label.is_ai_authored())
    }
}
