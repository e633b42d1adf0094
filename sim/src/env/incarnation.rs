//! One life of a node's process.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// A node's name and which of its lives it is. Handles carry it, and refuse to act for the dead.
#[derive(Clone, Debug)]
pub struct Incarnation {
    node: Arc<str>,
    number: u64,
    alive: Arc<AtomicBool>,
}

impl Incarnation {
    pub(super) fn new(node: &str, number: u64) -> Self {
        Self { node: node.into(), number, alive: Arc::new(AtomicBool::new(true)) }
    }

    /// The node's name.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node
    }

    /// 1 for the node's first life.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether it still lives.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Relaxed)
    }

    pub(super) fn end(&self) {
        self.alive.store(false, Ordering::Relaxed);
    }
}
