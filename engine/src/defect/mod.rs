//! Planted defects: bugs that real engines have had, to be brought back one at a time, so that the testbed can prove that it
//! finds them.
//!
//! Each site is one visible line that asks `planted!(ThisDefect)` and names the public ticket. Without the cargo feature
//! `defects` the answer is the constant `false`, and this module holds nothing but that. With it, at most one defect is
//! active in a thread, which is what a simulated run has to itself.
//!
//! Deliberately absent: any way to make a defect active from outside of the program, and any code that a defect needs and the
//! engine does not.

/// Whether the defect is active in this thread. With `again: value`, only from the second time on that the value is seen.
#[cfg(feature = "defects")]
macro_rules! planted {
    ($defect:ident) => {
        $crate::defect::is_planted($crate::defect::Defect::$defect)
    };
    ($defect:ident, again: $value:expr) => {
        planted!($defect) && $crate::defect::seen_before(&$value)
    };
}

/// Never: the defects are not built in.
#[cfg(not(feature = "defects"))]
macro_rules! planted {
    ($defect:ident $(, again: $value:expr)?) => {
        false
    };
}

#[cfg(feature = "defects")]
mod active;
#[cfg(feature = "defects")]
mod catalogue;
#[cfg(feature = "defects")]
mod not_applicable;

#[cfg(feature = "defects")]
pub(crate) use self::active::{is_planted, seen_before};
#[cfg(feature = "defects")]
pub use self::{
    active::{Planted, plant},
    catalogue::{Defect, Ticket},
    not_applicable::{NOT_APPLICABLE, NotApplicable},
};
