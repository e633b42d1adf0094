//! The real network: TCP.

use std::io;

use async_trait::async_trait;
use tokio::net::{TcpListener, TcpStream};

use crate::env::{Address, ByteStream, Listener, Network};

/// TCP without Nagle's delay: frames are written whole, so waiting for more bytes only costs time.
pub(super) struct TcpNetwork;

#[async_trait]
impl Network for TcpNetwork {
    async fn bind(&self, address: &Address) -> io::Result<Box<dyn Listener>> {
        let listener = TcpListener::bind(&*address.0).await?;
        let port = listener.local_addr()?.port();
        // The host stays as it was given ("localhost", a DNS name): peers may know the machine by that name only.
        let local_address = Address::new(&format!("{}:{port}", address.host()));
        Ok(Box::new(TcpPlace { listener, local_address }))
    }

    async fn connect(&self, address: &Address) -> io::Result<ByteStream> {
        byte_stream(TcpStream::connect(&*address.0).await?)
    }
}

struct TcpPlace {
    listener: TcpListener,
    local_address: Address,
}

#[async_trait]
impl Listener for TcpPlace {
    async fn accept(&mut self) -> io::Result<ByteStream> {
        byte_stream(self.listener.accept().await?.0)
    }

    fn local_address(&self) -> Address {
        self.local_address.clone()
    }
}

/// Dropping tokio's write half shuts that direction down, which is promise 5.
fn byte_stream(connection: TcpStream) -> io::Result<ByteStream> {
    connection.set_nodelay(true)?;
    let (reader, writer) = connection.into_split();
    Ok(ByteStream { reader: Box::new(reader), writer: Box::new(writer) })
}
