//! Changes are written without keys where that can be, and mean the same.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    tests::{alone, entries, freeze, full, read_back, sweep_all, table},
    *,
};
use crate::{
    key_group::{DEFAULT_MAX_PARALLELISM, KeyGroup, KeyGroupRange},
    stream::Key,
};

/// What has changed since the freeze before.
fn delta<V: crate::stream::Data>(table: &mut ValueTable<u64, V>) -> KeyedStateSnapshot {
    freeze(table, true);
    sweep_all(table);
    read_back(table)
}

fn bytes(state: &KeyedStateSnapshot) -> usize {
    state.groups.iter().flat_map(|g| &g.pieces).map(|p| p.bytes.len()).sum()
}

/// All that is in these snapshots, taken together.
fn together(snapshots: impl IntoIterator<Item = KeyedStateSnapshot>) -> KeyedStateSnapshot {
    let mut snapshots = snapshots.into_iter().map(alone);
    let mut whole = snapshots.next().unwrap();
    snapshots.for_each(|newer| whole.apply(newer).unwrap());
    whole.operators.remove(0).keyed.remove(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Few or many, one after the other or scattered: however it is said which entries have changed, it is understood.
    #[test]
    fn any_set_of_changes_is_told(keys in 1_u64..30_000, rounds in proptest::collection::vec((0..30_000_u64, prop_oneof![1_usize..3, 1_usize..700]), 1..5)) {
        let mut table = table((0..keys).map(|key| (key, 0_u32)));
        let mut model: BTreeMap<u64, u32> = (0..keys).map(|key| (key, 0)).collect();
        let mut snapshots = vec![full(&mut table)];
        for (round, (from, step)) in rounds.into_iter().enumerate() {
            for key in (from % keys..keys).step_by(step) {
                *table.get_mut(key.key_hash(), &key).unwrap() = round as u32;
                model.insert(key, round as u32);
            }
            let StateSize { changed, keyed, .. } = table.size();
            prop_assert_eq!(keyed, 0);
            let delta = delta(&mut table);
            // Who decides what is written, and how much a restore may go through, is told no less than there will be.
            let held: u64 = delta.groups.iter().flat_map(|g| &g.pieces).map(|p| p.entries).sum();
            prop_assert!(Some(held) <= changed, "{} of {:?}", held, changed);
            snapshots.push(delta);
        }
        prop_assert_eq!(entries::<u64, u32>(&together(snapshots)), model);
    }
}

/// What a full snapshot knows is changed by its place; what has come since, or has moved, by its key.
#[test]
fn keys_are_written_where_they_must_be() {
    const KEYS: u64 = 10_000;
    let mut table = table((0..KEYS).map(|key| (key, 1_u8)));
    assert_eq!(table.size(), StateSize { entries: KEYS, changed: Some(KEYS), keyed: KEYS });
    let whole = full(&mut table);
    let change_all = |table: &mut ValueTable<u64, u8>, value| {
        (0..KEYS).for_each(|key| *table.get_mut(key.key_hash(), &key).unwrap() = value);
    };
    change_all(&mut table, 2);
    assert_eq!(table.size(), StateSize { entries: KEYS, changed: Some(KEYS), keyed: 0 });
    let by_place = delta(&mut table);
    let segments = table.segments.len();
    assert!(bytes(&by_place) < KEYS as usize + 8 * segments, "{} bytes for as many values", bytes(&by_place));
    // Twice as many keys: segments grow, and what was in them moves.
    for key in KEYS..2 * KEYS {
        table.insert_new(key.key_hash(), key, 3);
    }
    change_all(&mut table, 3);
    let StateSize { keyed, .. } = table.size();
    assert!((KEYS + 1..=2 * KEYS).contains(&keyed), "{keyed}");
    let by_key = delta(&mut table);
    assert!(bytes(&by_key) > 3 * KEYS as usize);
    let all = together([whole, by_place, by_key]);
    assert_eq!(entries::<u64, u8>(&all), (0..2 * KEYS).map(|key| (key, 3)).collect());
}

/// A key that is removed leaves its place: to another key, or vacant, and the run is not what it was.
#[test]
fn a_place_is_not_handed_on() {
    let owned = KeyGroupRange { start: 3, end: 4 };
    let mut keys = (0_u64..).filter(|n| owned.contains(KeyGroup::of(n.key_hash(), DEFAULT_MAX_PARALLELISM)));
    let (first, second): (Vec<_>, Vec<_>) = (keys.by_ref().take(300).collect(), keys.take(100).collect());
    for (removed, come, changed) in [(100, 100, 0), (1, 0, 300), (100, 50, 300), (7, 3, 20)] {
        let mut table = ValueTable::new(DEFAULT_MAX_PARALLELISM, owned);
        first.iter().for_each(|key| table.insert_new(key.key_hash(), *key, String::from("old")));
        let whole = full(&mut table);
        first[..removed].iter().for_each(|key| assert!(table.remove(key.key_hash(), key).is_some()));
        second[..come].iter().for_each(|key| table.insert_new(key.key_hash(), *key, String::from("new")));
        for key in first[removed..].iter().take(changed) {
            "changed".clone_into(table.get_mut(key.key_hash(), key).unwrap());
        }
        let mut model: BTreeMap<u64, &str> = first[removed..].iter().map(|key| (*key, "old")).collect();
        model.extend(first[removed..].iter().take(changed).map(|key| (*key, "changed")));
        model.extend(second[..come].iter().map(|key| (*key, "new")));
        let found = entries::<u64, String>(&together([whole, delta(&mut table)]));
        assert!(
            found.iter().map(|(key, text)| (*key, &**text)).eq(model),
            "{removed} removed, {come} come, {changed} changed"
        );
    }
}

/// Values that take no bytes, and those that need memory of their own.
#[test]
fn values_of_any_size_are_changed_by_place() {
    let mut units = table((0..5000_u64).map(|key| (key, ())));
    let whole = full(&mut units);
    (0..5000_u64).for_each(|key| assert!(units.get_mut(key.key_hash(), &key).is_some()));
    assert_eq!(entries::<u64, ()>(&together([whole, delta(&mut units)])).len(), 5000);
    let mut texts = table((0..500_u64).map(|key| (key, String::new())));
    let whole = full(&mut texts);
    (0..500_u64).for_each(|key| *texts.get_mut(key.key_hash(), &key).unwrap() = "long ".repeat(key as usize));
    let texts = entries::<u64, String>(&together([whole, delta(&mut texts)]));
    assert!(texts.iter().all(|(key, text)| text.len() == 5 * *key as usize));
}

#[test]
fn changes_that_fit_nothing_are_damaged() {
    let owned = KeyGroup::of(1_u64.key_hash(), DEFAULT_MAX_PARALLELISM);
    let in_group = |n: u64| KeyGroup::of(n.key_hash(), DEFAULT_MAX_PARALLELISM) == owned;
    let keys: Vec<u64> = (0..).filter(|n| in_group(*n)).take(40).collect();
    let base = full(&mut table(keys.iter().map(|key| (*key, 1_u8))));
    let refused = |entries: u64, bytes: &[u8]| {
        let mut state = base.clone();
        state.groups[0].pieces.push(Piece { kind: ExtentKind::Changes, entries, bytes: bytes.to_vec().into() });
        let error = state.groups[0].decode::<u64, u8>().unwrap_err().to_string();
        let restored =
            ValueTable::<u64, u8>::restore(&tests::descriptor(), &state, DEFAULT_MAX_PARALLELISM, tests::ALL);
        assert_eq!(restored.err().unwrap().message, error);
        error
    };
    // 4 × run + form, what tells the places, values, how many others, keys and values. The run has 128 buckets.
    let refused_all = [
        refused(1, &[5, 7, 0]),
        refused(40, &[1, 7, 0]),
        refused(1, &[2, 1, 128, 1, 7, 0]),
        refused(128, &[[3].as_slice(), &[255; 16], &[7; 128], &[0]].concat()),
        refused(1, &[3, 255]),
        refused(1, &[0, 0]),
        refused(1, &[0, 2, 1, 1, 2, 2]),
        refused(1, &[0, 1, 1, 1, 0]),
        refused(1, &[2, 1]),
    ];
    insta::assert_snapshot!(refused_all.join("\n"), @"
    key group 22: changes of run 1, which is not there
    key group 22: an entry cannot be read: Hit the end of buffer, expected more data
    key group 22: a change in bucket 128 of 128
    key group 22: a change in a vacant bucket
    key group 22: it is cut short
    key group 22: 1 entries are left, but 0 come together
    key group 22: 1 entries are left, but 2 come together
    key group 22: 1 bytes follow the last entry
    key group 22: an entry cannot be read: Hit the end of buffer, expected more data
    ");
}
