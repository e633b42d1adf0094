//! How a snapshot becomes the contents of a file.

use bytes::Bytes;

use super::{
    snapshot_compression::Compressor,
    snapshot_file::{
        FOOTER_LEN, SnapshotIndex, StoredExtent, StoredKeyedState, StoredOperator, checksum_of_index, header,
    },
};
use crate::{
    checkpoint::SnapshotCompression,
    env::DISK_BLOCK,
    error::{Error, Result},
    id::CheckpointId,
    key_group::KeyGroup,
    state::{
        Extent, FrozenKeyedState, FrozenOperator, FrozenSnapshot, KeyedStateSnapshot, OperatorSnapshot, Piece,
        SnapshotScope, SubtaskSnapshot,
    },
    stream::hash_bytes,
};

/// From so many bytes on contents are laid out so that a disk may fetch them from where they are: they begin at a multiple of
/// [`DISK_BLOCK`] in memory, and are as long as some multiple.
const LARGE: usize = 1 << 16;

/// The contents of a snapshot file.
#[derive(Clone, Debug)]
pub struct SealedSnapshot {
    /// The whole file.
    pub contents: Bytes,
    /// The memory that they lie in. Once it is the only reference, another snapshot may be made there.
    pub memory: Bytes,
}

/// A buffer that begins like a snapshot file, in the memory of another one. What precedes the file is zeros.
#[must_use]
pub fn snapshot_buffer(mut recycled: Vec<u8>) -> Vec<u8> {
    recycled.clear();
    if recycled.capacity() >= LARGE {
        let short_of_a_block = recycled.as_ptr().addr().wrapping_neg() % DISK_BLOCK;
        recycled.resize(short_of_a_block, 0);
    }
    recycled.extend_from_slice(&header());
    recycled
}

/// Makes a file of what was frozen: adds checksums and the index.
///
/// # Errors
/// `UserCode` if the index refuses to be encoded.
///
/// # Panics
/// If its buffer does not come from [`snapshot_buffer`].
pub fn seal_snapshot(
    frozen: FrozenSnapshot,
    checkpoint: CheckpointId,
    builds_on: Option<CheckpointId>,
    compression: SnapshotCompression,
) -> Result<SealedSnapshot> {
    let FrozenSnapshot { mut buffer, operators } = frozen;
    let source =
        (compression != SnapshotCompression::None).then(|| std::mem::replace(&mut buffer, snapshot_buffer(Vec::new())));
    let start = buffer.iter().position(|byte| *byte != 0).unwrap_or(buffer.len());
    assert!(buffer[start..].starts_with(&header()), "a snapshot that does not begin like a file");
    let mut compressor = Compressor::new(compression);
    let mut store = |extent: Extent| {
        let Extent { group, kind, entries, position, len, checksum } = extent;
        let (position, stored_len, checksum) = match &source {
            None => (position, len, checksum),
            Some(source) => {
                let start = buffer.len();
                compressor.compress(&source[position as usize..][..len as usize], &mut buffer);
                (start as u64, (buffer.len() - start) as u64, hash_bytes(&buffer[start..]).0)
            }
        };
        StoredExtent { group, kind, entries, len, position: position - start as u64, stored_len, checksum }
    };
    let mut store_state = |state: FrozenKeyedState| {
        let FrozenKeyedState { name, type_name, scope, extents, .. } = state;
        let is_delta = scope != SnapshotScope::Full;
        StoredKeyedState { name, type_name, is_delta, extents: extents.into_iter().map(&mut store).collect() }
    };
    let store_operator = |operator: FrozenOperator| {
        let FrozenOperator { uid, key_groups, keyed, lists } = operator;
        StoredOperator { uid, key_groups, keyed: keyed.into_iter().map(&mut store_state).collect(), lists }
    };
    let operators = operators.into_iter().map(store_operator).collect();
    let index = SnapshotIndex { checkpoint, builds_on, compression, operators };
    let index = postcard::to_stdvec(&index);
    let mut index = index.map_err(|e| Error::user_code(format!("the snapshot cannot be encoded: {e}")))?;
    let len = buffer.len() - start + index.len() + FOOTER_LEN;
    if len >= LARGE {
        index.resize(index.len() + len.next_multiple_of(DISK_BLOCK) - len, 0);
    }
    let position = buffer.len();
    buffer.extend_from_slice(&index);
    buffer.extend_from_slice(&((position - start) as u64).to_le_bytes());
    buffer.extend_from_slice(&(index.len() as u64).to_le_bytes());
    let checksum = checksum_of_index(&buffer[position..]);
    buffer.extend_from_slice(&checksum.to_le_bytes());
    let memory = Bytes::from(buffer);
    Ok(SealedSnapshot { contents: memory.slice(start..), memory })
}

