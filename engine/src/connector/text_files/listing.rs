//! Which files a job reads.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use crate::{
    env::{Disk, EntryKind},
    error::{Error, ErrorKind, Result},
};

/// All files that `paths` name or that lie below them, with their lengths, sorted by path, each once.
///
/// # Errors
/// `BadInput` naming the path if one is missing, unreadable, not named in UTF-8, or neither file nor directory, or if a
/// given directory holds no file at all.
pub(super) async fn list_files(disk: &dyn Disk, paths: &[PathBuf]) -> Result<Vec<(String, u64)>> {
    if paths.is_empty() {
        return Err(Error::bad_input("no input paths are given: name a file or a directory to read"));
    }
    let mut files = BTreeMap::new();
    for path in paths {
        let found = list_below(disk, path).await?;
        if found.is_empty() {
            return Err(Error::bad_input(format!(
                "the input directory {} holds no files to read: names that begin with . or _ do not count",
                path.display()
            )));
        }
        files.extend(found);
    }
    Ok(files.into_iter().collect())
}

/// How deep directories may be nested: a link that leads back to where it came from would never end.
const MAX_DEPTH: usize = 32;

async fn list_below(disk: &dyn Disk, root: &Path) -> Result<BTreeMap<String, u64>> {
    let mut files = BTreeMap::new();
    let mut directories = Vec::new();
    visit(disk, root, &mut files, &mut directories).await?;
    while let Some(directory) = directories.pop() {
        if directory.components().count() > root.components().count() + MAX_DEPTH {
            return Err(Error::bad_input(format!(
                "the input directory {} lies more than {MAX_DEPTH} levels deep: is there a link that leads back?",
                directory.display()
            )));
        }
        for entry in disk.list(&directory).await.map_err(|e| unreadable(&directory, &e))? {
            if !entry.name.starts_with(['.', '_']) {
                visit(disk, &directory.join(&entry.name), &mut files, &mut directories).await?;
            }
        }
    }
    Ok(files)
}

async fn visit(
    disk: &dyn Disk,
    path: &Path,
    files: &mut BTreeMap<String, u64>,
    directories: &mut Vec<PathBuf>,
) -> Result<()> {
    let name = match path.to_str() {
        Some(name) if !name.contains(char::REPLACEMENT_CHARACTER) => name,
        _ => {
            let message = format!("the name of the input {} is not UTF-8: rename it", path.display());
            return Err(Error::bad_input(message));
        }
    };
    let metadata = disk.metadata(path).await.map_err(|e| unreadable(path, &e))?;
    match metadata.kind {
        EntryKind::File => {
            files.insert(name.to_owned(), metadata.len);
        }
        EntryKind::Directory => directories.push(path.to_owned()),
        EntryKind::Other => {
            return Err(Error::bad_input(format!("the input {name} is neither a file nor a directory")));
        }
    }
    Ok(())
}

/// What a failed access to an input means. Only a device in trouble is worth another try.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Error {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            Error::bad_input(format!("the input {path} does not exist: bring it back, or name the right path"))
        }
        io::ErrorKind::PermissionDenied => {
            Error::bad_input(format!("the input {path} may not be read ({error}): change its mode or its owner"))
        }
        io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput => {
            Error::bad_input(format!("the input {path} cannot be read: {error}"))
        }
        _ => Error::new(ErrorKind::Unavailable, format!("the input {path} cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{connector::memory_disk::MemoryDisk, graph::local_executor::now};

    fn list(disk: &MemoryDisk, paths: &[&str]) -> Result<Vec<(String, u64)>> {
        now(list_files(disk, &paths.iter().map(PathBuf::from).collect::<Vec<_>>()))
    }

    #[test]
    fn files_below_directories_are_found_once_and_sorted() {
        let disk = MemoryDisk::with([
            ("in/b", "22"),
            ("in/a/2", "4444"),
            ("in/a/1", "333"),
            ("in/.hidden", "x"),
            ("in/_temporary/1", "x"),
            ("in/empty", ""),
            ("_given", "1"),
            ("out", "no"),
        ]);
        let found = list(&disk, &["in/b", "_given", "in"]).unwrap();
        let found: Vec<_> = found.iter().map(|(path, len)| (path.as_str(), *len)).collect();
        assert_eq!(found, [("_given", 1), ("in/a/1", 3), ("in/a/2", 4), ("in/b", 2), ("in/empty", 0)]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let disk = MemoryDisk::with([("in/a", "1"), ("no/_files", "x"), ("in/b\u{fffd}", "x")]);
        let refused = |paths: &[&str]| {
            let error = list(&disk, paths).unwrap_err();
            assert_eq!(error.kind, ErrorKind::BadInput);
            error.to_string()
        };
        insta::assert_snapshot!(refused(&["in/a", "in/missing"]), @"the input in/missing does not exist: bring it back, or name the right path");
        insta::assert_snapshot!(refused(&["no"]), @"the input directory no holds no files to read: names that begin with . or _ do not count");
        insta::assert_snapshot!(refused(&["in"]), @"the name of the input in/b� is not UTF-8: rename it");
        disk.put(format!("deep{}", "/d".repeat(34)), b"x");
        assert!(refused(&["deep"]).contains("more than 32 levels"));
        assert_eq!(list(&disk, &["deep/d"]).unwrap().len(), 1);
        insta::assert_snapshot!(refused(&[]), @"no input paths are given: name a file or a directory to read");
        disk.fail_next("metadata", "in/a", io::ErrorKind::PermissionDenied);
        insta::assert_snapshot!(refused(&["in/a"]), @"the input in/a may not be read (permission denied): change its mode or its owner");
        disk.fail_next("metadata", "in/a", io::ErrorKind::TimedOut);
        assert!(list(&disk, &["in/a"]).unwrap_err().may_be_retried());
    }
}
