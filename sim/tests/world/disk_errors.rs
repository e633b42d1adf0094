//! Operations of the simulated disk that fail, hang, or do less than was asked for.

use std::{collections::BTreeMap, io, path::Path, time::Duration};

use bytes::Bytes;
use tidegate::{
    env::{Disk, DiskFile, OpenMode},
    instant::Instant,
    storage::read_file,
};
use tidegate_sim::{
    env::{Crash, DiskOp, DiskSettings, World, WorldSettings},
    fault::{DiskError, FaultKind},
};

use crate::support::{
    in_world,
    scene::{SEEDS, contents, path, scene, sync_directory, write, write_synced},
};

/// One operation of a kind.
async fn operate(op: DiskOp, disk: &dyn Disk, file: &mut dyn DiskFile) -> io::Result<()> {
    match op {
        DiskOp::Open => disk.open(&path("file"), OpenMode::Write).await.map(drop),
        DiskOp::Read => file.read_at(0, 10).await.map(drop),
        DiskOp::Write => file.write_at(0, Bytes::from_static(ANEW)).await,
        DiskOp::Sync => file.sync().await,
        DiskOp::Rename => disk.rename(&path("file"), &path("renamed")).await,
        DiskOp::SyncDir => disk.sync_dir(Path::new("/d")).await,
        DiskOp::Other => disk.create_dir(&path("inner")).await,
    }
}

const ALL: [DiskOp; 7] =
    [DiskOp::Open, DiskOp::Read, DiskOp::Write, DiskOp::Sync, DiskOp::Rename, DiskOp::SyncDir, DiskOp::Other];

fn now(world: &World, name: &str) -> Option<Bytes> {
    world.disk.read_file_now(&path(name))
}

fn durable(world: &World, name: &str) -> Option<Bytes> {
    world.disk.read_durable(&path(name))
}

/// What is written: two sectors.
const ANEW: &[u8] = &[b'n'; 1024];

#[test]
fn an_error_comes_once_on_its_node_and_changes_nothing_but_half_a_write() {
    for (error, kind) in [(DiskError::Io, io::ErrorKind::Other), (DiskError::NoSpace, io::ErrorKind::StorageFull)] {
        for op in ALL {
            scene(1, async |world, env| {
                let mut file = write(&env, "file", &contents(1)).await;
                world.disk.fail_next("a", op, error);
                world.disk.fail_next("b", op, error);
                let mut expected = world.disk.tree_now();
                if op == DiskOp::Write {
                    let half = [&ANEW[..512], &contents(1)[512..]].concat();
                    expected.insert(path("file"), half.into());
                }
                let told = operate(op, &*env.disk, &mut *file).await.expect_err("it was armed");
                assert_eq!(told.kind(), kind, "{op:?}");
                assert_eq!(world.disk.tree_now(), expected, "{op:?}");
                assert_eq!(durable(&world, "file"), None, "{op:?}");
                operate(op, &*env.disk, &mut *file).await.unwrap_or_else(|e| panic!("{op:?} fails again: {e}"));
                assert_eq!(world.disk.happened().into_values().collect::<Vec<_>>(), [1], "{op:?}");
            });
        }
    }
}

/// Promise 8 of `Disk`.
#[test]
fn a_sector_is_not_written_in_half() {
    for (offset, length, is_atomic) in [(0, 512, true), (512, 512, true), (700, 8, true), (508, 8, false)] {
        scene(1, async |world, env| {
            let mut file = write(&env, "file", &contents(1)).await;
            world.disk.fail_next("a", DiskOp::Write, DiskError::Io);
            let before = world.disk.tree_now();
            file.write_at(offset, Bytes::from_static(&ANEW[..length])).await.expect_err("it was armed");
            assert_eq!(world.disk.tree_now() == before, is_atomic, "{length} bytes at {offset}");
        });
    }
}

#[test]
fn an_error_after_the_effect_comes_when_all_is_done() {
    for op in ALL {
        let outcome = |fails: bool| {
            scene(1, async move |world, env| {
                let mut file = write(&env, "file", &contents(1)).await;
                // Names and contents are durable only together.
                if op == DiskOp::Sync {
                    sync_directory(&env).await;
                } else {
                    file.sync().await.unwrap();
                }
                if fails {
                    world.disk.fail_next("a", op, DiskError::AfterEffect);
                }
                let result = operate(op, &*env.disk, &mut *file).await;
                assert_eq!(result.is_err(), fails, "{op:?}");
                (world.disk.tree_now(), world.disk.list_now(&path("")), durable(&world, "file"))
            })
        };
        assert_eq!(outcome(true), outcome(false), "{op:?}");
    }
    // What fails by itself says why.
    scene(1, async |world, env| {
        world.disk.fail_next("a", DiskOp::Open, DiskError::AfterEffect);
        let error = env.disk.open(&path("missing"), OpenMode::Read).await.err().expect("there is none");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    });
}

