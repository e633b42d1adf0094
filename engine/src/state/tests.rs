//! What must hold of a table, whatever is done with it and whenever it is frozen.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    error::{ErrorKind, Result},
    id::CheckpointId,
    key_group::{DEFAULT_MAX_PARALLELISM as MAX, KeyGroup, KeyGroupRange, KeyHash},
    probe::KeyGroupContent,
    storage::{decode_snapshot, seal_snapshot, snapshot_buffer},
    stream::{Data, Key, hash_bytes},
};

pub(super) const ALL: KeyGroupRange = KeyGroupRange { start: 0, end: MAX };

pub(super) fn descriptor<V>() -> ValueStateDescriptor<V> {
    ValueStateDescriptor::new("counts")
}

pub(super) fn table<K: Key, V: Data>(entries: impl IntoIterator<Item = (K, V)>) -> ValueTable<K, V> {
    let mut table = ValueTable::new(MAX, ALL);
    entries.into_iter().for_each(|(key, value)| table.insert_new(key.key_hash(), key, value));
    table
}

/// What is in a file that holds this frozen table.
pub(super) fn read_back<K: Key, V: Data>(table: &mut ValueTable<K, V>) -> KeyedStateSnapshot {
    let (buffer, state) = table.collect(&descriptor());
    let operator = FrozenOperator { uid: "o".into(), key_groups: Some(ALL), keyed: vec![state], lists: Vec::new() };
    let frozen = FrozenSnapshot { buffer, operators: vec![operator] };
    let contents = seal_snapshot(frozen, CheckpointId(1), None, Default::default()).unwrap().contents;
    let (_, mut snapshot) = decode_snapshot(&contents, "f".as_ref()).unwrap();
    snapshot.operators.remove(0).keyed.remove(0)
}

pub(super) fn sweep_all<K: Key, V: Data>(table: &mut ValueTable<K, V>) {
    assert!(table.sweep(&mut u64::MAX.clone()).unwrap());
}

/// Freezes a table: what is written after this is not in the snapshot.
pub(super) fn freeze<K: Key, V: Data>(table: &mut ValueTable<K, V>, scope: SnapshotScope) {
    table.freeze(scope, snapshot_buffer(Vec::new()));
}

/// How many changes an incremental snapshot would hold now.
pub(super) fn changes<K: Key, V: Data>(table: &ValueTable<K, V>) -> Option<u64> {
    table.size().incremental.map(|delta| delta.changes)
}

/// A snapshot of everything.
pub(super) fn full<K: Key, V: Data>(table: &mut ValueTable<K, V>) -> KeyedStateSnapshot {
    freeze(table, SnapshotScope::Full);
    sweep_all(table);
    read_back(table)
}

pub(super) fn alone(state: KeyedStateSnapshot) -> SubtaskSnapshot {
    let operator = OperatorSnapshot { uid: "o".into(), key_groups: Some(ALL), keyed: vec![state], lists: Vec::new() };
    SubtaskSnapshot { operators: vec![operator] }
}

fn restore<K: Key, V: Data>(snapshot: &KeyedStateSnapshot, owned: KeyGroupRange) -> Result<ValueTable<K, V>> {
    ValueTable::restore(&descriptor(), snapshot, MAX, owned)
}

/// A table of pieces of a snapshot, of at least so many bytes.
pub(super) fn join<K: Key, V: Data>(
    state: &KeyedStateSnapshot,
    owned: KeyGroupRange,
    bytes: usize,
) -> ValueTable<K, V> {
    let pieces = state.clone().cut(owned, bytes).into_iter();
    ValueTable::join(pieces.map(|(range, piece)| restore(&piece, range).unwrap()).collect())
}

/// All entries of a snapshot.
pub(super) fn entries<K: Key + Ord, V: Data>(snapshot: &KeyedStateSnapshot) -> BTreeMap<K, V> {
    snapshot.groups.iter().flat_map(|g| g.decode().unwrap()).collect()
}

/// A key type whose hashes are nearly all the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
struct Colliding(u32);

