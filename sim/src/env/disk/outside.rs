//! What the world sees of the disk, and does to it, past all nodes: at once, and without drawing a random number.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use bytes::Bytes;

use super::{SimDisk, State, directory::Entry, file_name, inode::Inode, is_root, split};
use crate::checker::DiskView;

impl SimDisk {
    /// Puts a file there, durably, with all directories above it; for inputs.
    ///
    /// # Panics
    /// If a file stands where a directory is needed.
    pub fn write_file_now(&self, path: &Path, contents: &[u8]) {
        let mut state = self.lock();
        let parent = path.parent().expect("a file has a directory");
        state.create_directories_now(parent);
        let ino = state.new_inode(Inode::durable(contents));
        let name = file_name(path).expect("a file has a name");
        let directory = state.directories.get_mut(parent).expect("it was just created");
        directory.put_now(name, Entry::File(ino));
    }

    /// Puts a directory there, durably, with all directories above it.
    pub fn create_directory_now(&self, path: &Path) {
        self.lock().create_directories_now(path);
    }

    /// The contents of a file as every node gets them.
    #[must_use]
    pub fn read_file_now(&self, path: &Path) -> Option<Bytes> {
        let state = self.look();
        let ino = state.file(path).ok()?;
        Some(Bytes::copy_from_slice(state.inodes[&ino].contents()))
    }

    /// The contents that the file would have if every node lost its power now, and nothing un-synced were kept.
    #[must_use]
    pub fn read_durable(&self, path: &Path) -> Option<Bytes> {
        let state = self.look();
        let ino = state.durable_file(path)?;
        Some(Bytes::copy_from_slice(state.inodes[&ino].durable_contents()))
    }

    /// The names in a directory as everybody sees them, sorted; empty if there is no such directory.
    #[must_use]
    pub fn list_now(&self, path: &Path) -> Vec<String> {
        let state = self.look();
        state.directory(path).map(|d| d.visible.keys().cloned().collect()).unwrap_or_default()
    }

    /// All files as every node gets them.
    #[must_use]
    pub fn tree_now(&self) -> BTreeMap<PathBuf, Bytes> {
        let state = self.look();
        let mut tree = BTreeMap::new();
        for (path, directory) in state.directories.iter() {
            for (name, entry) in &directory.visible {
                if let Entry::File(ino) = entry {
                    tree.insert(path.join(name), Bytes::copy_from_slice(state.inodes[ino].contents()));
                }
            }
        }
        tree
    }
}

/// Checkers see what the engine has stored, and not what the medium made of it: they judge the engine.
impl DiskView for SimDisk {
    fn version(&self) -> u64 {
        self.look().version
    }

    fn read(&self, path: &Path) -> Option<Bytes> {
        let mut state = self.look();
        let ino = state.file(path).ok().or_else(|| state.removed.get(path).copied())?;
        Some(state.inode(ino).written())
    }

    fn read_as_is(&self, path: &Path) -> Option<Bytes> {
        self.read_file_now(path)
    }

    fn read_durable(&self, path: &Path) -> Option<Bytes> {
        let mut state = self.look();
        let ino = state.durable_file(path).or_else(|| state.removed.get(path).copied())?;
        Some(state.inode(ino).synced())
    }

    fn list(&self, path: &Path) -> Vec<String> {
        self.list_now(path)
    }

    fn list_durable(&self, path: &Path) -> Vec<String> {
        self.look().directories.get(path).into_iter().flat_map(|d| d.durable.keys().cloned()).collect()
    }
}

impl State {
    /// The file that the path would lead to if every node lost its power now, and nothing un-synced were kept.
    fn durable_file(&self, path: &Path) -> Option<u64> {
        let (parent, name) = split(path).ok()?;
        let mut above = parent;
        while !is_root(above) {
            let (upper, name) = split(above).ok()?;
            if !matches!(self.directories.get(upper)?.durable.get(name), Some(Entry::Directory)) {
                return None;
            }
            above = upper;
        }
        match self.directories.get(parent)?.durable.get(name)? {
            Entry::File(ino) => Some(*ino),
            Entry::Directory => None,
        }
    }

    fn create_directories_now(&mut self, path: &Path) {
        let Some(parent) = path.parent() else { return };
        self.create_directories_now(parent);
        let name = file_name(path).expect("a directory has a name");
        self.directories.get_mut(parent).expect("it was just created").put_now(name, Entry::Directory);
        self.directories.add(path);
    }
}
