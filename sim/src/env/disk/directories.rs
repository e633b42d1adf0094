//! All directories, by path.

use std::{collections::BTreeMap, ffi::OsString, path::Path};

use super::{directory::Directory, trimmed};

/// Every checker and every operation looks up a few of them. A `Path` is compared name by name, and text at once: so the keys
/// are text, which is right as long as each path is written as `parent` and `join` give it, but for a slash at its end.
pub(super) struct Directories(BTreeMap<OsString, Directory>);

impl Default for Directories {
    /// The root alone.
    fn default() -> Self {
        Self(BTreeMap::from([("/".into(), Directory::default())]))
    }
}

impl Directories {
    pub fn get(&self, path: &Path) -> Option<&Directory> {
        self.0.get(trimmed(path).as_os_str())
    }

    pub fn get_mut(&mut self, path: &Path) -> Option<&mut Directory> {
        self.0.get_mut(trimmed(path).as_os_str())
    }

    /// Adds an empty one unless it is there.
    pub fn add(&mut self, path: &Path) {
        self.0.entry(trimmed(path).into()).or_default();
    }

    /// Adds an empty one, whatever was there before.
    pub fn put_new(&mut self, path: &Path) {
        self.0.insert(trimmed(path).into(), Directory::default());
    }

    pub fn remove(&mut self, path: &Path) {
        self.0.remove(trimmed(path).as_os_str());
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Directory)> {
        self.0.iter().map(|(path, directory)| (Path::new(path), directory))
    }

    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(Path::new)
    }

    pub fn values(&self) -> impl Iterator<Item = &Directory> {
        self.0.values()
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Directory> {
        self.0.values_mut()
    }
}
