//! What makes a number doubtful.

mod bottleneck;
mod faults;
mod spread;

use crate::analysis::words;
use crate::{Cell, Run, Summary};

pub(super) use bottleneck::is_full;

/// A line for each cause, with the cells that it concerns in their order.
pub(super) fn of(run: &Run) -> Vec<String> {
    let mut causes = Causes::default();
    for cell in &run.cells {
        let Some(summary) = &cell.summary else { continue };
        let seen = Seen { run, cell, summary };
        let all = bottleneck::of(&seen).into_iter().chain(faults::of(&seen)).chain(spread::of(&seen));
        let (load, target) = (words::load(&cell.load), words::target(run, cell.target));
        all.for_each(|doubt| causes.add(doubt.cause, &load, format!("{target} ({})", doubt.here)));
    }
    for found in run.found.iter().filter(|found| found.limited_by == "client") {
        let cures = bottleneck::cures(run, found.target, found.load.connections);
        causes.add(
            format!("THE CLIENT WAS THE BOTTLENECK: the server may hold more than was found{cures}"),
            &words::without_rate(&found.load),
            words::target(run, found.target),
        );
    }
    let rounds = run.cells.iter().map(|cell| cell.rounds.len()).max().unwrap_or(0);
    let few = (1..3).contains(&rounds).then(|| {
        let plural = words::plural(rounds as u64);
        format!("{rounds} round{plural} cannot tell how sure a number is: ask for 5 or more (--rounds)")
    });
    few.into_iter().chain(causes.lines()).collect()
}

/// Lists by a key, in the order in which keys were met.
type Keyed<T> = Vec<(String, Vec<T>)>;

/// Each cause once, in the order in which it was met, with the loads under which it was, and the targets under each.
#[derive(Default)]
struct Causes(Keyed<(String, Vec<String>)>);

impl Causes {
    fn add(&mut self, cause: String, load: &str, target: String) {
        let loads = of_key(&mut self.0, &cause);
        of_key(loads, load).push(target);
    }

    /// `cause; at one load: target, target; at another load: target`.
    fn lines(self) -> impl Iterator<Item = String> {
        let under = |(load, targets): (String, Vec<String>)| format!("; at {load}: {}", targets.join(", "));
        self.0.into_iter().map(move |(cause, loads)| cause + &loads.into_iter().map(under).collect::<String>())
    }
}

/// The list of `key`, which is added at the end if it is not there.
fn of_key<'a, T>(all: &'a mut Keyed<T>, key: &str) -> &'a mut Vec<T> {
    let at = all.iter().position(|(known, _)| known == key).unwrap_or_else(|| {
        all.push((key.to_owned(), Vec::new()));
        all.len() - 1
    });
    &mut all[at].1
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
