//! What the simulated disk loses, and what it keeps.

mod support;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use support::in_world;
use tidegate::env::{Disk, DiskFile, Env, OpenMode};
use tidegate_sim::env::{Crash, DiskOp, World, WorldSettings};

const SEEDS: std::ops::Range<u64> = 0..200;

/// Runs a scene of node `a` in a world with the directory `/d`.
fn scene<T: Send>(seed: u64, act: impl AsyncFnOnce(World, Env) -> T + Send) -> T {
    in_world(seed, WorldSettings::default(), async move |world| {
        world.disk.create_directory_now(Path::new("/d"));
        let env = world.boot("a");
        act(world, env).await
    })
}

fn path(name: &str) -> PathBuf {
    Path::new("/d").join(name)
}

/// Three pages and a bit, no two sectors alike.
fn contents(tag: u8) -> Bytes {
    (0..3 * 4096 + 700_usize).map(|i| tag ^ (i / 512) as u8 | 0x80).collect()
}

/// Creates a file, and leaves it un-synced.
async fn write(env: &Env, name: &str, contents: &Bytes) -> Box<dyn DiskFile> {
    let mut file = env.disk.open(&path(name), OpenMode::Create).await.unwrap();
    file.write_at(0, contents.clone()).await.unwrap();
    file
}

async fn write_synced(env: &Env, name: &str, contents: &Bytes) {
    write(env, name, contents).await.sync().await.unwrap();
}

async fn sync_directory(env: &Env) {
    env.disk.sync_dir(Path::new("/d")).await.unwrap();
}

/// What a file holds.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// All of the `contents` of this tag.
    Whole(u8),
    /// So many bytes of anything else.
    Bytes(usize),
}

fn told(held: Option<Bytes>) -> Found {
    let whole = |found: &Bytes| [1, 2].into_iter().find(|tag| *found == contents(*tag));
    held.map_or(Found::Nothing, |found| whole(&found).map_or(Found::Bytes(found.len()), Found::Whole))
}

fn found(world: &World, name: &str) -> Found {
    told(world.disk.read_file_now(&path(name)))
}

/// What the file would hold after a loss of all power.
fn durable(world: &World, name: &str) -> Found {
    told(world.disk.read_durable(&path(name)))
}

/// Counts what becomes of something over all seeds.
fn fates(fate: impl Fn(u64) -> &'static str) -> BTreeMap<&'static str, usize> {
    let mut fates = BTreeMap::new();
    for seed in SEEDS {
        *fates.entry(fate(seed)).or_default() += 1;
    }
    fates
}

#[track_caller]
fn all_happen(fates: &BTreeMap<&'static str, usize>, expected: &[&'static str]) {
    assert_eq!(fates.keys().copied().collect::<Vec<_>>(), expected, "{fates:?}");
    assert!(fates.values().all(|n| *n >= 10), "{fates:?}");
}

#[test]
fn what_is_synced_with_its_name_stays() {
    for seed in SEEDS {
        scene(seed, async |world, env| {
            write_synced(&env, "file", &contents(1)).await;
            sync_directory(&env).await;
            assert_eq!(durable(&world, "file"), Found::Whole(1));
            world.crash("a", Crash::Power);
            assert_eq!(found(&world, "file"), Found::Whole(1));
        });
    }
}

#[test]
fn what_is_not_synced_is_lost_torn_or_kept() {
    let fates = fates(|seed| {
        scene(seed, async |world, env| {
            let _file = write(&env, "file", &contents(1)).await;
            sync_directory(&env).await;
            assert_eq!(durable(&world, "file"), Found::Bytes(0));
            world.crash("a", Crash::Power);
            let left = world.disk.read_file_now(&path("file")).expect("its name is synced");
            // Sector by sector, either what was written or nothing.
            for (sector, whole) in left.chunks(512).zip(contents(1).chunks(512)) {
                assert!(sector == whole || sector.iter().all(|b| *b == 0), "seed {seed}");
            }
            match left {
                left if left.is_empty() => "lost",
                left if left == contents(1) => "kept",
                _ => "torn",
            }
        })
    });
    all_happen(&fates, &["kept", "lost", "torn"]);
}

