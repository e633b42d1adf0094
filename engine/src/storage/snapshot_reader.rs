//! Reads from a snapshot file what is needed, and no more; and what stands in a manifest.

use std::{io, path::Path};

use bytes::{Bytes, BytesMut};

use super::{
    atomic_file::read_beginning,
    snapshot_file::{FOOTER_LEN, Place, SnapshotIndex, check_header, decode_at, decode_snapshot, snapshot_digest},
    snapshot_location::SnapshotLocation,
};
use crate::{
    checkpoint::{InlineSnapshot, SnapshotFile},
    env::{Disk, DiskFile, OpenMode},
    error::{Context, Result},
    id::CheckpointId,
    key_group::KeyGroupRange,
    state::SubtaskSnapshot,
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
    /// Its digest, which vouches for whatever was read.
    pub digest: u64,
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
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(SnapshotLocation::File(path).damaged("it is missing"));
        }
        Err(e) => return Err(e).at(|| format!("reading snapshot file {}", path.display())),
    };
    let (found, expected) = (read.index.checkpoint, file.written_for);
    if found != expected {
        return Err(SnapshotLocation::File(path)
            .damaged(&format!("it was written for checkpoint {found} instead of {expected}")));
    }
    if read.digest != file.digest {
        let what = format!("its checksum is not the one that it had when it was written for checkpoint {expected}");
        return Err(SnapshotLocation::File(path).damaged(&what));
    }
    Ok(read)
}

/// What stands in the manifest at `path` as the snapshot of a subtask for this checkpoint.
///
/// # Errors
/// `Damaged` if it is not the one that the subtask has frozen.
pub(super) fn read_inline(
    path: &Path,
    subtask: &str,
    checkpoint: CheckpointId,
    inline: &InlineSnapshot,
) -> Result<ReadSnapshot> {
    let location = SnapshotLocation::Manifest(path, subtask);
    let (index, snapshot) = decode_at(&inline.contents, location)?;
    let digest = snapshot_digest(&inline.contents);
    if digest != inline.digest {
        return Err(location.damaged("its checksum is not the one that it had when it was taken"));
    }
    let found = index.checkpoint;
    if found != checkpoint {
        return Err(location.damaged(&format!("it was taken for checkpoint {found} instead of {checkpoint}")));
    }
    if let Some(base) = index.builds_on {
        return Err(location.damaged(&format!("it builds on the one of checkpoint {base}, and stands alone")));
    }
    Ok(ReadSnapshot { index, snapshot, digest })
}

type Read = io::Result<Result<ReadSnapshot>>;

async fn read_whole(disk: &dyn Disk, path: &Path, file: &SnapshotFile) -> Read {
    let len = if planted!(StaleTailRead) { u64::MAX } else { file.len }; // Pebble 580
    let bytes = read_beginning(disk, path, len).await?;
    if let Err(e) = check_length(bytes.len() as u64, path, file) {
        return Ok(Err(e));
    }
    let digest = snapshot_digest(&bytes);
    Ok(decode_snapshot(&bytes, path).map(|(index, snapshot)| ReadSnapshot { index, snapshot, digest }))
}

fn check_length(found: u64, path: &Path, file: &SnapshotFile) -> Result<()> {
    let expected = file.len;
    if found == expected {
        return Ok(());
    }
    Err(SnapshotLocation::File(path).damaged(&format!("it has {found} bytes instead of {expected}")))
}

