//! Byte streams between processes.

use std::io;

use async_trait::async_trait;
use tokio::net::{TcpListener, TcpStream};

use crate::env::{Address, ByteStream, Listener, Network};

/// TCP of the operating system.
pub(super) struct Tcp;

struct Listening {
    listener: TcpListener,
    address: Address,
}

#[async_trait]
impl Network for Tcp {
    async fn bind(&self, address: &Address) -> io::Result<Box<dyn Listener>> {
        let listener = TcpListener::bind(&*address.0).await?;
        let address = Address::new(&listener.local_addr()?.to_string());
        Ok(Box::new(Listening { listener, address }))
    }

    async fn connect(&self, address: &Address) -> io::Result<ByteStream> {
        streams(TcpStream::connect(&*address.0).await?)
    }
}

#[async_trait]
impl Listener for Listening {
    async fn accept(&mut self) -> io::Result<ByteStream> {
        streams(self.listener.accept().await?.0)
    }

    fn local_address(&self) -> Address {
        self.address.clone()
    }
}

fn streams(stream: TcpStream) -> io::Result<ByteStream> {
    // Frames are flushed whole; waiting for more to send with them would only delay barriers.
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.into_split();
    Ok(ByteStream { reader: Box::new(reader), writer: Box::new(writer) })
}
