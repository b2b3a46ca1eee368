use std::collections::{BTreeMap, BTreeSet};

/// Every strategy.
#[settings]
#[derive(Eq)]
pub struct Everything {
    /// What both have.
    #[negotiate(intersect)]
    pub formats: Option<BTreeSet<String>>,
    /// What both have, and something must be left.
    #[negotiate(intersect, required)]
    #[serde(rename = "byCourse")]
    pub courses: BTreeMap<String, BTreeSet<String>>,
    /// The lower limit.
    #[negotiate(min)]
    pub max_batch: Option<u32>,
    /// Granted by both.
    #[negotiate(and)]
    pub write: bool,
    /// The stricter tier.
    #[negotiate(strictest)]
    pub tier: Option<u8>,
    /// Must agree.
    #[negotiate(equal)]
    pub region: Option<String>,
    /// The server's order.
    #[negotiate(prefer)]
    pub languages: Option<Vec<String>>,
    /// The server's order, and one must be left.
    #[negotiate(prefer, required)]
    pub encodings: Option<Vec<String>>,
    /// The server says.
    #[negotiate(server)]
    pub version: Option<String>,
    /// The longer wish.
    #[negotiate(max, preference)]
    pub verbosity: Option<u8>,
    /// Wanted by either.
    #[negotiate(or, preference)]
    pub hints: bool,
    /// The client says.
    #[negotiate(client, preference)]
    pub theme: Option<String>,
}

/// Fields that give an option.
#[settings]
pub struct Composed {
    /// Settings inside settings.
    #[negotiate(nested)]
    pub inner: Inner,
    /// By a function.
    #[negotiate(with = shorter, preference)]
    pub name: String,
    /// Granted by both.
    #[negotiate(and)]
    pub r#type: bool,
}

/// The inner settings.
#[settings]
pub struct Inner {
    /// Must agree.
    #[negotiate(equal)]
    pub region: Option<String>,
}

/// None at all.
#[settings]
pub struct Empty {}

/// The server's side of settings that differ.
#[settings(by_hand(Negotiate, Default))]
pub struct Offer {
    /// What is offered.
    pub seats: u32,
}

impl Default for Offer {
    fn default() -> Self {
        Self { seats: 1 }
    }
}

fn shorter(server: &String, client: &String) -> Option<String> {
    Some(if client.len() < server.len() { client } else { server }.clone())
}
