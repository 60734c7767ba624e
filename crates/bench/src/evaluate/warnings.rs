//! What makes a number doubtful.

mod bottleneck;
mod faults;
mod spread;

use crate::{Cell, Run, Summary, evaluate::words};

pub(super) use bottleneck::is_full;

/// A line for each cause, with the cells that it concerns in their order.
pub(super) fn of(run: &Run) -> Vec<String> {
    let mut causes = Causes::default();
    for cell in &run.cells {
        let Some(summary) = &cell.summary else { continue };
        let seen = Seen { run, cell, summary };
        let all = bottleneck::of(&seen).into_iter().chain(faults::of(&seen)).chain(spread::of(&seen));
        let name = words::cell(run, cell);
        all.for_each(|doubt| causes.add(doubt.cause, format!("{name} ({})", doubt.here)));
    }
    for found in run.found.iter().filter(|found| found.limited_by == "client") {
        let cures = bottleneck::cures(run, found.target, found.load.connections);
        causes.add(
            format!("THE CLIENT WAS THE BOTTLENECK: the server may hold more than was found{cures}"),
            format!("{} at {}", words::target(run, found.target), words::without_rate(&found.load)),
        );
    }
    let rounds = run.cells.iter().map(|cell| cell.rounds.len()).max().unwrap_or(0);
    let few = (1..3).contains(&rounds).then(|| {
        let plural = words::plural(rounds as u64);
        format!("{rounds} round{plural} cannot tell how sure a number is: ask for 5 or more (--rounds)")
    });
    let line = |(cause, cells): (String, Vec<String>)| format!("{cause}: {}", cells.join("; "));
    few.into_iter().chain(causes.0.into_iter().map(line)).collect()
}

/// Each cause once, in the order in which it was met, with where it was.
#[derive(Default)]
struct Causes(Vec<(String, Vec<String>)>);

impl Causes {
    fn add(&mut self, cause: String, cell: String) {
        match self.0.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, cells)) => cells.push(cell),
            None => self.0.push((cause, vec![cell])),
        }
    }
}

/// What makes a cell's numbers doubtful.
struct Doubt {
    /// What happened, what it means and what to do: the same text for all cells that it concerns.
    cause: String,
    /// The numbers of this cell.
    here: String,
}

/// A cell and what is known of it.
struct Seen<'a> {
    run: &'a Run,
    cell: &'a Cell,
    summary: &'a Summary,
}

impl Seen<'_> {
    /// What makes a round longer.
    fn longer(&self) -> &'static str {
        if self.run.settings.requests.is_some() { "more requests (--requests)" } else { "longer ones (--duration)" }
    }
}
