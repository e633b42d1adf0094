//! The snapshot files that a manifest names. They are looked at again and again, and are what they were nearly always.

use std::{
    ops::Deref,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use tidegate::checkpoint::{Manifest, SnapshotFile};

use super::ground::is_same;

/// A manifest, and where its files rest.
pub(super) struct NamedFiles {
    manifest: Manifest,
    /// In the order of the manifest.
    pub files: Vec<NamedFile>,
}

impl NamedFiles {
    pub fn of(manifest: Manifest, path: impl Fn(&str) -> PathBuf) -> Self {
        let named =
            |file: &SnapshotFile| NamedFile { path: path(&file.name), file: file.clone(), whole: Mutex::default() };
        Self { files: manifest.files().map(named).collect(), manifest }
    }
}

impl Deref for NamedFiles {
    type Target = Manifest;

    fn deref(&self) -> &Manifest {
        &self.manifest
    }
}

/// A file that a manifest names.
pub(super) struct NamedFile {
    pub path: PathBuf,
    pub file: SnapshotFile,
    /// Contents that were found to be what the manifest names.
    whole: Mutex<Option<Bytes>>,
}

impl NamedFile {
    /// What counts of a file that may have been used for more before.
    pub fn beginning(&self, contents: &Bytes) -> Bytes {
        contents.slice(..contents.len().min(usize::try_from(self.file.len).unwrap_or(usize::MAX)))
    }

    /// Whether these contents are as long as they must be, and pass the test, which is not asked again for the very same bytes.
    pub fn holds(&self, contents: &Bytes, test: impl Fn(&Bytes) -> bool) -> bool {
        // A test that panics has not found anything.
        let mut whole = self.whole.lock().unwrap_or_else(PoisonError::into_inner);
        if whole.as_ref().is_some_and(|known| is_same(known, contents)) {
            return true;
        }
        let beginning = self.beginning(contents);
        let holds = beginning.len() as u64 == self.file.len && test(&beginning);
        if holds {
            *whole = Some(contents.clone());
        }
        holds
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::checker::testing::snapshot_file;

    #[test]
    fn what_has_changed_is_looked_at_again() {
        let file = snapshot_file(1, "a.state", b"good");
        let named = NamedFile { path: "/chk/state/a.state".into(), file, whole: Mutex::default() };
        let looks = Cell::new(0);
        let holds = |contents: &Bytes| {
            named.holds(contents, |beginning| {
                looks.set(looks.get() + 1);
                **beginning == *b"good"
            })
        };
        let good = Bytes::from_static(b"good");
        let longer = Bytes::from_static(b"good, and what was there before");
        let found = [&good, &good, &"evil".into(), &"evil".into(), &"goo".into(), &good.slice(..2), &longer].map(holds);
        assert_eq!(found, [true, true, false, false, false, false, true]);
        assert_eq!(looks.get(), 4, "what is too short, and what is known, is not looked at");
    }
}
