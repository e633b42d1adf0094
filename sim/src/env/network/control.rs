//! A control connection seen from outside: which bytes are which message, and when each message is to arrive.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use tidegate::runtime::{ControlDirection, ControlMessage};

/// Says when a control message from one node to another is to arrive: each time as so much later than it would. Called while
/// the message is being sent; it must not touch the network.
pub type ControlTap = Arc<dyn Fn(&str, &str, &ControlMessage) -> Vec<Duration> + Send + Sync>;

/// What is sent on together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub bytes: Bytes,
    /// Whether a message ends here, or the handshake: others may come between this and what follows.
    pub ends: bool,
    /// When it arrives, each time as so much later than it would.
    pub arrivals: Vec<Duration>,
}

/// Takes one direction of a control connection apart.
pub(super) struct ControlSplitter {
    direction: ControlDirection,
    tap: ControlTap,
    /// The beginning of a message that is not whole yet.
    held: BytesMut,
    /// So many bytes pass untouched.
    passing: usize,
    /// Longer messages pass untouched: the writer would wait for room, and the reader for the rest.
    longest: usize,
}

impl ControlSplitter {
    pub(super) fn new(direction: ControlDirection, tap: ControlTap, longest: usize) -> Self {
        Self { direction, tap, held: BytesMut::new(), passing: direction.preamble_len(), longest }
    }

    /// Takes bytes, gives what can be sent on.
    pub(super) fn split(&mut self, bytes: &[u8], from: &str, to: &str) -> Vec<Part> {
        self.held.extend_from_slice(bytes);
        let mut parts = Vec::new();
        while !self.held.is_empty() {
            if self.passing > 0 {
                let bytes = self.held.split_to(self.passing.min(self.held.len())).freeze();
                self.passing -= bytes.len();
                parts.push(Part { bytes, ends: self.passing == 0, arrivals: vec![Duration::ZERO] });
                continue;
            }
            match self.direction.message_len(&self.held) {
                Some(len) if len > self.longest => self.passing = len,
                Some(len) if len <= self.held.len() => {
                    let bytes = self.held.split_to(len).freeze();
                    let message = self.direction.recognize(&bytes);
                    let arrivals = message.map_or_else(|| vec![Duration::ZERO], |m| (self.tap)(from, to, &m));
                    parts.push(Part { bytes, ends: true, arrivals });
                }
                _ => break,
            }
        }
        parts
    }

    /// The beginning of a message whose rest will never come.
    pub(super) fn rest(&mut self) -> Bytes {
        self.held.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn splitter(longest: usize) -> ControlSplitter {
        ControlSplitter::new(ControlDirection::ToTaskManager, Arc::new(|_, _, _| vec![MILLISECOND]), longest)
    }

    /// A heartbeat, a note that checkpoint 7 of attempt 1.1 is complete, and what is no message at all, as the engine
    /// writes them.
    fn messages() -> [Vec<u8>; 3] {
        let framed = |body: &[u8]| [&(body.len() as u32).to_le_bytes()[..], body].concat();
        [framed(&[2]), framed(&[6, 7, 1, 1]), framed(&[99; 40])]
    }

    /// Everything that a direction carries, in writes of so many bytes: what comes out, joined where nothing ends.
    fn carried(longest: usize, write: usize) -> Vec<(Vec<u8>, bool)> {
        let mut splitter = splitter(longest);
        let preamble = vec![0; ControlDirection::ToTaskManager.preamble_len()];
        let stream = [preamble, messages().concat()].concat();
        let mut carried = vec![(Vec::new(), false)];
        for part in stream.chunks(write).flat_map(|bytes| splitter.split(bytes, "jm", "tm-1")) {
            let last = carried.last_mut().expect("it begins with one");
            last.0.extend(part.bytes);
            last.1 |= part.arrivals == [MILLISECOND];
            if part.ends {
                carried.push((Vec::new(), false));
            }
        }
        assert_eq!(carried.pop(), Some((Vec::new(), false)), "nothing is held back");
        carried
    }

    #[test]
    fn messages_are_found_however_they_are_written() {
        let [heartbeat, notification, unknown] = messages();
        let preamble = vec![0; ControlDirection::ToTaskManager.preamble_len()];
        // What would not fit into the window passes, and is no less whole for it.
        for longest in [44, 43] {
            for write in 1..200 {
                let expected = [(&preamble, false), (&heartbeat, false), (&notification, true), (&unknown, false)];
                assert_eq!(carried(longest, write), expected.map(|(bytes, asked)| (bytes.clone(), asked)), "{write}");
            }
        }
    }

    #[test]
    fn what_is_too_long_is_not_held_back() {
        let mut long = splitter(10);
        long.passing = 0;
        let parts = long.split(&messages()[2][..20], "jm", "tm-1");
        assert_eq!(parts.iter().map(|part| (part.bytes.len(), part.ends)).collect::<Vec<_>>(), [(20, false)]);
        let mut short = splitter(100);
        short.passing = 0;
        assert_eq!(short.split(&messages()[2][..20], "jm", "tm-1"), []);
        assert_eq!(short.rest(), messages()[2][..20]);
    }
}
