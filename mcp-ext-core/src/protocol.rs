//! The revisions of the core protocol, and the two eras they fall into.

use std::fmt;

/// A published revision of the core protocol, oldest first.
///
/// ```
/// use mcp_ext_core::protocol::{Era, ProtocolVersion};
///
/// let version = ProtocolVersion::parse("2026-07-28").unwrap();
/// assert_eq!(version.era(), Era::Modern);
/// assert!(ProtocolVersion::V2025_11_25 < version);
/// assert_eq!(ProtocolVersion::parse("1900-01-01"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ProtocolVersion {
    /// `2024-11-05`
    V2024_11_05,
    /// `2025-03-26`
    V2025_03_26,
    /// `2025-06-18`
    V2025_06_18,
    /// `2025-11-25`, the last one with a handshake.
    V2025_11_25,
    /// `2026-07-28`, the first one without: capabilities travel on every request.
    V2026_07_28,
}

impl ProtocolVersion {
    /// Every revision known here, oldest first.
    pub const ALL: &'static [Self] = &[
        Self::V2024_11_05,
        Self::V2025_03_26,
        Self::V2025_06_18,
        Self::V2025_11_25,
        Self::V2026_07_28,
    ];

    /// The revision as it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// Reads a revision; `None` when it is not one that is known here.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|v| v.as_str() == text)
    }

    /// The era this revision belongs to.
    pub const fn era(self) -> Era {
        match self {
            Self::V2026_07_28 => Era::Modern,
            _ => Era::Legacy,
        }
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How capabilities are agreed on: once per session, or on every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Era {
    /// 2025-11-25 and older: `initialize` declares capabilities for the whole session.
    Legacy,
    /// 2026-07-28 and newer: `_meta` of each request declares them for that request alone.
    Modern,
}

/// The revisions of the core protocol that an extension covers (checks ERA-2 and ERA-5).
///
/// Outside of it the extension is neither advertised nor effective.
///
/// ```
/// use mcp_ext_core::protocol::{ProtocolRange, ProtocolVersion};
///
/// let modern = ProtocolRange::from(ProtocolVersion::V2026_07_28);
/// assert!(modern.covers(ProtocolVersion::V2026_07_28));
/// assert!(!modern.covers(ProtocolVersion::V2025_11_25));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtocolRange {
    /// The oldest revision covered.
    pub min: ProtocolVersion,
    /// The newest revision covered; `None` leaves it open.
    pub max: Option<ProtocolVersion>,
}

impl ProtocolRange {
    /// Every revision known here.
    pub const ALL: Self = Self {
        min: ProtocolVersion::V2024_11_05,
        max: None,
    };

    /// `min` and everything newer.
    pub const fn from(min: ProtocolVersion) -> Self {
        Self { min, max: None }
    }

    /// Everything between `min` and `max`, both included.
    pub const fn between(min: ProtocolVersion, max: ProtocolVersion) -> Self {
        Self {
            min,
            max: Some(max),
        }
    }

    /// Whether `version` lies inside.
    pub fn covers(self, version: ProtocolVersion) -> bool {
        self.min <= version && self.max.is_none_or(|max| version <= max)
    }

    /// Whether some revision of `era` lies inside.
    pub fn covers_era(self, era: Era) -> bool {
        ProtocolVersion::ALL
            .iter()
            .any(|v| v.era() == era && self.covers(*v))
    }

    /// Whether some known revision lies in both.
    pub fn overlaps(self, other: Self) -> bool {
        ProtocolVersion::ALL
            .iter()
            .any(|v| self.covers(*v) && other.covers(*v))
    }
}

impl Default for ProtocolRange {
    fn default() -> Self {
        Self::ALL
    }
}

impl fmt::Display for ProtocolRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.max {
            Some(max) => write!(f, "{} to {max}", self.min),
            None => write!(f, "{} and newer", self.min),
        }
    }
}
