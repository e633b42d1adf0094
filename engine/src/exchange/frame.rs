//! The frame that carries one element of one channel across the network.
//!
//! ```text
//!  0      4    5          9             13        21        25       29
//!  | len  |kind| term     | number      | sequence| records | crc32  | payload (len bytes) |
//! ```
//!
//! All numbers are little-endian. The CRC covers everything but itself. `term` and `number` are the attempt; a receiver
//! takes only frames of its own attempt (I7), in unbroken sequence.

use thiserror::Error;

use crate::id::AttemptId;

/// Bytes before the payload.
pub const HEADER_LEN: usize = 29;

/// The longest payload that is sent or accepted: 1 GiB, so that a damaged length cannot ask for all memory.
pub const MAX_PAYLOAD: usize = 1 << 30;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// An encoded batch.
    Batch,
    /// An encoded `CheckpointBarrier`.
    Barrier,
    /// The end of input; no payload.
    EndOfInput,
    /// From consumer to producer: `records` more batches may be sent; no payload.
    Credit,
}

impl FrameKind {
    fn code(self) -> u8 {
        match self {
            Self::Batch => 1,
            Self::Barrier => 2,
            Self::EndOfInput => 3,
            Self::Credit => 4,
        }
    }

    fn of_code(code: u8) -> Option<Self> {
        [Self::Batch, Self::Barrier, Self::EndOfInput, Self::Credit].into_iter().find(|k| k.code() == code)
    }
}

/// Everything but the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What it carries.
    pub kind: FrameKind,
    /// The attempt that sent it.
    pub attempt: AttemptId,
    /// The how-manieth frame of this direction it is, from 0.
    pub sequence: u64,
    /// How many records a batch holds; how many credits a credit frame grants.
    pub records: u32,
}

/// A frame as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its header.
    pub header: FrameHeader,
    /// Its payload, where it was read to.
    pub payload: &'a [u8],
}

/// Why bytes are not a frame.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The kind byte is unknown: not this protocol, or another version.
    #[error("unknown frame kind {0}")]
    UnknownKind(u8),
    /// The length is beyond [`MAX_PAYLOAD`].
    #[error("a payload of {0} bytes is longer than allowed")]
    TooLong(usize),
    /// The checksum does not match.
    #[error("checksum mismatch in frame {sequence}")]
    Checksum {
        /// The frame's sequence number, as far as it can be trusted.
        sequence: u64,
    },
}

/// Starts a frame in the memory of `buffer`: it gets room for the header, and the payload is to be appended to it.
#[must_use]
pub fn begin_frame(mut buffer: Vec<u8>) -> Vec<u8> {
    buffer.clear();
    buffer.resize(HEADER_LEN, 0);
    buffer
}

/// Fills in the header of a frame that `begin_frame` started.
///
/// # Errors
/// `TooLong`.
pub fn finish_frame(frame: &mut [u8], header: FrameHeader) -> Result<(), FrameError> {
    let len = frame.len() - HEADER_LEN;
    if len > MAX_PAYLOAD {
        return Err(FrameError::TooLong(len));
    }
    frame[0..4].copy_from_slice(&(len as u32).to_le_bytes());
    frame[4] = header.kind.code();
    frame[5..9].copy_from_slice(&header.attempt.term.to_le_bytes());
    frame[9..13].copy_from_slice(&header.attempt.number.to_le_bytes());
    frame[13..21].copy_from_slice(&header.sequence.to_le_bytes());
    frame[21..25].copy_from_slice(&header.records.to_le_bytes());
    let crc = checksum(&frame[..25], &frame[HEADER_LEN..]);
    frame[25..29].copy_from_slice(&crc.to_le_bytes());
    Ok(())
}

/// The payload's length as the header says.
///
/// # Errors
/// `TooLong`.
pub fn payload_len(header: &[u8; HEADER_LEN]) -> Result<usize, FrameError> {
    let len = u32::from_le_bytes(array(&header[0..4])) as usize;
    if len > MAX_PAYLOAD { Err(FrameError::TooLong(len)) } else { Ok(len) }
}

impl<'a> Frame<'a> {
    /// The frame of which header and payload were received.
    ///
    /// # Errors
    /// `UnknownKind` or `Checksum`.
    pub fn check(header: &[u8; HEADER_LEN], payload: &'a [u8]) -> Result<Self, FrameError> {
        let sequence = u64::from_le_bytes(array(&header[13..21]));
        if checksum(&header[..25], payload) != u32::from_le_bytes(array(&header[25..29])) {
            return Err(FrameError::Checksum { sequence });
        }
        let kind = FrameKind::of_code(header[4]).ok_or(FrameError::UnknownKind(header[4]))?;
        let attempt = AttemptId {
            term: u32::from_le_bytes(array(&header[5..9])),
            number: u32::from_le_bytes(array(&header[9..13])),
        };
        let records = u32::from_le_bytes(array(&header[21..25]));
        Ok(Self { header: FrameHeader { kind, attempt, sequence, records }, payload })
    }
}

fn checksum(header: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(payload);
    hasher.finalize()
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the slice has the array's length")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(payload: &[u8], sequence: u64) -> (FrameHeader, Vec<u8>) {
        let attempt = AttemptId { term: 3, number: 7 };
        let header = FrameHeader { kind: FrameKind::Batch, attempt, sequence, records: 2 };
        let mut bytes = begin_frame(vec![9; 3]);
        bytes.extend_from_slice(payload);
        finish_frame(&mut bytes, header).unwrap();
        (header, bytes)
    }

    fn parse(bytes: &[u8]) -> Result<Frame<'_>, FrameError> {
        let header: [u8; HEADER_LEN] = array(&bytes[..HEADER_LEN]);
        let len = payload_len(&header)?;
        let Some(payload) = bytes.get(HEADER_LEN..HEADER_LEN + len) else { return Err(FrameError::TooLong(len)) };
        Frame::check(&header, payload)
    }

    #[test]
    fn the_bytes_of_a_frame_are_a_promise() {
        let (_, bytes) = sample(b"ab", 5);
        insta::assert_snapshot!(format!("{bytes:02x?}"), @"[02, 00, 00, 00, 01, 03, 00, 00, 00, 07, 00, 00, 00, 05, 00, 00, 00, 00, 00, 00, 00, 02, 00, 00, 00, 35, bc, 76, 92, 61, 62]");
    }

    proptest! {
        #[test]
        fn a_frame_survives_the_wire(payload: Vec<u8>, sequence: u64) {
            let (header, bytes) = sample(&payload, sequence);
            prop_assert_eq!(parse(&bytes), Ok(Frame { header, payload: &payload }));
        }

        #[test]
        fn a_flipped_bit_is_noticed(payload in prop::collection::vec(any::<u8>(), 0..64), at: prop::sample::Index, bit in 0u8..8) {
            let (_, mut bytes) = sample(&payload, 9);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(parse(&bytes).is_err());
        }
    }
}
