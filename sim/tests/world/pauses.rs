//! A node that stops, and goes on as if nothing had been.

use std::{path::Path, time::Duration};

use madsim::runtime::Handle;
use tidegate::env::{Address, ByteStream, Env, OpenMode, timeout};
use tidegate_sim::env::{Crash, DiskSettings, World, WorldSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::in_world;

const SECOND: Duration = Duration::from_secs(1);

/// Answers each byte with the number of bytes so far, and writes it down.
async fn count(env: Env) {
    let mut listener = env.network.bind(&Address::new("b:7")).await.unwrap();
    let mut file = env.disk.open(Path::new("/count"), OpenMode::Create).await.unwrap();
    let ByteStream { mut reader, mut writer } = listener.accept().await.unwrap();
    for n in 1.. {
        let Ok(_) = reader.read_u8().await else { return };
        file.write_at(0, vec![n].into()).await.unwrap();
        writer.write_all(&[n]).await.unwrap();
    }
}

/// Plays a scene with a node `b` that counts, and a connection to it. A write to the disk takes a tenth of a second.
fn with_counter(scene: impl AsyncFn(World, madsim::task::NodeId, ByteStream) + Send + Sync) {
    let disk = DiskSettings { latency_min_us: 100_000, latency_max_us: 100_000, ..DiskSettings::default() };
    for seed in 0..5 {
        in_world(seed, WorldSettings { disk: disk.clone(), ..WorldSettings::default() }, async |world| {
            let booting = world.clone();
            let live = move || {
                let world = booting.clone();
                async move { count(world.boot("b")).await }
            };
            let node = Handle::current().create_node().name("b").init(live).build();
            world.sleep(SECOND).await;
            let stream = world.boot("a").network.connect(&Address::new("b:7")).await.unwrap();
            scene(world, node.id(), stream).await;
        });
    }
}

/// What comes within a second.
async fn answer(world: &World, stream: &mut ByteStream) -> Option<u8> {
    timeout(&*world.boot("clock").clock, SECOND, stream.reader.read_u8()).await.map(|n| n.unwrap())
}

fn written(world: &World) -> Vec<u8> {
    world.disk.read_file_now(Path::new("/count")).unwrap().to_vec()
}

#[test]
fn a_paused_node_does_nothing_and_goes_on_where_it_was() {
    with_counter(async |world, node, mut stream| {
        stream.writer.write_all(b"x").await.unwrap();
        assert_eq!(answer(&world, &mut stream).await, Some(1));
        stream.writer.write_all(b"x").await.unwrap();
        world.sleep(SECOND / 20).await;
        // It has begun to write.
        Handle::current().pause(node);
        stream.writer.write_all(b"x").await.unwrap();
        assert_eq!(answer(&world, &mut stream).await, None);
        assert_eq!(written(&world), [1], "what it has begun is not done");
        // The operating system takes connections all the same.
        assert!(world.boot("c").network.connect(&Address::new("b:7")).await.is_ok());
        Handle::current().resume(node);
        assert_eq!([answer(&world, &mut stream).await, answer(&world, &mut stream).await], [Some(2), Some(3)]);
        assert_eq!(written(&world), [3]);
    });
}

#[test]
fn a_paused_node_can_die_and_live_again() {
    with_counter(async |world, node, mut stream| {
        stream.writer.write_all(b"x").await.unwrap();
        world.sleep(SECOND / 20).await;
        Handle::current().pause(node);
        world.sleep(SECOND).await;
        world.crash("b", Crash::Process);
        Handle::current().kill(node);
        assert!(stream.reader.read_u8().await.is_err(), "its connections end");
        Handle::current().restart(node);
        world.sleep(SECOND).await;
        let mut stream = world.boot("a").network.connect(&Address::new("b:7")).await.unwrap();
        assert_eq!(written(&world), [0_u8; 0], "what the dead had begun is never done");
        stream.writer.write_all(b"x").await.unwrap();
        assert_eq!(answer(&world, &mut stream).await, Some(1), "it has begun anew");
    });
}
