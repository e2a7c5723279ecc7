//! Charts, as `svg` elements.

mod lines;
mod ratios;

use crate::allocators::NULL;
use crate::results::Results;
use anyhow::{Result, anyhow};
use plotters::prelude::*;

pub use lines::{Axis, LineChart, Series};
pub use ratios::ratios;

type Drawn = Result<(), Box<dyn std::error::Error>>;

/// The set of Okabe and Ito, which the colour-blind can tell apart, and dark shades of three of
/// them.
const COLOURS: [RGBColor; 16] = [
    RGBColor(190, 190, 190),
    RGBColor(90, 90, 90),
    RGBColor(0, 114, 178),
    RGBColor(86, 180, 233),
    RGBColor(0, 40, 90),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(213, 94, 0),
    RGBColor(120, 60, 160),
    RGBColor(0, 190, 190),
    RGBColor(150, 80, 30),
    RGBColor(130, 180, 40),
    RGBColor(220, 30, 80),
    RGBColor(150, 130, 0),
    RGBColor(0, 90, 60),
];
const NAMES: [&str; 14] = [
    NULL,
    "classic",
    "mesa-slab",
    "static",
    "inlined",
    "malloc",
    "mimalloc",
    "jemalloc",
    "snmalloc",
    "tcmalloc",
    "mi-heaps",
    "boost",
    "foonathan",
    "rte_mempool",
];

/// The same for an allocator in all charts.
pub fn colour(results: &Results, name: &str) -> RGBColor {
    let known = NAMES.iter().position(|known| *known == name);
    let others = || results.allocators.iter().filter(|of| !NAMES.contains(&of.name.as_str()));
    let other = || others().position(|of| of.name == name).unwrap_or(0);
    let index = known.unwrap_or_else(|| NAMES.len() + other() % (COLOURS.len() - NAMES.len()));
    COLOURS[index]
}

/// One for each line of a chart.
pub fn colour_of(index: usize) -> RGBColor {
    // The first is pale, as null's.
    COLOURS[1 + index % (COLOURS.len() - 1)]
}

fn svg(draw: impl FnOnce(&mut String) -> Drawn) -> Result<String> {
    let mut text = String::new();
    draw(&mut text).map_err(|error| anyhow!("a chart: {error}"))?;
    Ok(text)
}

fn text(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&BLACK)
}
