//! What a loss of power leaves of writes that were not synced.
//!
//! ```text
//!   writes:  none │ all │ the first few │ any of them │ any of them, in another order
//!   of one:  each page whole (1/4), not at all (1/4), or torn (1/2)
//!   torn:    the left part, the right part, or all sectors of the page are as before, or garbage
//! ```
//!
//! What lies within one sector is never torn (promise 8 of `Disk`).
//!
//! The shares are those of FoundationDB's simulator. Bytes that were never written to are never touched.

use bytes::Bytes;
use rand_chacha::{ChaCha8Rng, rand_core::Rng};

use super::inode::write_at;

/// Pages are lost one by one.
const PAGE: usize = 4096;
/// A page may be written in part, sector by sector.
pub(super) const SECTOR: usize = 512;

/// Something that was done to a file's contents.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Write { offset: usize, data: Bytes },
    Truncate,
}

/// How much of what was not synced survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lottery {
    /// Nothing.
    Drop,
    /// Everything: the cache happened to be written just before.
    Keep,
    /// So many changes, and pages of the one after them.
    Prefix(usize),
    /// Pages of each.
    Subset,
    /// Pages of each, and whoever wrote first may have been written last.
    Reorder,
}

impl Lottery {
    fn draw(changes: usize, random: &mut ChaCha8Rng) -> Self {
        match random.next_u64() % 4 {
            0 => Self::Drop,
            1 => Self::Keep,
            _ => match random.next_u64() % 3 {
                0 => Self::Prefix(below(changes + 1, random)),
                1 => Self::Subset,
                _ => Self::Reorder,
            },
        }
    }
}

/// Applies what survives of the changes to the contents.
pub(super) fn survive(contents: &mut Vec<u8>, mut changes: Vec<Change>, random: &mut ChaCha8Rng) {
    let whole = match Lottery::draw(changes.len(), random) {
        Lottery::Drop => return,
        Lottery::Keep => changes.len(),
        Lottery::Prefix(whole) => {
            changes.truncate(whole + 1);
            whole
        }
        Lottery::Subset => 0,
        Lottery::Reorder => {
            shuffle(&mut changes, random);
            0
        }
    };
    for (i, change) in changes.into_iter().enumerate() {
        match change {
            change if i < whole => apply(contents, &change),
            Change::Truncate if flip(random) => contents.clear(),
            Change::Truncate => {}
            Change::Write { offset, data } => write_torn(contents, offset, &data, random),
        }
    }
}

/// Does it, all of it.
pub(super) fn apply(contents: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { offset, data } => write_at(contents, *offset, data),
        Change::Truncate => contents.clear(),
    }
}

fn write_torn(contents: &mut Vec<u8>, offset: usize, data: &[u8], random: &mut ChaCha8Rng) {
    let mut at = 0;
    while at < data.len() {
        let end = ((offset + at) / PAGE + 1) * PAGE - offset;
        let page = &data[at..end.min(data.len())];
        match random.next_u64() % 4 {
            0 => write_at(contents, offset + at, page),
            2 if is_atomic(offset, data) => write_at(contents, offset, data),
            1 | 3 if is_atomic(offset, data) => {}
            1 => {}
            _ => tear(contents, offset + at, page, random),
        }
        at += page.len();
    }
}

/// Whether a write lies within one sector.
pub(super) fn is_atomic(offset: usize, data: &[u8]) -> bool {
    offset % SECTOR + data.len() <= SECTOR
}

/// Writes a page of which a part is not what it should be.
fn tear(contents: &mut Vec<u8>, offset: usize, page: &[u8], random: &mut ChaCha8Rng) {
    let sectors = page.len().div_ceil(SECTOR);
    let middle = (below(sectors + 1, random) * SECTOR).min(page.len());
    let bad = match random.next_u64() % 3 {
        0 => 0..middle,
        1 => middle..page.len(),
        _ => 0..page.len(),
    };
    let good = if bad.start == 0 { bad.end..page.len() } else { 0..bad.start };
    write_at(contents, offset + good.start, &page[good]);
    if flip(random) {
        let mut garbage = vec![0; bad.len()];
        random.fill_bytes(&mut garbage);
        write_at(contents, offset + bad.start, &garbage);
    }
}

fn flip(random: &mut ChaCha8Rng) -> bool {
    random.next_u64().is_multiple_of(2)
}

/// A number from 0 to below `end`.
fn below(end: usize, random: &mut ChaCha8Rng) -> usize {
    (random.next_u64() % end as u64) as usize
}

/// Fisher and Yates's.
fn shuffle<T>(items: &mut [T], random: &mut ChaCha8Rng) {
    for end in (2..=items.len()).rev() {
        items.swap(end - 1, below(end, random));
    }
}
