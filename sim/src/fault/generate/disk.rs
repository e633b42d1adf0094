//! Disks that fail, hang, fill up, or damage what they hold.

use tidegate::probe::StepKind;

use super::{Action, Crash, Draws, Swarm, Victim, at, steps::NEXT_ON_DISK};
use crate::{
    env::DiskOp,
    fault::{Damage, DiskError, FileKind},
    seed::Draw,
};

const OPERATIONS: &[DiskOp] =
    &[DiskOp::Open, DiskOp::Read, DiskOp::Write, DiskOp::Sync, DiskOp::Rename, DiskOp::SyncDir, DiskOp::Other];

impl Draws<'_> {
    pub(super) fn has_disk_faults(&self) -> bool {
        let s = &self.swarm;
        s.disk_errors || s.no_space || s.after_effect || s.disk_stalls || s.full_disk
    }

    pub(super) fn disk(&mut self) {
        let Swarm { disk_errors, no_space, after_effect, disk_stalls, full_disk, .. } = self.swarm;
        self.one_of(&[
            (disk_errors, Self::disk_error),
            (no_space, Self::no_space),
            (after_effect, Self::after_effect),
            (disk_stalls, Self::stall_disk),
            (full_disk, Self::fill_disk),
        ]);
    }

    fn disk_error(&mut self) {
        self.failure(DiskError::Io);
    }

    fn after_effect(&mut self) {
        self.failure(DiskError::AfterEffect);
    }

    /// Mostly where the operation is known to come next.
    fn failure(&mut self, error: DiskError) {
        if self.random.chance(75) {
            let (step, op) = *self.random.pick(NEXT_ON_DISK);
            let occurrence = self.random.between(1, 6);
            self.push(at(step, occurrence), Action::FailDisk { victim: Victim::Here, op, error });
        } else {
            let op = *self.random.pick(OPERATIONS);
            let victim = self.node();
            let at = self.anchor(StepKind::ALL);
            self.push(at, Action::FailDisk { victim, op, error });
        }
    }

    fn no_space(&mut self) {
        let victim = self.node();
        let at = self.anchor(StepKind::ALL);
        self.push(at, Action::FailDisk { victim, op: DiskOp::Write, error: DiskError::NoSpace });
    }

    fn stall_disk(&mut self) {
        let victim = self.node();
        let for_us = self.random.between(1_000, 400_000);
        let at = self.anchor(StepKind::ALL);
        self.push(at, Action::StallDisk { victim, for_us });
    }

    fn fill_disk(&mut self) {
        let (room_bytes, for_us) = (self.random.between(0, 4_000), self.random.between(5_000, 300_000));
        let at = self.anchor(StepKind::ALL);
        self.push(at, Action::FillDisk { room_bytes, for_us: Some(for_us) });
    }

    /// Beyond the guarantee: what is stored is damaged, and then read.
    pub(super) fn damage(&mut self) {
        let file = *self.random.pick(&[FileKind::Snapshot, FileKind::Manifest]);
        let occurrence = self.random.between(1, 4);
        if self.random.chance(25) {
            let action = Action::MisdirectWrite { victim: Victim::Here, file };
            let step = if file == FileKind::Manifest { StepKind::AllAcknowledged } else { StepKind::StateFrozen };
            self.push(at(step, occurrence), action);
        } else {
            let damage = Damage::draw(self.random);
            let step =
                *self.random.pick(&[StepKind::CheckpointCompleted, StepKind::Committed, StepKind::AttemptStarted]);
            self.push(at(step, occurrence), Action::DamageFile { file, damage });
        }
        let crash = *self.random.pick(&[Crash::Process, Crash::Power]);
        let victim = self.node();
        let occurrence = self.random.between(1, 4);
        let action = Action::Crash { victim, crash, restart_after_us: 5_000 };
        self.push(at(StepKind::CompletionNotified, occurrence), action);
    }
}
