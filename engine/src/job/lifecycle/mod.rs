//! From the first task manager to the end of the job: when it is deployed, what a failure leads to, when it is over.
//!
//! ```text
//!   WaitingForResources ──enough slots──► Restoring ──restore point read──► Deploying ──all tasks run──► Running
//!        ▲                                    │ a task or task manager fails        │                      │
//!        └────delay over──── Restarting ◄─────┴─────────────────────────────────────┴──────────────────────┤
//!                                             an error that no restart can mend, or too many failures ──►  │
//!                                                                                     Ended ◄── CleaningUp ◄┘ all committed
//! ```
//!
//! A failure of any task restarts all of them, as a new attempt, from the newest completed checkpoint. Canceling the old
//! tasks is not awaited: attempts fence them.

mod message;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    time::Duration,
};

pub use self::message::{LifecycleCommand, LifecycleEvent};
use super::{RestartPolicy, RestartStrategy, assign};
use crate::{
    error::{Error, ErrorKind},
    id::{AttemptId, SubtaskId, TaskId, TaskManagerId, VertexId},
    instant::Instant,
    probe::{JobStatus, Step},
};

/// The failure of one task breaks its connections to others, and their complaint may be heard first. So long the job manager
/// waits, before it gives up for good, for the one that tells the reason.
const ROOT_CAUSE_WAIT: Duration = Duration::from_millis(200);

/// Where the job is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// There are too few slots.
    WaitingForResources,
    /// The restore point is being read.
    Restoring,
    /// Tasks are starting; these do not run yet.
    Deploying {
        /// The tasks that have not reported that they run.
        waiting: BTreeSet<SubtaskId>,
    },
    /// All tasks run.
    Running,
    /// Waiting for the restart delay to pass.
    Restarting {
        /// Until then.
        until: Instant,
    },
    /// No restart is left. A task lost its connection to another one, which may be about to say what went wrong there.
    GivingUp {
        /// What failed.
        error: Error,
        /// In this attempt.
        attempt: AttemptId,
        /// So long is waited for a better reason.
        until: Instant,
    },
    /// All output is committed; the end is being recorded.
    CleaningUp,
    /// Over.
    Ended,
}

/// The job's way from start to end.
///
/// Feed it with `handle`, and with `on_deadline` when `next_deadline` has passed; carry out the commands in order.
#[derive(Debug)]
pub struct Lifecycle {
    term: u32,
    vertices: Vec<(VertexId, u32)>,
    policy: RestartPolicy,
    takes_checkpoints: bool,
    phase: Phase,
    task_managers: BTreeMap<TaskManagerId, u32>,
    /// How many attempts were started.
    attempts: u32,
    /// Where the tasks of the current attempt are; empty between attempts.
    assignment: BTreeMap<SubtaskId, TaskManagerId>,
    finished: BTreeSet<SubtaskId>,
}

impl Lifecycle {
    /// A job of these vertices with their parallelism, run by the job manager of this term.
    #[must_use]
    pub fn new(term: u32, vertices: Vec<(VertexId, u32)>, strategy: RestartStrategy, takes_checkpoints: bool) -> Self {
        Self {
            term,
            vertices,
            policy: RestartPolicy::new(strategy),
            takes_checkpoints,
            phase: Phase::WaitingForResources,
            task_managers: BTreeMap::new(),
            attempts: 0,
            assignment: BTreeMap::new(),
            finished: BTreeSet::new(),
        }
    }

    /// Where the job is.
    #[must_use]
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// The attempt whose tasks are deployed.
    #[must_use]
    pub fn attempt(&self) -> Option<AttemptId> {
        (!self.assignment.is_empty()).then_some(AttemptId { term: self.term, number: self.attempts })
    }

