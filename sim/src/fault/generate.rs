//! A plan drawn from a seed.
//!
//! Swarm testing (Groce et al. 2012): each kind of fault is off in half of the seeds, so that faults do not always hide one
//! another. Steps are drawn evenly over all that exist, so that the rare ones are reached as often as the common ones.

use rand_chacha::ChaCha8Rng;
use tidegate::{graph::JobGraph, probe::StepKind};

use super::{Action, Anchor, Fault, FaultPlan, Victim};
use crate::{env::Crash, seed::Draw};

/// The most faults of a plan, those that follow another one not counted.
const MAX_FAULTS: u64 = 4;

/// Steps that follow a failure: where a second fault hits the recovery from the first.
const RECOVERY: &[StepKind] = &[
    StepKind::JobManagerStarted,
    StepKind::TermClaimed,
    StepKind::TaskManagerRegistered,
    StepKind::TaskManagerLost,
    StepKind::RestartScheduled,
    StepKind::RestorePointChosen,
    StepKind::AttemptStarted,
    StepKind::TaskDeployed,
    StepKind::TaskStarted,
    StepKind::SnapshotRead,
    StepKind::StateRestored,
    StepKind::TaskRunning,
    StepKind::AttemptRunning,
    StepKind::TaskCanceled,
    StepKind::PartRenamed,
    StepKind::CommitDirectorySynced,
    StepKind::Committed,
];

/// Steps that no task takes: there is no task to be killed at them.
const FROM_OUTSIDE_OF_TASKS: &[StepKind] = &[
    StepKind::JobManagerStarted,
    StepKind::TermClaimed,
    StepKind::RestorePointChosen,
    StepKind::TaskManagerRegistered,
    StepKind::TaskManagerLost,
    StepKind::AttemptStarted,
    StepKind::TaskDeployed,
    StepKind::ChannelOpened,
    StepKind::AttemptRunning,
    StepKind::CheckpointDirectorySynced,
    StepKind::CheckpointTriggered,
    StepKind::AcknowledgementReceived,
    StepKind::AllAcknowledged,
    StepKind::ManifestWritten,
    StepKind::ManifestSynced,
    StepKind::ManifestRenamed,
    StepKind::CheckpointCompleted,
    StepKind::CheckpointAborted,
    StepKind::CheckpointRetired,
    StepKind::CompletionNotified,
    StepKind::TaskFinished,
    StepKind::TaskFailed,
    StepKind::TaskCanceled,
    StepKind::RestartScheduled,
    StepKind::JobEnded,
];

/// Steps that happen once in a job, or after a rare failure: a later occurrence would seldom come.
const ONCE: &[StepKind] = &[
    StepKind::JobManagerStarted,
    StepKind::TermClaimed,
    StepKind::RestorePointChosen,
    StepKind::AttemptStarted,
    StepKind::AttemptRunning,
    StepKind::TaskManagerLost,
    StepKind::RestartScheduled,
    StepKind::CheckpointAborted,
    StepKind::Declined,
    StepKind::AbortReceived,
    StepKind::TaskFailed,
    StepKind::CheckpointRetired,
    StepKind::JobEnded,
];

/// Which kinds of fault a seed has.
struct Swarm {
    tasks: bool,
    task_managers: bool,
    job_manager: bool,
    power: bool,
    late_restart: bool,
    network: bool,
    stalls: bool,
    recovery: bool,
}

/// Draws a plan for a job on a cluster of these nodes: `jm`, `tm-1`, …
#[must_use]
pub fn generate(random: &mut ChaCha8Rng, graph: &JobGraph, nodes: &[String]) -> FaultPlan {
    let swarm = Swarm {
        tasks: random.chance(50),
        task_managers: random.chance(50),
        job_manager: random.chance(50),
        power: random.chance(50),
        late_restart: random.chance(50),
        network: random.chance(50),
        stalls: random.chance(50),
        recovery: random.chance(60),
    };
    let mut faults = Vec::new();
    for _ in 0..random.between(0, 2) {
        aimed_crash(random, graph, nodes, &mut faults);
    }
    for _ in 0..random.between(0, MAX_FAULTS) {
        let Some(action) = action(random, &swarm, nodes) else { continue };
        let deadly = matches!(action, Action::KillTask | Action::Crash { .. });
        let at = match &action {
            Action::Partition { .. } | Action::DelayLink { .. } | Action::ResetConnections { .. }
                if random.chance(50) =>
            {
                Anchor::Time { us: random.between(1_000, 150_000) }
            }
            _ => anchor(random, StepKind::ALL, graph),
        };
        faults.push(Fault { at, action });
        if deadly && swarm.recovery && random.chance(50) {
            let Some(action) = action_of_recovery(random, &swarm) else { continue };
            let step = *random.pick(RECOVERY);
            // The first attempt passes these steps too; so the second occurrence or later.
            let occurrence = random.between(1, 6) as u32;
            faults.push(Fault { at: Anchor::Step { step, actor: None, checkpoint: None, occurrence }, action });
        }
    }
    FaultPlan::new(faults)
}

