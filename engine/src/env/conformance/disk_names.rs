//! The promises of `Disk` about names.

use std::io::ErrorKind;

use bytes::Bytes;

use super::{
    check::{Outcome, Scene, ensure, fails_as, same_bytes, soon},
    disk_contents::{expect, read_fully, write},
};
use crate::env::{DirEntry, EntryKind, Env, Metadata, OpenMode, TaskExit};

pub(super) async fn syncing_a_directory_succeeds(env: Env, scene: Scene) -> Outcome {
    env.disk.sync_dir(&scene.directory).await?;
    write(&env, &scene.path("file"), b"contents").await?;
    let inner = scene.path("inner");
    env.disk.create_dir(&inner).await?;
    env.disk.sync_dir(&scene.directory).await?;
    env.disk.sync_dir(&inner).await?;
    env.disk.remove_file(&scene.path("file")).await?;
    env.disk.sync_dir(&scene.directory).await?;
    let missing = env.disk.sync_dir(&scene.path("missing")).await;
    fails_as("syncing a missing directory", ErrorKind::NotFound, missing)
}

pub(super) async fn a_rename_replaces(env: Env, scene: Scene) -> Outcome {
    let (old, new) = (scene.path("old"), scene.path("new"));
    write(&env, &old, b"old contents, longer").await?;
    write(&env, &new, b"new contents").await?;
    env.disk.rename(&new, &old).await?;
    expect(&env, &old, b"new contents").await?;
    fails_as("looking at the name before", ErrorKind::NotFound, env.disk.metadata(&new).await)?;
    fails_as("renaming it again", ErrorKind::NotFound, env.disk.rename(&new, &old).await)?;
    expect(&env, &old, b"new contents").await
}

pub(super) async fn a_rename_keeps_the_contents(env: Env, scene: Scene) -> Outcome {
    let (mut from, contents) = (scene.path("0"), super::check::bytes(9, 100_000));
    write(&env, &from, &contents).await?;
    for i in 1..10 {
        let to = scene.path(&i.to_string());
        env.disk.rename(&from, &to).await?;
        from = to;
    }
    expect(&env, &from, &contents).await?;
    let entries = env.disk.list(&scene.directory).await?;
    ensure!(entries.len() == 1, "after renames of one file there are {entries:?}");
    Ok(())
}

/// A handle leads to a file, not to a name.
pub(super) async fn a_handle_keeps_its_file(env: Env, scene: Scene) -> Outcome {
    let (a, b) = (scene.path("a"), scene.path("b"));
    write(&env, &a, b"file a").await?;
    write(&env, &b, b"file b").await?;
    let mut first = env.disk.open(&a, OpenMode::Write).await?;
    let mut replaced = env.disk.open(&b, OpenMode::Read).await?;
    env.disk.rename(&a, &b).await?;
    first.write_at(5, Bytes::from_static(b"A, renamed")).await?;
    expect(&env, &b, b"file A, renamed").await?;
    same_bytes("a file whose name was taken", &read_fully(&mut *replaced, 0, 100).await?, b"file b")?;
    env.disk.remove_file(&b).await?;
    same_bytes("a file whose name was removed", &read_fully(&mut *first, 0, 100).await?, b"file A, renamed")?;
    write(&env, &b, b"another file").await?;
    first.write_at(0, Bytes::from_static(b"lost")).await?;
    first.sync().await?;
    expect(&env, &b, b"another file").await
}

pub(super) async fn a_list_is_sorted(env: Env, scene: Scene) -> Outcome {
    ensure!(env.disk.list(&scene.directory).await?.is_empty(), "an empty directory has entries");
    for name in ["b", "chk-9", "a", "Z", "chk-10", "é", "a.tmp", "_"] {
        if name.starts_with("chk") {
            env.disk.create_dir(&scene.path(name)).await?;
        } else {
            write(&env, &scene.path(name), b"").await?;
        }
    }
    write(&env, &scene.path("chk-9").join("deeper"), b"").await?;
    let file = |name: &str| DirEntry { name: name.into(), kind: EntryKind::File };
    let directory = |name: &str| DirEntry { name: name.into(), kind: EntryKind::Directory };
    let expected =
        [file("Z"), file("_"), file("a"), file("a.tmp"), file("b"), directory("chk-10"), directory("chk-9"), file("é")];
    let found = env.disk.list(&scene.directory).await?;
    ensure!(found == expected, "the list is {found:?}");
    Ok(())
}

