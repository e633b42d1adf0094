//! However a key is looked up, it is found where it stands.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    tests::{alone, changes, entries, freeze, full, read_back, sweep_all, table},
    *,
};
use crate::{
    key_group::{DEFAULT_MAX_PARALLELISM as MAX, KeyGroup, KeyGroupRange},
    stream::Key,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Batches: what was located is found, also if the table has changed since.
    #[test]
    fn located_keys_are_found(
        first in proptest::collection::vec(0u32..2000, 0..1500),
        second in proptest::collection::vec(0u32..2000, 0..1500),
    ) {
        let owned = KeyGroupRange { start: 3, end: 5 };
        let of_group = |keys: Vec<u32>| keys.into_iter().filter(|k| owned.contains(KeyGroup::of(k.key_hash(), MAX)));
        let (mut table, mut located, mut model) = (ValueTable::new(MAX, owned), Located::default(), BTreeMap::new());
        for batch in [first, second] {
            let batch: Vec<u32> = of_group(batch).flat_map(|k| [k, k]).collect();
            table.locate(batch.iter().map(Key::key_hash), &mut located);
            for (i, key) in batch.iter().enumerate() {
                if table.change_located(&located, i, key.key_hash(), key, |n| *n += 1).is_none() {
                    table.insert_new(key.key_hash(), *key, 1);
                }
                *model.entry(*key).or_insert(0) += 1;
            }
        }
        prop_assert_eq!(entries::<u32, i32>(&full(&mut table)), model);
    }
}

/// A shortcut leads to its key, until that has moved or gone; and what is changed there is a change as any other.
#[test]
fn a_shortcut_is_a_way_to_a_key_and_no_way_around_a_snapshot() {
    let (mut table, mut shortcuts) = (table((0..300_u64).map(|key| (key, 1_u32))), Shortcuts::new());
    shortcuts.fit(table.len());
    let (key, hash) = (7_u64, 7_u64.key_hash());
    assert!(table.find_and_note(&mut shortcuts, hash, &key).is_some());
    let place = shortcuts.get(hash);
    assert_eq!(table.get_mut_at(place, &8), None, "another key stands there");
    let mut whole = alone(full(&mut table));
    assert_eq!(changes(&table), Some(0));
    *table.get_mut_at(place, &key).expect("it has not moved") = 2;
    assert_eq!(changes(&table), Some(1));
    // Before the sweep comes to it.
    freeze(&mut table, SnapshotScope::Incremental);
    *table.get_mut_at(place, &key).expect("it has not moved") = 3;
    sweep_all(&mut table);
    whole.apply(alone(read_back(&mut table))).unwrap();
    let expected = (0..300).map(|other| (other, if other == key { 2 } else { 1 })).collect();
    assert_eq!(entries::<u64, u32>(&whole.operators[0].keyed[0]), expected);
    table.remove(hash, &key);
    assert_eq!(table.get_mut_at(place, &key), None);
    assert_eq!(table.find_and_note(&mut shortcuts, hash, &key), None);
    // Room for more keys begins anew, with guesses that are as wrong as any.
    table.insert_new(hash, key, 4);
    assert!(table.find_and_note(&mut shortcuts, hash, &key).is_some());
    shortcuts.fit(100 * table.len());
    assert_ne!(shortcuts.get(hash), place);
}

/// Keys are located by guesses. A guess may be that of another key, also if the key has no value.
#[test]
fn located_keys_of_a_large_table_are_found() {
    let keys = 2 * table::IN_CACHE as u32;
    // Every other key is there, with its number as value.
    let (mut table, mut located) = (table((0..keys).step_by(2).map(|key| (key, key))), Located::default());
    assert!(table.is_small() && table.len() == table::IN_CACHE);
    table.insert_new(keys.key_hash(), keys, keys);
    assert!(!table.is_small());
    for batch in (0..keys).collect::<Vec<_>>().chunks(4_096) {
        table.locate(batch.iter().map(Key::key_hash), &mut located);
        for (i, key) in batch.iter().enumerate() {
            match table.change_located(&located, i, key.key_hash(), key, std::mem::take) {
                Some(value) => assert_eq!((key % 2, value), (0, *key), "the value of another key"),
                None => {
                    assert_eq!(key % 2, 1, "{key} is not found");
                    // From here on an entry may be elsewhere than where it was located.
                    table.insert_new(key.key_hash(), *key, 0);
                }
            }
        }
    }
    assert_eq!(table.len(), keys as usize + 1);
    assert_eq!(entries::<u32, u32>(&full(&mut table)), (0..keys).map(|k| (k, 0)).chain([(keys, keys)]).collect());
}

/// Whatever is changed next of these keys, nothing of it is still to be encoded.
#[test]
fn segments_are_encoded_before_their_keys_change() {
    let (mut table, few) = (table((0..20_000_u64).map(|key| (key, 1_u32))), [3_u64, 4, 3, 5]);
    freeze(&mut table, SnapshotScope::Full);
    table.before_changes(few.iter().map(Key::key_hash));
    let encoded = |table: &ValueTable<u64, u32>, key: &u64| {
        table.segments[table.directory.segment(key.key_hash())].swept == table.freezes
    };
    assert!(few.iter().all(|key| encoded(&table, key)));
    assert!(!(0..20_000).all(|key| encoded(&table, &key)), "only these");
}