#[test]
fn what_was_to_fail_is_forgiven() {
    scene(1, async |world, env| {
        let mut file = write(&env, "file", &contents(1)).await;
        for op in ALL {
            world.disk.fail_next("a", op, DiskError::Io);
        }
        world.disk.stall("a", env.clock.now() + Duration::from_secs(3600));
        world.disk.lie_on_sync("a", true);
        world.disk.forgive();
        for op in [DiskOp::Read, DiskOp::Write, DiskOp::Sync, DiskOp::SyncDir] {
            operate(op, &*env.disk, &mut *file).await.unwrap();
        }
        assert!(env.clock.now() < Instant(1_000_000_000));
        assert_eq!(durable(&world, "file"), now(&world, "file"));
        assert_eq!(world.disk.happened().len(), 0);
    });
}

#[test]
fn a_disk_hangs_for_what_begins_and_for_what_is_under_way() {
    scene(1, async |world, env| {
        let b = world.boot("b");
        let mut file = write(&env, "file", &contents(1)).await;
        let until = env.clock.now() + Duration::from_secs(5);
        let mut writer = env.spawner.start("writer", async move { file.write_at(0, contents(2)).await.unwrap() });
        env.clock.sleep_until(env.clock.now() + Duration::from_micros(1)).await;
        world.disk.stall("a", until);
        b.disk.metadata(&path("file")).await.unwrap();
        assert!(b.clock.now() < until, "another node's disk hangs as well");
        sync_directory(&env).await;
        writer.join().await;
        let soon_after = until..until + Duration::from_millis(1);
        assert!(soon_after.contains(&env.clock.now()), "{}", env.clock.now());
        assert_eq!(world.disk.happened(), BTreeMap::from([(FaultKind::StallDisk, 2)]));
        sync_directory(&env).await;
        assert!(env.clock.now() < until + Duration::from_millis(5), "it is over");
    });
}

#[test]
fn short_reads_give_something_and_all_of_it_in_the_end() {
    let disk = DiskSettings { short_reads: 50, ..DiskSettings::default() };
    in_world(1, WorldSettings { disk, ..WorldSettings::default() }, async |world| {
        world.disk.write_file_now(&path("file"), &contents(1));
        let env = world.boot("a");
        let mut file = env.disk.open(&path("file"), OpenMode::Read).await.unwrap();
        let (mut short, mut whole) = (0, 0);
        for _ in 0..100 {
            let read = file.read_at(100, 1000).await.unwrap();
            assert!(!read.is_empty() && contents(1)[100..1100].starts_with(&read));
            *(if read.len() < 1000 { &mut short } else { &mut whole }) += 1;
        }
        assert!(short > 30 && whole > 30, "{short} short reads, {whole} whole ones");
        assert_eq!(file.read_at(contents(1).len() as u64, 10).await.unwrap().len(), 0);
        assert_eq!(read_file(&*env.disk, &path("file")).await.unwrap(), contents(1));
    });
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
            world.disk.fail_next("a", DiskOp::Sync, DiskError::Io);
            file.sync().await.expect_err("it was armed");
            file.sync().await.unwrap();
            assert_eq!(now(&world, "file"), Some(contents(2)), "it can still be read");
            assert_eq!(durable(&world, "file"), Some(contents(1)));
            world.crash("a", Crash::Power);
            assert_eq!(now(&world, "file"), Some(contents(1)));
        });
    }
}

#[test]
fn a_full_disk_takes_what_fits() {
    scene(1, async |world, env| {
        world.disk.leave_room(Some(10_000));
        let mut file = write(&env, "file", &contents(1).slice(..8_000)).await;
        let error = file.write_at(7_000, contents(2)).await.expect_err("3000 bytes fit");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        let expected = [&contents(1)[..7_000], &contents(2)[..3_000]].concat();
        assert!(now(&world, "file").expect("it is there") == expected);
        assert_eq!(file.length().await.unwrap(), 10_000);
        // What is there can be replaced, and what was recorded is what is synced.
        file.write_at(0, Bytes::from_static(b"anew")).await.unwrap();
        file.sync().await.unwrap();
        sync_directory(&env).await;
        assert!(durable(&world, "file") == now(&world, "file"));
        // A gap counts as well.
        let mut other = write(&env, "other", &Bytes::new()).await;
        let error = other.write_at(1 << 40, Bytes::from_static(b"far")).await.expect_err("nothing fits");
        assert_eq!((error.kind(), now(&world, "other")), (io::ErrorKind::StorageFull, Some(Bytes::new())));
        env.disk.remove_file(&path("file")).await.unwrap();
        other.write_at(0, contents(2).slice(..10_000)).await.unwrap();
    });
}
