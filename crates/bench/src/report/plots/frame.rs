//! Axes, and the names of lines.

use super::pen::{Align, LETTER_WIDTH, Pen, Role};
use crate::report::content::units::Unit;

/// Pixels of a drawing that has the page's width: few enough for its letters to be read on a narrow one.
pub(super) const WIDTH: f64 = 640.0;
/// Pixels from a point to the text of its value.
pub(super) const VALUE: f64 = 19.0;
/// Pixels between two lines of text.
pub(super) const LINE: f64 = 17.0;

/// Numbers on a stretch of pixels.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    from: f64,
    to: f64,
    log: bool,
    /// Where `from` and `to` are.
    pixels: (f64, f64),
    /// Marked numbers and their names.
    pub(super) ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From 0 to `most` and a little beyond, with about `marks` round numbers.
    pub(super) fn linear(most: f64, unit: Unit, marks: f64, pixels: (f64, f64)) -> Self {
        let most = if most > 0.0 && most.is_finite() { most } else { 1.0 };
        let rough = most / marks;
        let decade = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|digit| digit * decade).find(|step| *step >= rough * 0.999);
        let step = step.unwrap_or(decade * 10.0);
        let count = (most / step * 0.9999).ceil().max(1.0);
        let ticks = (0..=count as usize).map(|tick| tick as f64 * step);
        Self {
            from: 0.0,
            to: count * step,
            log: false,
            pixels,
            ticks: ticks.map(|at| (at, if at == 0.0 { "0".to_owned() } else { unit.chosen(at) })).collect(),
        }
    }

    /// Around `least` and `most`, both above 0, with a mark at each decade, and at 2 and 5 where there is room.
    pub(super) fn log((least, most): (f64, f64), unit: Unit, pixels: (f64, f64)) -> Self {
        let least = if least.is_finite() && least > 0.0 { least } else { 1.0 };
        let most = if most.is_finite() && most > least { most } else { least * 10.0 };
        let digits: &[f64] = if most / least > 2_000.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let decades = (least.log10().floor() as i32)..=(most.log10().ceil() as i32);
        let marks: Vec<f64> =
            decades.flat_map(|decade| digits.iter().map(move |digit| digit * 10f64.powi(decade))).collect();
        let from = marks.iter().copied().rfind(|mark| *mark <= least * 1.0001).unwrap_or(least);
        let to = marks.iter().copied().find(|mark| *mark >= most * 0.9999).unwrap_or(most);
        let ticks = marks.into_iter().filter(|mark| (from..=to).contains(mark)).map(|mark| (mark, unit.chosen(mark)));
        Self { from, to, log: true, pixels, ticks: ticks.collect() }
    }

    /// Between two numbers with marks of one's own.
    pub(super) fn marked((from, to): (f64, f64), ticks: Vec<(f64, String)>, pixels: (f64, f64)) -> Self {
        Self { from, to, log: false, pixels, ticks }
    }

    /// Where a number is; the nearest end for one that is not on the axis.
    pub(super) fn at(&self, number: f64) -> f64 {
        let number = number.clamp(self.from, self.to);
        let part = if self.log {
            (number / self.from).ln() / (self.to / self.from).ln()
        } else {
            (number - self.from) / (self.to - self.from)
        };
        self.pixels.0 + part * (self.pixels.1 - self.pixels.0)
    }
}

/// A rectangle with an axis below and one at its left.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) x: Axis,
    pub(super) y: Axis,
}

