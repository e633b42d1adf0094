//! What the simulated world costs in real time: a frame, a file made durable, a step; the same frames and files in madsim's own
//! world and in turmoil's.
//!
//! The three do not do the same: ours has latency by link, a bounded window, half-open connections, torn pages and names that are
//! lost apart from contents; madsim's files cannot be renamed and forget nothing; turmoil's time passes in ticks. The figures
//! say what a run of that size costs, not who is better.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "benches measure real time")]

use std::{path::Path, time::Duration};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use madsim::runtime::{Handle, Runtime};
use tidegate::env::{Address, OpenMode};
use tidegate_scenarios::catalogue::find;
use tidegate_sim::{
    env::{World, WorldSettings, WorldStreams},
    fault::FaultPlan,
    run::{RunSpec, run},
    seed::Seed,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Frames of a run, each of so many bytes.
const FRAMES: usize = 2_000;
const FRAME: usize = 128;
/// Files of a run, each of so many bytes.
const FILES: usize = 500;
const FILE: usize = 4_096;

/// A simulation needs a thread of its own.
fn in_fresh_thread(run: impl FnOnce() + Send) {
    std::thread::scope(|scope| scope.spawn(run).join()).expect("it does not panic");
}

fn world() -> World {
    World::new(WorldStreams::of(Seed(1)), WorldSettings::default())
}

async fn read_frames(mut reader: impl tokio::io::AsyncRead + Unpin) {
    let mut frame = [0; FRAME];
    for _ in 0..FRAMES {
        reader.read_exact(&mut frame).await.expect("the stream is whole");
    }
}

async fn write_frames(mut writer: impl tokio::io::AsyncWrite + Unpin) {
    for _ in 0..FRAMES {
        writer.write_all(&[7; FRAME]).await.expect("the reader is there");
        writer.flush().await.expect("the reader is there");
    }
}

fn frames_here() {
    in_fresh_thread(|| {
        Runtime::with_seed_and_config(1, madsim::Config::default()).block_on(async {
            let world = world();
            let (there, here) = (world.boot("b"), world.boot("a"));
            let mut listener = there.network.bind(&Address::new("b:1")).await.expect("the port is free");
            let node = Handle::current().create_node().name("b").build();
            let read = node.spawn(async move {
                let stream = listener.accept().await.expect("somebody comes");
                read_frames(stream.reader).await;
            });
            let stream = here.network.connect(&Address::new("b:1")).await.expect("it listens");
            write_frames(stream.writer).await;
            read.await.expect("it does not panic");
        });
    });
}

fn frames_in_madsim() {
    in_fresh_thread(|| {
        Runtime::with_seed_and_config(1, madsim::Config::default()).block_on(async {
            let node =
                |name, ip: &str| Handle::current().create_node().name(name).ip(ip.parse().expect("an address")).build();
            let (a, b) = (node("a", "10.0.0.1"), node("b", "10.0.0.2"));
            let listening = std::sync::Arc::new(tokio::sync::Notify::new());
            let ready = listening.clone();
            let read = b.spawn(async move {
                let listener = madsim::net::TcpListener::bind("10.0.0.2:1").await.expect("the port is free");
                ready.notify_one();
                let (mut stream, _) = listener.accept().await.expect("somebody comes");
                read_frames(&mut stream).await;
            });
            listening.notified().await;
            let write = a.spawn(async move {
                let mut stream = madsim::net::TcpStream::connect("10.0.0.2:1").await.expect("it listens");
                write_frames(&mut stream).await;
                std::future::pending::<()>().await;
            });
            read.await.expect("it does not panic");
            write.abort();
        });
    });
}

fn turmoil_world() -> turmoil::Sim<'static> {
    turmoil::Builder::new()
        .rng_seed(1)
        .simulation_duration(Duration::from_secs(3_600))
        .tcp_capacity(FRAMES)
        .min_message_latency(Duration::from_micros(50))
        .max_message_latency(Duration::from_micros(500))
        .build()
}

