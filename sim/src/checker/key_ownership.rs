//! I10: each key lives in exactly one subtask, the one that its hash gives. In every completed checkpoint, and in what every
//! restore hands out.
//!
//! Who owns which key group is counted out group by group, and in which group a key belongs follows from its hash by a
//! comparison: neither asks the engine's `key_group`.

use std::{collections::BTreeMap, sync::Arc};

use tidegate::{
    id::{CheckpointId, TaskId},
    key_group::{KeyGroup, KeyGroupRange},
    probe::{Actor, Fact, GivenState, KeyGroupContent, Share, Step},
    state::{KeyGroupEntries, OperatorSnapshot},
};

use super::{
    Checker, DiskView,
    ground::{Ground, OpenCheckpoint},
};

/// Goes through all keyed state.
pub(super) struct KeyOwnership {
    ground: Ground,
    /// The checkpoint that was chosen last.
    restored: Option<Arc<OpenCheckpoint>>,
}

/// The range of each subtask, group by group.
fn ranges(parallelism: u32, groups: u32) -> Vec<KeyGroupRange> {
    let mut ranges: Vec<KeyGroupRange> = Vec::new();
    for group in 0..groups {
        let index = (u64::from(group) * u64::from(parallelism) / u64::from(groups)) as usize;
        if index == ranges.len() {
            ranges.push(KeyGroupRange { start: group, end: group });
        }
        ranges[index].end = group + 1;
    }
    ranges
}

impl KeyOwnership {
    pub(super) fn new(ground: &Ground) -> Self {
        Self { ground: ground.clone(), restored: None }
    }

    /// Whether the key of this hash belongs in the group: hashes are cut into as many stretches of equal length as there are
    /// groups.
    fn belongs(&self, hash: u64, group: KeyGroup) -> bool {
        let place = u128::from(hash) * u128::from(self.ground.graph.max_parallelism);
        (u128::from(group.0) << 64..u128::from(group.0 + 1) << 64).contains(&place)
    }

    fn judge(&self, checkpoint: &OpenCheckpoint) -> Result<(), String> {
        let graph = self.ground.graph_of(checkpoint.manifest.attempt);
        for vertex in &graph.vertices {
            for operator in &vertex.operators {
                let Some(snapshots) = checkpoint.operators.get(&operator.uid) else { continue };
                if snapshots.iter().all(|s| s.key_groups.is_none() && s.keyed.is_empty()) {
                    continue;
                }
                if snapshots.len() != vertex.parallelism as usize {
                    return Err(format!("{} has keyed state of {} subtasks", operator.uid, snapshots.len()));
                }
                let ranges = ranges(vertex.parallelism, graph.max_parallelism);
                for (index, (snapshot, range)) in snapshots.iter().zip(ranges).enumerate() {
                    self.judge_snapshot(snapshot, range).map_err(|e| format!("{}/{index} {e}", operator.uid))?;
                }
            }
        }
        Ok(())
    }

    fn judge_snapshot(&self, snapshot: &OperatorSnapshot, range: KeyGroupRange) -> Result<(), String> {
        let show = |range: KeyGroupRange| format!("{}..{}", range.start, range.end);
        if snapshot.key_groups != Some(range) {
            let said = snapshot.key_groups.map_or_else(|| "no key groups".to_owned(), show);
            return Err(format!("says that it owns {said}, and owns {}", show(range)));
        }
        for state in &snapshot.keyed {
            let mut next = range.start;
            for entries in &state.groups {
                let group = entries.group.0;
                if group < next || group >= range.end {
                    let name = &state.name;
                    return Err(format!(
                        "holds key group {group} of {name}, where one of {next}..{} may come",
                        range.end
                    ));
                }
                next = group + 1;
                self.judge_keys(&snapshot.uid, &state.name, entries)?;
            }
        }
        Ok(())
    }

    fn judge_keys(&self, uid: &str, state: &str, entries: &KeyGroupEntries) -> Result<(), String> {
        let found = self.ground.workload.entries(uid, state, entries)?;
        let mut hashes = found.iter().map(|entry| entry.key_hash);
        match hashes.find(|hash| !self.belongs(hash.0, entries.group)) {
            None => Ok(()),
            Some(hash) => {
                Err(format!("holds a key with the hash {:016x} in key group {} of {state}", hash.0, entries.group.0))
            }
        }
    }

