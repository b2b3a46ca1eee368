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

#[settings]
pub struct Limits {
    /// Absent would be 0.
    #[negotiate(min)]
    pub bare: u32,
    /// As bare as the other.
    #[negotiate(min)]
    pub long_path: std::primitive::usize,
    /// No number.
    #[negotiate(min)]
    pub text: Option<String>,
    /// No number either.
    #[negotiate(max, preference)]
    pub set: std::collections::BTreeSet<u8>,
    /// Its digits do not arrive.
    #[negotiate(min)]
    pub float: Option<f64>,
    /// And it does not equal itself.
    #[negotiate(equal)]
    pub ratio: f32,
    /// As it should be.
    #[negotiate(min)]
    pub right: Option<u32>,
    /// A wish for 0 is a wish.
    #[negotiate(max, preference)]
    pub wish: u32,
}

fn larger(a: &u8, b: &u8) -> Option<u8> {
    Some(*a.max(b))
}

fn main() {}
