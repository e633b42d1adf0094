//! The file that holds one subtask's snapshot.
//!
//! ```text
//!   "TGSNAPSH" | format version, u32 | extents | index | zeros | where the index begins, u64 | its length, u64 | checksum, u64
//! ```
//!
//! An extent holds entries of one key group, keys that were removed from it, or what has changed in it. The index, in postcard's wire
//! format, says which, and holds whatever is not keyed. Each extent has a checksum in the index, and the last one is that of header, index
//! and the two numbers: so a part of the file can be read and checked without the rest. Numbers are little-endian, checksums
//! XXH3. Extents may be compressed, each for itself. The zeros belong to the index, and make a large file as long as a multiple
//! of a disk's blocks.
//!
//! Here it is decoded; `snapshot_writer` makes it.

use std::{collections::BTreeMap, path::Path};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{snapshot_compression::Decompressor, snapshot_location::SnapshotLocation};
use crate::{
    checkpoint::SnapshotCompression,
    error::{Error, Result},
    id::CheckpointId,
    key_group::{KeyGroup, KeyGroupRange},
    state::{
        ExtentKind, KeyGroupEntries, KeyedStateSnapshot, ListStateSnapshot, OperatorSnapshot, Piece, SubtaskSnapshot,
    },
    stream::hash_bytes,
};

const MAGIC: [u8; 8] = *b"TGSNAPSH";
const VERSION: u32 = 4;
const HEADER_LEN: usize = MAGIC.len() + size_of::<u32>();

/// What a file begins with.
pub(super) fn header() -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header[..MAGIC.len()].copy_from_slice(&MAGIC);
    header[MAGIC.len()..].copy_from_slice(&VERSION.to_le_bytes());
    header
}

/// So many bytes at the end of the file say where the index is.
pub(super) const FOOTER_LEN: usize = 3 * size_of::<u64>();

/// What a snapshot file says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotIndex {
    /// The checkpoint for which it was written.
    pub checkpoint: CheckpointId,
    /// The checkpoint for which the snapshot was written that this one builds on.
    pub builds_on: Option<CheckpointId>,
    pub(super) compression: SnapshotCompression,
    pub(super) operators: Vec<StoredOperator>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredOperator {
    pub uid: String,
    pub key_groups: Option<KeyGroupRange>,
    pub keyed: Vec<StoredKeyedState>,
    pub lists: Vec<ListStateSnapshot>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredKeyedState {
    pub name: String,
    pub type_name: String,
    pub is_delta: bool,
    pub extents: Vec<StoredExtent>,
}

/// An extent, and where it is in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredExtent {
    pub group: KeyGroup,
    pub kind: ExtentKind,
    pub entries: u64,
    /// Its length before it was compressed.
    pub len: u64,
    pub position: u64,
    pub stored_len: u64,
    pub checksum: u64,
}

/// The checksum of the index and the two numbers after it. The header is part of it, because it tells what they mean.
pub(super) fn checksum_of_index(bytes: &[u8]) -> u64 {
    hash_bytes(bytes).0 ^ hash_bytes(&header()).0
}

/// What tells a snapshot file from all others: the checksum at its end, as it stands there. It is that of the index, which holds
/// the checksums of all else; so contents that can be decoded and have this digest are those that were sealed, and nobody needs
/// to go through them once more to know it. Zero for what is too short to end like one.
#[must_use]
pub fn snapshot_digest(contents: &[u8]) -> u64 {
    contents.last_chunk().map_or(0, |checksum| u64::from_le_bytes(*checksum))
}

/// What the contents of the file at `path` say of themselves, and hold.
///
/// # Errors
/// `BadInput` if the file was written by another version; `Damaged` if it is not whole.
pub fn decode_snapshot(bytes: &Bytes, path: &Path) -> Result<(SnapshotIndex, SubtaskSnapshot)> {
    decode_at(bytes, SnapshotLocation::File(path))
}

/// What the contents of a file say of themselves, and hold, wherever they stand.
pub(super) fn decode_at(bytes: &Bytes, location: SnapshotLocation<'_>) -> Result<(SnapshotIndex, SubtaskSnapshot)> {
    check_header(bytes, location)?;
    let footer = bytes.len().checked_sub(FOOTER_LEN).and_then(|at| bytes.get(at..));
    let footer = footer.ok_or_else(|| location.damaged("it is cut short"))?;
    let place = Place::read(footer.try_into().expect("as long as a footer"), bytes.len() as u64, location)?;
    let index = SnapshotIndex::decode(&bytes[place.position as usize..], location)?;
    let snapshot = index.snapshot(None, location, |position, len| {
        let end = position.checked_add(len)?;
        (end <= place.position).then(|| bytes.slice(position as usize..end as usize))
    })?;
    Ok((index, snapshot))
}

