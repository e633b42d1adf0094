//! One run of a job: what is to be run, and what came of it.

use std::{
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tidegate::{
    checkpoint::{CheckpointOptions, RestoreMode},
    env::{
        Address,
        real::{block_on, env, env_over_tcp},
    },
    exchange::Secret,
    graph::StreamExecutionEnvironment,
    job::RestartStrategy,
    probe::JobStatus,
    runtime::{ClusterOptions, LocalCluster},
};

use super::{
    machine::peak_resident,
    phases::{Phase, Phases},
    watcher::Watcher,
    window::Window,
};
use crate::support::{Job, Totals, TotalsBoard};

/// What is to be run.
#[derive(Clone)]
pub struct Trial {
    pub job: Job,
    /// Without them, no checkpoints are taken.
    pub checkpoints: Option<CheckpointOptions>,
    /// With more than one, all that goes between them and the job manager goes over TCP.
    pub task_managers: u32,
    /// Whether the first subtask of the sink fails once, when half of its records have come.
    pub fails: bool,
    /// Whether checkpoints are taken in some phases of the run only, in turn with as long ones without; a phase takes at least
    /// this long.
    pub phases: Option<Duration>,
}

/// The checkpoints of a run. Lists are of those that were triggered in its steady part and have completed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckpointFigures {
    /// Of the whole run.
    pub completed: u64,
    /// Of the whole run.
    pub aborted: u64,
    /// From the trigger until the checkpoint exists durably.
    pub duration_ms: Vec<f64>,
    /// From the trigger until the last task is aligned.
    pub barrier_ms: Vec<f64>,
    /// Of the task that took longest, from its first barrier until it was aligned.
    pub alignment_ms: Vec<f64>,
    /// Of the task that took longest, how long it stood still once aligned.
    pub synchronous_ms: Vec<f64>,
    /// What the tasks have written.
    pub bytes: Vec<u64>,
}

/// The failure that was asked for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Recovery {
    /// From the failure until the first record came after the restart.
    pub from_failure_ms: f64,
    /// The same from when the job manager knew; `None` if that is not told.
    #[serde(default)]
    pub from_detection_ms: Option<f64>,
    /// Whether there was a checkpoint to go back to.
    pub restored: bool,
}

/// What came of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// The steady part of the run, or all its phases with checkpoints.
    pub window: Window,
    /// The phases of its steady part, if it had any.
    #[serde(default)]
    pub phases: Vec<Phase>,
    pub totals: Totals,
    /// In bytes; 0 where the system does not tell.
    pub peak_resident: u64,
    #[serde(default)]
    pub checkpoints: CheckpointFigures,
    #[serde(default)]
    pub recovery: Option<Recovery>,
}

impl Trial {
    /// The job in one process, without checkpoints and without a failure.
    pub fn of(job: Job) -> Self {
        Self { job, checkpoints: None, task_managers: 1, fails: false, phases: None }
    }

    /// With a checkpoint so often.
    #[must_use]
    pub fn every(mut self, interval: Duration) -> Self {
        self.checkpoints = Some(CheckpointOptions { interval, ..CheckpointOptions::default() });
        self
    }

    /// With checkpoints in some phases of the run only, each as long as it must be for at least this long.
    #[must_use]
    pub fn in_phases(mut self, least: Duration) -> Self {
        self.phases = Some(least);
        self
    }

    /// Runs the job to its end beside the build, where a real disk is, and checks what came out.
    ///
    /// # Panics
    /// If the job fails, or its totals are wrong.
    pub fn run_checked(&self, expected: Totals) -> Measured {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the target directory is writable");
        let measured = self.run(directory.path());
        assert!(self.job.is_exact(measured.totals, expected), "{:?} instead of {expected:?}", measured.totals);
        measured
    }

    /// Runs the job to its end, in a cluster of its own in this process, with its checkpoints below `directory`.
    ///
    /// # Panics
    /// If the job fails.
    pub fn run(&self, directory: &Path) -> Measured {
        let half = self.job.records / 2 / u64::from(self.job.parallelism);
        let fail_at = self.fails.then_some(half);
        let board = Arc::new(TotalsBoard::new(self.job.parallelism).failing_at(fail_at));
        let phases = self.phases.map(|least| Phases::new(&self.job, board.clone(), least));
        let watcher = Watcher::new(phases.clone());
        let cluster = self.cluster(&board, directory);
        let job = thread::spawn({
            let watcher = watcher.clone();
            let is_alone = self.task_managers == 1;
            move || block_on(async move { cluster.run(if is_alone { env() } else { env_over_tcp() }, watcher).await })
        });
        let (begin, end) = Window::watch(&board, self.job.records, || job.is_finished());
        let status = job.join().expect("the cluster does not panic").expect("the cluster starts");
        assert_eq!(status, JobStatus::Finished, "the job of the bench must finish");
        let over = phases.as_ref().map_or(Vec::new(), |phases| phases.over());
        let with = Window::sum(over.iter().filter(|phase| phase.has_checkpoints).map(|phase| phase.window));
        let counts = |at| match &phases {
            // A run that was too short for a phase is taken as a whole.
            Some(phases) if with.is_some() => phases.count(at),
            _ => begin.clocks.at <= at && at < end.clocks.at,
        };
        Measured {
            window: with.unwrap_or_else(|| Window::between(&begin, &end)),
            totals: board.get(),
            peak_resident: peak_resident().unwrap_or(0),
            checkpoints: watcher.checkpoints(counts),
            recovery: recovery(&board, &watcher),
            phases: over,
        }
    }

    fn cluster(&self, board: &Arc<TotalsBoard>, directory: &Path) -> LocalCluster {
        let mut env = StreamExecutionEnvironment::new();
        env.set_parallelism(self.job.parallelism);
        if let Some(options) = &self.checkpoints {
            *env.checkpoint_options_mut() = options.clone();
            env.set_checkpoint_directory(directory);
        }
        if self.fails {
            env.set_restart_strategy(RestartStrategy::FixedDelay { attempts: 1, delay: Duration::ZERO });
        }
        self.job.build(&env, board);
        let mut options = ClusterOptions::new(Secret([7; 32]));
        options.batch_size = env.batch_size();
        options.buffer_timeout = env.buffer_timeout();
        LocalCluster {
            graph: Arc::new(env.job_graph("bench").expect("the job is valid")),
            checkpoint_directory: self.checkpoints.as_ref().map(|_| directory.to_owned()),
            restore: RestoreMode::Latest,
            task_managers: self.task_managers,
            address: Address::new("127.0.0.1:0"),
            options,
            cancel: None,
        }
    }
}

fn recovery(board: &TotalsBoard, watcher: &Watcher) -> Option<Recovery> {
    let ms_since = |at: &Instant| Some(board.first_after.get()?.duration_since(*at).as_secs_f64() * 1e3);
    let from_detection_ms = watcher.detected().and_then(|at| ms_since(&at));
    let restored = watcher.has_restored();
    Some(Recovery { from_failure_ms: ms_since(board.failed.get()?)?, from_detection_ms, restored })
}
