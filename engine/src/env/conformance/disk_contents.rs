//! The promises of `Disk` about what is in a file.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::FutureExt;

use super::check::{Broken, Outcome, Scene, bytes, ensure, fails_as, pause, same_bytes, soon};
use crate::env::{DiskFile, Env, OpenMode};

/// Makes a file with these contents.
pub(super) async fn write(env: &Env, path: &Path, contents: &[u8]) -> Outcome {
    let mut file = env.disk.open(path, OpenMode::Create).await?;
    Ok(file.write_at(0, Bytes::copy_from_slice(contents)).await?)
}

/// Up to `len` bytes from `offset`, with as many reads as it takes: fewer only at the end of the file.
pub(super) async fn read_fully(file: &mut dyn DiskFile, offset: u64, len: usize) -> Outcome<Vec<u8>> {
    let mut found = Vec::new();
    while found.len() < len {
        let missing = len - found.len();
        let piece = file.read_at(offset + found.len() as u64, missing).await?;
        ensure!(piece.len() <= missing, "a read of {missing} bytes gives {}", piece.len());
        if piece.is_empty() {
            break;
        }
        found.extend_from_slice(&piece);
    }
    Ok(found)
}

/// Fails unless the file has these contents.
pub(super) async fn expect(env: &Env, path: &Path, contents: &[u8]) -> Outcome {
    let mut file = env.disk.open(path, OpenMode::Read).await?;
    let found = read_fully(&mut *file, 0, contents.len() + 1).await?;
    same_bytes(&path.display().to_string(), &found, contents)
}

pub(super) async fn modes_of_opening(env: Env, scene: Scene) -> Outcome {
    let path = scene.path("file");
    for mode in [OpenMode::Read, OpenMode::Write] {
        let what = format!("opening a missing file for {mode:?}");
        fails_as(&what, ErrorKind::NotFound, env.disk.open(&path, mode).await)?;
    }
    let mut file = env.disk.open(&path, OpenMode::CreateNew).await?;
    ensure!(file.length().await? == 0, "a new file is not empty");
    file.write_at(0, Bytes::from_static(b"first contents")).await?;
    fails_as("creating what exists", ErrorKind::AlreadyExists, env.disk.open(&path, OpenMode::CreateNew).await)?;
    expect(&env, &path, b"first contents").await?;

    let mut again = env.disk.open(&path, OpenMode::Write).await?;
    ensure!(again.length().await? == 14, "opening to write has changed the length");
    same_bytes("read from a handle for writing", &read_fully(&mut *again, 0, 5).await?, b"first")?;

    let mut cut = env.disk.open(&path, OpenMode::Create).await?;
    ensure!(cut.length().await? == 0, "creating what exists does not cut it to length zero");
    ensure!(file.length().await? == 0, "an older handle does not see that the file was cut");
    cut.write_at(0, Bytes::from_static(b"second")).await?;
    expect(&env, &path, b"second").await?;

    let orphan = scene.path("missing").join("file");
    for mode in [OpenMode::Read, OpenMode::Create, OpenMode::CreateNew, OpenMode::Write] {
        let what = format!("opening a file in a missing directory for {mode:?}");
        fails_as(&what, ErrorKind::NotFound, env.disk.open(&orphan, mode).await)?;
        let directory = env.disk.open(&scene.directory, mode).await;
        ensure!(directory.is_err(), "a directory can be opened as a file for {mode:?}");
    }
    Ok(())
}

/// At once, without a sync, and by all ways of looking.
pub(super) async fn all_handles_see_a_write(env: Env, scene: Scene) -> Outcome {
    let path = scene.path("file");
    let mut writer = env.disk.open(&path, OpenMode::CreateNew).await?;
    let mut reader = env.disk.open(&path, OpenMode::Read).await?;
    let mut expected = Vec::new();
    for round in 0..10 {
        let piece = bytes(round, 1000);
        writer.write_at(expected.len() as u64, Bytes::from(piece.clone())).await?;
        expected.extend_from_slice(&piece);
        same_bytes("through an older handle", &read_fully(&mut *reader, 0, 100_000).await?, &expected)?;
        expect(&env, &path, &expected).await?;
        let len = expected.len() as u64;
        ensure!(reader.length().await? == len, "another handle's length is not {len}");
        ensure!(env.disk.metadata(&path).await?.len == len, "the metadata's length is not {len}");
    }
    drop(writer);
    expect(&env, &path, &expected).await
}

pub(super) async fn reads_end_with_the_file(env: Env, scene: Scene) -> Outcome {
    let path = scene.path("file");
    write(&env, &path, b"0123456789").await?;
    let mut file = env.disk.open(&path, OpenMode::Read).await?;
    let cases: [(u64, usize, &[u8]); 9] = [
        (0, 10, b"0123456789"),
        (0, 4, b"0123"),
        (6, 4, b"6789"),
        (6, 5, b"6789"),
        (9, 100 << 20, b"9"),
        (10, 1, b""),
        (11, 7, b""),
        (1 << 40, 7, b""),
        (3, 0, b""),
    ];
    for (offset, len, expected) in cases {
        let what = format!("{len} bytes from {offset}");
        let once = file.read_at(offset, len).await?;
        ensure!(expected.starts_with(&once), "{what}: one read gives {once:?}");
        ensure!(expected.is_empty() || !once.is_empty(), "{what}: one read gives nothing, though there is something");
        same_bytes(&what, &read_fully(&mut *file, offset, len).await?, expected)?;
    }
    Ok(())
}

