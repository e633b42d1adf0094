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
            "the input {} is not UTF-8 at byte {offset}: convert it, for example with `iconv -t UTF-8`",
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
        Ok(SourceStatus::More)
    }

    fn snapshot(&self) -> Vec<Vec<u8>> {
        self.splits.iter().map(TextSplit::encode).collect()
    }
}
