//! The rates that searches tried.

use crate::Found;

use super::frame::{Axis, Frame, LINE, WIDTH, margin};
use super::pen::{Role, svg};
use crate::report::content::units::{COUNT, TIME};

/// A rate, the time there, and whether the objective held.
type Point = (f64, f64, bool);

/// The 99th percentile of the latency over the rate, a line for each search; crosses where the objective did not hold.
/// `None` if there is nothing to draw.
pub(in super::super) fn probes(title: &str, found: &[&Found], names: &[String]) -> Option<String> {
    let lines: Vec<(usize, Vec<Point>)> = found
        .iter()
        .filter(|found| found.target < names.len())
        .map(|found| {
            let answered =
                found.probes.iter().filter(|probe| !probe.round.times().is_empty() && probe.rate_per_s > 0.0);
            let mut points: Vec<_> = answered
                .map(|probe| (probe.rate_per_s, probe.round.times().percentile(99.0) as f64, probe.held))
                .collect();
            points.sort_by(|one, other| one.0.total_cmp(&other.0));
            (found.target, points)
        })
        .collect();
    let points = || lines.iter().flat_map(|(_, points)| points);
    let rates =
        points().map(|point| (point.0, point.0)).reduce(|(low, high), (rate, _)| (low.min(rate), high.max(rate)))?;
    let times =
        points().map(|point| (point.1, point.1)).reduce(|(low, high), (time, _)| (low.min(time), high.max(time)))?;
    let size = (WIDTH, 300f64.max(LINE * lines.len() as f64 + 90.0));
    let mut labels = names.to_vec();
    for found in found {
        if let Some(label) = labels.get_mut(found.target) {
            let rate =
                found.load.rate_per_s.map_or_else(|| "none".to_owned(), |rate| format!("{}/s", COUNT.chosen(rate)));
            *label = format!("{label} {rate}");
        }
    }
    let frame = Frame {
        x: Axis::log(rates, COUNT, (64.0, size.0 - margin(&labels))),
        y: Axis::log(times, TIME, (size.1 - 50.0, 36.0)),
    };
    let described = "A line for each target through the rates that were tried: the 99th percentile of the latency at each. A \
                     cross is a rate at which the objective did not hold. The highest rate that held stands at the name.";
    Some(svg(size, title, described, |pen| {
        frame.draw(pen, "requests/s asked for", "p99 latency");
        let mut ends = Vec::new();
        for (index, points) in &lines {
            pen.line(points.iter().map(|(rate, time, _)| frame.at((*rate, *time))), Role::Dashed(*index), 1.5);
            for (rate, time, held) in points {
                let at = frame.at((*rate, *time));
                pen.marker(at, *index);
                if !held {
                    pen.cross(at, Role::Ink);
                }
            }
            ends.extend(
                points.last().map(|(rate, time, _)| (*index, frame.at((*rate, *time)), labels[*index].clone())),
            );
        }
        frame.names(pen, &ends);
    }))
}