/// Whether the beginning of a file is that of a snapshot file of this version.
///
/// # Errors
/// `BadInput` if the file was written by another version; `Damaged` if it is none.
pub(super) fn check_header(bytes: &[u8], location: SnapshotLocation<'_>) -> Result<()> {
    let Some(rest) = bytes.strip_prefix(&MAGIC) else {
        let is_short = bytes.len() < HEADER_LEN;
        return Err(location.damaged(if is_short {
            "it is cut short"
        } else {
            "it does not begin like a snapshot file"
        }));
    };
    let Some(version) = rest.first_chunk() else { return Err(location.damaged("it is cut short")) };
    match u32::from_le_bytes(*version) {
        VERSION => Ok(()),
        version => Err(Error::bad_input(format!(
            "{location} has format version {version}, this build reads version {VERSION}: restore it with the build that \
             wrote it"
        ))),
    }
}

/// Where the index of a file is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub position: u64,
    pub len: u64,
}

impl Place {
    /// As the footer of a file of `file_len` bytes says.
    pub fn read(footer: &[u8; FOOTER_LEN], file_len: u64, location: SnapshotLocation<'_>) -> Result<Self> {
        let number = |i: usize| u64::from_le_bytes(*footer[8 * i..].first_chunk().expect("three numbers"));
        let (position, len) = (number(0), number(1));
        let end = position.checked_add(len).and_then(|end| end.checked_add(FOOTER_LEN as u64));
        if position < HEADER_LEN as u64 || end != Some(file_len) {
            return Err(location.damaged("it does not end like a snapshot file"));
        }
        Ok(Self { position, len })
    }
}

impl SnapshotIndex {
    /// The index in the end of a file, which begins where its footer says.
    pub(super) fn decode(end: &[u8], location: SnapshotLocation<'_>) -> Result<Self> {
        let (body, checksum) = end.split_last_chunk().ok_or_else(|| location.damaged("it is cut short"))?;
        if checksum_of_index(body) != u64::from_le_bytes(*checksum) {
            return Err(location.damaged("the checksum of its index does not match"));
        }
        match postcard::take_from_bytes(&body[..body.len() - 2 * size_of::<u64>()]) {
            Ok((index, rest)) if rest.iter().all(|byte| *byte == 0) => Ok(index),
            Ok((_, rest)) => Err(location.damaged(&format!("{} bytes follow the index", rest.len()))),
            Err(e) => Err(location.damaged(&e.to_string())),
        }
    }

    /// Where the extents of these key groups are: position and length. All extents without `groups`.
    pub(super) fn ranges(&self, groups: Option<KeyGroupRange>) -> Vec<(u64, u64)> {
        let states = self.operators.iter().flat_map(|o| &o.keyed);
        let wanted = states.flat_map(|k| &k.extents).filter(|e| groups.is_none_or(|owned| owned.contains(e.group)));
        wanted.map(|e| (e.position, e.stored_len)).collect()
    }

