//! Who gets which part of a checkpoint: pure, so that it can be tested for every pair of parallelisms.

use std::collections::{BTreeMap, BTreeSet};

use super::{KeyedStateSnapshot, OperatorSnapshot, RestoredOperator};
use crate::{
    error::{Error, Result},
    key_group::KeyGroupRange,
};

/// What subtask `index` gets of one operator, given its snapshots in all old subtasks in the order of their index.
///
/// Keyed state goes by key group. Lists stay with their subtask if the parallelism is unchanged (items may have a meaning
/// to it); otherwise item `i` of their concatenation goes to subtask `i % parallelism`, so that nothing is lost or doubled.
///
/// # Errors
/// `Damaged` if the old subtasks do not own each key group exactly once, one holds a key group that it does not own, or
/// they do not agree on which states there are.
pub fn redistribute_operator(
    old: &[&OperatorSnapshot],
    index: u32,
    parallelism: u32,
    max_parallelism: u32,
) -> Result<RestoredOperator> {
    assert!(
        index < parallelism && parallelism <= max_parallelism,
        "subtask {index} of {parallelism} of {max_parallelism}"
    );
    check_names(old)?;
    let mut restored = RestoredOperator::default();
    if old.iter().any(|o| o.key_groups.is_some() || !o.keyed.is_empty()) {
        check_ownership(old, max_parallelism)?;
        let owned = KeyGroupRange::of_subtask(index, parallelism, max_parallelism);
        restored.keyed = keyed_state(old, owned)?;
    }
    restored.lists = list_state(old, index, parallelism);
    Ok(restored)
}

/// All old subtasks write all of their states, also empty ones; so they must agree.
fn check_names(old: &[&OperatorSnapshot]) -> Result<()> {
    let names = |o: &OperatorSnapshot| {
        let keyed: BTreeSet<_> = o.keyed.iter().map(|s| (s.name.clone(), s.type_name.clone())).collect();
        let lists: BTreeSet<_> = o.lists.iter().map(|s| s.name.clone()).collect();
        (keyed, lists)
    };
    let mut all = old.iter().map(|o| (names(o), *o));
    let Some((first, _)) = all.next() else { return Ok(()) };
    for (i, (other, snapshot)) in all.enumerate() {
        if other != first || other.0.len() != snapshot.keyed.len() || other.1.len() != snapshot.lists.len() {
            return Err(Error::damaged(format!("subtasks 0 and {} do not hold the same states", i + 1)));
        }
    }
    Ok(())
}

/// The old ranges must tile all key groups, in order, and each subtask must hold groups of its own range only, ascending.
fn check_ownership(old: &[&OperatorSnapshot], max_parallelism: u32) -> Result<()> {
    let mut next = 0;
    for (i, operator) in old.iter().enumerate() {
        let range = operator.key_groups;
        let range =
            range.ok_or_else(|| Error::damaged(format!("subtask {i} does not say which key groups it owns")))?;
        if range.start != next || range.end < range.start {
            return Err(Error::damaged(format!(
                "subtask {i} owns the key groups {}..{}, but {next} is the next",
                range.start, range.end
            )));
        }
        next = range.end;
        for state in &operator.keyed {
            let groups = &state.groups;
            if let Some(foreign) = groups.iter().find(|g| !range.contains(g.group)) {
                return Err(Error::damaged(format!(
                    "state {} of subtask {i} holds key group {}, which is not in its range {}..{}",
                    state.name, foreign.group.0, range.start, range.end
                )));
            }
            if groups.windows(2).any(|pair| pair[0].group >= pair[1].group) {
                return Err(Error::damaged(format!("state {} of subtask {i}: key groups out of order", state.name)));
            }
        }
    }
    if next != max_parallelism {
        return Err(Error::damaged(format!("the key groups {next}..{max_parallelism} are missing")));
    }
    Ok(())
}

fn keyed_state(old: &[&OperatorSnapshot], owned: KeyGroupRange) -> Result<BTreeMap<String, KeyedStateSnapshot>> {
    let mut states = BTreeMap::<String, KeyedStateSnapshot>::new();
    for state in old.iter().flat_map(|o| &o.keyed) {
        let empty = || {
            let (name, type_name) = (state.name.clone(), state.type_name.clone());
            KeyedStateSnapshot { name, type_name, is_delta: false, groups: Vec::new() }
        };
        let into = states.entry(state.name.clone()).or_insert_with(empty);
        into.groups.extend(state.groups.iter().filter(|g| owned.contains(g.group)).cloned());
    }
    Ok(states)
}

