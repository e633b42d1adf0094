//! Randomness, and the places where the simulated world may make something rare frequent.

/// The only source of randomness of one node.
///
/// Promises:
/// 1. In the simulated world the values depend on the run's seed and the node alone.
/// 2. In the real world they are not predictable to a peer (they serve as nonces).
pub trait Entropy: Send + Sync {
    /// The next 64 random bits.
    fn next_u64(&self) -> u64;

    /// Whether to do, now and here, what is legal and rare. Never in the real world.
    fn perturbs(&self, _site: Site) -> bool {
        false
    }
}

/// A place in the code where something legal and rare can be made frequent: FoundationDB calls it buggify (Zhou et al. 2021,
/// §4). Nothing that a site does may be wrong; it may only be unusual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Site {
    /// A source reads a batch of one record.
    SmallBatch,
    /// A task sends what it holds back, however little.
    EarlySend,
    /// A sink writes out what it has, however little.
    EarlyFlush,
    /// A sink closes its part and begins another.
    EarlyRoll,
    /// Credit goes back batch by batch instead of all that is due at once.
    CreditByCredit,
    /// A task manager starts its tasks last to first.
    TasksInReverse,
    /// Frozen state is encoded segment by segment, with a batch between any two of them; what is restored is decoded key group
    /// by key group, each in a task of its own.
    SmallSweep,
    /// The job manager tells its task managers last to first.
    PeersInReverse,
    /// A job manager reserves the numbers of its checkpoints one by one.
    NumberByNumber,
    /// A small table is treated as one that no cache of the processor holds.
    LargeTable,
}

impl Site {
    /// All sites.
    pub const ALL: &[Self] = &[
        Self::SmallBatch,
        Self::EarlySend,
        Self::EarlyFlush,
        Self::EarlyRoll,
        Self::CreditByCredit,
        Self::TasksInReverse,
        Self::SmallSweep,
        Self::PeersInReverse,
        Self::NumberByNumber,
        Self::LargeTable,
    ];
}

/// Randomness for tests that need none.
#[cfg(test)]
pub(crate) struct NoEntropy;

#[cfg(test)]
impl Entropy for NoEntropy {
    fn next_u64(&self) -> u64 {
        0
    }
}

/// Likewise; perturbs every site or none.
#[cfg(test)]
pub(crate) struct Perturbing(pub bool);

#[cfg(test)]
impl Entropy for Perturbing {
    fn next_u64(&self) -> u64 {
        0
    }

    fn perturbs(&self, _: Site) -> bool {
        self.0
    }
}