impl Key for Colliding {
    fn key_hash(&self) -> KeyHash {
        KeyHash(u64::from(self.0 % 2) << 40)
    }
}

/// What a program, or a checkpoint, does to a table.
#[derive(Clone, Copy, Debug)]
enum Action {
    /// Keys from this one on, so many, get this value.
    Put(u16, u16, u32),
    /// Keys from this one on, so many, lose theirs.
    Remove(u16, u16),
    /// All state is fixed, and so much of it written.
    Freeze(SnapshotScope),
    /// Goes on with this budget.
    Sweep(u64),
    /// The checkpoint fails.
    Abandon,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        6 => (0u16..3000, prop_oneof![3 => 0u16..20, 1 => 0u16..1500], any::<u32>()).prop_map(|(k, n, v)| Action::Put(k, n, v)),
        3 => (0u16..3000, prop_oneof![3 => 0u16..20, 1 => 0u16..1500]).prop_map(|(k, n)| Action::Remove(k, n)),
        4 => prop_oneof![
            2 => Just(SnapshotScope::Incremental), 1 => Just(SnapshotScope::Differential), 1 => Just(SnapshotScope::Full),
        ].prop_map(Action::Freeze),
        6 => prop_oneof![2 => 1u64..4, 1 => 1u64..400, 2 => Just(1 << 40)].prop_map(Action::Sweep),
        1 => Just(Action::Abandon),
    ];
    proptest::collection::vec(action, 0..40)
}

/// What a table of these entries says that it holds, from postcard's own bytes.
fn content_of<K: Key>(entries: &BTreeMap<K, u32>) -> Vec<KeyGroupContent> {
    let mut sums = BTreeMap::<KeyGroup, u64>::new();
    for entry in entries {
        let sum = sums.entry(KeyGroup::of(entry.0.key_hash(), MAX)).or_default();
        *sum = sum.wrapping_add(hash_bytes(&postcard::to_stdvec(&entry).unwrap()).0);
    }
    sums.into_iter().map(|(group, sum)| KeyGroupContent { group, sum }).collect()
}

fn put<K: Key>(table: &mut ValueTable<K, u32>, key: &K, value: u32) {
    let hash = key.key_hash();
    if value.is_multiple_of(3) && change(table, key, value) {
        return;
    }
    match table.get_mut(hash, key) {
        Some(old) => *old = value,
        None => table.insert_new(hash, key.clone(), value),
    }
}

/// Changes a value as an operator does that looks up many keys at once.
pub(super) fn change<K: Key, V: Data>(table: &mut ValueTable<K, V>, key: &K, value: V) -> bool {
    let located = Located::default();
    table.change_located(&located, 0, key.key_hash(), key, |old| *old = value).is_some()
}

/// Gives these keys a value as such an operator does.
fn put_located<K: Key>(table: &mut ValueTable<K, u32>, keys: &[K], value: u32) {
    let mut located = Located::default();
    table.before_changes(keys.iter().map(Key::key_hash));
    table.locate(keys.iter().map(Key::key_hash), &mut located);
    for (i, key) in keys.iter().enumerate() {
        if table.change_located(&located, i, key.key_hash(), key, |old| *old = value).is_none() {
            table.insert_new(key.key_hash(), key.clone(), value);
        }
    }
}

/// Likewise, by shortcuts that nobody tells of what is done otherwise.
fn put_by<K: Key>(shortcuts: &mut Shortcuts, table: &mut ValueTable<K, u32>, key: &K, value: u32) {
    let hash = key.key_hash();
    shortcuts.fit(table.len());
    if let Some(old) = table.get_mut_at(shortcuts.get(hash), key) {
        *old = value;
    } else if let Some(place) = table.find_and_note(shortcuts, hash, key) {
        let (old, log) = table.change(place);
        *old = value;
        log.into_iter().for_each(|entry| entry.write(old));
    } else {
        table.insert_new(hash, key.clone(), value);
    }
}

