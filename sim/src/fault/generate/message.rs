//! Control messages that are lost, late or doubled: the normal case, and so several in a plan.

use tidegate::runtime::MessageKind;

use super::{Action, Anchor, Draws};
use crate::seed::Draw;

/// The most faults of each kind.
const MOST: u64 = 4;

/// What is sent after a failure only: a later occurrence would seldom come.
const SELDOM: &[MessageKind] = &[MessageKind::Decline, MessageKind::NotifyAborted];

impl Draws<'_> {
    pub(super) fn messages(&mut self) {
        if self.swarm.lost_messages {
            for _ in 0..self.random.between(1, MOST) {
                self.message(MessageKind::LOSABLE, |_| Action::LoseMessage);
            }
        }
        if self.swarm.late_messages {
            for _ in 0..self.random.between(1, MOST) {
                self.message(MessageKind::LOSABLE, |draws| Action::DelayMessage { by_us: draws.lateness() });
            }
        }
        if self.swarm.repeated_messages {
            for _ in 0..self.random.between(1, MOST) {
                self.message(MessageKind::ALL, |draws| Action::RepeatMessage { after_us: draws.lateness() });
            }
        }
    }

    fn message(&mut self, kinds: &[MessageKind], action: impl FnOnce(&mut Self) -> Action) {
        let action = action(self);
        let message = *self.random.pick(kinds);
        let task_manager = self.random.chance(25).then(|| self.task_manager());
        let most = if SELDOM.contains(&message) { 2 } else { 12 };
        let occurrence = self.random.between(1, most) as u32;
        self.push(Anchor::Message { message, task_manager, checkpoint: None, occurrence }, action);
    }

    /// From a little to long after a restart.
    fn lateness(&mut self) -> u64 {
        if self.random.chance(50) { self.random.between(100, 5_000) } else { self.random.between(5_000, 150_000) }
    }
}
