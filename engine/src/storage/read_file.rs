//! Reading a whole file.

use std::{io, path::Path};

use crate::env::{Disk, OpenMode};

/// The most that is asked of the disk at once.
const PIECE: usize = 1 << 20;

/// All bytes of a file.
pub(super) async fn read_file(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let mut file = disk.open(path, OpenMode::Read).await?;
    let expected = file.length().await?;
    let mut bytes = Vec::with_capacity(usize::try_from(expected).map_err(io::Error::other)?);
    loop {
        // One byte more than what should be left, so that a small file needs one read to see its end.
        let left = (expected as usize).saturating_sub(bytes.len()) + 1;
        let asked = left.min(PIECE);
        let piece = file.read_at(bytes.len() as u64, asked).await?;
        bytes.extend_from_slice(&piece);
        if piece.len() < asked {
            return Ok(bytes);
        }
    }
}
