//! The promises of `Network` about one connection.

use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{
    check::{Broken, Outcome, Scene, bytes, ensure, pause, same_bytes, soon},
    network_connections::{connected, listening},
};
use crate::env::{ByteStream, Env, timeout};

type Reader = Box<dyn AsyncRead + Send + Unpin>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// Large transfers in both directions at once, each end in a task of its own, in pieces of odd sizes.
pub(super) async fn bytes_arrive_in_order_and_once(env: Env, scene: Scene) -> Outcome {
    const LEN: usize = 3 << 20;
    let (a, b) = connected(&env, &scene).await?;
    let (there, back) = (bytes(1, LEN), bytes(2, LEN));
    for (mut writer, data) in [(a.writer, there.clone()), (b.writer, back.clone())] {
        env.spawner.start("writer", async move {
            for (i, piece) in data.chunks(40_961).enumerate() {
                writer.write_all(piece).await.expect("the reader is there");
                if i % 7 == 0 {
                    writer.flush().await.expect("the reader is there");
                }
            }
            writer.shutdown().await.expect("the reader is there");
        });
    }
    let reads = join(read_in_pieces(b.reader, 10_007), read_in_pieces(a.reader, 65_537));
    let (there_read, back_read) = soon(&env, "the end of two large transfers", reads).await?;
    same_bytes("from the connecting side", &there_read?, &there)?;
    same_bytes("from the accepting side", &back_read?, &back)
}

async fn read_in_pieces(mut reader: Reader, len: usize) -> Outcome<Vec<u8>> {
    let (mut all, mut piece) = (Vec::new(), vec![0; len]);
    loop {
        match reader.read(&mut piece).await? {
            0 => return Ok(all),
            n => all.extend_from_slice(&piece[..n]),
        }
    }
}

pub(super) async fn connections_do_not_mix(env: Env, scene: Scene) -> Outcome {
    let mut pairs = Vec::new();
    for _ in 0..20 {
        pairs.push(connected(&env, &scene).await?);
    }
    let transfers = pairs.into_iter().enumerate().map(|(i, (a, b))| async move {
        let data = bytes(i as u64, 50_000);
        let ByteStream { mut writer, reader: _reader } = a;
        let write = async {
            for piece in data.chunks(1000) {
                writer.write_all(piece).await?;
            }
            writer.shutdown().await
        };
        let (written, read) = join(write, read_in_pieces(b.reader, 4096)).await;
        written?;
        same_bytes(&format!("connection {i}"), &read?, &data)
    });
    soon(&env, "the end of 20 transfers", join_all(transfers)).await?.into_iter().collect()
}

/// What a direction may hold at most, generously: both operating systems' buffers.
const BOUND: usize = 64 << 20;

pub(super) async fn a_writer_waits_for_its_reader(env: Env, scene: Scene) -> Outcome {
    let (mut a, mut b) = connected(&env, &scene).await?;
    let pattern = bytes(3, 64 << 10);
    let mut written = 0;
    loop {
        let rest = &pattern[written % pattern.len()..];
        // A write that makes no progress for so long waits for the reader.
        let Some(n) = timeout(&*env.clock, Duration::from_millis(500), a.writer.write(rest)).await else { break };
        let n = n?;
        ensure!(n > 0, "a write of {} bytes took none of them", rest.len());
        written += n;
        ensure!(written <= BOUND, "{written} bytes were taken though nobody reads");
    }
    ensure!(written > 0, "nothing was taken though nothing was under way");
    let mut read = 0;
    let mut buffer = vec![0; pattern.len()];
    while read < written {
        let at = read % pattern.len();
        let n = soon(&env, "a read of what was written", b.reader.read(&mut buffer[..pattern.len() - at])).await??;
        ensure!(n > 0, "the stream ended after {read} of {written} bytes");
        same_bytes("what was written before the wait", &buffer[..n], &pattern[at..at + n])?;
        read += n;
    }
    ensure!(read == written, "{read} bytes came of {written}");
    let piece = &pattern[..1000];
    soon(&env, "a write after the reader has read", a.writer.write_all(piece)).await??;
    soon(&env, "a read of it", b.reader.read_exact(&mut buffer[..piece.len()])).await??;
    same_bytes("what came after the wait", &buffer[..piece.len()], piece)
}

