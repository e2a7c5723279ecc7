//! Lines over a number of objects, calls or seconds.

use super::{Drawn, svg, text};
use anyhow::Result;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

const WIDTH: u32 = 1100;
const HEIGHT: u32 = 420;
/// Where labels begin, right of the lines.
const PLOT: u32 = 780;

pub struct Axis {
    /// With its unit.
    pub title: String,
    pub logarithmic: bool,
}

pub struct Series {
    pub colour: RGBColor,
    /// For charts that have no legend beside them.
    pub label: Option<String>,
    pub points: Vec<(f64, f64)>,
}

pub struct LineChart {
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
}

/// "1k", "10M"; plain below a thousand.
fn short(number: f64) -> String {
    let (scaled, unit) = match number.abs() {
        1e6.. => (number / 1e6, "M"),
        1e3.. => (number / 1e3, "k"),
        _ => (number, ""),
    };
    let digits = if scaled.fract().abs() < 1e-6 { 0 } else { 1 };
    format!("{scaled:.digits$}{unit}")
}

impl LineChart {
    fn limits(&self, of: impl Fn(&(f64, f64)) -> f64) -> (f64, f64) {
        let points = self.series.iter().flat_map(|series| &series.points);
        points
            .map(of)
            .fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(value), most.max(value)))
    }

    /// None if there is nothing to draw.
    pub fn draw(&self) -> Result<Option<String>> {
        let (left, right) = self.limits(|point| point.0);
        let (least, most) = self.limits(|point| point.1);
        if left >= right {
            return Ok(None);
        }
        let (x, y) = (left..right, 0.0..most * 1.05);
        let log_y = least.max(most / 1e6) * 0.8..most * 1.3;
        let draw = |text: &mut String| -> Drawn {
            let root = SVGBackend::with_string(text, (WIDTH, HEIGHT)).into_drawing_area();
            root.fill(&WHITE)?;
            match (self.x.logarithmic, self.y.logarithmic) {
                (false, false) => self.lines(&root, x, y)?,
                (false, true) => self.lines(&root, x, log_y.log_scale())?,
                (true, false) => self.lines(&root, x.log_scale(), y)?,
                (true, true) => self.lines(&root, x.log_scale(), log_y.log_scale())?,
            }
            root.present()?;
            Ok(())
        };
        svg(draw).map(Some)
    }

    /// Whether a line before it has the same colour. It is dashed then, and its marks are hollow.
    fn repeats_colour(&self, index: usize) -> bool {
        self.series[..index].iter().any(|before| before.colour == self.series[index].colour)
    }

    fn mark(&self, index: usize) -> ShapeStyle {
        let colour = self.series[index].colour;
        if self.repeats_colour(index) { colour.stroke_width(2) } else { colour.filled() }
    }

    fn lines<X, Y>(
        &self,
        root: &DrawingArea<SVGBackend, Shift>,
        x: impl AsRangedCoord<Value = f64, CoordDescType = X>,
        y: impl AsRangedCoord<Value = f64, CoordDescType = Y>,
    ) -> Drawn
    where
        X: Ranged<ValueType = f64> + ValueFormatter<f64>,
        Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let mut chart = ChartBuilder::on(root)
            .margin(12)
            .margin_right(if self.series.iter().any(|series| series.label.is_some()) {
                WIDTH - PLOT
            } else {
                30
            })
            .set_label_area_size(LabelAreaPosition::Left, 75)
            .set_label_area_size(LabelAreaPosition::Bottom, 50)
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .x_labels(10)
            .y_labels(8)
            .x_label_formatter(&|number| short(*number))
            .y_label_formatter(&|number| short(*number))
            .x_desc(self.x.title.clone())
            .y_desc(self.y.title.clone())
            .label_style(("sans-serif", 13))
            .axis_desc_style(("sans-serif", 14))
            .light_line_style(RGBColor(248, 248, 248))
            .bold_line_style(RGBColor(225, 225, 225))
            .draw()?;
        for (index, series) in self.series.iter().enumerate() {
            let (points, line) = (series.points.iter().copied(), series.colour.stroke_width(2));
            if self.repeats_colour(index) {
                chart.draw_series(DashedLineSeries::new(points.clone(), 8, 5, line))?;
            } else {
                chart.draw_series(LineSeries::new(points.clone(), line))?;
            }
            // Where there are few points, they are shown.
            if series.points.len() <= 12 {
                let mark = self.mark(index);
                chart.draw_series(points.map(|point| Circle::new(point, 3, mark)))?;
            }
        }
        for (index, series) in self.series.iter().enumerate() {
            let (x, y) = (PLOT as i32 + 20, 30 + 20 * index as i32);
            if let Some(label) = &series.label {
                root.draw(&Circle::new((x + 6, y), 5, self.mark(index)))?;
                let style = text(13).pos(Pos::new(HPos::Left, VPos::Center));
                root.draw(&Text::new(label.clone(), (x + 20, y), style))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, 12.0, 0.5, 1500.0, 10_000_000.0].map(short);
        assert_eq!(texts, ["0", "12", "0.5", "1.5k", "10M"]);
    }

    #[test]
    fn a_line_in_the_colour_of_one_before_is_dashed() {
        let axis = || Axis { title: String::new(), logarithmic: false };
        let line = |colour, y| Series { colour, label: None, points: vec![(0.0, y), (1.0, y)] };
        let series = vec![line(RED, 1.0), line(BLUE, 2.0), line(RED, 3.0)];
        let svg = LineChart { x: axis(), y: axis(), series }.draw().unwrap().unwrap();
        let pieces = |colour: &str| {
            svg.lines()
                .filter(|text| text.starts_with("<polyline") && text.contains(colour))
                .count()
        };
        assert_eq!(pieces("#0000FF"), 1);
        assert!(pieces("#FF0000") > 10);
    }
}
