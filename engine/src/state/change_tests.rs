//! Changes are written without keys where that can be, and mean the same.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Deserialize, Serialize, Serializer, ser::Error as _};

use super::{
    tests::{alone, change, changes, entries, freeze, full, read_back, sweep_all, table},
    *,
};
use crate::{
    key_group::{DEFAULT_MAX_PARALLELISM, KeyGroup, KeyGroupRange},
    stream::Key,
};

/// What has changed since the freeze before.
fn delta<V: crate::stream::Data>(table: &mut ValueTable<u64, V>) -> KeyedStateSnapshot {
    freeze(table, SnapshotScope::Incremental);
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
    fn any_set_of_changes_is_told(
        keys in 1_u64..30_000,
        rounds in proptest::collection::vec((0..30_000_u64, prop_oneof![1_usize..3, 1_usize..700], any::<bool>()), 1..6),
    ) {
        let mut table = table((0..keys).map(|key| (key, 0_u32)));
        let mut model: BTreeMap<u64, u32> = (0..keys).map(|key| (key, 0)).collect();
        let mut snapshots = vec![full(&mut table)];
        for (round, (from, step, in_log)) in rounds.into_iter().enumerate() {
            for key in (from % keys..keys).step_by(step) {
                if in_log {
                    assert!(change(&mut table, &key, round as u32));
                } else {
                    *table.get_mut(key.key_hash(), &key).unwrap() = round as u32;
                }
                model.insert(key, round as u32);
            }
            let DeltaSize { changes, keyed, .. } = table.size().incremental.unwrap();
            prop_assert_eq!(keyed, 0);
            let delta = delta(&mut table);
            // Who decides what is written, and how much a restore may go through, is told no less than there will be.
            let held: u64 = delta.groups.iter().flat_map(|g| &g.pieces).map(|p| p.entries).sum();
            prop_assert!(held <= changes, "{} of {}", held, changes);
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
    let size = |changes, keyed| {
        let delta = Some(DeltaSize { changes, keyed, again: 0 });
        StateSize { entries: KEYS, incremental: delta, differential: delta }
    };
    assert_eq!(table.size(), size(KEYS, KEYS));
    let whole = full(&mut table);
    let change_all = |table: &mut ValueTable<u64, u8>, value| {
        (0..KEYS).for_each(|key| *table.get_mut(key.key_hash(), &key).unwrap() = value);
    };
    change_all(&mut table, 2);
    assert_eq!(table.size(), size(KEYS, 0));
    let by_place = delta(&mut table);
    let segments = table.segments.len();
    assert!(bytes(&by_place) < KEYS as usize + 8 * segments, "{} bytes for as many values", bytes(&by_place));
    // Twice as many keys: segments grow, and what was in them moves.
    for key in KEYS..2 * KEYS {
        table.insert_new(key.key_hash(), key, 3);
    }
    change_all(&mut table, 3);
    let keyed = table.size().incremental.unwrap().keyed;
    assert!((KEYS + 1..=2 * KEYS).contains(&keyed), "{keyed}");
    let by_key = delta(&mut table);
    assert!(bytes(&by_key) > 3 * KEYS as usize);
    let all = together([whole, by_place, by_key]);
    assert_eq!(entries::<u64, u8>(&all), (0..2 * KEYS).map(|key| (key, 3)).collect());
}

/// How many entries, keys or changes of a kind there are.
fn count(state: &KeyedStateSnapshot, kind: ExtentKind) -> u64 {
    state.groups.iter().flat_map(|g| &g.pieces).filter(|piece| piece.kind == kind).map(|piece| piece.entries).sum()
}

/// A table of so many keys, of which few have changed since its full snapshot: the next changes are written down.
fn logging(keys: u64) -> (ValueTable<u64, u32>, [KeyedStateSnapshot; 2]) {
    let mut table = table((0..keys).map(|key| (key, 1_u32)));
    let whole = full(&mut table);
    assert!(change(&mut table, &0, 2));
    let first = delta(&mut table);
    assert_eq!(
        (count(&first, ExtentKind::Logged), count(&first, ExtentKind::Changes)),
        (0, 1),
        "more than few before that"
    );
    (table, [whole, first])
}

/// As long as few entries change they are written down, those that change twice twice; then the rest is marked, and next time all.
#[test]
fn few_changes_are_written_down() {
    const KEYS: u64 = 20_000;
    let (mut table, [whole, first]) = logging(KEYS);
    let mut snapshots = vec![whole, first];
    let rounds = [
        (100, 10, (110, 0)),
        (KEYS / 4, 0, (KEYS / 4, 0)),
        (KEYS / 4, 10, (KEYS / 4, 10)),
        (7, 0, (0, 7)),
        (7, 0, (7, 0)),
    ];
    for (round, (changed, again, expected)) in (10..).zip(rounds) {
        for key in (0..changed).chain(0..again) {
            assert!(change(&mut table, &key, round + key as u32));
        }
        let told = changes(&table);
        freeze(&mut table, SnapshotScope::Incremental);
        while !table.sweep(&mut 1).unwrap() {}
        let delta = read_back(&mut table);
        assert_eq!((count(&delta, ExtentKind::Logged), count(&delta, ExtentKind::Changes)), expected, "round {round}");
        assert_eq!(told, Some(expected.0 + expected.1));
        snapshots.push(delta);
        let all = entries::<u64, u32>(&together(snapshots.clone()));
        assert!((0..KEYS).all(|key| Some(&all[&key]) == table.get(key.key_hash(), &key)), "round {round}");
    }
    // A key that has come since the full snapshot is in no place there; its neighbours are.
    table.insert_new(KEYS.key_hash(), KEYS, 1);
    (0..100).chain([KEYS]).for_each(|key| assert!(change(&mut table, &key, 5)));
    let delta = delta(&mut table);
    assert_eq!((count(&delta, ExtentKind::Logged), count(&delta, ExtentKind::Changes)), (100, 1));
    snapshots.push(delta);
    let all = entries::<u64, u32>(&together(snapshots));
    assert!((0..=KEYS).all(|key| Some(&all[&key]) == table.get(key.key_hash(), &key)));
}

/// A difference takes the place of all that was written since the full snapshot.
#[test]
fn a_difference_needs_the_full_snapshot_alone() {
    const KEYS: u64 = 20_000;
    let (mut table, [whole, first]) = logging(KEYS);
    // A change that is written down, a key that comes, a segment that grows; and a delta of that.
    (0..100).for_each(|key| assert!(change(&mut table, &key, 7)));
    (KEYS..KEYS + 500).for_each(|key| table.insert_new(key.key_hash(), key, 8));
    let second = delta(&mut table);
    // Another change, which is in no delta.
    (50..60).for_each(|key| assert!(change(&mut table, &key, 9)));
    let told = table.size().differential.unwrap();
    assert!(told.keyed >= 500 && told.again == told.keyed, "all of these were there at the freeze before: {told:?}");
    freeze(&mut table, SnapshotScope::Differential);
    (0..KEYS).for_each(|key| assert!(change(&mut table, &key, 10)));
    while !table.sweep(&mut 1).unwrap() {}
    let difference = read_back(&mut table);
    assert_eq!((count(&difference, ExtentKind::Logged), count(&difference, ExtentKind::Changes)), (0, told.changes));
    assert!(bytes(&difference) < 2 * KEYS as usize, "most of it without keys");
    let expected: BTreeMap<_, _> = (0..KEYS + 500)
        .map(|key| match key {
            50..60 => (key, 9),
            0..100 => (key, 7),
            100..KEYS => (key, 1),
            _ => (key, 8),
        })
        .collect();
    assert_eq!(entries::<u64, u32>(&together([whole.clone(), difference.clone()])), expected);
    assert_eq!(entries::<u64, u32>(&together([whole.clone(), first, second, difference.clone()])), expected);
    // And more may be built on it.
    let next = delta(&mut table);
    let expected = expected.into_iter().map(|(key, value)| (key, if key < KEYS { 10 } else { value })).collect();
    assert_eq!(entries::<u64, u32>(&together([whole, difference, next])), expected);
}

/// Which keys are gone, nobody remembers until the next full snapshot.
#[test]
fn there_is_no_difference_once_a_key_is_removed() {
    let (mut table, _) = logging(1000);
    assert_eq!(table.size().differential, Some(DeltaSize { changes: 1000, ..DeltaSize::default() }));
    table.remove(5_u64.key_hash(), &5);
    delta(&mut table);
    assert_eq!(table.size().differential, None);
    freeze(&mut table, SnapshotScope::Differential);
    // While it is written, another one goes.
    table.remove(6_u64.key_hash(), &6);
    sweep_all(&mut table);
    let whole = read_back(&mut table);
    assert!(!whole.is_delta);
    assert_eq!((entries::<u64, u32>(&whole).len(), table.size().differential), (999, None));
    full(&mut table);
    assert!(table.size().differential.is_some());
    // Values that take memory of their own are not written without need.
    assert_eq!(tests::table([(1_u64, String::new())]).size().differential, None);
}

/// What was written down stays true when its entry moves, is marked as well, goes, and comes back.
#[test]
fn what_is_written_down_outlives_its_entry() {
    const KEYS: u64 = 5_000;
    let (mut table, [whole, first]) = logging(KEYS);
    let (few, third) = (0..300, 100);
    few.clone().for_each(|key| assert!(change(&mut table, &key, 7)));
    // Segments split: of what was written down, a part changes again and is marked, as it is not known any more where it is.
    (KEYS..4 * KEYS).for_each(|key| table.insert_new(key.key_hash(), key, 8));
    (0..third).for_each(|key| assert!(change(&mut table, &key, 9)));
    // Another part goes, and some of that comes back.
    (third..2 * third).for_each(|key| assert!(table.remove(key.key_hash(), &key).is_some()));
    (third..third + 20).for_each(|key| table.insert_new(key.key_hash(), key, 10));
    // Those that come and those that go while the sweep is under way have nothing to do with it.
    freeze(&mut table, SnapshotScope::Incremental);
    (third..third + 20).for_each(|key| assert!(change(&mut table, &key, 11)));
    few.for_each(|key| assert_eq!(table.remove(key.key_hash(), &key).is_none(), (120..200).contains(&key)));
    while !table.sweep(&mut 1).unwrap() {}
    let delta = read_back(&mut table);
    assert_eq!(count(&delta, ExtentKind::Logged), 300);
    let expected = |key| match key {
        0..100 => Some(9),
        100..120 => Some(10),
        120..200 => None,
        200..300 => Some(7),
        300..KEYS => Some(1),
        _ => Some(8),
    };
    let expected = (0..4 * KEYS).filter_map(|key| Some((key, expected(key)?))).collect();
    assert_eq!(entries::<u64, u32>(&together([whole, first, delta])), expected);
}

/// A number that cannot be encoded if it is odd.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
struct Even(u32);

impl Serialize for Even {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(2) { self.0.serialize(serializer) } else { Err(S::Error::custom("it is odd")) }
    }
}

/// What a value was meanwhile need not be encoded: only what it is at a freeze.
#[test]
fn a_value_that_cannot_be_encoded_may_be_replaced_in_time() {
    for dealt in [10, 3000] {
        let mut table = table((0..20_000_u64).map(|key| (key, Even(0))));
        freeze(&mut table, SnapshotScope::Full);
        sweep_all(&mut table);
        read_back(&mut table);
        freeze(&mut table, SnapshotScope::Incremental);
        sweep_all(&mut table);
        read_back(&mut table);
        // Enough changes that the first ones are encoded, or too few for that.
        assert!(change(&mut table, &1, Even(3)));
        (0..dealt).for_each(|key| assert!(change(&mut table, &key, Even(4))));
        assert_eq!(changes(&table).is_none(), dealt == 3000);
        freeze(&mut table, SnapshotScope::Incremental);
        sweep_all(&mut table);
        let whole = read_back(&mut table);
        assert!(!whole.is_delta);
        let expected = (0..20_000).map(|key| (key, if key < dealt { 4 } else { 0 })).collect();
        assert_eq!(entries::<u64, u32>(&whole), expected);
        assert!(change(&mut table, &1, Even(3)));
        freeze(&mut table, SnapshotScope::Incremental);
        let error = table.sweep(&mut u64::MAX.clone()).unwrap_err().to_string();
        assert!(error.contains("cannot be encoded"), "{error}");
    }
}

/// Written down is what a delta leaves out otherwise, and nothing that a full snapshot has.
#[test]
fn a_full_snapshot_forgets_what_was_written_down() {
    let (mut table, _) = logging(1000);
    (0..100).for_each(|key| assert!(change(&mut table, &key, 7)));
    let whole = full(&mut table);
    assert_eq!(count(&whole, ExtentKind::Logged), 0);
    (0..100).for_each(|key| assert!(change(&mut table, &key, 8)));
    table.freeze(SnapshotScope::Incremental, Vec::new());
    table.abandon();
    let again = full(&mut table);
    let expected: BTreeMap<_, _> = (0..1000).map(|key| (key, if key < 100 { 8 } else { 1 })).collect();
    assert_eq!(entries::<u64, u32>(&again), expected);
    assert_eq!(entries::<u64, u32>(&together([again, delta(&mut table)])), expected);
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
    let refused_of = |kind, entries: u64, bytes: &[u8]| {
        let mut state = base.clone();
        state.groups[0].pieces.push(Piece { kind, entries, bytes: bytes.to_vec().into() });
        let error = state.groups[0].decode::<u64, u8>().unwrap_err().to_string();
        let restored =
            ValueTable::<u64, u8>::restore(&tests::descriptor(), &state, DEFAULT_MAX_PARALLELISM, tests::ALL);
        assert_eq!(restored.err().unwrap().message, error);
        error
    };
    let refused = |entries, bytes: &[u8]| refused_of(ExtentKind::Changes, entries, bytes);
    let refused_logged = |entries, bytes: &[u8]| refused_of(ExtentKind::Logged, entries, bytes);
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
        // 512 × run + bucket, value.
        refused_logged(1, &[125, 7]),
        refused_logged(1, &[0x80, 4, 7]),
        refused_logged(1, &[0xff, 3, 7]),
        refused_logged(1, &[0xff]),
        refused_logged(3, &[127, 7]),
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
    key group 22: a change in bucket 125 of run 0, where nothing is
    key group 22: a change in bucket 0 of run 1, where nothing is
    key group 22: a change in bucket 511 of run 0, where nothing is
    key group 22: an entry cannot be read: Hit the end of buffer, expected more data
    key group 22: 3 entries cannot be in 2 bytes
    ");
}
