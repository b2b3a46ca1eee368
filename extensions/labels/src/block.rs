//! The block: raises the label of a result by what the handler says, what sources derive, and what is set for all.

use std::sync::{Arc, Mutex, PoisonError};

use mcp_ext_core::block::{Before, Block, BlockCall, BlockOutcome, Place, Property};
use mcp_ext_core::contract::{Contract, Item};
use mcp_ext_core::cx::Facts;
use mcp_ext_core::request::BoxFuture;
use mcp_ext_core::schema::{TypeSchema, tool_output_schema};
use mcp_ext_core::{BlockName, Enable, Extension, ExtensionId, handlers};
use serde_json::Value;

use crate::contract::{self, LabelsExtension};
use crate::label::Label;
use crate::member::Member;

/// The member of a result that holds its label.
const MEMBER: Member = Member {
    name: "labels",
    other: "dataLabels",
    sign: "/properties/sensitivity",
};

/// The label of the call, shared by whoever raises it. The type is private: nobody can put a lower one in its place.
#[derive(Clone, Default)]
struct Raised(Arc<Mutex<Label>>);

impl Raised {
    fn join(&self, label: &Label) -> Label {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *held = std::mem::take(&mut *held).join(label);
        held.clone()
    }
}

/// Raises the label of the result of this call. What was raised before stays.
///
/// A handler calls it with `cx.facts()`; so may a block. Without [`Labels`] around the item nobody sees it: write
/// `needs(Labels)` on the item.
pub fn raise(facts: &Facts, label: &Label) {
    let raised = facts.get::<Raised>().unwrap_or_else(|| {
        let raised = Raised::default();
        facts.put(raised.clone());
        raised
    });
    raised.join(label);
}

/// The label of this call so far: all of it once [`Labels`] has seen the result.
#[must_use]
pub fn current(facts: &Facts) -> Label {
    facts
        .get::<Raised>()
        .map(|raised| raised.join(&Label::new()))
        .unwrap_or_default()
}

/// Derives labels from results, so that handlers need not know of labels.
///
/// A result whose label cannot be told is [`Label::undetermined`], never unlabelled.
pub trait LabelSource: Send + Sync + 'static {
    /// Whether it labels the results of this item. [`Labels`] then stands around it, whether the item needs it or not.
    fn covers(&self, contract: &Contract, item: &Item) -> bool;

    /// The label of a result, as the handler gave it; of a set, that of all its members together.
    fn label<'a>(&'a self, call: &'a BlockCall<'a>, result: &'a Value) -> BoxFuture<'a, Label>;
}

impl<S: LabelSource + ?Sized> LabelSource for Arc<S> {
    fn covers(&self, contract: &Contract, item: &Item) -> bool {
        (**self).covers(contract, item)
    }

    fn label<'a>(&'a self, call: &'a BlockCall<'a>, result: &'a Value) -> BoxFuture<'a, Label> {
        (**self).label(call, result)
    }
}

/// A label for every result of one extension, or of all.
struct Floor {
    extension: Option<ExtensionId>,
    label: Label,
}

impl Floor {
    fn covers(&self, contract: &Contract) -> bool {
        self.extension
            .as_ref()
            .is_none_or(|extension| *extension == contract.id)
    }
}

/// The block that labels results. It stands around items that need it, and around those that a source or a floor names.
///
/// ```
/// use mcp_ext_core::ExtensionSet;
/// use mcp_ext_labels::{Label, Labels, Sensitivity};
///
/// let labels = Labels::new().at_least(Label::new().sensitive(Sensitivity::Pii));
/// let set = ExtensionSet::builder().enable(labels.enable()).build()?;
/// # drop(set);
/// # Ok::<(), mcp_ext_core::BuildError>(())
/// ```
#[derive(Clone, Default)]
pub struct Labels {
    sources: Vec<Arc<dyn LabelSource>>,
    floors: Vec<Arc<Floor>>,
}

