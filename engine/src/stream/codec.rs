//! Batches as bytes: for edges that cross the network.

use std::marker::PhantomData;

use postcard::{Deserializer, ser_flavors::Flavor, serialize_with_flavor};
use serde::{Deserialize, Serialize, Serializer};

use super::{AnyBatch, Data};
use crate::error::{Error, Result};

/// Turns batches of one edge into bytes and back.
pub trait BatchCodec: Send + Sync {
    /// Appends the batch to `out`.
    ///
    /// # Errors
    /// `UserCode` if a record refuses to be encoded.
    fn encode(&self, batch: &AnyBatch, out: &mut Vec<u8>) -> Result<()>;

    /// The batch that `bytes`, all of them, encode. Uses the memory of `spare`, an emptied batch of the same edge.
    ///
    /// # Errors
    /// `Damaged` if they encode none.
    fn decode(&self, bytes: &[u8], spare: Option<AnyBatch>) -> Result<AnyBatch>;
}

/// The codec of an edge that does not look at its records.
pub struct PostcardCodec<T>(PhantomData<fn() -> T>);

impl<T> PostcardCodec<T> {
    /// The codec of batches of `T`.
    #[must_use]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Default for PostcardCodec<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Data> BatchCodec for PostcardCodec<T> {
    fn encode(&self, batch: &AnyBatch, out: &mut Vec<u8>) -> Result<()> {
        encode_records(batch.as_slice::<T>().iter(), out)
    }

    fn decode(&self, bytes: &[u8], spare: Option<AnyBatch>) -> Result<AnyBatch> {
        decode_records(bytes, spare, |record: T| record)
    }
}

/// The wire format of every edge: the number of records, then each record, as postcard writes a sequence.
///
/// # Errors
/// `UserCode` if a record refuses to be encoded.
pub(crate) fn encode_records<'a, T: Data>(
    records: impl ExactSizeIterator<Item = &'a T> + Clone,
    out: &mut Vec<u8>,
) -> Result<()> {
    struct Sequence<I>(I);

    impl<'a, T: Data, I: ExactSizeIterator<Item = &'a T> + Clone> Serialize for Sequence<I> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq(self.0.clone())
        }
    }

    let refused = |e: postcard::Error| Error::user_code(format!("a record cannot be encoded: {e}"));
    serialize_with_flavor(&Sequence(records), Append(out)).map_err(refused)
}

/// What [`encode_records`] wrote, each record wrapped by `wrap`.
///
/// # Errors
/// `Damaged` if the bytes, all of them, are not that.
pub(crate) fn decode_records<T: Data, W: Send + 'static>(
    bytes: &[u8],
    spare: Option<AnyBatch>,
    wrap: impl Fn(T) -> W,
) -> Result<AnyBatch> {
    let damaged = |e: postcard::Error| Error::damaged(format!("a batch cannot be decoded: {e}"));
    let mut batch = spare.unwrap_or_else(|| AnyBatch::new(Vec::<W>::new()));
    let records = batch.as_vec_mut::<W>();
    debug_assert!(records.is_empty(), "a batch is used again that still holds records");
    let mut input = Deserializer::from_bytes(bytes);
    let count = usize::deserialize(&mut input).map_err(damaged)?;
    // A damaged count must not allocate the memory that it asks for; a record takes a byte at least, but for `()`.
    records.reserve(count.min(bytes.len()));
    for _ in 0..count {
        records.push(wrap(T::deserialize(&mut input).map_err(damaged)?));
    }
    let rest = input.finalize().map_err(damaged)?;
    if rest.is_empty() { Ok(batch) } else { Err(Error::damaged(format!("{} bytes follow a batch", rest.len()))) }
}

/// Writes behind what is there: postcard's own sinks take a vector away, or go through `io::Write` byte by byte.
struct Append<'a>(&'a mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// How many bytes a record takes, about: what it is itself, or, if that is more, what it would be on the wire. Counting stops at
/// `most`. A record that refuses to be encoded says nothing of what it refers to.
pub(crate) fn record_bytes<T: Data>(record: &T, most: usize) -> usize {
    let encoded = match serialize_with_flavor(record, Count { left: most }) {
        Ok(left) => most - left,
        Err(postcard::Error::SerializeBufferFull) => most,
        Err(_) => 0,
    };
    encoded.max(size_of::<T>())
}

/// Counts what would be written.
struct Count {
    left: usize,
}

impl Flavor for Count {
    type Output = usize;

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(postcard::Error::SerializeBufferFull)?;
        Ok(())
    }

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    fn finalize(self) -> postcard::Result<usize> {
        Ok(self.left)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_batch_survives_the_wire(records: Vec<(String, u64)>, spare: bool) {
            let codec = PostcardCodec::<(String, u64)>::new();
            let mut bytes = vec![7];
            codec.encode(&AnyBatch::new(records.clone()), &mut bytes).unwrap();
            prop_assert_eq!(bytes.remove(0), 7, "it is appended");
            prop_assert_eq!(&bytes, &postcard::to_stdvec(&records).unwrap());
            let spare = || spare.then(|| AnyBatch::new(Vec::<(String, u64)>::with_capacity(3)));
            prop_assert_eq!(codec.decode(&bytes, spare()).unwrap().downcast::<(String, u64)>(), records);
            bytes.push(0);
            prop_assert!(codec.decode(&bytes, spare()).is_err());
        }
    }

    #[test]
    fn a_record_takes_what_it_refers_to_or_what_it_is() {
        assert_eq!(record_bytes(&"a".repeat(1000), 1 << 20), 1002);
        assert_eq!(record_bytes(&"a".repeat(1000), 100), 100);
        assert_eq!(record_bytes(&(1_u64, 2_u64), 1 << 20), 16);
        /// Cannot be sent over the network.
        #[derive(Clone, Deserialize)]
        struct Refuses;
        impl Serialize for Refuses {
            fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("no"))
            }
        }
        assert_eq!(record_bytes(&Refuses, 1 << 20), 0);
    }

    #[test]
    fn a_damaged_count_allocates_no_more_than_there_are_bytes() {
        let bytes = postcard::to_stdvec(&(u64::MAX >> 8)).unwrap();
        assert!(PostcardCodec::<u64>::new().decode(&bytes, None).is_err());
    }
}