/// The contents of a file that holds this snapshot, in full.
///
/// # Errors
/// `UserCode` if the snapshot refuses to be encoded.
pub fn encode_snapshot(snapshot: &SubtaskSnapshot) -> Result<Bytes> {
    let mut buffer = snapshot_buffer(Vec::new());
    let mut extents = |state: &KeyedStateSnapshot| {
        let pieces = state.groups.iter().flat_map(|g| g.pieces.iter().map(|p| (g.group, p)));
        let extent = |(group, piece): (KeyGroup, &Piece)| {
            let position = buffer.len() as u64;
            buffer.extend_from_slice(&piece.bytes);
            let (len, checksum) = (piece.bytes.len() as u64, hash_bytes(&piece.bytes).0);
            Extent { group, kind: piece.kind, entries: piece.entries, position, len, checksum }
        };
        pieces.map(extent).collect()
    };
    let mut state = |s: &KeyedStateSnapshot| FrozenKeyedState {
        name: s.name.clone(),
        type_name: s.type_name.clone(),
        scope: if s.is_delta { SnapshotScope::Incremental } else { SnapshotScope::Full },
        extents: extents(s),
        value_bytes: 0,
    };
    let operator = |o: &OperatorSnapshot| FrozenOperator {
        uid: o.uid.clone(),
        key_groups: o.key_groups,
        keyed: o.keyed.iter().map(&mut state).collect(),
        lists: o.lists.clone(),
    };
    let operators = snapshot.operators.iter().map(operator).collect();
    let frozen = FrozenSnapshot { buffer, operators };
    Ok(seal_snapshot(frozen, CheckpointId(0), None, SnapshotCompression::None)?.contents)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{state::ExtentKind, storage::decode_snapshot};

    /// A frozen table of so many bytes, in this memory.
    fn frozen(len: usize, recycled: Vec<u8>) -> FrozenSnapshot {
        let mut buffer = snapshot_buffer(recycled);
        let (position, bytes) = (buffer.len() as u64, vec![7; len]);
        buffer.extend_from_slice(&bytes);
        let (group, kind, checksum) = (KeyGroup(1), ExtentKind::Entries, hash_bytes(&bytes).0);
        let extents = vec![Extent { group, kind, entries: 100, position, len: len as u64, checksum }];
        let (name, type_name, scope) = ("s".into(), "t".into(), SnapshotScope::Incremental);
        let keyed = FrozenKeyedState { name, type_name, scope, extents, value_bytes: 0 };
        let operator = FrozenOperator { uid: "o".into(), key_groups: None, keyed: vec![keyed], lists: Vec::new() };
        FrozenSnapshot { buffer, operators: vec![operator] }
    }

    fn sealed(len: usize, recycled: Vec<u8>, compression: SnapshotCompression) -> SealedSnapshot {
        seal_snapshot(frozen(len, recycled), CheckpointId(7), Some(CheckpointId(6)), compression).unwrap()
    }

    fn entries_in(contents: &Bytes) -> Bytes {
        let (index, snapshot) = decode_snapshot(contents, Path::new("f")).unwrap();
        assert_eq!((index.checkpoint, index.builds_on), (CheckpointId(7), Some(CheckpointId(6))));
        snapshot.operators[0].keyed[0].groups[0].pieces[0].bytes.clone()
    }

    /// In memory that is used again; where that has to grow, the file is the same, but nobody promises where it lies.
    #[test]
    fn a_large_file_lies_and_ends_where_blocks_do() {
        let mut recycled = Vec::new();
        for (len, is_aligned) in
            [(3 * LARGE, false), (3 * LARGE, true), (LARGE, true), (9 * LARGE, false), (LARGE / 2, true)]
        {
            let SealedSnapshot { contents, memory } = sealed(len, recycled, SnapshotCompression::None);
            assert_eq!(entries_in(&contents), vec![7; len]);
            assert_eq!(contents.len() % DISK_BLOCK == 0, len >= LARGE, "{len}");
            assert!(!is_aligned || contents.as_ptr().addr().is_multiple_of(DISK_BLOCK), "{len}");
            drop(contents);
            assert!(memory.is_unique());
            recycled = memory.into();
        }
    }

    /// Of the zeros at its end, too.
    #[test]
    fn no_byte_of_a_large_file_is_of_no_account() {
        let contents = sealed(2 * LARGE, Vec::new(), SnapshotCompression::None).contents;
        for at in (0..contents.len()).rev().take(2 * DISK_BLOCK).step_by(37) {
            let mut damaged = contents.to_vec();
            damaged[at] ^= 1;
            assert!(decode_snapshot(&damaged.into(), Path::new("f")).is_err(), "{at}");
        }
    }

    #[test]
    fn where_it_lies_makes_no_difference_to_a_file() {
        for compression in [SnapshotCompression::None, SnapshotCompression::Lz4, SnapshotCompression::Zstd] {
            let [fresh, recycled] =
                [Vec::new(), Vec::with_capacity(4 * LARGE)].map(|m| sealed(2 * LARGE, m, compression));
            assert_eq!(fresh.contents, recycled.contents);
        }
    }

    #[test]
    fn a_compressed_snapshot_is_the_same() {
        for compression in [SnapshotCompression::Lz4, SnapshotCompression::Zstd] {
            let contents = sealed(800, Vec::new(), compression).contents;
            assert!(contents.len() < 400);
            assert_eq!(entries_in(&contents), vec![7; 800]);
        }
    }
}
