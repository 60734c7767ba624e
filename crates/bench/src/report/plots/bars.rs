//! Targets side by side.

use crate::Value;

use super::frame::{Axis, LINE, width};
use super::pen::{Align, Pen, Role, svg};
use crate::report::content::units::{TIGHT, Unit};

/// Height of a bar in pixels.
const BAR: f64 = 15.0;

/// One bar.
#[derive(Clone, Debug)]
pub(in super::super) struct Bar {
    /// Decides its colour.
    pub(in super::super) series: usize,
    /// Stands before it; empty for a second bar of the same name.
    pub(in super::super) name: String,
    /// Stands after the number.
    pub(in super::super) note: &'static str,
    pub(in super::super) value: Value,
}

/// A bar from 0 for each value, with a whisker over its confidence interval; `None` if there is nothing to draw.
pub(in super::super) fn bars(title: &str, unit: Unit, bars: &[Bar]) -> Option<String> {
    let most = bars.iter().map(|bar| bar.value.high.max(bar.value.median)).reduce(f64::max)?;
    let said: Vec<String> = bars.iter().map(|bar| format!("{} {}", unit.with_error(&bar.value), bar.note)).collect();
    let left = width(&bars.iter().map(|bar| bar.name.clone()).collect::<Vec<_>>()) + 12.0;
    let bottom = 14.0 + bars.iter().map(height).sum::<f64>();
    let size = (520.0, bottom + 26.0);
    let axis = Axis::linear(most, unit, 4.0, (left, size.0 - width(&said) - 14.0));
    let described = format!(
        "A bar for each target: {}.",
        bars.iter()
            .zip(&said)
            .map(|(bar, said)| format!("{} {}", bar.name, said.trim()))
            .collect::<Vec<_>>()
            .join(", ")
    );
    Some(svg(size, title, &described.replace(TIGHT, " "), |pen| {
        for (number, name) in axis.ticks.iter().step_by(if axis.ticks.len() > 4 { 2 } else { 1 }) {
            let x = axis.at(*number);
            pen.line([(x, 6.0), (x, bottom)], Role::Grid, 1.0);
            pen.text((x, bottom + LINE * 0.8), Align::Middle, name, Role::Faint);
        }
        let mut y = 6.0;
        for (bar, said) in bars.iter().zip(&said) {
            y += height(bar);
            draw(pen, &axis, bar, y - BAR / 2.0, said);
            pen.text((left - 8.0, y - BAR / 2.0), Align::Right, &bar.name, Role::Ink);
        }
        pen.line([(left, 6.0), (left, bottom)], Role::Ink, 1.0);
    }))
}

/// With the space above it.
fn height(bar: &Bar) -> f64 {
    if bar.name.is_empty() { BAR + 2.0 } else { BAR + 9.0 }
}

fn draw(pen: &Pen<'_>, axis: &Axis, bar: &Bar, y: f64, said: &str) {
    let [zero, low, median, high] =
        [0.0, bar.value.low, bar.value.median, bar.value.high].map(|number| axis.at(number));
    pen.rectangle((zero, y - BAR / 2.0), (median, y + BAR / 2.0), Role::Series(bar.series));
    if high > low {
        pen.line([(low, y), (high, y)], Role::Ink, 1.5);
        for end in [low, high] {
            pen.line([(end, y - 4.0), (end, y + 4.0)], Role::Ink, 1.5);
        }
    }
    pen.text((high.max(median) + 8.0, y), Align::Left, said.trim(), Role::Ink);
}
