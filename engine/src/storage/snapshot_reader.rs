//! Reads from a snapshot file what is needed, and no more.

use std::{io, path::Path};

use bytes::{Bytes, BytesMut};

use super::{
    atomic_file::read_beginning,
    snapshot_file::{FOOTER_LEN, Place, SnapshotIndex, check_header, damaged, decode_snapshot},
};
use crate::{
    checkpoint::SnapshotFile,
    env::{Disk, DiskFile, OpenMode},
    error::{Context, Result},
    key_group::KeyGroupRange,
    state::SubtaskSnapshot,
    stream::hash_bytes,
};

/// A file of so many bytes is read as a whole: to look for its parts would take as long. And so much of the end of a larger
/// one is read to find its index.
const SMALL: u64 = 1 << 16;

/// Two parts that are so near to one another are read as one.
const NEAR: u64 = 1 << 15;

/// What was read of a file.
pub(super) struct ReadSnapshot {
    /// What the file says of itself.
    pub index: SnapshotIndex,
    /// What was asked for.
    pub snapshot: SubtaskSnapshot,
    /// The checksum of the bytes that came; if they were not all, of those that say what the others are.
    pub checksum: u64,
}

/// What the file at `path` holds of these key groups, and all that is not keyed. Of what stands there only as many bytes count
/// as `file` says.
///
/// # Errors
/// `Damaged` if it is missing or not the one that `file` describes, as far as it is read; `Unavailable` if the disk fails.
pub(super) async fn read_snapshot(
    disk: &dyn Disk,
    path: &Path,
    file: &SnapshotFile,
    groups: KeyGroupRange,
) -> Result<ReadSnapshot> {
    let result = match file.len {
        ..=SMALL => read_whole(disk, path, file).await,
        _ => read_parts(disk, path, file, groups).await,
    };
    let read = match result {
        Ok(read) => read?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(damaged(path, "it is missing")),
        Err(e) => return Err(e).at(|| format!("reading snapshot file {}", path.display())),
    };
    let (found, expected) = (read.index.checkpoint, file.written_for);
    if found != expected {
        return Err(damaged(path, &format!("it was written for checkpoint {found} instead of {expected}")));
    }
    Ok(read)
}

type Read = io::Result<Result<ReadSnapshot>>;

async fn read_whole(disk: &dyn Disk, path: &Path, file: &SnapshotFile) -> Read {
    let len = if planted!(StaleTailRead) { u64::MAX } else { file.len }; // Pebble 580
    let bytes = read_beginning(disk, path, len).await?;
    if let Err(e) = check_length(bytes.len() as u64, path, file) {
        return Ok(Err(e));
    }
    let checksum = hash_bytes(&bytes).0;
    if checksum != file.digest {
        let written_for = file.written_for;
        let what = format!("its checksum is not the one that it had when it was written for checkpoint {written_for}");
        return Ok(Err(damaged(path, &what)));
    }
    Ok(decode_snapshot(&bytes, path).map(|(index, snapshot)| ReadSnapshot { index, snapshot, checksum }))
}

fn check_length(found: u64, path: &Path, file: &SnapshotFile) -> Result<()> {
    let expected = file.len;
    if found == expected {
        return Ok(());
    }
    Err(damaged(path, &format!("it has {found} bytes instead of {expected}")))
}

async fn read_parts(disk: &dyn Disk, path: &Path, file: &SnapshotFile, groups: KeyGroupRange) -> Read {
    let mut handle = disk.open(path, OpenMode::Read).await?;
    if let Err(e) = check_length(handle.length().await?.min(file.len), path, file) {
        return Ok(Err(e));
    }
    let header = read_exactly(&mut *handle, 0, FOOTER_LEN as u64).await?;
    let end = read_exactly(&mut *handle, file.len - SMALL, SMALL).await?;
    let place = check_header(&header, path)
        .and_then(|()| Place::read(end.last_chunk().expect("more than a footer was read"), file.len, path));
    let place = match place {
        Ok(place) => place,
        Err(e) => return Ok(Err(e)),
    };
    let end_of = place.len + FOOTER_LEN as u64;
    let end = if end_of <= SMALL {
        end.slice((SMALL - end_of) as usize..)
    } else {
        read_exactly(&mut *handle, place.position, end_of).await?
    };
    let index = match SnapshotIndex::decode(&end, path) {
        Ok(index) => index,
        Err(e) => return Ok(Err(e)),
    };
    let mut parts = Vec::new();
    for (position, len) in together(index.ranges(Some(groups))) {
        if position.checked_add(len).is_none_or(|end| end > place.position) {
            return Ok(Err(damaged(path, "a part of it lies outside of it")));
        }
        parts.push((position, read_exactly(&mut *handle, position, len).await?));
    }
    let fetch = |position: u64, len: u64| {
        let part = parts.partition_point(|(start, _)| *start <= position).checked_sub(1)?;
        let (start, bytes) = &parts[part];
        let at = (position - start) as usize;
        (at as u64 + len <= bytes.len() as u64).then(|| bytes.slice(at..at + len as usize))
    };
    let checksum = hash_bytes(&end).0;
    Ok(index.snapshot(Some(groups), path, fetch).map(|snapshot| ReadSnapshot { index, snapshot, checksum }))
}

/// The ranges in ascending order, with those joined that are near to one another.
fn together(mut ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    ranges.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (position, len) in ranges {
        match joined.last_mut() {
            Some((start, so_far)) if position <= start.saturating_add(*so_far).saturating_add(NEAR) => {
                *so_far = (*so_far).max(position.saturating_add(len) - *start);
            }
            _ => joined.push((position, len)),
        }
    }
    joined
}

/// So many bytes from `position` on.
async fn read_exactly(file: &mut dyn DiskFile, position: u64, len: u64) -> io::Result<Bytes> {
    let len = usize::try_from(len).map_err(io::Error::other)?;
    let first = file.read_at(position, len).await?;
    if first.len() == len {
        return Ok(first);
    }
    let mut bytes = BytesMut::with_capacity(len);
    bytes.extend_from_slice(&first);
    while bytes.len() < len {
        let piece = file.read_at(position + bytes.len() as u64, len - bytes.len()).await?;
        if piece.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file has become shorter while it was read"));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}
