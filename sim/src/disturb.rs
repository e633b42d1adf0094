//! The hand that carries out what a plan says, and takes it back when its time is over.

use std::{sync::atomic::Ordering, time::Duration};

use madsim::runtime::Handle;
use tidegate::{
    instant::Instant,
    probe::{Fact, Step},
};

use crate::{
    cluster::{JOB_MANAGER, Order, Stage},
    env::Crash,
    fault::{Action, Victim},
    history::Event,
};

/// What ends a fault.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Relief {
    /// A node runs again.
    Restart(String),
    /// A node runs for the first time, in the place of another.
    Start(String),
    /// A node goes on.
    Resume(String),
    /// Two nodes reach each other again.
    Heal(String, String),
    /// One direction works again.
    Mend(String, String),
    /// A link is as fast as ever.
    EndDelay(String, String),
    /// A link is as wide as ever.
    EndThrottle(String, String),
    /// The disk has room again.
    FreeDisk,
    /// Syncs of a node are honest again.
    EndLies(String),
}

impl Stage {
    /// Does what a fault says, on behalf of `node`. Gives false if there was nothing to do it to.
    pub(crate) fn disturb(&self, node: &str, action: &Action) -> bool {
        let us = Duration::from_micros;
        let (network, disk) = (&self.world.network, &self.world.disk);
        let whom = |victim: &Victim| match victim {
            Victim::Here => node.to_owned(),
            Victim::JobManager => JOB_MANAGER.to_owned(),
            Victim::TaskManager(name) => name.clone(),
        };
        match action {
            // Whoever takes the step does these, and whoever carries the message those.
            Action::KillTask | Action::Stall { .. } => true,
            Action::LoseMessage | Action::DelayMessage { .. } | Action::RepeatMessage { .. } => true,
            Action::Crash { victim, crash, restart_after_us } => {
                let victim = whom(victim);
                self.crash(&victim, *crash) && self.later(Relief::Restart(victim), us(*restart_after_us))
            }
            Action::Replace { victim, crash, after_us } => {
                let victim = whom(victim);
                if victim == JOB_MANAGER || !self.crash(&victim, *crash) {
                    return false;
                }
                self.later(Relief::Start(self.new_name()), us(*after_us))
            }
            Action::Remove { victim, crash } => self.crash(&whom(victim), *crash),
            Action::Redeploy { crash, after_us } => {
                if self.graphs.len() < 2 {
                    return false;
                }
                self.tell(JOB_MANAGER, "everything is stopped, to start with another parallelism".into());
                self.deployed.fetch_xor(1, Ordering::Relaxed);
                self.deployments.change(self.newest_term() + 1, self.graph());
                for node in self.node_ids().into_keys() {
                    if self.crash(&node, *crash) {
                        self.later(Relief::Restart(node), us(*after_us));
                    }
                }
                true
            }
            Action::Pause { victim, for_us } => {
                let victim = whom(victim);
                self.pause(&victim) && self.later(Relief::Resume(victim), us(*for_us))
            }
            Action::Partition { a, b, heal_after_us } => {
                self.tell(a, format!("partition from {b}"));
                network.partition(a, b);
                self.later(Relief::Heal(a.clone(), b.clone()), us(*heal_after_us))
            }
            Action::Cut { from, to, heal_after_us } => {
                self.tell(from, format!("nothing of it reaches {to}"));
                network.cut(from, to);
                self.later(Relief::Mend(from.clone(), to.clone()), us(*heal_after_us))
            }
            Action::DelayLink { a, b, extra_us, for_us } => {
                self.tell(a, format!("{extra_us} µs further from {b}"));
                network.delay_link(a, b, us(*extra_us));
                self.later(Relief::EndDelay(a.clone(), b.clone()), us(*for_us))
            }
            Action::Throttle { a, b, bytes_per_ms, for_us } => {
                self.tell(a, format!("{bytes_per_ms} bytes a millisecond between it and {b}"));
                network.throttle(a, b, Some(*bytes_per_ms));
                self.later(Relief::EndThrottle(a.clone(), b.clone()), us(*for_us))
            }
            Action::ResetConnections { a, b } => {
                self.tell(a, format!("connections with {b} reset"));
                network.reset_connections(a, b);
                true
            }
            Action::Silence { a, b } => {
                self.tell(a, format!("connections with {b} are silent"));
                network.silence_connections(a, b);
                true
            }
            Action::FailDisk { victim, op, error } => {
                let victim = whom(victim);
                self.tell(&victim, format!("its next disk operation of kind {op:?} fails: {error:?}"));
                disk.fail_next(&victim, *op, *error);
                true
            }
            Action::StallDisk { victim, for_us } => {
                let victim = whom(victim);
                self.tell(&victim, format!("its disk hangs for {for_us} µs"));
                disk.stall(&victim, self.now() + us(*for_us));
                true
            }
            Action::FillDisk { room_bytes, for_us } => {
                self.tell(node, format!("{room_bytes} more bytes fit on the disk"));
                disk.leave_room(Some(*room_bytes));
                for_us.is_none_or(|after| self.later(Relief::FreeDisk, us(after)))
            }
            Action::DamageFile { file, damage } => match disk.damage(*file, *damage) {
                Some(path) => {
                    self.tell(node, format!("{} is damaged: {damage:?}", path.display()));
                    true
                }
                None => false,
            },
            Action::MisdirectWrite { victim, file } => {
                let victim = whom(victim);
                self.tell(&victim, format!("its next write to a {file:?} goes astray"));
                disk.misdirect_next(&victim, *file);
                true
            }
            Action::LieOnSync { victim, for_us } => {
                let victim = whom(victim);
                self.tell(&victim, "its syncs lie".into());
                disk.lie_on_sync(&victim, true);
                self.later(Relief::EndLies(victim), us(*for_us))
            }
            Action::JumpClock { victim, by_ms } => {
                let victim = whom(victim);
                self.tell(&victim, format!("its wall clock jumps by {by_ms} ms"));
                self.world.jump_clock(&victim, *by_ms);
                true
            }
        }
    }

