//! Randomness, by the run's seed.

use std::sync::Mutex;

use rand_chacha::{ChaCha8Rng, rand_core::Rng};
use tidegate::env::Entropy;

/// One stream for all nodes: which value a node gets depends on the order of asking, which the seed decides too.
pub(super) struct SimEntropy(Mutex<ChaCha8Rng>);

impl SimEntropy {
    pub(super) fn new(stream: ChaCha8Rng) -> Self {
        Self(Mutex::new(stream))
    }
}

impl Entropy for SimEntropy {
    fn next_u64(&self) -> u64 {
        self.0.lock().expect("nobody panics while holding this lock").next_u64()
    }
}
