//! Randomness, injected: nonces, tokens and keys come from a [`Random`], so that tests can repeat themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Gives random bytes.
///
/// ```
/// use mcp_ext_values::{Random, SeededRandom};
///
/// let (mut a, mut b) = ([0; 24], [0; 24]);
/// SeededRandom::new(7).fill(&mut a)?;
/// SeededRandom::new(7).fill(&mut b)?;
/// assert_eq!(a, b);
/// # Ok::<(), mcp_ext_values::RandomError>(())
/// ```
pub trait Random: Send + Sync {
    /// Fills the buffer with random bytes.
    ///
    /// # Errors
    /// When there is no randomness to be had. What depends on it must then fail, not go on.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError>;
}

/// There were no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the source of randomness gave no bytes; try again, and tell whoever runs the server")]
pub struct RandomError;

impl<R: Random + ?Sized> Random for Arc<R> {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        (**self).fill(buffer)
    }
}

impl<R: Random + ?Sized> Random for &R {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        (**self).fill(buffer)
    }
}

/// The system's source of randomness, fit for secrets.
#[cfg(feature = "server")]
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

#[cfg(feature = "server")]
impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        getrandom::fill(buffer).map_err(|_| RandomError)
    }
}

/// Bytes that follow from a seed: for tests alone, since anyone can foretell them. Clones continue one sequence.
#[derive(Clone, Debug)]
pub struct SeededRandom(Arc<AtomicU64>);

/// The step of SplitMix64's counter.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl SeededRandom {
    /// The sequence of that seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seed)))
    }

    /// The next word: SplitMix64 (Steele, Lea, Flood 2014).
    fn next(&self) -> u64 {
        let mut z = self.0.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Random for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        for chunk in buffer.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Random, SeededRandom};

    #[test]
    fn the_sequence_is_splitmix64() {
        // The first words of seed 1234567, as published with the algorithm.
        let random = SeededRandom::new(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn every_byte_is_filled_and_clones_go_on() {
        let random = SeededRandom::new(0);
        let mut bytes = [0; 4096 + 3];
        random.clone().fill(&mut bytes).unwrap();
        let mut more = bytes;
        random.fill(&mut more).unwrap();
        assert_ne!(bytes, more);
        assert!(bytes.windows(16).all(|w| w.iter().any(|&b| b != 0)));
    }
}
