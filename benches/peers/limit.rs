//! The work as plain loops, without an engine: what the machine gives. Words of up to 15 bytes stand inline in the table.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    hint::black_box,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel},
    },
    thread,
};

use super::contender::{Contender, Setup};
use crate::{
    measured::{CheckpointFigures, Measured, Window, peak_resident},
    support::{Totals, TotalsBoard, Work, key},
};

/// Records in a batch, and batches under way between two threads.
const BATCH: u64 = 1024;
const DEPTH: usize = 16;

/// Runs the setup's loop in threads of its own.
pub fn run(setup: &Setup) -> Measured {
    let board = Arc::new(TotalsBoard::new(2));
    let input = Input { work: setup.cell.work, keys: setup.cell.keys, from: 0, to: setup.records };
    let threads: Vec<_> = match (setup.contender, setup.cell.parallelism) {
        (Contender::TwoThreads, 1) => pipe(input, &board),
        (Contender::TwoThreads, _) => exchange(input, &board),
        _ => {
            let board = board.clone();
            vec![thread::spawn(move || two_passes(input, &board))]
        }
    };
    let all_ended = || threads.iter().all(thread::JoinHandle::is_finished);
    let (begin, end) = Window::watch(&board, setup.records, all_ended);
    threads.into_iter().for_each(|thread| thread.join().expect("a loop does not panic"));
    Measured {
        window: Window::between(&begin, &end),
        phases: Vec::new(),
        totals: board.get(),
        peak_resident: peak_resident().unwrap_or(0),
        checkpoints: CheckpointFigures::default(),
        recovery: None,
    }
}

/// A run of records.
#[derive(Clone, Copy)]
struct Input {
    work: Work,
    keys: u64,
    from: u64,
    to: u64,
}

impl Input {
    /// Its pieces of a batch each.
    fn batches(self) -> impl Iterator<Item = Self> {
        let starts = (self.from..self.to).step_by(BATCH as usize);
        starts.map(move |from| Self { from, to: self.to.min(from + BATCH), ..self })
    }
}

