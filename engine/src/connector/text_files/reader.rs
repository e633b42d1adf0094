//! Reads the lines of splits, block by block.

use std::{io::BufRead, path::Path, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;

use super::{TextSplit, listing::unreadable};
use crate::{
    connector::SourceReader,
    env::{Disk, DiskFile, OpenMode},
    error::{Error, Result},
    operator::SourceStatus,
};

/// How many bytes are read at once: 256 KiB.
const BLOCK: usize = 256 << 10;

/// How many bytes a batch has at most, give or take a line: 1 MiB. Long lines must not make huge batches.
const BATCH_BYTES: u64 = 1 << 20;

/// How many bytes a line may have: 64 MiB. A file without line ends must not fill the memory.
const MAX_LINE: usize = 64 << 20;

/// Reads splits one after the other.
pub(super) struct TextReader {
    disk: Arc<dyn Disk>,
    splits: Vec<TextSplit>,
    /// The split being read.
    current: usize,
    cursor: Option<Cursor>,
    block_size: usize,
    max_line: usize,
}

/// A place in the file of the split being read.
struct Cursor {
    file: Box<dyn DiskFile>,
    /// Bytes read ahead, of which `at` are used.
    block: Bytes,
    at: usize,
    /// The file offset of the first byte that is not in `block`.
    next_block: u64,
    /// The bytes so far of the line at the split's position.
    line: Vec<u8>,
    /// What the bytes up to the next line end are.
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The end of a line that belongs to an earlier split. Begins one byte before the range, so that a line that starts
    /// with the range's first byte is found as well.
    Skip,
    /// The line end before the restored position: one byte, if the file is still what it was.
    Verify,
    /// A line.
    Line,
}

/// What [`TextReader::next`] came to.
enum Next {
    Line(String),
    /// More bytes are needed.
    Block,
    /// No more lines begin in the split.
    SplitEnd,
}

impl TextReader {
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, splits: Vec::new(), current: 0, cursor: None, block_size: BLOCK, max_line: MAX_LINE }
    }

    /// The next line, as far as bytes are at hand.
    fn next(&mut self) -> Result<Next> {
        let split = &mut self.splits[self.current];
        let cursor = self.cursor.as_mut().expect("a split is open");
        while !split.is_finished() {
            let rest = &cursor.block[cursor.at..];
            let at_file_end = rest.is_empty() && cursor.next_block >= split.file_len;
            if rest.is_empty() && !at_file_end {
                return Ok(Next::Block);
            }
            match cursor.phase {
                Phase::Skip => {
                    let line_end = rest.iter().position(|b| *b == b'\n');
                    cursor.at += line_end.map_or(rest.len(), |i| i + 1);
                    let reached = cursor.next_block - (cursor.block.len() - cursor.at) as u64;
                    if line_end.is_some() {
                        split.position = reached;
                        cursor.phase = Phase::Line;
                    } else if reached >= split.end {
                        // No line begins in the split: the one before it runs through.
                        split.position = split.end;
                    }
                }
                Phase::Verify => {
                    if rest.first() != Some(&b'\n') {
                        return Err(changed(split, "no line ends where the checkpoint says"));
                    }
                    cursor.at += 1;
                    cursor.phase = Phase::Line;
                }
                Phase::Line => {
                    let mut unread = rest;
                    let read = unread.read_until(b'\n', &mut cursor.line).expect("memory can be read");
                    cursor.at += read;
                    if cursor.line.len() > self.max_line {
                        return Err(too_long(split, self.max_line));
                    }
                    if cursor.line.ends_with(b"\n") || at_file_end {
                        return take_line(split, cursor).map(Next::Line);
                    }
                }
            }
        }
        Ok(Next::SplitEnd)
    }

    /// Opens the file of the current split.
    async fn open_split(&mut self) -> Result<()> {
        let split = &self.splits[self.current];
        let path = Path::new(&split.path);
        let file = self.disk.open(path, OpenMode::Read).await.map_err(|e| unreadable(path, &e))?;
        let phase = match split.position {
            0 => Phase::Line,
            p if p == split.start => Phase::Skip,
            _ => Phase::Verify,
        };
        let next_block = split.position.saturating_sub(1);
        self.cursor = Some(Cursor { file, block: Bytes::new(), at: 0, next_block, line: Vec::new(), phase });
        Ok(())
    }

    /// Reads on in the file.
    async fn read_block(&mut self) -> Result<()> {
        let split = &self.splits[self.current];
        let cursor = self.cursor.as_mut().expect("a split is open");
        let len = (split.file_len - cursor.next_block).min(self.block_size as u64) as usize;
        let path = Path::new(&split.path);
        let block = cursor.file.read_at(cursor.next_block, len).await.map_err(|e| unreadable(path, &e))?;
        if block.is_empty() {
            return Err(changed(split, &format!("it ends at byte {}", cursor.next_block)));
        }
        cursor.next_block += block.len() as u64;
        (cursor.block, cursor.at) = (block, 0);
        Ok(())
    }
}

