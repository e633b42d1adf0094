//! The slots of a checkpoint directory: which checkpoints are there, and where the next manifest goes.
//!
//! A manifest is written over one that is not kept any more, because a new file for each would cost the file system two
//! transactions, which for a small state is half of what the checkpoint costs:
//!
//! ```text
//!   slot       body of 7 over that of 5 ─► sync ─► header of 7 ─► sync
//!   new file   header and body of 7     ─► sync ─► rename      ─► sync the directory
//! ```
//!
//! - What exists, headers say: the newest, and those that it keeps ([`ManifestHeader::oldest`]). Whatever else a slot says is
//!   not there, whole or not.
//! - A slot is written over only if a durable header says that what is in it is not kept. So a crash on the way leaves what was
//!   there before.
//! - A file that is new is whole when it gets its name, so that a header which cannot be read is always damage.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use bytes::{Bytes, BytesMut};

use super::{
    atomic_file::{AtomicFile, discard, parent, read_beginning, read_file},
    layout::{parse_checkpoint, parse_checkpoint_path, parse_slot, slot_path},
    manifest_file::{BODY, ManifestHeader, decode_header, decode_manifest, encode_parts, join_parts},
};
use crate::{
    checkpoint::Manifest,
    env::{DISK_SECTOR, DirEntry, Disk, DiskFile, OpenMode},
    error::{Context, Error, Result},
    id::CheckpointId,
};

/// A file that holds the manifest of one checkpoint after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Where it is.
    pub path: PathBuf,
    /// What it says of what it holds, or why nobody knows.
    pub header: Result<ManifestHeader>,
}

impl Slot {
    /// The slot with this path, a file that begins so.
    #[must_use]
    pub fn new(path: PathBuf, beginning: &[u8]) -> Self {
        let header = decode_header(beginning, &path);
        Self { path, header }
    }

    /// The file's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).expect("a slot has a name")
    }

    /// Whether it holds the manifest of this checkpoint, kept or not.
    pub(super) fn holds(&self, id: CheckpointId) -> bool {
        self.header.as_ref().is_ok_and(|header| header.checkpoint == id)
    }
}

/// All slots of a checkpoint directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManifestSlots {
    slots: Vec<Slot>,
}

impl ManifestSlots {
    /// Reads what they say, of a directory with these entries.
    ///
    /// # Errors
    /// Those of the disk; `BadInput` if a checkpoint of an older layout is there: to overlook it would be to begin anew in
    /// silence (I20).
    pub async fn read(disk: &dyn Disk, directory: &Path, entries: &[DirEntry]) -> Result<Self> {
        let mut slots = Vec::new();
        for entry in entries {
            if parse_checkpoint(&entry.name).is_some() {
                return Err(old_layout(&directory.join(&entry.name)));
            }
            if parse_slot(&entry.name).is_some() {
                slots.extend(read_slot(disk, directory.join(&entry.name)).await?);
            }
        }
        Ok(Self::new(slots))
    }

    /// These.
    #[must_use]
    pub fn new(slots: Vec<Slot>) -> Self {
        Self { slots }
    }

    fn newest(&self) -> Option<&ManifestHeader> {
        self.slots.iter().filter_map(|slot| slot.header.as_ref().ok()).max_by_key(|header| header.checkpoint)
    }

    /// Whether the checkpoint is one of those that are kept, if it is there.
    fn is_kept(&self, id: CheckpointId) -> bool {
        self.newest().is_none_or(|newest| id >= newest.oldest)
    }

    /// The checkpoints that completed, ascending.
    #[must_use]
    pub fn completed(&self) -> Vec<CheckpointId> {
        let ids = self.slots.iter().filter_map(|slot| Some(slot.header.as_ref().ok()?.checkpoint));
        let mut completed: Vec<_> = ids.filter(|id| self.is_kept(*id)).collect();
        completed.sort_unstable();
        completed.dedup();
        completed
    }

