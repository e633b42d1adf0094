//! Extents of snapshot files, made shorter.
//!
//! An extent is small, and what zstd needs to work on one is large: it is made once for all extents of a file, when the first
//! comes.

use bytes::Bytes;
use zstd::bulk;

use crate::checkpoint::SnapshotCompression;

/// Fast rather than small: the network and the disk wait for it.
const ZSTD_LEVEL: i32 = 1;

/// Makes the extents of one file shorter.
pub(super) struct Compressor {
    compression: SnapshotCompression,
    zstd: Option<bulk::Compressor<'static>>,
}

impl Compressor {
    pub fn new(compression: SnapshotCompression) -> Self {
        Self { compression, zstd: None }
    }

    /// Appends the bytes, compressed.
    pub fn compress(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        const MEMORY: &str = "memory is all that compressing needs";
        match self.compression {
            SnapshotCompression::None => out.extend_from_slice(bytes),
            SnapshotCompression::Lz4 => out.extend_from_slice(&lz4_flex::block::compress(bytes)),
            SnapshotCompression::Zstd => {
                let zstd = self.zstd.get_or_insert_with(|| bulk::Compressor::new(ZSTD_LEVEL).expect(MEMORY));
                out.extend_from_slice(&zstd.compress(bytes).expect(MEMORY));
            }
        }
    }
}

/// Gives the extents of one file back.
pub(super) struct Decompressor {
    compression: SnapshotCompression,
    zstd: Option<bulk::Decompressor<'static>>,
}

impl Decompressor {
    pub fn new(compression: SnapshotCompression) -> Self {
        Self { compression, zstd: None }
    }

    /// The bytes again, of which there were `len`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn decompress(&mut self, stored: Bytes, len: u64) -> Result<Bytes, String> {
        let expected = usize::try_from(len).map_err(|_| format!("it says that {len} bytes belong together"))?;
        let bytes = match self.compression {
            SnapshotCompression::None => stored,
            SnapshotCompression::Lz4 => {
                lz4_flex::block::decompress(&stored, expected).map_err(|e| e.to_string())?.into()
            }
            SnapshotCompression::Zstd => self.zstd(&stored, expected).map_err(|e| e.to_string())?.into(),
        };
        if bytes.len() == expected { Ok(bytes) } else { Err(format!("{} bytes came of {expected}", bytes.len())) }
    }

    fn zstd(&mut self, stored: &[u8], expected: usize) -> std::io::Result<Vec<u8>> {
        let zstd = match &mut self.zstd {
            Some(made) => made,
            none => none.insert(bulk::Decompressor::new()?),
        };
        zstd.decompress(stored, expected)
    }
}
