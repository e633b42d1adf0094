//! Tells the probe, in the name of one actor.

use std::sync::Arc;

use super::{Actor, Fact, Probe, Reached, Step};
use crate::{id::CheckpointId, metrics::Measurement};

/// A probe in the hands of one actor.
#[derive(Clone)]
pub struct Reporter {
    probe: Arc<dyn Probe>,
    actor: Actor,
}

impl Reporter {
    /// Reports in the name of `actor`.
    pub fn new(probe: Arc<dyn Probe>, actor: Actor) -> Self {
        Self { probe, actor }
    }

    /// Reports in the name of another actor.
    #[must_use]
    pub fn named(&self, actor: Actor) -> Self {
        Self { probe: self.probe.clone(), actor }
    }

    /// Who reports.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Tells what was measured.
    pub fn measure(&self, measurement: &Measurement) {
        self.probe.measure(measurement);
    }

    /// See [`Probe::wants_content`].
    #[must_use]
    pub fn wants_content(&self) -> bool {
        self.probe.wants_content()
    }

    /// Reports a step that belongs to no checkpoint.
    pub async fn report(&self, step: Step) {
        self.send(None, step).await;
    }

    /// Reports a step of a checkpoint.
    pub async fn report_for(&self, checkpoint: CheckpointId, step: Step) {
        self.send(Some(checkpoint), step).await;
    }

    async fn send(&self, checkpoint: Option<CheckpointId>, step: Step) {
        let fact = Fact { actor: self.actor.clone(), checkpoint, step };
        if let Reached::Hold(until) = self.probe.reach(&fact) {
            until.await;
        }
    }
}
