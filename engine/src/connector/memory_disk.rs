//! A file system for tests that knows what would survive loss of power, and fails on request. Never waits.

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;

use crate::env::{DirEntry, Disk, DiskFile, DiskLock, EntryKind, Metadata, OpenMode};

/// The disk. Clones are the same disk.
#[derive(Clone, Default)]
pub(crate) struct MemoryDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    files: Vec<Contents>,
    live: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    fault: Option<Fault>,
    /// A file, and how many reads of it pass before one gives a wrong bit.
    misread: Option<(PathBuf, u32)>,
    /// Bytes that can still be written.
    space: Option<u64>,
    /// Operations until the node dies.
    life: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    Directory,
    /// Index into `State::files`.
    File(usize),
}

#[derive(Default)]
struct Contents {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// What the next sync makes durable.
    unwritten: Vec<Change>,
}

/// What was done to a file.
enum Change {
    Emptied,
    Written { offset: usize, data: Bytes },
}

impl Change {
    fn apply(&self, contents: &mut Vec<u8>) {
        match self {
            Self::Emptied => contents.clear(),
            Self::Written { offset, data } => {
                let end = offset + data.len();
                contents.resize(contents.len().max(end), 0);
                contents[*offset..end].copy_from_slice(data);
            }
        }
    }
}

impl Contents {
    fn durable(contents: &[u8]) -> Self {
        Self { live: contents.to_vec(), durable: contents.to_vec(), unwritten: Vec::new() }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.unwritten.push(change);
    }
}

/// The next operation of this name on a path that ends with this text fails.
struct Fault {
    operation: &'static str,
    path: String,
    kind: ErrorKind,
    /// So many pass before.
    spared: u32,
}

impl MemoryDisk {
    /// A disk with these durable files and the directories above them.
    pub fn with<P: AsRef<Path>, C: AsRef<[u8]>>(files: impl IntoIterator<Item = (P, C)>) -> Self {
        let disk = Self::default();
        for (path, contents) in files {
            disk.put(path.as_ref(), contents.as_ref());
        }
        disk
    }

    /// Puts a durable file in place.
    pub fn put(&self, path: impl AsRef<Path>, contents: &[u8]) {
        let (mut state, path) = (self.state.lock().unwrap(), path.as_ref());
        let file = state.files.len();
        state.files.push(Contents::durable(contents));
        for ancestor in path.ancestors().skip(1).filter(|a| !a.as_os_str().is_empty()) {
            state.live.insert(ancestor.to_owned(), Node::Directory);
            state.durable.insert(ancestor.to_owned(), Node::Directory);
        }
        state.live.insert(path.to_owned(), Node::File(file));
        state.durable.insert(path.to_owned(), Node::File(file));
    }

    /// Takes a file away, durably.
    pub fn take(&self, path: impl AsRef<Path>) {
        let mut state = self.state.lock().unwrap();
        state.live.remove(path.as_ref()).expect("the file is there");
        state.durable.remove(path.as_ref());
    }

    /// Loss of power: all that was not synced is gone.
    pub fn lose_power(&self) {
        let mut state = self.state.lock().unwrap();
        let reachable = |path: &Path| {
            let mut above = path.ancestors().skip(1).filter(|a| !is_root(a));
            above.all(|a| state.durable.contains_key(a))
        };
        state.live = state.durable.iter().filter(|(p, _)| reachable(p)).map(|(p, n)| (p.clone(), *n)).collect();
        state.durable = state.live.clone();
        state.files.iter_mut().for_each(|f| *f = Contents::durable(&f.durable));
    }

    /// Makes the next `operation` on a path that ends with `path` fail.
    pub fn fail_next(&self, operation: &'static str, path: &str, kind: ErrorKind) {
        self.fail_after(0, operation, path, kind);
    }

    /// Makes an `operation` on a path that ends with `path` fail, once so many have passed.
    pub fn fail_after(&self, spared: u32, operation: &'static str, path: &str, kind: ErrorKind) {
        self.state.lock().unwrap().fault = Some(Fault { operation, path: path.to_owned(), kind, spared });
    }

