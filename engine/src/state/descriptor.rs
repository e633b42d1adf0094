//! What a state is called and what it holds.

use std::{any::type_name, marker::PhantomData};

/// Names a value per key of type `V`.
pub struct ValueStateDescriptor<V> {
    name: String,
    value: PhantomData<fn() -> V>,
}

impl<V> ValueStateDescriptor<V> {
    /// A state with this name, which is unique within its operator and finds the state again after a restart.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), value: PhantomData }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a snapshot says of the types of key and value, so that state is never read as something else.
    #[must_use]
    pub fn type_name<K>(&self) -> String {
        format!("{} -> {}", type_name::<K>(), type_name::<V>())
    }
}

impl<V> Clone for ValueStateDescriptor<V> {
    fn clone(&self) -> Self {
        Self::new(self.name.clone())
    }
}
