//! A source that a user might write: a log in partitions, each a file of entries of fixed size, read in the order in which
//! they were written.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tidegate::{
    connector::{Source, SourceReader},
    env::{Disk, DiskFile, OpenMode},
    error::{Context, Error, Result},
    graph::PrepareContext,
    operator::{SourceStatus, SubtaskContext},
};

/// An entry: the account, and an amount.
pub type Entry = (u64, u64);

/// How many bytes an entry takes: two integers, little-endian.
pub const ENTRY_LEN: usize = 16;

/// A partition, and how far it has been read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// The file.
    pub path: PathBuf,
    /// How many entries have been read.
    pub position: u64,
}

impl Partition {
    /// The bytes that a checkpoint holds.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a partition is plain data")
    }

    /// The partition that a checkpoint's bytes hold.
    ///
    /// # Errors
    /// `Damaged` if they hold none.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let damaged = |e| Error::damaged(format!("the position in a log cannot be decoded: {e}"));
        serde_json::from_slice(bytes).map_err(damaged)
    }
}

/// The bytes of entries.
#[must_use]
pub fn encode(entries: &[Entry]) -> Vec<u8> {
    entries.iter().flat_map(|(account, amount)| [account.to_le_bytes(), amount.to_le_bytes()]).flatten().collect()
}

/// The entries of bytes; what is left over at the end is not yet a whole one.
pub fn decode(bytes: &[u8]) -> impl Iterator<Item = Entry> + '_ {
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    bytes.chunks_exact(ENTRY_LEN).map(move |entry| (number(&entry[..8]), number(&entry[8..])))
}

/// Emits the entries of all partitions.
pub struct EntryLog {
    partitions: Vec<PathBuf>,
}

impl EntryLog {
    /// A log of these files.
    #[must_use]
    pub fn new(partitions: Vec<PathBuf>) -> Self {
        Self { partitions }
    }
}

#[async_trait]
impl Source<Entry> for EntryLog {
    async fn list_splits(&self, _: &PrepareContext) -> Result<Vec<Vec<u8>>> {
        let partition = |path: &PathBuf| Partition { path: path.clone(), position: 0 }.encode();
        Ok(self.partitions.iter().map(partition).collect())
    }

    fn create_reader(&self, context: &SubtaskContext) -> Box<dyn SourceReader<Entry>> {
        Box::new(EntryReader { disk: context.disk.clone(), partitions: Vec::new(), next: 0 })
    }
}

/// Reads its partitions in turn, so that none waits for another's end.
struct EntryReader {
    disk: Arc<dyn Disk>,
    /// Those with something left to read have an open file.
    partitions: Vec<(Partition, Option<Box<dyn DiskFile>>)>,
    next: usize,
}

#[async_trait]
impl SourceReader<Entry> for EntryReader {
    async fn open(&mut self, splits: Vec<Vec<u8>>) -> Result<()> {
        for split in splits {
            let partition = Partition::decode(&split)?;
            let file = self.disk.open(&partition.path, OpenMode::Read).await.at(|| place(&partition.path))?;
            self.partitions.push((partition, Some(file)));
        }
        Ok(())
    }

    async fn read(&mut self, batch: &mut Vec<Entry>, max: usize) -> Result<SourceStatus> {
        let count = self.partitions.len();
        let unread = (0..count).map(|i| (self.next + i) % count).find(|i| self.partitions[*i].1.is_some());
        let Some(i) = unread else { return Ok(SourceStatus::EndOfInput) };
        self.next = i + 1;
        let (partition, file) = &mut self.partitions[i];
        let offset = partition.position * ENTRY_LEN as u64;
        let open = file.as_mut().expect("one with something to read was chosen");
        let bytes = read_entries(&mut **open, offset, max).await.at(|| place(&partition.path))?;
        batch.extend(decode(&bytes));
        partition.position += batch.len() as u64;
        if batch.is_empty() {
            if !bytes.is_empty() {
                return Err(Error::bad_input(format!("{} ends in the middle of an entry", partition.path.display())));
            }
            *file = None;
        }
        Ok(SourceStatus::More)
    }

    fn snapshot(&self) -> Vec<Vec<u8>> {
        self.partitions.iter().map(|(partition, _)| partition.encode()).collect()
    }
}

/// The bytes of up to `max` entries: of at least one, unless the file ends before that.
async fn read_entries(file: &mut dyn DiskFile, offset: u64, max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while bytes.len() < ENTRY_LEN {
        let piece = file.read_at(offset + bytes.len() as u64, max * ENTRY_LEN - bytes.len()).await?;
        if piece.is_empty() {
            break;
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

fn place(path: &Path) -> String {
    format!("log partition {}", path.display())
}
