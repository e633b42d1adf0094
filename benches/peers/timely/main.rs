//! The work as a timely dataflow: source, exchange by key, a hash map in an operator, totals. Without checkpoints: it has none.
//!
//! Arguments: W1 or W2, keys, workers, records. Prints how many records were counted when, and the totals, as JSON.

use std::{
    collections::HashMap,
    env, fs,
    hash::{BuildHasher, BuildHasherDefault, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use timely::{
    container::CapacityContainerBuilder,
    dataflow::{
        channels::pact::Exchange,
        operators::{Operator, Probe, generic::operator::source, vec::Map},
    },
};

/// Records that the source makes each time it is called.
const BATCH: u64 = 8192;

#[derive(Default)]
struct FoldHasher(u64);

impl Hasher for FoldHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * 0xF39C_C060_5CED_C835;
        self.0 = product as u64 ^ (product >> 64) as u64;
    }

    /// The end of a string: its length is hashed already.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

type Fold = BuildHasherDefault<FoldHasher>;

#[derive(Default)]
#[repr(align(128))]
struct Cell {
    records: AtomicU64,
    sum: AtomicU64,
}

type Board = Arc<[Cell; 16]>;

fn total(board: &Board) -> u64 {
    board.iter().map(|cell| cell.records.load(Ordering::Acquire)).sum()
}

fn key(i: u64, keys: u64) -> u64 {
    let mut z = i.wrapping_add(42).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)) % keys
}

/// Makes an operator that emits the numbers of the range, each as the record that `$make` makes of it.
macro_rules! records {
    ($scope:ident, $range:expr, $type:ty, $make:expr) => {
        source::<_, CapacityContainerBuilder<Vec<$type>>, _, _>($scope.clone(), "records", |capability, info| {
            let again = $scope.activator_for(info.address);
            let mut capability = Some(capability);
            let (mut next, end) = $range;
            move |output| {
                let Some(held) = capability.as_mut() else { return };
                let until = end.min(next + BATCH);
                {
                    let mut session = output.session(&held);
                    (next..until).for_each(|i| session.give($make(i)));
                }
                next = until;
                let time = *held.time() + 1;
                held.downgrade(&time);
                if next == end { capability = None } else { again.activate() }
            }
        })
    };
}

/// Makes an operator that adds the second field of each record to the value of its first, and shows what the updates come to.
macro_rules! running_sum {
    ($stream:expr, $key:ty, $worker_index:expr, $board:expr, $hash:expr) => {{
        let (board, index) = ($board, $worker_index);
        let hash = $hash;
        let route = Exchange::new(move |record: &($key, u64)| hash(&record.0) >> 20);
        $stream.unary::<CapacityContainerBuilder<Vec<u64>>, _, _, _>(route, "sum", move |_, _| {
            let mut sums = HashMap::<$key, u64, Fold>::default();
            let (mut records, mut total) = (0_u64, 0_u64);
            move |input, _| {
                input.for_each_stamp(|_, batches| {
                    for batch in batches {
                        for (key, value) in batch.drain(..) {
                            let sum = match sums.get_mut(&key) {
                                Some(sum) => {
                                    *sum = sum.wrapping_add(value);
                                    *sum
                                }
                                None => {
                                    sums.insert(key, value);
                                    value
                                }
                            };
                            records += 1;
                            total = total.wrapping_add(sum);
                        }
                    }
                });
                board[index].sum.store(total, Ordering::Relaxed);
                board[index].records.store(records, Ordering::Release);
            }
        })
    }};
}

fn run(work: &str, keys: u64, workers: usize, records: u64, board: &Board) {
    let (is_words, board) = (work == "W1", board.clone());
    timely::execute(timely::Config::process(workers), move |worker| {
        let (index, board) = (worker.index(), board.clone());
        let border = |worker: usize| records * worker as u64 / workers as u64;
        let range = (border(index), border(index + 1));
        let probe = worker.dataflow::<u64, _, _>(|scope| {
            if is_words {
                let lines = records!(scope, range, String, |i| format!("w{}", key(i, keys)));
                let words = lines.flat_map(|line: String| {
                    // The only word of a line is the line.
                    match line.contains(' ') {
                        false => vec![(line, 1)],
                        true => line.split(' ').filter(|w| !w.is_empty()).map(|w| (w.to_owned(), 1)).collect(),
                    }
                });
                let hash = |word: &String| Fold::default().hash_one(word.as_str());
                running_sum!(words, String, index, board, hash).probe().0
            } else {
                let hash = |key: &u64| Fold::default().hash_one(key);
                running_sum!(records!(scope, range, (u64, u64), |i| (key(i, keys), i)), u64, index, board, hash)
                    .probe()
                    .0
            }
        });
        while !probe.done() {
            worker.step();
        }
    })
    .expect("the workers start");
}

/// User and system time of this process in seconds.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or("");
    let ticks: Vec<f64> = after_name.split_whitespace().skip(11).take(2).filter_map(|t| t.parse().ok()).collect();
    ticks.iter().sum::<f64>() / 100.0
}

fn busy_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: Vec<f64> = stat.split_whitespace().skip(1).take(8).filter_map(|t| t.parse().ok()).collect();
    [0, 1, 2, 5, 6].iter().filter_map(|i| ticks.get(*i)).sum::<f64>() / 100.0
}

fn peak_resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let number = |i: usize| arguments[i].parse::<u64>().expect("keys, workers and records are numbers");
    let (work, keys, workers, records) = (arguments[1].clone(), number(2), number(3) as usize, number(4));
    let board = Board::default();
    let dataflow = thread::spawn({
        let board = board.clone();
        move || run(&work, keys, workers, records, &board)
    });
    let await_records = |records| {
        while total(&board) < records && !dataflow.is_finished() {
            thread::sleep(Duration::from_millis(1));
        }
        (total(&board), Instant::now(), cpu_seconds(), busy_seconds())
    };
    let (first, began, cpu, busy) = await_records(records / 4);
    let (last, ended, cpu_end, busy_end) = await_records(records);
    dataflow.join().expect("the dataflow does not panic");
    let sum = board.iter().fold(0_u64, |sum, cell| sum.wrapping_add(cell.sum.load(Ordering::Relaxed)));
    let (seconds, own) = ((ended - began).as_secs_f64(), cpu_end - cpu);
    let foreign = ((busy_end - busy - own) / seconds).max(0.0);
    println!(
        "{{\"window\":{{\"records\":{},\"seconds\":{seconds},\"cpu_seconds\":{own},\"foreign_cores\":{foreign}}},\
         \"totals\":{{\"records\":{},\"sum\":{sum}}},\"peak_resident\":{}}}",
        last - first,
        total(&board),
        peak_resident(),
    );
}
