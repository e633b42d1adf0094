//! A relay under at-least-once checkpoints: barriers block nothing, so that a snapshot may reflect records that a restart
//! sends again. None may be lost.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use tidegate::{
    checkpoint::CheckpointOptions, error::Result, graph::JobGraph, state::OperatorSnapshot, stream::CheckpointMode,
};
use tidegate_sim::{
    run::RunSpec,
    seed::{Draw, Seed, Stream},
    workload::{Lines, Workload},
};

use super::{
    draws,
    entries::{self, Log},
};
use crate::jobs::relay::{NAME, Relay};

/// The run of a seed.
///
/// # Errors
/// Those of a job graph that makes no sense.
pub fn spec(seed: Seed) -> Result<RunSpec> {
    let mut draws = seed.stream(Stream::Settings);
    let parallelism = draws::parallelism(&mut draws);
    let checkpoints = draws::checkpoints(&mut draws, CheckpointMode::AtLeastOnce);
    let batch_size = draws.between(1, 16) as usize;
    let log = entries::generate(&mut seed.stream(Stream::Workload));
    let workload = RelayWorkload { parallelism, checkpoints, batch_size, log, output: "/output".into() };
    draws::run(seed, parallelism, batch_size, Arc::new(workload))
}

struct RelayWorkload {
    parallelism: [u32; 3],
    checkpoints: CheckpointOptions,
    batch_size: usize,
    log: Log,
    output: PathBuf,
}

impl Workload for RelayWorkload {
    fn input_files(&self) -> &Log {
        &self.log
    }

    fn graph(&self) -> Result<JobGraph> {
        let env = draws::environment(&self.checkpoints, self.batch_size);
        let partitions = self.log.keys().cloned().collect();
        Relay { partitions, output: self.output.clone(), parallelism: self.parallelism }.build(&env);
        env.job_graph(NAME)
    }

    fn output_directory(&self) -> &Path {
        &self.output
    }

    fn expected_output(&self) -> Lines {
        let line = |(account, amount): (u64, u64)| (format!("{account}\t{amount}").into_bytes(), 1);
        entries::all(&self.log).into_iter().map(line).collect()
    }

    /// The relay has no state; that the source's positions make sense is all there is to see.
    fn check_state(&self, operators: &BTreeMap<String, Vec<OperatorSnapshot>>) -> Result<(), String> {
        entries::before_positions(&self.log, operators).map(drop)
    }
}