pub(super) async fn a_dropped_writer_ends_the_stream(env: Env, scene: Scene) -> Outcome {
    let (a, b) = connected(&env, &scene).await?;
    ends_after(&env, a.writer, a.reader, b, false).await
}

pub(super) async fn a_shut_down_writer_ends_one_direction(env: Env, scene: Scene) -> Outcome {
    let (a, b) = connected(&env, &scene).await?;
    ends_after(&env, a.writer, a.reader, b, true).await
}

/// All that was written comes before the end, and the other direction goes on after it.
async fn ends_after(env: &Env, mut writer: Writer, mut reader: Reader, b: ByteStream, shut_down: bool) -> Outcome {
    let data = bytes(4, 300_000);
    let ByteStream { reader: b_reader, writer: mut b_writer } = b;
    let write = async {
        writer.write_all(&data).await?;
        if shut_down {
            writer.shutdown().await?;
            Ok::<_, Broken>(Some(writer))
        } else {
            drop(writer);
            Ok(None)
        }
    };
    let (kept, read) = soon(env, "the end of a stream", join(write, read_in_pieces(b_reader, 8192))).await?;
    let kept = kept?;
    same_bytes("before the end", &read?, &data)?;

    let answer = b"the other direction";
    soon(env, "a write in the other direction", b_writer.write_all(answer)).await??;
    soon(env, "its flush", b_writer.flush()).await??;
    let mut found = vec![0; answer.len()];
    soon(env, "a read in the other direction", reader.read_exact(&mut found)).await??;
    same_bytes("the other direction", &found, answer)?;
    if let Some(mut writer) = kept {
        ensure!(writer.write_all(b"more").await.is_err(), "a writer that was shut down takes more");
    }
    Ok(())
}

/// A last message, and the end: its receiver gets both.
pub(super) async fn a_dropped_connection_delivers_what_was_written(env: Env, scene: Scene) -> Outcome {
    let (mut a, b) = connected(&env, &scene).await?;
    let data = bytes(5, 20_000);
    soon(&env, "a write that fits", a.writer.write_all(&data)).await??;
    soon(&env, "its flush", a.writer.flush()).await??;
    drop(a);
    pause(&env, 5).await;
    let read = soon(&env, "the end of a stream", read_in_pieces(b.reader, 3000)).await??;
    same_bytes("before the end", &read, &data)
}

/// One write is not one read: several writes may come in one read, one write in several.
pub(super) async fn a_read_gets_what_is_there(env: Env, scene: Scene) -> Outcome {
    let (mut a, mut b) = connected(&env, &scene).await?;
    let data = bytes(6, 30_000);
    for piece in data.chunks(10_000) {
        soon(&env, "a write", a.writer.write_all(piece)).await??;
    }
    soon(&env, "a flush", a.writer.flush()).await??;
    let (mut found, mut size) = (Vec::new(), 1);
    while found.len() < data.len() {
        let mut buffer = vec![0; size];
        let n = soon(&env, "a read of what is there", b.reader.read(&mut buffer)).await??;
        ensure!(n > 0, "the stream ended after {} of {} bytes", found.len(), data.len());
        ensure!(n <= size, "a read of {size} bytes gave {n}");
        found.extend_from_slice(&buffer[..n]);
        size = size * 3 % 7001 + 1;
    }
    same_bytes("in small reads", &found, &data)
}

/// Each byte waits for the answer to the one before: none may wait for company.
pub(super) async fn a_flushed_byte_needs_no_other(env: Env, scene: Scene) -> Outcome {
    let listener = listening(&env, &scene).await?;
    let (a, b) = super::network_connections::connect_to(&env, listener).await?;
    let play = |mut stream: ByteStream, serves: bool| async move {
        for turn in 0..200_u8 {
            if serves == (turn % 2 == 0) {
                stream.writer.write_all(&[turn]).await?;
                stream.writer.flush().await?;
            } else {
                let got = stream.reader.read_u8().await?;
                ensure!(got == turn, "byte {got} came instead of {turn}");
            }
        }
        Ok::<_, Broken>(stream)
    };
    let (a, b) = soon(&env, "the end of 200 turns", join(play(a, true), play(b, false))).await?;
    a.and(b).map(drop)
}
