//! The bytes of keys and values in snapshots: postcard's wire format, with short ways for the types that most states hold.
//!
//! Which way a type takes is known when the code for it is generated: the questions below are answered at compile time.
//! That the short ways write and read what postcard would is a property test.

use std::any::Any;

use postcard::{Error, Result, ser_flavors::Flavor};

use crate::stream::{Data, SmallString};

/// Appends the bytes of a key or a value.
///
/// # Errors
/// Whatever makes the value refuse to be encoded; a part of it may then have been appended.
#[inline]
pub(crate) fn encode<T: Data>(value: &T, out: &mut Vec<u8>) -> Result<()> {
    let any: &dyn Any = value;
    macro_rules! short_ways {
        ($($t:ty: |$n:ident| $bytes:expr),+ $(,)?) => {
            $(if let Some($n) = any.downcast_ref::<$t>() {
                $bytes;
                return Ok(());
            })+
        };
    }
    short_ways! {
        SmallString: |s| match s.inline() {
            // The length is one byte.
            Some((text, len)) => put_bytes(text << 8 | len as u128, 1 + len, out),
            None => put_long(s, out),
        },
        String: |s| put_str(s, out),
        u64: |n| put_varint(*n, out),
        u32: |n| put_varint(u64::from(*n), out),
        u16: |n| put_varint(u64::from(*n), out),
        usize: |n| put_varint(*n as u64, out),
        i64: |n| put_varint(zigzag(*n), out),
        i32: |n| put_varint(zigzag(i64::from(*n)), out),
        i16: |n| put_varint(zigzag(i64::from(*n)), out),
        u8: |n| out.push(*n),
        i8: |n| out.push(n.to_le_bytes()[0]),
        f64: |n| out.extend_from_slice(&n.to_le_bytes()),
        f32: |n| out.extend_from_slice(&n.to_le_bytes()),
        bool: |b| out.push(u8::from(*b)),
    }
    postcard::serialize_with_flavor(value, Appending(out))
}

/// What is told of a key or a value that refuses to be encoded.
pub(super) fn refused(error: &Error) -> crate::error::Error {
    crate::error::Error::user_code(format!("a key or a value cannot be encoded: {error}"))
}

/// Takes a key or a value off the front of the bytes.
///
/// # Errors
/// Whatever keeps the bytes from being one; how much of them was taken is then not known.
#[inline(always)]
pub(crate) fn decode<T: Data>(bytes: &mut &[u8]) -> Result<T> {
    let mut decoded: Option<T> = None;
    let any: &mut dyn Any = &mut decoded;
    macro_rules! short_ways {
        ($($t:ty: $value:expr),+ $(,)?) => {
            $(if let Some(into) = any.downcast_mut::<Option<$t>>() {
                *into = Some($value);
                return decoded.ok_or(Error::SerdeDeCustom);
            })+
        };
    }
    short_ways! {
        SmallString: take_str(bytes)?.into(),
        String: take_str(bytes)?.to_owned(),
        u64: take_varint(bytes, u64::MAX)?,
        u32: take_varint(bytes, u64::from(u32::MAX))? as u32,
        i64: unzigzag(take_varint(bytes, u64::MAX)?),
        i32: unzigzag(take_varint(bytes, u64::from(u32::MAX))?) as i32,
        u8: *bytes.split_off_first().ok_or(Error::DeserializeUnexpectedEnd)?,
    }
    let (value, rest) = postcard::take_from_bytes(bytes)?;
    *bytes = rest;
    Ok(value)
}

/// Postcard's output, appended to a buffer that is kept.
struct Appending<'a>(&'a mut Vec<u8>);

impl Flavor for Appending<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> Result<()> {
        Ok(())
    }
}

/// Appends the first `len` bytes of a number. Written whole and then cut: a copy whose length is not known beforehand is a call.
#[inline]
fn put_bytes(bytes: u128, len: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&bytes.to_le_bytes());
    out.truncate(start + len);
}

