//! The task managers that have a session, and those that are about to.

use std::collections::BTreeMap;

use tokio::sync::mpsc;

use super::actor::Event;
use crate::{
    env::{AbortOnDrop, Address, ByteStream, Env, Site, timeout},
    error::{Context, Error, Result},
    id::TaskManagerId,
    instant::Instant,
    job::FailureDetector,
    runtime::{
        message_stream::admit,
        options::ClusterOptions,
        rpc::{Registration, ToTaskManager},
        session::Session,
    },
};

/// Names a session within the life of this job manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SessionId(u64);

struct Peer {
    session: Session,
    outgoing: mpsc::UnboundedSender<ToTaskManager>,
    /// `None` until its first message.
    registration: Option<Registration>,
}

/// All sessions of the job manager.
pub(crate) struct Peers {
    env: Env,
    options: ClusterOptions,
    events: mpsc::UnboundedSender<Event>,
    sessions: BTreeMap<SessionId, Peer>,
    silence: FailureDetector<SessionId>,
    next: u64,
    _listener: AbortOnDrop,
}

impl Peers {
    /// Listens for task managers; those that know the secret come back as `Event::Connected`.
    pub(crate) async fn listen(
        env: &Env,
        options: &ClusterOptions,
        address: &Address,
        events: mpsc::UnboundedSender<Event>,
    ) -> Result<(Address, Self)> {
        let listener = env.network.bind(address).await.at(|| format!("job manager address {address}"))?;
        let local = listener.local_address();
        let accept = accept(env.clone(), options.clone(), listener, events.clone());
        let peers = Self {
            env: env.clone(),
            options: options.clone(),
            events,
            sessions: BTreeMap::new(),
            silence: FailureDetector::new(options.heartbeat_timeout),
            next: 0,
            _listener: AbortOnDrop(env.spawner.start("job manager listener", accept)),
        };
        Ok((local, peers))
    }

    /// Starts a session with a peer that has proved that it belongs here.
    pub(crate) fn add(&mut self, stream: ByteStream, now: Instant) {
        let id = SessionId(self.next);
        self.next += 1;
        let (outgoing, queue) = mpsc::unbounded_channel();
        let events = self.events.clone();
        let on_event = move |event| drop(events.send(Event::Session(id, event)));
        let session = Session::start(&*self.env.spawner, &format!("session {}", id.0), stream, queue, on_event);
        self.sessions.insert(id, Peer { session, outgoing, registration: None });
        self.silence.watch(id, now);
    }

    /// The peer has said who it is. Gives the session that it had before, if that is still there: it is over.
    pub(crate) fn register(&mut self, id: SessionId, registration: Registration) -> Option<SessionId> {
        let same = |(other, peer): (&SessionId, &Peer)| {
            let registered = peer.registration.as_ref().is_some_and(|r| r.id == registration.id);
            (*other != id && registered).then_some(*other)
        };
        let earlier = self.sessions.iter().find_map(same);
        if let Some(peer) = self.sessions.get_mut(&id) {
            peer.registration = Some(registration);
        }
        earlier
    }

    /// Ends a session. Gives the task manager that was registered there.
    pub(crate) fn remove(&mut self, id: SessionId) -> Option<TaskManagerId> {
        self.silence.forget(&id);
        self.sessions.remove(&id)?.registration.map(|r| r.id)
    }

    /// Says no for good.
    pub(crate) fn refuse(&mut self, id: SessionId, error: Error) {
        self.silence.forget(&id);
        if let Some(Peer { session, outgoing, .. }) = self.sessions.remove(&id) {
            let _ = outgoing.send(ToTaskManager::Refused { error });
            drop(outgoing);
            // The peer deserves to hear it, but nobody waits for that.
            self.env.spawner.start("refusal", session.flush());
        }
    }

    /// The peer gave a sign of life.
    pub(crate) fn heard(&mut self, id: SessionId, now: Instant) {
        self.silence.heard(&id, now);
    }

    /// The sessions that have been silent for too long.
    pub(crate) fn silent(&mut self, now: Instant) -> Vec<SessionId> {
        self.silence.expired(now)
    }

    /// Whether the session is still there.
    pub(crate) fn contains(&self, id: SessionId) -> bool {
        self.sessions.contains_key(&id)
    }

    /// The registered task managers.
    pub(crate) fn registered(&self) -> impl Iterator<Item = &Registration> {
        self.sessions.values().filter_map(|p| p.registration.as_ref())
    }

    /// Sends to one task manager, if it is there.
    pub(crate) fn send(&self, to: &TaskManagerId, message: ToTaskManager) {
        let registered = |p: &&Peer| p.registration.as_ref().is_some_and(|r| r.id == *to);
        if let Some(peer) = self.sessions.values().find(registered) {
            // A session that has just ended comes back as an event.
            let _ = peer.outgoing.send(message);
        }
    }

    /// Sends to all registered task managers.
    pub(crate) fn broadcast(&self, message: &ToTaskManager) {
        let mut peers: Vec<_> = self.sessions.values().filter(|p| p.registration.is_some()).collect();
        if self.env.entropy.perturbs(Site::PeersInReverse) {
            peers.reverse();
        }
        for peer in peers {
            let _ = peer.outgoing.send(message.clone());
        }
    }

    /// Waits, within reason, until all messages have left.
    pub(crate) async fn flush(self) {
        let clock = self.env.clock.clone();
        let flush_all = async {
            for Peer { session, outgoing, .. } in self.sessions.into_values() {
                drop(outgoing);
                session.flush().await;
            }
        };
        // A peer that does not take its last message gives up by itself.
        let _ = timeout(&*clock, self.options.heartbeat_timeout, flush_all).await;
    }
}

async fn accept(
    env: Env,
    options: ClusterOptions,
    mut listener: Box<dyn crate::env::Listener>,
    events: mpsc::UnboundedSender<Event>,
) {
    loop {
        let Ok(stream) = listener.accept().await else {
            // One peer's trouble, or no descriptors left, which time may mend.
            env.clock.sleep_until(env.clock.now() + options.heartbeat_interval).await;
            continue;
        };
        let (peer_env, secret, events) = (env.clone(), options.secret.clone(), events.clone());
        env.spawner.start("handshake", async move {
            // A stranger is no event.
            if let Ok(stream) = admit(&peer_env, stream, &secret).await {
                let _ = events.send(Event::Connected(stream));
            }
        });
    }
}