fn frames_in_turmoil() {
    in_fresh_thread(|| {
        let mut sim = turmoil_world();
        sim.client("b", async {
            let listener = turmoil::net::TcpListener::bind("0.0.0.0:1").await?;
            let (stream, _) = listener.accept().await?;
            read_frames(stream).await;
            Ok(())
        });
        sim.client("a", async {
            let stream = turmoil::net::TcpStream::connect("b:1").await?;
            let (reader, writer) = stream.into_split();
            write_frames(writer).await;
            drop(reader);
            Ok(())
        });
        sim.run().expect("both end");
    });
}

fn files_here() {
    in_fresh_thread(|| {
        Runtime::with_seed_and_config(1, madsim::Config::default()).block_on(async {
            let world = world();
            let disk = world.boot("a").disk;
            let contents = Bytes::from(vec![7; FILE]);
            world.disk.create_directory_now(Path::new("/d"));
            for n in 0..FILES {
                let (from, to) = (format!("/d/{n}.tmp"), format!("/d/{n}"));
                let mut file = disk.open(Path::new(&from), OpenMode::Create).await.expect("there is room");
                file.write_at(0, contents.clone()).await.expect("there is room");
                file.sync().await.expect("nothing fails");
                disk.rename(Path::new(&from), Path::new(&to)).await.expect("nothing fails");
                disk.sync_dir(Path::new("/d")).await.expect("nothing fails");
            }
        });
    });
}

/// Without the rename, which it does not have.
fn files_in_madsim() {
    in_fresh_thread(|| {
        Runtime::with_seed_and_config(1, madsim::Config::default()).block_on(async {
            let node = Handle::current().create_node().name("a").build();
            let write = node.spawn(async {
                for n in 0..FILES {
                    let file = madsim::fs::File::create(format!("/{n}")).await.expect("nothing fails");
                    file.write_all_at(&[7; FILE], 0).await.expect("nothing fails");
                    file.sync_all().await.expect("nothing fails");
                }
            });
            write.await.expect("it does not panic");
        });
    });
}

fn files_in_turmoil() {
    use std::os::unix::fs::FileExt;

    use turmoil::fs::shim::std::fs::{OpenOptions, create_dir, rename, sync_dir};

    in_fresh_thread(|| {
        let mut sim = turmoil_world();
        sim.client("a", async {
            create_dir("/d")?;
            for n in 0..FILES {
                let (from, to) = (format!("/d/{n}.tmp"), format!("/d/{n}"));
                let file = OpenOptions::new().write(true).create(true).open(&from)?;
                file.write_all_at(&[7; FILE], 0)?;
                file.sync_all()?;
                rename(&from, &to)?;
                sync_dir("/d")?;
            }
            Ok(())
        });
        sim.run().expect("it ends");
    });
}

/// A step with all that hangs on it: the report, the history, every checker, and the work of the engine between two of them.
fn steps() -> usize {
    let spec = find("wordcount").and_then(|s| s.spec(2)).expect("it is in the catalogue");
    let report = run(&RunSpec { plan: FaultPlan::new(Vec::new()), ..spec }).expect("it makes sense");
    report.history.facts().count()
}

/// What a bench runs, and what it is called.
type Subject = (&'static str, fn());

fn bench_all(criterion: &mut Criterion, name: &str, elements: usize, subjects: &[Subject]) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(elements as u64)).sample_size(10);
    for (subject, run) in subjects {
        group.bench_function(BenchmarkId::from_parameter(subject), |bencher| bencher.iter(run));
    }
    group.finish();
}

fn world_costs(criterion: &mut Criterion) {
    let frames: [Subject; 3] =
        [("tidegate", frames_here), ("madsim", frames_in_madsim), ("turmoil", frames_in_turmoil)];
    bench_all(criterion, "frame of 128 bytes", FRAMES, &frames);
    let files: [Subject; 3] = [("tidegate", files_here), ("madsim", files_in_madsim), ("turmoil", files_in_turmoil)];
    bench_all(criterion, "file of 4 KiB made durable", FILES, &files);
    bench_all(
        criterion,
        "step of a run",
        steps(),
        &[("tidegate", || {
            let _ = steps();
        })],
    );
}

criterion_group!(benches, world_costs);
criterion_main!(benches);
