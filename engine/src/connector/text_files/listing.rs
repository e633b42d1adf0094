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
            return Err(Error::bad_input(format!("the input directory {} holds no files", path.display())));
        }
        files.extend(found);
    }
    Ok(files.into_iter().collect())
}

async fn list_below(disk: &dyn Disk, root: &Path) -> Result<BTreeMap<String, u64>> {
    let mut files = BTreeMap::new();
    let mut directories = Vec::new();
    visit(disk, root, &mut files, &mut directories).await?;
    while let Some(directory) = directories.pop() {
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
        io::ErrorKind::NotFound => Error::bad_input(format!("the input {path} does not exist")),
        io::ErrorKind::PermissionDenied => Error::bad_input(format!("the input {path} may not be read: {error}")),
        io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput => {
            Error::bad_input(format!("the input {path} cannot be read: {error}"))
        }
        _ => Error::new(ErrorKind::Unavailable, format!("the input {path} cannot be read: {error}")),
    }
}