    /// The slot of a checkpoint that completed.
    #[must_use]
    pub fn of(&self, id: CheckpointId) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.holds(id) && self.is_kept(id))
    }

    /// Of each slot of which nobody knows what it holds, why.
    pub fn unreadable(&self) -> impl Iterator<Item = &Error> {
        self.slots.iter().filter_map(|slot| slot.header.as_ref().err())
    }

    /// All of them, in the order in which they were given.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }

    /// Whether nobody needs what the slot holds. If `self` was [settled](Self::settle), a crash cannot bring it back either.
    pub(super) fn is_free(&self, slot: &Slot) -> bool {
        slot.header.as_ref().is_ok_and(|header| !self.is_kept(header.checkpoint))
    }

    /// Makes sure that the newest checkpoint stays. Whoever published it may have died before the last sync, or that may have
    /// failed: then everybody can see it, and the next loss of power may still take it away. After an error of a sync only what
    /// is written anew is ever written.
    pub(super) async fn settle(&self, disk: &dyn Disk, directory: &Path) -> Result<()> {
        let Some((header, slot)) = self.newest().and_then(|header| Some((header, self.of(header.checkpoint)?))) else {
            return Ok(());
        };
        let settled = async {
            let mut file = disk.open(&slot.path, OpenMode::Write).await?;
            file.write_at(0, header.encode()).await?;
            file.sync().await?;
            disk.sync_dir(directory).await
        };
        settled.await.at(|| format!("syncing manifest {}", slot.path.display()))
    }

    /// Where a manifest goes: over the oldest of those that nobody needs; if there is none, into a new slot.
    fn place(&self, directory: &Path) -> PathBuf {
        let free = self.slots.iter().filter(|slot| self.is_free(slot) || planted!(KeptSlotReused)); // DuckDB 25106
        let oldest = free.min_by_key(|slot| slot.header.as_ref().map(|header| header.checkpoint).ok());
        oldest.map(|slot| slot.path.clone()).unwrap_or_else(|| {
            let unused = |path: &PathBuf| self.slots.iter().all(|slot| slot.path != *path);
            let mut paths = (0..).map(|number| slot_path(directory, number));
            paths.find(unused).expect("there are more numbers than files")
        })
    }

    /// A slot holds a manifest from now on, durably. Removes what cannot be read: it is older, since numbers rise, and whoever
    /// started the job has named another checkpoint. What cannot be removed is tried again with the next one.
    pub(super) async fn published(&mut self, publication: Publication<'_>, disk: &dyn Disk) {
        let Publication { path, header, .. } = publication;
        let before = std::mem::take(&mut self.slots);
        for slot in before.into_iter().filter(|slot| slot.path != path) {
            if slot.header.is_ok() || disk.remove_file(&slot.path).await.is_err() {
                self.slots.push(slot);
            }
        }
        self.slots.push(Slot { path, header: Ok(header) });
    }
}

/// A manifest on its way into a slot. The steps are to be taken in the order of the methods.
pub(super) struct Publication<'a> {
    path: PathBuf,
    header: ManifestHeader,
    way: Way<'a>,
}

enum Way<'a> {
    New(AtomicFile<'a>),
    Over(Box<dyn DiskFile>),
}

