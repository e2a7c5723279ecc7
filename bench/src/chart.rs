//! Bars of ratios to the baseline, as SVG.

use crate::results::Results;
use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

const WIDTH: u32 = 1000;
/// Room for the names of the workloads, left of the bars.
const NAMES: u32 = 230;
const BAR: u32 = 13;
/// Between the bars of two workloads.
const GAP: u32 = 12;
const AXIS: u32 = 45;
const TOP_AXIS: u32 = 40;
const MARGIN: u32 = 20;

/// Ratios beyond these are drawn as long as these, and their labels say what they are.
const LEAST: f64 = 0.01;
const MOST: f64 = 1000.0;

/// One for each allocator, and again from the start: the set of Okabe and Ito, which the colour-blind
/// can tell apart.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
];

pub fn colour(index: usize) -> RGBColor {
    COLOURS[index % COLOURS.len()]
}

fn label(ratio: f64) -> String {
    if ratio < 10.0 { format!("{ratio:.2}") } else { format!("{ratio:.0}") }
}

/// The chart, as an `svg` element.
pub fn ratios(results: &Results) -> Result<String> {
    let names: Vec<_> = results.compared().map(|of| of.name.as_str()).collect();
    let group = BAR * names.len() as u32 + GAP;
    let height = group * results.workloads.len() as u32 + TOP_AXIS + AXIS + 2 * MARGIN;
    let mut svg = String::new();
    draw(&mut svg, results, &names, height).map_err(|error| anyhow!("the chart: {error}"))?;
    Ok(svg)
}

fn draw(
    svg: &mut String,
    results: &Results,
    names: &[&str],
    height: u32,
) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE)?;
    // Down the page, one unit for each pixel.
    let rows = (height - TOP_AXIS - AXIS - 2 * MARGIN) as f64;
    let mut chart = ChartBuilder::on(&root)
        .margin(MARGIN)
        .set_label_area_size(LabelAreaPosition::Left, NAMES)
        .set_label_area_size(LabelAreaPosition::Top, TOP_AXIS)
        .set_label_area_size(LabelAreaPosition::Bottom, AXIS)
        .build_cartesian_2d((LEAST..MOST).log_scale(), rows..0.0)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_labels(6)
        .x_label_formatter(&|ratio| format!("{ratio}"))
        .x_desc(format!(
            "time as a multiple of {}'s, harness subtracted (left: faster)",
            results.baseline
        ))
        .label_style(("sans-serif", 13))
        .axis_desc_style(("sans-serif", 14))
        .light_line_style(RGBColor(240, 240, 240))
        .draw()?;

    let text = |size| ("sans-serif", size).into_font().color(&BLACK);
    let group = f64::from(BAR * names.len() as u32 + GAP);
    for (row, workload) in results.workloads.iter().enumerate() {
        let top = row as f64 * group + f64::from(GAP) / 2.0;
        let middle = top + (group - f64::from(GAP)) / 2.0;
        let (left, y) = chart.backend_coord(&(LEAST, middle));
        let style = text(13).pos(Pos::new(HPos::Right, VPos::Center));
        root.draw(&Text::new(workload.name.clone(), (left - 10, y), style))?;
        for (index, name) in names.iter().enumerate() {
            let Some(ratio) = workload.of(name).and_then(|of| results.ratio(of)) else {
                continue;
            };
            let top = top + f64::from(BAR) * index as f64;
            let bottom = top + f64::from(BAR) - 2.0;
            let end = ratio.clamp(LEAST, MOST);
            chart.plotting_area().draw(&Rectangle::new(
                [(end.min(1.0), top), (end.max(1.0), bottom)],
                colour(index).filled(),
            ))?;
            // On the other side of the line at 1, where no bar of this row is.
            let (x, y) = chart.backend_coord(&(1.0, (top + bottom) / 2.0));
            let (x, side) = if ratio < 1.0 { (x + 5, HPos::Left) } else { (x - 5, HPos::Right) };
            let pos = Pos::new(side, VPos::Center);
            root.draw(&Text::new(label(ratio), (x, y), text(11).pos(pos)))?;
        }
    }
    chart.plotting_area().draw(&PathElement::new([(1.0, 0.0), (1.0, rows)], BLACK))?;
    root.present()?;
    Ok(())
}
