//! What stands in a slot: a header of one line that says what it is and vouches for all, then the manifest as JSON, for people
//! too.
//!
//! ```text
//!   0     tidegate-manifest 4 checkpoint=7 oldest=6 bytes=1234 body=xxh3:… header=xxh3:…
//!   4096  {"job": …                          the body, so many bytes; what is behind it counts for nothing
//! ```
//!
//! The header is written by itself, after the body is durable, into the file's first sector: so it is the old one or the new one,
//! whatever happens ([`Disk`](crate::env::Disk), promise 8), and one that is neither is damage. The body begins a block of its own
//! because a device that cannot write less than a block must not touch it.

use std::path::Path;

use bytes::{Bytes, BytesMut};

use crate::{
    checkpoint::Manifest,
    env::{DISK_BLOCK, DISK_SECTOR},
    error::{Error, Result},
    id::CheckpointId,
    stream::hash_bytes,
};

const NAME: &str = "tidegate-manifest";
const VERSION: &str = "4";

/// Where the body begins.
pub(super) const BODY: usize = DISK_BLOCK;

/// What a slot says of the manifest that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManifestHeader {
    /// Whose manifest it is.
    pub checkpoint: CheckpointId,
    /// See [`Manifest::oldest`].
    pub oldest: CheckpointId,
    /// The length of the body in bytes.
    pub bytes: u64,
    /// The body's checksum.
    body: u64,
}

impl ManifestHeader {
    /// The first sector of the file.
    pub(super) fn encode(&self) -> Bytes {
        let Self { checkpoint, oldest, bytes, body } = self;
        let said =
            format!("{NAME} {VERSION} checkpoint={checkpoint} oldest={oldest} bytes={bytes} body=xxh3:{body:016x}");
        let mut line = format!("{said} header={}", checksum(&said));
        assert!(line.len() < DISK_SECTOR, "it is written in one piece");
        line.extend(std::iter::repeat_n(' ', DISK_SECTOR - 1 - line.len()));
        line.push('\n');
        line.into()
    }
}

fn checksum(text: &str) -> String {
    format!("xxh3:{:016x}", hash_bytes(text.as_bytes()).0)
}

/// The header and the body of a manifest's file.
pub(super) fn encode_parts(manifest: &Manifest) -> (ManifestHeader, Bytes) {
    let body = Bytes::from(serde_json::to_string_pretty(manifest).expect("a manifest is plain data") + "\n");
    let Manifest { checkpoint, oldest, .. } = *manifest;
    (ManifestHeader { checkpoint, oldest, bytes: body.len() as u64, body: hash_bytes(&body).0 }, body)
}

/// The contents of a new file, from its parts.
pub(super) fn join_parts(header: &ManifestHeader, body: &[u8]) -> Bytes {
    let mut contents = BytesMut::with_capacity(BODY + body.len());
    contents.extend_from_slice(&header.encode());
    contents.resize(BODY, b'\n');
    contents.extend_from_slice(body);
    contents.freeze()
}

/// The contents of a file that holds this manifest.
#[must_use]
pub fn encode_manifest(manifest: &Manifest) -> Vec<u8> {
    let (header, body) = encode_parts(manifest);
    join_parts(&header, &body).into()
}

fn damaged(path: &Path, what: &str) -> Error {
    Error::damaged(format!(
        "manifest {} is damaged: {what}; it is not skipped, because output that its checkpoint has made visible would be \
         made again: bring it back from a copy, or restore another checkpoint by its path",
        path.display()
    ))
}

/// The header at the beginning of the file at `path`.
///
/// # Errors
/// `BadInput` if the file was written by another version; `Damaged` if the header is not whole.
pub fn decode_header(bytes: &[u8], path: &Path) -> Result<ManifestHeader> {
    let damaged = |what: &str| Err(damaged(path, what));
    let sector = bytes.get(..DISK_SECTOR).unwrap_or(bytes);
    // Padded to the end of the sector. Taken as bytes: simulated runs read a header at every turn.
    let line = sector.strip_suffix(b"\n").unwrap_or(sector);
    let end = line.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
    let Some((said, own)) = str::from_utf8(&line[..end]).ok().and_then(|line| line.rsplit_once(" header=")) else {
        return damaged("it does not begin like a manifest");
    };
    if sector.len() < DISK_SECTOR || own != checksum(said) {
        return damaged("its header is not what was written");
    }
    let mut fields = said.split(' ');
    let (name, version) = (fields.next(), fields.next());
    if name != Some(NAME) {
        return damaged("it does not begin like a manifest");
    }
    if version != Some(VERSION) {
        return Err(Error::bad_input(format!(
            "manifest {} has format version {}, this build reads version {VERSION}: restore it with the build that wrote it",
            path.display(),
            version.unwrap_or_default()
        )));
    }
    let mut number = |name: &str| fields.next()?.strip_prefix(name)?.parse().ok();
    let numbers = (number("checkpoint="), number("oldest="), number("bytes="));
    let body = fields.next().and_then(|f| u64::from_str_radix(f.strip_prefix("body=xxh3:")?, 16).ok());
    match (numbers, body) {
        ((Some(checkpoint), Some(oldest), Some(bytes)), Some(body)) => {
            Ok(ManifestHeader { checkpoint: CheckpointId(checkpoint), oldest: CheckpointId(oldest), bytes, body })
        }
        _ => damaged("its header says nothing that is known"),
    }
}

