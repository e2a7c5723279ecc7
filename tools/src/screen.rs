// SPDX-License-Identifier: MIT
//! What `top` draws: a title, the pools, the heap below, and a line of help.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Paragraph, Row as TableRow, Table};

use crate::history::{History, Order, bars};

/// From so many columns on there is room for more of them; with less than that many there is none for bars, and with
/// less than the last for the name of a pool and one number.
const WIDE: u16 = 124;
const NARROW: u16 = 70;
const NARROWEST: u16 = 42;

/// How it is looked at.
pub struct View {
    pub order: Order,
    pub is_paused: bool,
    /// Pools that are scrolled past.
    pub first: usize,
    pub seconds: f64,
}

pub fn draw(frame: &mut Frame<'_>, history: &History, view: &View) {
    let warnings = history.warnings.len().min(2) as u16;
    let [head, pools, heap, warned, help] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(2),
        Constraint::Length(2),
        Constraint::Length(warnings),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let reversed = Style::new().add_modifier(Modifier::REVERSED);
    let paused = if view.is_paused { ", paused" } else { "" };
    let copies =
        if history.copies == 1 { String::new() } else { format!(", {} copies", history.copies) };
    let rows = history.rows(view.order);
    let title = format!(
        "slabtool top: {}{copies}, {} pool{}, by {}, every {} s{paused}",
        history.title,
        rows.len(),
        if rows.len() == 1 { "" } else { "s" },
        view.order.word(),
        view.seconds
    );
    frame.render_widget(
        Paragraph::new(title).style(Style::new().add_modifier(Modifier::BOLD)),
        head,
    );
    // Of several copies, the names of objects stand behind those of pools.
    let name = if pools.width >= WIDE || history.copies > 1 && pools.width >= NARROW + 10 {
        38
    } else {
        26
    };
    draw_pools(frame, pools, &rows[view.first.min(rows.len())..], name, reversed);
    draw_heap(frame, heap, history);
    let lines: Vec<Line<'_>> = history
        .warnings
        .iter()
        .take(warnings.into())
        .map(|text| Line::from(format!("! {text}")))
        .collect();
    frame.render_widget(Paragraph::new(lines), warned);
    let keys = "q quit  p pause  s sort: b bytes o objects g growth n name  +- speed  ↑↓ scroll";
    frame.render_widget(Paragraph::new(keys).style(reversed), help);
}

fn draw_pools(
    frame: &mut Frame<'_>,
    area: Rect,
    rows: &[crate::history::Row],
    name: u16,
    head: Style,
) {
    let is_wide = area.width >= WIDE;
    let mut names = vec!["   OBJECTS", "      KIB", "    +/SEC"];
    if is_wide {
        names.extend(["  CAPACITY", "  USE", "    DEPOT", "CHILDREN", "  XCH/SEC"]);
    }
    if area.width < NARROWEST {
        names.truncate(1);
    }
    let has_bars = area.width >= NARROW;
    let taken = names.iter().map(|name| name.len() as u16 + 1).sum::<u16>();
    let name = if has_bars { name } else { area.width.saturating_sub(taken) };
    let room = usize::from(area.width.saturating_sub(name + taken + 1));
    let mut widths = vec![Constraint::Length(name)];
    widths.extend(names.iter().map(|name| Constraint::Length(name.len() as u16)));
    let numbers = names.len();
    names.insert(0, "POOL");
    if has_bars {
        widths.push(Constraint::Min(8));
        names.push("HISTORY");
    }
    let lines = rows.iter().map(|row| {
        let pool = &row.numbers;
        let mark = if pool.unsure.is_empty() { "" } else { "~" };
        let mut cells = vec![
            format!("{:>10}", format!("{mark}{}", pool.objects_out)),
            format!("{:>9}", pool.bytes / 1024),
            format!("{:>+9}", row.growth.round() as i64),
        ];
        if is_wide {
            let capacity = pool.capacity();
            let share = (100 * pool.objects_out.min(capacity)).checked_div(capacity).unwrap_or(100);
            cells.extend([
                format!("{capacity:>10}"),
                format!("{share:>4}%"),
                format!("{:>9}", pool.objects_in_depot),
                format!("{:>8}", pool.children),
                format!("{:>9.0}", row.exchanges),
            ]);
        }
        cells.truncate(numbers);
        cells.insert(0, row.title.clone());
        cells.push(bars(&row.objects, room));
        TableRow::new(cells.into_iter().map(Cell::from))
    });
    let table =
        Table::new(lines, widths).header(TableRow::new(names).style(head)).column_spacing(1);
    frame.render_widget(table, area);
}