    /// Ends a fault.
    pub(crate) fn relieve(self: &std::sync::Arc<Self>, relief: &Relief) {
        let (network, disk) = (&self.world.network, &self.world.disk);
        match relief {
            Relief::Restart(node) => self.restart(node),
            Relief::Start(node) => {
                self.record(&**node, Event::Restarted);
                self.create_node(node);
            }
            Relief::Resume(node) => self.resume(node),
            Relief::Heal(a, b) => network.heal(a, b),
            Relief::Mend(from, to) => network.mend(from, to),
            Relief::EndDelay(a, b) => network.delay_link(a, b, Duration::ZERO),
            Relief::EndThrottle(a, b) => network.throttle(a, b, None),
            Relief::FreeDisk => disk.leave_room(None),
            Relief::EndLies(node) => disk.lie_on_sync(node, false),
        }
    }

    /// The newest term that a job manager has claimed.
    fn newest_term(&self) -> u32 {
        let claimed = |fact: &Fact| if let Step::TermClaimed { term } = fact.step { Some(term) } else { None };
        self.recorder.look(|history| history.facts().filter_map(|(_, fact)| claimed(fact)).last().unwrap_or(0))
    }

    fn tell(&self, node: &str, what: String) {
        self.record(node, Event::Fault(what));
    }

    /// Always true: what is to end later has begun.
    fn later(&self, relief: Relief, after: Duration) -> bool {
        let at: Instant = self.now() + after;
        // The director is gone when the run is over.
        let _ = self.orders.send(Order::Relieve { relief, at });
        true
    }

    /// Ends a node's life now. False if it is dead already.
    fn crash(&self, node: &str, crash: Crash) -> bool {
        if !self.world.is_alive(node) {
            return false;
        }
        self.record(node, Event::Crashed(crash));
        self.world.crash(node, crash);
        self.set_paused(node, false);
        Handle::current().kill(self.node_id(node));
        true
    }

    fn restart(&self, node: &str) {
        self.record(node, Event::Restarted);
        Handle::current().restart(self.node_id(node));
    }

    /// Stops a node: what it has begun goes on outside of it. False if it is dead or stopped already.
    fn pause(&self, node: &str) -> bool {
        if !self.world.is_alive(node) || !self.set_paused(node, true) {
            return false;
        }
        self.tell(node, "stops".into());
        Handle::current().pause(self.node_id(node));
        true
    }

    fn resume(&self, node: &str) {
        if self.set_paused(node, false) {
            self.tell(node, "goes on".into());
            Handle::current().resume(self.node_id(node));
        }
    }
}
