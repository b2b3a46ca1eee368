//! Values that keep their meaning on the way: small types whose `Deserialize` checks and whose JSON Schema says the same.
//!
//! Usable alone by any server; nothing here names an SDK or does I/O.

pub mod clock;
pub mod random;

pub use clock::{Clock, ManualClock};
pub use random::{Random, RandomError, SeededRandom};

#[cfg(feature = "server")]
pub use clock::SystemClock;
#[cfg(feature = "server")]
pub use random::SystemRandom;
