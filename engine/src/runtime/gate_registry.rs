//! Where the producers of a task manager's tasks find their input gates.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use tokio::sync::Notify;

use super::input_gate::GateSender;
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

/// The input gates of the newest attempt on one task manager. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct GateRegistry {
    gates: Arc<Mutex<Gates>>,
    changed: Arc<Notify>,
}

impl GateRegistry {
    /// Replaces the gates of earlier attempts by those of this one.
    pub(crate) fn supersede(&self, attempt: AttemptId, gates: BTreeMap<ChannelId, GateSender>) {
        let mut current = self.gates.lock().expect("nobody panics while holding this lock");
        assert!(current.attempt < Some(attempt), "attempt {attempt} is deployed after {:?}", current.attempt);
        *current = Gates { attempt: Some(attempt), unclaimed: gates };
        self.changed.notify_waiters();
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
    pub(crate) async fn claim(&self, channel: ChannelId, attempt: AttemptId) -> Result<GateSender> {
        loop {
            // Registered before the look, so that a change between look and wait is not missed (known bug A-34).
            let changed = self.changed.notified();
            if let Some(gate) = self.look(channel, attempt)? {
                return Ok(gate);
            }
            changed.await;
        }
    }

    fn look(&self, channel: ChannelId, attempt: AttemptId) -> Result<Option<GateSender>> {
        let mut gates = self.gates.lock().expect("nobody panics while holding this lock");
        match gates.attempt {
            Some(current) if current > attempt => {
                let message = format!("channel {channel} of attempt {attempt} is refused: attempt {current} runs here");
                Err(Error::superseded(message))
            }
            Some(current) if current == attempt => match gates.unclaimed.remove(&channel) {
                Some(gate) => Ok(Some(gate)),
                None => Err(Error::unavailable(format!("channel {channel} of attempt {attempt} is not open here"))),
            },
            _ => Ok(None),
        }
    }
}
