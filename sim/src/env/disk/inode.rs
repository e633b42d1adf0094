//! A file's contents: what everybody sees, what is durable, and what lies between.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use rand_chacha::ChaCha8Rng;

use super::{
    contents::Contents,
    torn::{Change, SECTOR, apply, survive},
};
use crate::fault::Damage;

/// A file without its name.
#[derive(Debug, Default)]
pub(super) struct Inode {
    /// What was written.
    visible: Contents,
    /// What of it was synced.
    durable: Contents,
    /// What the medium holds instead, if it is damaged.
    damaged: Option<Vec<u8>>,
    /// The byte that the next read that covers it gets wrong.
    misread: Option<usize>,
    /// What was done since the last sync, and by which node.
    pending: Vec<(Arc<str>, Change)>,
    /// The nodes whose caches show what a failed sync has dropped.
    dropped: BTreeSet<Arc<str>>,
    /// When it was last written to, counted in writes to any file.
    pub modified: u64,
}

impl Inode {
    pub(super) fn durable(contents: &[u8]) -> Self {
        Self { visible: Contents::new(contents.to_vec()), durable: Contents::new(contents.to_vec()), ..Self::default() }
    }

    /// What everybody gets who reads it.
    pub(super) fn contents(&self) -> &[u8] {
        self.damaged.as_deref().unwrap_or(&self.visible)
    }

    /// What would be left after a loss of all power, if nothing un-synced were kept.
    pub(super) fn durable_contents(&self) -> &[u8] {
        self.damaged.as_deref().unwrap_or(&self.durable)
    }

    /// What was written to it, damaged or not.
    pub(super) fn written(&mut self) -> Bytes {
        self.visible.copy()
    }

    /// What of it was synced, damaged or not.
    pub(super) fn synced(&mut self) -> Bytes {
        self.durable.copy()
    }

    /// Bytes as a reader gets them this time.
    pub(super) fn read(&mut self, offset: usize, len: usize) -> Bytes {
        let contents = self.contents();
        let start = offset.min(contents.len());
        let end = start.saturating_add(len).min(contents.len());
        let mut bytes = contents[start..end].to_vec();
        if let Some(byte) = self.misread.take_if(|byte| (start..end).contains(byte)) {
            bytes[byte - start] ^= 1;
        }
        bytes.into()
    }

    pub(super) fn write(&mut self, node: &str, offset: usize, data: Bytes) {
        self.change(node, Change::Write { offset, data });
    }

    pub(super) fn truncate(&mut self, node: &str) {
        self.change(node, Change::Truncate);
        // Whatever was wrong with it is gone.
        (self.damaged, self.misread) = (None, None);
    }

    fn change(&mut self, node: &str, change: Change) {
        apply(self.visible.change(), &change);
        if let Some(damaged) = &mut self.damaged {
            apply(damaged, &change);
        }
        self.pending.push((node.into(), change));
    }

    pub(super) fn sync(&mut self) {
        for (_, change) in self.pending.drain(..) {
            apply(self.durable.change(), &change);
        }
    }

    /// A failed sync: the un-synced contents will never be written, though they can still be read, and the next sync
    /// succeeds (as Linux does it since "fsyncgate").
    pub(super) fn fail_sync(&mut self) {
        self.dropped.extend(self.pending.drain(..).map(|(by, _)| by));
    }

    /// What the node had not synced is lost, kept or torn. Damage stays, unless it is to something that is lost.
    pub(super) fn lose_power(&mut self, node: &str, random: &mut ChaCha8Rng) {
        let dropped = self.dropped.remove(node);
        if !dropped && !self.pending.iter().any(|(by, _)| **by == *node) {
            return;
        }
        let (own, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.pending).into_iter().partition(|(by, _)| **by == *node);
        survive(self.durable.change(), own.into_iter().map(|(_, change)| change).collect(), random);
        let before = std::mem::replace(self.visible.change(), self.durable.to_vec());
        for (_, change) in &others {
            apply(self.visible.change(), change);
        }
        self.pending = others;
        if *self.visible != *before {
            (self.damaged, self.misread) = (None, None);
        }
    }

    /// Damages what is stored; the file has at least one byte. Its name is not our business.
    pub(super) fn damage(&mut self, damage: Damage) {
        let mut contents = self.contents().to_vec();
        let place = |byte: u64| (byte % contents.len() as u64) as usize;
        match damage {
            Damage::FlipBit { byte } => {
                let byte = place(byte);
                contents[byte] ^= 1;
            }
            Damage::FlipBitOnRead { byte } => {
                self.misread = Some(place(byte));
                return;
            }
            Damage::Truncate { to } => {
                contents.truncate(usize::try_from(to).unwrap_or(usize::MAX).min(contents.len() - 1))
            }
            Damage::Remove => return,
        }
        self.damaged = Some(contents);
    }

    /// Somebody else's write has landed here, by no fault of those who write here.
    pub(super) fn be_hit(&mut self, offset: usize, data: &[u8]) {
        let mut contents = self.contents().to_vec();
        write_at(&mut contents, offset, data);
        self.damaged = Some(contents);
    }

    /// A write that is reported as done, and has missed this file.
    pub(super) fn be_missed(&mut self, node: &str, offset: usize, data: Bytes) {
        let contents = self.contents().to_vec();
        self.write(node, offset, data);
        self.damaged = Some(contents);
    }

    /// A write that is reported as done, and has landed further behind, where a sector begins.
    pub(super) fn be_hit_elsewhere(&mut self, node: &str, offset: usize, data: Bytes) {
        self.be_missed(node, offset, data.clone());
        self.be_hit((offset / SECTOR + 1) * SECTOR, &data);
    }
}

pub(super) fn write_at(contents: &mut Vec<u8>, offset: usize, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    let end = offset + data.len();
    if contents.len() < end {
        contents.resize(end, 0);
    }
    contents[offset..end].copy_from_slice(data);
}