/// The line that is complete in `cursor`, as `str::lines` would give it.
fn take_line(split: &mut TextSplit, cursor: &mut Cursor) -> Result<String> {
    let mut line = std::mem::take(&mut cursor.line);
    let len = line.len() as u64;
    if line.ends_with(b"\n") {
        line.pop();
        if line.ends_with(b"\r") {
            line.pop();
        }
    }
    let line = String::from_utf8(line).map_err(|e| {
        let offset = split.position + e.utf8_error().valid_up_to() as u64;
        Error::bad_input(format!(
            "the input {} is not UTF-8 at byte {offset}: overwrite that byte to go on, or convert the file, for example with \
             `iconv -t UTF-8`, and start afresh with new directories",
            split.path
        ))
    })?;
    split.position += len;
    Ok(line)
}

fn changed(split: &TextSplit, what: &str) -> Error {
    Error::bad_input(format!(
        "the input {} has changed since the job started, when it had {} bytes: {what}. Bring the old file back to go on, \
         or start afresh with new directories for checkpoints and output",
        split.path, split.file_len
    ))
}

fn too_long(split: &TextSplit, max: usize) -> Error {
    Error::bad_input(format!(
        "the input {} has a line of more than {max} bytes, which begins at byte {}: is it a text file?",
        split.path, split.position
    ))
}

#[async_trait]
impl SourceReader<String> for TextReader {
    async fn open(&mut self, splits: Vec<Vec<u8>>) -> Result<()> {
        self.splits = splits.iter().map(|bytes| TextSplit::decode(bytes)).collect::<Result<_>>()?;
        // Say at once what is wrong, not when the split's turn comes. A longer file is fine: the job's input is what there
        // was when it started, and appending does not change that. What has been read is not needed any more.
        for split in self.splits.iter().filter(|s| !s.is_finished()) {
            let path = Path::new(&split.path);
            let metadata = self.disk.metadata(path).await.map_err(|e| unreadable(path, &e))?;
            if metadata.len < split.file_len {
                return Err(changed(split, &format!("it has {} now", metadata.len)));
            }
        }
        Ok(())
    }

    async fn read(&mut self, batch: &mut Vec<String>, max: usize) -> Result<SourceStatus> {
        let mut bytes = 0;
        while batch.len() < max && bytes < BATCH_BYTES {
            let Some(split) = self.splits.get(self.current) else { return Ok(SourceStatus::EndOfInput) };
            if split.is_finished() {
                self.current += 1;
                self.cursor = None;
                continue;
            }
            if self.cursor.is_none() {
                self.open_split().await?;
            }
            match self.next()? {
                Next::Line(line) => {
                    bytes += line.len() as u64;
                    batch.push(line);
                }
                Next::Block => self.read_block().await?,
                Next::SplitEnd => {}
            }
        }
        if let (true, Some(cursor)) = (planted!(HalfDrainedBlockDropped), &mut self.cursor) {
            cursor.at = cursor.block.len(); // Feldera 6085f616d
            self.splits[self.current].position = cursor.next_block;
        }
        Ok(SourceStatus::More)
    }

    fn snapshot(&self) -> Vec<Vec<u8>> {
        self.splits.iter().map(TextSplit::encode).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        connector::{memory_disk::MemoryDisk, text_files::split::cut},
        error::ErrorKind,
        graph::local_executor::now,
    };

    fn reader(disk: &MemoryDisk, block_size: usize, splits: Vec<Vec<u8>>) -> Result<TextReader> {
        let mut reader = TextReader { block_size, max_line: 100, ..TextReader::new(Arc::new(disk.clone())) };
        now(reader.open(splits)).map(|()| reader)
    }

