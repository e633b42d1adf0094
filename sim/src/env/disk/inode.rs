//! A file's contents: what everybody sees, what is durable, and what lies between.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use rand_chacha::{ChaCha8Rng, rand_core::Rng};

/// Pages are lost one by one.
const PAGE: usize = 4096;
/// A page may be written in part, sector by sector.
const SECTOR: usize = 512;

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, data: Bytes },
    Truncate,
}

/// A file without its name.
#[derive(Debug, Default)]
pub(super) struct Inode {
    pub visible: Vec<u8>,
    pub durable: Vec<u8>,
    /// What was done since the last sync, and by which node.
    pending: Vec<(Arc<str>, Change)>,
    /// The nodes whose caches show what a failed sync has dropped.
    dropped: BTreeSet<Arc<str>>,
}

impl Inode {
    pub(super) fn durable(contents: &[u8]) -> Self {
        Self { visible: contents.to_vec(), durable: contents.to_vec(), ..Self::default() }
    }

    pub(super) fn write(&mut self, node: &str, offset: usize, data: Bytes) {
        write_at(&mut self.visible, offset, &data);
        self.pending.push((node.into(), Change::Write { offset, data }));
    }

    pub(super) fn truncate(&mut self, node: &str) {
        self.visible.clear();
        self.pending.push((node.into(), Change::Truncate));
    }

    pub(super) fn sync(&mut self) {
        for (_, change) in self.pending.drain(..) {
            apply(&mut self.durable, &change);
        }
    }

    /// A failed sync: the un-synced contents will never be written, though they can still be read, and the next sync
    /// succeeds (as Linux does it since "fsyncgate").
    pub(super) fn fail_sync(&mut self) {
        self.dropped.extend(self.pending.drain(..).map(|(by, _)| by));
    }

    /// What the node had not synced is lost, kept or torn, one page at a time.
    pub(super) fn lose_power(&mut self, node: &str, random: &mut ChaCha8Rng) {
        let dropped = self.dropped.remove(node);
        if !dropped && !self.pending.iter().any(|(by, _)| **by == *node) {
            return;
        }
        let lottery = Lottery::draw(random);
        let mut contents = self.durable.clone();
        let mut kept = Vec::new();
        for (by, change) in std::mem::take(&mut self.pending) {
            if *by != *node {
                kept.push((by, change));
                continue;
            }
            match change {
                Change::Truncate if lottery.keeps(random) => contents.clear(),
                Change::Truncate => {}
                Change::Write { offset, data } => write_torn(&mut contents, offset, &data, lottery, random),
            }
        }
        self.durable = contents;
        self.visible = self.durable.clone();
        for (_, change) in &kept {
            apply(&mut self.visible, change);
        }
        self.pending = kept;
    }
}

/// How much of what was not synced survives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lottery {
    /// Nothing.
    Drop,
    /// Each page or not.
    Some,
    /// Everything: the cache happened to be written just before.
    Keep,
}

impl Lottery {
    fn draw(random: &mut ChaCha8Rng) -> Self {
        match random.next_u64() % 4 {
            0 => Self::Drop,
            1 => Self::Keep,
            _ => Self::Some,
        }
    }

    fn keeps(self, random: &mut ChaCha8Rng) -> bool {
        match self {
            Self::Drop => false,
            Self::Keep => true,
            Self::Some => random.next_u64().is_multiple_of(2),
        }
    }
}

fn write_torn(contents: &mut Vec<u8>, offset: usize, data: &[u8], lottery: Lottery, random: &mut ChaCha8Rng) {
    let mut at = 0;
    while at < data.len() {
        let page_end = ((offset + at) / PAGE + 1) * PAGE - offset;
        let page = &data[at..page_end.min(data.len())];
        if lottery.keeps(random) {
            // Half of the pages that survive in a lottery do so in part.
            let torn = lottery == Lottery::Some && random.next_u64().is_multiple_of(2);
            let sectors = page.len().div_ceil(SECTOR) as u64;
            let whole = if torn { (random.next_u64() % (sectors + 1)) as usize * SECTOR } else { page.len() };
            write_at(contents, offset + at, &page[..whole.min(page.len())]);
        }
        at += page.len();
    }
}

fn apply(contents: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { offset, data } => write_at(contents, *offset, data),
        Change::Truncate => contents.clear(),
    }
}

fn write_at(contents: &mut Vec<u8>, offset: usize, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    let end = offset + data.len();
    if contents.len() < end {
        contents.resize(end, 0);
    }
    contents[offset..end].copy_from_slice(data);
}
