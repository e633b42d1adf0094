//! What a checkpoint does with state.

use gungraun::prelude::*;
use tidegate::{
    key_group::{DEFAULT_MAX_PARALLELISM as MAX, KeyGroupRange, KeyHash},
    state::{Extent, ExtentKind, FrozenKeyedState, Located, SnapshotScope, ValueStateDescriptor, ValueTable},
    stream::{Key, SmallString},
};

use crate::at_most;

const ALL: KeyGroupRange = KeyGroupRange { start: 0, end: MAX };
const KEYS: u64 = 100_000;

type Table = ValueTable<SmallString, u64>;

fn word(n: u64) -> SmallString {
    format!("w{n}").into()
}

/// A table of short words, of which one in `one_in` has changed since the freeze before.
fn table(one_in: usize) -> Table {
    let mut table = ValueTable::new(MAX, ALL);
    for key in (0..KEYS).map(word) {
        table.insert_new(key.key_hash(), key, 1);
    }
    snapshot(&mut table, SnapshotScope::Full);
    for key in (0..KEYS).step_by(one_in).map(word) {
        *table.get_mut(key.key_hash(), &key).expect("it is there") += 1;
    }
    table
}

/// Gives what a snapshot holds.
fn snapshot(table: &mut Table, scope: SnapshotScope) -> FrozenKeyedState {
    table.freeze(scope, Vec::with_capacity(2 << 20));
    assert!(table.sweep(&mut u64::MAX.clone()).expect("plain data"));
    table.collect(&ValueStateDescriptor::new("sum")).1
}

// The table is handed on, because to drop it takes more than to go through it.
#[library_benchmark]
#[bench::everything(args = (table(1), SnapshotScope::Full), config = at_most(7_000_000), teardown = check_everything)]
#[bench::all_values(args = (table(1), SnapshotScope::Differential), config = at_most(3_100_000), teardown = check_all_values)]
#[bench::a_tenth(args = (table(10), SnapshotScope::Incremental), config = at_most(1_150_000), teardown = check_a_tenth)]
fn a_hundred_thousand_keys(mut table: Table, scope: SnapshotScope) -> (Table, FrozenKeyedState) {
    let state = snapshot(&mut table, scope);
    (table, state)
}

/// A table in which few entries have changed between two freezes, and those that will change next.
fn few_changes() -> (Table, Vec<(KeyHash, SmallString)>) {
    let mut table = table(10);
    snapshot(&mut table, SnapshotScope::Incremental);
    (table, (0..KEYS).step_by(10).map(word).map(|key| (key.key_hash(), key)).collect())
}

// To change a tenth of the entries is a part of it, because it writes them down.
#[library_benchmark]
#[bench::written_down(args = (few_changes()), config = at_most(2_950_000), teardown = check_written_down)]
fn a_tenth_changes((mut table, keys): (Table, Vec<(KeyHash, SmallString)>)) -> (Table, FrozenKeyedState) {
    let mut located = Located::default();
    for keys in keys.chunks(512) {
        table.locate(keys.iter().map(|(hash, _)| *hash), &mut located);
        for (i, (hash, key)) in keys.iter().enumerate() {
            table.change_located(&located, i, *hash, key, |n| *n += 1).expect("it is there");
        }
    }
    let state = snapshot(&mut table, SnapshotScope::Incremental);
    (table, state)
}

fn check_written_down((table, state): (Table, FrozenKeyedState)) {
    assert!(state.extents.iter().all(|extent| extent.kind == ExtentKind::Logged));
    check_a_tenth((table, state));
}

/// How many entries it has, and how many bytes these take.
fn told(state: &FrozenKeyedState) -> (u64, u64) {
    let sum = |of: fn(&Extent) -> u64| state.extents.iter().map(of).sum();
    (sum(|extent| extent.entries), sum(|extent| extent.len))
}

fn check_everything((_, state): (Table, FrozenKeyedState)) {
    let (entries, bytes) = told(&state);
    assert!(entries == KEYS && bytes > 7 * KEYS, "{entries} entries, {bytes} bytes");
}

fn check_all_values((_, state): (Table, FrozenKeyedState)) {
    let (entries, bytes) = told(&state);
    assert!(entries == KEYS && bytes < 2 * KEYS, "{entries} entries, {bytes} bytes");
}

fn check_a_tenth((_, state): (Table, FrozenKeyedState)) {
    let (entries, bytes) = told(&state);
    assert!(entries == KEYS / 10 && bytes < KEYS / 2, "{entries} entries, {bytes} bytes");
}

library_benchmark_group!(name = of_state, benchmarks = [a_hundred_thousand_keys, a_tenth_changes]);
