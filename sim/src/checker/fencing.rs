//! I7: once an attempt has started, earlier ones acknowledge nothing and complete nothing, and what they make visible is
//! only what a checkpoint that was completed in their time allows. And a task takes records from tasks of its own attempt only.

use std::collections::BTreeMap;

use tidegate::{
    connector::PartFile,
    id::{AttemptId, CheckpointId},
    probe::{Actor, Fact, Step},
};

use super::{Checker, DiskView};

/// Knows which attempt is the current one.
#[derive(Default)]
pub(super) struct Fencing {
    current: Option<AttemptId>,
    /// The attempt whose acknowledgements count for each checkpoint.
    acknowledged: BTreeMap<CheckpointId, AttemptId>,
    /// Those of them that have completed.
    complete: BTreeMap<CheckpointId, AttemptId>,
    /// The restored checkpoint of each attempt.
    lineage: BTreeMap<AttemptId, Option<CheckpointId>>,
}

impl Fencing {
    /// Whether the checkpoint holds what the attempt prepared for `prepared_for`: the attempt took it itself, no earlier than
    /// that, or a later attempt that took it had restored one that holds it.
    fn holds(&self, mut checkpoint: CheckpointId, attempt: AttemptId, prepared_for: CheckpointId) -> bool {
        while checkpoint >= prepared_for {
            match self.complete.get(&checkpoint) {
                Some(by) if *by == attempt => return true,
                Some(by) => match self.lineage.get(by).copied().flatten() {
                    Some(restored) if restored < checkpoint => checkpoint = restored,
                    _ => return false,
                },
                None => return false,
            }
        }
        false
    }
}

fn show(attempt: Option<AttemptId>) -> String {
    attempt.map_or_else(|| "no attempt".to_owned(), |attempt| format!("attempt {attempt}"))
}