/// The manifest in the contents of the file at `path`.
///
/// # Errors
/// `BadInput` if the file was written by another version; `Damaged` if it is not whole.
pub fn decode_manifest(bytes: &[u8], path: &Path) -> Result<Manifest> {
    let header = decode_header(bytes, path)?;
    let damaged = |what: &str| Err(damaged(path, what));
    let body = usize::try_from(header.bytes).ok().and_then(|len| bytes.get(BODY..)?.get(..len));
    let Some(body) = body else { return damaged("it is cut short") };
    if hash_bytes(body).0 != header.body {
        return damaged("its checksum does not match");
    }
    match serde_json::from_slice::<Manifest>(body) {
        Ok(manifest) if (manifest.checkpoint, manifest.oldest) == (header.checkpoint, header.oldest) => Ok(manifest),
        Ok(_) => damaged("its header is that of another checkpoint"),
        Err(e) => damaged(&e.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        checkpoint::{InlineSnapshot, SnapshotFile, SnapshotHandle, VertexManifest},
        id::AttemptId,
        metrics::{CheckpointMetrics, SubtaskCheckpointMetrics},
    };

    fn sample() -> Manifest {
        let file = |name: &str, written_for, len, digest| SnapshotFile {
            name: name.into(),
            written_for: CheckpointId(written_for),
            len,
            digest,
        };
        let files = vec![file("count-0-1.2-0.state", 6, 81, 5), file("count-0-1.2-1.state", 7, 12, 6)];
        let inline = InlineSnapshot { contents: Bytes::from_static(b"what was frozen"), digest: 7 };
        let snapshots = vec![SnapshotHandle::Files(files), SnapshotHandle::Inline(inline)];
        let mut metrics = CheckpointMetrics::default();
        metrics.add(&SubtaskCheckpointMetrics {
            alignment_us: 310,
            synchronous_us: 95,
            asynchronous_us: 720,
            bytes_written: 81,
            state_bytes: 640,
            is_incremental: true,
            overtaken: 0,
            held_back: 12,
        });
        let operators = vec!["count".into()];
        let vertex = VertexManifest { name: "count".into(), operators, snapshots, metrics };
        Manifest {
            job: "WordCount".into(),
            checkpoint: CheckpointId(7),
            oldest: CheckpointId(6),
            attempt: AttemptId { term: 1, number: 2 },
            is_final: false,
            max_parallelism: 128,
            vertices: vec![vertex],
            completed_at_ms: 1_700_000_000_000,
            duration_us: 1234,
        }
    }

    #[test]
    fn the_text_of_a_manifest_is_a_promise() {
        let text = String::from_utf8(encode_manifest(&sample())).unwrap();
        assert!(text[DISK_SECTOR..BODY].bytes().all(|b| b == b'\n'));
        insta::assert_snapshot!(text[..DISK_SECTOR].trim_end().to_owned() + "\n" + &text[BODY..]);
    }

    #[test]
    fn no_part_of_a_manifest_passes_for_the_whole() {
        let bytes = encode_manifest(&sample());
        assert_eq!(decode_manifest(&bytes, Path::new("m")).unwrap(), sample());
        for len in 0..bytes.len() {
            assert!(decode_manifest(&bytes[..len], Path::new("m")).is_err(), "the first {len} bytes");
        }
    }

    proptest! {
        #[test]
        fn a_flipped_bit_is_noticed(at: prop::sample::Index, bit in 0u8..8) {
            let mut bytes = encode_manifest(&sample());
            // What lies between header and body counts for nothing.
            let at = at.index(DISK_SECTOR + bytes.len() - BODY);
            let at = if at < DISK_SECTOR { at } else { at - DISK_SECTOR + BODY };
            bytes[at] ^= 1 << bit;
            prop_assert!(decode_manifest(&bytes, Path::new("m")).is_err());
        }
    }
}
