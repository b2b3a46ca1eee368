//! What is asserted of hostile input: one function for each fuzz target.
//!
//! Each takes the bytes of one input and panics where the code under test and an independent reading of the same bytes
//! disagree. libFuzzer calls them through `driver/`; an ordinary test replays `corpus/` through them.

mod clinic;
mod cursors;
mod envelope;
mod events;
mod faults;
mod frames;
mod headers;
mod merger;
#[allow(dead_code, reason = "more of it is used by the tests it belongs to")]
#[path = "../../extensions/healthcare/tests/oracle/mod.rs"]
mod oracle;
mod search;
mod server;
mod settings;

/// One fuzz target.
#[derive(Debug)]
pub struct Target {
    /// Its name, and that of its directory in `corpus/`.
    pub name: &'static str,
    /// Checks one input.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "envelope",
        run: envelope::run,
    },
    Target {
        name: "settings",
        run: settings::run,
    },
    Target {
        name: "faults",
        run: faults::run,
    },
    Target {
        name: "cursors",
        run: cursors::run,
    },
    Target {
        name: "search",
        run: search::run,
    },
    Target {
        name: "frames",
        run: frames::run,
    },
    Target {
        name: "merger",
        run: merger::run,
    },
    Target {
        name: "events",
        run: events::run,
    },
    Target {
        name: "headers",
        run: headers::run,
    },
];

/// The target of that name.
///
/// ```
/// assert!(mcp_ext_fuzz::target("envelope").is_some());
/// assert!(mcp_ext_fuzz::target("nothing").is_none());
/// ```
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
