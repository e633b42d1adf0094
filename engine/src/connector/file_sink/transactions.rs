//! What is prepared and not surely committed. To be replaced by `checkpoint::SinkTransactions` once that is merged.

use crate::{
    id::{AttemptId, CheckpointId},
    operator::CompletionNotification,
};

pub(super) struct SinkTransactions<C> {
    attempt: AttemptId,
    in_doubt: Vec<(CheckpointId, C)>,
}

impl<C: Clone> SinkTransactions<C> {
    pub fn new(attempt: AttemptId) -> Self {
        Self { attempt, in_doubt: Vec::new() }
    }

    pub fn prepared(&mut self, checkpoint: CheckpointId, committables: Vec<C>) {
        self.in_doubt.extend(committables.into_iter().map(|c| (checkpoint, c)));
    }

    pub fn in_doubt(&self) -> Vec<(CheckpointId, C)> {
        self.in_doubt.clone()
    }

    pub fn complete(&mut self, notification: CompletionNotification) -> Vec<C> {
        if notification.attempt != self.attempt {
            return Vec::new();
        }
        let due = self.in_doubt.extract_if(.., |(id, _)| *id <= notification.checkpoint);
        due.map(|(_, c)| c).collect()
    }
}
