//! Randomness.

/// The only source of randomness of one node.
///
/// Promises:
/// 1. In the simulated world the values depend on the run's seed and the node alone.
/// 2. In the real world they are not predictable to a peer (they serve as nonces).
pub trait Entropy: Send + Sync {
    /// The next 64 random bits.
    fn next_u64(&self) -> u64;
}
