//! A log of entries for jobs that read one, and what its readers have read at a checkpoint.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use rand_chacha::ChaCha8Rng;
use tidegate::{
    checkpoint::CheckpointOptions, graph::StreamExecutionEnvironment, job::RestartStrategy, operator::SPLITS_STATE,
    state::OperatorSnapshot, stream::CheckpointMode,
};
use tidegate_sim::seed::{Draw, Seed, Stream};

use super::draws;
use crate::jobs::entry_log::{self, ENTRY_LEN, Entry, Partition};

/// The files of a log.
pub(super) type Log = BTreeMap<PathBuf, Vec<u8>>;

/// A job over a log.
pub(super) struct LogJob {
    /// Subtasks of source, middle and sink.
    pub parallelism: [u32; 3],
    pub checkpoints: CheckpointOptions,
    pub batch_size: usize,
    /// How many key groups.
    pub max_parallelism: u32,
    pub log: Log,
    pub output: PathBuf,
    pub restart: RestartStrategy,
    /// User code that sees each entry.
    pub audit: Option<fn(&Entry)>,
}

impl LogJob {
    /// The settings and the log of a seed.
    pub fn draw(seed: Seed, mode: CheckpointMode) -> Self {
        let mut settings = seed.stream(Stream::Settings);
        Self {
            parallelism: draws::parallelism(&mut settings),
            checkpoints: draws::checkpoints(&mut settings, mode),
            batch_size: settings.between(1, 16) as usize,
            // With few key groups, each holds several accounts.
            max_parallelism: *settings.pick(&[4, 9, 128]),
            log: generate(&mut seed.stream(Stream::Workload)),
            output: "/output".into(),
            restart: draws::restarts(),
            audit: None,
        }
    }

    /// An environment with these settings.
    pub fn environment(&self) -> StreamExecutionEnvironment {
        let mut env = draws::environment(&self.checkpoints, self.batch_size);
        env.set_max_parallelism(self.max_parallelism);
        env.set_restart_strategy(self.restart.clone());
        env
    }

    /// The log's partitions.
    pub fn partitions(&self) -> Vec<PathBuf> {
        self.log.keys().cloned().collect()
    }

    /// See `Workload::splits`: each partition is one, and its positions count entries.
    pub fn splits(&self) -> BTreeMap<String, RangeInclusive<u64>> {
        let split =
            |(path, bytes): (&PathBuf, &Vec<u8>)| (path.display().to_string(), 0..=(bytes.len() / ENTRY_LEN) as u64);
        self.log.iter().map(split).collect()
    }
}

/// Some partitions of uneven length, one of them empty now and then. An account has all its entries in one partition, and no
/// entry occurs twice in the log.
fn generate(random: &mut ChaCha8Rng) -> Log {
    let partitions = random.between(1, 6);
    let partition = |p: u64| {
        let len = if random.chance(5) { 0 } else { random.between(10, 150) };
        let accounts = random.between(1, 9);
        let entry = |n: u64| (p * 10 + random.between(0, accounts - 1), n * 1_000 + random.between(0, 999));
        let entries: Vec<Entry> = (0..len).map(entry).collect();
        (PathBuf::from(format!("/input/partition-{p}")), entry_log::encode(&entries))
    };
    (0..partitions).map(partition).collect()
}

/// See `Workload::split`.
pub(super) fn split(item: &[u8]) -> Result<(String, u64), String> {
    let Partition { path, position } = Partition::decode(item).map_err(|e| e.to_string())?;
    Ok((path.display().to_string(), position))
}

/// All entries, in the order of each partition.
pub(super) fn all(log: &Log) -> Vec<Entry> {
    log.values().flat_map(|bytes| entry_log::decode(bytes)).collect()
}

/// The entries before the positions that the source's part of a checkpoint holds.
pub(super) fn before_positions(
    log: &Log,
    operators: &BTreeMap<String, Vec<OperatorSnapshot>>,
) -> Result<Vec<Entry>, String> {
    let lists = operators.get("source").into_iter().flatten().flat_map(|o| &o.lists);
    let mut entries = Vec::new();
    for item in lists.filter(|l| l.name == SPLITS_STATE).flat_map(|l| &l.items) {
        let Partition { path, position } = Partition::decode(item).map_err(|e| e.to_string())?;
        let bytes = log.get(Path::new(&path)).ok_or_else(|| format!("{} is no partition", path.display()))?;
        let read = bytes.get(..position as usize * ENTRY_LEN);
        let read = read.ok_or_else(|| format!("{} has no {position} entries", path.display()))?;
        entries.extend(entry_log::decode(read));
    }
    Ok(entries)
}
