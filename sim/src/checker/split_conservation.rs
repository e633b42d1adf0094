//! I14: every split of the input is in exactly one place: in each completed checkpoint, with a position in the split that is
//! not before that of any earlier one, and with the tasks of each attempt when all of them have their state.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::Arc,
};

use tidegate::{
    id::CheckpointId,
    operator::SPLITS_STATE,
    probe::{Fact, Share, Step},
    stream::hash_bytes,
};

use super::{
    Checker, DiskView,
    ground::{Ground, OpenCheckpoint},
    restoring::{Given, Restoring},
};

/// Knows all splits, and how far each was at the newest checkpoint.
pub(super) struct SplitConservation {
    ground: Ground,
    splits: BTreeMap<String, RangeInclusive<u64>>,
    positions: BTreeMap<Arc<str>, u64>,
    /// The split and the position of each item of the last checkpoint: in the next one, most are the same.
    known: BTreeMap<Vec<u8>, (Arc<str>, u64)>,
    restoring: Restoring,
    /// The checkpoint that was chosen last, and its splits by the checksum of their items.
    restored: Option<(CheckpointId, ItemsOf)>,
}

/// Splits by the checksum of their items.
type ItemsOf = BTreeMap<u64, Arc<str>>;

/// The items of all sources.
fn items(checkpoint: &OpenCheckpoint) -> impl Iterator<Item = &[u8]> {
    let lists = checkpoint.operators.values().flatten().flat_map(|operator| &operator.lists);
    lists.filter(|list| list.name == SPLITS_STATE).flat_map(|list| &list.items).map(Vec::as_slice)
}

impl SplitConservation {
    pub(super) fn new(ground: &Ground) -> Self {
        Self {
            ground: ground.clone(),
            splits: ground.workload.splits(),
            positions: BTreeMap::new(),
            known: BTreeMap::new(),
            restoring: Restoring::new(ground),
            restored: None,
        }
    }

    fn read(&self, item: &[u8]) -> Result<(Arc<str>, u64), String> {
        if let Some(known) = self.known.get(item) {
            return Ok(known.clone());
        }
        let (split, position) = self.ground.workload.split(item)?;
        Ok((split.into(), position))
    }

    fn judge(&mut self, checkpoint: &OpenCheckpoint) -> Result<ItemsOf, String> {
        let (mut positions, mut items_of, mut known) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for item in items(checkpoint) {
            let (split, position) = self.read(item)?;
            let range = self.splits.get(&*split).ok_or_else(|| format!("{split} is no split of the input"))?;
            if !range.contains(&position) {
                return Err(format!("{split} stands at {position}, which is outside of it"));
            }
            if let Some(before) = self.positions.get(&split).filter(|before| **before > position) {
                return Err(format!("{split} stands at {position}, and stood at {before} in an earlier checkpoint"));
            }
            items_of.insert(hash_bytes(item).0, split.clone());
            known.insert(item.to_vec(), (split.clone(), position));
            if positions.insert(split.clone(), position).is_some() {
                return Err(format!("{split} is in two places"));
            }
        }
        if let Some(lost) = self.splits.keys().find(|split| !positions.contains_key(split.as_str())) {
            return Err(format!("{lost} is nowhere"));
        }
        (self.positions, self.known) = (positions, known);
        Ok(items_of)
    }

    fn open(&mut self, id: CheckpointId, disk: &dyn DiskView) -> Result<ItemsOf, String> {
        let checkpoint = self.ground.open(id, disk)?;
        self.judge(&checkpoint).map_err(|e| format!("checkpoint {id}: {e}"))
    }
}

/// Whether the tasks have all splits, each once. `held` are those of the checkpoint that they restore; if there is none, the
/// input was cut just now.
fn judge_given(given: &Given, held: Option<&ItemsOf>, count: usize) -> Result<(), String> {
    let states = given.values().flatten().filter(|state| state.state == SPLITS_STATE);
    let items = states.filter_map(|state| if let Share::Items(items) = &state.share { Some(items) } else { None });
    let mut seen = BTreeSet::new();
    for item in items.flatten() {
        if held.is_some_and(|held| !held.contains_key(item)) {
            return Err("a task is given a split that the checkpoint does not hold".to_owned());
        }
        if !seen.insert(*item) {
            let split = held.and_then(|held| held.get(item)).map_or("a split", |split| split);
            return Err(format!("{split} is given out twice"));
        }
    }
    if seen.len() == count { Ok(()) } else { Err(format!("{} of {count} splits are given out", seen.len())) }
}

impl Checker for SplitConservation {
    fn id(&self) -> &'static str {
        "I14"
    }

    fn observe(&mut self, fact: &Fact, disk: &dyn DiskView) -> Result<(), String> {
        match (&fact.step, fact.checkpoint) {
            (Step::CheckpointCompleted, Some(id)) => return self.open(id, disk).map(drop),
            (Step::RestorePointChosen { restored }, _) => {
                self.restored = None;
                if let Some(id) = *restored {
                    self.restored = Some((id, self.open(id, disk)?));
                }
            }
            _ => {}
        }
        let Some((_, id, given)) = self.restoring.observe(fact) else { return Ok(()) };
        let held = self.restored.as_ref().filter(|(chosen, _)| Some(*chosen) == id).map(|(_, splits)| splits);
        let place =
            |e: String| format!("{e}, restoring {}", id.map_or("nothing".to_owned(), |id| format!("checkpoint {id}")));
        judge_given(given, held, self.splits.len()).map_err(place)
    }
}