    /// Makes a read of this file give a wrong bit, once so many have passed; the next one is right again.
    pub fn misread_after(&self, spared: u32, path: impl AsRef<Path>) {
        self.state.lock().unwrap().misread = Some((path.as_ref().to_owned(), spared));
    }

    /// Whether that is still to come.
    pub fn will_misread(&self) -> bool {
        self.state.lock().unwrap().misread.is_some()
    }

    /// Lets so many operations pass and no more, as if the node died then; `None` brings it back to life.
    pub fn set_life(&self, operations: Option<u64>) {
        self.state.lock().unwrap().life = operations;
    }

    /// Lets so many bytes be written and no more; `None` for any number.
    pub fn set_space(&self, bytes: Option<u64>) {
        self.state.lock().unwrap().space = bytes;
    }

    /// All paths, sorted; directories end with a slash.
    pub fn paths(&self) -> Vec<String> {
        let name = |(path, node): (&PathBuf, &Node)| {
            let slash = if *node == Node::Directory { "/" } else { "" };
            format!("{}{slash}", path.display())
        };
        self.state.lock().unwrap().live.iter().map(name).collect()
    }

    /// The contents of a file.
    pub fn contents(&self, path: impl AsRef<Path>) -> Vec<u8> {
        let state = self.state.lock().unwrap();
        let Some(Node::File(file)) = state.live.get(path.as_ref()) else { panic!("no file {:?}", path.as_ref()) };
        state.files[*file].live.clone()
    }
}

fn is_child(path: &Path, directory: &Path) -> bool {
    path.parent() == Some(if directory == Path::new(".") { Path::new("") } else { directory })
}

fn is_root(path: &Path) -> bool {
    path.as_os_str().is_empty() || path == Path::new("/") || path == Path::new(".")
}

/// Counts down, and says whether it has come to the end.
fn is_over(spared: &mut u32) -> bool {
    spared.checked_sub(1).map(|left| *spared = left).is_none()
}

impl State {
    fn check(&mut self, operation: &'static str, path: &Path) -> io::Result<()> {
        if let Some(life) = &mut self.life {
            *life = life.checked_sub(1).ok_or_else(|| io::Error::other("the node is dead"))?;
        }
        let hit = |f: &Fault| f.operation == operation && path.to_string_lossy().ends_with(&f.path);
        let mut is_due = |f: &mut Fault| hit(f) && is_over(&mut f.spared);
        match self.fault.take_if(&mut is_due) {
            Some(fault) => Err(fault.kind.into()),
            None => Ok(()),
        }
    }

    fn directory(&self, path: &Path) -> io::Result<()> {
        match self.live.get(path) {
            Some(Node::Directory) => Ok(()),
            Some(Node::File(_)) => Err(ErrorKind::NotADirectory.into()),
            None if is_root(path) => Ok(()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn children(&self, path: &Path) -> Vec<(PathBuf, Node)> {
        let within = |p: &Path| is_child(p, path);
        self.live.iter().filter(|(p, _)| within(p)).map(|(p, n)| (p.clone(), *n)).collect()
    }
}

#[async_trait]
impl Disk for MemoryDisk {
    async fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state.lock().unwrap();
        state.check("open", path)?;
        let file = match (state.live.get(path).copied(), mode) {
            (Some(Node::Directory), _) => return Err(ErrorKind::IsADirectory.into()),
            (Some(Node::File(_)), OpenMode::CreateNew) => return Err(ErrorKind::AlreadyExists.into()),
            (Some(Node::File(file)), OpenMode::Create) => {
                state.files[file].change(Change::Emptied);
                file
            }
            (Some(Node::File(file)), OpenMode::Read | OpenMode::Write) => file,
            (None, OpenMode::Read | OpenMode::Write) => return Err(ErrorKind::NotFound.into()),
            (None, OpenMode::Create | OpenMode::CreateNew) => {
                state.directory(path.parent().expect("a file has a parent"))?;
                state.files.push(Contents::default());
                let file = state.files.len() - 1;
                state.live.insert(path.to_owned(), Node::File(file));
                file
            }
        };
        Ok(Box::new(MemoryFile { disk: self.clone(), path: path.to_owned(), file }))
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.check("rename", to)?;
        state.directory(to.parent().expect("a file has a parent"))?;
        let node = state.live.remove(from).ok_or(ErrorKind::NotFound)?;
        state.live.insert(to.to_owned(), node);
        Ok(())
    }

    async fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.check("remove_file", path)?;
        state.live.remove(path).map(|_| ()).ok_or_else(|| ErrorKind::NotFound.into())
    }

    async fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.check("create_dir", path)?;
        state.directory(path.parent().expect("a directory has a parent"))?;
        if state.live.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        state.live.insert(path.to_owned(), Node::Directory);
        Ok(())
    }

