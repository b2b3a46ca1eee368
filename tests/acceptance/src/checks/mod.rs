//! The checks, a module for each topic.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use serde_json::Value;

use crate::scene::{Place, Scene};

mod advertisement;
mod cancellation;
mod concurrency;
mod eras;
mod errors;
mod gating;
mod listen;
mod lists;
mod methods;
mod notifications;
mod settings;
mod tools;

/// How a check ends; otherwise why it does not hold, in words.
pub type Outcome<T = ()> = Result<T, String>;

type Playing<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// One thing that an adapter has to do.
pub struct Check {
    /// What it is about.
    pub topic: &'static str,
    /// What holds.
    pub name: &'static str,
    on: fn(Place) -> bool,
    play: for<'a> fn(&'a Scene) -> Playing<'a>,
}

impl Check {
    /// Whether there is anything to check in this column.
    pub fn applies(&self, place: Place) -> bool {
        (self.on)(place)
    }

    /// Plays it.
    ///
    /// # Errors
    /// Why it does not hold.
    pub async fn play(&self, scene: &Scene) -> Outcome {
        let played = tokio::time::timeout(Duration::from_secs(90), (self.play)(scene)).await;
        played.unwrap_or_else(|_| Err("it takes longer than 90 seconds".to_owned()))
    }
}

/// Every check, by topic.
pub const CHECKS: &[&[Check]] = &[
    advertisement::CHECKS,
    gating::CHECKS,
    settings::CHECKS,
    methods::CHECKS,
    tools::CHECKS,
    errors::CHECKS,
    eras::CHECKS,
    lists::CHECKS,
    cancellation::CHECKS,
    concurrency::CHECKS,
    notifications::CHECKS,
    listen::CHECKS,
];

fn everywhere(_: Place) -> bool {
    true
}

fn modern(place: Place) -> bool {
    place.modern()
}

fn legacy(place: Place) -> bool {
    !place.modern()
}

/// Where HTTP headers say what the body says.
fn with_headers(place: Place) -> bool {
    place.modern() && place.http()
}

/// Where there may be sessions.
fn sessions(place: Place) -> bool {
    !place.modern() && place.http()
}

/// A topic's checks: a column, a name, a function.
macro_rules! checks {
    ($topic:literal: $($on:ident $name:literal $play:ident,)*) => {
        pub(super) const CHECKS: &[super::Check] = &[$(super::Check {
            topic: $topic,
            name: $name,
            on: super::$on,
            play: |scene| Box::pin($play(scene)),
        }),*];
    };
}
use checks;

fn equal(what: &str, seen: &Value, expected: &Value) -> Outcome {
    if seen == expected {
        Ok(())
    } else {
        Err(format!("{what}: {expected} was expected, but: {seen}"))
    }
}

fn holds(condition: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if condition { Ok(()) } else { Err(otherwise()) }
}

/// The names of listed tools.
fn names(result: &Value) -> Vec<&str> {
    result["tools"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|t| t["name"].as_str())
        .collect()
}
