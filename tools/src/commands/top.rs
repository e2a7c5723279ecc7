// SPDX-License-Identifier: MIT
//! `top`: pools as they grow and shrink, on a screen that is renewed.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::pools::report;
use crate::history::{History, Order};
use crate::screen::{self, View};
use crate::target::Target;

#[derive(Args)]
pub struct Top {
    #[command(flatten)]
    target: Target,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    interval: f64,
    /// By what pools are ordered: bytes, objects, growth or name
    #[arg(long, value_name = "KEY", default_value = "bytes", value_parser = order)]
    sort: Order,
    /// Print one screen after the other in place of drawing, as to a file
    #[arg(long)]
    batch: bool,
    /// With --batch: so many screens
    #[arg(long, value_name = "COUNT", requires = "batch")]
    count: Option<u64>,
    /// With --batch: columns of a screen
    #[arg(long, value_name = "COLUMNS", requires = "batch", default_value_t = 140)]
    width: u16,
}

fn order(text: &str) -> Result<Order> {
    let orders = [Order::Bytes, Order::Objects, Order::Growth, Order::Name];
    match orders.into_iter().find(|order| order.word() == text) {
        Some(order) => Ok(order),
        None => bail!("bytes, objects, growth or name"),
    }
}

/// Looks at the process again and again.
struct Looking {
    target: Target,
    history: History,
    last: Option<Instant>,
}

impl Looking {
    fn look(&mut self) -> Result<()> {
        let report = report(&self.target.open()?)?;
        let now = Instant::now();
        let since = self.last.map_or(Duration::ZERO, |last| now - last);
        self.last = Some(now);
        self.history.add(report, since);
        Ok(())
    }
}

impl Top {
    pub fn run(self) -> Result<()> {
        let interval = Duration::try_from_secs_f64(self.interval.max(0.1))
            .context("--interval: no time that can be waited")?;
        let mut looking =
            Looking { target: self.target.clone(), history: History::default(), last: None };
        looking.look()?;
        if self.batch { self.print(looking, interval) } else { self.show(looking, interval) }
    }

    fn print(&self, mut looking: Looking, interval: Duration) -> Result<()> {
        let view =
            View { order: self.sort, is_paused: false, first: 0, seconds: interval.as_secs_f64() };
        for screen in 0..self.count.unwrap_or(u64::MAX) {
            if screen != 0 {
                std::thread::sleep(interval);
                looking.look()?;
                println!();
            }
            let rows = looking.history.rows(self.sort).len().min(1000) as u16;
            let warnings = looking.history.warnings.len().min(2) as u16;
            // Without the line of keys.
            let height = rows + 5 + warnings;
            let mut terminal = Terminal::new(TestBackend::new(self.width.max(20), height))?;
            terminal.draw(|frame| screen::draw(frame, &looking.history, &view))?;
            let buffer = terminal.backend().buffer();
            for y in 0..height - 1 {
                let line: String =
                    (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect();
                println!("{}", line.trim_end());
            }
        }
        Ok(())
    }

    fn show(&self, looking: Looking, interval: Duration) -> Result<()> {
        let mut terminal = ratatui::try_init().context("this is no terminal; take --batch")?;
        let result = self.interact(&mut terminal, looking, interval);
        ratatui::restore();
        result
    }

    fn interact(
        &self,
        terminal: &mut ratatui::DefaultTerminal,
        mut looking: Looking,
        interval: Duration,
    ) -> Result<()> {
        let mut view =
            View { order: self.sort, is_paused: false, first: 0, seconds: interval.as_secs_f64() };
        let mut due = Instant::now() + interval;
        loop {
            terminal.draw(|frame| screen::draw(frame, &looking.history, &view))?;
            while !event::poll(due.saturating_duration_since(Instant::now()))? {
                due = Instant::now() + Duration::from_secs_f64(view.seconds);
                if !view.is_paused {
                    looking.look()?;
                    break;
                }
            }
            if !event::poll(Duration::ZERO)? {
                continue;
            }
            let Event::Key(key) = event::read()? else { continue };
            if key.kind != KeyEventKind::Press {
                continue;
            }
            match key.code {
                KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
                KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                    return Ok(());
                }
                KeyCode::Char('p' | ' ') => view.is_paused = !view.is_paused,
                KeyCode::Char('s') => view.order = view.order.next(),
                KeyCode::Char('b') => view.order = Order::Bytes,
                KeyCode::Char('o') => view.order = Order::Objects,
                KeyCode::Char('g') => view.order = Order::Growth,
                KeyCode::Char('n') => view.order = Order::Name,
                KeyCode::Char('+') => view.seconds = (view.seconds / 2.0).max(0.125),
                KeyCode::Char('-') => view.seconds = (view.seconds * 2.0).min(64.0),
                KeyCode::Down => {
                    let pools = looking.history.rows(view.order).len();
                    view.first = (view.first + 1).min(pools.saturating_sub(1));
                }
                KeyCode::Up => view.first = view.first.saturating_sub(1),
                KeyCode::Home => view.first = 0,
                _ => {}
            }
        }
    }
}