/// Does these things to a table, to a map, and to the snapshots that are taken meanwhile.
fn run<K: Key + Ord + std::fmt::Debug>(key: impl Fn(u16) -> K, owned: KeyGroupRange, actions: Vec<Action>) {
    let (mut table, mut model) = (ValueTable::<K, u32>::new(MAX, owned), BTreeMap::<K, u32>::new());
    let owns = |key: &K| owned.contains(KeyGroup::of(key.key_hash(), MAX));
    let mut shortcuts = Shortcuts::new();
    // What was frozen, and how; the newest snapshot that holds everything; and the newest of all, with all that it builds on.
    let mut frozen: Option<(BTreeMap<K, u32>, SnapshotScope)> = None;
    let (mut newest_full, mut newest): (Option<SubtaskSnapshot>, Option<SubtaskSnapshot>) = (None, None);
    for action in actions {
        match action {
            Action::Put(from, n, value) => {
                let keys: Vec<K> = (from..from + n).map(&key).filter(owns).collect();
                match value % 4 {
                    0 => put_located(&mut table, &keys, value),
                    2 => keys.iter().for_each(|key| put(&mut table, key, value)),
                    _ => keys.iter().for_each(|key| put_by(&mut shortcuts, &mut table, key, value)),
                }
                model.extend(keys.into_iter().map(|key| (key, value)));
            }
            Action::Remove(from, n) => {
                for key in (from..from + n).map(&key).filter(owns) {
                    assert_eq!(table.remove(key.key_hash(), &key), model.remove(&key));
                }
            }
            Action::Freeze(scope) if frozen.is_none() => {
                let scope = if newest.is_none() { SnapshotScope::Full } else { scope };
                freeze(&mut table, scope);
                frozen = Some((model.clone(), scope));
            }
            Action::Sweep(budget) if frozen.is_some() => {
                let mut budget = budget;
                if table.sweep(&mut budget).unwrap() {
                    let state = read_back(&mut table);
                    let (expected, scope) = frozen.take().unwrap();
                    let mut whole = match scope {
                        _ if !state.is_delta => SubtaskSnapshot::default(),
                        SnapshotScope::Differential => newest_full.clone().unwrap(),
                        _ => newest.take().unwrap(),
                    };
                    let is_full = !state.is_delta;
                    whole.apply(alone(state)).unwrap();
                    whole.check_complete().unwrap();
                    if is_full {
                        newest_full = Some(whole.clone());
                    }
                    let state = &whole.operators[0].keyed[0];
                    assert_eq!(entries::<K, u32>(state), expected);
                    let (at_once, in_pieces) = (restore::<K, u32>(state, owned).unwrap(), join(state, owned, 1000));
                    for restored in [at_once, in_pieces] {
                        assert_eq!(restored.len(), expected.len());
                        for (key, value) in &expected {
                            assert_eq!(restored.get(key.key_hash(), key), Some(value));
                        }
                        assert_eq!(restored.content().unwrap(), content_of(&expected));
                    }
                    newest = Some(whole);
                }
            }
            Action::Abandon if frozen.is_some() => {
                table.abandon();
                (frozen, newest) = (None, None);
            }
            Action::Freeze(_) | Action::Sweep(_) | Action::Abandon => {}
        }
        assert_eq!(table.len(), model.len());
    }
    for key in (0..5000).map(key).filter(owns) {
        assert_eq!(table.get(key.key_hash(), &key), model.get(&key));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is written, removed and inserted while a sweep is under way: snapshots hold what was frozen.
    #[test]
    fn a_snapshot_is_the_state_at_the_freeze(actions in actions()) {
        run(u64::from, ALL, actions);
    }

    /// In a single key group, segments split and the directory doubles.
    #[test]
    fn so_it_is_in_segments_that_split(actions in actions(), group in 0..MAX) {
        let owned = KeyGroupRange { start: group, end: group + 1 };
        let in_group: Vec<u32> = (0..u32::MAX).filter(|n| owned.contains(KeyGroup::of(n.key_hash(), MAX))).take(5000).collect();
        run(|n| in_group[usize::from(n)], owned, actions);
    }

    #[test]
    fn so_it_is_if_hashes_cannot_be_told_apart(actions in actions()) {
        let actions = actions.into_iter().map(|a| match a {
            Action::Put(k, n, v) => Action::Put(k, n % 300, v),
            Action::Remove(k, n) => Action::Remove(k, n % 300),
            other => other,
        });
        run(|n| Colliding(u32::from(n)), ALL, actions.collect());
    }
}

/// What the stream waits for is bounded also where entries are few and large.
#[test]
fn large_entries_count_for_many_in_a_sweep() {
    let mut table = table((0..64_u64).map(|key| (key, "a".repeat(100_000))));
    freeze(&mut table, SnapshotScope::Full);
    let mut sweeps = 1;
    while !table.sweep(&mut 1000).unwrap() {
        sweeps += 1;
    }
    assert!(sweeps > 20, "{sweeps} sweeps for more than 6 MB, at 64 kB each");
    assert_eq!(entries::<u64, String>(&read_back(&mut table)).len(), 64);
}

/// A delta of nothing but a few changes is small, whatever was done before.
#[test]
fn a_delta_holds_what_has_changed_and_no_more() {
    let mut counts = table((0..100_000_u64).map(|n| (n, n)));
    full(&mut counts);
    assert_eq!(changes(&counts), Some(0));
    for n in 0..100_u64 {
        *counts.get_mut(n.key_hash(), &n).unwrap() += 1;
        *counts.get_mut(n.key_hash(), &n).unwrap() += 1;
    }
    for n in 100..110_u64 {
        counts.remove(n.key_hash(), &n);
    }
    assert_eq!(changes(&counts), Some(110));
    freeze(&mut counts, SnapshotScope::Incremental);
    sweep_all(&mut counts);
    let delta = read_back(&mut counts);
    let pieces = |kind| -> u64 {
        delta.groups.iter().flat_map(|g| &g.pieces).filter(|p| p.kind == kind).map(|p| p.entries).sum()
    };
    assert!(delta.is_delta);
    assert_eq!((pieces(ExtentKind::Changes), pieces(ExtentKind::Removed)), (100, 10));
    // Alone it is of no use.
    assert_eq!(alone(delta).check_complete().unwrap_err().kind, ErrorKind::Damaged);
}

#[test]
fn more_removals_than_can_be_remembered_are_written_in_full() {
    let mut counts = table((0..10_000_u64).map(|n| (n, n)));
    let whole = full(&mut counts);
    for n in 0..9000_u64 {
        counts.remove(n.key_hash(), &n);
    }
    assert_eq!(changes(&counts), None);
    freeze(&mut counts, SnapshotScope::Incremental);
    sweep_all(&mut counts);
    let rest = read_back(&mut counts);
    assert!(!rest.is_delta);
    let mut both = alone(whole);
    both.apply(alone(rest)).unwrap();
    assert_eq!(entries::<u64, u64>(&both.operators[0].keyed[0]), (9000..10_000).map(|n| (n, n)).collect());
    assert_eq!(changes(&counts), Some(0));
}

/// No segment grows with the state: what a write has to encode first, and what an insertion moves, is bounded.
#[test]
fn segments_stay_small_and_the_directory_in_proportion() {
    let counts = table((0..300_000_u32).map(|n| (n, ())));
    assert!(counts.segments.iter().all(|s| s.entries.len() <= segment::CAPACITY));
    assert!(counts.segments.len() < 300_000 / 100, "{} segments", counts.segments.len());
    assert!(counts.directory.slots().len() <= counts.segments.len() * 16, "{} slots", counts.directory.slots().len());
    let same = table((0..3000).map(|n| (Colliding(n), ())));
    assert!(same.directory.slots().len() <= same.segments.len() * 16 && same.directory.slots().len() < 10_000);
}

#[test]
fn a_look_up_in_a_small_segment_reads_one_line_of_it() {
    type Small = segment::Segment<u64, u64>;
    assert!(align_of::<Small>().is_multiple_of(64) && std::mem::offset_of!(Small, marks) + size_of::<u64>() <= 64);
}

/// Keys that come and go leave vacant places behind: these are used again, and do not make the table grow.
#[test]
fn places_of_removed_keys_are_used_again() {
    let owned = KeyGroupRange { start: 3, end: 4 };
    let mut counts = ValueTable::new(MAX, owned);
    let mut keys = (0..u32::MAX).filter(|n| owned.contains(KeyGroup::of(n.key_hash(), MAX)));
    for _ in 0..30 {
        let some: Vec<u32> = keys.by_ref().take(200).collect();
        some.iter().for_each(|key| counts.insert_new(key.key_hash(), *key, 1_u32));
        some.iter().for_each(|key| assert_eq!(counts.remove(key.key_hash(), key), Some(1)));
        // Something is left, or the memory would be given back.
        let left = keys.next().unwrap();
        counts.insert_new(left.key_hash(), left, 1);
    }
    assert_eq!((counts.len(), counts.segments.len()), (30, 1));
}

/// The stream waits for a sweep: so it does no more at a time than it is told, but for the rest of a segment.
#[test]
fn a_sweep_keeps_to_its_budget() {
    let mut counts = table((0..100_000_u64).map(|n| (n, n)));
    freeze(&mut counts, SnapshotScope::Full);
    let mut times = 1;
    while !counts.sweep(&mut 1_000).unwrap() {
        times += 1;
    }
    let most = 100_000 / 1_000 + 1;
    assert!((100_000 / (1_000 + segment::CAPACITY)..=most).contains(&times), "{times}");
}

#[test]
fn what_is_not_a_snapshot_is_refused() {
    let good = full(&mut table([("a".to_owned(), 1_u64)]));
    let refused = |change: &dyn Fn(&mut KeyedStateSnapshot), owned| {
        let mut snapshot = good.clone();
        change(&mut snapshot);
        let error = restore::<String, u64>(&snapshot, owned).err().unwrap();
        format!("{:?}: {error}", error.kind)
    };
    let error = restore::<String, u32>(&good, ALL).err().unwrap();
    assert_eq!(error.kind, ErrorKind::BadInput);
    insta::assert_snapshot!(error, @"state counts holds alloc::string::String -> u64 in the checkpoint but alloc::string::String -> u32 in the program: restore it with the types that it was taken with, or give the state another name");
    let none = KeyGroupRange { start: 0, end: 0 };
    insta::assert_snapshot!(refused(&|_| (), none), @"Damaged: state counts: key group 115: outside the range 0..0 of this subtask");
    insta::assert_snapshot!(refused(&|s| s.groups[0].group.0 ^= 1, ALL), @"Damaged: state counts: key group 114: a key of another group, or the hash of the key's type has changed");
    insta::assert_snapshot!(refused(&|s| s.groups[0].pieces[0].entries = u64::MAX, ALL), @"Damaged: state counts: key group 115: 18446744073709551615 entries cannot be in 5 bytes");
    let run = |entries: u32, bytes: &[u8]| {
        let bytes = bytes.to_vec();
        move |s: &mut KeyedStateSnapshot| s.groups[0] = KeyGroupEntries::new(s.groups[0].group, entries, &bytes)
    };
    insta::assert_snapshot!(refused(&|s| s.groups[0].pieces[0].entries = 2, ALL), @"Damaged: state counts: key group 115: an entry cannot be read: Hit the end of buffer, expected more data");
    insta::assert_snapshot!(refused(&run(2, &[1, 97, 1]), ALL), @"Damaged: state counts: key group 115: an entry cannot be read: Hit the end of buffer, expected more data");
    insta::assert_snapshot!(refused(&run(1, &[1, 97, 1, 1, 97, 1]), ALL), @"Damaged: state counts: key group 115: 3 bytes follow the last entry");
    let twice = run(2, &[1, 97, 1, 1, 97, 1]);
    insta::assert_snapshot!(refused(&twice, ALL), @"Damaged: state counts: key group 115: a key stands twice");
}