    fn read_all(reader: &mut TextReader, max: usize) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            let mut batch = Vec::new();
            let status = now(reader.read(&mut batch, max))?;
            assert!(batch.len() <= max);
            lines.extend(batch);
            if status == SourceStatus::EndOfInput {
                return Ok(lines);
            }
        }
    }

    fn splits(text: &[u8], size: u64) -> Vec<Vec<u8>> {
        cut("in/f", text.len() as u64, size, 1).iter().map(TextSplit::encode).collect()
    }

    proptest! {
        /// Against a plain reader: every line once and in order, for every cut into splits, blocks and batches.
        #[test]
        fn every_line_belongs_to_exactly_one_split(
            text in "[ab\u{e9}\r\n\n\n]{0,40}", size in 1u64..45, block_size in 1usize..20, max in 1usize..5,
        ) {
            let disk = MemoryDisk::with([("in/f", &text)]);
            let mut lines = Vec::new();
            for split in splits(text.as_bytes(), size) {
                lines.extend(read_all(&mut reader(&disk, block_size, vec![split]).unwrap(), max).unwrap());
            }
            prop_assert_eq!(lines, text.lines().map(str::to_owned).collect::<Vec<_>>());
        }

        /// A snapshot between any two reads leads to the lines that were not read, although the file has grown.
        #[test]
        fn reading_goes_on_where_the_snapshot_was_taken(
            text in "[ab\r\n\n]{0,40}", size in 1u64..45, block_size in 1usize..20, max in 1usize..5, reads in 0usize..30,
        ) {
            let disk = MemoryDisk::with([("in/f", &text)]);
            let mut first = reader(&disk, block_size, splits(text.as_bytes(), size)).unwrap();
            let mut lines = Vec::new();
            for _ in 0..reads {
                let mut batch = Vec::new();
                now(first.read(&mut batch, max)).unwrap();
                lines.extend(batch);
            }
            disk.put("in/f", format!("{text}more\nlines").as_bytes());
            lines.extend(read_all(&mut reader(&disk, 7, first.snapshot()).unwrap(), 3).unwrap());
            prop_assert_eq!(lines, text.lines().map(str::to_owned).collect::<Vec<_>>());
        }
    }

    #[test]
    fn finished_splits_stay_in_the_snapshot() {
        let disk = MemoryDisk::with([("in/f", "a\nb\nc\n")]);
        let mut reader = reader(&disk, 4, splits(b"a\nb\nc\n", 2)).unwrap();
        read_all(&mut reader, 2).unwrap();
        let positions: Vec<_> = reader.snapshot().iter().map(|b| TextSplit::decode(b).unwrap().position).collect();
        assert_eq!(positions, [2, 4, 6]);
    }

    #[test]
    fn a_batch_of_long_lines_is_cut_off() {
        let text = "x".repeat(99) + "\n";
        let text = text.repeat(2 * BATCH_BYTES as usize / 100);
        let disk = MemoryDisk::with([("in/f", &text)]);
        let mut batch = Vec::new();
        now(reader(&disk, BLOCK, splits(text.as_bytes(), 1 << 30)).unwrap().read(&mut batch, usize::MAX)).unwrap();
        assert!(batch.len() as u64 <= BATCH_BYTES / 99 + 1, "{} lines", batch.len());
    }

    fn refused(disk: &MemoryDisk, splits: Vec<Vec<u8>>) -> String {
        let error = reader(disk, 8, splits).and_then(|mut r| read_all(&mut r, 10)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadInput);
        error.to_string()
    }

    #[test]
    fn bad_input_is_refused_by_name() {
        let fresh = splits(b"one\ntwo\n", 100);
        let second_line = TextSplit { position: 4, ..TextSplit::decode(&fresh[0]).unwrap() }.encode();
        let disk = |text: &[u8]| MemoryDisk::with([("in/f", text)]);
        insta::assert_snapshot!(refused(&MemoryDisk::default(), fresh.clone()), @"the input in/f does not exist: bring it back, or name the right path");
        insta::assert_snapshot!(refused(&disk(b"one\n"), vec![second_line.clone()]), @"the input in/f has changed since the job started, when it had 8 bytes: it has 4 now. Bring the old file back to go on, or start afresh with new directories for checkpoints and output");
        insta::assert_snapshot!(refused(&disk(b"other\ntw"), vec![second_line]), @"the input in/f has changed since the job started, when it had 8 bytes: no line ends where the checkpoint says. Bring the old file back to go on, or start afresh with new directories for checkpoints and output");
        insta::assert_snapshot!(refused(&disk(b"one\nt\xffo\n"), fresh.clone()), @"the input in/f is not UTF-8 at byte 5: overwrite that byte to go on, or convert the file, for example with `iconv -t UTF-8`, and start afresh with new directories");
        insta::assert_snapshot!(refused(&disk(&[b'x'; 120]), splits(&[b'x'; 120], 200)), @"the input in/f has a line of more than 100 bytes, which begins at byte 0: is it a text file?");
    }

    /// The file shrinks between the check and the read.
    #[test]
    fn a_file_that_ends_early_is_refused() {
        let disk = MemoryDisk::with([("in/f", "one\ntwo\n")]);
        let mut reader = reader(&disk, 4, splits(b"one\ntwo\n", 100)).unwrap();
        disk.put("in/f", b"one\n");
        insta::assert_snapshot!(read_all(&mut reader, 10).unwrap_err(), @"the input in/f has changed since the job started, when it had 8 bytes: it ends at byte 4. Bring the old file back to go on, or start afresh with new directories for checkpoints and output");
    }
}