pub(super) async fn names_come_and_go(env: Env, scene: Scene) -> Outcome {
    let (directory, file) = (scene.path("directory"), scene.path("directory").join("file"));
    env.disk.create_dir(&directory).await?;
    fails_as("creating it again", ErrorKind::AlreadyExists, env.disk.create_dir(&directory).await)?;
    write(&env, &file, b"abc").await?;
    fails_as("creating a directory over a file", ErrorKind::AlreadyExists, env.disk.create_dir(&file).await)?;
    let found = (env.disk.metadata(&file).await?, env.disk.metadata(&directory).await?.kind);
    let expected = (Metadata { kind: EntryKind::File, len: 3 }, EntryKind::Directory);
    ensure!(found == expected, "the metadata of a file and a directory are {found:?}");

    let full = env.disk.remove_dir(&directory).await;
    fails_as("removing a directory that is not empty", ErrorKind::DirectoryNotEmpty, full)?;
    ensure!(env.disk.remove_file(&directory).await.is_err(), "a directory can be removed as a file");
    ensure!(env.disk.remove_dir(&file).await.is_err(), "a file can be removed as a directory");
    expect(&env, &file, b"abc").await?;

    env.disk.remove_file(&file).await?;
    ensure!(env.disk.list(&directory).await?.is_empty(), "a removed file is still listed");
    let mut anew = env.disk.open(&file, OpenMode::CreateNew).await?;
    ensure!(anew.length().await? == 0, "a file that was removed and created again is not empty");
    env.disk.remove_file(&file).await?;
    env.disk.remove_dir(&directory).await?;
    env.disk.create_dir(&directory).await?;
    ensure!(env.disk.list(&directory).await?.is_empty(), "a directory that was made again is not empty");
    Ok(())
}

pub(super) async fn what_is_missing_is_not_found(env: Env, scene: Scene) -> Outcome {
    let (missing, deeper) = (scene.path("missing"), scene.path("missing").join("deeper"));
    let there = scene.path("there");
    write(&env, &there, b"there").await?;
    for path in [&missing, &deeper] {
        let what = path.display();
        let not_found = ErrorKind::NotFound;
        fails_as(&format!("removing {what}"), not_found, env.disk.remove_file(path).await)?;
        fails_as(&format!("removing directory {what}"), not_found, env.disk.remove_dir(path).await)?;
        fails_as(&format!("listing {what}"), not_found, env.disk.list(path).await)?;
        fails_as(&format!("metadata of {what}"), not_found, env.disk.metadata(path).await)?;
        fails_as(&format!("renaming {what}"), not_found, env.disk.rename(path, &path.with_file_name("to")).await)?;
    }
    fails_as("a directory in a missing one", ErrorKind::NotFound, env.disk.create_dir(&deeper).await)?;
    fails_as("a lock in a missing directory", ErrorKind::NotFound, env.disk.try_lock(&deeper).await)?;
    ensure!(env.disk.list(&there).await.is_err(), "a file can be listed");
    expect(&env, &there, b"there").await
}

/// From whichever task, and nobody else's lock.
pub(super) async fn a_lock_excludes(env: Env, scene: Scene) -> Outcome {
    let path = scene.path("lock");
    let held = env.disk.try_lock(&path).await?;
    ensure!(held.is_some(), "a lock that nobody has is not given");
    ensure!(env.disk.metadata(&path).await?.kind == EntryKind::File, "a lock leaves no file");
    ensure!(env.disk.try_lock(&path).await?.is_none(), "a lock is given twice");
    let inside = env.clone();
    let mut task = env.spawner.start("another that wants the lock", async move {
        let given = inside.disk.try_lock(&path).await.expect("asking for a lock succeeds");
        assert!(given.is_none(), "a lock is given twice");
    });
    let exit = soon(&env, "the end of a task", task.join()).await?;
    ensure!(exit == TaskExit::Completed, "a task that must not get the lock is {exit:?}");
    let other = env.disk.try_lock(&scene.path("other")).await?;
    ensure!(other.is_some(), "a lock excludes from another file");
    drop(held);
    Ok(())
}

pub(super) async fn a_lock_is_given_back(env: Env, scene: Scene) -> Outcome {
    let path = scene.path("lock");
    write(&env, &path, b"contents").await?;
    for round in 0..20 {
        let lock = env.disk.try_lock(&path).await?;
        ensure!(lock.is_some(), "a lock that was dropped is not given again (round {round})");
    }
    expect(&env, &path, b"contents").await
}
