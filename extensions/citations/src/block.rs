//! The block: adds to a result the sources that the handler names and that sources of citations derive.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use mcp_ext_core::block::{Before, Block, BlockCall, BlockOutcome, Place, Property};
use mcp_ext_core::contract::{Contract, Item};
use mcp_ext_core::cx::Facts;
use mcp_ext_core::request::BoxFuture;
use mcp_ext_core::schema::{TypeSchema, tool_output_schema};
use mcp_ext_core::{BlockName, Enable, Extension, ExtensionId, handlers};
use mcp_ext_labels::{Line, Member};
use mcp_ext_values::timestamp::rfc3339;
use mcp_ext_values::{Clock, PartialDate, SystemClock};
use serde::Deserialize as _;
use serde_json::Value;

use crate::citation::{Citation, Cite};
use crate::contract::{self, CitationsExtension};

/// Most citations of one result.
pub const MAX_CITATIONS: usize = 100;

/// Most lines of text; more stand in the member alone.
const MAX_LINES: usize = 10;

/// The member of a result that holds its citations.
const MEMBER: Member = Member {
    name: "citations",
    other: "dataCitations",
    sign: "/items/properties/retrievedAt",
};

/// What was cited during the call, and how much more was. The type is private: nobody can take it away.
#[derive(Clone, Default)]
struct Cited(Arc<Mutex<(Vec<Cite>, usize)>>);

/// Cites a source for the result of this call.
///
/// A handler calls it with `cx.facts()`; so may a block. Without [`Citations`] around the item nobody sees it: write
/// `needs(Citations)` on the item.
pub fn cite(facts: &Facts, cite: Cite) {
    let cited = facts.get::<Cited>().unwrap_or_else(|| {
        let cited = Cited::default();
        facts.put(cited.clone());
        cited
    });
    let mut cited = cited.0.lock().unwrap_or_else(PoisonError::into_inner);
    if cited.0.len() < MAX_CITATIONS {
        cited.0.push(cite);
    } else {
        cited.1 += 1;
    }
}

/// Derives citations from results, so that handlers need not know of citations.
pub trait CitationSource: Send + Sync + 'static {
    /// Whether it cites for the results of this item. [`Citations`] then stands around it, whether the item needs it or
    /// not.
    fn covers(&self, contract: &Contract, item: &Item) -> bool;

    /// The sources of a result.
    fn cite<'a>(&'a self, call: &'a BlockCall<'a>, result: &'a Value) -> BoxFuture<'a, Vec<Cite>>;
}

impl<S: CitationSource + ?Sized> CitationSource for Arc<S> {
    fn covers(&self, contract: &Contract, item: &Item) -> bool {
        (**self).covers(contract, item)
    }

    fn cite<'a>(&'a self, call: &'a BlockCall<'a>, result: &'a Value) -> BoxFuture<'a, Vec<Cite>> {
        (**self).cite(call, result)
    }
}

/// The block that cites sources. It stands around items that need it, and around those that a source or [`on`](Self::on) names.
///
/// ```
/// use mcp_ext_citations::Citations;
/// use mcp_ext_core::ExtensionSet;
///
/// let set = ExtensionSet::builder().enable(Citations::new().enable()).build()?;
/// # drop(set);
/// # Ok::<(), mcp_ext_core::BuildError>(())
/// ```
#[derive(Clone)]
pub struct Citations {
    sources: Vec<Arc<dyn CitationSource>>,
    extensions: Vec<ExtensionId>,
    clock: Arc<dyn Clock>,
}

impl Default for Citations {
    fn default() -> Self {
        Self::new()
    }
}

