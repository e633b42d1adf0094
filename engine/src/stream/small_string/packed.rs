//! The sixteen bytes of a `SmallString`: the text itself, or where it is.
//!
//! ```text
//!   byte   0 … 7                            8 … 14             15
//!          text, then zeros                                    its length, 0 to 15
//!          address of the text of an Arc<str>   its length     255
//! ```
//!
//! Why it is made here: a chain hands strings on from one loop to the next. As two words they go in registers. As an array of
//! bytes, which is what the libraries of that size keep, they are written in pieces and read back whole at once, and the
//! processor waits a dozen cycles each time; in word count over short words that was half of all time. `small_string` in
//! `benches` compares the two.
//!
//! Each unsafe block leans on one fact: if the last byte is `ON_HEAP`, then `low` and the length before it came from
//! `Arc::into_raw`, and this value owns one of the references; else the first `last byte` bytes of the value are text. The
//! tests of the parent module run under Miri as well.
#![allow(unsafe_code, reason = "see the text above")]

use std::{
    ptr::{slice_from_raw_parts, without_provenance},
    slice,
    sync::Arc,
};

#[cfg(not(all(target_pointer_width = "64", target_endian = "little")))]
compile_error!("a string is laid out in two words, for 64-bit little-endian machines");

/// The longest text, in bytes, that needs no memory of its own.
pub(super) const INLINE_LEN: usize = 15;

/// The last byte of a text that stands elsewhere.
const ON_HEAP: u64 = 255;

/// Text, owned.
#[repr(C)]
pub(super) struct Packed {
    /// The address, or the first eight bytes. A pointer in both cases: addresses must not go through integers.
    low: *const u8,
    /// The rest of the bytes. The last is the highest.
    high: u64,
}

// SAFETY: it is bytes, or an `Arc<str>`, which is both.
unsafe impl Send for Packed {}
// SAFETY: as above.
unsafe impl Sync for Packed {}

impl Packed {
    /// No text.
    pub const EMPTY: Self = Self { low: without_provenance(0), high: 0 };

    /// A text of its own.
    #[inline]
    pub fn new(text: &str) -> Self {
        if text.len() <= INLINE_LEN { Self::inline(bits(text.as_bytes()), text.len()) } else { Self::long(text) }
    }

    #[cold]
    fn long(text: &str) -> Self {
        Self::on_heap(text.into())
    }

    /// The text of `len` bytes that `bits` holds, the first in the lowest bits. The bits above are zero.
    #[inline]
    fn inline(bits: u128, len: usize) -> Self {
        let low = without_provenance(bits as u64 as usize);
        Self { low, high: (bits >> 64) as u64 | (len as u64) << 56 }
    }

    fn on_heap(text: Arc<str>) -> Self {
        // No allocation comes near to 2^56 bytes.
        let high = ON_HEAP << 56 | text.len() as u64;
        Self { low: Arc::into_raw(text).cast(), high }
    }

    /// What `Arc::into_raw` gave, if the text is on the heap.
    #[inline]
    fn as_raw(&self) -> *const str {
        slice_from_raw_parts(self.low, (self.high & (u64::MAX >> 8)) as usize) as *const str
    }

    #[inline]
    fn is_on_heap(&self) -> bool {
        self.high >> 56 == ON_HEAP
    }

    #[inline]
    fn bits(&self) -> u128 {
        u128::from(self.high) << 64 | self.low.addr() as u128
    }

    /// The text, the first byte in the lowest bits, and its length, if it is short.
    #[inline]
    pub fn inline_text(&self) -> Option<(u128, usize)> {
        let text = |bits: u128| (bits & (u128::MAX >> 8), (bits >> 120) as usize);
        (!self.is_on_heap()).then(|| text(self.bits()))
    }

    /// The text.
    #[inline]
    pub fn as_str(&self) -> &str {
        if self.is_on_heap() {
            // SAFETY: the pointer is that of an `Arc` of which this value owns a reference.
            return unsafe { &*self.as_raw() };
        }
        let len = (self.high >> 56) as usize;
        // SAFETY: without padding, the first bytes of this value are the text, which `new` and `push_str` took from `str`s.
        unsafe { str::from_utf8_unchecked(slice::from_raw_parts((&raw const *self).cast(), len)) }
    }

    /// Appends text.
    #[inline]
    pub fn push_str(&mut self, text: &str) {
        let len = (self.high >> 56) as usize + text.len();
        if len > INLINE_LEN {
            // Also if this value is on the heap: 255 is more than fits.
            return self.push_long(text);
        }
        let (before, shift) = (self.bits() & (u128::MAX >> 8), 8 * (len - text.len()));
        *self = Self::inline(before | bits(text.as_bytes()) << shift, len);
    }

    #[cold]
    fn push_long(&mut self, text: &str) {
        *self = Self::on_heap([self.as_str(), text].concat().into());
    }
}

impl PartialEq for Packed {
    /// Text that is as long in one as in the other has the same form in both. So the words are compared first: of short text
    /// they are all, and of long text its shared copies have the same.
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.bits() == other.bits()
            || (self.is_on_heap() && self.high == other.high && is_same_text(self.as_str(), other.as_str()))
    }
}

impl Eq for Packed {}

/// Apart, so that code in which all strings are short stays short.
#[cold]
#[inline(never)]
fn is_same_text(a: &str, b: &str) -> bool {
    a == b
}

impl Clone for Packed {
    #[inline]
    fn clone(&self) -> Self {
        if self.is_on_heap() {
            // SAFETY: the pointer is that of an `Arc` that lives, because this value owns a reference; one more is counted.
            unsafe { Arc::increment_strong_count(self.as_raw()) };
        }
        Self { low: self.low, high: self.high }
    }
}

impl Drop for Packed {
    #[inline]
    fn drop(&mut self) {
        if self.is_on_heap() {
            // SAFETY: the pointer is that of an `Arc`; the reference that goes with it is dropped once, as this value is.
            let_go(unsafe { Arc::from_raw(self.as_raw()) });
        }
    }
}

/// Apart, so that code in which all strings are short stays short.
#[cold]
#[inline(never)]
fn let_go(text: Arc<str>) {
    drop(text);
}

/// Up to 15 bytes in one number, the first in the lowest bits. With two reads that overlap: a copy of a length that is not
/// known beforehand would be a call.
#[inline]
fn bits(text: &[u8]) -> u128 {
    let len = text.len();
    let both = |first: u64, last: u64, width: usize| u128::from(first) | u128::from(last) << (8 * (len - width));
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return both(u64::from_le_bytes(*first), u64::from_le_bytes(*last), 8);
    }
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return both(u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into(), 4);
    }
    match *text {
        [] => 0,
        [a] => a.into(),
        [a, b] => u16::from_le_bytes([a, b]).into(),
        [a, b, c] => u32::from_le_bytes([a, b, c, 0]).into(),
        _ => unreachable!("longer text has been read"),
    }
}
