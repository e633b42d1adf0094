//! The promises of `Network` about listening and connecting.

use std::{io, time::Duration};

use futures_util::future::join;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::check::{Outcome, Scene, ensure, fails_as, soon};
use crate::env::{Address, ByteStream, Env, Listener, timeout};

/// A listener at a port that the world picks.
pub(super) async fn listening(env: &Env, scene: &Scene) -> Outcome<Box<dyn Listener>> {
    let listener = env.network.bind(&Address::new(&format!("{}:0", scene.host))).await?;
    let address = listener.local_address();
    let port = address.0.rsplit_once(':').map(|(_, port)| port.to_owned()).unwrap_or_default();
    ensure!(port.parse::<u16>().is_ok_and(|p| p != 0), "a listener at port 0 has the address {address}");
    Ok(listener)
}

/// Both ends of a connection to the listener, the connecting one first.
pub(super) async fn connect_to(env: &Env, mut listener: Box<dyn Listener>) -> Outcome<(ByteStream, ByteStream)> {
    let address = listener.local_address();
    let both = join(env.network.connect(&address), listener.accept());
    let (connecting, accepting) = soon(env, "a connection", both).await?;
    Ok((connecting?, accepting?))
}

/// Both ends of a new connection, the connecting one first.
pub(super) async fn connected(env: &Env, scene: &Scene) -> Outcome<(ByteStream, ByteStream)> {
    connect_to(env, listening(env, scene).await?).await
}

pub(super) async fn nobody_listens(env: Env, scene: Scene) -> Outcome {
    let listener = listening(&env, &scene).await?;
    let address = listener.local_address();
    drop(listener);
    let answer = soon(&env, "an answer from an address where nobody listens", env.network.connect(&address)).await?;
    fails_as("connecting where nobody listens", io::ErrorKind::ConnectionRefused, answer)
}

pub(super) async fn an_address_is_taken_once(env: Env, scene: Scene) -> Outcome {
    let first = listening(&env, &scene).await?;
    let second = env.network.bind(&first.local_address()).await;
    fails_as("listening where somebody listens", io::ErrorKind::AddrInUse, second)?;
    let other = listening(&env, &scene).await?;
    let (first, other) = (first.local_address(), other.local_address());
    ensure!(first != other, "two listeners at port 0 have the same address {first}");
    Ok(())
}

/// A job manager that starts again listens where the one before did, also if that one had connections.
pub(super) async fn an_address_is_free_again(env: Env, scene: Scene) -> Outcome {
    let mut listener = listening(&env, &scene).await?;
    let address = listener.local_address();
    for round in 0..3 {
        let (mut a, mut b) = connect_to(&env, listener).await?;
        a.writer.write_all(&[round]).await?;
        a.writer.flush().await?;
        let got = soon(&env, "a byte", b.reader.read_u8()).await??;
        ensure!(got == round, "byte {got} came instead of {round}");
        // The accepting side closes first, which is what keeps an address busy for a while on some systems.
        drop((b, a));
        listener = env.network.bind(&address).await?;
        ensure!(listener.local_address() == address, "{address} was asked for, {} given", listener.local_address());
    }
    Ok(())
}

pub(super) async fn a_malformed_address_is_refused(env: Env, scene: Scene) -> Outcome {
    for address in [scene.host.clone(), String::new()] {
        let address = Address::new(&address);
        let answer = soon(&env, "an answer to a malformed address", env.network.connect(&address)).await?;
        ensure!(answer.is_err(), "a connection was made to {:?}", address.0);
        ensure!(env.network.bind(&address).await.is_err(), "somebody listens at {:?}", address.0);
    }
    Ok(())
}

/// Dropping a pending `accept` loses no connection.
pub(super) async fn accept_may_be_dropped(env: Env, scene: Scene) -> Outcome {
    let mut listener = listening(&env, &scene).await?;
    let address = listener.local_address();
    for round in 0..20_u8 {
        let connect = async {
            let mut stream = env.network.connect(&address).await?;
            stream.writer.write_all(&[round]).await?;
            stream.writer.flush().await?;
            io::Result::Ok(stream)
        };
        let accept = async {
            loop {
                // From giving up at the first poll to waiting for longer than a connection takes.
                let patience = Duration::from_micros(u64::from(round) * 50);
                if let Some(accepted) = timeout(&*env.clock, patience, listener.accept()).await {
                    return accepted;
                }
                super::check::pause(&env, 1).await;
            }
        };
        let (connecting, accepting) = soon(&env, "a connection, accepted in tries", join(connect, accept)).await?;
        let (_connecting, mut accepting) = (connecting?, accepting?);
        let got = soon(&env, "a byte", accepting.reader.read_u8()).await??;
        ensure!(got == round, "connection {got} was accepted instead of {round}");
    }
    Ok(())
}
