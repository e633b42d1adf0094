//! A directory: the names that everybody sees, those that are durable, and what was done between.

use std::{collections::BTreeMap, sync::Arc};

use rand_chacha::{ChaCha8Rng, rand_core::Rng};

/// What a name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    File(u64),
    Directory,
}

#[derive(Clone, Debug)]
pub(super) enum Change {
    Put {
        name: String,
        entry: Entry,
    },
    Remove {
        name: String,
    },
    /// Moves this entry, and no other that the name may lead to after a loss of power.
    Rename {
        from: String,
        to: String,
        entry: Entry,
    },
}

#[derive(Debug, Default)]
pub(super) struct Directory {
    pub visible: BTreeMap<String, Entry>,
    pub durable: BTreeMap<String, Entry>,
    journal: Vec<(Arc<str>, Change)>,
}

impl Directory {
    /// Does something that everybody sees at once, and that is durable after the next sync.
    pub(super) fn change(&mut self, node: &str, change: Change) {
        apply(&mut self.visible, &change);
        self.journal.push((node.into(), change));
    }

    /// Something that was always there.
    pub(super) fn put_now(&mut self, name: &str, entry: Entry) {
        self.visible.insert(name.to_owned(), entry);
        self.durable.insert(name.to_owned(), entry);
    }

    /// The name is gone from the medium itself, whatever was done to it before.
    pub(super) fn lose_name(&mut self, name: &str) {
        self.visible.remove(name);
        self.durable.remove(name);
        for (_, change) in &mut self.journal {
            match change {
                Change::Put { name: put, .. } if put == name => *change = Change::Remove { name: name.to_owned() },
                Change::Rename { from, to, .. } if to == name => {
                    *change = Change::Remove { name: std::mem::take(from) }
                }
                _ => {}
            }
        }
    }

    pub(super) fn sync(&mut self) {
        for (_, change) in self.journal.drain(..) {
            apply(&mut self.durable, &change);
        }
    }

    /// What the node had not synced is lost or kept: up to some point in order, or any of it. What follows from something
    /// that was lost is lost too.
    pub(super) fn lose_power(&mut self, node: &str, random: &mut ChaCha8Rng) {
        let own = self.journal.iter().filter(|(by, _)| **by == *node).count() as u64;
        if own == 0 {
            return;
        }
        let prefix = random.next_u64().is_multiple_of(2).then(|| random.next_u64() % (own + 1));
        let mut names = self.durable.clone();
        let mut seen = 0;
        let mut kept = Vec::new();
        for (by, change) in std::mem::take(&mut self.journal) {
            if *by != *node {
                kept.push((by, change));
                continue;
            }
            let survives = prefix.map_or_else(|| random.next_u64().is_multiple_of(2), |prefix| seen < prefix);
            seen += 1;
            if survives {
                apply(&mut names, &change);
            }
        }
        self.durable = names;
        self.visible = self.durable.clone();
        kept.retain(|(_, change)| apply(&mut self.visible, change));
        self.journal = kept;
    }
}

/// Whether it could be done.
fn apply(names: &mut BTreeMap<String, Entry>, change: &Change) -> bool {
    match change {
        Change::Put { name, entry } => {
            names.insert(name.clone(), *entry);
            true
        }
        Change::Remove { name } => names.remove(name).is_some(),
        Change::Rename { from, to, entry } => {
            let is_there = names.get(from) == Some(entry);
            if is_there {
                names.remove(from);
                names.insert(to.clone(), *entry);
            }
            is_there
        }
    }
}
