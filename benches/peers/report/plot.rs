//! Records per second over the interval of checkpoints, as a picture.

use std::path::Path;

use super::CHECKPOINTED;
use crate::{
    Result,
    campaign::INTERVALS,
    contender::Cell,
    measured::{Line, draw},
    samples::Campaigned,
};

/// Draws one cell. Gives false, and draws nothing, if nobody ran there with checkpoints.
pub fn throughput(measured: &Campaigned, cell: Cell, file: &Path) -> Result<bool> {
    // No checkpoints, then ever more of them.
    let intervals: Vec<Option<u64>> = std::iter::once(None).chain(INTERVALS.map(Some)).collect();
    let line = |contender| -> Line {
        let rate =
            |(i, interval): (usize, &Option<u64>)| Some((i, measured.rate(contender, cell, *interval)?.times(1e-6)));
        (format!("{contender}"), intervals.iter().enumerate().filter_map(rate).collect())
    };
    let lines = CHECKPOINTED.map(line).into_iter().filter(|(_, points)| points.len() > 1).collect::<Vec<_>>();
    if lines.is_empty() {
        return Ok(false);
    }
    let name = |interval: &Option<u64>| match interval {
        None => "off".to_owned(),
        Some(ms) if ms % 1000 == 0 => format!("{} s", ms / 1000),
        Some(ms) => format!("{ms} ms"),
    };
    let names: Vec<String> = intervals.iter().map(name).collect();
    draw(file, &format!("{cell}: million records per second"), "a checkpoint every", &names, &lines)?;
    Ok(true)
}
