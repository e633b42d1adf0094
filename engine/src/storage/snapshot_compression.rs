//! Extents of snapshot files, made shorter.

use bytes::Bytes;

use crate::checkpoint::SnapshotCompression;

/// Fast rather than small: the network and the disk wait for it.
const ZSTD_LEVEL: i32 = 1;

/// Appends the bytes, compressed.
pub(super) fn compress(compression: SnapshotCompression, bytes: &[u8], out: &mut Vec<u8>) {
    match compression {
        SnapshotCompression::None => out.extend_from_slice(bytes),
        SnapshotCompression::Lz4 => out.extend_from_slice(&lz4_flex::block::compress(bytes)),
        SnapshotCompression::Zstd => {
            let compressed = zstd::bulk::compress(bytes, ZSTD_LEVEL);
            out.extend_from_slice(&compressed.expect("memory is all that compressing needs"));
        }
    }
}

/// The bytes again, of which there were `len`.
///
/// # Errors
/// What is wrong with them.
pub(super) fn decompress(compression: SnapshotCompression, stored: Bytes, len: u64) -> Result<Bytes, String> {
    let expected = usize::try_from(len).map_err(|_| format!("it says that {len} bytes belong together"))?;
    let bytes = match compression {
        SnapshotCompression::None => stored,
        SnapshotCompression::Lz4 => lz4_flex::block::decompress(&stored, expected).map_err(|e| e.to_string())?.into(),
        SnapshotCompression::Zstd => zstd::bulk::decompress(&stored, expected).map_err(|e| e.to_string())?.into(),
    };
    if bytes.len() == expected { Ok(bytes) } else { Err(format!("{} bytes came of {expected}", bytes.len())) }
}
