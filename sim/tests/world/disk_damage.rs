//! What the simulated disk does to files that are stored, or says to have stored.

use bytes::Bytes;
use tidegate::{
    env::{Env, OpenMode},
    storage::{read_file, write_durably},
};
use tidegate_sim::{
    checker::DiskView,
    env::{Crash, World},
    fault::{
        Damage::{FlipBit, FlipBitOnRead, Remove, Truncate},
        FaultKind,
        FileKind::{Manifest, Snapshot},
    },
};

use crate::support::scene::{SEEDS, contents, path, scene, sync_directory, write, write_synced};

const OLD: &str = "state/a-0-1.1-1.state";
const NEW: &str = "state/a-0-1.1-2.state";
const THIRD: &str = "state/c-0-1.1-1.state";
const MANIFEST: &str = "manifest-0";

/// Two snapshots and a manifest, stored durably in this order, and one that is being written.
async fn store(world: &World, env: &Env) {
    world.disk.create_directory_now(&path("state"));
    for (name, text) in [(OLD, "old snapshot"), (NEW, "new snapshot"), (MANIFEST, "manifest")] {
        write_durably(&*env.disk, &path(name), text.into()).await.unwrap();
    }
    write_synced(env, "state/b-0-1.1-1.state.tmp", &Bytes::from_static(b"half a snapshot")).await;
}

async fn text(env: &Env, name: &str) -> String {
    match read_file(&*env.disk, &path(name)).await {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(e) => format!("{:?}", e.kind()),
    }
}

#[test]
fn damage_at_rest_is_to_the_newest_whole_file_and_stays() {
    let cases = [
        (FlipBit { byte: 0 }, "oew snapshot"),
        (FlipBit { byte: 12 + 11 }, "new snapshou"),
        (Truncate { to: 3 }, "new"),
        (Truncate { to: 1000 }, "new snapsho"),
        (Remove, "NotFound"),
    ];
    for (damage, expected) in cases {
        scene(1, async |world, env| {
            assert_eq!(world.disk.damage(Snapshot, damage), None, "there is none yet");
            store(&world, &env).await;
            assert_eq!(world.disk.damage(Snapshot, damage), Some(path(NEW)));
            assert_eq!(world.disk.happened()[&FaultKind::Damage], 1);
            world.crash("a", Crash::Power);
            let b = world.boot("b");
            assert_eq!(text(&b, NEW).await, expected, "{damage:?}");
            assert_eq!(text(&b, OLD).await, "old snapshot");
            assert_eq!(text(&b, MANIFEST).await, "manifest");
            let stored = |now: Option<Bytes>| now.map_or("NotFound".into(), |b| String::from_utf8(b.to_vec()).unwrap());
            assert_eq!(stored(world.disk.read_durable(&path(NEW))), expected, "{damage:?}");
            // Checkers judge what was stored.
            let view: &dyn DiskView = &*world.disk;
            assert_eq!(stored(view.read(&path(NEW))), "new snapshot", "{damage:?}");
            assert_eq!(stored(view.read_durable(&path(NEW))), "new snapshot", "{damage:?}");
            // A new file in its place is whole.
            write_durably(&*b.disk, &path(NEW), "anew".into()).await.unwrap();
            assert_eq!(text(&b, NEW).await, "anew", "{damage:?}");
        });
    }
}

#[test]
fn a_manifest_is_another_kind() {
    scene(1, async |world, env| {
        store(&world, &env).await;
        assert_eq!(world.disk.damage(Manifest, FlipBit { byte: 0 }), Some(path(MANIFEST)));
        assert_eq!((&*text(&env, MANIFEST).await, &*text(&env, NEW).await), ("lanifest", "new snapshot"));
    });
}

#[test]
fn a_bit_is_misread_once() {
    scene(1, async |world, env| {
        store(&world, &env).await;
        world.disk.damage(Snapshot, FlipBitOnRead { byte: 4 });
        assert_eq!(world.disk.read_file_now(&path(NEW)).unwrap(), "new snapshot");
        let mut file = env.disk.open(&path(NEW), OpenMode::Read).await.unwrap();
        assert_eq!(file.read_at(0, 4).await.unwrap(), "new ", "the byte is not covered");
        assert_eq!(file.read_at(4, 8).await.unwrap(), "rnapshot");
        assert_eq!(text(&env, NEW).await, "new snapshot");
    });
}

/// Stores a third snapshot, one write to a snapshot of this node going astray.
async fn misdirect(world: &World, env: &Env, contents: &'static str) {
    world.disk.misdirect_next("b", Snapshot);
    world.disk.misdirect_next("a", Snapshot);
    let third = path(THIRD);
    // Not for this one.
    write_durably(&*env.disk, &path("manifest-1"), "another".into()).await.unwrap();
    write_durably(&*env.disk, &third, contents.into()).await.unwrap();
    assert_eq!(world.disk.happened()[&FaultKind::Misdirect], 1);
}

#[test]
fn a_misdirected_write_lands_in_another_file_of_the_kind() {
    scene(1, async |world, env| {
        store(&world, &env).await;
        misdirect(&world, &env, "MISDIRECTED!!").await;
        world.crash("a", Crash::Power);
        let b = world.boot("c");
        assert_eq!(text(&b, THIRD).await, "");
        assert_eq!(text(&b, NEW).await, "MISDIRECTED!!");
        assert_eq!(text(&b, OLD).await, "old snapshot");
        assert_eq!(text(&b, "manifest-1").await, "another");
        let view: &dyn DiskView = &*world.disk;
        assert_eq!(view.read_durable(&path(NEW)).unwrap(), "new snapshot");
        assert_eq!(view.read_durable(&path(THIRD)).unwrap(), "MISDIRECTED!!");
    });
}

#[test]
fn a_misdirected_write_to_the_only_file_lands_a_sector_further() {
    scene(1, async |world, env| {
        world.disk.create_directory_now(&path("state"));
        misdirect(&world, &env, "first").await;
        let left = world.disk.read_durable(&path(THIRD)).unwrap();
        assert_eq!((left.len(), &left[..512], &left[512..]), (517, &[0; 512][..], &b"first"[..]));
    });
}

#[test]
fn a_sync_that_lies_makes_nothing_durable() {
    for seed in SEEDS {
        scene(seed, async |world, env| {
            world.disk.lie_on_sync("a", true);
            let mut file = write(&env, "file", &contents(1)).await;
            file.sync().await.unwrap();
            sync_directory(&env).await;
            assert_eq!(world.disk.read_durable(&path("file")), None);
            // An honest sync makes good for it.
            if seed % 2 == 0 {
                world.disk.lie_on_sync("a", false);
                file.sync().await.unwrap();
                sync_directory(&env).await;
            }
            world.crash("a", Crash::Power);
            let left = world.disk.read_file_now(&path("file"));
            assert!(seed % 2 == 1 || left == Some(contents(1)), "seed {seed}");
        });
    }
}
