//! Real randomness: the kernel's.

use std::{fs::File, io::Read};

use crate::env::Entropy;

/// `/dev/urandom`, eight bytes a call. Chosen over `RandomState`, whose hashes nobody promises to be unpredictable, and over
/// a generator of our own, which could leave this process by fork or core dump: the values serve as nonces, a few per
/// connection, so that one system call each costs nothing.
pub(super) struct KernelEntropy {
    device: File,
}

impl KernelEntropy {
    pub(super) fn open() -> Self {
        Self {
            device: File::open("/dev/urandom").expect("/dev/urandom can be opened: this process needs random numbers"),
        }
    }
}

impl Entropy for KernelEntropy {
    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        (&self.device).read_exact(&mut bytes).expect("/dev/urandom can be read once it is open");
        u64::from_ne_bytes(bytes)
    }
}
