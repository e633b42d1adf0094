//! Directories that survive a loss of power.

use std::{io, path::Path};

use crate::{
    env::{Disk, EntryKind},
    error::{Error, Result},
};

/// Creates a directory and those above it that are missing, durably.
///
/// # Errors
/// `BadInput` if a file stands in the way or the path is not accessible; `Unavailable` if the disk fails.
pub async fn create_directories(disk: &dyn Disk, directory: &Path) -> Result<()> {
    // Innermost first.
    let mut missing = Vec::new();
    for path in directory.ancestors() {
        match disk.metadata(or_here(path)).await {
            Ok(metadata) if metadata.kind == EntryKind::Directory => break,
            Ok(_) => {
                return Err(Error::bad_input(format!("{} is not a directory: choose another one", path.display())));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => missing.push(path),
            Err(e) => return Err(Error::from(e).at(path.display())),
        }
    }
    for path in missing.iter().rev() {
        match disk.create_dir(path).await {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(Error::from(e).at(path.display())),
            _ => {}
        }
    }
    // Without this, the whole directory may be gone after loss of power, with all that was written into it since. All the
    // way up, and also if nothing was missing: whoever created a directory may have died before it came to this line.
    for parent in directory.ancestors().skip(1) {
        match disk.sync_dir(or_here(parent)).await {
            // Where we may not even look, we have not created anything.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {}
            synced => synced.map_err(|e| Error::from(e).at(parent.display()))?,
        }
    }
    Ok(())
}

/// The path that names the directory of a relative path without one.
fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}
