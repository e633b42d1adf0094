//! Snapshots that are small enough stand in the manifest: all of them, or some, or those of some checkpoints. At another
//! parallelism fewer of them do.

use tidegate::{error::Result, stream::CheckpointMode};
use tidegate_sim::{
    run::RunSpec,
    seed::{Draw, Seed, Stream},
};

use super::{entries::LogJob, ledger, word_count};

/// From about as many bytes as the snapshot of a source has to more than any snapshot has.
const THRESHOLDS: &[u64] = &[130, 200, 300, 500, 20 << 10];

/// The run of a seed.
///
/// # Errors
/// Those of a job graph that makes no sense.
pub fn spec(seed: Seed) -> Result<RunSpec> {
    let mut random = seed.stream(Stream::Settings);
    // From numbers of their own, so that the rest of the run is that of the same seed elsewhere.
    random.set_stream(u64::MAX - 1);
    let inline_threshold = *random.pick(THRESHOLDS);
    if seed.0.is_multiple_of(2) {
        let mut job = LogJob::draw(seed, CheckpointMode::ExactlyOnce);
        job.checkpoints.inline_threshold = inline_threshold;
        ledger::run(seed, job)
    } else {
        word_count::with_inline_threshold(seed, inline_threshold)
    }
}
