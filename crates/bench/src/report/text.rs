//! The table that ends a run on a terminal.

use crate::{Cell, Run, Summary};

use super::content::loads::{Group, by_load};
use super::content::tables;
use super::content::units::TIME;
use super::content::words;

/// Columns of the terminal that are used at most.
const WIDTH: usize = 110;
/// Columns of a target's name.
const NAME: usize = 18;

/// What a run found, for a terminal of 110 columns: a table for each load, then what makes it doubtful, and the findings in
/// plain sentences last. `color` for ANSI colours, which only repeat what the words say.
pub fn text(run: &Run, color: bool) -> String {
    let paint = |code: &str, text: String| if color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text };
    let bold = |text: String| paint("1", text);
    let loud = |kind: &str, lines: &[String]| -> String {
        let line = |line: &String| words::wrap(&format!("{kind}: {}", words::clean(line)), WIDTH, kind.len() + 2);
        lines.iter().map(|text| paint("1;33", line(text)) + "\n").collect()
    };
    let names = words::short_names(run, NAME);
    let about = format!("{}: {}, on {}", words::clean(&run.tool), words::rounds(run), words::machine(run));
    let command = words::command(run).map(|command| words::wrap(&command, WIDTH, 2) + "\n").unwrap_or_default();
    let mut parts = vec![words::wrap(&about, WIDTH, 0) + "\n" + &command];
    for group in by_load(run) {
        let title = bold(words::wrap(&words::load(group.load), WIDTH, 0));
        let table = tables::summary(run, &group, &names).text(bold);
        parts.push(format!("{title}\n{table}{}", beside(&group, &names)));
    }
    if !run.found.is_empty() {
        let mut found = bold("highest rates".to_owned()) + "\n" + &tables::found(run, &names).text(bold);
        for one in &run.found {
            let title = format!("tried on {}, {}", tables::named(&names, one.target), words::size(&one.load.size));
            found += &format!("\n{}\n{}", bold(words::wrap(&title, WIDTH, 0)), tables::probes(one).text(bold));
        }
        parts.push(found);
    }
    parts.push(paint("2", words::wrap(&legend(run), WIDTH, 0)) + "\n" + &shared(run, &names));
    parts.push(loud("WARNING", &run.warnings));
    parts.push(loud("PARTIAL", &run.partial));
    let conclusion = |line: &String| bold(words::wrap(&words::clean(line), WIDTH, 0)) + "\n";
    parts.push(run.conclusion.iter().map(conclusion).collect());
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

/// What stands below a load's table: the beginnings of connections, and what went wrong.
fn beside(group: &Group<'_>, names: &[String]) -> String {
    let mut lines = String::new();
    for (kind, of) in tables::BEGINNINGS.into_iter().chain([tables::LAG]) {
        let each = |cell: &&Cell| {
            let spectrum = of(cell.summary.as_ref()?);
            let [median, p99] = [50.0, 99.0].map(|percent| TIME.show(spectrum.percentile(percent) as f64));
            (!spectrum.is_empty()).then(|| format!("{} {median} ({p99})", tables::named(names, cell.target)))
        };
        let times: Vec<_> = group.cells.iter().filter_map(each).collect();
        if !times.is_empty() {
            lines += &words::wrap(&format!("{kind}, median (p99): {}", times.join(", ")), WIDTH, 2);
            lines.push('\n');
        }
    }
    for cell in &group.cells {
        let Some(summary) = cell.summary.as_ref().filter(|summary| words::faulty(&summary.faults)) else { continue };
        let faults = words::faults(&summary.faults, summary.requests);
        lines += &words::wrap(&format!("{}: {faults}", tables::named(names, cell.target)), WIDTH, 2);
        lines.push('\n');
    }
    lines
}

/// How the numbers of this run are to be read, in one sentence for each kind.
pub(super) fn legend(run: &Run) -> String {
    let rates = || run.cells.iter().map(|cell| cell.load.rate_per_s.is_some()).chain(run.found.iter().map(|_| true));
    let mut legend = Vec::new();
    if rates().any(|open| !open) {
        legend.push("closed loop: a latency runs from handing a request over to having its whole reply");
    }
    if rates().any(|open| open) {
        legend.push("open loop: a latency runs from the intended send time, so waiting behind a stall counts");
    }
    let compared = |summary: &Summary| summary.messages_per_s.high > summary.messages_per_s.low;
    if run.cells.iter().filter_map(|cell| cell.summary.as_ref()).any(compared) {
        legend.push("±: half the 95 % confidence interval of the median over the rounds");
    }
    legend.join("; ")
}

/// A line about the targets whose server has no process of its own.
fn shared(run: &Run, names: &[String]) -> String {
    let is = |target: &usize| run.targets[*target].server == "same-process";
    let shared: Vec<_> = (0..run.targets.len()).filter(is).map(|target| names[target].clone()).collect();
    let said = format!("{}: client and server share a process; its memory is that of both", shared.join(", "));
    if shared.is_empty() { String::new() } else { words::wrap(&said, WIDTH, 2) + "\n" }
}
