//! The word count of `small`, with the snapshots of some subtasks in the manifest and those of others in files: so that both are
//! crashed at every step.

use tidegate::error::Result;
use tidegate_sim::{run::RunSpec, seed::Seed};

use super::small;

/// More than the snapshot of a writer has, less than that of a reader. A counter's grows beyond it.
const INLINE_THRESHOLD: u64 = 280;

/// The run of a seed.
///
/// # Errors
/// Those of a job graph that makes no sense.
pub fn spec(seed: Seed) -> Result<RunSpec> {
    small::with_inline_threshold(seed, INLINE_THRESHOLD)
}
