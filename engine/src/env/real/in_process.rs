//! Byte streams within a process.
//!
//! By TCP, a message to a neighbour in the same process takes two calls of the kernel, and a thread has to look whether it has come. A
//! checkpoint of a small job is a dozen such messages.

use std::{
    collections::BTreeMap,
    io,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use futures_util::future::{Either, select};
use tokio::{
    io::{DuplexStream, duplex},
    sync::mpsc,
};

use crate::env::{Address, ByteStream, Listener, Network};

/// How many bytes of one direction are under way at most.
const CAPACITY: usize = 256 << 10;

/// How many connections may wait to be accepted before those who connect wait, too.
const BACKLOG: usize = 128;

/// Those who listen, each with where it takes its ends of connections.
#[derive(Clone, Default)]
struct Listeners(Arc<Mutex<BTreeMap<Address, mpsc::Sender<ByteStream>>>>);

impl Listeners {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Address, mpsc::Sender<ByteStream>>> {
        self.0.lock().expect("nobody panics who has it")
    }
}

/// Connects by memory to those who listen by this value, and by another network to all others.
pub(super) struct InProcess<N> {
    beyond: N,
    listeners: Listeners,
}

struct Listening {
    from_beyond: Box<dyn Listener>,
    from_inside: mpsc::Receiver<ByteStream>,
    listeners: Listeners,
}

impl<N> InProcess<N> {
    pub(super) fn or(beyond: N) -> Self {
        Self { beyond, listeners: Listeners::default() }
    }

    /// A connection to one who listens by this value, if somebody does at this address.
    async fn connect_inside(&self, address: &Address) -> Option<ByteStream> {
        let listener = self.listeners.lock().get(address).cloned()?;
        let (ours, theirs) = connection();
        // Who has stopped listening since is not there.
        listener.send(theirs).await.ok()?;
        Some(ours)
    }
}

#[async_trait]
impl<N: Network> Network for InProcess<N> {
    async fn bind(&self, address: &Address) -> io::Result<Box<dyn Listener>> {
        let from_beyond = self.beyond.bind(address).await?;
        let (connections, from_inside) = mpsc::channel(BACKLOG);
        self.listeners.lock().insert(from_beyond.local_address(), connections);
        Ok(Box::new(Listening { from_beyond, from_inside, listeners: self.listeners.clone() }))
    }

    async fn connect(&self, address: &Address) -> io::Result<ByteStream> {
        match self.connect_inside(address).await {
            Some(stream) => Ok(stream),
            None => self.beyond.connect(address).await,
        }
    }
}

#[async_trait]
impl Listener for Listening {
    async fn accept(&mut self) -> io::Result<ByteStream> {
        // Whichever is dropped has taken nothing.
        match select(pin!(self.from_inside.recv()), self.from_beyond.accept()).await {
            Either::Left((stream, _)) => Ok(stream.expect("this listener is known as long as it is there")),
            Either::Right((stream, _)) => stream,
        }
    }

    fn local_address(&self) -> Address {
        self.from_beyond.local_address()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // Before the address is free for others.
        self.listeners.lock().remove(&self.local_address());
    }
}

/// Both ends of a connection: one pipe for each direction, so that each may end by itself.
fn connection() -> (ByteStream, ByteStream) {
    let ((there_in, there_out), (back_in, back_out)) = (duplex(CAPACITY), duplex(CAPACITY));
    (end(back_out, there_in), end(there_out, back_in))
}

fn end(reader: DuplexStream, writer: DuplexStream) -> ByteStream {
    ByteStream { reader: Box::new(reader), writer: Box::new(writer) }
}
