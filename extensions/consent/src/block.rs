//! The block: refuses a call that no consent covers.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use mcp_ext_core::block::{
    Before, Block, BlockCall, BlockOutcome, Grounds, Place, Property, Refusal,
};
use mcp_ext_core::contract::{Contract, Item};
use mcp_ext_core::cx::CallCx;
use mcp_ext_core::request::BoxFuture;
use mcp_ext_core::schema::{TypeSchema, tool_output_schema, tool_schema, top_level_properties};
use mcp_ext_core::wire::VENDOR_PREFIX;
use mcp_ext_core::{BlockName, Enable, ExtensionId, ToolCx, handlers};
use mcp_ext_values::timestamp::rfc3339;
use mcp_ext_values::{Clock, SystemClock};
use serde_json::Value;

use crate::ARGUMENT;
use crate::contract::{
    self, Answer, CheckParams, CheckResult, ConsentError, ConsentExtension, ConsentSettings,
    Permission,
};
use crate::purpose::{Purpose, PurposeCode};
use crate::source::{ConsentSource, Decision, Denial, Permit, Question};

/// The member of results, and what it is called where an item has a member of that name.
const MEMBERS: [&str; 2] = ["consent", "consentPermission"];
/// Most people one call may be about.
const MAX_SUBJECTS: usize = 100;

/// Whom a call is about, and which kinds of data.
///
/// ```
/// use mcp_ext_consent::About;
///
/// let about = About::person("patient-1").data("labResults").data("medication");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    subjects: BTreeSet<String>,
    action: Option<String>,
    data_classes: BTreeSet<String>,
}

impl About {
    /// One person.
    pub fn person(subject: impl Into<String>) -> Self {
        Self {
            subjects: BTreeSet::from([subject.into()]),
            action: None,
            data_classes: BTreeSet::new(),
        }
    }

    /// Another person as well: all of them must have consented.
    #[must_use]
    pub fn and_person(mut self, subject: impl Into<String>) -> Self {
        self.subjects.insert(subject.into());
        self
    }

    /// What is done. When not set it is the name of the item's fn.
    #[must_use]
    pub fn action(mut self, action: impl Into<String>) -> Self {
        self.action = Some(action.into());
        self
    }

    /// A kind of data that is needed. When none is named, only a consent to every kind covers the call.
    #[must_use]
    pub fn data(mut self, class: impl Into<String>) -> Self {
        self.data_classes.insert(class.into());
        self
    }
}

/// On what a call was let through: in `cx.facts()`, for handlers and other blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permitted {
    /// What the caller claims the call is for.
    pub purpose: Option<Purpose>,
    /// What the permission rests on, for all people the call is about together.
    pub permit: Permit,
}

