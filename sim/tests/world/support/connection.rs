//! Two nodes with a connection between them, and what can be tried with it.

use std::{io, time::Duration};

use futures_util::future::join;
use tidegate::env::{Address, ByteStream, Env, Listener, timeout};
use tidegate_sim::env::{NetworkSettings, World, WorldSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::in_world;

pub const WINDOW: usize = 1000;
pub const SECOND: Duration = Duration::from_secs(1);

/// Nodes `a` and `b` with a connection between them.
pub struct Scene {
    pub world: World,
    pub env: Env,
    pub listener: Box<dyn Listener>,
    pub a: ByteStream,
    pub b: ByteStream,
}

/// Plays the scene in the worlds of several seeds.
pub fn with_connection(act: impl AsyncFn(Scene) + Send + Sync) {
    with_connection_in(&NetworkSettings { window: WINDOW, ..NetworkSettings::default() }, act);
}

pub fn with_connection_in(network: &NetworkSettings, act: impl AsyncFn(Scene) + Send + Sync) {
    for seed in 0..20 {
        in_world(seed, WorldSettings { network: network.clone(), ..WorldSettings::default() }, async |world| {
            let (env, peer) = (world.boot("a"), world.boot("b"));
            let mut listener = peer.network.bind(&address()).await.unwrap();
            let (a, b) = join(env.network.connect(&address()), listener.accept()).await;
            act(Scene { world, env, listener, a: a.unwrap(), b: b.unwrap() }).await;
        });
    }
}

pub fn address() -> Address {
    Address::new("b:7")
}

impl Scene {
    /// Whether nothing comes of it in a second.
    pub async fn waits<T>(&self, work: impl Future<Output = T>) -> bool {
        timeout(&*self.env.clock, SECOND, work).await.is_none()
    }
}

/// What a read gives within a second: bytes, the end of the stream (none), or an error; `None` for silence.
pub async fn read(env: &Env, end: &mut ByteStream) -> Option<io::Result<Vec<u8>>> {
    let mut buffer = [0; 16];
    let n = timeout(&*env.clock, SECOND, end.reader.read(&mut buffer)).await?;
    Some(n.map(|n| buffer[..n].to_vec()))
}

/// All of so many bytes, which must come within a second.
pub async fn read_all(env: &Env, end: &mut ByteStream, len: usize) -> Vec<u8> {
    let mut buffer = vec![0; len];
    timeout(&*env.clock, SECOND, end.reader.read_exact(&mut buffer)).await.expect("they come").unwrap();
    buffer
}

/// What a write of some bytes gives within a second; `None` if it waits.
pub async fn write(env: &Env, end: &mut ByteStream, bytes: &[u8]) -> Option<io::Result<()>> {
    timeout(&*env.clock, SECOND, end.writer.write_all(bytes)).await
}

pub async fn send(env: &Env, end: &mut ByteStream, bytes: &[u8]) {
    write(env, end, bytes).await.expect("there is room").unwrap();
}

pub async fn is_silent(env: &Env, end: &mut ByteStream) -> bool {
    read(env, end).await.is_none()
}

#[track_caller]
pub fn is_reset<T: std::fmt::Debug>(found: Option<io::Result<T>>) {
    match found {
        Some(Err(e)) if e.kind() == io::ErrorKind::ConnectionReset => {}
        other => panic!("{other:?} instead of a reset"),
    }
}
