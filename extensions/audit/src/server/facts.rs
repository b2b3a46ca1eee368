//! What handler and block of one call tell each other.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use mcp_ext_core::cx::Facts;

use super::log::Place;
use crate::text::Text;

/// Most subjects that one call can touch; what is more is recorded as more.
pub(crate) const MOST_TOUCHED: usize = 32;

/// The subjects of the call's data.
#[derive(Clone, Default)]
pub(crate) struct Touched(Arc<Mutex<BTreeSet<String>>>);

impl Touched {
    pub(crate) fn of(facts: &Facts) -> Vec<String> {
        let Some(touched) = facts.get::<Self>() else {
            return Vec::new();
        };
        let touched = touched.0.lock().unwrap_or_else(PoisonError::into_inner);
        touched.iter().cloned().collect()
    }
}

/// Says that a call is about the data of this subject: `touch(cx.facts(), "Patient/123")`. The record names a pseudonym,
/// and [`Audit::erase`](crate::Audit::erase) finds the records by the subject. Without the block around the item it does
/// nothing.
pub fn touch(facts: &Facts, subject: &str) {
    let touched = facts.get::<Touched>().unwrap_or_else(|| {
        let touched = Touched::default();
        facts.put(touched.clone());
        touched
    });
    let mut touched = touched.0.lock().unwrap_or_else(PoisonError::into_inner);
    // One more than is recorded shows that there were more.
    if touched.len() <= MOST_TOUCHED {
        touched.insert(subject.to_owned());
    }
}

/// The call whose intent was recorded.
#[derive(Clone)]
pub(crate) struct Pending {
    pub(crate) call: String,
    pub(crate) salt: [u8; 32],
    pub(crate) purpose: Text,
    pub(crate) tenant: String,
    pub(crate) place: Place,
    pub(crate) turn: Option<String>,
}
