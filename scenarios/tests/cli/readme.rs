//! What the README shows is what one gets.

use std::{fs, path::Path, process::Command};

#[test]
fn the_run_that_the_readme_shows() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let command = ["sim", "wordcount", "--seed", "265"];
    assert!(readme.contains(&command.join(" ")));
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate")).args(command).output().unwrap();
    let story = String::from_utf8(output.stdout).unwrap();
    assert!(readme.contains(&story), "the README shows another run than this one; copy it there:\n{story}");
}