impl Frame {
    /// Where a point is.
    pub(super) fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (self.x.at(x), self.y.at(y))
    }

    /// The axes, with what they show above the left one and below the other; nothing for an empty name.
    pub(super) fn draw(&self, pen: &Pen<'_>, x_name: &str, y_name: &str) {
        let (left, right) = self.x.pixels;
        let (bottom, top) = self.y.pixels;
        for (number, name) in &self.y.ticks {
            let y = self.y.at(*number);
            pen.line([(left, y), (right, y)], Role::Grid, 1.0);
            pen.text((left - 8.0, y), Align::Right, name, Role::Faint);
        }
        for (number, name) in &self.x.ticks {
            let x = self.x.at(*number);
            pen.line([(x, bottom), (x, top)], Role::Grid, 1.0);
            pen.text((x, bottom + LINE), Align::Middle, name, Role::Faint);
        }
        pen.line([(left, top), (left, bottom), (right, bottom)], Role::Ink, 1.0);
        let middle = (self.x.pixels.0 + self.x.pixels.1) / 2.0;
        for (at, align, name) in [
            ((4.0, self.y.pixels.1 - LINE), Align::Left, y_name),
            ((middle, self.y.pixels.0 + LINE * 2.2), Align::Middle, x_name),
        ] {
            if !name.is_empty() {
                pen.text(at, align, name, Role::Ink);
            }
        }
    }

    /// The names of lines at the right of the frame, each as near to its line's end as the others let it be.
    pub(super) fn names(&self, pen: &Pen<'_>, ends: &[(usize, (f64, f64), String)]) {
        let (bottom, top) = self.y.pixels;
        let wanted: Vec<_> = ends.iter().map(|(_, (_, y), _)| *y).collect();
        for ((series, (x, y), name), height) in ends.iter().zip(spread(&wanted, LINE, (top, bottom))) {
            let begin = self.x.pixels.1 + 14.0;
            pen.line([(*x + 5.0, *y), (begin, height)], Role::Faint, 0.5);
            pen.marker((begin + 5.0, height), *series);
            pen.text((begin + 14.0, height), Align::Left, name, Role::Ink);
        }
    }

    /// What points are worth, at their right, each with the marker of its series and as near to its point as the others let it
    /// be.
    pub(super) fn values(&self, pen: &Pen<'_>, points: &[(usize, (f64, f64), String)]) {
        let (bottom, top) = self.y.pixels;
        let wanted: Vec<_> = points.iter().map(|(_, (_, y), _)| *y).collect();
        for ((series, (x, y), value), height) in points.iter().zip(spread(&wanted, LINE * 0.9, (top, bottom))) {
            pen.line([(*x, *y), (x + 8.0, height)], Role::Faint, 0.5);
            pen.marker((x + 12.0, height), *series);
            pen.text((x + VALUE, height), Align::Left, value, Role::Ink);
        }
    }
}

/// Pixels at the right of a frame that its names take.
pub(super) fn margin(names: &[String]) -> f64 {
    width(names) + 40.0
}

/// Pixels of the longest text.
pub(super) fn width(texts: &[String]) -> f64 {
    texts.iter().map(|text| text.chars().count()).max().unwrap_or(0) as f64 * LETTER_WIDTH
}

/// Heights at least `gap` apart and within the bounds (where there is room), each as wanted or a little off.
fn spread(wanted: &[f64], gap: f64, (least, most): (f64, f64)) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|one, other| wanted[*one].total_cmp(&wanted[*other]));
    let gap = gap.min((most - least) / (wanted.len().max(2) - 1) as f64);
    let mut heights = wanted.to_vec();
    let mut below = least;
    for at in &order {
        heights[*at] = heights[*at].max(below);
        below = heights[*at] + gap;
    }
    let mut above = most;
    for at in order.iter().rev() {
        heights[*at] = heights[*at].min(above);
        above = heights[*at] - gap;
    }
    heights
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::content::units::{COUNT, TIME};

    #[test]
    fn names_never_overlap_and_stay_inside() {
        assert_eq!(spread(&[50.0, 10.0], 16.0, (0.0, 100.0)), [50.0, 10.0]);
        assert_eq!(spread(&[50.0, 50.0, 48.0], 16.0, (0.0, 100.0)), [64.0, 80.0, 48.0]);
        assert_eq!(spread(&[99.0, 100.0], 16.0, (0.0, 100.0)), [84.0, 100.0]);
        assert_eq!(spread(&[0.0; 5], 100.0, (0.0, 8.0)), [0.0, 2.0, 4.0, 6.0, 8.0], "as far apart as there is room");
        assert!(spread(&[], 16.0, (0.0, 100.0)).is_empty());
    }

    #[test]
    fn axes_end_at_round_numbers_around_what_they_show() {
        let axis = Axis::linear(412_000.0, COUNT, 5.0, (0.0, 100.0));
        assert_eq!(
            axis.ticks.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>(),
            ["0", "100k", "200k", "300k", "400k", "500k"]
        );
        assert_eq!(axis.at(250_000.0), 50.0);
        let axis = Axis::log((12_000.0, 950_000.0), TIME, (100.0, 0.0));
        assert_eq!((axis.from, axis.to), (10_000.0, 1_000_000.0));
        assert!((axis.at(100_000.0) - 50.0).abs() < 1e-9);
        for odd in [0.0, f64::NAN, f64::INFINITY] {
            assert!(Axis::linear(odd, COUNT, 5.0, (0.0, 100.0)).at(odd.max(0.0)).is_finite());
            assert!(Axis::log((odd, odd), TIME, (0.0, 100.0)).at(1.0).is_finite());
        }
    }
}