#[test]
fn a_name_that_is_not_synced_may_be_lost() {
    let fates = fates(|seed| {
        scene(seed, async |world, env| {
            write_synced(&env, "file", &contents(1)).await;
            assert_eq!(durable(&world, "file"), Found::Nothing);
            world.crash("a", Crash::Power);
            match found(&world, "file") {
                Found::Nothing => "lost",
                Found::Whole(1) => "kept",
                _ => "torn",
            }
        })
    });
    all_happen(&fates, &["kept", "lost"]);
}

#[test]
fn a_directory_that_is_not_synced_may_be_lost_with_all_that_is_in_it() {
    let fates = fates(|seed| {
        scene(seed, async |world, env| {
            env.disk.create_dir(&path("inner")).await.unwrap();
            write_synced(&env, "inner/file", &contents(1)).await;
            env.disk.sync_dir(&path("inner")).await.unwrap();
            assert_eq!(durable(&world, "inner/file"), Found::Nothing);
            world.crash("a", Crash::Power);
            match (world.disk.list_now(&path("")).len(), found(&world, "inner/file")) {
                (0, Found::Nothing) => "lost",
                (1, Found::Whole(1)) => "kept",
                _ => "torn",
            }
        })
    });
    all_happen(&fates, &["kept", "lost"]);
}

/// Also if somebody else has lost power meanwhile: what comes back can be used, and removed, like any directory.
#[test]
fn a_removal_that_is_not_synced_may_be_lost() {
    let fates = fates(|seed| {
        scene(seed, async |world, a| {
            a.disk.create_dir(&path("inner")).await.unwrap();
            sync_directory(&a).await;
            a.disk.remove_dir(&path("inner")).await.unwrap();
            let _b = world.boot("b");
            world.crash("b", Crash::Power);
            assert!(world.disk.list_now(&path("")).is_empty());
            world.crash("a", Crash::Power);
            if world.disk.list_now(&path("")).is_empty() {
                return "removed";
            }
            let a = world.boot("a");
            assert_eq!(a.disk.list(&path("inner")).await.unwrap(), []);
            a.disk.remove_dir(&path("inner")).await.unwrap();
            "back"
        })
    });
    all_happen(&fates, &["back", "removed"]);
}

/// Replaces a synced file by another synced one.
async fn replace(env: &Env) {
    write_synced(env, "file", &contents(1)).await;
    write_synced(env, "file.tmp", &contents(2)).await;
    sync_directory(env).await;
    env.disk.rename(&path("file.tmp"), &path("file")).await.unwrap();
}

#[test]
fn a_rename_happens_wholly_or_not_at_all() {
    let fates = fates(|seed| {
        scene(seed, async |world, env| {
            replace(&env).await;
            assert_eq!(found(&world, "file"), Found::Whole(2));
            world.crash("a", Crash::Power);
            match (found(&world, "file"), found(&world, "file.tmp")) {
                (Found::Whole(1), Found::Whole(2)) => "reverted",
                (Found::Whole(2), Found::Nothing) => "renamed",
                _ => "mixed",
            }
        })
    });
    all_happen(&fates, &["renamed", "reverted"]);
}

#[test]
fn a_rename_that_is_synced_stays() {
    for seed in SEEDS {
        scene(seed, async |world, env| {
            replace(&env).await;
            sync_directory(&env).await;
            world.crash("a", Crash::Power);
            assert_eq!((found(&world, "file"), found(&world, "file.tmp")), (Found::Whole(2), Found::Nothing));
        });
    }
}

/// A file that is removed, made anew and renamed, all un-synced: the new name never leads to the removed one.
#[test]
fn a_rename_moves_the_file_that_it_was_asked_to() {
    let fates = fates(|seed| {
        scene(seed, async |world, env| {
            write_synced(&env, "file.tmp", &contents(1)).await;
            sync_directory(&env).await;
            env.disk.remove_file(&path("file.tmp")).await.unwrap();
            write_synced(&env, "file.tmp", &contents(2)).await;
            env.disk.rename(&path("file.tmp"), &path("file")).await.unwrap();
            world.crash("a", Crash::Power);
            match found(&world, "file") {
                Found::Nothing => "lost",
                Found::Whole(2) => "renamed",
                _ => "another file",
            }
        })
    });
    all_happen(&fates, &["lost", "renamed"]);
}

