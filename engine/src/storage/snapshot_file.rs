//! The file that holds one subtask's snapshot.
//!
//! ```text
//!   "TGSNAPSH" | format version, u32 | the snapshot in postcard's wire format | XXH3 of all before, u64
//! ```
//!
//! Numbers are little-endian.

use std::path::Path;

use bytes::Bytes;

use crate::{
    error::{Error, Result},
    state::SubtaskSnapshot,
    stream::hash_bytes,
};

const MAGIC: [u8; 8] = *b"TGSNAPSH";
const VERSION: u32 = 1;
const HEADER_LEN: usize = MAGIC.len() + size_of::<u32>();
const CHECKSUM_LEN: usize = size_of::<u64>();

/// The file's contents.
///
/// # Errors
/// `UserCode` if the snapshot refuses to be encoded.
pub fn encode_snapshot(snapshot: &SubtaskSnapshot) -> Result<Bytes> {
    let groups = snapshot.operators.iter().flat_map(|o| &o.keyed).flat_map(|k| &k.groups);
    let room: usize = groups.map(|g| g.bytes.len() + 16).sum();
    let mut bytes = Vec::with_capacity(room + 1024);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    let refused = |e: postcard::Error| Error::user_code(format!("the snapshot cannot be encoded: {e}"));
    let mut bytes = postcard::to_extend(snapshot, bytes).map_err(refused)?;
    let checksum = hash_bytes(&bytes).0;
    bytes.extend_from_slice(&checksum.to_le_bytes());
    Ok(bytes.into())
}

/// The snapshot in the contents of the file at `path`.
///
/// # Errors
/// `BadInput` if the file was written by another version; `Damaged` if it is not whole.
pub fn decode_snapshot(bytes: &[u8], path: &Path) -> Result<SubtaskSnapshot> {
    let damaged = |what: &str| Err(damaged(path, what));
    if bytes.len() < HEADER_LEN + CHECKSUM_LEN {
        return damaged("it is cut short");
    }
    let Some(rest) = bytes.strip_prefix(&MAGIC) else { return damaged("it does not begin like a snapshot file") };
    let version = u32::from_le_bytes(rest[..4].try_into().expect("four bytes"));
    if version != VERSION {
        return Err(Error::bad_input(format!(
            "snapshot file {} has format version {version}, this build reads version {VERSION}: restore it with the build \
             that wrote it",
            path.display()
        )));
    }
    let (body, checksum) = bytes.split_at(bytes.len() - CHECKSUM_LEN);
    if hash_bytes(body).0.to_le_bytes() != checksum {
        return damaged("its checksum does not match");
    }
    match postcard::take_from_bytes(&body[HEADER_LEN..]) {
        Ok((snapshot, [])) => Ok(snapshot),
        Ok((_, rest)) => damaged(&format!("{} bytes follow the snapshot", rest.len())),
        Err(e) => damaged(&e.to_string()),
    }
}

/// What is wrong with the snapshot file at `path`, and what to do.
pub(super) fn damaged(path: &Path, what: &str) -> Error {
    Error::damaged(format!(
        "snapshot file {} is damaged: {what}; bring it back from a copy, restore another checkpoint by its path, or start \
         afresh with new directories",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        key_group::{KeyGroup, KeyGroupRange},
        state::{KeyGroupEntries, KeyedStateSnapshot, ListStateSnapshot, OperatorSnapshot},
    };

    fn sample() -> SubtaskSnapshot {
        let group = KeyGroupEntries { group: KeyGroup(3), entries: 1, bytes: vec![1, 97, 5] };
        let sum = KeyedStateSnapshot { name: "sum".into(), type_name: "(String, u64)".into(), groups: vec![group] };
        let splits = ListStateSnapshot { name: "splits".into(), items: vec![vec![7, 8]] };
        let key_groups = Some(KeyGroupRange { start: 0, end: 64 });
        SubtaskSnapshot {
            operators: vec![OperatorSnapshot {
                uid: "count".into(),
                key_groups,
                keyed: vec![sum],
                lists: vec![splits],
            }],
        }
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
        bytes[8] = 2;
        let error = decode_snapshot(&bytes, Path::new("f")).unwrap_err();
        insta::assert_snapshot!(error, @"snapshot file f has format version 2, this build reads version 1: restore it with the build that wrote it");
    }

    #[test]
    fn no_part_of_a_snapshot_passes_for_the_whole() {
        let bytes = encode_snapshot(&sample()).unwrap();
        assert_eq!(decode_snapshot(&bytes, Path::new("f")).unwrap(), sample());
        for len in 0..bytes.len() {
            assert!(decode_snapshot(&bytes[..len], Path::new("f")).is_err(), "the first {len} bytes");
        }
    }

    proptest! {
        #[test]
        fn a_flipped_bit_is_noticed(at: prop::sample::Index, bit in 0u8..8) {
            let mut bytes = encode_snapshot(&sample()).unwrap().to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(decode_snapshot(&bytes, Path::new("f")).is_err());
        }
    }
}
