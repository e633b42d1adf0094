//! Which defect is active, thread by thread.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    fmt::Debug,
    marker::PhantomData,
};

use super::Defect;

thread_local! {
    static ACTIVE: Cell<Option<Defect>> = const { Cell::new(None) };
    /// What sites with `again` have seen since the defect was planted.
    static SEEN: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

/// Keeps a defect active in this thread until it is dropped.
#[must_use = "the defect is active only as long as this lives"]
pub struct Planted {
    /// Not for another thread.
    here: PhantomData<*const ()>,
}

/// Makes a defect active in this thread. Panics if there is one already: together they might hide one another.
pub fn plant(defect: Defect) -> Planted {
    let earlier = ACTIVE.replace(Some(defect));
    assert_eq!(earlier, None, "one defect at a time");
    Planted { here: PhantomData }
}

impl Drop for Planted {
    fn drop(&mut self) {
        ACTIVE.set(None);
        SEEN.take();
    }
}

/// Whether this is the active defect.
pub(crate) fn is_planted(defect: Defect) -> bool {
    ACTIVE.get() == Some(defect)
}

/// Whether the value has been given before, since the defect was planted.
pub(crate) fn seen_before(value: &impl Debug) -> bool {
    SEEN.with_borrow_mut(|seen| !seen.insert(format!("{value:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_defect_is_active_as_long_as_its_guard_lives_and_only_here() {
        let site = || planted!(BarrierDoesNotBlock);
        assert!(!site());
        let guard = plant(Defect::BarrierDoesNotBlock);
        assert!(site() && !planted!(OldTriggerTaken));
        assert!(!std::thread::scope(|scope| scope.spawn(site).join().unwrap()), "another thread is another run");
        drop(guard);
        assert!(!site());
    }

    #[test]
    fn again_is_the_second_time() {
        let site = |n: u32| planted!(RepeatedCommitNotAnswered, again: n);
        let guard = plant(Defect::RepeatedCommitNotAnswered);
        assert_eq!([site(1), site(2), site(1)], [false, false, true]);
        drop(guard);
        let _guard = plant(Defect::RepeatedCommitNotAnswered);
        assert!(!site(1), "each planting begins anew");
    }
}
