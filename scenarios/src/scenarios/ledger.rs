//! A ledger over a generated log: the order of entries matters.

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
use crate::jobs::{
    entry_log::Entry,
    ledger::{Ledger, NAME, Tip},
};

/// The run of a seed.
///
/// # Errors
/// Those of a job graph that makes no sense.
pub fn spec(seed: Seed) -> Result<RunSpec> {
    let mut draws = seed.stream(Stream::Settings);
    let parallelism = draws::parallelism(&mut draws);
    let checkpoints = draws::checkpoints(&mut draws, CheckpointMode::ExactlyOnce);
    let batch_size = draws.between(1, 16) as usize;
    let log = entries::generate(&mut seed.stream(Stream::Workload));
    let workload = LedgerWorkload { parallelism, checkpoints, batch_size, log, output: "/output".into() };
    draws::run(seed, parallelism, batch_size, Arc::new(workload))
}

struct LedgerWorkload {
    parallelism: [u32; 3],
    checkpoints: CheckpointOptions,
    batch_size: usize,
    log: Log,
    output: PathBuf,
}

/// The reference: FNV-1a, written out.
fn hash_after(before: u64, amount: u64) -> u64 {
    let mut hash = before ^ 14_695_981_039_346_656_037;
    for shift in (0..64).step_by(8) {
        hash ^= (amount >> shift) & 255;
        hash = hash.wrapping_mul(1_099_511_628_211);
    }
    hash
}

/// The reference: each account after these entries, and a line for each of them on the way.
fn follow(entries: &[Entry]) -> (BTreeMap<u64, Tip>, Lines) {
    let (mut accounts, mut lines) = (BTreeMap::new(), Lines::new());
    for (account, amount) in entries {
        let (n, hash): &mut Tip = accounts.entry(*account).or_default();
        *n += 1;
        *hash = hash_after(*hash, *amount);
        *lines.entry(format!("{account}\t{n}\t{hash:016x}").into_bytes()).or_default() += 1;
    }
    (accounts, lines)
}

impl Workload for LedgerWorkload {
    fn input_files(&self) -> &Log {
        &self.log
    }

    fn graph(&self) -> Result<JobGraph> {
        let env = draws::environment(&self.checkpoints, self.batch_size);
        let partitions = self.log.keys().cloned().collect();
        Ledger { partitions, output: self.output.clone(), parallelism: self.parallelism }.build(&env);
        env.job_graph(NAME)
    }

    fn output_directory(&self) -> &Path {
        &self.output
    }

    fn expected_output(&self) -> Lines {
        follow(&entries::all(&self.log)).1
    }

    fn check_state(&self, operators: &BTreeMap<String, Vec<OperatorSnapshot>>) -> Result<(), String> {
        let (expected, _) = follow(&entries::before_positions(&self.log, operators)?);
        let mut found = BTreeMap::new();
        for group in operators.get("chain").into_iter().flatten().flat_map(|o| &o.keyed).flat_map(|s| &s.groups) {
            found.extend(group.decode::<u64, Tip>().map_err(|e| e.to_string())?);
        }
        if found == expected {
            return Ok(());
        }
        let differs = |account: &&u64| found.get(*account) != expected.get(*account);
        let account = found.keys().chain(expected.keys()).find(differs).expect("the two differ");
        Err(format!(
            "account {account} stands at {:?}, but the entries before the source's positions give {:?}",
            found.get(account),
            expected.get(account)
        ))
    }
}
