//! What is counted, and a sum of it.

use std::{collections::BTreeMap, fmt};

use serde::{Serialize, Serializer};

/// What can be done with a file or a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileOp {
    /// A file is opened, and created if need be.
    Open,
    /// Bytes are read.
    Read,
    /// Bytes are written.
    Write,
    /// A file's contents are made durable.
    Sync,
    /// A file gets another name.
    Rename,
    /// The names in a directory are made durable.
    SyncDirectory,
    /// A file is removed.
    Remove,
    /// A directory is created.
    CreateDirectory,
    /// A directory is removed.
    RemoveDirectory,
    /// A directory is listed, or a length is asked for.
    Look,
}

/// Whose files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Region {
    /// Snapshots of subtasks.
    Snapshot,
    /// Manifests.
    Manifest,
    /// What else is in the checkpoint directory: the directory itself, claims, marks.
    Layout,
    /// Parts of the output.
    Output,
    /// All else.
    Input,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Item {
    /// Steps of the protocol.
    Step,
    /// Barriers, one a channel, across the network or not.
    Barrier,
    /// Barriers that crossed the network.
    BarrierFrame,
    /// Batches that crossed the network.
    BatchFrame,
    /// Grants of credit that crossed the network.
    CreditFrame,
    /// Ends of input that crossed the network.
    EndFrame,
    /// Messages between job manager and task managers.
    Message,
    /// What connections begin with.
    Handshake,
    /// Operations on files.
    File(Region, FileOp),
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Step => "steps",
            Self::Barrier => "barriers",
            Self::BarrierFrame => "barrier frames",
            Self::BatchFrame => "batch frames",
            Self::CreditFrame => "credit frames",
            Self::EndFrame => "end frames",
            Self::Message => "control messages",
            Self::Handshake => "handshakes",
            Self::File(region, op) => return write!(f, "{} {}", region.name(), op.name()),
        };
        f.write_str(name)
    }
}

impl Region {
    fn name(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Manifest => "manifest",
            Self::Layout => "layout",
            Self::Output => "output",
            Self::Input => "input",
        }
    }
}

impl FileOp {
    fn name(self) -> &'static str {
        match self {
            Self::Open => "opens",
            Self::Read => "reads",
            Self::Write => "writes",
            Self::Sync => "syncs",
            Self::Rename => "renames",
            Self::SyncDirectory => "directory syncs",
            Self::Remove => "removals",
            Self::CreateDirectory => "creations",
            Self::RemoveDirectory => "directory removals",
            Self::Look => "looks",
        }
    }
}

/// As its name, so that it can be the key of a JSON object.
impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How often, and how many bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// How often.
    pub count: u64,
    /// How many bytes were written or sent in all.
    pub bytes: u64,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.bytes += other.bytes;
    }
}

/// What was counted on one account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Bill(BTreeMap<Item, Sum>);

impl Bill {
    /// Counts one thing with so many bytes.
    pub fn count(&mut self, item: Item, bytes: u64) {
        self.0.entry(item).or_default().add(Sum { count: 1, bytes });
    }

    /// Adds another bill to this one.
    pub fn add(&mut self, other: &Self) {
        for (item, sum) in &other.0 {
            self.0.entry(*item).or_default().add(*sum);
        }
    }

    /// What was counted of this.
    #[must_use]
    pub fn of(&self, item: Item) -> Sum {
        self.0.get(&item).copied().unwrap_or_default()
    }

    /// All that was counted.
    pub fn items(&self) -> impl Iterator<Item = (Item, Sum)> {
        self.0.iter().map(|(item, sum)| (*item, *sum))
    }

    /// What was counted of the operations that are meant.
    pub fn files(&self, is_meant: impl Fn(Region, FileOp) -> bool) -> Sum {
        let mut sum = Sum::default();
        for (item, counted) in &self.0 {
            if let Item::File(region, op) = item
                && is_meant(*region, *op)
            {
                sum.add(*counted);
            }
        }
        sum
    }
}
