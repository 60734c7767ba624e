//! How steady the throughput was.

use crate::{Cell, Round};

use super::frame::{Axis, Frame, LINE, WIDTH, margin};
use super::pen::{Align, Role, svg};
use crate::report::content::units::COUNT;

/// Pixels of a strip, and between two.
const HEIGHT: f64 = 46.0;
const GAP: f64 = 16.0;
/// Points of a line in all its rounds.
const POINTS: usize = 420;

/// Messages per second over the part of the round that had passed, in at most `most` points.
fn rates(round: &Round, most: usize) -> Vec<(f64, f64)> {
    let (step, steps) = (round.timeline_step_s, round.timeline.len());
    if !(step > 0.0 && round.elapsed_s > 0.0) {
        return Vec::new();
    }
    let together = steps.div_ceil(most.max(1)).max(1);
    let rate = |(at, counts): (usize, &[u64])| {
        let from = (at * together) as f64 * step;
        // The last step may be cut short; of half a step nothing can be said.
        let long = (counts.len() as f64 * step).min(round.elapsed_s - from);
        (long > step / 2.0).then(|| ((from + long / 2.0) / round.elapsed_s, counts.iter().sum::<u64>() as f64 / long))
    };
    round.timeline.chunks(together).enumerate().filter_map(rate).collect()
}

/// Throughput within the rounds, which stand one after the other, a strip for each target; `None` if there is nothing to
/// draw.
pub(in super::super) fn timeline(title: &str, cells: &[&Cell], names: &[String]) -> Option<String> {
    let rounds = cells.iter().map(|cell| cell.rounds.len()).max().filter(|rounds| *rounds > 0)?;
    let strip = |cell: &&Cell| {
        let lines: Vec<_> = cell.rounds.iter().map(|round| rates(round, POINTS / rounds)).collect();
        let most = lines.iter().flatten().map(|(_, rate)| *rate).reduce(f64::max)?;
        let rate = COUNT.show(cell.summary.as_ref()?.messages_per_s.median);
        (cell.target < names.len()).then(|| (cell.target, lines, most, format!("{rate}/s")))
    };
    let strips: Vec<_> = cells.iter().filter_map(strip).collect();
    if strips.is_empty() {
        return None;
    }
    // The rate stands below the name.
    let rates = strips.iter().map(|(.., rate)| rate.clone());
    let right = WIDTH - margin(&names.iter().cloned().chain(rates).collect::<Vec<_>>());
    let size = (WIDTH, 36.0 + (HEIGHT + GAP) * strips.len() as f64 + 36.0);
    let every = rounds.div_ceil(14);
    let marks: Vec<_> = (0..rounds).step_by(every).map(|round| (round as f64 + 0.5, (round + 1).to_string())).collect();
    let described = "A strip for each target, and a line in it for each round: messages per second within the round. A round of \
                     one target was measured just before the same round of the next. The median stands at the name.";
    Some(svg(size, title, described, |pen| {
        for (at, (index, lines, most, rate)) in strips.iter().enumerate() {
            let top = 36.0 + (HEIGHT + GAP) * at as f64;
            let last = at + 1 == strips.len();
            let frame = Frame {
                x: Axis::marked((0.0, rounds as f64), if last { marks.clone() } else { Vec::new() }, (64.0, right)),
                y: Axis::linear(*most, COUNT, 2.0, (top + HEIGHT, top)),
            };
            frame.draw(pen, if last { "round" } else { "" }, if at == 0 { "messages/s" } else { "" });
            for (round, points) in lines.iter().enumerate() {
                // A gap between rounds: other targets were measured meanwhile.
                let place = |(part, rate): &(f64, f64)| frame.at((round as f64 + 0.04 + part * 0.92, *rate));
                pen.line(points.iter().map(place), Role::Dashed(*index), 1.5);
            }
            let left = right + 14.0;
            pen.marker((left + 5.0, top + 12.0), *index);
            pen.text((left + 14.0, top + 12.0), Align::Left, &names[*index], Role::Ink);
            pen.text((left + 14.0, top + 12.0 + LINE), Align::Left, rate, Role::Ink);
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::super::pen::LETTER_WIDTH;
    use super::*;

    #[test]
    fn a_last_step_that_is_cut_short_is_no_dip() {
        let round = Round { elapsed_s: 0.28, timeline: vec![100, 100, 80], timeline_step_s: 0.1, ..Round::default() };
        let rates: Vec<_> = rates(&round, 10).into_iter().map(|(_, rate)| rate.round()).collect();
        assert_eq!(rates, [1000.0, 1000.0, 1000.0]);
        let stub = Round { elapsed_s: 0.21, timeline: vec![100, 100, 3], timeline_step_s: 0.1, ..Round::default() };
        assert_eq!(super::rates(&stub, 10).len(), 2, "of a tenth of a step nothing can be said");
    }

    #[test]
    fn a_rate_that_is_longer_than_its_name_is_inside() {
        let round = Round { elapsed_s: 1.0, timeline: vec![152_345], timeline_step_s: 1.0, ..Round::default() };
        let mut summary = crate::Summary::default();
        summary.messages_per_s.median = 152_345.0;
        let cell = Cell { rounds: vec![round], summary: Some(summary), ..Cell::default() };
        let drawing = timeline("title", &[&cell], &["a".to_owned()]).unwrap();
        let attribute = |of: &str, name: &str| {
            of.split_once(&format!(" {name}=\"")).unwrap().1.split_once('"').unwrap().0.to_owned()
        };
        let grain = attribute(&drawing, "viewBox").split(' ').nth(2).unwrap().parse::<f64>().unwrap() / WIDTH;
        let rates = drawing.split("<text").skip(1).filter_map(|text| {
            let rate = text.split_once('>')?.1.split_once('<')?.0.trim();
            let x = attribute(text, "x").parse::<f64>().unwrap() / grain;
            rate.ends_with("/s").then(|| x + rate.chars().count() as f64 * LETTER_WIDTH)
        });
        let ends: Vec<_> = rates.collect();
        // That of the axis, and that of the name.
        assert!(ends.len() == 2 && ends.iter().all(|end| *end <= WIDTH), "{ends:?}");
    }

    #[test]
    fn many_steps_are_drawn_as_few() {
        let round = Round { elapsed_s: 60.0, timeline: vec![50; 6000], timeline_step_s: 0.01, ..Round::default() };
        let points = rates(&round, 60);
        assert_eq!(points.len(), 60);
        assert!(points.iter().all(|(_, rate)| (rate - 5000.0).abs() < 1.0), "{points:?}");
        assert!(rates(&Round { timeline: vec![1], ..Round::default() }, 60).is_empty(), "no step, no time");
    }
}
