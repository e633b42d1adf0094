//! I11: a restore hands out each item of operator state exactly once. When all tasks of an attempt have their state, they have
//! together what the checkpoint holds; and where the parallelism is what it was, each has its own list, in its order.

use std::{collections::BTreeMap, sync::Arc};

use tidegate::{
    graph::JobGraph,
    id::SubtaskId,
    probe::{Fact, Share, Step},
    state::OperatorSnapshot,
    stream::hash_bytes,
};

use super::{
    Checker, DiskView,
    ground::{Ground, OpenCheckpoint},
    restoring::{Given, Restoring},
};

/// Compares what tasks were given with the checkpoint that was chosen.
pub(super) struct ListConservation {
    ground: Ground,
    restoring: Restoring,
    restored: Option<Arc<OpenCheckpoint>>,
}

/// The lists of one operator by name, each subtask's by its index.
type Lists = BTreeMap<String, Vec<Vec<u64>>>;

impl ListConservation {
    pub(super) fn new(ground: &Ground) -> Self {
        Self { ground: ground.clone(), restoring: Restoring::new(ground), restored: None }
    }
}

/// Whether everything is where it belongs.
fn judge(graph: &JobGraph, checkpoint: &OpenCheckpoint, given: &Given) -> Result<(), String> {
    let id = checkpoint.manifest.checkpoint;
    for vertex in &graph.vertices {
        for operator in &vertex.operators {
            let held = held(checkpoint.operators.get(&operator.uid).map_or(&[], Vec::as_slice));
            let subtasks = (0..vertex.parallelism).map(|index| SubtaskId { vertex: vertex.id, index });
            let got = got(&operator.uid, subtasks, given);
            let names = held.keys().chain(got.keys());
            for name in names {
                let none = Vec::new();
                let (before, after) = (held.get(name).unwrap_or(&none), got.get(name).unwrap_or(&none));
                let place = || format!("list {name} of {}, checkpoint {id}", operator.uid);
                if before.len() == after.len() {
                    if let Some(index) = (0..before.len()).find(|i| before[*i] != after[*i]) {
                        return Err(format!("{}: subtask {index} does not get its own list back", place()));
                    }
                } else {
                    conserved(before, after).map_err(|e| format!("{}: {e}", place()))?;
                }
            }
        }
    }
    Ok(())
}

/// What a checkpoint holds.
fn held(snapshots: &[OperatorSnapshot]) -> Lists {
    let mut lists = Lists::new();
    for (index, list) in snapshots.iter().enumerate().flat_map(|(i, s)| s.lists.iter().map(move |l| (i, l))) {
        let subtasks = lists.entry(list.name.clone()).or_insert_with(|| vec![Vec::new(); snapshots.len()]);
        subtasks[index].extend(list.items.iter().map(|item| hash_bytes(item).0));
    }
    lists
}

/// What the tasks have.
fn got(uid: &str, subtasks: impl ExactSizeIterator<Item = SubtaskId>, given: &Given) -> Lists {
    let (mut lists, parallelism) = (Lists::new(), subtasks.len());
    for (index, subtask) in subtasks.enumerate() {
        for state in given[&subtask].iter().filter(|state| state.uid == uid) {
            if let Share::Items(items) = &state.share {
                let subtasks = lists.entry(state.state.clone()).or_insert_with(|| vec![Vec::new(); parallelism]);
                subtasks[index].extend(items);
            }
        }
    }
    lists
}

fn conserved(before: &[Vec<u64>], after: &[Vec<u64>]) -> Result<(), String> {
    let mut balance: BTreeMap<u64, i64> = BTreeMap::new();
    before.iter().flatten().for_each(|item| *balance.entry(*item).or_default() += 1);
    after.iter().flatten().for_each(|item| *balance.entry(*item).or_default() -= 1);
    let lost: i64 = balance.values().filter(|n| **n > 0).sum();
    let new: i64 = -balance.values().filter(|n| **n < 0).sum::<i64>();
    if (lost, new) == (0, 0) { Ok(()) } else { Err(format!("{lost} items are lost, and {new} are too many")) }
}

