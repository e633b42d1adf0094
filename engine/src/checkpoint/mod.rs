//! How we survive. Pure state machines: no clock, no I/O, no `async`.

mod manifest;
mod options;

pub use manifest::{Manifest, SnapshotHandle, VertexManifest};
pub use options::CheckpointOptions;
