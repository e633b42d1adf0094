//! A ledger over a generated log: the order of entries matters.

use std::{collections::BTreeMap, ops::RangeInclusive, path::Path, sync::Arc};

use tidegate::{
    checkpoint::CheckpointOptions,
    error::Result,
    graph::JobGraph,
    state::{KeyGroupEntries, OperatorSnapshot},
    stream::CheckpointMode,
};
use tidegate_sim::{
    run::RunSpec,
    seed::Seed,
    workload::{Lines, StateEntry, Workload, entries_of},
};

use super::{
    draws,
    entries::{self, Log, LogJob},
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
    run(seed, LogJob::draw(seed, CheckpointMode::ExactlyOnce))
}

/// The run of a seed over this log, with these settings.
pub(super) fn run(seed: Seed, job: LogJob) -> Result<RunSpec> {
    let (parallelism, batch_size) = (job.parallelism, job.batch_size);
    draws::run(seed, parallelism, batch_size, Arc::new(LedgerWorkload(job)))
}

struct LedgerWorkload(LogJob);

/// The reference: FNV-1a, written out.
fn hash_after(before: u64, amount: u64) -> u64 {
    let mut hash = before ^ 14_695_981_039_346_656_037;
    for shift in (0..64).step_by(8) {
        hash ^= (amount >> shift) & 255;
        hash = hash.wrapping_mul(1_099_511_628_211);
    }
    hash
}

/// The reference: follows these entries. `update` gets each account as it stands after each of them.
fn follow(entries: &[Entry], mut update: impl FnMut(u64, Tip)) -> BTreeMap<u64, Tip> {
    let mut accounts = BTreeMap::new();
    for (account, amount) in entries {
        let (n, hash) = accounts.remove(account).unwrap_or_default();
        let tip = (n + 1, hash_after(hash, *amount));
        update(*account, tip);
        // What follows an entry whose last three bits are set begins afresh.
        if amount & 7 != 7 {
            accounts.insert(*account, tip);
        }
    }
    accounts
}

impl LedgerWorkload {
    fn graph_of(&self, parallelism: [u32; 3], checkpoints: &CheckpointOptions) -> Result<JobGraph> {
        let LogJob { output, audit, .. } = &self.0;
        let mut env = self.0.environment();
        *env.checkpoint_options_mut() = checkpoints.clone();
        let (partitions, output) = (self.0.partitions(), output.clone());
        Ledger { partitions, output, parallelism, audit: *audit }.build(&env);
        env.job_graph(NAME)
    }
}

impl Workload for LedgerWorkload {
    fn input_files(&self) -> &Log {
        &self.0.log
    }

    fn graph(&self) -> Result<JobGraph> {
        self.graph_of(self.0.parallelism, &self.0.checkpoints)
    }

    fn rescaled(&self) -> Option<Result<JobGraph>> {
        let checkpoints = draws::rescaled_checkpoints(&self.0.checkpoints);
        Some(self.graph_of(draws::rescaled(self.0.parallelism), &checkpoints))
    }

    fn output_directory(&self) -> &Path {
        &self.0.output
    }

    fn expected_output(&self) -> Lines {
        let mut lines = Lines::new();
        follow(&entries::all(&self.0.log), |account, (n, hash)| {
            *lines.entry(format!("{account}\t{n}\t{hash:016x}").into_bytes()).or_default() += 1;
        });
        lines
    }

    fn check_state(&self, operators: &BTreeMap<String, Vec<OperatorSnapshot>>) -> Result<(), String> {
        let expected = follow(&entries::before_positions(&self.0.log, operators)?, |_, _| ());
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

    fn entries(&self, _: &str, _: &str, group: &KeyGroupEntries) -> Result<Vec<StateEntry>, String> {
        entries_of::<u64, Tip>(group)
    }

    fn splits(&self) -> BTreeMap<String, RangeInclusive<u64>> {
        self.0.splits()
    }

    fn split(&self, item: &[u8]) -> Result<(String, u64), String> {
        entries::split(item)
    }
}
