//! Large writes past the page cache.
//!
//! A snapshot is written, synced, and as a rule never read. To put it into the page cache first costs a copy and then some work
//! for each page; so a disk that can shall fetch it by itself. What cannot go that way, because of where it lies or where it
//! goes, because it is small, or because the file system has no such way, goes through the page cache. Whoever reads it sees
//! no difference.

use std::{fs::File, io, os::unix::fs::FileExt};

use crate::env::DISK_BLOCK;

/// Fewer bytes are copied sooner than a disk answers.
const LARGE: usize = 1 << 18;

/// Writes all bytes at `offset`.
///
/// # Errors
/// Those of the disk; any part may then have been written.
pub(super) fn write_all_at(file: &File, data: &[u8], offset: u64) -> io::Result<()> {
    let can_be_fetched = data.as_ptr().addr().is_multiple_of(DISK_BLOCK) && offset.is_multiple_of(DISK_BLOCK as u64);
    let len = if can_be_fetched && data.len() >= LARGE { data.len() / DISK_BLOCK * DISK_BLOCK } else { 0 };
    let (blocks, rest) = data.split_at(len);
    if !is_fetched(file, blocks, offset)? {
        file.write_all_at(blocks, offset)?;
    }
    file.write_all_at(rest, offset + len as u64)
}

/// Lets the disk fetch these blocks. `false` if it does not: then they are still to be written.
#[cfg(target_os = "linux")]
fn is_fetched(file: &File, blocks: &[u8], offset: u64) -> io::Result<bool> {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

    if blocks.is_empty() {
        return Ok(true);
    }
    let flags = fcntl_getfl(file)?;
    if fcntl_setfl(file, flags | OFlags::DIRECT).is_err() {
        return Ok(false);
    }
    let written = file.write_all_at(blocks, offset);
    fcntl_setfl(file, flags)?;
    match written {
        Err(e) if e.kind() == io::ErrorKind::InvalidInput => Ok(false),
        written => written.map(|()| true),
    }
}

#[cfg(not(target_os = "linux"))]
fn is_fetched(_: &File, blocks: &[u8], _: u64) -> io::Result<bool> {
    Ok(blocks.is_empty())
}
