//! Tasks and nodes that die, stop, and come back.

use tidegate::probe::StepKind;

use super::{
    Action, Crash, Draws, Victim, at, is_of_a_task,
    steps::{ONCE, RECOVERY},
};
use crate::seed::Draw;

impl Draws<'_> {
    /// A crash at a step that is drawn evenly over all steps, of a kind that is drawn evenly; after something that makes the
    /// step happen at all, where that takes a failure.
    pub(super) fn aimed_crash(&mut self) {
        let step = *self.random.pick(StepKind::ALL);
        match step {
            StepKind::Declined | StepKind::AbortReceived | StepKind::CheckpointAborted => {
                let occurrence = self.random.between(1, 6);
                self.push(at(StepKind::SnapshotWritten, occurrence), Action::KillTask);
            }
            StepKind::TaskFailed => {
                let occurrence = self.random.between(1, 6);
                self.push(at(StepKind::Aligned, occurrence), Action::KillTask);
            }
            StepKind::TaskManagerLost
            | StepKind::RestartScheduled
            | StepKind::TaskCanceled
            | StepKind::SnapshotRead
            | StepKind::StaleFilesRemoved => {
                let victim = Victim::TaskManager(self.task_manager());
                let restart_after_us = self.soon();
                let action = Action::Crash { victim, crash: Crash::Process, restart_after_us };
                let occurrence = self.random.between(1, 3);
                self.push(at(StepKind::CommitDirectorySynced, occurrence), action);
            }
            _ => {}
        }
        let action = match self.random.between(0, 2) {
            0 if is_of_a_task(step) => Action::KillTask,
            kind => {
                let crash = if kind == 1 { Crash::Process } else { Crash::Power };
                let restart_after_us =
                    if self.random.chance(25) { self.random.between(100_000, 400_000) } else { self.soon() };
                Action::Crash { victim: Victim::Here, crash, restart_after_us }
            }
        };
        // Some steps happen once in a job.
        let most = if ONCE.contains(&step) { 1 } else { 2 * self.graph.subtasks().count() as u64 };
        let occurrence = if self.random.chance(40) { 1 } else { self.random.between(1, most) };
        self.push(at(step, occurrence), action);
    }

    pub(super) fn kill_task(&mut self) {
        let at = self.anchor(StepKind::ALL);
        self.push(at, Action::KillTask);
        self.second_blow();
    }

    pub(super) fn crash_task_manager(&mut self) {
        let victim = if self.random.chance(70) { Victim::Here } else { Victim::TaskManager(self.task_manager()) };
        let action = self.crash(victim);
        let at = self.anchor(StepKind::ALL);
        self.push(at, action);
        self.second_blow();
    }

    pub(super) fn crash_job_manager(&mut self) {
        let action = self.crash(Victim::JobManager);
        let at = self.anchor(StepKind::ALL);
        self.push(at, action);
        self.second_blow();
    }

    pub(super) fn replace_task_manager(&mut self) {
        let victim = Victim::TaskManager(self.task_manager());
        let crash = self.crash_kind();
        let after_us = self.random.between(500, 100_000);
        let at = self.anchor(StepKind::ALL);
        self.push(at, Action::Replace { victim, crash, after_us });
        self.second_blow();
    }

    pub(super) fn redeploy(&mut self) {
        let crash = self.crash_kind();
        let after_us = self.soon();
        let at = self.anchor(StepKind::ALL);
        self.push(at, Action::Redeploy { crash, after_us });
        self.second_blow();
    }

    /// Mostly longer than the heartbeat time-out: others take over, and then it wakes up.
    pub(super) fn pause(&mut self) {
        let victim = self.node();
        let for_us = if self.random.chance(25) {
            self.random.between(1_000, 50_000)
        } else {
            self.random.between(60_000, 400_000)
        };
        let at = self.anchor(StepKind::ALL);
        self.push(at, Action::Pause { victim, for_us });
    }

    /// A second crash, in the recovery from the first.
    fn second_blow(&mut self) {
        if !self.swarm.recovery || !self.random.chance(60) {
            return;
        }
        let mut victims = Vec::new();
        victims.extend(self.swarm.task_managers.then_some(Victim::Here));
        victims.extend(self.swarm.job_manager.then_some(Victim::JobManager));
        let action = match victims.is_empty() {
            true => Action::KillTask,
            false => {
                let victim = self.random.pick(&victims).clone();
                self.crash(victim)
            }
        };
        let step = *self.random.pick(RECOVERY);
        // The first attempt passes these steps too; so the second occurrence or later.
        let occurrence = self.random.between(1, 6);
        self.push(at(step, occurrence), action);
    }

    fn crash(&mut self, victim: Victim) -> Action {
        let crash = self.crash_kind();
        let late = self.swarm.late_restart && self.random.chance(50);
        let restart_after_us = if late { self.random.between(100_000, 400_000) } else { self.soon() };
        Action::Crash { victim, crash, restart_after_us }
    }

    fn crash_kind(&mut self) -> Crash {
        if self.swarm.power && self.random.chance(65) { Crash::Power } else { Crash::Process }
    }

    fn soon(&mut self) -> u64 {
        self.random.between(500, 20_000)
    }
}