pub(super) async fn bytes_in_the_middle_are_replaced(env: Env, scene: Scene) -> Outcome {
    let path = scene.path("file");
    write(&env, &path, b"0123456789").await?;
    let mut file = env.disk.open(&path, OpenMode::Write).await?;
    file.write_at(3, Bytes::from_static(b"abc")).await?;
    expect(&env, &path, b"012abc6789").await?;
    file.write_at(8, Bytes::from_static(b"xyz")).await?;
    expect(&env, &path, b"012abc67xyz").await?;
    file.write_at(5, Bytes::new()).await?;
    expect(&env, &path, b"012abc67xyz").await
}

pub(super) async fn a_gap_reads_as_zeros(env: Env, scene: Scene) -> Outcome {
    let path = scene.path("file");
    write(&env, &path, b"ab").await?;
    let mut file = env.disk.open(&path, OpenMode::Write).await?;
    file.write_at(5, Bytes::from_static(b"cd")).await?;
    expect(&env, &path, b"ab\0\0\0cd").await
}

pub(super) async fn a_handle_for_reading_does_not_write(env: Env, scene: Scene) -> Outcome {
    let path = scene.path("file");
    write(&env, &path, b"kept").await?;
    let mut file = env.disk.open(&path, OpenMode::Read).await?;
    let written = file.write_at(0, Bytes::from_static(b"lost")).await;
    ensure!(written.is_err(), "a handle for reading writes");
    expect(&env, &path, b"kept").await
}

/// Written in two pieces of several MiB, read back in many.
pub(super) async fn a_large_file_comes_back(env: Env, scene: Scene) -> Outcome {
    const LEN: usize = (6 << 20) + 5;
    let path = scene.path("file");
    let contents = Bytes::from(bytes(7, LEN));
    let mut file = env.disk.open(&path, OpenMode::CreateNew).await?;
    let (first, second) = (contents.slice(..LEN / 2), contents.slice(LEN / 2..));
    file.write_at((LEN / 2) as u64, second).await?;
    file.write_at(0, first).await?;
    file.sync().await?;
    ensure!(file.length().await? == LEN as u64, "the length is not {LEN}");
    let mut offset = 0;
    for size in [1, 4095, 1 << 20, 77_777, 3 << 20].into_iter().cycle() {
        let piece = read_fully(&mut *file, offset as u64, size).await?;
        let end = LEN.min(offset + size);
        same_bytes(&format!("{size} bytes from {offset}"), &piece, &contents[offset..end])?;
        offset = end;
        if offset == LEN {
            break;
        }
    }
    Ok(())
}

/// Each in a task of its own, in pieces that interleave.
pub(super) async fn many_handles_write_one_file(env: Env, scene: Scene) -> Outcome {
    const WRITERS: usize = 8;
    const PIECE: usize = 3000;
    let path: Arc<PathBuf> = Arc::new(scene.path("file"));
    let contents = Bytes::from(bytes(8, WRITERS * PIECE * 5));
    write(&env, &path, b"").await?;
    let mut tasks: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (env, path, contents) = (env.clone(), path.clone(), contents.clone());
            env.clone().spawner.start("writer", async move {
                let mut file = env.disk.open(&path, OpenMode::Write).await.expect("the file exists");
                for round in 0..5 {
                    let start = (round * WRITERS + writer) * PIECE;
                    let piece = contents.slice(start..start + PIECE);
                    file.write_at(start as u64, piece).await.expect("a small write succeeds");
                }
                file.sync().await.expect("a sync succeeds");
            })
        })
        .collect();
    for task in &mut tasks {
        let exit = soon(&env, "the end of a writer", task.join()).await?;
        ensure!(exit == crate::env::TaskExit::Completed, "a writer is {exit:?}");
    }
    expect(&env, &path, &contents).await
}

/// Operations of one handle do not overlap, also if nobody waits for the first: it takes place before the second, or not at
/// all.
pub(super) async fn an_abandoned_write_does_not_come_late(env: Env, scene: Scene) -> Outcome {
    let path = scene.path("file");
    let mut file = env.disk.open(&path, OpenMode::CreateNew).await?;
    for round in 0..20_u8 {
        let abandoned = Bytes::from(vec![255; 1 << 20]);
        let _ = file.write_at(0, abandoned).now_or_never();
        file.write_at(0, Bytes::from(vec![round; 100])).await?;
        for look in ["at once", "later"] {
            let found = read_fully(&mut *file, 0, 100).await?;
            ensure!(found[..] == [round; 100], "{look}, an abandoned write has replaced a later one: {found:?}");
            pause(&env, 1).await;
        }
    }
    Ok(())
}

/// On a new file, again without a change, and after another write.
pub(super) async fn syncing_succeeds(env: Env, scene: Scene) -> Outcome {
    let path = scene.path("file");
    let mut file = env.disk.open(&path, OpenMode::CreateNew).await?;
    file.sync().await?;
    file.write_at(0, Bytes::from_static(b"contents")).await?;
    file.sync().await?;
    file.sync().await?;
    file.write_at(2, Bytes::from_static(b"more contents")).await?;
    drop(file);
    // Whoever syncs makes durable what others wrote as well.
    let mut other = env.disk.open(&path, OpenMode::Write).await?;
    other.sync().await.map_err(|e| Broken::new(format!("syncing through another handle fails: {e}")))?;
    expect(&env, &path, b"comore contents").await
}
