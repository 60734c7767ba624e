//! What a message costs by its size.

use crate::{LoadInfo, Value};

use super::frame::{Axis, Frame, LINE, VALUE, margin, width};
use super::pen::{Role, svg};
use crate::report::content::units::Unit;
use crate::report::content::words;

/// What is drawn over the size.
#[derive(Clone, Debug)]
pub(in super::super) struct Cost<'a> {
    pub(in super::super) title: &'a str,
    /// Stands above the axis.
    pub(in super::super) what: &'a str,
    pub(in super::super) unit: Unit,
    /// For each series, a value for each load, where there is one.
    pub(in super::super) series: Vec<(usize, Vec<Option<Value>>)>,
}

/// Where sizes stand: as their logarithms if all of them are numbers, in even steps otherwise.
fn places(loads: &[&LoadInfo]) -> Vec<f64> {
    let numbers: Option<Vec<f64>> =
        loads.iter().map(|load| Some((load.size.parse::<u64>().ok()?.max(1) as f64).log2())).collect();
    numbers.unwrap_or_else(|| (0..loads.len()).map(|at| at as f64).collect())
}

/// A line for each series over the sizes of the loads, with whiskers; `None` if there is nothing to draw.
pub(in super::super) fn cost(cost: &Cost<'_>, loads: &[&LoadInfo], names: &[String]) -> Option<String> {
    let lines: Vec<(usize, Vec<(f64, Value)>)> = cost
        .series
        .iter()
        .map(|(index, values)| {
            let known = places(loads).into_iter().zip(values).filter_map(|(at, value)| value.map(|value| (at, value)));
            let mut known: Vec<_> = known.filter(|(_, value)| value.median > 0.0).collect();
            known.sort_by(|one, other| one.0.total_cmp(&other.0));
            (*index, known)
        })
        .filter(|(_, known)| !known.is_empty())
        .collect();
    let values = || lines.iter().flat_map(|(_, known)| known.iter().map(|(_, value)| value));
    let least = values().map(|value| if value.low > 0.0 { value.low } else { value.median }).reduce(f64::min)?;
    let most = values().map(|value| value.high.max(value.median)).reduce(f64::max)?;
    let size = (520.0, 280f64.max(LINE * lines.len() as f64 + 90.0));
    let marks: Vec<_> = places(loads)
        .into_iter()
        .zip(loads)
        .map(|(at, load)| (at, words::shorten(&words::size(&load.size), 12)))
        .collect();
    let (first, last) =
        marks.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), (at, _)| (low.min(*at), high.max(*at)));
    // The number of a line's end stands at its name.
    let mut labels = names.to_vec();
    for (index, known) in &lines {
        if let (Some(label), Some((_, value))) = (labels.get_mut(*index), known.last()) {
            *label = format!("{label} {}", cost.unit.show(value.median));
        }
    }
    let around = ((last - first) * 0.06).max(0.1);
    let frame = Frame {
        x: Axis::marked((first - around, last + around), marks, (64.0, size.0 - margin(&labels))),
        y: Axis::log((least, most), cost.unit, (size.1 - 50.0, 36.0)),
    };
    let described = format!("A line for each target: {} over the size of a message.", cost.what);
    Some(svg(size, cost.title, &described, |pen| {
        frame.draw(pen, "size of a message", cost.what);
        let (mut ends, mut values) = (Vec::new(), Vec::new());
        for (index, known) in &lines {
            pen.line(known.iter().map(|(at, value)| frame.at((*at, value.median))), Role::Dashed(*index), 2.0);
            for (at, value) in known {
                pen.line([frame.at((*at, value.low)), frame.at((*at, value.high))], Role::Ink, 1.5);
                pen.marker(frame.at((*at, value.median)), *index);
            }
            let place = |(at, value): &(f64, Value)| (*index, frame.at((*at, value.median)));
            let Some((last, others)) = known.split_last() else { continue };
            let number = |(at, value): &(f64, Value)| (*at, (place(&(*at, *value)), cost.unit.show(value.median)));
            values.extend(others.iter().map(number));
            let (series, at) = place(last);
            ends.push((series, at, labels[*index].clone()));
        }
        // From the left, where the numbers of one size do not reach the next.
        let mut free = f64::NEG_INFINITY;
        for (at, _) in &frame.x.ticks {
            let here = values.iter().filter(|(place, _)| place == at);
            let here: Vec<_> = here.map(|(_, ((series, at), text))| (*series, *at, text.clone())).collect();
            let texts: Vec<_> = here.iter().map(|(.., text)| text.clone()).collect();
            if frame.x.at(*at) > free && !here.is_empty() {
                frame.values(pen, &here);
                free = frame.x.at(*at) + VALUE + width(&texts);
            }
        }
        frame.names(pen, &ends);
    }))
}
