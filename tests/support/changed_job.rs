//! The job of a workload, changed: its input and what must come of it stay the same.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
};

use tidegate::{
    error::Result,
    graph::JobGraph,
    state::{KeyGroupEntries, OperatorSnapshot},
};
use tidegate_sim::{
    run::RunSpec,
    workload::{Lines, StateEntry, Workload},
};

type Change = Box<dyn Fn(&mut JobGraph) + Send + Sync>;

/// A workload that hands everything on but its job, and that when it is told.
pub struct ChangedJob {
    job: Arc<dyn Workload>,
    change: Change,
    change_rescaled: Change,
    expected: Option<Lines>,
}

impl ChangedJob {
    /// The job of this run, changed so, also at its other parallelism.
    #[must_use]
    pub fn of(spec: &RunSpec, change: impl Fn(&mut JobGraph) + Clone + Send + Sync + 'static) -> Self {
        let (job, rescaled) = (spec.workload.clone(), Box::new(change.clone()));
        Self { job, change: Box::new(change), change_rescaled: rescaled, expected: None }
    }

    /// At its other parallelism the job is changed so instead.
    #[must_use]
    pub fn rescaled(self, change: impl Fn(&mut JobGraph) + Send + Sync + 'static) -> Self {
        Self { change_rescaled: Box::new(change), ..self }
    }

    /// With another output to be expected.
    #[must_use]
    pub fn expecting(self, lines: Option<Lines>) -> Self {
        Self { expected: lines, ..self }
    }

    /// The run, with this in place of its workload.
    #[must_use]
    pub fn in_place(self, spec: RunSpec) -> RunSpec {
        RunSpec { workload: Arc::new(self), ..spec }
    }
}

fn changed(graph: Result<JobGraph>, change: &Change) -> Result<JobGraph> {
    let mut graph = graph?;
    change(&mut graph);
    Ok(graph)
}

impl Workload for ChangedJob {
    fn input_files(&self) -> &BTreeMap<PathBuf, Vec<u8>> {
        self.job.input_files()
    }

    fn graph(&self) -> Result<JobGraph> {
        changed(self.job.graph(), &self.change)
    }

    fn rescaled(&self) -> Option<Result<JobGraph>> {
        self.job.rescaled().map(|graph| changed(graph, &self.change_rescaled))
    }

    fn output_directory(&self) -> &Path {
        self.job.output_directory()
    }

    fn expected_output(&self) -> Lines {
        self.expected.clone().unwrap_or_else(|| self.job.expected_output())
    }

    fn check_state(&self, operators: &BTreeMap<String, Vec<OperatorSnapshot>>) -> Result<(), String> {
        self.job.check_state(operators)
    }

    fn entries(&self, uid: &str, state: &str, group: &KeyGroupEntries) -> Result<Vec<StateEntry>, String> {
        self.job.entries(uid, state, group)
    }

    fn splits(&self) -> BTreeMap<String, RangeInclusive<u64>> {
        self.job.splits()
    }

    fn split(&self, item: &[u8]) -> Result<(String, u64), String> {
        self.job.split(item)
    }
}
