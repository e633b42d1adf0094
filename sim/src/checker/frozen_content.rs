//! I4: what a completed checkpoint holds is what its tasks have frozen at the barrier, entry by entry, whatever was written
//! while the frozen state was encoded, and in how many files it is. The order and the encoding do not matter.

use std::collections::BTreeMap;

use tidegate::{
    id::{CheckpointId, SubtaskId, TaskId},
    probe::{Actor, Fact, GivenState, Share, Step},
    state::OperatorSnapshot,
    stream::hash_bytes,
};

use super::{Checker, DiskView, ground::Ground};

/// Remembers what each task has frozen.
pub(super) struct FrozenContent {
    ground: Ground,
    frozen: BTreeMap<(CheckpointId, TaskId), Vec<GivenState>>,
}

impl FrozenContent {
    pub(super) fn new(ground: &Ground) -> Self {
        Self { ground: ground.clone(), frozen: BTreeMap::new() }
    }

    fn judge(&self, id: CheckpointId, disk: &dyn DiskView) -> Result<(), String> {
        // One that cannot be opened is the business of others.
        let Ok(checkpoint) = self.ground.open(id, disk) else { return Ok(()) };
        let attempt = checkpoint.manifest.attempt;
        for vertex in &self.ground.graph_of(attempt).vertices {
            for operator in &vertex.operators {
                for (index, snapshot) in checkpoint.operators.get(&operator.uid).into_iter().flatten().enumerate() {
                    let subtask = SubtaskId { vertex: vertex.id, index: index as u32 };
                    let task = TaskId { subtask, attempt };
                    let frozen = self.frozen.get(&(id, task));
                    let frozen = frozen.ok_or_else(|| format!("{task} has not frozen anything for checkpoint {id}"))?;
                    self.compare(snapshot, frozen).map_err(|e| format!("checkpoint {id}, {task}: {e}"))?;
                }
            }
        }
        Ok(())
    }

    fn compare(&self, snapshot: &OperatorSnapshot, frozen: &[GivenState]) -> Result<(), String> {
        let mut held: BTreeMap<&str, Share> = BTreeMap::new();
        for state in &snapshot.keyed {
            held.insert(&state.name, Share::KeyGroups(self.ground.content(&snapshot.uid, state)?));
        }
        for list in &snapshot.lists {
            held.insert(&list.name, Share::Items(list.items.iter().map(|item| hash_bytes(item).0).collect()));
        }
        let frozen: BTreeMap<&str, &Share> =
            frozen.iter().filter(|s| s.uid == snapshot.uid).map(|s| (&*s.state, &s.share)).collect();
        match held.keys().chain(frozen.keys()).find(|name| held.get(*name) != frozen.get(*name).copied()) {
            None => Ok(()),
            Some(name) => Err(format!("the files do not hold what was frozen of {name} of {}", snapshot.uid)),
        }
    }
}

impl Checker for FrozenContent {
    fn id(&self) -> &'static str {
        "I4"
    }

    fn observe(&mut self, fact: &Fact, disk: &dyn DiskView) -> Result<(), String> {
        match (&fact.step, fact.checkpoint, &fact.actor) {
            (Step::StateFrozen { content, .. }, Some(id), Actor::Task(task)) => {
                self.frozen.insert((id, *task), content.clone());
                Ok(())
            }
            (Step::CheckpointCompleted, Some(id), _) => self.judge(id, disk),
            (Step::RestorePointChosen { restored: Some(id) }, ..) => self.judge(*id, disk),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate::state::ListStateSnapshot;

    use super::*;
    use crate::checker::testing::{
        Event, Story, all_break, all_hold, by, checkpoint, chosen, completed, given, ground, operator, task, write,
    };

    fn checker() -> FrozenContent {
        FrozenContent::new(&ground())
    }

    fn source(items: &[&[u8]]) -> OperatorSnapshot {
        let items = items.iter().map(|item| item.to_vec()).collect();
        OperatorSnapshot { lists: vec![ListStateSnapshot { name: "splits".into(), items }], ..operator("source") }
    }

    fn frozen(subtask: &str, items: &[&[u8]]) -> Event {
        let content = vec![given("source", "splits", items)];
        by(task(subtask, 1), 1, Step::StateFrozen { content, reflected: Vec::new() })
    }

    fn story() -> Story {
        let written = checkpoint(1, &[("source", vec![source(&[b"a"]), source(&[b"b", b"c"])])]).1;
        let frozen = [frozen("source/0", &[b"a"]), frozen("source/1", &[b"b", b"c"])];
        Story::new(frozen.into_iter().chain(written).chain([completed(1), chosen(1)]))
    }

    #[test]
    fn what_was_frozen_is_there() {
        let damaged = story().before(completed(1), write("/chk/manifest-1", "rotten"));
        all_hold(checker, [story(), damaged]);
    }

    #[test]
    fn anything_else_is_seen() {
        let other = "checkpoint 1, v0/1@1.1: the files do not hold what was frozen of splits of source";
        let old = frozen("source/1", &[b"b", b"c"]);
        // What was found right once is looked at again: here the file holds something else by then, whole in itself.
        let other_file = checkpoint(1, &[("source", vec![source(&[b"a"]), source(&[b"b", b"d"])])]).1.remove(1);
        all_break(
            checker,
            [
                // FLINK-5371 and others: what came after the barrier is in the snapshot.
                (story().instead(old.clone(), frozen("source/1", &[b"b"])), other),
                (story().instead(old.clone(), frozen("source/1", &[b"b", b"c", b"d"])), other),
                (story().before(chosen(1), other_file), other),
                (story().without(old), "v0/1@1.1 has not frozen anything for checkpoint 1"),
            ],
        );
    }
}
