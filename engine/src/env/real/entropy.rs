//! Randomness, by the operating system.

use std::hash::{BuildHasher, RandomState};

use crate::env::Entropy;

/// Fresh keys of the standard library's keyed hash: seeded by the operating system once per thread, and not predictable
/// from earlier values without the key.
pub(super) struct RealEntropy;

impl Entropy for RealEntropy {
    fn next_u64(&self) -> u64 {
        RandomState::new().hash_one(0_u8)
    }
}
