//! A record on its way to the subtask that owns its key.

use std::marker::PhantomData;

use crate::{
    error::Result,
    key_group::KeyHash,
    stream::{AnyBatch, BatchCodec, Data, Key, decode_records, encode_records},
};

/// A record with its key and the key's hash, both computed once, where the record is routed. Within a process they travel
/// along; across the network only the record travels and the receiver computes them again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keyed<K, T> {
    pub hash: KeyHash,
    pub key: K,
    pub record: T,
}

impl<K: Key, T> Keyed<K, T> {
    /// Computes the key's hash.
    #[inline]
    pub fn new(key: K, record: T) -> Self {
        Self { hash: key.key_hash(), key, record }
    }
}

/// The codec of a keyed edge: the records alone.
pub(crate) struct KeyedCodec<T, K, F> {
    key_of: F,
    types: PhantomData<fn(T) -> K>,
}

impl<T, K, F> KeyedCodec<T, K, F> {
    pub fn new(key_of: F) -> Self {
        Self { key_of, types: PhantomData }
    }
}

impl<T: Data, K: Key, F: Fn(&T) -> K + Send + Sync> BatchCodec for KeyedCodec<T, K, F> {
    fn encode(&self, batch: &AnyBatch, out: &mut Vec<u8>) -> Result<()> {
        encode_records(batch.as_slice::<Keyed<K, T>>().iter().map(|keyed| &keyed.record), out)
    }

    fn decode(&self, bytes: &[u8], spare: Option<AnyBatch>) -> Result<AnyBatch> {
        decode_records(bytes, spare, |record: T| Keyed::new((self.key_of)(&record), record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_and_hashes_are_found_again_after_the_wire(records: Vec<(String, u32)>) {
            let codec = KeyedCodec::new(|r: &(String, u32)| r.0.clone());
            let keyed: Vec<_> = records.into_iter().map(|r| Keyed::new(r.0.clone(), r)).collect();
            let mut bytes = Vec::new();
            codec.encode(&AnyBatch::new(keyed.clone()), &mut bytes).unwrap();
            prop_assert_eq!(codec.decode(&bytes, None).unwrap().downcast::<Keyed<String, (String, u32)>>(), keyed);
        }
    }
}