    /// When `on_deadline` wants to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Restarting { until } | Phase::GivingUp { until, .. } => Some(until),
            _ => None,
        }
    }

    /// The time that `next_deadline` gave may have come.
    pub fn on_deadline(&mut self, now: Instant, out: &mut Vec<LifecycleCommand>) {
        if self.next_deadline().is_none_or(|at| at > now) {
            return;
        }
        if let Phase::GivingUp { error, .. } = &self.phase {
            self.end(JobStatus::Failed(error.clone()), out);
        } else {
            self.phase = Phase::WaitingForResources;
            self.start_if_possible(out);
        }
    }

    /// Something has happened.
    pub fn handle(&mut self, now: Instant, event: LifecycleEvent, out: &mut Vec<LifecycleCommand>) {
        if self.phase == Phase::Ended {
            return;
        }
        match event {
            LifecycleEvent::TaskManagerRegistered { id, slots } => {
                self.task_managers.insert(id, slots);
                self.start_if_possible(out);
            }
            LifecycleEvent::TaskManagerLost { id } => {
                self.task_managers.remove(&id);
                let lost = self.assignment.iter().find(|(s, tm)| **tm == id && !self.finished.contains(s));
                if let Some((subtask, _)) = lost {
                    let error = Error::unavailable(format!("task manager {id} is lost, which ran {subtask}"));
                    self.fail(now, error, out);
                }
            }
            LifecycleEvent::RestorePointRead => self.deploy(out),
            LifecycleEvent::RestoreFailed { error } => {
                if self.phase == Phase::Restoring {
                    self.fail(now, error, out);
                }
            }
            LifecycleEvent::TaskRunning { task } => self.task_running(task, out),
            LifecycleEvent::TaskFinished { task } => self.task_finished(task, out),
            LifecycleEvent::TaskFailed { task, error } => {
                if matches!(self.phase, Phase::GivingUp { attempt, .. } if attempt == task.attempt) {
                    if error.kind != ErrorKind::Unavailable {
                        self.end(JobStatus::Failed(error), out);
                    }
                    return;
                }
                // A failure of a superseded attempt has been answered already (FLINK-13593).
                if self.attempt() == Some(task.attempt) {
                    self.fail(now, error, out);
                }
            }
            LifecycleEvent::AttemptFailed { error } => {
                if self.attempt().is_some() {
                    self.fail(now, error, out);
                }
            }
            LifecycleEvent::AllCommitted => {
                if let (Some(attempt), Phase::Running) = (self.attempt(), &self.phase) {
                    self.phase = Phase::CleaningUp;
                    out.extend([LifecycleCommand::FinishTasks { attempt }, LifecycleCommand::CleanUp]);
                }
            }
            LifecycleEvent::CleanedUp => {
                if self.phase == Phase::CleaningUp {
                    self.end(JobStatus::Finished, out);
                }
            }
            LifecycleEvent::CancelRequested => {
                // Once all is committed the job is as good as finished.
                if self.phase != Phase::CleaningUp {
                    self.abandon_attempt(out);
                    self.end(JobStatus::Canceled, out);
                }
            }
        }
    }

    /// What must hold between any two events.
    pub fn assert_invariants(&self) {
        let deployed = matches!(self.phase, Phase::Deploying { .. } | Phase::Running | Phase::CleaningUp);
        assert_eq!(deployed, !self.assignment.is_empty(), "phase {:?}", self.phase);
        if let Phase::Deploying { waiting } = &self.phase {
            assert!(!waiting.is_empty() && waiting.iter().all(|s| self.assignment.contains_key(s)));
        }
    }

    fn start_if_possible(&mut self, out: &mut Vec<LifecycleCommand>) {
        if self.phase == Phase::WaitingForResources && assign(&self.vertices, &self.task_managers).is_some() {
            self.phase = Phase::Restoring;
            out.push(LifecycleCommand::ReadRestorePoint);
        }
    }

    fn deploy(&mut self, out: &mut Vec<LifecycleCommand>) {
        if self.phase != Phase::Restoring {
            return;
        }
        // Task managers may have gone while the restore point was read.
        let Some(assignment) = assign(&self.vertices, &self.task_managers) else {
            self.phase = Phase::WaitingForResources;
            return;
        };
        self.attempts += 1;
        self.finished.clear();
        self.phase = Phase::Deploying { waiting: assignment.keys().copied().collect() };
        self.assignment = assignment.clone();
        let attempt = AttemptId { term: self.term, number: self.attempts };
        out.push(LifecycleCommand::Deploy { attempt, assignment });
    }

    fn task_running(&mut self, task: TaskId, out: &mut Vec<LifecycleCommand>) {
        if self.attempt() != Some(task.attempt) {
            return;
        }
        if let Phase::Deploying { waiting } = &mut self.phase {
            waiting.remove(&task.subtask);
            if waiting.is_empty() {
                self.phase = Phase::Running;
                out.push(LifecycleCommand::AttemptRunning { attempt: task.attempt });
            }
        }
    }

    /// Without checkpoints tasks end by themselves, and the job with the last of them.
    fn task_finished(&mut self, task: TaskId, out: &mut Vec<LifecycleCommand>) {
        if self.attempt() != Some(task.attempt) {
            return;
        }
        self.finished.insert(task.subtask);
        let all = self.finished.len() == self.assignment.len();
        if all && !self.takes_checkpoints && self.phase != Phase::CleaningUp {
            self.phase = Phase::CleaningUp;
            out.push(LifecycleCommand::CleanUp);
        }
    }

    fn fail(&mut self, now: Instant, error: Error, out: &mut Vec<LifecycleCommand>) {
        if self.phase == Phase::CleaningUp {
            // All output is committed; what happens to the tasks now changes nothing.
            return;
        }
        let attempt = self.attempt();
        self.abandon_attempt(out);
        let delay = if error.may_be_retried() { self.policy.on_failure(now) } else { None };
        match (delay, attempt) {
            (Some(delay), _) => {
                self.phase = Phase::Restarting { until: now + delay };
                out.push(LifecycleCommand::Report { step: Step::RestartScheduled { delay, error } });
            }
            (None, Some(attempt)) if error.kind == ErrorKind::Unavailable => {
                self.phase = Phase::GivingUp { error, attempt, until: now + ROOT_CAUSE_WAIT };
            }
            (None, _) => self.end(JobStatus::Failed(error), out),
        }
    }

    fn abandon_attempt(&mut self, out: &mut Vec<LifecycleCommand>) {
        if let Some(attempt) = self.attempt() {
            out.extend([LifecycleCommand::EndAttempt { attempt }, LifecycleCommand::CancelTasks { attempt }]);
            mem::take(&mut self.assignment);
        }
    }

    fn end(&mut self, status: JobStatus, out: &mut Vec<LifecycleCommand>) {
        self.phase = Phase::Ended;
        self.assignment.clear();
        out.push(LifecycleCommand::End { status });
    }
}
