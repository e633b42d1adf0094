//! A word count whose state is large for its input: first many words that come once, then a few that come again and again. So
//! most of the state does not change from one checkpoint to the next.
//!
//! The input is the same whatever the seed, as is the number of records behind each word; a seed draws the rest.

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf, sync::Arc, time::Duration};

use tidegate::{checkpoint::CheckpointOptions, error::Result, stream::CheckpointMode};
use tidegate_sim::{
    env::{DiskSettings, WorldSettings},
    run::{ClusterShape, RunSpec},
    seed::Seed,
};

use super::{
    draws,
    word_count::{Settings, WordCountWorkload},
};

const PARALLELISM: [u32; 3] = [2, 2, 2];
const BATCH_SIZE: usize = 16;

/// How many words each of the two inputs has to itself, which come once.
const RARE: u32 = 600;
/// How many lines come after that, of words that all know.
const LINES: u32 = 360;
/// How many such words there are.
const FREQUENT: u32 = 12;

/// The run of a seed.
///
/// # Errors
/// Those of a job graph that makes no sense.
pub fn spec(seed: Seed) -> Result<RunSpec> {
    let settings = Settings {
        parallelism: PARALLELISM,
        checkpoints: CheckpointOptions {
            interval: Duration::from_millis(8),
            mode: CheckpointMode::ExactlyOnce,
            timeout: Duration::from_millis(600),
            min_pause: Duration::ZERO,
            tolerable_failures: 2,
            retained: 2,
            inline_threshold: 0,
            ..CheckpointOptions::default()
        },
        split_size: 512,
        batch_size: BATCH_SIZE,
    };
    let workload = WordCountWorkload::new(inputs(), settings);
    let drawn = draws::run(seed, PARALLELISM, BATCH_SIZE, Arc::new(workload))?;
    let shape = ClusterShape { task_managers: 3, slots: 1, batch_size: BATCH_SIZE, channel_credits: 4 };
    Ok(RunSpec { shape, world: world(), ..drawn })
}

fn inputs() -> BTreeMap<PathBuf, Vec<u8>> {
    let text = |file: u32| {
        let mut text = String::new();
        for word in 0..RARE {
            let end = if word % 8 == 7 { '\n' } else { ' ' };
            let _ = write!(text, "rare{file}x{word:03}{end}");
        }
        for line in 0..LINES {
            let _ = writeln!(text, "often{} and often{}", line % FREQUENT, (line * 5 + file) % FREQUENT);
        }
        text.into_bytes()
    };
    (0..2).map(|file| (PathBuf::from(format!("/input/text-{file}")), text(file))).collect()
}

/// Slow reads, so that the job lasts for several checkpoints.
fn world() -> WorldSettings {
    let disk = DiskSettings {
        latency_min_us: 100,
        latency_max_us: 200,
        read_latency_max_us: 6_000,
        sync_latency_max_us: 500,
        ..DiskSettings::default()
    };
    WorldSettings { disk, ..WorldSettings::default() }
}
