//! One number from which everything random in a run follows, through streams that do not disturb one another.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// The seed of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

/// What a stream of random numbers is for. A draw from one changes nothing in the others. The numbers are for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The job's input.
    Workload = 1,
    /// How many task managers and slots.
    Cluster = 2,
    /// The job's settings: parallelism, checkpoint interval, batch size.
    Settings = 3,
    /// Which faults happen when.
    Plan = 4,
    /// Latencies, and what a loss of power leaves.
    Disk = 5,
    /// Latencies and short reads.
    Network = 6,
    /// What the engine gets from `Env.entropy`.
    Entropy = 7,
    /// The seed of madsim's scheduler.
    Scheduler = 8,
    /// Which sites in the code do the unusual, and when.
    Sites = 10,
    /// How far each node's wall clock is off.
    Clock = 9,
}

impl Seed {
    /// The beginning of a stream.
    #[must_use]
    pub fn stream(self, stream: Stream) -> ChaCha8Rng {
        let mut random = ChaCha8Rng::seed_from_u64(self.0);
        random.set_stream(stream as u64);
        random
    }
}

/// Draws that are short to write.
pub trait Draw: Rng {
    /// A number from `low` to `high`, both inclusive.
    fn between(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "{low} to {high} is no range");
        low + self.next_u64() % (high - low + 1)
    }

    /// True in `percent` of a hundred cases.
    fn chance(&mut self, percent: u64) -> bool {
        self.next_u64() % 100 < percent
    }

    /// One of these. Not for an empty slice.
    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[(self.next_u64() % from.len() as u64) as usize]
    }
}

impl<R: Rng + ?Sized> Draw for R {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_independent_and_for_ever() {
        let first = |stream| Seed(7).stream(stream).next_u64();
        assert_ne!(first(Stream::Plan), first(Stream::Disk));
        assert_eq!(first(Stream::Plan), first(Stream::Plan));
        insta::assert_snapshot!(format!("{:x} {:x}", first(Stream::Workload), first(Stream::Scheduler)));
    }
}