    /// What the file holds of these key groups, or of all, and all that is not keyed. `fetch` gives the bytes at a position of
    /// the file.
    pub(super) fn snapshot(
        &self,
        groups: Option<KeyGroupRange>,
        location: SnapshotLocation<'_>,
        mut fetch: impl FnMut(u64, u64) -> Option<Bytes>,
    ) -> Result<SubtaskSnapshot> {
        let mut decompressor = Decompressor::new(self.compression);
        let mut piece = |extent: &StoredExtent| {
            let group = extent.group.0;
            let stored = fetch(extent.position, extent.stored_len);
            let stored = stored.ok_or_else(|| location.damaged(&format!("key group {group} lies outside of it")))?;
            // CubeFS 993
            if hash_bytes(&stored).0 != extent.checksum && !planted!(ChecksumNotChecked) {
                return Err(location.damaged(&format!("the checksum of key group {group} does not match")));
            }
            let bytes = decompressor.decompress(stored, extent.len).map_err(|what| location.damaged(&what))?;
            Ok((extent.group, Piece { kind: extent.kind, entries: extent.entries, bytes }))
        };
        let mut keyed = |state: &StoredKeyedState| {
            let mut by_group = BTreeMap::<KeyGroup, Vec<Piece>>::new();
            for extent in state.extents.iter().filter(|e| groups.is_none_or(|owned| owned.contains(e.group))) {
                let (group, piece) = piece(extent)?;
                by_group.entry(group).or_default().push(piece);
            }
            let groups = by_group.into_iter().map(|(group, pieces)| KeyGroupEntries { group, pieces }).collect();
            let (name, type_name) = (state.name.clone(), state.type_name.clone());
            Ok(KeyedStateSnapshot { name, type_name, is_delta: state.is_delta, groups })
        };
        let mut operators = Vec::new();
        for operator in &self.operators {
            operators.push(OperatorSnapshot {
                uid: operator.uid.clone(),
                key_groups: operator.key_groups,
                keyed: operator.keyed.iter().map(&mut keyed).collect::<Result<_>>()?,
                lists: operator.lists.clone(),
            });
        }
        Ok(SubtaskSnapshot { operators })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::storage::encode_snapshot;

    fn sample() -> SubtaskSnapshot {
        let group = KeyGroupEntries::new(KeyGroup(3), 1, &[1, 97, 5]);
        let sum = KeyedStateSnapshot {
            name: "sum".into(),
            type_name: "(String, u64)".into(),
            is_delta: false,
            groups: vec![group, KeyGroupEntries::new(KeyGroup(5), 2, &[9; 100])],
        };
        let splits = ListStateSnapshot { name: "splits".into(), items: vec![vec![7, 8]] };
        let key_groups = Some(KeyGroupRange { start: 0, end: 64 });
        let count = OperatorSnapshot { uid: "count".into(), key_groups, keyed: vec![sum], lists: vec![splits] };
        SubtaskSnapshot { operators: vec![count] }
    }

    fn decode(bytes: Vec<u8>) -> Result<SubtaskSnapshot> {
        decode_snapshot(&bytes.into(), Path::new("f")).map(|(_, snapshot)| snapshot)
    }

    #[test]
    fn the_bytes_of_a_snapshot_are_a_promise() {
        let bytes = encode_snapshot(&sample()).unwrap();
        let hex: Vec<String> = bytes.chunks(16).map(|c| c.iter().map(|b| format!("{b:02x}")).collect()).collect();
        insta::assert_snapshot!(hex.join("\n"));
    }

    #[test]
    fn another_version_is_named() {
        let mut bytes = encode_snapshot(&sample()).unwrap().to_vec();
        // Another version may have another checksum, too.
        bytes[8] = 1;
        let error = decode(bytes).unwrap_err();
        insta::assert_snapshot!(error, @"snapshot file f has format version 1, this build reads version 4: restore it with the build that wrote it");
    }

    #[test]
    fn no_part_of_a_snapshot_passes_for_the_whole() {
        let bytes = encode_snapshot(&sample()).unwrap();
        assert_eq!(decode(bytes.to_vec()).unwrap(), sample());
        for len in 0..bytes.len() {
            assert!(decode(bytes[..len].to_vec()).is_err(), "the first {len} bytes");
        }
    }

    proptest! {
        #[test]
        fn a_flipped_bit_is_noticed(at: prop::sample::Index, bit in 0u8..8) {
            let mut bytes = encode_snapshot(&sample()).unwrap().to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(decode(bytes).is_err());
        }

        /// What one key group holds is found, and checked, without the rest.
        #[test]
        fn a_part_is_read_for_itself(group in 0u32..8) {
            let bytes = encode_snapshot(&sample()).unwrap();
            let (index, _) = decode_snapshot(&bytes, Path::new("f")).unwrap();
            let only = Some(KeyGroupRange { start: group, end: group + 1 });
            let ranges = index.ranges(only);
            let part = index.snapshot(only, SnapshotLocation::File(Path::new("f")), |position, len| {
                assert!(ranges.contains(&(position, len)));
                Some(bytes.slice(position as usize..(position + len) as usize))
            });
            let mut expected = sample();
            expected.operators[0].keyed[0].groups.retain(|g| g.group.0 == group);
            prop_assert_eq!(part.unwrap(), expected);
        }
    }
}
