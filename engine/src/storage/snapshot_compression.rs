//! Extents of snapshot files, made shorter.
//!
//! An extent is small, and what zstd needs to work on one is large: it serves all extents of a file, and then other files. What
//! comes out does not hang on what it did before.

use std::sync::LazyLock;

use bytes::Bytes;
use zstd::bulk;

use crate::{checkpoint::SnapshotCompression, recycler::Recycler};

/// Fast rather than small: the network and the disk wait for it.
const ZSTD_LEVEL: i32 = 1;

/// So many wait for the next file at most: as many as files are worked on at once, as a rule; some hundred KiB each.
const MOST_SPARE: usize = 8;

static COMPRESSORS: LazyLock<Recycler<bulk::Compressor<'static>>> = LazyLock::new(|| Recycler::new(MOST_SPARE));
static DECOMPRESSORS: LazyLock<Recycler<bulk::Decompressor<'static>>> = LazyLock::new(|| Recycler::new(MOST_SPARE));

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
                let make = || COMPRESSORS.take().unwrap_or_else(|| bulk::Compressor::new(ZSTD_LEVEL).expect(MEMORY));
                let zstd = self.zstd.get_or_insert_with(make);
                out.extend_from_slice(&zstd.compress(bytes).expect(MEMORY));
            }
        }
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        if let Some(zstd) = self.zstd.take() {
            COMPRESSORS.put(zstd);
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
            none => none.insert(DECOMPRESSORS.take().map_or_else(bulk::Decompressor::new, Ok)?),
        };
        zstd.decompress(stored, expected)
    }
}

impl Drop for Decompressor {
    fn drop(&mut self) {
        if let Some(zstd) = self.zstd.take() {
            DECOMPRESSORS.put(zstd);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_before_gives_the_same_bytes() {
        let extents: Vec<Vec<u8>> = (0..20_u8).map(|n| [n, n / 2].repeat(usize::from(n) * 100)).collect();
        let file = || {
            let mut compressor = Compressor::new(SnapshotCompression::Zstd);
            let mut compressed = |extent: &Vec<u8>| {
                let mut out = Vec::new();
                compressor.compress(extent, &mut out);
                Bytes::from(out)
            };
            extents.iter().map(&mut compressed).collect::<Vec<_>>()
        };
        let first = file();
        assert_eq!([file(), file()], [first.clone(), first.clone()]);
        for _ in 0..3 {
            let mut decompressor = Decompressor::new(SnapshotCompression::Zstd);
            assert!(decompressor.decompress(Bytes::from_static(b"no zstd"), 100).is_err());
            for (stored, extent) in first.iter().zip(&extents) {
                assert_eq!(decompressor.decompress(stored.clone(), extent.len() as u64).unwrap(), extent);
            }
        }
    }
}
