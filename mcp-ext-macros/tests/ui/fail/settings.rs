//! Settings.
use mcp_ext_core::settings;

#[settings]
pub struct Strategies {
    /// None at all.
    pub a: bool,
    /// Two.
    #[negotiate(min, max, preference)]
    pub b: u8,
    /// Cannot come out empty.
    #[negotiate(min, required)]
    pub c: u8,
    /// Widens.
    #[negotiate(max)]
    pub d: u8,
    /// Widens.
    #[negotiate(with = larger)]
    pub e: u8,
    /// Never widens.
    #[negotiate(and, preference)]
    pub f: bool,
    /// Says how, not what.
    #[negotiate(preference)]
    pub g: bool,
    /// Says nothing.
    #[negotiate]
    pub h: bool,
}

#[settings]
pub struct Names {
    /// Reserved.
    #[negotiate(server)]
    pub revision: String,
}

#[settings]
pub struct Renamed {
    /// Reserved by another name.
    #[negotiate(server)]
    #[serde(rename = "revision")]
    pub other: String,
}

#[settings]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Container {
    /// Hidden from the other side.
    #[negotiate(and)]
    #[serde(skip)]
    pub a: bool,
    /// Not one member.
    #[negotiate(server)]
    #[serde(flatten)]
    pub b: std::collections::BTreeMap<String, u8>,
}

#[settings(by_hand(Negotiate))]
pub struct ByHand {
    /// With a strategy all the same.
    #[negotiate(and)]
    pub a: bool,
}

#[settings]
pub struct Generic<T> {
    /// Of any type.
    #[negotiate(server)]
    pub a: T,
}

#[settings]
pub struct Tuple(bool);

#[settings]
pub struct Unit;

fn larger(a: &u8, b: &u8) -> Option<u8> {
    Some(*a.max(b))
}

fn main() {}
