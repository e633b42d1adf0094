//! What a checkpoint does with state.

use gungraun::prelude::*;
use tidegate::{
    key_group::{DEFAULT_MAX_PARALLELISM as MAX, KeyGroupRange},
    state::{FrozenKeyedState, ValueStateDescriptor, ValueTable},
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
    snapshot(&mut table, false);
    for key in (0..KEYS).step_by(one_in).map(word) {
        *table.get_mut(key.key_hash(), &key).expect("it is there") += 1;
    }
    table
}

/// Gives what a snapshot holds.
fn snapshot(table: &mut Table, is_delta: bool) -> FrozenKeyedState {
    table.freeze(is_delta, Vec::with_capacity(2 << 20));
    assert!(table.sweep(&mut u64::MAX.clone()).expect("plain data"));
    table.collect(&ValueStateDescriptor::new("sum")).1
}

#[library_benchmark]
#[bench::everything(args = (table(1), false), config = at_most(8_000_000), teardown = check_all)]
#[bench::a_tenth(args = (table(10), true), config = at_most(2_950_000), teardown = check_a_tenth)]
fn a_hundred_thousand_keys(mut table: Table, is_delta: bool) -> FrozenKeyedState {
    snapshot(&mut table, is_delta)
}

fn entries(state: &FrozenKeyedState) -> u64 {
    state.extents.iter().map(|extent| extent.entries).sum()
}

fn check_all(state: FrozenKeyedState) {
    assert_eq!((entries(&state), state.is_delta), (KEYS, false));
}

fn check_a_tenth(state: FrozenKeyedState) {
    assert_eq!((entries(&state), state.is_delta), (KEYS / 10, true));
}

library_benchmark_group!(name = of_state, benchmarks = a_hundred_thousand_keys);