    /// A task gets all groups of its range that the checkpoint holds, as they are, and no other.
    fn judge_given(&self, task: TaskId, checkpoint: &OpenCheckpoint, given: &[GivenState]) -> Result<(), String> {
        let graph = self.ground.graph_of(task.attempt);
        let vertex = graph.vertex(task.subtask.vertex);
        let range = ranges(vertex.parallelism, graph.max_parallelism)[task.subtask.index as usize];
        for operator in &vertex.operators {
            let mut due: BTreeMap<&str, Vec<KeyGroupContent>> = BTreeMap::new();
            for state in checkpoint.operators.get(&operator.uid).into_iter().flatten().flat_map(|s| &s.keyed) {
                let held = self.ground.content(&operator.uid, state)?;
                let owned = held.into_iter().filter(|g| (range.start..range.end).contains(&g.group.0));
                due.entry(&state.name).or_default().extend(owned);
            }
            for (name, due) in due {
                let got = given.iter().find(|g| g.uid == operator.uid && g.state == name).map(|g| &g.share);
                if got != Some(&Share::KeyGroups(due)) {
                    let (uid, id) = (&operator.uid, checkpoint.manifest.checkpoint);
                    return Err(format!("{task} was not given its key groups of {uid}, {name}, in checkpoint {id}"));
                }
            }
        }
        Ok(())
    }

    /// One that cannot be opened is the business of `state_fold`.
    fn opened(&self, id: CheckpointId, disk: &dyn DiskView) -> Result<Option<Arc<OpenCheckpoint>>, String> {
        let Ok(checkpoint) = self.ground.open(id, disk) else { return Ok(None) };
        self.judge(&checkpoint).map_err(|e| format!("checkpoint {id}: {e}"))?;
        Ok(Some(checkpoint))
    }
}