#[test]
fn a_kill_of_the_process_loses_nothing() {
    for seed in SEEDS {
        scene(seed, async |world, env| {
            let _file = write(&env, "file", &contents(1)).await;
            let _other = write(&env, "other", &contents(2)).await;
            env.disk.rename(&path("other"), &path("renamed")).await.unwrap();
            let before = world.disk.tree_now();
            assert_eq!(before.len(), 2);
            world.crash("a", Crash::Process);
            assert_eq!(world.disk.tree_now(), before);
            // Nor does it sync anything.
            assert_eq!(durable(&world, "file"), Found::Nothing);
            drop(world.boot("a"));
            world.crash("a", Crash::Power);
            assert!(world.disk.tree_now().len() <= 2);
        });
    }
}

#[test]
fn a_loss_of_power_takes_only_what_is_its_own() {
    let fates = fates(|seed| {
        scene(seed, async |world, a| {
            let b = world.boot("b");
            let _ours = write(&a, "ours", &contents(1)).await;
            let _theirs = write(&b, "theirs", &contents(2)).await;
            world.crash("a", Crash::Power);
            assert_eq!(found(&world, "theirs"), Found::Whole(2));
            assert_eq!(durable(&world, "theirs"), Found::Nothing);
            if found(&world, "ours") == Found::Whole(1) { "kept" } else { "lost" }
        })
    });
    all_happen(&fates, &["kept", "lost"]);
}

/// Whether the operation is still waiting after more time than any takes.
async fn waits<T>(env: &Env, operation: impl Future<Output = T>) -> bool {
    tidegate::env::timeout(&*env.clock, std::time::Duration::from_secs(1), operation).await.is_none()
}

#[test]
fn the_dead_write_nothing() {
    scene(1, async |world, old| {
        let mut file = write(&old, "file", &contents(1)).await;
        let lock = old.disk.try_lock(&path("lock")).await.unwrap().expect("nobody has it");
        world.crash("a", Crash::Process);
        let new = world.boot("a");
        let before = world.disk.tree_now();
        let (disk, to) = (&old.disk, path("to"));
        assert!(waits(&new, file.write_at(0, Bytes::from_static(b"late"))).await);
        assert!(waits(&new, file.sync()).await);
        assert!(waits(&new, disk.open(&path("file"), OpenMode::Create)).await);
        assert!(waits(&new, disk.rename(&path("file"), &to)).await);
        assert!(waits(&new, disk.remove_file(&path("file"))).await);
        assert!(waits(&new, disk.sync_dir(Path::new("/d"))).await);
        assert_eq!(world.disk.tree_now(), before);
        assert_eq!(durable(&world, "file"), Found::Nothing);
        // The new life takes the lock, and the old one's end does not release it.
        let taken = new.disk.try_lock(&path("lock")).await.unwrap();
        drop(lock);
        assert!(taken.is_some() && new.disk.try_lock(&path("lock")).await.unwrap().is_none());
    });
}

#[test]
fn what_is_under_way_at_a_crash_does_not_happen() {
    scene(1, async |world, env| {
        let mut file = write(&env, "file", &contents(1)).await;
        let task = env.spawner.start("writer", async move {
            let _ = file.write_at(0, Bytes::from_static(b"late")).await;
        });
        env.clock.sleep_until(env.clock.now() + std::time::Duration::from_micros(1)).await;
        world.crash("a", Crash::Process);
        env.clock.sleep_until(env.clock.now() + std::time::Duration::from_secs(1)).await;
        assert_eq!(found(&world, "file"), Found::Whole(1));
        drop(task);
    });
}