impl Checker for ListConservation {
    fn id(&self) -> &'static str {
        "I11"
    }

    fn observe(&mut self, fact: &Fact, disk: &dyn DiskView) -> Result<(), String> {
        if let Step::RestorePointChosen { restored } = &fact.step {
            // One that cannot be opened is the business of `state_fold`.
            self.restored = restored.and_then(|id| self.ground.open(id, disk).ok());
        }
        let (Some((attempt, Some(id), given)), Some(checkpoint)) = (self.restoring.observe(fact), &self.restored)
        else {
            return Ok(());
        };
        if checkpoint.manifest.checkpoint == id {
            judge(&self.ground.graph_of(attempt), checkpoint, given)
        } else {
            Ok(())
        }
    }

    /// A task is given what was written, or nothing: what the medium has made of it since is never given out.
    fn holds_beyond(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use tidegate::state::ListStateSnapshot;

    use super::*;
    use crate::checker::testing::{
        Event, Story, all_break, all_hold, checkpoint, chosen, given, ground, operator, restored, started,
    };

    fn checker() -> ListConservation {
        ListConservation::new(&ground())
    }

    fn source(items: &[&str]) -> OperatorSnapshot {
        let items = items.iter().map(|item| item.as_bytes().to_vec()).collect();
        OperatorSnapshot { lists: vec![ListStateSnapshot { name: "splits".into(), items }], ..operator("source") }
    }

    fn gets(subtask: &str, items: &[&str]) -> Event {
        let items: Vec<_> = items.iter().map(|item| item.as_bytes()).collect();
        restored(subtask, 1, 1, vec![given("source", "splits", &items)])
    }

    /// The sources have these splits when checkpoint 1 is taken, and all tasks of attempt 1 restore it.
    fn story_from(sources: &[&[&str]]) -> Story {
        let sources = sources.iter().map(|items| source(items)).collect();
        let others = ["count/0", "sink/0"].map(|subtask| restored(subtask, 1, 1, Vec::new()));
        let events =
            checkpoint(1, &[("source", sources)]).1.into_iter().chain([chosen(1), started(1, 1)]).chain(others);
        Story::new(events.chain([gets("source/0", &["a", "b"]), gets("source/1", &["c"])]))
    }

    fn story() -> Story {
        story_from(&[&["a", "b"], &["c"]])
    }

    #[test]
    fn lists_stay_or_are_dealt_anew() {
        let fewer = story_from(&[&["c", "b", "a"]]);
        let more = story_from(&[&["c"], &[], &["a", "b"]]);
        let unfinished = story().without(gets("source/1", &["c"]));
        all_hold(checker, [story(), fewer, more, unfinished]);
    }

    #[test]
    fn items_that_move_or_vanish_are_seen() {
        let instead = |items: &[&str]| story().instead(gets("source/0", &["a", "b"]), gets("source/0", items));
        let own = "list splits of source, checkpoint 1: subtask 0 does not get its own list back";
        let balance = |lost: u32, new: u32| {
            format!("list splits of source, checkpoint 1: {lost} items are lost, and {new} are too many")
        };
        let swapped = instead(&["c"]).instead(gets("source/1", &["c"]), gets("source/1", &["a", "b"]));
        all_break(
            checker,
            [
                // FLINK-11618: lists are dealt anew although nothing else has changed.
                (swapped, own.to_owned()),
                (instead(&["b", "a"]), own.to_owned()),
                (instead(&["a"]), own.to_owned()),
                (story_from(&[&["a", "b", "c", "d"]]), balance(1, 0)),
                (story_from(&[&["a", "b"]]), balance(0, 1)),
                (story_from(&[&["a", "b", "b"]]), balance(1, 1)),
                (story_from(&[]), balance(0, 3)),
            ],
        );
    }
}