    async fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.check("remove_dir", path)?;
        state.directory(path)?;
        if !state.children(path).is_empty() {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        state.live.remove(path);
        Ok(())
    }

    async fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut state = self.state.lock().unwrap();
        state.check("list", path)?;
        state.directory(path)?;
        let entry = |(path, node): (PathBuf, Node)| DirEntry {
            name: path.file_name().expect("an entry has a name").to_string_lossy().into_owned(),
            kind: if node == Node::Directory { EntryKind::Directory } else { EntryKind::File },
        };
        Ok(state.children(path).into_iter().map(entry).collect())
    }

    async fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let mut state = self.state.lock().unwrap();
        state.check("metadata", path)?;
        match state.live.get(path) {
            Some(Node::File(file)) => Ok(Metadata { kind: EntryKind::File, len: state.files[*file].live.len() as u64 }),
            _ => state.directory(path).map(|()| Metadata { kind: EntryKind::Directory, len: 0 }),
        }
    }

    async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.check("sync_dir", path)?;
        state.directory(path)?;
        state.durable.retain(|p, _| !is_child(p, path));
        let children = state.children(path);
        state.durable.extend(children);
        Ok(())
    }

    async fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        let mut state = self.state.lock().unwrap();
        state.check("try_lock", path)?;
        if !state.live.contains_key(path) {
            state.files.push(Contents::default());
            let file = state.files.len() - 1;
            state.live.insert(path.to_owned(), Node::File(file));
        }
        Ok(Some(Box::new(NeverTaken)))
    }
}

/// Tests in which two want the same lock need a world.
struct NeverTaken;

impl DiskLock for NeverTaken {}

struct MemoryFile {
    disk: MemoryDisk,
    path: PathBuf,
    file: usize,
}

#[async_trait]
impl DiskFile for MemoryFile {
    async fn read_at(&mut self, offset: u64, len: usize) -> io::Result<Bytes> {
        let mut state = self.disk.state.lock().unwrap();
        state.check("read_at", &self.path)?;
        let contents = &state.files[self.file].live;
        let start = contents.len().min(offset as usize);
        // As a real disk may do it: half of what was asked for.
        let end = contents.len().min(start + len.div_ceil(2));
        let mut read = contents[start..end].to_vec();
        let mut is_due = |(path, spared): &mut (PathBuf, u32)| *path == self.path && is_over(spared);
        if state.misread.take_if(&mut is_due).is_some() {
            *read.last_mut().expect("it is not read at its end") ^= 1;
        }
        Ok(read.into())
    }

    async fn write_at(&mut self, offset: u64, data: Bytes) -> io::Result<()> {
        let mut state = self.disk.state.lock().unwrap();
        state.check("write_at", &self.path)?;
        if let Some(space) = &mut state.space {
            *space = space.checked_sub(data.len() as u64).ok_or(ErrorKind::StorageFull)?;
        }
        state.files[self.file].change(Change::Written { offset: offset as usize, data });
        Ok(())
    }

    async fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state.lock().unwrap();
        let checked = state.check("sync", &self.path);
        let contents = &mut state.files[self.file];
        // What could not be written counts as written from then on: no later sync tries it again, as on Linux.
        let unwritten = std::mem::take(&mut contents.unwritten);
        if checked.is_ok() {
            unwritten.iter().for_each(|change| change.apply(&mut contents.durable));
        }
        checked
    }

    async fn length(&mut self) -> io::Result<u64> {
        Ok(self.disk.state.lock().unwrap().files[self.file].live.len() as u64)
    }
}