/// One operation of a kind.
async fn operate(op: DiskOp, disk: &dyn Disk, file: &mut dyn DiskFile) -> io::Result<()> {
    match op {
        DiskOp::Open => disk.open(&path("file"), OpenMode::Write).await.map(drop),
        DiskOp::Read => file.read_at(0, 10).await.map(drop),
        DiskOp::Write => file.write_at(0, Bytes::from_static(b"anew")).await,
        DiskOp::Sync => file.sync().await,
        DiskOp::Rename => disk.rename(&path("file"), &path("renamed")).await,
        DiskOp::SyncDir => disk.sync_dir(Path::new("/d")).await,
        DiskOp::Other => disk.create_dir(&path("inner")).await,
    }
}

#[test]
fn an_injected_error_comes_once_on_its_node_and_changes_nothing() {
    use DiskOp::{Open, Other, Read, Rename, Sync, SyncDir, Write};
    for op in [Open, Read, Write, Sync, Rename, SyncDir, Other] {
        scene(1, async |world, env| {
            let mut file = write(&env, "file", &contents(1)).await;
            world.disk.fail_next("a", op, io::ErrorKind::StaleNetworkFileHandle);
            world.disk.fail_next("b", op, io::ErrorKind::NetworkDown);
            let before = world.disk.tree_now();
            let error = operate(op, &*env.disk, &mut *file).await.expect_err("it was armed");
            assert_eq!(error.kind(), io::ErrorKind::StaleNetworkFileHandle, "{op:?}");
            assert_eq!(world.disk.tree_now(), before, "{op:?}");
            assert_eq!(durable(&world, "file"), Found::Nothing, "{op:?}");
            operate(op, &*env.disk, &mut *file).await.unwrap_or_else(|e| panic!("{op:?} fails again: {e}"));
        });
    }
}

/// As Linux does it: the next sync succeeds, and what the failed one should have written is gone all the same.
#[test]
fn a_failed_sync_drops_what_it_should_have_written() {
    for seed in SEEDS {
        scene(seed, async |world, env| {
            write_synced(&env, "file", &contents(1)).await;
            sync_directory(&env).await;
            let mut file = env.disk.open(&path("file"), OpenMode::Write).await.unwrap();
            file.write_at(0, contents(2)).await.unwrap();
            world.disk.fail_next("a", DiskOp::Sync, io::ErrorKind::Other);
            file.sync().await.expect_err("it was armed");
            file.sync().await.unwrap();
            assert_eq!(found(&world, "file"), Found::Whole(2), "it can still be read");
            assert_eq!(durable(&world, "file"), Found::Whole(1));
            world.crash("a", Crash::Power);
            assert_eq!(found(&world, "file"), Found::Whole(1));
        });
    }
}

#[test]
fn a_full_disk_takes_what_fits() {
    scene(1, async |world, env| {
        world.disk.set_capacity(Some(10_000));
        let mut file = write(&env, "file", &contents(1).slice(..8_000)).await;
        let error = file.write_at(7_000, contents(2)).await.expect_err("3000 bytes fit");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        let expected = [&contents(1)[..7_000], &contents(2)[..3_000]].concat();
        let file_now = || world.disk.read_file_now(&path("file")).expect("it is there");
        assert!(file_now() == expected);
        assert_eq!(file.length().await.unwrap(), 10_000);
        // What is there can be replaced, and what was recorded is what is synced.
        file.write_at(0, Bytes::from_static(b"anew")).await.unwrap();
        file.sync().await.unwrap();
        sync_directory(&env).await;
        assert!(world.disk.read_durable(&path("file")) == Some(file_now()));
        // A gap counts as well.
        let mut other = write(&env, "other", &Bytes::new()).await;
        let error = other.write_at(1 << 40, Bytes::from_static(b"far")).await.expect_err("nothing fits");
        assert_eq!((error.kind(), found(&world, "other")), (io::ErrorKind::StorageFull, Found::Bytes(0)));
        env.disk.remove_file(&path("file")).await.unwrap();
        other.write_at(0, contents(2).slice(..10_000)).await.unwrap();
    });
}
