//! Where downloads, builds and checkpoints go: below the target directory, on the disk that the build is on.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::Result;

/// A directory of this name, which may hold what earlier reports have left there.
pub fn directory(name: &str) -> Result<PathBuf> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers").join(name);
    fs::create_dir_all(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(path)
}

/// The first line that a program prints when it is asked for its version, on either stream.
///
/// # Errors
/// That there is no such program.
pub fn version_of(program: &str, arguments: &[&str]) -> Result<String> {
    let output = std::process::Command::new(program)
        .args(arguments)
        .output()
        .map_err(|e| format!("{program} cannot be run: {e}"))?;
    if !output.status.success() {
        return Err(format!("{program} {} ends with {}", arguments.join(" "), output.status).into());
    }
    let text = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&text).lines().next().unwrap_or("").trim().to_owned())
}
