//! How long the slowest of many replies took.

use crate::Spectrum;

use super::frame::{Axis, Frame, LINE, WIDTH, margin};
use super::pen::{Role, svg};
use crate::report::content::units::TIME;

/// Marked percentiles.
const MARKS: [(f64, &str); 7] = [
    (0.0, "0 %"),
    (50.0, "50 %"),
    (90.0, "90 %"),
    (99.0, "99 %"),
    (99.9, "99.9 %"),
    (99.99, "99.99 %"),
    (99.999, "99.999 %"),
];
/// Percentiles whose times stand beside their lines.
const LABELLED: [f64; 2] = [50.0, 99.0];
/// Points of a line in each tenth of what remains.
const POINTS: f64 = 24.0;

/// How far from 0 % a percentile is: each step of 1 is a tenth of what remained before it.
fn nines(percent: f64) -> f64 {
    -(1.0 - percent / 100.0).log10()
}

/// Latency over percentile, a line for each series; `None` if there is nothing to draw. Lines end where fewer than ten
/// replies took longer: the rest is chance.
pub(in super::super) fn spectrum(title: &str, series: &[(usize, &Spectrum)], names: &[String]) -> Option<String> {
    let some: Vec<_> = series.iter().filter(|(_, spectrum)| !spectrum.is_empty()).collect();
    let most = some.iter().map(|(_, spectrum)| spectrum.count()).max()?;
    let end = |count: u64| (count as f64 / 10.0).log10().clamp(0.31, 5.0);
    let lines: Vec<(usize, Vec<(f64, f64)>)> = some
        .iter()
        .map(|(index, spectrum)| {
            let last = end(spectrum.count());
            let steps = (last * POINTS).ceil();
            let at = |step: usize| (step as f64 * last / steps).min(last);
            let point = |nines: f64| (nines, spectrum.percentile(100.0 * (1.0 - 10f64.powf(-nines))).max(1) as f64);
            (*index, (0..=steps as usize).map(|step| point(at(step))).collect())
        })
        .collect();
    let heights = || lines.iter().flat_map(|(_, points)| points.iter().map(|(_, nanos)| *nanos));
    let (least, most_nanos) = (heights().fold(f64::INFINITY, f64::min), heights().fold(0.0, f64::max));
    let size = (WIDTH, 320f64.max(LINE * lines.len() as f64 + 90.0));
    let marks = MARKS.iter().map(|(percent, name)| (nines(*percent), (*name).to_owned()));
    let frame = Frame {
        x: Axis::marked(
            (0.0, end(most)),
            marks.filter(|(at, _)| *at <= end(most) + 0.001).collect(),
            (64.0, size.0 - margin(names)),
        ),
        y: Axis::log((least, most_nanos), TIME, (size.1 - 50.0, 36.0)),
    };
    let described = "A line for each target: at each percentage of replies, the latency that so many of them did not exceed. The times at 50 % \
         and 99 % are written beside the lines.";
    Some(svg(size, title, described, |pen| {
        frame.draw(pen, "this share of the replies …", "… took no longer than");
        let mut ends = Vec::new();
        for (index, points) in &lines {
            pen.line(thin(points).into_iter().map(|point| frame.at(point)), Role::Dashed(*index), 2.0);
            for mark in frame.x.ticks.iter().skip(1) {
                if let Some(point) = points.iter().find(|(nines, _)| *nines >= mark.0 - 1e-9) {
                    pen.marker(frame.at(*point), *index);
                }
            }
            ends.extend(points.last().map(|point| (*index, frame.at(*point), names[*index].clone())));
        }
        for percent in LABELLED {
            let value = |(index, spectrum): &&(usize, &Spectrum)| {
                let nanos = spectrum.percentile(percent).max(1) as f64;
                (nines(percent) <= end(spectrum.count()) + 1e-9)
                    .then(|| (*index, frame.at((nines(percent), nanos)), TIME.show(nanos)))
            };
            frame.values(pen, &some.iter().filter_map(value).collect::<Vec<_>>());
        }
        frame.names(pen, &ends);
    }))
}

/// Without the points between two others of the same height.
fn thin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let flat = |at: usize| {
        at > 0 && at + 1 < points.len() && points[at - 1].1 == points[at].1 && points[at].1 == points[at + 1].1
    };
    (0..points.len()).filter(|at| !flat(*at)).map(|at| points[at]).collect()
}
