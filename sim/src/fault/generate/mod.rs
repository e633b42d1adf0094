//! A plan drawn from a seed: swarm testing, see `swarm`.
//!
//! Steps are drawn evenly over all that exist, so that the rare ones are reached as often as the common ones. Numbers of faults
//! are small: what matters is where they strike.

mod crash;
mod disk;
mod message;
mod network;
mod steps;
mod swarm;

use rand_chacha::ChaCha8Rng;
use tidegate::{graph::JobGraph, probe::StepKind};

use self::swarm::Swarm;
use super::{Action, Anchor, Fault, FaultPlan, Victim};
use crate::{env::Crash, seed::Draw};

/// The most faults of a plan that are none of messages and not aimed, those that follow another one not counted.
const MAX_FAULTS: u64 = 4;

/// In so many of a hundred seeds, storage itself is damaged.
const BEYOND: u64 = 6;

/// What a plan is drawn from.
struct Draws<'a> {
    random: &'a mut ChaCha8Rng,
    swarm: Swarm,
    graph: &'a JobGraph,
    /// `jm`, `tm-1`, …
    nodes: &'a [String],
    faults: Vec<Fault>,
}

/// Draws a plan for a job on a cluster of these nodes: `jm`, `tm-1`, …
#[must_use]
pub fn generate(random: &mut ChaCha8Rng, graph: &JobGraph, nodes: &[String]) -> FaultPlan {
    let swarm = Swarm::draw(random);
    let mut draws = Draws { random, swarm, graph, nodes, faults: Vec::new() };
    for _ in 0..draws.random.between(0, 2) {
        draws.aimed_crash();
    }
    for _ in 0..draws.random.between(0, MAX_FAULTS) {
        draws.fault();
    }
    draws.messages();
    if draws.random.chance(BEYOND) {
        draws.damage();
    }
    FaultPlan::new(draws.faults)
}

/// Whether a kind of fault is on, and what draws one.
type Knob<D> = (bool, fn(&mut D));

impl Draws<'_> {
    fn push(&mut self, at: Anchor, action: Action) {
        self.faults.push(Fault { at, action });
    }

    /// One of the kinds that this seed has.
    fn fault(&mut self) {
        let Swarm { tasks, task_managers, job_manager, replace, redeploy, pause, stalls, clocks, .. } = self.swarm;
        self.one_of(&[
            (tasks, Self::kill_task),
            (task_managers, Self::crash_task_manager),
            (job_manager, Self::crash_job_manager),
            (replace, Self::replace_task_manager),
            (redeploy, Self::redeploy),
            (pause, Self::pause),
            (stalls, Self::stall),
            (clocks, Self::jump_clock),
            (self.has_network_faults(), Self::network),
            (self.has_disk_faults(), Self::disk),
        ]);
    }

    /// Draws one of the kinds that are on, if any is.
    fn one_of(&mut self, kinds: &[Knob<Self>]) {
        let on: Vec<_> = kinds.iter().filter(|(on, _)| *on).map(|(_, draw)| draw).collect();
        if !on.is_empty() {
            let draw = *self.random.pick(&on);
            draw(self);
        }
    }

    fn stall(&mut self) {
        let us = self.random.between(100, 300_000);
        let at = self.anchor(StepKind::ALL);
        self.push(at, Action::Stall { us });
    }

    fn jump_clock(&mut self) {
        let by_ms = self.random.between(0, 10_000) as i64 - 5_000;
        let victim = self.node();
        let at = self.anchor(StepKind::ALL);
        self.push(at, Action::JumpClock { victim, by_ms });
    }

    /// A step, mostly whosever it is.
    fn anchor(&mut self, steps: &[StepKind]) -> Anchor {
        let step = *self.random.pick(steps);
        let subtasks: Vec<_> = self.graph.subtasks().collect();
        let subtask = *self.random.pick(&subtasks);
        // An actor that never takes the step would make the fault void.
        let actor = self.random.chance(25).then(|| self.graph.subtask_name(subtask));
        let checkpoint = self.random.chance(25).then(|| self.random.between(1, 6));
        let occurrence = self.random.between(1, if checkpoint.is_some() { 2 } else { 12 }) as u32;
        let occurrence = if self.random.chance(40) { 1 } else { occurrence };
        Anchor::Step { step, actor, checkpoint, occurrence }
    }

    /// The node that takes the step, or any.
    fn node(&mut self) -> Victim {
        match self.random.between(0, 3) {
            0 => Victim::JobManager,
            1 => Victim::TaskManager(self.task_manager()),
            _ => Victim::Here,
        }
    }

    fn task_manager(&mut self) -> String {
        self.random.pick(&self.nodes[1..]).clone()
    }
}

/// Whether a task takes the step, and is at work then: there is somebody to be killed.
#[must_use]
pub fn is_of_a_task(step: StepKind) -> bool {
    !steps::FROM_OUTSIDE_OF_TASKS.contains(&step)
}

/// Anybody's step.
fn at(step: StepKind, occurrence: u64) -> Anchor {
    Anchor::Step { step, actor: None, checkpoint: None, occurrence: occurrence as u32 }
}