impl Checker for KeyOwnership {
    fn id(&self) -> &'static str {
        "I10"
    }

    fn observe(&mut self, fact: &Fact, disk: &dyn DiskView) -> Result<(), String> {
        match (&fact.step, fact.checkpoint, &fact.actor) {
            (Step::CheckpointCompleted, Some(id), _) => self.opened(id, disk).map(drop),
            (Step::RestorePointChosen { restored }, ..) => {
                self.restored = None;
                if let Some(id) = restored {
                    self.restored = self.opened(*id, disk)?;
                }
                Ok(())
            }
            (Step::StateRestored { restored: Some(id), given }, _, Actor::Task(task)) => {
                let checkpoint = self.restored.as_ref().filter(|c| c.manifest.checkpoint == *id);
                checkpoint.map_or(Ok(()), |checkpoint| self.judge_given(*task, checkpoint, given))
            }
            _ => Ok(()),
        }
    }

    /// A task is given what was written, or nothing: what the medium has made of it since is never given out.
    fn holds_beyond(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use tidegate::{
        state::KeyedStateSnapshot,
        stream::{Key, hash_bytes},
    };

    use super::*;
    use crate::checker::testing::{
        Event, Story, all_break, all_hold, by, checkpoint, chosen, completed, ground_of_counters, operator, some, task,
    };

    /// 128 key groups, three counters: 43, 43 and 42 groups.
    fn checker() -> KeyOwnership {
        KeyOwnership::new(&ground_of_counters(3))
    }

    const RANGES: [(u32, u32); 3] = [(0, 43), (43, 86), (86, 128)];

    /// A word whose key is in this group.
    fn word_of(group: u32) -> String {
        let mut words = (0..).map(|n| format!("w{n}"));
        words.find(|word| word.key_hash().0 >> 57 == u64::from(group)).expect("some word has it")
    }

    /// A word and a count of 1, in postcard's wire format: a length, the word, the count.
    fn bytes_of(word: &str) -> Vec<u8> {
        [&[word.len() as u8], word.as_bytes(), &[1]].concat()
    }

    /// A counter that says that it owns a range, and holds a word of one group in another, each.
    fn counter((start, end): (u32, u32), words: &[(u32, u32)]) -> OperatorSnapshot {
        let entries = |(of, group): &(u32, u32)| {
            let word = word_of(*of);
            KeyGroupEntries::new(KeyGroup(*group), 1, &bytes_of(&word))
        };
        let groups = words.iter().map(entries).collect();
        let state = KeyedStateSnapshot { name: "sum".into(), type_name: String::new(), is_delta: false, groups };
        OperatorSnapshot { key_groups: Some(KeyGroupRange { start, end }), keyed: vec![state], ..operator("count") }
    }

    fn given(index: u32, groups: &[u32]) -> Event {
        let content = |g: &u32| KeyGroupContent { group: KeyGroup(*g), sum: hash_bytes(&bytes_of(&word_of(*g))).0 };
        given_content(index, groups.iter().map(content).collect())
    }

    fn given_content(index: u32, content: Vec<KeyGroupContent>) -> Event {
        let share = Share::KeyGroups(content);
        let given = vec![GivenState { uid: "count".into(), state: "sum".into(), share }];
        let mut task = task("count/0", 2);
        task.subtask.index = index;
        by(task, 0, Step::StateRestored { restored: some(1), given })
    }

    /// The second counter holds keys of the groups 43 and 85.
    fn story_of(counters: [OperatorSnapshot; 3]) -> Story {
        let written = checkpoint(1, &[("count", counters.into())]).1;
        Story::new(written.into_iter().chain([completed(1), chosen(1), given(0, &[]), given(1, &[43, 85])]))
    }

    fn second(range: (u32, u32), words: &[(u32, u32)]) -> Story {
        story_of([counter(RANGES[0], &[]), counter(range, words), counter(RANGES[2], &[])])
    }

    fn story() -> Story {
        second(RANGES[1], &[(43, 43), (85, 85)])
    }

    #[test]
    fn each_key_where_it_belongs_is_right() {
        all_hold(checker, [story()]);
    }

    #[test]
    fn a_key_elsewhere_is_seen() {
        let foreign = format!(
            "checkpoint 1: count/1 holds a key with the hash {:016x} in key group 43 of sum",
            word_of(44).key_hash().0
        );
        let missed = "v1/1@1.2 was not given its key groups of count, sum, in checkpoint 1";
        let next = "checkpoint 1: count/1 holds key group";
        let one = Story::new(checkpoint(1, &[("count", vec![counter(RANGES[0], &[])])]).1).then(completed(1));
        let cases = [
            (second(RANGES[1], &[(44, 43)]), foreign),
            (one, "checkpoint 1: count has keyed state of 1 subtasks".to_owned()),
            // Bytewax 0.14: one function routes, and another one says what is owned.
            (second((42, 84), &[]), "checkpoint 1: count/1 says that it owns 42..84, and owns 43..86".to_owned()),
            (
                story_of([counter(RANGES[0], &[]), operator("count"), counter(RANGES[2], &[])]),
                "checkpoint 1: count/1 says that it owns no key groups, and owns 43..86".to_owned(),
            ),
            (second(RANGES[1], &[(42, 42)]), format!("{next} 42 of sum, where one of 43..86 may come")),
            (second(RANGES[1], &[(86, 86)]), format!("{next} 86 of sum, where one of 43..86 may come")),
            (
                second(RANGES[1], &[(50, 50), (50, 50)]),
                "checkpoint 1: count/1 key group 50: a key stands twice".to_owned(),
            ),
            (story().instead(given(1, &[43, 85]), given(1, &[43])), missed.to_owned()),
            (story().instead(given(1, &[43, 85]), given(1, &[43, 85, 86])), missed.to_owned()),
            // The right groups, but not what is in them.
            (
                story().instead(
                    given(1, &[43, 85]),
                    given_content(1, [43, 85].map(|g| KeyGroupContent { group: KeyGroup(g), sum: 1 }).into()),
                ),
                missed.to_owned(),
            ),
        ];
        all_break(checker, cases);
    }
}