async fn read_parts(disk: &dyn Disk, path: &Path, file: &SnapshotFile, groups: KeyGroupRange) -> Read {
    let location = SnapshotLocation::File(path);
    let mut handle = disk.open(path, OpenMode::Read).await?;
    if let Err(e) = check_length(handle.length().await?.min(file.len), path, file) {
        return Ok(Err(e));
    }
    let header = read_exactly(&mut *handle, 0, FOOTER_LEN as u64).await?;
    let end = read_exactly(&mut *handle, file.len - SMALL, SMALL).await?;
    let place = check_header(&header, location)
        .and_then(|()| Place::read(end.last_chunk().expect("more than a footer was read"), file.len, location));
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
    let index = match SnapshotIndex::decode(&end, location) {
        Ok(index) => index,
        Err(e) => return Ok(Err(e)),
    };
    let mut parts = Vec::new();
    for (position, len) in together(index.ranges(Some(groups))) {
        if position.checked_add(len).is_none_or(|end| end > place.position) {
            return Ok(Err(location.damaged("a part of it lies outside of it")));
        }
        parts.push((position, read_exactly(&mut *handle, position, len).await?));
    }
    let fetch = |position: u64, len: u64| {
        let part = parts.partition_point(|(start, _)| *start <= position).checked_sub(1)?;
        let (start, bytes) = &parts[part];
        let at = (position - start) as usize;
        (at as u64 + len <= bytes.len() as u64).then(|| bytes.slice(at..at + len as usize))
    };
    let digest = snapshot_digest(&end);
    Ok(index.snapshot(Some(groups), location, fetch).map(|snapshot| ReadSnapshot { index, snapshot, digest }))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        connector::memory_disk::MemoryDisk,
        error::ErrorKind,
        graph::local_executor::now,
        key_group::KeyGroup,
        state::{KeyGroupEntries, KeyedStateSnapshot, OperatorSnapshot},
        storage::encode_snapshot,
    };

    const GROUPS: u32 = 16;
    const ALL: KeyGroupRange = KeyGroupRange { start: 0, end: GROUPS };

    /// A snapshot whose key groups have so many bytes each.
    fn snapshot(len: usize) -> SubtaskSnapshot {
        let group = |g: u32| KeyGroupEntries::new(KeyGroup(g), 1, &vec![g as u8; len + g as usize]);
        let state = |name: &str| {
            let groups = (0..GROUPS).map(group).collect();
            KeyedStateSnapshot { name: name.into(), type_name: "t".into(), is_delta: false, groups }
        };
        // What is wanted of the two does not stand side by side.
        let (uid, key_groups, keyed) = ("o".into(), Some(ALL), ["s", "t"].map(state).into());
        SubtaskSnapshot { operators: vec![OperatorSnapshot { uid, key_groups, keyed, lists: Vec::new() }] }
    }

    /// What is read of these contents, of a file that had these.
    fn read(contents: &[u8], original: &[u8], groups: KeyGroupRange) -> Result<SubtaskSnapshot> {
        read_for(0, contents, original, groups)
    }

    /// The same, of a file that is said to have been written for this checkpoint. All were for 0.
    fn read_for(checkpoint: u64, contents: &[u8], original: &[u8], groups: KeyGroupRange) -> Result<SubtaskSnapshot> {
        let path = Path::new("/f");
        let disk = MemoryDisk::with([(path, contents)]);
        let file = SnapshotFile {
            name: "f".into(),
            written_for: CheckpointId(checkpoint),
            len: original.len() as u64,
            digest: snapshot_digest(original),
        };
        now(read_snapshot(&disk, path, &file, groups)).map(|read| read.snapshot)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Small files and large ones, of which parts are read; also if the file was longer before.
        #[test]
        fn what_is_asked_for_is_read(len in prop_oneof![1usize..100, 1_900usize..2_300, 30_000usize..90_000], start in 0..GROUPS, more: bool) {
            let groups = KeyGroupRange { start, end: GROUPS.min(start + 3) };
            let bytes = encode_snapshot(&snapshot(len)).unwrap();
            let tail: &[u8] = if more { b"what it held before" } else { b"" };
            let found = read(&[&bytes[..], tail].concat(), &bytes, groups).unwrap();
            let mut expected = snapshot(len);
            if bytes.len() as u64 > SMALL {
                expected.operators[0].keyed.iter_mut().for_each(|s| s.groups.retain(|g| groups.contains(g.group)));
            }
            prop_assert_eq!(found, expected);
        }

        /// A part that is damaged is noticed by whoever needs it.
        #[test]
        fn damage_is_noticed(len in prop_oneof![1usize..100, 20_000usize..30_000], at: prop::sample::Index, cut: bool) {
            let bytes = encode_snapshot(&snapshot(len)).unwrap();
            let mut damaged = bytes.to_vec();
            let at = at.index(bytes.len());
            if cut {
                damaged.truncate(at);
            } else {
                damaged[at] ^= 0x10;
            }
            let kind = read(&damaged, &bytes, ALL).unwrap_err().kind;
            prop_assert!(kind == ErrorKind::Damaged || (8..12).contains(&at));
        }
    }

    #[test]
    fn another_use_of_the_same_file_is_not_taken_for_it() {
        let (old, new) = (encode_snapshot(&snapshot(8_000)).unwrap(), encode_snapshot(&snapshot(8_001)).unwrap());
        assert_eq!(read(&new, &old, ALL).unwrap_err().kind, ErrorKind::Damaged);
        let told = |result: Result<SubtaskSnapshot>| result.unwrap_err().message.split(';').next().unwrap().to_owned();
        // Of one that is read as a whole, and of one that is read in parts.
        for len in [100, 8_000] {
            // As whole in itself, and as long, and for the same checkpoint: only the manifest knows that it is another one.
            let old = encode_snapshot(&snapshot(len)).unwrap();
            let filled_with = |filler| {
                let mut other = snapshot(len);
                other.operators[0].keyed[0].groups[0] = KeyGroupEntries::new(KeyGroup(0), 1, &vec![filler; len]);
                encode_snapshot(&other).unwrap()
            };
            // Not all checksums are equally long.
            let new = (1..=u8::MAX).map(filled_with).find(|new| new.len() == old.len()).unwrap();
            insta::allow_duplicates! {
                insta::assert_snapshot!(told(read(&new, &old, ALL)), @"snapshot file /f is damaged: its checksum is not the one that it had when it was written for checkpoint 0");
                // Also for who needs nothing of what differs.
                insta::assert_snapshot!(told(read(&new, &old, KeyGroupRange { start: 3, end: 4 })), @"snapshot file /f is damaged: its checksum is not the one that it had when it was written for checkpoint 0");
                insta::assert_snapshot!(told(read_for(7, &old, &old, ALL)), @"snapshot file /f is damaged: it was written for checkpoint 0 instead of 7");
            }
        }
        insta::assert_snapshot!(told(read(b"", &old, ALL)), @"snapshot file /f is damaged: it has 0 bytes instead of 258048");
    }
}
