//! All directories, by path.

use std::{cell::Cell, collections::BTreeMap, ffi::OsString, io, path::Path};

use super::{
    directory::{Directory, Entry},
    is_root, split, trimmed,
};

/// Every checker and every operation looks up a few of them. A `Path` is compared name by name, and text at once: so the keys
/// are text, which is right as long as each path is written as `parent` and `join` give it, but for a slash at its end.
pub(super) struct Directories {
    by_path: BTreeMap<OsString, Node>,
    /// How often anything here may have been changed.
    changes: u64,
}

#[derive(Default)]
struct Node {
    directory: Directory,
    /// The number of changes at which every name on the way here was there; 0 if that was never found. To go all the way each time
    /// would take longer than everything else that is done with a directory.
    reached: Cell<u64>,
}

impl Default for Directories {
    /// The root alone.
    fn default() -> Self {
        Self { by_path: BTreeMap::from([("/".into(), Node::default())]), changes: 1 }
    }
}

impl Directories {
    /// One that can be reached by its name.
    pub fn reach(&self, path: &Path) -> io::Result<&Directory> {
        let node = self.by_path.get(trimmed(path).as_os_str());
        if let Some(node) = node.filter(|node| node.reached.get() == self.changes) {
            return Ok(&node.directory);
        }
        if !is_root(path) {
            let (parent, name) = split(path)?;
            match self.reach(parent)?.visible.get(name) {
                Some(Entry::Directory) => {}
                Some(Entry::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                None => return Err(io::ErrorKind::NotFound.into()),
            }
        }
        let node = node.ok_or(io::ErrorKind::NotFound)?;
        node.reached.set(self.changes);
        Ok(&node.directory)
    }

    /// One of this path, whether or not it can be reached.
    pub fn get(&self, path: &Path) -> Option<&Directory> {
        self.by_path.get(trimmed(path).as_os_str()).map(|node| &node.directory)
    }

    pub fn get_mut(&mut self, path: &Path) -> Option<&mut Directory> {
        self.changed().get_mut(trimmed(path).as_os_str()).map(|node| &mut node.directory)
    }

    /// Adds an empty one unless it is there.
    pub fn add(&mut self, path: &Path) {
        self.changed().entry(trimmed(path).into()).or_default();
    }

    /// Adds an empty one, whatever was there before.
    pub fn put_new(&mut self, path: &Path) {
        self.changed().insert(trimmed(path).into(), Node::default());
    }

    pub fn remove(&mut self, path: &Path) {
        self.changed().remove(trimmed(path).as_os_str());
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Directory)> {
        self.by_path.iter().map(|(path, node)| (Path::new(path), &node.directory))
    }

    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.by_path.keys().map(Path::new)
    }

    pub fn values(&self) -> impl Iterator<Item = &Directory> {
        self.by_path.values().map(|node| &node.directory)
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Directory> {
        self.changed().values_mut().map(|node| &mut node.directory)
    }

    /// Whoever changes anything passes by here.
    fn changed(&mut self) -> &mut BTreeMap<OsString, Node> {
        self.changes += 1;
        &mut self.by_path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::disk::directory::Change;

    #[test]
    fn what_was_reached_is_looked_for_again_after_a_change() {
        let mut directories = Directories::default();
        let reached =
            |directories: &Directories| directories.reach(Path::new("/a/b")).map(|_| ()).map_err(|e| e.kind());
        for (path, name) in [("/", "a"), ("/a", "b")] {
            directories.get_mut(Path::new(path)).unwrap().put_now(name, Entry::Directory);
            directories.add(&Path::new(path).join(name));
        }
        assert_eq!((reached(&directories), reached(&directories)), (Ok(()), Ok(())));
        let is_now = |directories: &mut Directories, entry| {
            let change = Change::Put { name: "a".into(), entry };
            directories.get_mut(Path::new("/")).unwrap().change("node", change);
            reached(directories)
        };
        assert_eq!(is_now(&mut directories, Entry::File(1)), Err(io::ErrorKind::NotADirectory));
        assert_eq!(is_now(&mut directories, Entry::Directory), Ok(()));
        directories.values_mut().for_each(|directory| directory.lose_name("b"));
        assert_eq!(reached(&directories), Err(io::ErrorKind::NotFound));
        directories.get_mut(Path::new("/a")).unwrap().put_now("b", Entry::Directory);
        assert_eq!(reached(&directories), Ok(()));
        directories.remove(Path::new("/a/b"));
        assert_eq!(reached(&directories), Err(io::ErrorKind::NotFound));
    }
}