fn list_state(old: &[&OperatorSnapshot], index: u32, parallelism: u32) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut lists = BTreeMap::<String, Vec<Vec<u8>>>::new();
    if old.len() == parallelism as usize && !planted!(ListsDealtAnew) {
        // FLINK-11618: the lists must not move when nothing else does.
        let own = old[index as usize].lists.iter();
        lists.extend(own.map(|list| (list.name.clone(), list.items.clone())));
        return lists;
    }
    let mut dealt = BTreeMap::<&str, usize>::new();
    for list in old.iter().flat_map(|o| &o.lists) {
        let next = dealt.entry(&list.name).or_default();
        let into = lists.entry(list.name.clone()).or_default();
        for item in &list.items {
            if *next % parallelism as usize == index as usize {
                into.push(item.clone());
            }
            *next += 1;
        }
    }
    lists
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        error::ErrorKind,
        key_group::KeyGroup,
        state::{KeyGroupEntries, ListStateSnapshot},
    };

    /// The snapshots of an operator at some parallelism: key group g holds g as its bytes, subtask i holds `lists[i]`.
    fn snapshots(lists: &[Vec<u8>], max: u32) -> Vec<OperatorSnapshot> {
        let parallelism = lists.len() as u32;
        let snapshot = |index: u32| {
            let range = KeyGroupRange::of_subtask(index, parallelism, max);
            let entries = |g: u32| KeyGroupEntries::new(KeyGroup(g), 1, &g.to_le_bytes());
            // Some groups hold nothing.
            let groups = (range.start..range.end).filter(|g| g % 3 != 1).map(entries).collect();
            let items = lists[index as usize].iter().map(|n| vec![*n]).collect();
            OperatorSnapshot {
                uid: "count".into(),
                key_groups: Some(range),
                keyed: vec![KeyedStateSnapshot { name: "sum".into(), type_name: "u8".into(), is_delta: false, groups }],
                lists: vec![ListStateSnapshot { name: "splits".into(), items }],
            }
        };
        (0..parallelism).map(snapshot).collect()
    }

    fn deal(old: &[OperatorSnapshot], parallelism: u32, max: u32) -> Result<Vec<RestoredOperator>> {
        let old: Vec<_> = old.iter().collect();
        (0..parallelism).map(|index| redistribute_operator(&old, index, parallelism, max)).collect()
    }

    proptest! {
        /// I10 and I11, for every pair of parallelisms.
        #[test]
        fn everything_arrives_exactly_once(
            max in 1u32..140, new in 1u32..12, lists in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..5), 1..12),
        ) {
            prop_assume!(new <= max && lists.len() as u32 <= max);
            let dealt = deal(&snapshots(&lists, max), new, max).unwrap();
            let mut groups = Vec::new();
            for (index, operator) in dealt.iter().enumerate() {
                for g in &operator.keyed["sum"].groups {
                    prop_assert_eq!(g.group.owner(new, max), index as u32);
                    prop_assert!(g.pieces[0].bytes.ends_with(&g.group.0.to_le_bytes()));
                    groups.push(g.group.0);
                }
            }
            prop_assert_eq!(groups, (0..max).filter(|g| g % 3 != 1).collect::<Vec<_>>());

            let mut items: Vec<u8> = dealt.iter().flat_map(|o| o.lists["splits"].iter().map(|i| i[0])).collect();
            let mut before = lists.concat();
            if new as usize == lists.len() {
                for (own, list) in dealt.iter().zip(&lists) {
                    prop_assert_eq!(own.lists["splits"].concat(), list.clone());
                }
            } else {
                let sizes: Vec<_> = dealt.iter().map(|o| o.lists["splits"].len()).collect();
                prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
            }
            items.sort_unstable();
            before.sort_unstable();
            prop_assert_eq!(items, before);
        }
    }

    #[test]
    fn what_does_not_tile_is_damaged() {
        let good = snapshots(&[vec![], vec![], vec![]], 8);
        let refused = |change: &dyn Fn(&mut Vec<OperatorSnapshot>)| {
            let mut old = good.clone();
            change(&mut old);
            let error = deal(&old, 2, 8).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Damaged);
            error.to_string()
        };
        insta::assert_snapshot!(refused(&|old| drop(old.pop())), @"the key groups 6..8 are missing");
        insta::assert_snapshot!(refused(&|old| drop(old.remove(1))), @"subtask 1 owns the key groups 6..8, but 3 is the next");
        insta::assert_snapshot!(refused(&|old| old.swap(0, 1)), @"subtask 0 owns the key groups 3..6, but 0 is the next");
        insta::assert_snapshot!(refused(&|old| old[2].key_groups = None), @"subtask 2 does not say which key groups it owns");
        insta::assert_snapshot!(refused(&|old| old[1].keyed[0].groups[0].group.0 = 7), @"state sum of subtask 1 holds key group 7, which is not in its range 3..6");
        insta::assert_snapshot!(refused(&|old| old[1].keyed[0].groups.swap(0, 1)), @"state sum of subtask 1: key groups out of order");
        insta::assert_snapshot!(refused(&|old| old[1].keyed.clear()), @"subtasks 0 and 1 do not hold the same states");
        insta::assert_snapshot!(refused(&|old| old[1].keyed[0].type_name.clear()), @"subtasks 0 and 1 do not hold the same states");
        insta::assert_snapshot!(refused(&|old| old[2].lists.clear()), @"subtasks 0 and 2 do not hold the same states");
        // Another maximum parallelism than the snapshots were taken with.
        insta::assert_snapshot!(deal(&good, 2, 9).unwrap_err(), @"the key groups 8..9 are missing");
    }
}
