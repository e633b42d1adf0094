//! Byte streams between nodes.

use std::{fmt, io, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

/// Where a listener can be reached, as `host:port`. In the simulated world the host is the node's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Address(pub Arc<str>);

impl Address {
    /// An address as given; it is resolved when used.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The part before the last colon.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.rsplit_once(':').map_or(&*self.0, |(host, _)| host)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The two directions of a connection. Either may be moved to a task of its own.
pub struct ByteStream {
    /// Bytes from the peer. End of file means that the peer shut its direction down or its process ended.
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    /// Bytes to the peer. A flushed write has left this node; whether it arrived only an answer can tell.
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
}

/// The network as one node sees it.
///
/// Promises:
/// 1. Bytes of one direction arrive in order, each once, or the stream ends with an error; never damaged, never swapped.
/// 2. A direction holds a bounded number of bytes under way; past that, writes wait (back-pressure).
/// 3. The end of the peer's process becomes an end of file or a reset *sooner or later, or never*: a peer that lost power
///    or was cut off is silent, and only a time-out tells.
/// 4. `connect` to an address where nobody listens fails with `ConnectionRefused`, or after a time-out if it is cut off.
/// 5. Dropping the writer, or `shutdown` on it, gives the peer end of file after all that was written before.
/// 6. Reads may return any prefix of what is there: one write is not one read.
#[async_trait]
pub trait Network: Send + Sync {
    /// Listens at the address; port 0 picks a free one.
    async fn bind(&self, address: &Address) -> io::Result<Box<dyn Listener>>;

    /// Connects to a listener.
    async fn connect(&self, address: &Address) -> io::Result<ByteStream>;
}

/// A place where connections arrive.
#[async_trait]
pub trait Listener: Send {
    /// The next connection. Cancel safe.
    async fn accept(&mut self) -> io::Result<ByteStream>;

    /// Where this listener can be reached, with the port that was picked.
    fn local_address(&self) -> Address;
}
