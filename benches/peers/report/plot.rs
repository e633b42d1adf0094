//! Records per second over the interval of checkpoints, as a picture.

use std::path::Path;

use plotters::prelude::*;

use super::CHECKPOINTED;
use crate::{
    Result,
    campaign::INTERVALS,
    contender::{Cell, Contender},
    measured::Spread,
    samples::Campaigned,
};

const SIZE: (u32, u32) = (760, 420);
/// Dark on light, also where the page around it is dark.
const COLORS: [RGBColor; 2] = [RGBColor(0, 95, 135), RGBColor(200, 90, 0)];

/// The positions on the axis: no checkpoints, then ever more of them.
fn positions() -> Vec<(Option<u64>, String)> {
    let intervals = INTERVALS.iter().map(|ms| {
        let name = if ms % 1000 == 0 { format!("{} s", ms / 1000) } else { format!("{ms} ms") };
        (Some(*ms), name)
    });
    std::iter::once((None, "off".to_owned())).chain(intervals).collect()
}

/// Draws one cell. Gives false, and draws nothing, if nobody ran there with checkpoints.
pub fn throughput(measured: &Campaigned, cell: Cell, file: &Path) -> Result<bool> {
    let positions = positions();
    let line = |contender: Contender| -> Vec<(usize, Spread)> {
        let rate = |(i, (interval, _)): (usize, &(Option<u64>, String))| {
            Some((i, measured.rate(contender, cell, *interval)?))
        };
        positions.iter().enumerate().filter_map(rate).collect()
    };
    let lines = CHECKPOINTED.map(line);
    if lines.iter().all(|line| line.len() < 2) {
        return Ok(false);
    }
    let highest = lines.iter().flatten().map(|(_, rate)| rate.max / 1e6).fold(0.0, f64::max);
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(format!("{cell}: million records per second"), ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(48)
        .y_label_area_size(64)
        .build_cartesian_2d(-0.3..positions.len() as f64 - 0.7, 0.0..highest * 1.1)?;
    let name = |x: &f64| {
        let nearest = x.round();
        let is_there = (x - nearest).abs() < 0.01 && nearest >= 0.0;
        positions.get(nearest as usize).filter(|_| is_there).map_or(String::new(), |(_, name)| name.clone())
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(positions.len() * 2)
        .x_label_formatter(&name)
        .x_desc("a checkpoint every")
        .label_style(("sans-serif", 15))
        .draw()?;
    for ((contender, line), color) in CHECKPOINTED.iter().zip(&lines).zip(COLORS) {
        let points: Vec<(f64, Spread)> = line.iter().map(|(i, rate)| (*i as f64, rate.times(1e-6))).collect();
        let middle = points.iter().map(|(x, rate)| (*x, rate.median));
        chart
            .draw_series(LineSeries::new(middle, color.stroke_width(2)))?
            .label(contender.to_string())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
        let bar = |(x, rate): &(f64, Spread)| ErrorBar::new_vertical(*x, rate.min, rate.median, rate.max, color.filled(), 7);
        chart.draw_series(points.iter().map(bar))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .label_font(("sans-serif", 15))
        .draw()?;
    area.present()?;
    Ok(true)
}
