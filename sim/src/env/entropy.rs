//! Randomness, by the run's seed, and the sites that do the unusual.

use std::{collections::BTreeSet, sync::Mutex};

use rand_chacha::{ChaCha8Rng, rand_core::Rng};
use tidegate::env::{Entropy, Site};

use crate::seed::Draw;

/// In so many of a hundred runs a site is active, if sites are on at all.
const ACTIVATION: u64 = 25;
/// So many times in a hundred an active site does it.
const FIRING: u64 = 25;

/// One stream for all nodes: which value a node gets depends on the order of asking, which the seed decides too.
pub(super) struct SimEntropy {
    stream: Mutex<ChaCha8Rng>,
    active: BTreeSet<Site>,
    firing: Mutex<ChaCha8Rng>,
}

impl SimEntropy {
    /// `sites` decides which sites are active and when they fire, if they are `on`.
    pub(super) fn new(stream: ChaCha8Rng, mut sites: ChaCha8Rng, on: bool) -> Self {
        let active = Site::ALL.iter().copied().filter(|_| sites.chance(ACTIVATION) && on).collect();
        Self { stream: Mutex::new(stream), active, firing: Mutex::new(sites) }
    }
}

impl Entropy for SimEntropy {
    fn next_u64(&self) -> u64 {
        self.stream.lock().expect("nobody panics while holding this lock").next_u64()
    }

    fn perturbs(&self, site: Site) -> bool {
        self.active.contains(&site) && self.firing.lock().expect("nobody panics while holding this lock").chance(FIRING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Seed, Stream};

    #[test]
    fn a_quarter_of_the_sites_does_it_a_quarter_of_the_time() {
        let entropy =
            |seed: u64, on| SimEntropy::new(Seed(seed).stream(Stream::Entropy), Seed(seed).stream(Stream::Sites), on);
        for site in Site::ALL {
            let fired = |on| -> Vec<usize> {
                let counts =
                    (0..400).map(|seed| entropy(seed, on)).map(|e| (0..100).filter(|_| e.perturbs(*site)).count());
                counts.filter(|n| *n > 0).collect()
            };
            let active = fired(true);
            assert!((60..140).contains(&active.len()), "{site:?} is active in {} of 400 runs", active.len());
            let mean = active.iter().sum::<usize>() / active.len();
            assert!((20..30).contains(&mean), "{site:?} fires {mean} times of 100");
            assert_eq!(fired(false), [0; 0]);
        }
    }
}