/// Seven bits a byte, the lowest first; all bytes but the last have their top bit set.
#[inline]
fn put_varint(n: u64, out: &mut Vec<u8>) {
    if n < 0x80 {
        return out.push(n as u8);
    }
    let (mut bytes, mut len, mut rest) = (u128::from(n & 0x7f), 1, n >> 7);
    while rest > 0 {
        bytes |= (0x80 | u128::from(rest & 0x7f) << 8) << (8 * (len - 1));
        (len, rest) = (len + 1, rest >> 7);
    }
    put_bytes(bytes, len, out);
}

/// A number of at most `max`, which is all ones.
#[inline]
fn take_varint(bytes: &mut &[u8], max: u64) -> Result<u64> {
    let mut n = 0;
    for shift in (0..max.count_ones()).step_by(7) {
        let byte = *bytes.split_off_first().ok_or(Error::DeserializeUnexpectedEnd)?;
        let bits = u64::from(byte & 0x7f);
        if bits > max >> shift {
            return Err(Error::DeserializeBadVarint);
        }
        n |= bits << shift;
        if byte < 0x80 {
            return Ok(n);
        }
    }
    Err(Error::DeserializeBadVarint)
}

#[inline]
fn put_str(text: &str, out: &mut Vec<u8>) {
    put_varint(text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

#[cold]
#[inline(never)]
fn put_long(text: &str, out: &mut Vec<u8>) {
    put_str(text, out);
}

#[inline]
fn take_str<'a>(bytes: &mut &'a [u8]) -> Result<&'a str> {
    let len = usize::try_from(take_varint(bytes, u64::MAX)?).map_err(|_| Error::DeserializeBadVarint)?;
    let text = bytes.split_off(..len).ok_or(Error::DeserializeUnexpectedEnd)?;
    std::str::from_utf8(text).map_err(|_| Error::DeserializeBadUtf8)
}

/// Small numbers of both signs to small numbers.
#[inline]
fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

#[inline]
fn unzigzag(n: u64) -> i64 {
    (n >> 1) as i64 ^ -((n & 1) as i64)
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use proptest::prelude::*;

    use super::*;

    fn same<T: Data + PartialEq + Debug>(value: &T) -> std::result::Result<(), TestCaseError> {
        let mut bytes = vec![7];
        encode(value, &mut bytes).unwrap();
        prop_assert_eq!(&bytes[1..], &postcard::to_stdvec(value).unwrap()[..]);
        bytes.push(9);
        let mut rest = &bytes[1..];
        prop_assert_eq!(&decode::<T>(&mut rest).unwrap(), value);
        prop_assert_eq!(rest, &[9]);
        for len in 1..bytes.len() - 1 {
            prop_assert!(decode::<T>(&mut &bytes[1..len]).is_err());
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn the_short_ways_are_postcards(s: String, n: u64, m: i64, f: f64, b: bool, t: (u64, Vec<i32>), shift in 0u32..64) {
            let (n, m) = (n >> shift, m >> shift);
            same(&s)?;
            same(&SmallString::from(s))?;
            same(&n)?;
            same(&(n as u32))?;
            same(&(n as u16))?;
            same(&(n as u8))?;
            same(&(n as usize))?;
            same(&m)?;
            same(&(m as i32))?;
            same(&(m as i16))?;
            same(&(m as i8))?;
            same(&f)?;
            same(&(f as f32))?;
            same(&b)?;
            same(&t)?;
            same(&())?;
            same(&u128::from(n))?;
        }

        /// What is refused is refused by both, and what is read is read alike.
        #[test]
        fn any_bytes_mean_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..12), high: bool) {
            let bytes: Vec<u8> = bytes.into_iter().map(|b| if high { b | 0x80 } else { b }).chain([1]).collect();
            fn check<T: Data + PartialEq + Debug>(bytes: &[u8]) -> std::result::Result<(), TestCaseError> {
                let mut rest = bytes;
                let ours = decode::<T>(&mut rest).ok();
                let theirs = postcard::take_from_bytes::<T>(bytes).ok();
                prop_assert_eq!(ours.map(|v| (v, rest)), theirs);
                Ok(())
            }
            check::<u64>(&bytes)?;
            check::<u32>(&bytes)?;
            check::<i64>(&bytes)?;
            check::<i32>(&bytes)?;
            check::<u8>(&bytes)?;
            check::<String>(&bytes)?;
            check::<SmallString>(&bytes)?;
        }
    }
}
