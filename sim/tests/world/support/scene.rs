//! A scene on the disk of a world without an engine.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use tidegate::env::{DiskFile, Env, OpenMode};
use tidegate_sim::env::{World, WorldSettings};

use crate::support::in_world;

pub const SEEDS: std::ops::Range<u64> = 0..200;

/// Runs a scene of node `a` in a world with the directory `/d`.
pub fn scene<T: Send>(seed: u64, act: impl AsyncFnOnce(World, Env) -> T + Send) -> T {
    in_world(seed, WorldSettings::default(), async move |world| {
        world.disk.create_directory_now(Path::new("/d"));
        let env = world.boot("a");
        act(world, env).await
    })
}

pub fn path(name: &str) -> PathBuf {
    Path::new("/d").join(name)
}

/// Three pages and a bit, no two sectors alike.
pub fn contents(tag: u8) -> Bytes {
    (0..3 * 4096 + 700_usize).map(|i| tag ^ (i / 512) as u8 | 0x80).collect()
}

/// Creates a file, and leaves it un-synced.
pub async fn write(env: &Env, name: &str, contents: &Bytes) -> Box<dyn DiskFile> {
    let mut file = env.disk.open(&path(name), OpenMode::Create).await.unwrap();
    file.write_at(0, contents.clone()).await.unwrap();
    file
}

pub async fn write_synced(env: &Env, name: &str, contents: &Bytes) {
    write(env, name, contents).await.sync().await.unwrap();
}

pub async fn sync_directory(env: &Env) {
    env.disk.sync_dir(Path::new("/d")).await.unwrap();
}
