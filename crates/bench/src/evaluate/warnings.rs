//! What makes a number doubtful.

mod bottleneck;
mod faults;
mod spread;

use crate::{Cell, Run, Summary, evaluate::words};

/// A line each: for the run, then for the cells in their order.
pub(super) fn of(run: &Run) -> Vec<String> {
    let mut lines = Vec::new();
    let rounds = run.cells.iter().map(|cell| cell.rounds.len()).max().unwrap_or(0);
    if (1..3).contains(&rounds) {
        lines.push(format!(
            "{rounds} round{} cannot tell how sure a number is: ask for 5 or more (--rounds)",
            words::plural(rounds as u64)
        ));
    }
    let mut noisy = Vec::new();
    for cell in &run.cells {
        let Some(summary) = &cell.summary else { continue };
        let seen = Seen { run, cell, summary, name: words::cell(run, cell) };
        lines.extend(bottleneck::of(&seen));
        lines.extend(faults::of(&seen));
        lines.extend(spread::drift(&seen));
        noisy.extend(spread::noise(&seen));
    }
    if !noisy.is_empty() {
        lines.push(format!(
            "noisy over {rounds} rounds: {}; ask for more (--rounds), longer ones (--duration), or a quieter machine",
            noisy.join("; ")
        ));
    }
    for found in run.found.iter().filter(|found| found.limited_by == "client") {
        lines.push(format!(
            "THE CLIENT WAS THE BOTTLENECK: {} at {}: the server may hold more than was found; give the generator more \
             --threads, --pin them, or run it on another machine",
            words::target(run, found.target),
            words::without_rate(&found.load)
        ));
    }
    lines
}

/// A cell and what is known of it.
struct Seen<'a> {
    run: &'a Run,
    cell: &'a Cell,
    summary: &'a Summary,
    name: String,
}
