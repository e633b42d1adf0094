//! Where the producers of a task manager's tasks find their input gates.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use tokio::sync::Notify;

use super::{input_gate::GateSender, turn::yield_now};
use crate::{
    error::{Error, Result},
    id::{AttemptId, ChannelId},
};

#[derive(Default)]
struct Gates {
    /// The newest attempt that was deployed here.
    attempt: Option<AttemptId>,
    /// The gates of that attempt that no producer has claimed yet.
    unclaimed: BTreeMap<ChannelId, GateSender>,
}

/// A gate that a producer has claimed.
pub(crate) struct Claimed {
    pub gate: GateSender,
    /// The attempt whose gate it is.
    pub consumer: AttemptId,
}

/// The input gates of the newest attempt on one task manager. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct GateRegistry {
    gates: Arc<Mutex<Gates>>,
    changed: Arc<Notify>,
}

impl GateRegistry {
    /// Replaces the gates of earlier attempts by those of this one. False, and nothing is done, if this attempt is not
    /// newer than the one deployed here: it comes from a job manager that has been replaced.
    #[must_use]
    pub(crate) fn supersede(&self, attempt: AttemptId, gates: BTreeMap<ChannelId, GateSender>) -> bool {
        let mut current = self.gates.lock().expect("nobody panics while holding this lock");
        if current.attempt >= Some(attempt) {
            return false;
        }
        *current = Gates { attempt: Some(attempt), unclaimed: gates };
        self.changed.notify_waiters();
        true
    }

    /// Forgets all gates: their tasks are canceled.
    pub(crate) fn clear(&self) {
        self.gates.lock().expect("nobody panics while holding this lock").unclaimed.clear();
    }

    /// The gate of a channel, once its consumer is deployed in that attempt. Each gate is given out once: a channel has
    /// one producer.
    ///
    /// # Errors
    /// `Superseded` if a later attempt is deployed already; `Unavailable` if the gate was claimed before.
    pub(crate) async fn claim(&self, channel: ChannelId, attempt: AttemptId) -> Result<Claimed> {
        loop {
            // Registered before the look, so that a change between look and wait is not missed (Arroyo 1017).
            let changed = self.changed.notified();
            if let Some(gate) = self.look(channel, attempt)? {
                return Ok(gate);
            }
            if planted!(LostWakeUp) {
                yield_now().await; // Arroyo 1017
                self.changed.notified().await;
                continue;
            }
            changed.await;
        }
    }

    fn look(&self, channel: ChannelId, attempt: AttemptId) -> Result<Option<Claimed>> {
        let mut gates = self.gates.lock().expect("nobody panics while holding this lock");
        let stale = gates.attempt.filter(|_| planted!(StaleProducerLetIn)); // RisingWave 20879
        let attempt = stale.unwrap_or(attempt);
        match gates.attempt {
            Some(current) if current > attempt => {
                let message = format!("channel {channel} of attempt {attempt} is refused: attempt {current} runs here");
                Err(Error::superseded(message))
            }
            Some(current) if current == attempt => match gates.unclaimed.remove(&channel) {
                Some(gate) => Ok(Some(Claimed { gate, consumer: current })),
                None => Err(Error::unavailable(format!("channel {channel} of attempt {attempt} is not open here"))),
            },
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::{
        error::ErrorKind,
        id::{SubtaskId, VertexId},
        runtime::input_gate::InputGate,
    };

    const ATTEMPT: AttemptId = AttemptId { term: 2, number: 1 };

    fn channel() -> ChannelId {
        let subtask = |vertex| SubtaskId { vertex: VertexId(vertex), index: 0 };
        ChannelId { from: subtask(0), to: subtask(1) }
    }

    fn gates() -> (InputGate, BTreeMap<ChannelId, GateSender>) {
        let (gate, senders) = InputGate::new(&[channel()]);
        (gate, BTreeMap::from([(channel(), senders[0].clone())]))
    }

    #[test]
    fn a_producer_that_comes_early_waits_for_its_consumer() {
        let registry = GateRegistry::default();
        let mut claim = std::pin::pin!(registry.claim(channel(), ATTEMPT));
        assert!(claim.as_mut().now_or_never().is_none());
        let (_gate, senders) = gates();
        assert!(registry.supersede(ATTEMPT, senders));
        let claimed = claim.now_or_never().expect("the gate is there");
        assert_eq!(claimed.ok().map(|c| c.consumer), Some(ATTEMPT));
    }

    /// RisingWave 20879: a stale producer's connection is handled by the new attempt.
    #[test]
    fn a_superseded_producer_is_refused() {
        let registry = GateRegistry::default();
        let (_gate, senders) = gates();
        assert!(registry.supersede(ATTEMPT, senders));
        let stale = AttemptId { term: 1, number: 9 };
        let refused = registry.claim(channel(), stale).now_or_never().expect("it need not wait");
        assert_eq!(refused.err().map(|e| e.kind), Some(ErrorKind::Superseded));
        assert!(!registry.supersede(stale, BTreeMap::new()), "a replaced job manager deploys nothing");
    }

    #[test]
    fn a_channel_has_one_producer() {
        let registry = GateRegistry::default();
        let (_gate, senders) = gates();
        assert!(registry.supersede(ATTEMPT, senders));
        assert!(registry.claim(channel(), ATTEMPT).now_or_never().is_some_and(|c| c.is_ok()));
        assert!(registry.claim(channel(), ATTEMPT).now_or_never().is_some_and(|c| c.is_err()));
    }
}
