//! The manifest's file: one line that says what it is and vouches for the rest, then the manifest as JSON, for people too.

use std::{io::ErrorKind, path::Path};

use super::{
    atomic_file::{parent, read_file},
    layout::parse_manifest_file,
};
use crate::{
    checkpoint::Manifest,
    env::{Disk, EntryKind},
    error::{Context, Error, Result},
    stream::hash_bytes,
};

const NAME: &str = "tidegate-manifest";
const VERSION: &str = "3";

/// The file's contents.
#[must_use]
pub fn encode_manifest(manifest: &Manifest) -> Vec<u8> {
    let json = serde_json::to_string_pretty(manifest).expect("a manifest is plain data") + "\n";
    format!("{NAME} {VERSION} {}\n{json}", checksum(json.as_bytes())).into_bytes()
}

/// Covers the version, too: so that a version which rot has changed is not taken for another one.
fn checksum(json: &[u8]) -> String {
    format!("xxh3={:016x}", hash_bytes(&[VERSION.as_bytes(), json].concat()).0)
}

/// The manifest in the contents of the file at `path`.
///
/// # Errors
/// `BadInput` if the file was written by another version; `Damaged` if it is not whole.
pub fn decode_manifest(bytes: &[u8], path: &Path) -> Result<Manifest> {
    let damaged = |what: &str| {
        Err(Error::damaged(format!(
            "manifest {} is damaged: {what}; it is not skipped, because output that its checkpoint has made visible would \
             be made again: bring it back from a copy, or restore another checkpoint by its path",
            path.display()
        )))
    };
    let Some((header, json)) = bytes.iter().position(|b| *b == b'\n').map(|i| (&bytes[..i], &bytes[i + 1..])) else {
        return damaged("it is cut short");
    };
    let header = String::from_utf8_lossy(header);
    let fields: Vec<&str> = header.split(' ').collect();
    let [NAME, version, said] = fields[..] else { return damaged("it does not begin like a manifest") };
    if version != VERSION {
        // Versions count from 1.
        if version.parse::<u32>().unwrap_or(0) == 0 || said == checksum(json) {
            return damaged("its format version is not the one that it was written with");
        }
        return Err(Error::bad_input(format!(
            "manifest {} has format version {version}, this build reads version {VERSION}: restore it with the build that \
             wrote it",
            path.display()
        )));
    }
    if said != checksum(json) {
        return damaged("its checksum does not match");
    }
    match serde_json::from_slice(json) {
        Ok(manifest) => Ok(manifest),
        Err(e) => damaged(&e.to_string()),
    }
}

/// The manifest in the file at this path, `…/chk-<id>`.
///
/// # Errors
/// `BadInput` if there is none; those of [`decode_manifest`]; `Unavailable` if the disk fails.
pub async fn read_manifest(disk: &dyn Disk, path: &Path) -> Result<Manifest> {
    let id = path.file_name().and_then(|name| name.to_str()).and_then(parse_manifest_file);
    if id.is_none() {
        return Err(no_checkpoint(path));
    }
    let bytes = match read_file(disk, path).await {
        Ok(bytes) => bytes,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Err(no_checkpoint(path));
        }
        Err(_) if is_directory(disk, path).await => return Err(old_layout(path)),
        Err(e) => return Err(e).at(|| format!("reading manifest {}", path.display())),
    };
    let manifest = decode_manifest(&bytes, path)?;
    if id != Some(manifest.checkpoint) {
        return Err(Error::bad_input(format!(
            "{} holds checkpoint {}: it must be named chk-{}",
            path.display(),
            manifest.checkpoint,
            manifest.checkpoint
        )));
    }
    Ok(manifest)
}

fn no_checkpoint(path: &Path) -> Error {
    Error::bad_input(format!("{} is no completed checkpoint: name a file chk-<id> that is there", path.display()))
}

/// What is said of a checkpoint that is a directory, with its manifest inside.
pub(super) fn old_layout(path: &Path) -> Error {
    Error::bad_input(format!(
        "{} is a directory, as an older build made one for each checkpoint, and this build reads only checkpoints that are \
         files: go on with the build that wrote it, or choose another directory",
        path.display()
    ))
}

async fn is_directory(disk: &dyn Disk, path: &Path) -> bool {
    disk.metadata(path).await.is_ok_and(|metadata| metadata.kind == EntryKind::Directory)
}

/// Reads the manifest of a checkpoint that is about to be acted upon, and makes sure that it stays. The process that
/// published it may have died between the rename and the sync: then everybody can see the manifest, and the next loss of
/// power may still take it away, with output already committed on its word.
///
/// # Errors
/// Those of [`read_manifest`]: a checkpoint that cannot be read is never skipped (I20).
pub async fn settle_manifest(disk: &dyn Disk, path: &Path) -> Result<Manifest> {
    let manifest = read_manifest(disk, path).await?;
    let directory = parent(path);
    disk.sync_dir(directory).await.at(|| format!("syncing {}", directory.display()))?;
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        checkpoint::{InlineSnapshot, SnapshotFile, SnapshotHandle, VertexManifest},
        id::{AttemptId, CheckpointId},
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
        insta::assert_snapshot!(String::from_utf8(encode_manifest(&sample())).unwrap());
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
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(decode_manifest(&bytes, Path::new("m")).is_err());
        }
    }
}