#[cfg(test)]
mod tests {
    use tidegate::{
        connector::ElementsSplit,
        state::{ListStateSnapshot, OperatorSnapshot},
    };

    use super::*;
    use crate::checker::testing::{
        Event, Story, all_break, all_hold, checkpoint, chosen, completed, given, ground, operator, restored, started,
    };

    fn checker() -> SplitConservation {
        SplitConservation::new(&ground())
    }

    /// The splits of three elements for two sources: 0..1 and 1..3.
    fn item(start: u64, end: u64, position: u64) -> Vec<u8> {
        ElementsSplit { start, end, position, total: 3 }.encode()
    }

    fn source(items: &[Vec<u8>]) -> OperatorSnapshot {
        let splits = ListStateSnapshot { name: SPLITS_STATE.into(), items: items.to_vec() };
        OperatorSnapshot { lists: vec![splits], ..operator("source") }
    }

    fn taken(id: u64, first: &[Vec<u8>], second: &[Vec<u8>]) -> Vec<Event> {
        let mut events = checkpoint(id, &[("source", vec![source(first), source(second)])]).1;
        events.push(completed(id));
        events
    }

    fn gets(subtask: &str, attempt: u32, checkpoint: u64, items: &[Vec<u8>]) -> Event {
        let items: Vec<_> = items.iter().map(Vec::as_slice).collect();
        restored(subtask, attempt, checkpoint, vec![given("source", SPLITS_STATE, &items)])
    }

    fn starts(attempt: u32, checkpoint: u64, first: &[Vec<u8>], second: &[Vec<u8>]) -> Vec<Event> {
        let others = ["count/0", "sink/0"].map(|subtask| restored(subtask, attempt, checkpoint, Vec::new()));
        let sources = [gets("source/0", attempt, checkpoint, first), gets("source/1", attempt, checkpoint, second)];
        let begun = [chosen(checkpoint), started(attempt, checkpoint)];
        begun.into_iter().chain(others).chain(sources).collect()
    }

    fn story_of(parts: impl IntoIterator<Item = Vec<Event>>) -> Story {
        Story::new(parts.into_iter().flatten())
    }

    fn fresh() -> Vec<Event> {
        starts(1, 0, &[item(0, 1, 0)], &[item(1, 3, 1)])
    }

    #[test]
    fn splits_that_go_on_are_right() {
        let first = || taken(1, &[item(0, 1, 1)], &[item(1, 3, 1)]);
        let again = || starts(2, 1, &[item(0, 1, 1)], &[item(1, 3, 1)]);
        // Another subtask reads it now.
        let second = taken(2, &[item(0, 1, 1), item(1, 3, 3)], &[]);
        all_hold(checker, [story_of([fresh(), first(), again(), second])]);
    }

    #[test]
    fn a_split_that_is_lost_doubled_or_moved_back_is_seen() {
        let first = || taken(1, &[item(0, 1, 1)], &[item(1, 3, 2)]);
        let then = |events: Vec<Event>| story_of([fresh(), first(), events]);
        let mut moved = item(1, 3, 2);
        moved[2] = 9;
        all_break(
            checker,
            [
                (then(taken(2, &[item(0, 1, 1)], &[])), "checkpoint 2: 1..3 is nowhere"),
                // FLINK-20290: given back to be dealt, though a reader has it in its snapshot.
                (
                    then(taken(2, &[item(0, 1, 1), item(1, 3, 2)], &[item(1, 3, 2)])),
                    "checkpoint 2: 1..3 is in two places",
                ),
                (
                    then(taken(2, &[item(0, 1, 1)], &[item(1, 3, 1)])),
                    "checkpoint 2: 1..3 stands at 1, and stood at 2 in an earlier checkpoint",
                ),
                (then(taken(2, &[item(0, 1, 1)], &[item(0, 3, 2)])), "checkpoint 2: 0..3 is no split of the input"),
                (then(taken(2, &[item(0, 1, 1)], &[moved])), "checkpoint 2: 1..3 stands at 9, which is outside of it"),
                (
                    then(starts(2, 1, &[item(0, 1, 1)], &[item(1, 3, 1)])),
                    "a task is given a split that the checkpoint does not hold, restoring checkpoint 1",
                ),
                (
                    then(starts(2, 1, &[item(1, 3, 2)], &[item(1, 3, 2)])),
                    "1..3 is given out twice, restoring checkpoint 1",
                ),
                (then(starts(2, 1, &[item(0, 1, 1)], &[])), "1 of 2 splits are given out, restoring checkpoint 1"),
                (story_of([starts(1, 0, &[item(0, 1, 0)], &[])]), "1 of 2 splits are given out, restoring nothing"),
                (
                    story_of([starts(1, 0, &[item(0, 1, 0)], &[item(0, 1, 0), item(1, 3, 1)])]),
                    "a split is given out twice, restoring nothing",
                ),
            ],
        );
    }
}