/// A crash at a step that is drawn evenly over all steps, of a kind that is drawn evenly; after something that makes the step
/// happen at all, where that takes a failure.
fn aimed_crash(random: &mut ChaCha8Rng, graph: &JobGraph, nodes: &[String], faults: &mut Vec<Fault>) {
    let step = *random.pick(StepKind::ALL);
    let at = |step, occurrence| Anchor::Step { step, actor: None, checkpoint: None, occurrence };
    let soon = |random: &mut ChaCha8Rng| random.between(500, 20_000);
    match step {
        StepKind::Declined | StepKind::AbortReceived | StepKind::CheckpointAborted => {
            faults.push(Fault {
                at: at(StepKind::SnapshotWritten, random.between(1, 6) as u32),
                action: Action::KillTask,
            });
        }
        StepKind::TaskFailed => {
            faults.push(Fault { at: at(StepKind::Aligned, random.between(1, 6) as u32), action: Action::KillTask });
        }
        StepKind::TaskManagerLost | StepKind::RestartScheduled | StepKind::TaskCanceled | StepKind::SnapshotRead => {
            let victim = Victim::TaskManager(random.pick(&nodes[1..]).clone());
            let action = Action::Crash { victim, crash: Crash::Process, restart_after_us: soon(random) };
            faults.push(Fault { at: at(StepKind::CommitDirectorySynced, random.between(1, 3) as u32), action });
        }
        _ => {}
    }
    let action = match random.between(0, 2) {
        0 if !FROM_OUTSIDE_OF_TASKS.contains(&step) => Action::KillTask,
        kind => {
            let crash = if kind == 1 { Crash::Process } else { Crash::Power };
            let late = random.chance(25);
            let restart_after_us = if late { random.between(100_000, 400_000) } else { soon(random) };
            Action::Crash { victim: Victim::Here, crash, restart_after_us }
        }
    };
    // Some steps happen once in a job.
    let most = if ONCE.contains(&step) { 1 } else { 2 * graph.subtasks().count() as u64 };
    let occurrence = if random.chance(40) { 1 } else { random.between(1, most) as u32 };
    faults.push(Fault { at: at(step, occurrence), action });
}

fn anchor(random: &mut ChaCha8Rng, steps: &[StepKind], graph: &JobGraph) -> Anchor {
    let step = *random.pick(steps);
    let subtasks: Vec<_> = graph.subtasks().collect();
    let subtask = *random.pick(&subtasks);
    // An actor that never takes the step would make the fault void; so mostly anybody's step, some occurrences later.
    let actor = random.chance(25).then(|| graph.subtask_name(subtask));
    let checkpoint = random.chance(25).then(|| random.between(1, 6));
    let occurrence = random.between(1, if checkpoint.is_some() { 2 } else { 12 }) as u32;
    let occurrence = if random.chance(40) { 1 } else { occurrence };
    Anchor::Step { step, actor, checkpoint, occurrence }
}

fn crash(random: &mut ChaCha8Rng, swarm: &Swarm, victim: Victim) -> Action {
    let crash = if swarm.power && random.chance(65) { Crash::Power } else { Crash::Process };
    let late = swarm.late_restart && random.chance(50);
    let restart_after_us = if late { random.between(100_000, 400_000) } else { random.between(500, 20_000) };
    Action::Crash { victim, crash, restart_after_us }
}

fn action(random: &mut ChaCha8Rng, swarm: &Swarm, nodes: &[String]) -> Option<Action> {
    let mut kinds = Vec::new();
    kinds.extend(swarm.tasks.then_some(0));
    kinds.extend(swarm.task_managers.then_some(1));
    kinds.extend(swarm.job_manager.then_some(2));
    kinds.extend(swarm.network.then_some(3));
    kinds.extend(swarm.stalls.then_some(4));
    if kinds.is_empty() {
        return None;
    }
    Some(match random.pick(&kinds) {
        0 => Action::KillTask,
        1 if random.chance(70) => crash(random, swarm, Victim::Here),
        1 => {
            let name = random.pick(&nodes[1..]).clone();
            crash(random, swarm, Victim::TaskManager(name))
        }
        2 => crash(random, swarm, Victim::JobManager),
        3 => network(random, nodes),
        _ => Action::Stall { us: random.between(100, 300_000) },
    })
}

fn action_of_recovery(random: &mut ChaCha8Rng, swarm: &Swarm) -> Option<Action> {
    let mut victims = Vec::new();
    victims.extend(swarm.task_managers.then_some(Victim::Here));
    victims.extend(swarm.job_manager.then_some(Victim::JobManager));
    if victims.is_empty() {
        return swarm.tasks.then_some(Action::KillTask);
    }
    let victim = random.pick(&victims).clone();
    Some(crash(random, swarm, victim))
}

fn network(random: &mut ChaCha8Rng, nodes: &[String]) -> Action {
    let a = random.pick(nodes).clone();
    let others: Vec<&String> = nodes.iter().filter(|n| **n != a).collect();
    let b = (*random.pick(&others)).clone();
    match random.between(0, 2) {
        0 => Action::Partition { a, b, heal_after_us: random.between(5_000, 400_000) },
        1 => {
            let (extra_us, for_us) = (random.between(500, 50_000), random.between(5_000, 200_000));
            Action::DelayLink { a, b, extra_us, for_us }
        }
        _ => Action::ResetConnections { a, b },
    }
}