impl<'a> Publication<'a> {
    /// Writes what nobody sees yet.
    pub async fn write(
        disk: &'a dyn Disk,
        directory: &Path,
        slots: &ManifestSlots,
        manifest: &Manifest,
    ) -> io::Result<Self> {
        let (header, body) = encode_parts(manifest);
        let path = slots.place(directory);
        let way = match disk.open(&path, OpenMode::Write).await {
            Ok(mut file) => {
                let held = file.length().await?;
                file.write_at(BODY as u64, covering(body, held)).await?;
                Way::Over(file)
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {
                match AtomicFile::write(disk, &path, join_parts(&header, &body)).await {
                    Ok(file) => Way::New(file),
                    Err(error) => {
                        discard(disk, &path).await;
                        return Err(error);
                    }
                }
            }
            Err(error) => return Err(error),
        };
        Ok(Self { path, header, way })
    }

    /// Makes that durable.
    pub async fn sync(&mut self) -> io::Result<()> {
        match &mut self.way {
            Way::New(file) => file.sync().await,
            Way::Over(file) => file.sync().await,
        }
    }

    /// Lets everybody see it. From here on a crash may leave it there or not.
    pub async fn show(&mut self) -> io::Result<()> {
        match &mut self.way {
            Way::New(file) => file.rename().await,
            Way::Over(file) => file.write_at(0, self.header.encode()).await,
        }
    }

    /// Makes the checkpoint exist for good.
    pub async fn sync_shown(&mut self) -> io::Result<()> {
        match &mut self.way {
            Way::New(file) => file.sync_directory().await,
            Way::Over(file) => file.sync().await,
        }
    }

    /// Removes what takes up room, of a manifest that nobody sees.
    pub async fn discard(self, disk: &dyn Disk) {
        if let Way::New(_) = self.way {
            discard(disk, &self.path).await;
        }
    }
}

/// The body, and so many empty lines that nothing is left of a longer one: for people, since nothing behind a body counts.
fn covering(body: Bytes, file: u64) -> Bytes {
    let held = usize::try_from(file).unwrap_or(BODY).saturating_sub(BODY);
    if held <= body.len() {
        return body;
    }
    let mut padded = BytesMut::from(&body[..]);
    padded.resize(held, b'\n');
    padded.freeze()
}

/// `None` if it is gone: the job has ended meanwhile.
async fn read_slot(disk: &dyn Disk, path: PathBuf) -> Result<Option<Slot>> {
    let mut before = None;
    loop {
        let sector = match read_beginning(disk, &path, DISK_SECTOR as u64).await {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.at(|| format!("reading manifest {}", path.display()))?,
        };
        let slot = Slot::new(path.clone(), &sector);
        // Whoever reads while it is written may get a part of each; what stays as it is, is damage.
        if slot.header.is_ok() || before.as_ref() == Some(&sector) {
            return Ok(Some(slot));
        }
        before = Some(sector);
    }
}

/// The manifest of the checkpoint with this path, `…/chk-<id>`, and the slot that holds it.
async fn find(disk: &dyn Disk, path: &Path) -> Result<(PathBuf, Manifest)> {
    let Some((directory, id)) = parse_checkpoint_path(path) else { return Err(no_checkpoint(path)) };
    let mut seen = None;
    loop {
        let entries = match disk.list(directory).await {
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Err(no_checkpoint(path));
            }
            listed => listed.at(|| format!("checkpoint directory {}", directory.display()))?,
        };
        let slots = ManifestSlots::read(disk, directory, &entries).await?;
        let Some(slot) = slots.of(id) else {
            return Err(slots.unreadable().next().cloned().unwrap_or_else(|| no_checkpoint(path)));
        };
        let read = read_file(disk, &slot.path).await.at(|| format!("reading manifest {}", slot.path.display()));
        match read.and_then(|bytes| decode_manifest(&bytes, &slot.path)) {
            Ok(manifest) if manifest.checkpoint == id => return Ok((slot.path.clone(), manifest)),
            // It may have been written over in between; if it says the same once more, it was not.
            Err(error) if seen.as_ref() == slot.header.as_ref().ok() => return Err(error),
            _ => seen = slot.header.clone().ok(),
        }
    }
}

/// The manifest of the checkpoint with this path, `…/chk-<id>`.
///
/// # Errors
/// `BadInput` if there is none; those of [`decode_manifest`]; `Unavailable` if the disk fails.
pub async fn read_manifest(disk: &dyn Disk, path: &Path) -> Result<Manifest> {
    Ok(find(disk, path).await?.1)
}

/// Reads the manifest of a checkpoint that is about to be acted upon, and makes sure that it stays, wherever it is: in the
/// directory of another job only as far as that can be done without writing there.
///
/// # Errors
/// Those of [`read_manifest`]: a checkpoint that cannot be read is never skipped (I20).
pub async fn settle_manifest(disk: &dyn Disk, path: &Path) -> Result<Manifest> {
    let (slot, manifest) = find(disk, path).await?;
    let directory = parent(path);
    let settled = async {
        disk.open(&slot, OpenMode::Read).await?.sync().await?;
        disk.sync_dir(directory).await
    };
    settled.await.at(|| format!("syncing manifest {}", slot.display()))?;
    Ok(manifest)
}

fn no_checkpoint(path: &Path) -> Error {
    Error::bad_input(format!(
        "{} is no completed checkpoint: name a checkpoint directory and chk-<id>, as inspect shows them",
        path.display()
    ))
}

/// What is said of a checkpoint that has a file or a directory to itself.
pub(super) fn old_layout(path: &Path) -> Error {
    Error::bad_input(format!(
        "{} was made by an older build, which had a file or a directory for each checkpoint, and this build reads only \
         manifest-<n>: go on with the build that wrote it, or choose another directory",
        path.display()
    ))
}
