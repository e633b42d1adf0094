//! A relay under at-least-once checkpoints: barriers block nothing, so that a snapshot may reflect records that a restart
//! sends again. None may be lost.

use std::{collections::BTreeMap, ops::RangeInclusive, path::Path, sync::Arc};

use tidegate::{
    error::Result,
    graph::JobGraph,
    state::{KeyGroupEntries, OperatorSnapshot},
    stream::CheckpointMode,
};
use tidegate_sim::{
    run::RunSpec,
    seed::Seed,
    workload::{Lines, StateEntry, Workload},
};

use super::{
    draws,
    entries::{self, Log, LogJob},
};
use crate::jobs::relay::{NAME, Relay};

/// The run of a seed.
///
/// # Errors
/// Those of a job graph that makes no sense.
pub fn spec(seed: Seed) -> Result<RunSpec> {
    let job = LogJob::draw(seed, CheckpointMode::AtLeastOnce);
    let (parallelism, batch_size) = (job.parallelism, job.batch_size);
    draws::run(seed, parallelism, batch_size, Arc::new(RelayWorkload(job)))
}

struct RelayWorkload(LogJob);

impl RelayWorkload {
    fn graph_of(&self, parallelism: [u32; 3]) -> Result<JobGraph> {
        let env = self.0.environment();
        Relay { partitions: self.0.partitions(), output: self.0.output.clone(), parallelism }.build(&env);
        env.job_graph(NAME)
    }
}

impl Workload for RelayWorkload {
    fn input_files(&self) -> &Log {
        &self.0.log
    }

    fn graph(&self) -> Result<JobGraph> {
        self.graph_of(self.0.parallelism)
    }

    fn rescaled(&self) -> Option<Result<JobGraph>> {
        Some(self.graph_of(draws::rescaled(self.0.parallelism)))
    }

    fn output_directory(&self) -> &Path {
        &self.0.output
    }

    fn expected_output(&self) -> Lines {
        let line = |(account, amount): (u64, u64)| (format!("{account}\t{amount}").into_bytes(), 1);
        entries::all(&self.0.log).into_iter().map(line).collect()
    }

    /// The relay has no state; that the source's positions make sense is all there is to see.
    fn check_state(&self, operators: &BTreeMap<String, Vec<OperatorSnapshot>>) -> Result<(), String> {
        entries::before_positions(&self.0.log, operators).map(drop)
    }

    fn entries(&self, uid: &str, state: &str, _: &KeyGroupEntries) -> Result<Vec<StateEntry>, String> {
        Err(format!("the relay keeps nothing by key, and {uid} has {state}"))
    }

    fn splits(&self) -> BTreeMap<String, RangeInclusive<u64>> {
        self.0.splits()
    }

    fn split(&self, item: &[u8]) -> Result<(String, u64), String> {
        entries::split(item)
    }
}
