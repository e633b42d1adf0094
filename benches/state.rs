//! The state backend by itself: look-ups and updates, freezing and sweeping, restoring.
//!
//! ```sh
//! cargo bench --bench state
//! ```
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "benches measure real time")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tidegate::{
    checkpoint::SnapshotCompression,
    id::CheckpointId,
    key_group::{DEFAULT_MAX_PARALLELISM as MAX, KeyGroupRange, KeyHash},
    state::{
        FrozenOperator, FrozenSnapshot, KeyedStateSnapshot, Located, OperatorSnapshot, SnapshotScope, SubtaskSnapshot,
        ValueStateDescriptor, ValueTable,
    },
    storage::{decode_snapshot, seal_snapshot, snapshot_buffer},
    stream::{Key, SmallString},
};

const ALL: KeyGroupRange = KeyGroupRange { start: 0, end: MAX };
const BATCH: usize = 1024;

/// SplitMix64: the nth of a sequence of numbers that look random.
fn random(n: u64) -> u64 {
    let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Keys as numbers, and as words of ten letters.
trait BenchKey: Key {
    const NAME: &'static str;
    fn of(n: u64) -> Self;
}

impl BenchKey for u64 {
    const NAME: &'static str = "u64";
    fn of(n: u64) -> Self {
        n
    }
}

impl BenchKey for String {
    const NAME: &'static str = "word";
    fn of(n: u64) -> Self {
        format!("w{n:09}")
    }
}

impl BenchKey for SmallString {
    const NAME: &'static str = "short word";
    fn of(n: u64) -> Self {
        format!("w{n}").into()
    }
}

fn descriptor() -> ValueStateDescriptor<u64> {
    ValueStateDescriptor::new("sum")
}

fn table<K: BenchKey>(keys: u64) -> ValueTable<K, u64> {
    let mut table = ValueTable::new(MAX, ALL);
    for key in (0..keys).map(K::of) {
        table.insert_new(key.key_hash(), key, 1);
    }
    table
}

/// Batches of random keys, with their hashes.
fn batches<K: BenchKey>(keys: u64) -> Vec<Vec<(KeyHash, K)>> {
    let key = |n| K::of(random(n) % keys);
    let batch = |b: u64| (0..BATCH as u64).map(|i| key(b * BATCH as u64 + i)).map(|k| (k.key_hash(), k)).collect();
    (0..if keys > 100_000 { 2048 } else { 16 }).map(batch).collect()
}

fn update<K: BenchKey>(c: &mut Criterion, keys: u64) {
    let mut group = c.benchmark_group(format!("update a batch of {BATCH}, {}", K::NAME));
    group.throughput(Throughput::Elements(BATCH as u64));
    let (mut table, batches) = (table::<K>(keys), batches::<K>(keys));
    let mut next = batches.iter().cycle();
    group.bench_function(BenchmarkId::new("one by one", keys), |b| {
        b.iter(|| {
            for (hash, key) in next.next().expect("there is always another") {
                *table.get_mut(*hash, key).expect("it is there") += 1;
            }
        });
    });
    let mut located = Located::default();
    group.bench_function(BenchmarkId::new("located first", keys), |b| {
        b.iter(|| {
            let batch = next.next().expect("there is always another");
            table.locate(batch.iter().map(|(hash, _)| *hash), &mut located);
            for (i, (hash, key)) in batch.iter().enumerate() {
                table.change_located(&located, i, *hash, key, |n| *n += 1).expect("it is there");
            }
        });
    });
    group.bench_function(BenchmarkId::new("read one by one", keys), |b| {
        b.iter(|| {
            let batch = next.next().expect("there is always another");
            batch.iter().map(|(hash, key)| *table.get(*hash, key).expect("it is there")).fold(0, u64::wrapping_add)
        });
    });
    group.finish();
}

/// The file of a frozen table.
fn seal<K: Key>(table: &mut ValueTable<K, u64>) -> Bytes {
    let (buffer, state) = table.collect(&descriptor());
    let operator = FrozenOperator { uid: "sum".into(), key_groups: Some(ALL), keyed: vec![state], lists: Vec::new() };
    let frozen = FrozenSnapshot { buffer, operators: vec![operator] };
    seal_snapshot(frozen, CheckpointId(1), None, SnapshotCompression::None).expect("plain data").contents
}

fn sweep<K: BenchKey>(c: &mut Criterion, keys: u64) {
    let mut group = c.benchmark_group(format!("freeze and sweep, {}", K::NAME));
    group.sample_size(20);
    // One that no full snapshot knows: its changes are written with their keys.
    let (mut unknown, mut known) = (table::<K>(keys), table::<K>(keys));
    known.freeze(SnapshotScope::Full, snapshot_buffer(Vec::new()));
    assert!(known.sweep(&mut u64::MAX.clone()).expect("plain data"));
    let mut buffer = known.collect(&descriptor()).0;
    for percent in [1, 10, 14, 50, 100] {
        group.throughput(Throughput::Elements(keys * percent / 100));
        let changed: Vec<_> =
            (0..keys * percent / 100).map(|n| K::of(random(n) % keys)).map(|k| (k.key_hash(), k)).collect();
        let scopes = [
            ("values", true, SnapshotScope::Incremental),
            ("all values", true, SnapshotScope::Differential),
            ("keys and values", false, SnapshotScope::Incremental),
            ("everything", false, SnapshotScope::Full),
        ];
        for (name, is_known, scope) in scopes {
            if scope != SnapshotScope::Incremental && percent < 100 {
                continue;
            }
            let table = if is_known { &mut known } else { &mut unknown };
            group.bench_function(BenchmarkId::new(name, format!("{percent} % of {keys}")), |b| {
                b.iter_custom(|times| {
                    let mut spent = Duration::ZERO;
                    for _ in 0..times {
                        for (hash, key) in &changed {
                            *table.get_mut(*hash, key).expect("it is there") += 1;
                        }
                        let recycled = snapshot_buffer(std::mem::take(&mut buffer));
                        let start = Instant::now();
                        table.freeze(scope, recycled);
                        assert!(table.sweep(&mut u64::MAX.clone()).expect("plain data"));
                        spent += start.elapsed();
                        buffer = table.collect(&descriptor()).0;
                    }
                    spent
                });
            });
        }
    }
    group.finish();
}

/// What the stream waits for at most: a batch right after the freeze, whose segments are all encoded first.
fn first_batch<K: BenchKey>(c: &mut Criterion, keys: u64) {
    let mut group = c.benchmark_group(format!("first batch after a freeze, {}", K::NAME));
    group.sample_size(20);
    let (mut table, batches) = (table::<K>(keys), batches::<K>(keys));
    let mut next = batches.iter().cycle();
    let mut buffer = Vec::new();
    group.bench_function(BenchmarkId::from_parameter(keys), |b| {
        b.iter_custom(|times| {
            let mut spent = Duration::ZERO;
            for _ in 0..times {
                let batch = next.next().expect("there is always another");
                table.freeze(SnapshotScope::Full, snapshot_buffer(std::mem::take(&mut buffer)));
                let start = Instant::now();
                for (hash, key) in batch {
                    *table.get_mut(*hash, key).expect("it is there") += 1;
                }
                spent += start.elapsed();
                assert!(table.sweep(&mut u64::MAX.clone()).expect("plain data"));
                buffer = table.collect(&descriptor()).0;
            }
            spent
        });
    });
    group.finish();
}

fn restore<K: BenchKey>(c: &mut Criterion, keys: u64) {
    let mut group = c.benchmark_group(format!("restore, {}", K::NAME));
    group.sample_size(10).throughput(Throughput::Elements(keys));
    let mut table = table::<K>(keys);
    table.freeze(SnapshotScope::Full, snapshot_buffer(Vec::new()));
    assert!(table.sweep(&mut u64::MAX.clone()).expect("plain data"));
    let file = seal(&mut table);
    let decode = |file: &Bytes| decode_snapshot(file, "f".as_ref()).expect("it was just written").1;
    let keyed = |SubtaskSnapshot { mut operators }: SubtaskSnapshot| -> KeyedStateSnapshot {
        let OperatorSnapshot { mut keyed, .. } = operators.remove(0);
        keyed.remove(0)
    };
    let state = |file: &Bytes| keyed(decode(file));
    group.bench_function(BenchmarkId::new("check and cut the file", keys), |b| b.iter(|| black_box(state(&file))));
    let snapshot = state(&file);
    group.bench_function(BenchmarkId::new("fill the table", keys), |b| {
        b.iter_batched(
            || (),
            |()| ValueTable::<K, u64>::restore(&descriptor(), &snapshot, MAX, ALL).expect("it was just written"),
            BatchSize::PerIteration,
        );
    });
    let mut chain = decode(&file);
    for _ in 0..4 {
        for key in (0..keys).map(K::of) {
            *table.get_mut(key.key_hash(), &key).expect("it is there") += 100;
        }
        table.freeze(SnapshotScope::Incremental, snapshot_buffer(Vec::new()));
        assert!(table.sweep(&mut u64::MAX.clone()).expect("plain data"));
        chain.apply(decode(&seal(&mut table))).expect("it builds on that");
    }
    let chain = keyed(chain);
    group.bench_function(BenchmarkId::new("fill the table, and change each value four times", keys), |b| {
        b.iter_batched(
            || (),
            |()| ValueTable::<K, u64>::restore(&descriptor(), &chain, MAX, ALL).expect("it was just written"),
            BatchSize::PerIteration,
        );
    });
    let piece = |(range, piece): (KeyGroupRange, KeyedStateSnapshot)| {
        ValueTable::<K, u64>::restore(&descriptor(), &piece, MAX, range).expect("it was just written")
    };
    group.bench_function(BenchmarkId::new("cut, fill each piece, and join them", keys), |b| {
        b.iter_batched(
            || snapshot.clone(),
            |snapshot| ValueTable::join(snapshot.cut(ALL, 512 << 10).into_iter().map(piece).collect()),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn all(c: &mut Criterion) {
    for keys in [1000, 1_000_000] {
        update::<u64>(c, keys);
        update::<String>(c, keys);
    }
    sweep::<u64>(c, 500_000);
    sweep::<String>(c, 500_000);
    sweep::<SmallString>(c, 500_000);
    for keys in [500_000, 5_000_000] {
        first_batch::<u64>(c, keys);
    }
    for keys in [1000, 1_000_000] {
        restore::<u64>(c, keys);
        restore::<String>(c, keys);
    }
}

criterion_group! {
    name = benches;
    // There are many of them, and each is short.
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2));
    targets = all
}
criterion_main!(benches);
