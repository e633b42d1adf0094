//! The format of a subtask's snapshot file.
//!
//! ```text
//! bytes    what
//! 8        "TIDESNAP"
//! 4        format version, little endian
//! any      SubtaskSnapshot in postcard's wire format (version 1)
//! 8        XXH3 (64 bits, no seed) of all bytes before, little endian
//! ```
//!
//! Every version, also a future one, begins with the first two and ends with the last, so that a file of another version
//! can be told from a damaged one.
//!
//! Deliberately absent: what the bytes of a key group mean (see `state`).

use std::path::Path;

use bytes::Bytes;

use crate::{
    error::{Error, Result},
    state::SubtaskSnapshot,
};

/// The version that this program writes, and the only one that it reads.
pub const FORMAT_VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"TIDESNAP";
const HEADER: usize = MAGIC.len() + 4;
const CHECKSUM: usize = 8;

/// The digest by which a `SnapshotHandle` knows its file: XXH3 (64 bits, no seed) of the whole file.
#[must_use]
pub fn digest(file: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(file)
}

/// The file that holds the snapshot. Equal snapshots give equal bytes.
///
/// # Errors
/// `UserCode` if the snapshot refuses to be encoded.
pub fn encode(snapshot: &SubtaskSnapshot) -> Result<Bytes> {
    let mut file = Vec::with_capacity(HEADER + upper_bound(snapshot) + CHECKSUM);
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    let refused = |e: postcard::Error| Error::user_code(format!("a snapshot cannot be encoded: {e}"));
    let mut file = postcard::to_extend(snapshot, file).map_err(refused)?;
    file.extend_from_slice(&digest(&file).to_le_bytes());
    Ok(Bytes::from(file))
}

/// The snapshot that a file holds. `path` is for messages.
///
/// # Errors
/// `Damaged` if the bytes are not exactly what `encode` gave; `BadInput` if they are whole, but of another format version.
pub fn decode(file: &[u8], path: &Path) -> Result<SubtaskSnapshot> {
    let damaged = |how: String| {
        let remedy = "restore another checkpoint with --restore PATH, or bring the file back from a copy";
        Error::damaged(format!("the snapshot file {} is damaged: {how}; {remedy}", path.display()))
    };
    if file.len() < HEADER + CHECKSUM {
        return Err(damaged(format!("it has {} bytes, fewer than any snapshot", file.len())));
    }
    let (content, checksum) = file.split_at(file.len() - CHECKSUM);
    if &content[..MAGIC.len()] != MAGIC {
        return Err(damaged("it does not begin as a snapshot does".to_owned()));
    }
    if digest(content).to_le_bytes() != checksum {
        return Err(damaged("its checksum does not match its contents".to_owned()));
    }
    let version = u32::from_le_bytes(content[MAGIC.len()..HEADER].try_into().expect("four bytes"));
    if version != FORMAT_VERSION {
        return Err(Error::bad_input(format!(
            "the snapshot file {} has format version {version}, but this program reads version {FORMAT_VERSION} only: \
             restore it with the release of Tidegate that wrote it",
            path.display()
        )));
    }
    let (snapshot, rest) = postcard::take_from_bytes(&content[HEADER..])
        .map_err(|e| damaged(format!("its checksum matches, but it holds no snapshot: {e}")))?;
    if !rest.is_empty() {
        return Err(damaged(format!("{} bytes follow the snapshot", rest.len())));
    }
    Ok(snapshot)
}

/// At least so many bytes as the snapshot encodes to, so that the buffer is allocated once: contents, and room for the
/// lengths and numbers around each.
fn upper_bound(snapshot: &SubtaskSnapshot) -> usize {
    const NUMBERS: usize = 32;
    let mut bytes = NUMBERS;
    for operator in &snapshot.operators {
        bytes += NUMBERS + operator.uid.len();
        for keyed in &operator.keyed {
            bytes += NUMBERS + keyed.name.len() + keyed.type_name.len();
            bytes += keyed.groups.iter().map(|g| NUMBERS + g.bytes.len()).sum::<usize>();
        }
        for list in &operator.lists {
            bytes += NUMBERS + list.name.len() + list.items.iter().map(|i| NUMBERS + i.len()).sum::<usize>();
        }
    }
    bytes
}
