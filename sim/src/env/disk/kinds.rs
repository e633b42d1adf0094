//! Which files are meant by "a snapshot" and "a manifest": recognized by the names that the engine gives.

use std::path::{Path, PathBuf};

use tidegate::storage::{SNAPSHOT_DIRECTORY, TEMPORARY_SUFFIX, parse_slot, parse_snapshot_file};

use super::{State, directory::Entry, split};
use crate::fault::FileKind;

/// The kind of the file that has this name in a directory of that name.
fn kind_of(directory: &str, name: &str) -> Option<FileKind> {
    if directory == SNAPSHOT_DIRECTORY {
        return parse_snapshot_file(name).map(|_| FileKind::Snapshot);
    }
    parse_slot(name).map(|_| FileKind::Manifest)
}

/// The last two names of a path.
fn names(path: &Path) -> Option<(&str, &str)> {
    let (parent, name) = split(path).ok()?;
    Some((split(parent).ok()?.1, name))
}

/// The kind of the file that stands there.
fn kind_of_whole(path: &Path) -> Option<FileKind> {
    names(path).and_then(|(directory, name)| kind_of(directory, name))
}

/// The kind of the file that is written under this name, which may be a temporary one.
pub(super) fn kind_of_written(path: &Path) -> Option<FileKind> {
    let (directory, name) = names(path)?;
    kind_of(directory, name.strip_suffix(TEMPORARY_SUFFIX).unwrap_or(name))
}

impl State {
    /// The file of a kind that was written to last, of those that are whole and have a byte at least; the last by name of
    /// several.
    pub(super) fn newest(&self, kind: FileKind) -> Option<(PathBuf, u64)> {
        let named = self.directories.iter().flat_map(|(path, directory)| {
            let names = directory.visible.iter().chain(&directory.durable);
            names.filter_map(move |(name, entry)| match entry {
                Entry::File(ino) => Some((path.join(name), *ino)),
                Entry::Directory => None,
            })
        });
        let of_kind = named.filter(|(path, _)| kind_of_whole(path) == Some(kind));
        let whole = of_kind.filter(|(_, ino)| !self.inodes[ino].contents().is_empty());
        whole.max_by_key(|(path, ino)| (self.inodes[ino].modified, path.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_names() {
        use FileKind::{Manifest, Snapshot};
        let cases = [
            ("/c/manifest-7", Some(Manifest), Some(Manifest)),
            ("/c/manifest-7.tmp", None, Some(Manifest)),
            ("/c/state/count-0-1.2-3.state", Some(Snapshot), Some(Snapshot)),
            ("/c/state/notes", None, None),
            ("/c/count-0-1.2-3.state", None, None),
            ("/c/state/manifest-7", None, None),
            ("/c/manifest-07", None, None),
            ("/c/reserved-16", None, None),
        ];
        for (path, whole, written) in cases {
            let path = Path::new(path);
            assert_eq!((kind_of_whole(path), kind_of_written(path)), (whole, written), "{}", path.display());
        }
    }
}