type AboutOf = dyn Fn(&BlockCall<'_>) -> Option<About> + Send + Sync;

/// The block that lets a call happen only where a consent covers it.
///
/// ```
/// use mcp_ext_consent::{About, Consent, ConsentSource};
/// use mcp_ext_core::ExtensionSet;
///
/// fn set(source: impl ConsentSource) -> Result<ExtensionSet, mcp_ext_core::BuildError> {
///     let consent = Consent::new(source, |call| Some(About::person(call.params["patient"].as_str()?)));
///     ExtensionSet::builder().enable(consent.enable()).build()
/// }
/// ```
#[derive(Clone)]
pub struct Consent {
    source: Arc<dyn ConsentSource>,
    about: Arc<AboutOf>,
    settings: ConsentSettings,
    clock: Arc<dyn Clock>,
    members: Arc<Mutex<Members>>,
}

/// The member of the results of each item, since making a schema takes long. There are no more than the program has items.
type Members = HashMap<(ExtensionId, &'static str), &'static str>;

impl Consent {
    /// Asks that source. `about` says whom a call is about, as its params tell; where it cannot tell, the call is refused.
    #[must_use]
    pub fn new(
        source: impl ConsentSource,
        about: impl Fn(&BlockCall<'_>) -> Option<About> + Send + Sync + 'static,
    ) -> Self {
        Self {
            source: Arc::new(source),
            about: Arc::new(about),
            settings: ConsentSettings::default(),
            clock: Arc::new(SystemClock),
            members: Arc::default(),
        }
    }

    /// Refuses calls that do not say what they are for.
    #[must_use]
    pub fn purpose_required(mut self) -> Self {
        self.settings.required = true;
        self
    }

    /// Accepts these purposes and no other.
    #[must_use]
    pub fn accept(mut self, purposes: impl IntoIterator<Item = PurposeCode>) -> Self {
        self.settings
            .accepted
            .get_or_insert_default()
            .extend(purposes);
        self
    }

    /// The clock that says what has expired. The system's when not set.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The extension and its block, for [`ExtensionSet::builder`](mcp_ext_core::ExtensionSet::builder).
    #[must_use]
    pub fn enable(self) -> Enable<ConsentExtension> {
        ConsentExtension::provide(self.clone())
            .settings(self.settings.clone())
            .around(self)
    }

    /// What the caller claims the call is for, from wherever it could be sent.
    fn claim(&self, call: &BlockCall<'_>) -> Result<Option<Purpose>, ConsentError> {
        let key = format!("{VENDOR_PREFIX}{ARGUMENT}");
        let in_meta = call.cx.meta().get(&key);
        let in_meta = in_meta.map(|value| read(value, "in `_meta`")).transpose()?;
        let argument = match call.arguments.get(ARGUMENT) {
            Some(Value::Null) => None,
            Some(value) => Some(read(value, "in the arguments")?),
            // An item's own member of that name may be something else altogether.
            None => call
                .params
                .get(ARGUMENT)
                .and_then(|value| read(value, "").ok()),
        };
        match (in_meta, argument) {
            (Some(one), Some(other)) if one != other => Err(ConsentError::PurposeConflict),
            (one, other) => Ok(one.or(other)),
        }
    }

    /// Refuses a purpose that is missing or not accepted, by what is in force for this client.
    fn check_purpose(&self, cx: &CallCx, purpose: Option<&Purpose>) -> Result<(), ConsentError> {
        let negotiated = cx.settings_of::<ConsentExtension>();
        let settings = negotiated.as_deref().unwrap_or(&self.settings);
        let accepted = settings.accepted.as_ref();
        let listed = || accepted.into_iter().flatten().cloned().collect();
        match purpose {
            None if settings.required => Err(ConsentError::PurposeRequired {
                message: in_words(accepted),
                accepted: listed(),
            }),
            Some(purpose) if accepted.is_some_and(|a| !a.contains(&purpose.code())) => {
                Err(ConsentError::PurposeNotAccepted {
                    message: in_words(accepted),
                    accepted: listed(),
                })
            }
            _ => Ok(()),
        }
    }

    /// The member of an item's results that says on what consent they were given.
    fn member_of(&self, contract: &Contract, item: &Item) -> &'static str {
        let key = (contract.id.clone(), item.name);
        let known = || self.members.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = known().get(&key) {
            return name;
        }
        let own = top_level_properties(&item.result);
        let [name, other] = MEMBERS;
        let name = if own.iter().any(|member| member == name) {
            other
        } else {
            name
        };
        known().insert(key, name);
        name
    }

    async fn decide(&self, question: &Question) -> Result<Decision, ConsentError> {
        let decision = self.source.decide(question).await;
        let decision = decision.map_err(|_| ConsentError::Unavailable)?;
        // A source that forgets to look at the time permits nothing by that, nor one that answers late.
        let expired = |permit: &Permit| {
            permit
                .expires_at_ms
                .is_some_and(|end| end <= self.clock.now_ms())
        };
        Ok(match decision {
            Decision::Permit(permit) if expired(&permit) => Decision::Deny(Denial::Expired),
            decision => decision,
        })
    }

    async fn permit(&self, call: &BlockCall<'_>) -> Result<Permitted, ConsentError> {
        let purpose = self.claim(call)?;
        self.check_purpose(call.cx, purpose.as_ref())?;
        let about = (self.about)(call).ok_or(ConsentError::SubjectUnknown)?;
        if about.subjects.len() > MAX_SUBJECTS {
            return Err(ConsentError::SubjectUnknown);
        }
        let action = about.action.unwrap_or_else(|| call.item.name.to_owned());
        let mut permits = Vec::new();
        for subject in about.subjects {
            let question = Question {
                caller: call.cx.principal().cloned(),
                subject,
                action: action.clone(),
                data_classes: about.data_classes.clone(),
                purpose: purpose.clone(),
                now_ms: self.clock.now_ms(),
            };
            match self.decide(&question).await? {
                Decision::Permit(permit) => permits.push(permit),
                Decision::Deny(denial) => return Err(denial.into()),
            }
        }
        Ok(Permitted {
            purpose,
            permit: together(permits),
        })
    }
}

/// All permissions as one: until the first of them ends, with the obligations of each.
fn together(permits: Vec<Permit>) -> Permit {
    let mut all = Permit::default();
    let mut bases = BTreeSet::new();
    for permit in permits {
        bases.insert(permit.basis);
        all.expires_at_ms = match (all.expires_at_ms, permit.expires_at_ms) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        for obligation in permit.obligations {
            if !all.obligations.contains(&obligation) {
                all.obligations.push(obligation);
            }
        }
    }
    all.basis = Vec::from_iter(bases).join("; ");
    all
}

fn read(value: &Value, place: &str) -> Result<Purpose, ConsentError> {
    serde_json::from_value(value.clone()).map_err(|_| ConsentError::PurposeMalformed {
        place: place.to_owned(),
    })
}

fn in_words(accepted: Option<&BTreeSet<PurposeCode>>) -> String {
    match accepted {
        None => "any purpose is accepted".to_owned(),
        Some(accepted) if accepted.is_empty() => "no purpose is accepted".to_owned(),
        Some(accepted) => {
            let codes: Vec<_> = accepted.iter().map(PurposeCode::to_string).collect();
            format!("accepted are (system|code): {}", codes.join(", "))
        }
    }
}

impl Permit {
    fn permission(&self) -> Permission {
        Permission {
            basis: self.basis.clone(),
            expires_at: self.expires_at_ms.map(rfc3339),
            obligations: self.obligations.clone(),
        }
    }
}

#[handlers]
impl contract::Consent for Consent {
    async fn check(
        &self,
        cx: &ToolCx<ConsentExtension>,
        params: CheckParams,
    ) -> Result<CheckResult, ConsentError> {
        self.check_purpose(cx.call(), params.purpose.as_ref())?;
        let question = Question {
            caller: cx.principal().cloned(),
            subject: params.subject.to_string(),
            action: params.action.to_string(),
            data_classes: params
                .data_classes
                .iter()
                .map(ToString::to_string)
                .collect(),
            purpose: params.purpose,
            now_ms: self.clock.now_ms(),
        };
        Ok(match self.decide(&question).await? {
            Decision::Permit(permit) => {
                let permission = permit.permission();
                CheckResult {
                    decision: Answer::Permit,
                    basis: permission.basis,
                    expires_at: permission.expires_at,
                    obligations: permission.obligations,
                }
            }
            Decision::Deny(denial) => CheckResult {
                decision: Answer::Deny,
                basis: mcp_ext_core::ExtensionError::message(&ConsentError::from(denial)),
                expires_at: None,
                obligations: Vec::new(),
            },
        })
    }
}

impl BlockName for Consent {
    const NAME: &'static str = "io.github.mcp-ext/consent";
}

impl Block for Consent {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn place(&self) -> Place {
        Place::CONSENT
    }

    fn arguments(&self, _: &Contract, _: &Item) -> Vec<Property> {
        const PURPOSE: TypeSchema = TypeSchema::of::<Purpose>();
        // Our own type always has a schema; should it not, the argument is not described.
        let mut schema = tool_schema(&PURPOSE).unwrap_or_default();
        let words = format!(
            "What the call is for. {}.",
            capital(&in_words(self.settings.accepted.as_ref()))
        );
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("description".into(), words.into());
        }
        vec![Property {
            name: ARGUMENT,
            schema,
            // It may stand in `_meta` instead, so the block itself asks for it.
            required: false,
        }]
    }

    fn members(&self, contract: &Contract, item: &Item) -> Vec<Property> {
        const PERMISSION: TypeSchema = TypeSchema::of::<Permission>();
        vec![Property {
            name: self.member_of(contract, item),
            schema: tool_output_schema(&PERMISSION).unwrap_or_default(),
            required: false,
        }]
    }

    fn before<'a>(&'a self, call: &'a BlockCall<'a>) -> BoxFuture<'a, Before> {
        Box::pin(async move {
            match self.permit(call).await {
                Ok(permitted) => {
                    if let Some(Ok(purpose)) = permitted.purpose.as_ref().map(serde_json::to_string)
                    {
                        Grounds::add(call.cx.facts(), Self::NAME, purpose);
                    }
                    call.cx.facts().put(permitted);
                    Before::Proceed
                }
                Err(error) => Before::Refuse(Refusal::of::<ConsentExtension, _>(&error)),
            }
        })
    }

    fn after<'a>(
        &'a self,
        call: &'a BlockCall<'a>,
        outcome: &'a mut BlockOutcome,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let Ok(Value::Object(members)) = &mut outcome.result else {
                return;
            };
            let Some(permitted) = call.cx.facts().get::<Permitted>() else {
                return;
            };
            let permission = permitted.permit.permission();
            if !permission.obligations.is_empty() {
                outcome.notes.push(format!(
                    "Given on consent with obligations: {}",
                    one_line(&permission.obligations.join("; "))
                ));
            }
            let Ok(value) = serde_json::to_value(permission) else {
                return;
            };
            if call.cx.settings_of::<ConsentExtension>().is_some() {
                outcome.meta.insert(Self::NAME.to_owned(), value.clone());
            }
            members
                .entry(self.member_of(call.contract, call.item))
                .or_insert(value);
        })
    }
}

/// What a source says, without what would begin a line of its own or turn its direction.
fn one_line(text: &str) -> String {
    let breaks =
        |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|c| if breaks(c) { ' ' } else { c })
        .collect()
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}
