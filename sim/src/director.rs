//! Leads a run from its start to its end, outside of all nodes.
//!
//! ```text
//!   safety: faults happen, and end ──► 10 s: what is left is void, what is broken is mended ──► liveness: 30 s to the end
//! ```
//!
//! The second phase also begins as soon as nothing is broken any more; whatever happens later begins it anew. A job that does
//! not end within it is stuck: explained, if the plan has taken away what no job can do without, else a broken promise.

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use futures_util::future::{Either, select};
use tidegate::{
    error::{Error, ErrorKind},
    instant::Instant,
    probe::{Fact, JobStatus, Step},
};
use tokio::sync::mpsc;

use crate::{
    cluster::{JOB_MANAGER, Order, Stage},
    disturb::Relief,
    fault::{Action, Anchor, FaultPlan, Guarantee},
    history::Event,
    run::{Ending, Expectation, Fired, RunSpec},
};

/// How long, in virtual time, faults may happen.
const SAFETY_PHASE: Duration = Duration::from_secs(10);

/// How long, in virtual time, a job may take from the last disturbance to its end.
const LIVENESS_LIMIT: Duration = Duration::from_secs(30);

/// Carries out what is to happen later, and waits for the job's end.
pub(crate) struct Director {
    stage: Arc<Stage>,
    guarantee: Guarantee,
    expectation: Expectation,
    /// By time, then by order of asking.
    agenda: BTreeMap<(Instant, u64), Task>,
    asked: u64,
    /// When the run was last disturbed.
    disturbed: Instant,
}

enum Task {
    Relieve(Relief),
    Fault(usize, Action),
    EndSafetyPhase,
}

impl Director {
    pub(crate) fn new(stage: Arc<Stage>, spec: &RunSpec) -> Self {
        let FaultPlan { guarantee, faults, .. } = &spec.plan;
        let mut director = Self {
            stage,
            guarantee: *guarantee,
            expectation: spec.expectation,
            agenda: BTreeMap::new(),
            asked: 0,
            disturbed: Instant(0),
        };
        for (i, fault) in faults.iter().enumerate() {
            if let Anchor::Time { us } = fault.at {
                director.plan(Instant(us.saturating_mul(1_000)), Task::Fault(i, fault.action.clone()));
            }
        }
        if !faults.is_empty() {
            director.plan(Instant(0) + SAFETY_PHASE, Task::EndSafetyPhase);
        }
        director
    }

    fn plan(&mut self, at: Instant, task: Task) {
        self.asked += 1;
        self.agenda.insert((at, self.asked), task);
    }

    /// Until the job has ended, or it is clear that it will not. Gives also when the run was last disturbed.
    pub(crate) async fn run(
        mut self,
        mut incoming: mpsc::UnboundedReceiver<Order>,
    ) -> (Result<Ending, String>, Instant) {
        loop {
            let deadline = self.disturbed + LIVENESS_LIMIT;
            let next = self.agenda.keys().next().map_or(deadline, |(at, _)| *at);
            let sleep = self.stage.world.sleep_until(next);
            let ended = match select(pin!(incoming.recv()), sleep).await {
                Either::Left((order, _)) => self.obey(order.expect("the stage holds a sender")),
                Either::Right(_) => match self.agenda.pop_first() {
                    Some((_, task)) => {
                        self.carry_out(task);
                        None
                    }
                    None => Some(self.stuck()),
                },
            };
            if let Some(ending) = ended {
                return (ending, self.disturbed);
            }
        }
    }

    fn obey(&mut self, order: Order) -> Option<Result<Ending, String>> {
        match order {
            Order::Relieve { relief, at } => {
                self.disturbed = self.stage.now();
                self.plan(at, Task::Relieve(relief));
                None
            }
            Order::Returned { result: Ok(Some(status)), .. } => Some(self.ended(status)),
            // A task manager has heard that the job has ended.
            Order::Returned { result: Ok(None), .. } => None,
            Order::Returned { node, result: Err(error) } => Some(self.gave_up(&node, &error)),
        }
    }