impl Labels {
    /// The block, around the items that need it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Derives labels by this source as well.
    #[must_use]
    pub fn source(mut self, source: impl LabelSource) -> Self {
        self.sources.push(Arc::new(source));
        self
    }

    /// Labels every result of every extension at least so.
    #[must_use]
    pub fn at_least(mut self, label: Label) -> Self {
        self.floors.push(Arc::new(Floor {
            extension: None,
            label,
        }));
        self
    }

    /// Labels every result of the extension `E` at least so.
    #[must_use]
    pub fn at_least_for<E: Extension>(mut self, label: Label) -> Self {
        self.floors.push(Arc::new(Floor {
            extension: Some(E::CONTRACT.id.clone()),
            label,
        }));
        self
    }

    /// The extension and its block, for [`ExtensionSet::builder`](mcp_ext_core::ExtensionSet::builder).
    #[must_use]
    pub fn enable(self) -> Enable<LabelsExtension> {
        LabelsExtension::provide(self.clone()).around(self)
    }

    async fn label(&self, call: &BlockCall<'_>, result: &Value) -> Label {
        let mut label = Label::new();
        for floor in self.floors.iter().filter(|f| f.covers(call.contract)) {
            label = label.join(&floor.label);
        }
        for source in &self.sources {
            if source.covers(call.contract, call.item) {
                label = label.join(&source.label(call, result).await);
            }
        }
        label
    }
}

impl BlockName for Labels {
    const NAME: &'static str = "io.github.mcp-ext/labels";
}

#[handlers]
impl contract::Labels for Labels {}

impl Block for Labels {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn place(&self) -> Place {
        Place::LABELS
    }

    fn covers(&self, contract: &Contract, item: &Item) -> bool {
        self.floors.iter().any(|floor| floor.covers(contract))
            || self.sources.iter().any(|s| s.covers(contract, item))
    }

    fn members(&self, contract: &Contract, item: &Item) -> Vec<Property> {
        const LABEL: TypeSchema = TypeSchema::of::<Label>();
        // Our own type always has a schema; should it not, the member goes without.
        let schema = tool_output_schema(&LABEL).unwrap_or_default();
        vec![Property {
            name: member_of(contract, item),
            schema,
            required: false,
        }]
    }

    fn before<'a>(&'a self, call: &'a BlockCall<'a>) -> BoxFuture<'a, Before> {
        Box::pin(async move {
            // Here, so that handlers that raise it at once all find the same one.
            raise(call.cx.facts(), &Label::new());
            Before::Proceed
        })
    }

    fn after<'a>(
        &'a self,
        call: &'a BlockCall<'a>,
        outcome: &'a mut BlockOutcome,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let Ok(result) = &mut outcome.result else {
                return;
            };
            let mut label = self.label(call, result).await;
            let Some(members) = result.as_object_mut() else {
                return;
            };
            let name = member_of(call.contract, call.item);
            if let Some(claimed) = members.get(name) {
                label = label.join(&Label::read(claimed));
            }
            raise(call.cx.facts(), &label);
            let label = current(call.cx.facts());
            let Ok(value) = serde_json::to_value(&label) else {
                return;
            };
            if call.cx.settings_of::<LabelsExtension>().is_some() {
                outcome.meta.insert(Self::NAME.to_owned(), value.clone());
            }
            outcome.notes.extend(label.note());
            match (members.get_mut(name), value) {
                // What else the item keeps there stays.
                (Some(Value::Object(held)), Value::Object(ours)) => held.extend(ours),
                (_, value) => {
                    members.insert(name.to_owned(), value);
                }
            }
        })
    }
}

/// The member of an item's results that holds the label: `labels`, or `dataLabels` where the item has a member `labels`
/// of its own that is no label.
#[must_use]
pub fn member_of(contract: &Contract, item: &Item) -> &'static str {
    MEMBER.of(contract, item)
}
