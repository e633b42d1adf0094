//! Asks the processor for memory ahead of its use.
#![allow(unsafe_code, reason = "no safe function of the standard library does it")]

use std::marker::PhantomData;

/// Says that `value` will be read at once. Changes nothing but how long that takes. Without it keyed sum over a million keys
/// handled a fifth fewer records: empty this function, and `cargo bench --bench throughput` compares with its run before.
#[inline]
pub(super) fn prefetch<T>(value: &T) {
    ask_for::<NEAREST>((&raw const *value).addr());
}

/// Says that what is at these addresses, if there is anything, will be read in a while: not so soon that it should drive
/// something else out of the nearest cache.
#[inline]
pub(super) fn prefetch_both(addresses: [usize; 2]) {
    addresses.into_iter().for_each(ask_for::<NEXT>);
}

/// Records that are read one after the other. Another core has written them, as a rule, and they are still in its cache: to fetch
/// them from there takes longer than the processor looks ahead by itself. Without it keyed sum over a thousand keys handled
/// a seventh fewer records; `cargo bench --bench throughput` shows it.
pub(crate) struct InOrder<T> {
    /// What is asked for next.
    address: usize,
    records: PhantomData<fn() -> T>,
}

impl<T> InOrder<T> {
    /// So many bytes ahead.
    const DISTANCE: usize = 1024;

    /// So large are records that come two to a line. For larger ones it is of no use: more is done for each of them, and look-ups
    /// need the room in the processor's queue.
    const SMALL: usize = 32;

    #[inline]
    pub fn of(records: &[T]) -> Self {
        Self { address: records.as_ptr().addr() + Self::DISTANCE, records: PhantomData }
    }

    /// The next record is about to be read.
    #[inline]
    pub fn ask_ahead(&mut self) {
        if const { size_of::<T>() <= Self::SMALL } {
            ask_for::<NEAREST>(self.address);
            self.address += size_of::<T>();
        }
    }
}

/// Into which cache: those of the processor's hints.
const NEAREST: i32 = 3;
const NEXT: i32 = 2;

#[inline]
fn ask_for<const CACHE: i32>(address: usize) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
        const { assert!(NEAREST == _MM_HINT_T0 && NEXT == _MM_HINT_T1, "the hints have these numbers") };
        // SAFETY: needs SSE, which each processor of this architecture has. The address is only a hint: any will do, and
        // nothing is read.
        unsafe { _mm_prefetch::<CACHE>(std::ptr::without_provenance(address)) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}
