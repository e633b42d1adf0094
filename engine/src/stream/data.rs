//! What a record and a key must be able to do.

use serde::{Serialize, de::DeserializeOwned};

use crate::key_group::KeyHash;

/// A record: it can be sent to another task manager, and handed to several consumers. How large it is, now and then one is asked
/// by counting what would be sent.
pub trait Data: Serialize + DeserializeOwned + Clone + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Clone + Send + 'static> Data for T {}

/// A record or part of one by which a stream can be partitioned.
///
/// For a type of your own, `impl Key for MyKey {}` is enough: equal keys must encode to equal bytes, which holds for what
/// `#[derive(Serialize)]` gives unless a field iterates in no fixed order (a `HashMap`).
pub trait Key: Data + Eq {
    /// A hash that is the same in every process, build and version: it decides where a key lives, also in snapshots.
    fn key_hash(&self) -> KeyHash {
        let bytes = postcard::to_stdvec(self).expect("a key that cannot be encoded cannot be a key");
        hash_bytes(&bytes)
    }
}

/// XXH3 (64 bits, no seed) of the bytes.
#[inline]
#[must_use]
pub fn hash_bytes(bytes: &[u8]) -> KeyHash {
    KeyHash(xxhash_rust::xxh3::xxh3_64(bytes))
}

impl Key for String {
    #[inline]
    fn key_hash(&self) -> KeyHash {
        hash_bytes(self.as_bytes())
    }
}

/// Two multiply-folds: one alone leaves dense integers in clumps.
#[inline]
fn hash_u64(n: u64) -> KeyHash {
    let fold = |x: u64, k: u64| {
        let product = u128::from(x) * u128::from(k);
        (product as u64) ^ ((product >> 64) as u64)
    };
    KeyHash(fold(fold(n ^ 0x9E37_79B9_7F4A_7C15, 0xD1B5_4A32_D192_ED03) ^ 0x8CB9_2BA7_2F3D_8DD7, 0xAEF1_7502_108E_F2D9))
}

macro_rules! integer_keys {
    ($($t:ty),*) => {$(
        impl Key for $t {
            #[inline]
            fn key_hash(&self) -> KeyHash {
                hash_u64(*self as u64)
            }
        }
    )*};
}

integer_keys!(u8, u16, u32, u64, i8, i16, i32, i64);

impl Key for bool {}
impl Key for char {}
impl<A: Key, B: Key> Key for (A, B) {}
impl<A: Key, B: Key, C: Key> Key for (A, B, C) {}
impl<A: Key> Key for Option<A> {}
impl<A: Key> Key for Vec<A> {}