fn draw_heap(frame: &mut Frame<'_>, area: Rect, history: &History) {
    let heap = &history.heap;
    let mark = if heap.unsure { "~" } else { "" };
    let [held, slabs, magazines, metadata, dirty, clean, mapped] = [
        heap.held,
        heap.object_slabs,
        heap.magazine_slabs,
        heap.metadata,
        heap.dirty,
        heap.clean,
        heap.mapped,
    ]
    .map(|bytes| bytes / 1024);
    let lines = [
        format!(
            "heap {mark}{held} KiB: {slabs} slabs, {magazines} magazines, {metadata} metadata, {dirty} dirty"
        ),
        format!(
            "     {clean} KiB purged, {mapped} KiB mapped in {} chunks, {} large",
            heap.chunks, heap.large
        ),
    ];
    frame.render_widget(Paragraph::new(lines.map(Line::from).to_vec()), area);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::history::tests::sample;

    fn drawn(width: u16, height: u16, view: &View) -> Vec<String> {
        let mut history = History::default();
        (0..40).for_each(|step| history.add(sample(1000 * step), Duration::from_secs(1)));
        history.warnings.push("something changed".into());
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, &history, view)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..height).map(|y| line(y).trim_end().to_owned()).collect()
    }

    fn view(order: Order, is_paused: bool, first: usize) -> View {
        View { order, is_paused, first, seconds: 1.0 }
    }

    #[test]
    fn a_small_terminal_has_all_that_is_needed() {
        let lines = drawn(80, 24, &view(Order::Growth, true, 0));
        assert_eq!(lines[0], "slabtool top: 17 compositor, 2 pools, by growth, every 1 s, paused");
        assert!(lines[1].starts_with("POOL") && lines[1].ends_with("HISTORY"));
        assert!(
            lines[2].starts_with("zink transfers 96x64            39000         8     +1000 "),
            "{}",
            lines[2]
        );
        assert!(lines[2].ends_with('█') && lines[3].starts_with("iris queries 40x64"));
        assert!(lines[20].starts_with("heap 3072 KiB:"));
        assert_eq!(lines[22], "! something changed");
        assert!(lines[23].ends_with("↑↓ scroll"));
        assert!(lines.iter().all(|line| line.chars().count() <= 80));
    }

    #[test]
    fn a_wide_terminal_has_more() {
        let lines = drawn(160, 30, &view(Order::Bytes, false, 0));
        for word in ["CAPACITY", "DEPOT", "CHILDREN", "XCH/SEC", "HISTORY"] {
            assert!(lines[1].contains(word), "{}", lines[1]);
        }
        assert!(lines[2].starts_with("iris queries 40x64"));
    }

    #[test]
    fn a_narrow_terminal_has_less_and_no_number_is_cut() {
        let lines = drawn(50, 10, &view(Order::Growth, false, 0));
        assert_eq!(lines[1], "POOL                   OBJECTS       KIB     +/SEC");
        assert_eq!(lines[2], "zink transfers 96x6      39000         8     +1000");
        let lines = drawn(30, 10, &view(Order::Growth, false, 0));
        assert_eq!(lines[1], "POOL                   OBJECTS");
        assert_eq!(lines[2], "zink transfers 96x6      39000");
    }

    #[test]
    fn pools_of_several_copies_have_the_names_of_their_objects() {
        let mut report = sample(7);
        report.copies.extend(sample(8).copies);
        for (copy, object) in report.copies.iter_mut().zip(["/usr/lib/one.so", "/usr/lib/other.so"])
        {
            copy.object = object.into();
            copy.root = object.into();
        }
        let mut history = History::default();
        history.add(report, Duration::from_secs(1));
        let titles: Vec<_> =
            history.rows(Order::Objects).into_iter().map(|row| row.title).collect();
        assert_eq!(titles[..2], ["iris queries 40x64 (one.so)", "iris queries 40x64 (other.so)"]);
    }

    #[test]
    fn what_is_scrolled_past_is_not_shown_and_small_sizes_do_no_harm() {
        let lines = drawn(80, 24, &view(Order::Bytes, false, 1));
        assert!(lines[2].starts_with("zink transfers") && lines[3].is_empty());
        for (width, height) in [(1, 1), (10, 3), (300, 5), (80, 0)] {
            drawn(width, height, &view(Order::Bytes, false, 7));
        }
    }
}
