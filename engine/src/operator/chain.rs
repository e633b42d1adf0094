//! What all programs have in common: a chain of operators, and the snapshot that is being taken of it.

use super::{
    snapshotting::{self, OperatorTables},
    stage::Stage,
};
use crate::{
    error::Result,
    probe::GivenState,
    state::{Freeze, FrozenOperator, FrozenSnapshot, StateSize},
};

/// A chain from its first operator on. The methods mean what they mean in `SubtaskProgram`; whatever has nothing to do
/// with snapshots is asked of `head` itself.
pub(crate) struct Chain<In> {
    pub head: Box<dyn Stage<In>>,
    /// What is being swept.
    frozen: Option<FrozenSnapshot>,
}

impl<In> Chain<In> {
    pub fn new(head: Box<dyn Stage<In>>) -> Self {
        Self { head, frozen: None }
    }

    /// See `SubtaskProgram::state_size`.
    pub fn state_size(&mut self) -> StateSize {
        snapshotting::size_of(&tables(&mut *self.head))
    }

    /// See `SubtaskProgram::content`.
    pub fn content(&mut self) -> Result<Vec<GivenState>> {
        snapshotting::content_of(&tables(&mut *self.head))
    }

    /// See `SubtaskProgram::freeze`. `lists` are those of what is before the chain.
    pub fn freeze(&mut self, mut lists: Vec<FrozenOperator>, freeze: Freeze) -> Result<Vec<GivenState>> {
        self.head.lists(freeze.checkpoint, &mut lists)?;
        let (frozen, content) = snapshotting::freeze(tables(&mut *self.head), lists, freeze)?;
        self.frozen = Some(frozen);
        Ok(content)
    }

    /// See `SubtaskProgram::sweep`.
    pub fn sweep(&mut self, budget: u64) -> Result<Option<FrozenSnapshot>> {
        let Some(frozen) = &mut self.frozen else { return Ok(None) };
        let is_over = snapshotting::sweep(tables(&mut *self.head), frozen, budget)?;
        Ok(if is_over { self.frozen.take() } else { None })
    }

    /// See `SubtaskProgram::abandon_snapshot`.
    pub fn abandon_snapshot(&mut self) {
        self.frozen = None;
        tables(&mut *self.head).iter_mut().flat_map(|o| &mut o.tables).for_each(|table| table.abandon());
    }
}

/// The keyed states of a chain.
fn tables<In>(head: &mut dyn Stage<In>) -> Vec<OperatorTables<'_>> {
    let mut tables = Vec::new();
    head.tables(&mut tables);
    tables
}