/// Folds eight bytes at a time into the hash with one multiplication.
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

    fn write_u128(&mut self, word: u128) {
        self.write_u64(word as u64);
        self.write_u64((word >> 64) as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

fn hash(write: impl FnOnce(&mut FoldHasher)) -> u64 {
    let mut hasher = FoldHasher::default();
    write(&mut hasher);
    hasher.finish()
}

type Table<K> = HashMap<K, u64, BuildHasherDefault<FoldHasher>>;

/// Bytes and length in one number.
fn inline(word: &[u8]) -> u128 {
    let mut bytes = [0; 16];
    bytes[..word.len()].copy_from_slice(word);
    bytes[15] = word.len() as u8;
    u128::from_le_bytes(bytes)
}

/// Writes the line of a record over the one before it.
fn write_line(line: &mut Vec<u8>, key: u64) {
    line.clear();
    line.push(b'w');
    let digits = key.checked_ilog10().unwrap_or(0) as usize + 1;
    line.resize(1 + digits, 0);
    let mut rest = key;
    for digit in line[1..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b' ').filter(|word| !word.is_empty())
}

/// The table of one thread, and what its updates came to.
struct Counter {
    words: Table<u128>,
    sums: Table<u64>,
    totals: Totals,
}

impl Counter {
    fn new() -> Self {
        Self { words: Table::default(), sums: Table::default(), totals: Totals::default() }
    }

    fn count(&mut self, word: u128) {
        let count = self.words.entry(word).or_default();
        *count += 1;
        self.totals = self.totals.and(Totals { records: 1, sum: *count });
    }

    fn add(&mut self, key: u64, value: u64) {
        let sum = self.sums.entry(key).or_default();
        *sum = sum.wrapping_add(value);
        self.totals = self.totals.and(Totals { records: 1, sum: *sum });
    }

    fn take(&mut self, batch: &Batch) {
        let mut from = 0;
        for end in &batch.ends {
            self.count(inline(&batch.bytes[from..*end as usize]));
            from = *end as usize;
        }
        batch.pairs.iter().for_each(|(key, value)| self.add(*key, *value));
    }
}

/// First all keys of a batch, then the table: a look-up that misses the cache does not wait for the making of the next key.
fn two_passes(input: Input, board: &TotalsBoard) {
    let (mut counter, mut line, mut made) = (Counter::new(), Vec::new(), Vec::with_capacity(BATCH as usize));
    for batch in input.batches() {
        if input.work == Work::WordCount {
            for i in batch.from..batch.to {
                write_line(&mut line, key(i, input.keys));
                made.extend(words(black_box(&line)).map(inline));
            }
            made.drain(..).for_each(|word| counter.count(word));
        } else {
            (batch.from..batch.to).for_each(|i| counter.add(key(i, input.keys), i));
        }
        board.set(0, counter.totals);
    }
}

/// What goes from one thread to another: words one behind the other with their ends, or pairs.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    pairs: Vec<(u64, u64)>,
}

impl Batch {
    fn push_word(&mut self, word: &[u8]) {
        self.bytes.extend_from_slice(word);
        self.ends.push(self.bytes.len() as u32);
    }

    fn len(&self) -> usize {
        self.ends.len() + self.pairs.len()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.pairs.clear();
    }
}

/// One thread makes the records, the other one counts them. Emptied batches go back.
fn pipe(input: Input, board: &Arc<TotalsBoard>) -> Vec<thread::JoinHandle<()>> {
    let (full, to_count) = sync_channel::<Batch>(DEPTH);
    let (emptied, to_fill) = sync_channel::<Batch>(2 * DEPTH);
    let source = thread::spawn(move || {
        let mut line = Vec::new();
        for piece in input.batches() {
            let mut batch = to_fill.try_recv().unwrap_or_default();
            batch.clear();
            for i in piece.from..piece.to {
                if input.work == Work::WordCount {
                    write_line(&mut line, key(i, input.keys));
                    words(black_box(&line)).for_each(|word| batch.push_word(word));
                } else {
                    batch.pairs.push((key(i, input.keys), i));
                }
            }
            full.send(batch).expect("the counting thread runs to the end");
        }
    });
    let board = board.clone();
    let count = thread::spawn(move || {
        let mut counter = Counter::new();
        for batch in to_count {
            counter.take(&batch);
            board.set(0, counter.totals);
            // The source has ended, or has enough of them.
            let _ = emptied.try_send(batch);
        }
    });
    vec![source, count]
}

/// Two threads make half of the records each, keep those whose keys are theirs and send each other the rest.
fn exchange(input: Input, board: &Arc<TotalsBoard>) -> Vec<thread::JoinHandle<()>> {
    let half = input.from.midpoint(input.to);
    let (to_first, from_second) = sync_channel(DEPTH);
    let (to_second, from_first) = sync_channel(DEPTH);
    let worker = |number, input, outgoing, incoming| Worker {
        number,
        input,
        outgoing,
        incoming,
        board: board.clone(),
        counter: Counter::new(),
        spare: Vec::new(),
    };
    let first = worker(0, Input { to: half, ..input }, to_second, from_second);
    let second = worker(1, Input { from: half, ..input }, to_first, from_first);
    [first, second].map(|worker| thread::spawn(move || worker.run())).into()
}

struct Worker {
    number: u32,
    input: Input,
    outgoing: SyncSender<Batch>,
    incoming: Receiver<Batch>,
    board: Arc<TotalsBoard>,
    counter: Counter,
    spare: Vec<Batch>,
}

impl Worker {
    fn run(mut self) {
        let (mut line, mut mine, mut theirs) = (Vec::new(), Batch::default(), Batch::default());
        let own = u64::from(self.number);
        for piece in self.input.batches() {
            for i in piece.from..piece.to {
                let key = key(i, self.input.keys);
                if self.input.work == Work::WordCount {
                    write_line(&mut line, key);
                    for word in words(black_box(&line)) {
                        let owner = hash(|h| h.write(word)) >> 40 & 1;
                        if owner == own { mine.push_word(word) } else { theirs.push_word(word) }
                    }
                } else {
                    let owner = hash(|h| h.write_u64(key)) >> 40 & 1;
                    if owner == own { mine.pairs.push((key, i)) } else { theirs.pairs.push((key, i)) }
                }
            }
            self.counter.take(&mine);
            mine.clear();
            if theirs.len() >= BATCH as usize || piece.to == self.input.to {
                let empty = self.spare.pop().unwrap_or_default();
                self.send(std::mem::replace(&mut theirs, empty));
            }
            while self.receive() {}
            self.board.set(self.number, self.counter.totals);
        }
        self.finish();
    }

    /// Counts while the channel is full: two threads that only wait for each other would wait for ever.
    fn send(&mut self, mut batch: Batch) {
        while let Err(error) = self.outgoing.try_send(batch) {
            let TrySendError::Full(back) = error else { panic!("the other worker is gone") };
            batch = back;
            if !self.receive() {
                thread::yield_now();
            }
        }
    }

    /// Whether there was a batch.
    fn receive(&mut self) -> bool {
        match self.incoming.try_recv() {
            Ok(mut batch) => {
                self.counter.take(&batch);
                batch.clear();
                self.spare.push(batch);
                true
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => false,
        }
    }

    /// Says that nothing more comes, and counts what still does.
    fn finish(self) {
        let Self { number, outgoing, incoming, board, mut counter, .. } = self;
        drop(outgoing);
        for batch in incoming {
            counter.take(&batch);
            board.set(number, counter.totals);
        }
    }
}
