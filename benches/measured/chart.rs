//! Lines with error bars over named positions, as a picture.

use std::{error::Error, path::Path};

use plotters::prelude::*;

use super::Spread;

const SIZE: (u32, u32) = (760, 420);
/// On white, also where the page around the picture is dark.
const COLORS: [RGBColor; 4] =
    [RGBColor(0, 95, 135), RGBColor(200, 90, 0), RGBColor(60, 130, 60), RGBColor(130, 60, 140)];

/// A name, and the values at some of the positions.
pub type Line = (String, Vec<(usize, Spread)>);

/// Draws the lines into an SVG file. `title` says what the values are, `what` what the positions are.
pub fn draw(
    file: &Path,
    title: &str,
    what: &str,
    positions: &[String],
    lines: &[Line],
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let values = || lines.iter().flat_map(|(_, points)| points);
    let highest = values().map(|(_, value)| value.max).fold(0.0, f64::max);
    let lowest = values().map(|(_, value)| value.min).fold(0.0, f64::min);
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(48)
        .y_label_area_size(64)
        .build_cartesian_2d(-0.3..positions.len() as f64 - 0.7, lowest * 1.1..highest * 1.1)?;
    let name = |x: &f64| {
        let is_there = (x - x.round()).abs() < 0.01 && *x > -0.5;
        positions.get(x.round() as usize).filter(|_| is_there).cloned().unwrap_or_default()
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(positions.len() * 2)
        .x_label_formatter(&name)
        .x_desc(what)
        .label_style(("sans-serif", 15))
        .draw()?;
    for ((name, points), color) in lines.iter().zip(COLORS.into_iter().cycle()) {
        let middle = points.iter().map(|(x, value)| (*x as f64, value.median));
        chart
            .draw_series(LineSeries::new(middle, color.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
        let bar = |(x, value): &(usize, Spread)| {
            ErrorBar::new_vertical(*x as f64, value.min, value.median, value.max, color.filled(), 7)
        };
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
    Ok(())
}
