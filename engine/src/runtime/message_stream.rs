//! Whole messages over a byte stream: a length of four bytes, then postcard. With the handshake that comes first.

use std::{marker::PhantomData, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use crate::{
    env::{Address, ByteStream, Env, timeout},
    error::{Context, Error, Result},
    exchange::{Challenge, HELLO_LEN, PROOF_LEN, REPLY_LEN, Secret},
};

/// How many bytes the length before each message takes.
pub(super) const LENGTH_LEN: usize = size_of::<u32>();

/// A control message is never longer; a peer that announces more is not one of ours.
const MAX_MESSAGE: usize = 64 << 20;

/// How long a peer may take to prove who it is.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects and proves that we know the secret, and that the peer does.
pub(crate) async fn connect(env: &Env, address: &Address, secret: &Secret) -> Result<ByteStream> {
    let shake = async {
        let mut stream = env.network.connect(address).await?;
        let hello = Challenge::hello([env.entropy.next_u64(), env.entropy.next_u64()]);
        send_all(&mut stream.writer, &hello).await?;
        let mut reply = [0; REPLY_LEN];
        stream.reader.read_exact(&mut reply).await?;
        send_all(&mut stream.writer, &Challenge::respond(secret, &hello, &reply)?).await?;
        Ok(stream)
    };
    within(env, HANDSHAKE_TIMEOUT, shake).await.at(|| format!("connection to {address}"))
}

/// Lets a peer in if it knows the secret.
pub(crate) async fn admit(env: &Env, mut stream: ByteStream, secret: &Secret) -> Result<ByteStream> {
    let shake = async {
        let mut hello = [0; HELLO_LEN];
        stream.reader.read_exact(&mut hello).await?;
        let random = [env.entropy.next_u64(), env.entropy.next_u64()];
        let (challenge, reply) = Challenge::answer(secret, &hello, random)?;
        send_all(&mut stream.writer, &reply).await?;
        let mut proof = [0; PROOF_LEN];
        stream.reader.read_exact(&mut proof).await?;
        challenge.admit(&proof)?;
        Ok(stream)
    };
    within(env, HANDSHAKE_TIMEOUT, shake).await
}

async fn within<T>(env: &Env, limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    let late = || Err(Error::unavailable(format!("no answer within {limit:?}")));
    timeout(&*env.clock, limit, work).await.unwrap_or_else(late)
}

/// Writes and flushes.
pub(crate) async fn send_all(writer: &mut (impl AsyncWrite + Unpin + ?Sized), bytes: &[u8]) -> Result<()> {
    writer.write_all(bytes).await?;
    writer.flush().await?;
    Ok(())
}

/// Reads messages of type `M`.
pub(crate) struct MessageReader<M> {
    reader: BufReader<Box<dyn AsyncRead + Send + Unpin>>,
    message: PhantomData<fn() -> M>,
}

impl<M: DeserializeOwned> MessageReader<M> {
    pub(crate) fn new(reader: Box<dyn AsyncRead + Send + Unpin>) -> Self {
        Self { reader: BufReader::new(reader), message: PhantomData }
    }

    /// The next message. Not cancel safe: give it a task of its own.
    pub(crate) async fn read(&mut self) -> Result<M> {
        let len = self.reader.read_u32_le().await? as usize;
        if len > MAX_MESSAGE {
            return Err(Error::damaged(format!("a message of {len} bytes is announced, longer than any that exists")));
        }
        let mut bytes = vec![0; len];
        self.reader.read_exact(&mut bytes).await?;
        postcard::from_bytes(&bytes).map_err(|e| Error::damaged(format!("a message cannot be decoded: {e}")))
    }

    /// The stream behind the messages, with what is already buffered.
    pub(crate) fn into_inner(self) -> BufReader<Box<dyn AsyncRead + Send + Unpin>> {
        self.reader
    }
}

/// Sends one message.
pub(crate) async fn write_message<M: Serialize>(
    writer: &mut (impl AsyncWrite + Unpin + ?Sized),
    message: &M,
) -> Result<()> {
    let encode = |e: postcard::Error| Error::user_code(format!("a message cannot be encoded: {e}"));
    let mut bytes = postcard::to_extend(message, vec![0; LENGTH_LEN]).map_err(encode)?;
    let len = bytes.len() - LENGTH_LEN;
    assert!(len <= MAX_MESSAGE, "a message of {len} bytes is longer than a receiver takes");
    bytes[..LENGTH_LEN].copy_from_slice(&(len as u32).to_le_bytes());
    send_all(writer, &bytes).await
}
