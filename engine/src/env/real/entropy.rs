//! Randomness, by the operating system.

use std::{fs::File, io::Read};

use crate::env::Entropy;

/// `/dev/urandom`, eight bytes a call. The values make secrets and nonces: `RandomState`, which would be at hand as well,
/// promises nobody that its hashes cannot be predicted, and a generator of our own would keep its state in this process's
/// memory. A few values per connection are needed, so one system call for each costs nothing.
pub(super) struct RealEntropy {
    device: File,
}

impl RealEntropy {
    pub(super) fn new() -> Self {
        let device = File::open("/dev/urandom");
        Self { device: device.expect("/dev/urandom can be opened: without random numbers there are no secrets") }
    }
}

impl Entropy for RealEntropy {
    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        (&self.device).read_exact(&mut bytes).expect("/dev/urandom can be read once it is open");
        u64::from_ne_bytes(bytes)
    }
}
