//! What short strings cost on their way through a chain: `SmallString` beside `String` and a library's inline string.
//!
//! ```sh
//! cargo bench --bench small_string
//! ```

use std::{hint::black_box, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ecow::EcoString;
use tidegate::stream::{SmallString, hash_bytes};

const BATCH: usize = 4096;

/// The loops of word count before the state: a line is made, cut into words, and each word is its own key.
fn hand_on<S: Clone + AsRef<str> + for<'a> From<&'a str>>(c: &mut Criterion, name: &str, len: usize) {
    let texts: Vec<String> = (0..BATCH).map(|n| format!("{n:0len$}")).collect();
    let (mut lines, mut words, mut keyed) = (Vec::new(), Vec::new(), Vec::new());
    let mut group = c.benchmark_group(format!("words of {len} letters through three loops"));
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function(BenchmarkId::from_parameter(name), |b| {
        b.iter(|| {
            lines.extend(texts.iter().map(|text| S::from(text)));
            for line in lines.drain(..) {
                words.extend(line.as_ref().split(' ').map(S::from));
            }
            keyed.extend(words.drain(..).map(|word| (hash_bytes(word.as_ref().as_bytes()), word.clone(), word)));
            black_box(&keyed);
            keyed.clear();
        });
    });
    group.finish();
}

fn all(c: &mut Criterion) {
    for len in [7, 15, 16] {
        hand_on::<SmallString>(c, "SmallString", len);
        hand_on::<EcoString>(c, "EcoString", len);
        hand_on::<String>(c, "String", len);
    }
}

criterion_group! {
    name = benches;
    // There are many of them, and each is short.
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2));
    targets = all
}
criterion_main!(benches);