impl Citations {
    /// The block, around the items that need it.
    #[must_use]
    pub fn new() -> Self {
        Self {
            sources: Vec::new(),
            extensions: Vec::new(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Cites by this source as well.
    #[must_use]
    pub fn source(mut self, source: impl CitationSource) -> Self {
        self.sources.push(Arc::new(source));
        self
    }

    /// Stands around every item of the extension `E`, whether it needs it or not.
    #[must_use]
    pub fn on<E: Extension>(mut self) -> Self {
        self.extensions.push(E::CONTRACT.id.clone());
        self
    }

    /// Takes the time of retrieval from this clock instead of the system's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The extension and its block, for [`ExtensionSet::builder`](mcp_ext_core::ExtensionSet::builder).
    #[must_use]
    pub fn enable(self) -> Enable<CitationsExtension> {
        CitationsExtension::provide(self.clone()).around(self)
    }
}

impl BlockName for Citations {
    const NAME: &'static str = "io.github.mcp-ext/citations";
}

#[handlers]
impl contract::Citations for Citations {}

impl Block for Citations {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn place(&self) -> Place {
        Place::CITATIONS
    }

    fn covers(&self, contract: &Contract, item: &Item) -> bool {
        self.extensions.contains(&contract.id)
            || self.sources.iter().any(|s| s.covers(contract, item))
    }

    fn members(&self, contract: &Contract, item: &Item) -> Vec<Property> {
        const CITATION: TypeSchema = TypeSchema::of::<Citation>();
        // Our own type always has a schema; should it not, the items go without.
        let items = tool_output_schema(&CITATION).unwrap_or_default();
        vec![Property {
            name: member_of(contract, item),
            schema: serde_json::json!({
                "type": "array",
                "description": "Where the data came from, and when it was retrieved.",
                "items": items,
            }),
            required: false,
        }]
    }

    fn before<'a>(&'a self, call: &'a BlockCall<'a>) -> BoxFuture<'a, Before> {
        Box::pin(async move {
            // Here, so that handlers that cite at once all find the same one.
            if call.cx.facts().get::<Cited>().is_none() {
                call.cx.facts().put(Cited::default());
            }
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
            for source in &self.sources {
                if source.covers(call.contract, call.item) {
                    for one in source.cite(call, result).await {
                        cite(call.cx.facts(), one);
                    }
                }
            }
            let Some(members) = result.as_object_mut() else {
                return;
            };
            let name = member_of(call.contract, call.item);
            // What the result cites itself stays as it is; what cannot be read of it is only passed on.
            let held = members.get(name).and_then(Value::as_array);
            let mut all: Vec<Citation> = held
                .into_iter()
                .flatten()
                .filter_map(|value| Citation::deserialize(value).ok())
                .take(MAX_CITATIONS)
                .collect();
            let (own, more) =
                call.cx
                    .facts()
                    .get::<Cited>()
                    .map_or_else(Default::default, |cited| {
                        std::mem::take(&mut *cited.0.lock().unwrap_or_else(PoisonError::into_inner))
                    });
            let Ok(now) = rfc3339(self.clock.now_ms().max(0)).parse() else {
                // From 1970 on what is written so is a date.
                return;
            };
            let fresh = number(&all, own, &now);
            let room = MAX_CITATIONS.saturating_sub(all.len());
            let more = more + fresh.len().saturating_sub(room);
            let fresh: Vec<Citation> = fresh.into_iter().take(room).collect();
            let values = fresh.iter().map(serde_json::to_value);
            let Ok(values) = values.collect::<Result<Vec<_>, _>>() else {
                return;
            };
            all.extend(fresh);
            if all.is_empty() {
                return;
            }
            if call.cx.settings_of::<CitationsExtension>().is_some()
                && let Ok(all) = serde_json::to_value(&all)
            {
                outcome.meta.insert(Self::NAME.to_owned(), all);
            }
            outcome.notes.push(note(&all, more, name));
            match members.get_mut(name) {
                Some(Value::Array(held)) => held.extend(values),
                None | Some(Value::Null) => {
                    members.insert(name.to_owned(), values.into());
                }
                // By the item's schema this is a list of citations; what is none is not ours to replace.
                Some(_) => {}
            }
        })
    }
}

/// Gives each new citation an id that is free, and leaves out what is cited already.
fn number(held: &[Citation], own: Vec<Cite>, now: &PartialDate) -> Vec<Citation> {
    let taken: BTreeSet<&str> = held.iter().map(|citation| citation.id.as_str()).collect();
    let mut ids = (1..)
        .map(|n| format!("c{n}"))
        .filter(|id| !taken.contains(id.as_str()));
    let mut fresh: Vec<Citation> = Vec::new();
    for cite in own {
        let citation = cite.cited("c", now);
        let same = |other: &Citation| {
            (&other.target, &other.work, &other.as_of)
                == (&citation.target, &citation.work, &citation.as_of)
        };
        if held.iter().any(same) || fresh.iter().any(same) {
            continue;
        }
        let id = ids.next().unwrap_or_default();
        fresh.push(Citation {
            id: Line::lossy(&id),
            ..citation
        });
    }
    fresh
}

/// The lines for those who read only text.
fn note(all: &[Citation], more: usize, member: &str) -> String {
    let mut lines: Vec<String> = all.iter().take(MAX_LINES).map(Citation::line).collect();
    let in_member = all.len().saturating_sub(MAX_LINES);
    if in_member > 0 {
        lines.push(format!("Sources: {in_member} more, in {member}"));
    }
    if more > 0 {
        lines.push(format!("Sources: {more} more, not listed"));
    }
    lines.join("\n")
}

/// The member of an item's results that holds the citations: `citations`, or `dataCitations` where the item has a member
/// `citations` of its own that is none.
#[must_use]
pub fn member_of(contract: &Contract, item: &Item) -> &'static str {
    MEMBER.of(contract, item)
}