    fn ended(&self, status: JobStatus) -> Result<Ending, String> {
        match (status, self.expectation) {
            (JobStatus::Finished, Expectation::Finishes) => Ok(Ending::Finished),
            (JobStatus::Failed(error), Expectation::FailsWith(kind)) if error.kind == kind => {
                Ok(Ending::Failed(error.to_string()))
            }
            (JobStatus::Failed(error), _) if self.is_told_damage(&error) => Ok(Ending::Failed(error.to_string())),
            (status, expectation) => Err(format!("the job ended as {status:?}, but it {}", expected(expectation))),
        }
    }

    fn gave_up(&self, node: &str, error: &Error) -> Result<Ending, String> {
        if node == JOB_MANAGER && self.is_told_damage(error) {
            return Ok(Ending::Failed(error.to_string()));
        }
        Err(format!("node {node} gave up: {error}"))
    }

    /// Beyond the guarantee, an error that names the damage is a good ending. So is a refusal: to who starts where a manifest
    /// is gone, the output of its checkpoint is what does not fit.
    fn is_told_damage(&self, error: &Error) -> bool {
        self.guarantee == Guarantee::Beyond && matches!(error.kind, ErrorKind::Damaged | ErrorKind::BadInput)
    }

    fn carry_out(&mut self, task: Task) {
        self.disturbed = self.stage.now();
        match task {
            Task::Relieve(relief) => self.stage.relieve(&relief),
            Task::Fault(fault, action) => {
                let event = self.stage.recorder.look(|history| history.entries.len());
                if self.stage.disturb(JOB_MANAGER, &action) {
                    self.stage.judge().fired.push(Fired { fault, action, step: None, message: None, event });
                }
            }
            Task::EndSafetyPhase => {
                self.stage.judge().matcher.disarm();
                for task in std::mem::take(&mut self.agenda).into_values() {
                    if let Task::Relieve(relief) = task {
                        self.stage.relieve(&relief);
                    }
                }
                self.stage.world.network.heal_all();
                self.stage.world.disk.forgive();
            }
        }
    }

    /// The job has not ended in time: why?
    fn stuck(&self) -> Result<Ending, String> {
        let alive = self.stage.node_ids().into_keys().filter(|n| n != JOB_MANAGER && self.stage.world.is_alive(n));
        let slots = alive.count() as u32 * self.stage.shape.slots;
        let needed = self.stage.graph().vertices.iter().map(|v| v.parallelism).max().unwrap_or(0);
        if slots < needed {
            return Ok(Ending::Explained(format!("{slots} slots are left, and the job needs {needed}")));
        }
        if !self.stage.world.is_alive(JOB_MANAGER) {
            return Ok(Ending::Explained("the job manager is gone for good".into()));
        }
        if self.stage.world.disk.is_short_of_room() {
            return Ok(Ending::Explained("the disk is full for ever".into()));
        }
        let (attempts, last) = self.stage.recorder.look(|history| {
            let late = history.entries.iter().filter(|e| e.at > self.disturbed);
            let facts = late.filter_map(|e| if let Event::Fact(fact) = &e.event { Some(fact) } else { None });
            let (mut attempts, mut last) = (0, None);
            for Fact { step, .. } in facts {
                attempts += u32::from(matches!(step, Step::AttemptStarted { .. }));
                if let Step::RestartScheduled { error, .. } = step {
                    last = Some(error.clone());
                }
            }
            (attempts, last)
        });
        match last {
            Some(error) if self.is_told_damage(&error) => Ok(Ending::Failed(error.to_string())),
            Some(error) => Err(format!(
                "livelock: nothing is broken any more, and the job has not ended within {LIVENESS_LIMIT:?} of virtual time, in \
                 {attempts} attempts, the last of which failed: {error}"
            )),
            None => Err(format!(
                "nothing is broken any more, and the job has not ended within {LIVENESS_LIMIT:?} of virtual time"
            )),
        }
    }
}

fn expected(expectation: Expectation) -> String {
    match expectation {
        Expectation::Finishes => "should finish".into(),
        Expectation::FailsWith(kind) => format!("should fail with {kind:?}"),
    }
}
