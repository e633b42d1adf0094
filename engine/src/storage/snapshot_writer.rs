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
        SubtaskSnapshot,
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
        recycled.resize(recycled.as_ptr().align_offset(DISK_BLOCK), 0);
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
        let FrozenKeyedState { name, type_name, is_delta, extents } = state;
        StoredKeyedState { name, type_name, is_delta, extents: extents.into_iter().map(&mut store).collect() }
    };
    let store_operator = |operator: FrozenOperator| {
        let FrozenOperator { uid, key_groups, keyed, lists } = operator;
        StoredOperator { uid, key_groups, keyed: keyed.into_iter().map(&mut store_state).collect(), lists }
    };
    let operators = operators.into_iter().map(store_operator).collect();
    let index = SnapshotIndex { checkpoint, builds_on, compression, operators };
    let index = postcard::to_stdvec(&index);
    let index = index.map_err(|e| Error::user_code(format!("the snapshot cannot be encoded: {e}")))?;
    if buffer.len() - start >= LARGE {
        let len = buffer.len() - start + index.len() + FOOTER_LEN;
        buffer.resize(buffer.len() + len.next_multiple_of(DISK_BLOCK) - len, 0);
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
        is_delta: s.is_delta,
        extents: extents(s),
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

    #[test]
    fn a_compressed_snapshot_is_the_same() {
        for compression in [SnapshotCompression::Lz4, SnapshotCompression::Zstd] {
            let bytes = b"entries ".repeat(100);
            let mut buffer = snapshot_buffer(Vec::new());
            let position = buffer.len() as u64;
            buffer.extend_from_slice(&bytes);
            let extents = vec![Extent {
                group: KeyGroup(1),
                kind: ExtentKind::Entries,
                entries: 100,
                position,
                len: bytes.len() as u64,
                checksum: hash_bytes(&bytes).0,
            }];
            let keyed = FrozenKeyedState { name: "s".into(), type_name: "t".into(), is_delta: true, extents };
            let operator = FrozenOperator { uid: "o".into(), key_groups: None, keyed: vec![keyed], lists: Vec::new() };
            let frozen = FrozenSnapshot { buffer, operators: vec![operator] };
            let sealed = seal_snapshot(frozen, CheckpointId(7), Some(CheckpointId(6)), compression).unwrap().contents;
            assert!(sealed.len() < bytes.len() / 2);
            let (index, snapshot) = decode_snapshot(&sealed, Path::new("f")).unwrap();
            assert_eq!((index.checkpoint, index.builds_on), (CheckpointId(7), Some(CheckpointId(6))));
            assert_eq!(snapshot.operators[0].keyed[0].groups[0].pieces[0].bytes, bytes);
        }
    }
}