impl Checker for Fencing {
    fn id(&self) -> &'static str {
        "I7"
    }

    fn observe(&mut self, fact: &Fact, _: &dyn DiskView) -> Result<(), String> {
        match (&fact.step, fact.checkpoint) {
            (Step::AttemptStarted { attempt, restored }, _) => {
                if self.current >= Some(*attempt) {
                    return Err(format!("attempt {attempt} starts after {}", show(self.current)));
                }
                self.current = Some(*attempt);
                self.lineage.insert(*attempt, *restored);
            }
            (Step::ChannelOpened { channel, producer, consumer }, _) if producer != consumer => {
                return Err(format!("channel {channel} of attempt {producer} leads into a task of attempt {consumer}"));
            }
            (Step::AcknowledgementReceived { task }, Some(id)) => {
                if Some(task.attempt) != self.current {
                    return Err(format!("an acknowledgement of {task} counts for checkpoint {id} of a later attempt"));
                }
                self.acknowledged.insert(id, task.attempt);
            }
            (Step::CheckpointCompleted, Some(id)) => {
                let by = self.acknowledged.get(&id).copied();
                if by.is_none() || by != self.current {
                    let (by, current) = (show(by), show(self.current));
                    return Err(format!("checkpoint {id} of {by} completes in {current}"));
                }
                self.complete.extend(by.map(|by| (id, by)));
            }
            // A crash may have kept it from being called complete.
            (Step::RestorePointChosen { restored: Some(id) }, _) => {
                self.complete.extend(self.acknowledged.get(id).map(|by| (*id, *by)));
            }
            (Step::PartRenamed { path }, _) => {
                let name = path.file_name().and_then(|n| n.to_str()).and_then(PartFile::parse);
                let Some(PartFile::Visible(part, prepared_for)) = name else { return Ok(()) };
                let allowed =
                    self.complete.range(prepared_for..).any(|(id, _)| self.holds(*id, part.attempt, prepared_for));
                if !allowed {
                    let attempt = part.attempt;
                    return Err(format!(
                        "{} of attempt {attempt} is made visible, but no checkpoint holds it",
                        path.display()
                    ));
                }
            }
            (Step::StateFrozen { .. }, Some(id)) => {
                if let (Actor::Task(task), Some(by)) = (&fact.actor, self.acknowledged.get(&id))
                    && *by != task.attempt
                {
                    return Err(format!("{task} takes part in checkpoint {id}, which is attempt {by}'s"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn holds_beyond(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use tidegate::id::ChannelId;

    use super::*;
    use crate::checker::testing::{
        Event, Story, all_break, all_hold, attempt, by, chosen, completed, manager, renamed, started, task,
    };

    fn acknowledged(checkpoint: u64, attempt: u32) -> Event {
        manager(checkpoint, Step::AcknowledgementReceived { task: task("count/0", attempt) })
    }

    fn frozen(checkpoint: u64, attempt: u32) -> Event {
        by(task("count/0", attempt), checkpoint, Step::StateFrozen { content: Vec::new(), reflected: Vec::new() })
    }

    fn opened(producer: u32, consumer: u32) -> Event {
        let channel = ChannelId { from: task("source/0", 1).subtask, to: task("count/0", 1).subtask };
        manager(0, Step::ChannelOpened { channel, producer: attempt(producer), consumer: attempt(consumer) })
    }

    /// Attempt 1 completes checkpoint 1; checkpoint 2 gets an acknowledgement, but never all. Attempt 2 restores 1,
    /// completes 3, and commits what each had prepared.
    fn story() -> Story {
        let first = [
            started(1, 0),
            opened(1, 1),
            frozen(1, 1),
            acknowledged(1, 1),
            completed(1),
            frozen(2, 1),
            acknowledged(2, 1),
        ];
        let second = [chosen(1), started(2, 1), renamed(2, "part-0-1-1.1-0"), frozen(3, 2), acknowledged(3, 2)];
        Story::new(first.into_iter().chain(second).chain([completed(3), renamed(2, "part-0-3-1.2-0")]))
    }

    #[test]
    fn what_a_checkpoint_holds_may_be_committed_whenever() {
        all_hold(
            Fencing::default,
            [
                story(),
                // Notifications come late: a task of attempt 1 still commits what checkpoint 1 has allowed.
                story().then(renamed(1, "part-0-1-1.1-1")),
                // Checkpoint 2 has completed after all, and nobody has lived to say so.
                story()
                    .instead(chosen(1), chosen(2))
                    .instead(started(2, 1), started(2, 2))
                    .then(renamed(2, "part-0-2-1.1-0")),
            ],
        );
    }

    #[test]
    fn an_effect_of_a_superseded_attempt_is_seen() {
        let unheld = "/output/part-0-2-1.1-0 of attempt 1.1 is made visible, but no checkpoint holds it";
        all_break(
            Fencing::default,
            [
                (story().then(started(1, 3)), "attempt 1.1 starts after attempt 1.2"),
                (story().then(started(2, 3)), "attempt 1.2 starts after attempt 1.2"),
                // RisingWave 20879: a producer that was late is taken for one of the new attempt.
                (story().then(opened(1, 2)), "channel v0/0->v1/0 of attempt 1.1 leads into a task of attempt 1.2"),
                (story().then(opened(2, 1)), "channel v0/0->v1/0 of attempt 1.2 leads into a task of attempt 1.1"),
                // FLINK-13593: acknowledgements are matched by subtask only.
                (
                    story().instead(acknowledged(3, 2), acknowledged(3, 1)),
                    "an acknowledgement of v1/0@1.1 counts for checkpoint 3 of a later attempt",
                ),
                (story().then(completed(2)), "checkpoint 2 of attempt 1.1 completes in attempt 1.2"),
                (story().then(completed(4)), "checkpoint 4 of no attempt completes in attempt 1.2"),
                (story().then(frozen(3, 1)), "v1/0@1.1 takes part in checkpoint 3, which is attempt 1.2's"),
                // Prepared for 2, which attempt 2 has not restored: it has written these records again, and 3 holds that.
                (story().then(renamed(1, "part-0-2-1.1-0")), unheld),
                (story().before(chosen(1), renamed(1, "part-0-2-1.1-0")), unheld),
                (
                    story().then(renamed(2, "part-0-4-1.2-1")),
                    "/output/part-0-4-1.2-1 of attempt 1.2 is made visible, but no checkpoint holds it",
                ),
            ],
        );
    }
}
