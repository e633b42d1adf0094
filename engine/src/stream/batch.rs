//! Batches without their type, for the parts of the engine that only move them.

use std::{
    any::{Any, type_name},
    fmt,
};

/// A `Vec<T>` of which only the length is known. The vertices at both ends of an edge agree on `T` by construction.
///
/// A batch that has been processed is empty, but its memory is worth keeping: it goes back to where batches are filled.
pub struct AnyBatch(Box<dyn Records>);

/// A `Vec` of anything.
trait Records: Any + Send {
    fn count(&self) -> usize;
    fn clear(&mut self);
    fn take_first(&mut self, n: usize) -> AnyBatch;
}

impl<T: Send + 'static> Records for Vec<T> {
    fn count(&self) -> usize {
        self.len()
    }

    fn clear(&mut self) {
        Self::clear(self);
    }

    fn take_first(&mut self, n: usize) -> AnyBatch {
        let rest = self.split_off(n);
        AnyBatch::new(std::mem::replace(self, rest))
    }
}

impl AnyBatch {
    /// Hides the type.
    #[must_use]
    pub fn new<T: Send + 'static>(records: Vec<T>) -> Self {
        Self(Box::new(records))
    }

    /// How many records it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.count()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops the records and keeps the memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// A batch of the first `n` records, which leaves the others here.
    ///
    /// # Panics
    /// If there are fewer.
    #[must_use]
    pub fn take_first(&mut self, n: usize) -> Self {
        self.0.take_first(n)
    }

    /// The records.
    ///
    /// # Panics
    /// If the batch does not hold `T`: the graph connected two vertices of different types, a bug of this crate.
    #[must_use]
    pub fn downcast<T: Send + 'static>(self) -> Vec<T> {
        let records: Box<dyn Any> = self.0;
        *records.downcast().unwrap_or_else(|_| wrong_type::<T>())
    }

    /// The records, left where they are. Panics as [`AnyBatch::downcast`] does.
    #[must_use]
    pub fn as_slice<T: Send + 'static>(&self) -> &[T] {
        let records: &dyn Any = &*self.0;
        let records: &Vec<T> = records.downcast_ref().unwrap_or_else(|| wrong_type::<T>());
        records
    }

    /// The records, to be taken out. Panics as [`AnyBatch::downcast`] does.
    #[must_use]
    pub fn as_vec_mut<T: Send + 'static>(&mut self) -> &mut Vec<T> {
        let records: &mut dyn Any = &mut *self.0;
        records.downcast_mut().unwrap_or_else(|| wrong_type::<T>())
    }
}

fn wrong_type<T>() -> ! {
    panic!("a batch is not of type {}", type_name::<T>())
}

impl fmt::Debug for AnyBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batch of {}", self.len())
    }
}
