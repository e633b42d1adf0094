//! Batches without their type, for the parts of the engine that only move them.

use std::{any::Any, fmt, marker::PhantomData};

use super::Data;
use crate::error::{Error, Result};

/// A `Vec<T>` of which only the length is known. The vertices at both ends of an edge agree on `T` by construction.
pub struct AnyBatch {
    records: Box<dyn Any + Send>,
    len: usize,
}

impl AnyBatch {
    /// Hides the type.
    pub fn new<T: Send + 'static>(records: Vec<T>) -> Self {
        Self { len: records.len(), records: Box::new(records) }
    }

    /// How many records it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The records.
    ///
    /// # Panics
    /// If the batch does not hold `T`: the graph connected two vertices of different types, a bug of this crate.
    #[must_use]
    pub fn downcast<T: Send + 'static>(self) -> Vec<T> {
        *self.records.downcast().unwrap_or_else(|_| panic!("a batch is not of type {}", std::any::type_name::<T>()))
    }

    /// The records, left where they are. Panics as [`AnyBatch::downcast`] does.
    #[must_use]
    pub fn as_slice<T: Send + 'static>(&self) -> &[T] {
        let vec: &Vec<T> = self
            .records
            .downcast_ref()
            .unwrap_or_else(|| panic!("a batch is not of type {}", std::any::type_name::<T>()));
        vec
    }
}

impl fmt::Debug for AnyBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batch of {}", self.len)
    }
}

/// Turns batches of one edge into bytes and back.
pub trait BatchCodec: Send + Sync {
    /// Appends the batch to `out`.
    ///
    /// # Errors
    /// `UserCode` if a record refuses to be encoded.
    fn encode(&self, batch: &AnyBatch, out: &mut Vec<u8>) -> Result<()>;

    /// The batch that `bytes`, all of them, encode.
    ///
    /// # Errors
    /// `Damaged` if they encode none.
    fn decode(&self, bytes: &[u8]) -> Result<AnyBatch>;
}

/// The codec of every edge: the number of records, then each record, in postcard's wire format.
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
        let refused = |e: postcard::Error| Error::user_code(format!("a record cannot be encoded: {e}"));
        postcard::to_io(batch.as_slice::<T>(), out).map_err(refused)?;
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<AnyBatch> {
        let damaged = |e: postcard::Error| Error::damaged(format!("a batch cannot be decoded: {e}"));
        let (records, rest): (Vec<T>, _) = postcard::take_from_bytes(bytes).map_err(damaged)?;
        if !rest.is_empty() {
            return Err(Error::damaged(format!("{} bytes follow a batch", rest.len())));
        }
        Ok(AnyBatch::new(records))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_batch_survives_the_wire(records: Vec<(String, u64)>) {
            let codec = PostcardCodec::<(String, u64)>::new();
            let mut bytes = Vec::new();
            codec.encode(&AnyBatch::new(records.clone()), &mut bytes).unwrap();
            prop_assert_eq!(codec.decode(&bytes).unwrap().downcast::<(String, u64)>(), records);
            bytes.push(0);
            prop_assert!(codec.decode(&bytes).is_err());
        }
    }
}
