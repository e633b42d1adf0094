//! What the simulated disk loses when a node dies, and what it keeps.

use std::{collections::BTreeMap, path::Path};

use bytes::Bytes;
use futures_util::FutureExt;
use tidegate::env::{Env, OpenMode};
use tidegate_sim::env::{Crash, World};

use crate::support::scene::{SEEDS, contents, path, scene, sync_directory, write, write_synced};

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
            match world.disk.read_file_now(&path("file")).expect("its name is synced") {
                left if left.is_empty() => "lost",
                left if left == contents(1) => "kept",
                _ => "torn",
            }
        })
    });
    all_happen(&fates, &["kept", "lost", "torn"]);
}

/// What a loss of power made of each sector of an overwritten page: `-` as before, `+` as written, `?` garbage.
fn sectors(seed: u64) -> String {
    scene(seed, async |world, env| {
        let (before, after) = (contents(1).slice(..4096), contents(2).slice(..4096));
        write_synced(&env, "file", &before).await;
        sync_directory(&env).await;
        let mut file = env.disk.open(&path("file"), OpenMode::Write).await.unwrap();
        file.write_at(0, after.clone()).await.unwrap();
        world.crash("a", Crash::Power);
        let left = world.disk.read_file_now(&path("file")).expect("it is synced");
        assert_eq!(left.len(), 4096);
        let sign = |at: usize| match &left[at..at + 512] {
            sector if *sector == before[at..at + 512] => '-',
            sector if *sector == after[at..at + 512] => '+',
            _ => '?',
        };
        (0..4096).step_by(512).map(sign).collect()
    })
}

#[test]
fn a_page_is_torn_to_the_left_to_the_right_or_as_a_whole_and_the_rest_is_old_or_garbage() {
    let fates = fates(|seed| {
        let mut sectors = sectors(seed);
        let (first, last) = (sectors.remove(0), sectors.pop().expect("a page has eight sectors"));
        match (first, last) {
            ('-', '-') => "old",
            ('+', '+') => "new",
            ('?', '?') => "garbage",
            ('-', '+') => "left old",
            ('+', '-') => "right old",
            ('?', '+') => "left garbage",
            ('+', '?') => "right garbage",
            _ => "something else",
        }
    });
    let expected = ["garbage", "left garbage", "left old", "new", "old", "right garbage", "right old"];
    assert_eq!(fates.keys().copied().collect::<Vec<_>>(), expected, "{fates:?}");
}

/// Three writes to the same page: what is left is that of the first few, of any, and of any in another order.
#[test]
fn writes_are_kept_up_to_one_in_part_or_out_of_order() {
    let fates = fates(|seed| {
        scene(seed, async |world, env| {
            write_synced(&env, "file", &Bytes::from_static(b"...")).await;
            sync_directory(&env).await;
            let mut file = env.disk.open(&path("file"), OpenMode::Write).await.unwrap();
            for write in ["1..", "22.", "333"] {
                file.write_at(0, Bytes::from(write.trim_end_matches('.'))).await.unwrap();
            }
            world.crash("a", Crash::Power);
            let left = world.disk.read_file_now(&path("file")).expect("it is synced");
            match &left[..] {
                b"..." => "none",
                b"1.." => "the first",
                b"22." => "two, or the second",
                b"333" => "all, or the third",
                b"12." => "the first after the second",
                b"133" | b"223" => "others after the third",
                _ => "garbage",
            }
        })
    });
    assert_eq!(fates.len(), 7, "{fates:?}");
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

/// As a system call goes on that was begun, though the task that waited for it was canceled.
#[test]
fn what_nobody_waits_for_any_more_happens_or_not() {
    let fates = fates(|seed| {
        scene(seed, async |world, env| {
            let mut file = write(&env, "file", &contents(1)).await;
            assert!(file.write_at(0, contents(2)).now_or_never().is_none(), "it takes its time");
            match found(&world, "file") {
                Found::Whole(1) => "not done",
                Found::Whole(2) => "done",
                _ => "torn",
            }
        })
    });
    all_happen(&fates, &["done", "not done"]);
}
