//! Texts one after the other, told apart: no two lists of parts give the same bytes.

use sha2::{Digest, Sha256};

#[derive(Debug, Clone)]
pub(crate) struct Parts(Vec<u8>);

impl Parts {
    pub(crate) fn new(purpose: &str) -> Self {
        Self(Vec::new()).with(purpose)
    }

    pub(crate) fn with(self, part: &str) -> Self {
        self.with_option(Some(part))
    }

    /// Absent is another thing than empty.
    pub(crate) fn with_option(mut self, part: Option<&str>) -> Self {
        match part {
            None => self.0.push(0),
            Some(part) => {
                self.0.push(1);
                self.0.extend_from_slice(&(part.len() as u64).to_be_bytes());
                self.0.extend_from_slice(part.as_bytes());
            }
        }
        self
    }

    /// Bytes of any length, by their digest.
    pub(crate) fn with_bytes(mut self, bytes: &[u8]) -> Self {
        self.0.push(2);
        self.0.extend_from_slice(&Sha256::digest(bytes));
        self
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }
}
