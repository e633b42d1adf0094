//! What a check is made of.

use std::{fmt, io, path::PathBuf, time::Duration};

use crate::env::{BoxFuture, Env, timeout};

/// Where a check plays.
#[derive(Clone, Debug)]
pub struct Scene {
    /// An empty directory of its own.
    pub directory: PathBuf,
    /// The host under which this node listens and can be reached.
    pub host: String,
}

impl Scene {
    /// A path in the directory.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// A promise is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(String);

impl Broken {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }

    /// Says which promise it is.
    pub(super) fn of(self, promise: &str) -> Self {
        Self(format!("{promise}: {}", self.0))
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

/// Checks use `?` on what must succeed.
impl From<io::Error> for Broken {
    fn from(e: io::Error) -> Self {
        Self(format!("an operation that must succeed failed: {e} ({:?})", e.kind()))
    }
}

/// What a check says.
pub type Outcome<T = ()> = Result<T, Broken>;

/// One check.
pub type Check = fn(Env, Scene) -> BoxFuture<'static, Outcome>;

/// Fails the check, with a message, unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $($message:tt)+) => {
        if !$holds {
            return Err($crate::env::conformance::Broken::new(format!($($message)+)));
        }
    };
}
pub(super) use ensure;

/// Long enough for any machine, and short enough for somebody who waits for a failure.
const PATIENCE: Duration = Duration::from_secs(30);

/// The result of `work`, which must not take for ever.
pub(super) async fn soon<T>(env: &Env, what: &str, work: impl Future<Output = T>) -> Outcome<T> {
    let late = || Broken::new(format!("{what} has not happened after {PATIENCE:?}"));
    timeout(&*env.clock, PATIENCE, work).await.ok_or_else(late)
}

/// Waits so long.
pub(super) async fn pause(env: &Env, ms: u64) {
    env.clock.sleep_until(env.clock.now() + Duration::from_millis(ms)).await;
}

/// Waits until `holds` does.
pub(super) async fn until(env: &Env, what: &str, holds: impl Fn() -> bool) -> Outcome {
    let wait = async {
        while !holds() {
            pause(env, 1).await;
        }
    };
    soon(env, what, wait).await
}

/// Bytes without a pattern of their own, so that a swapped, lost or repeated piece shows (SplitMix64).
pub(super) fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let word = |i: u64| {
        let mut z = (seed << 32 | i).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)).to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..len.div_ceil(8) as u64).flat_map(word).collect();
    bytes.truncate(len);
    bytes
}

/// Fails unless the bytes are equal, naming the first difference rather than printing them.
pub(super) fn same_bytes(what: &str, found: &[u8], expected: &[u8]) -> Outcome {
    ensure!(found.len() == expected.len(), "{what}: {} bytes instead of {}", found.len(), expected.len());
    let difference = found.iter().zip(expected).position(|(f, e)| f != e);
    ensure!(difference.is_none(), "{what}: byte {} differs", difference.unwrap_or_default());
    Ok(())
}

/// Fails unless the operation failed in this way.
pub(super) fn fails_as<T>(what: &str, kind: io::ErrorKind, result: io::Result<T>) -> Outcome {
    match result {
        Err(e) if e.kind() == kind => Ok(()),
        Err(e) => Err(Broken::new(format!("{what} fails as {:?} ({e}) instead of {kind:?}", e.kind()))),
        Ok(_) => Err(Broken::new(format!("{what} succeeds instead of failing as {kind:?}"))),
    }
}
