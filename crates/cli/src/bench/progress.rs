//! What is seen while a measurement goes on. It reads counters; the measuring threads know nothing of it.

use std::collections::VecDeque;
use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use swapwire_bench::{Monitor, Stage};
use terminal_size::terminal_size_of;

use crate::exit::complain;
use crate::notices;

/// How often it is drawn.
pub(super) const STEP: Duration = Duration::from_millis(100);
/// Over how many steps the rate is taken.
const WINDOW: usize = 10;

/// One line on the standard error, if that is a terminal; nothing otherwise.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    /// Replies at the latest steps.
    replies: VecDeque<(Instant, u64)>,
    /// Measurements that are done, and since when.
    done: (usize, Instant),
}

impl Progress {
    /// Nothing drawn yet; never anything, if `hidden`.
    pub(super) fn new(hidden: bool) -> Self {
        let shown = !hidden && io::stderr().is_terminal();
        let target = if shown { ProgressDrawTarget::term_like(Box::new(Screen)) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        // Without colours, so that they need not be switched off.
        if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
            bar.set_style(style);
        }
        Self { bar, replies: VecDeque::with_capacity(WINDOW + 1), done: (0, Instant::now()) }
    }

    /// Draws what goes on now.
    pub(super) fn draw(&mut self, monitor: &Monitor) {
        if self.bar.is_hidden() {
            return;
        }
        let (now, stage) = (Instant::now(), monitor.stage());
        if self.done.0 != stage.done {
            self.done = (stage.done, now);
        }
        self.replies.push_back((now, monitor.replies()));
        if self.replies.len() > WINDOW {
            self.replies.pop_front();
        }
        let rate = self.replies.front().map_or(0.0, |(then, before)| {
            let replies = monitor.replies().saturating_sub(*before);
            let time = now.duration_since(*then).as_secs_f64();
            if time > 0.0 { replies as f64 / time } else { 0.0 }
        });
        self.bar.set_message(line(&stage, rate, now.duration_since(self.done.1)));
    }

    /// Says something, without being drawn over.
    pub(super) fn say(&self, text: &str) {
        self.bar.suspend(|| complain(text));
    }

    /// Wipes the line.
    pub(super) fn end(self) {
        self.bar.finish_and_clear();
    }
}

/// The terminal at the standard error; writing to it never waits.
#[derive(Debug)]
struct Screen;

impl Screen {
    fn draw(text: impl Into<Vec<u8>>) -> io::Result<()> {
        notices::draw(text);
        Ok(())
    }
}

/// The sequences are those of ECMA-48.
impl TermLike for Screen {
    fn width(&self) -> u16 {
        terminal_size_of(io::stderr()).map_or(80, |(width, _)| width.0.max(1))
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        Self::draw(if n == 0 { String::new() } else { format!("\x1b[{n}A") })
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        Self::draw(if n == 0 { String::new() } else { format!("\x1b[{n}B") })
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        Self::draw(if n == 0 { String::new() } else { format!("\x1b[{n}C") })
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        Self::draw(if n == 0 { String::new() } else { format!("\x1b[{n}D") })
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        Self::draw(format!("{text}\n"))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        Self::draw(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        Self::draw("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

fn line(stage: &Stage, rate: f64, in_this: Duration) -> String {
    if stage.what.is_empty() {
        return "starting".to_owned();
    }
    let (round, left) = match stage.all {
        Some(all) => {
            let left = stage.each.map(|each| {
                (each * u32::try_from(all - stage.done.min(all)).unwrap_or(u32::MAX)).saturating_sub(in_this)
            });
            let left = left.map_or_else(String::new, |left| format!(" | {} s left", left.as_secs()));
            (format!("round {} | {} of {all}", stage.round, stage.done + 1), left)
        }
        None => (format!("probe {}", stage.round), String::new()),
    };
    format!("{} | {round} | {}/s{left}", stage.what, short(rate))
}

/// Three digits, as `412k`.
fn short(rate: f64) -> String {
    let (value, unit) = match rate {
        rate if rate >= 1e6 => (rate / 1e6, "M"),
        rate if rate >= 1e3 => (rate / 1e3, "k"),
        rate => (rate, ""),
    };
    if value >= 100.0 || unit.is_empty() { format!("{value:.0}{unit}") } else { format!("{value:.1}{unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_target_round_rate_and_time_left() {
        let mut stage = Stage::default();
        assert_eq!(line(&stage, 0.0, Duration::ZERO), "starting");
        stage.what = "tcp, 64 B, 64 connections".to_owned();
        (stage.round, stage.done, stage.all, stage.each) = (3, 14, Some(35), Some(Duration::from_secs(1)));
        let expected = "tcp, 64 B, 64 connections | round 3 | 15 of 35 | 412k/s | 20 s left";
        assert_eq!(line(&stage, 412_345.0, Duration::from_millis(500)), expected);
        stage.each = None;
        assert_eq!(line(&stage, 0.0, Duration::ZERO), "tcp, 64 B, 64 connections | round 3 | 15 of 35 | 0/s");
        stage.all = None;
        assert_eq!(line(&stage, 1234.0, Duration::ZERO), "tcp, 64 B, 64 connections | probe 3 | 1.2k/s");
        assert_eq!(short(2_345_678.0), "2.3M");
        assert_eq!(short(999.0), "999");
    }
}
