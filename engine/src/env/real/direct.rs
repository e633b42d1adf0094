//! Large writes past the page cache.
//!
//! A snapshot is written, synced, and as a rule never read. To put it into the page cache first costs a copy and then some work
//! for each page; so a disk that can shall fetch it by itself. What cannot go that way, because of where it lies or where it
//! goes, because it is small, or because the file system has no such way, goes through the page cache. Whoever reads it sees
//! no difference, but that it comes from the disk.

use std::{fs::File, io, os::unix::fs::FileExt};

use crate::env::DISK_BLOCK;

/// Fewer bytes go through the page cache: a restore may read many of such files, and finds them there.
const LARGE: usize = 1 << 21;

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

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// Over and beside what is in the page cache, from memory that can be fetched and from such that cannot.
    #[test]
    fn a_file_holds_what_was_written_whichever_way_it_went() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("file");
        let file = File::options().read(true).write(true).create_new(true).open(&path).expect("a new file");
        let memory: Vec<u8> = (0..2 * LARGE).map(|i| (i * i / 257) as u8).collect();
        let aligned = memory.as_ptr().addr().wrapping_neg() % DISK_BLOCK;
        let mut expected = Vec::new();
        for (start, len, offset) in [
            (aligned, LARGE, 0),
            (aligned + 7, 100, 5000),
            (aligned + DISK_BLOCK, LARGE + 1234, 0),
            (aligned, LARGE - 1, 3),
            (aligned, LARGE + DISK_BLOCK, 16 * DISK_BLOCK),
            (aligned + 1, LARGE, DISK_BLOCK),
            (aligned, LARGE + 1, 2 * LARGE),
            (aligned, 0, 0),
        ] {
            let data = &memory[start..start + len];
            write_all_at(&file, data, offset as u64).expect("the disk has room");
            expected.resize(expected.len().max(offset + len), 0);
            expected[offset..offset + len].copy_from_slice(data);
            let mut found = Vec::new();
            File::open(&path).and_then(|mut file| file.read_to_end(&mut found)).expect("it is there");
            assert!(found == expected, "{len} bytes at {offset}");
        }
    }

    /// From memory that no disk takes, unless its file system copies after all: it is no error, and the file is as it was.
    #[cfg(target_os = "linux")]
    #[test]
    fn what_the_disk_does_not_fetch_is_still_to_be_written() {
        use rustix::fs::{OFlags, fcntl_getfl};

        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = File::create_new(directory.path().join("file")).expect("a new file");
        let memory = vec![7; 3 * DISK_BLOCK];
        let aligned = memory.as_ptr().addr().wrapping_neg() % DISK_BLOCK;
        let fetched = is_fetched(&file, &memory[aligned + 1..][..DISK_BLOCK], 0).expect("the disk has room");
        let len = file.metadata().expect("it is open").len();
        assert_eq!(len, if fetched { DISK_BLOCK as u64 } else { 0 });
        assert!(!fcntl_getfl(&file).expect("it is open").contains(OFlags::DIRECT), "later writes would fail");
    }

    #[test]
    fn what_cannot_be_written_to_is_told() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("file");
        std::fs::write(&path, "").expect("the disk has room");
        let file = File::open(&path).expect("it is there");
        let data = vec![0; 2 * LARGE];
        let aligned = data.as_ptr().addr().wrapping_neg() % DISK_BLOCK;
        write_all_at(&file, &data[aligned..], 0).expect_err("it was opened for reading");
    }
}
