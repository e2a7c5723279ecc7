//! Ratios to the baseline: bars for this library, marks for general allocators and other pools.

use super::{Drawn, colour, svg, text};
use crate::allocators::Kind;
use crate::results::{Measured, Results, WorkloadResult};
use crate::workloads::Group;
use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

const WIDTH: u32 = 1100;
/// Room for the names of the workloads, left of the bars, and for each number of the bars, right of
/// them.
const NAMES: u32 = 300;
const NUMBER: i32 = 62;
const BAR: u32 = 8;
/// A row is as high as this, however few bars it has.
const ROW: u32 = 22;
/// Between the bars of two workloads.
const GAP: u32 = 8;
const AXIS: u32 = 45;
const MARGIN: u32 = 10;

/// Ratios beyond these are drawn at the edge.
const LEAST: f64 = 0.01;
const MOST: f64 = 1000.0;

fn label(ratio: f64) -> String {
    if ratio < 10.0 { format!("{ratio:.2}") } else { format!("{ratio:.0}") }
}

struct Chart<'a> {
    results: &'a Results,
    bars: Vec<&'a Measured>,
    marks: Vec<&'a Measured>,
    rows: Vec<&'a WorkloadResult>,
}

/// The chart of a group of workloads; None if none of them was measured.
pub fn ratios(results: &Results, group: Group) -> Result<Option<String>> {
    let (marks, bars) =
        results.compared().partition(|of| matches!(of.kind, Kind::General | Kind::Peer));
    let rows: Vec<_> = results.workloads.iter().filter(|of| of.group == group).collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let chart = Chart { results, bars, marks, rows };
    svg(|text| chart.draw(text)).map(Some)
}

impl Chart<'_> {
    fn row(&self) -> u32 {
        (BAR * self.bars.len() as u32 + GAP).max(ROW)
    }

    fn draw(&self, svg: &mut String) -> Drawn {
        let head = 20;
        let rows = self.row() * self.rows.len() as u32;
        let numbers = NUMBER * self.bars.len() as i32;
        let height = rows + head + AXIS + 2 * MARGIN;
        let root = SVGBackend::with_string(svg, (WIDTH, height)).into_drawing_area();
        root.fill(&WHITE)?;
        // Down the page, one unit for each pixel.
        let mut chart = ChartBuilder::on(&root)
            .margin(MARGIN)
            .margin_right(MARGIN + numbers as u32)
            .margin_top(MARGIN + head)
            .set_label_area_size(LabelAreaPosition::Left, NAMES)
            .set_label_area_size(LabelAreaPosition::Bottom, AXIS)
            .build_cartesian_2d((LEAST..MOST).log_scale(), f64::from(rows)..0.0)?;
        let axis = format!(
            "time as a multiple of {}'s, harness subtracted (to the left: faster)",
            self.results.baseline
        );
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .x_labels(6)
            .x_label_formatter(&|ratio| format!("{ratio}"))
            .x_desc(axis)
            .label_style(("sans-serif", 13))
            .axis_desc_style(("sans-serif", 13))
            .light_line_style(RGBColor(245, 245, 245))
            .bold_line_style(RGBColor(215, 215, 215))
            .draw()?;

        let right = WIDTH as i32 - MARGIN as i32 - numbers;
        for (index, of) in self.bars.iter().enumerate() {
            let x = right + NUMBER * (index as i32 + 1);
            let colour = colour(self.results, &of.name);
            let style = text(12).color(&colour).pos(Pos::new(HPos::Right, VPos::Center));
            root.draw(&Text::new(of.name.clone(), (x, MARGIN as i32 + head as i32 / 2), style))?;
        }
        for (row, workload) in self.rows.iter().enumerate() {
            let top = row as f64 * f64::from(self.row());
            let middle = top + f64::from(self.row()) / 2.0;
            let (left, y) = chart.backend_coord(&(LEAST, middle));
            let name = text(13).pos(Pos::new(HPos::Right, VPos::Center));
            root.draw(&Text::new(workload.name.clone(), (left - 8, y), name))?;

            let ratio =
                |of: &Measured| workload.of(&of.name).and_then(|measurement| measurement.ratio);
            if !self
                .bars
                .iter()
                .chain(&self.marks)
                .any(|of| !of.kind.is_inlined() && ratio(of).is_some())
            {
                // At the right, where marks are rare.
                let (x, y) = chart.backend_coord(&(MOST, middle));
                let style = text(11).color(&RGBColor(130, 130, 130));
                let style = style.pos(Pos::new(HPos::Right, VPos::Center));
                root.draw(&Text::new("hidden behind the harness", (x - 6, y), style))?;
            }
            let first = middle - f64::from(BAR * self.bars.len() as u32) / 2.0;
            for (index, of) in self.bars.iter().enumerate() {
                let number = text(12).pos(Pos::new(HPos::Right, VPos::Center));
                let x = right + NUMBER * (index as i32 + 1);
                let Some(ratio) = ratio(of) else {
                    root.draw(&Text::new("-", (x, y), number))?;
                    continue;
                };
                root.draw(&Text::new(label(ratio), (x, y), number))?;
                let top = first + f64::from(BAR) * index as f64;
                let end = ratio.clamp(LEAST, MOST);
                chart.plotting_area().draw(&Rectangle::new(
                    [(end.min(1.0), top), (end.max(1.0), top + f64::from(BAR) - 1.0)],
                    colour(self.results, &of.name).filled(),
                ))?;
            }
            for of in &self.marks {
                let Some(ratio) = ratio(of) else { continue };
                let place = (ratio.clamp(LEAST, MOST), middle);
                let colour = colour(self.results, &of.name);
                chart.plotting_area().draw(&Circle::new(place, 5, WHITE.filled()))?;
                chart.plotting_area().draw(&Circle::new(place, 4, colour.filled()))?;
            }
        }
        chart
            .plotting_area()
            .draw(&PathElement::new([(1.0, 0.0), (1.0, f64::from(rows))], BLACK))?;
        root.present()?;
        Ok(())
    }
}
