//! Links that are cut, slow, narrow or silent.

use tidegate::probe::StepKind;

use super::{Action, Anchor, Draws, Swarm};
use crate::seed::Draw;

impl Draws<'_> {
    pub(super) fn has_network_faults(&self) -> bool {
        let s = &self.swarm;
        s.partitions || s.cuts || s.slow_links || s.resets || s.silence
    }

    pub(super) fn network(&mut self) {
        let Swarm { partitions, cuts, slow_links, resets, silence, .. } = self.swarm;
        self.one_of(&[
            (partitions, Self::partition),
            (partitions, Self::isolate),
            (cuts, Self::cut),
            (cuts, Self::swizzle),
            (slow_links, Self::delay),
            (slow_links, Self::throttle),
            (resets, Self::reset),
            (silence, Self::silence),
        ]);
    }

    /// Half of these happen at a time, whatever the protocol is doing.
    fn sometime(&mut self) -> Anchor {
        if self.random.chance(50) {
            Anchor::Time { us: self.random.between(1_000, 150_000) }
        } else {
            self.anchor(StepKind::ALL)
        }
    }

    fn link(&mut self) -> (String, String) {
        let a = self.random.pick(self.nodes).clone();
        let others: Vec<&String> = self.nodes.iter().filter(|n| **n != a).collect();
        let b = (*self.random.pick(&others)).clone();
        (a, b)
    }

    fn partition(&mut self) {
        let (a, b) = self.link();
        let heal_after_us = self.random.between(5_000, 400_000);
        let at = self.sometime();
        self.push(at, Action::Partition { a, b, heal_after_us });
    }

    /// One node is cut off from all others.
    fn isolate(&mut self) {
        let a = self.random.pick(self.nodes).clone();
        let heal_after_us = self.random.between(5_000, 400_000);
        let at = self.sometime();
        for b in self.nodes.iter().filter(|n| **n != a) {
            self.push(at.clone(), Action::Partition { a: a.clone(), b: b.clone(), heal_after_us });
        }
    }

    fn cut(&mut self) {
        let (from, to) = self.link();
        let heal_after_us = self.random.between(5_000, 400_000);
        let at = self.sometime();
        self.push(at, Action::Cut { from, to, heal_after_us });
    }

    /// Links are cut one after another, and mended in another order (FoundationDB calls it swizzle-clogging).
    fn swizzle(&mut self) {
        let mut begin = self.random.between(1_000, 150_000);
        for _ in 0..self.random.between(2, 4) {
            let (from, to) = self.link();
            let heal_after_us = self.random.between(1_000, 100_000);
            self.push(Anchor::Time { us: begin }, Action::Cut { from, to, heal_after_us });
            begin += self.random.between(100, 10_000);
        }
    }

    fn delay(&mut self) {
        let (a, b) = self.link();
        let (extra_us, for_us) = (self.random.between(500, 50_000), self.random.between(5_000, 200_000));
        let at = self.sometime();
        self.push(at, Action::DelayLink { a, b, extra_us, for_us });
    }

    fn throttle(&mut self) {
        let (a, b) = self.link();
        let (bytes_per_ms, for_us) = (self.random.between(10, 2_000), self.random.between(5_000, 200_000));
        let at = self.sometime();
        self.push(at, Action::Throttle { a, b, bytes_per_ms, for_us });
    }

    fn reset(&mut self) {
        let (a, b) = self.link();
        let at = self.sometime();
        self.push(at, Action::ResetConnections { a, b });
    }

    fn silence(&mut self) {
        let (a, b) = self.link();
        let at = self.sometime();
        self.push(at, Action::Silence { a, b });
    }
}
