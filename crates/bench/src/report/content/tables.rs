//! The tables that more than one report shows.

use crate::{Cell, Faults, Run, Spectrum, Summary, Value};

use super::loads::{Group, by_load};
use super::table::{Column, NONE, Table};
use super::units::{BYTES, COUNT, MEMORY, RATIO, TIME, Unit};
use super::words;

/// Percentiles that tables show: their key in [`Summary::latency_ns`], and what they are.
pub(crate) const PERCENTILES: [(&str, f64); 4] = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9)];

/// Times that are not of the steady state: what they are called, and where they stand.
pub(crate) type Times = (&'static str, fn(&Summary) -> &Spectrum);
/// What comes before the steady state.
pub(crate) const BEGINNINGS: [Times; 2] =
    [("connect", |summary| &summary.connect), ("first reply", |summary| &summary.first_reply)];
/// The generator's own.
pub(crate) const LAG: Times = ("lag", |summary| &summary.lag);

fn time(nanos: u64) -> String {
    TIME.show(nanos as f64)
}

fn optional<T>(value: Option<T>, show: impl Fn(T) -> String) -> String {
    value.map_or_else(|| NONE.to_owned(), show)
}

/// A percentile over the rounds, or of all of them together if that is not known.
fn percentile(summary: &Summary, key: &str, percent: f64) -> Option<Value> {
    let known = summary.latency_ns.get(key).copied();
    let together = || {
        let nanos = summary.latency.percentile(percent) as f64;
        Value { median: nanos, low: nanos, high: nanos, min: nanos, max: nanos }
    };
    (!summary.latency.is_empty()).then(|| known.unwrap_or_else(together))
}

fn ratio(run: &Run, group: &Group<'_>, cell: &Cell, metric: &str) -> String {
    optional(group.ratio(run, cell.target, metric), |ratio| RATIO.with_error(&ratio.value))
}

/// What is compared with under this load: the target by which all ratios divide.
pub(crate) fn over(run: &Run, group: &Group<'_>) -> Option<usize> {
    run.ratios.iter().find(|ratio| ratio.load == *group.load).map(|ratio| ratio.over)
}

/// Each target in one line.
pub(crate) fn summary(run: &Run, group: &Group<'_>, names: &[String]) -> Table {
    let over = over(run, group);
    let latency = |head| Column::number(head).of("latency");
    let columns = vec![
        Column::words("target"),
        Column::number("messages/s"),
        Column::number(
            over.map_or_else(String::new, |over| format!("× {}", words::shorten(named(names, over).as_str(), 9))),
        ),
        Column::number("bytes/s"),
        latency("p50"),
        latency("p99"),
        latency("p99.9"),
        latency("max"),
        Column::number("client").of("CPU/message"),
        Column::number("server").of("CPU/message"),
        Column::number("server").of("memory"),
    ];
    let row = |cell: &&Cell| {
        let summary = cell.summary.as_ref();
        let at =
            |key, percent| optional(summary.and_then(|s| percentile(s, key, percent)), |value| TIME.show(value.median));
        let cpu = |value: Option<Value>| optional(value, |value| TIME.show(value.median));
        vec![
            named(names, cell.target),
            optional(summary, |s| COUNT.with_error(&s.messages_per_s)),
            if over == Some(cell.target) { "1".to_owned() } else { ratio(run, group, cell, "messages_per_s") },
            optional(summary, |s| BYTES.show(s.bytes_per_s.median)),
            at("p50", 50.0),
            at("p99", 99.0),
            at("p99.9", 99.9),
            optional(summary.filter(|s| !s.latency.is_empty()), |s| time(s.latency.max())),
            cpu(summary.and_then(|s| s.client_cpu_ns)),
            cpu(summary.and_then(|s| s.server_cpu_ns)),
            optional(summary.and_then(|s| s.server_memory), |bytes| MEMORY.whole(bytes)),
        ]
    };
    Table::new(columns, group.cells.iter().map(row).collect())
}

/// A name from the list, or what stands for it in a run that does not list its target.
pub(crate) fn named(names: &[String], target: usize) -> String {
    names.get(target).cloned().unwrap_or_else(|| format!("target {}", target + 1))
}

/// Everything by which targets are compared.
pub(crate) fn ratios(run: &Run, group: &Group<'_>, names: &[String]) -> Table {
    let metrics =
        [("messages_per_s", "messages/s"), ("p50", "p50"), ("p99", "p99"), ("server_cpu_ns", "server CPU/message")];
    let over = over(run, group);
    let columns = metrics.map(|(_, head)| Column::number(head).of(if head.starts_with('p') { "latency" } else { "" }));
    let others = group.cells.iter().filter(|cell| over.is_some_and(|over| over != cell.target));
    let row = |cell: &&Cell| {
        let title = format!("{} over {}", named(names, cell.target), named(names, over.unwrap_or_default()));
        [title].into_iter().chain(metrics.map(|(metric, _)| ratio(run, group, cell, metric))).collect()
    };
    Table::new([Column::words("ratio")].into_iter().chain(columns).collect(), others.map(row).collect())
}

/// The percentiles of the latency with their uncertainty.
pub(crate) fn percentiles(group: &Group<'_>, names: &[String]) -> Table {
    let columns = [Column::words("target"), Column::number("replies"), Column::number("shortest")].into_iter();
    let columns = columns.chain(PERCENTILES.map(|(key, _)| Column::number(key)));
    let row = |cell: &&Cell| {
        let summary = cell.summary.as_ref().filter(|summary| !summary.latency.is_empty());
        let counts =
            [optional(summary, |s| COUNT.whole(s.latency.count())), optional(summary, |s| time(s.latency.min()))];
        let over = PERCENTILES.map(|(key, percent)| {
            optional(summary.and_then(|s| percentile(s, key, percent)), |value| TIME.with_error(&value))
        });
        let longest = optional(summary, |s| time(s.latency.max()));
        [named(names, cell.target)].into_iter().chain(counts).chain(over).chain([longest]).collect()
    };
    Table::new(columns.chain([Column::number("longest")]).collect(), group.cells.iter().map(row).collect())
}

/// Times that are not of the steady state: median, 99th percentile, longest, and how many there were.
pub(crate) fn times(group: &Group<'_>, names: &[String], kinds: &[Times]) -> Table {
    let column =
        |(head, _): &(&str, _)| ["median", "p99", "longest", "times"].map(|each| Column::number(each).of(head));
    let columns = [Column::words("target")].into_iter().chain(kinds.iter().flat_map(column)).collect();
    let row = |cell: &&Cell| {
        let of_kind = |(_, of): &Times| {
            let some = cell.summary.as_ref().map(of).filter(|spectrum| !spectrum.is_empty());
            let count = optional(some, |spectrum| COUNT.whole(spectrum.count()));
            let at = |percent| optional(some, |spectrum| time(spectrum.percentile(percent)));
            [at(50.0), at(99.0), at(100.0), count]
        };
        [named(names, cell.target)].into_iter().chain(kinds.iter().flat_map(of_kind)).collect()
    };
    let some = |cell: &&&Cell| {
        let summary = cell.summary.as_ref();
        summary.is_some_and(|summary| kinds.iter().any(|(_, of)| !of(summary).is_empty()))
    };
    Table::new(columns, group.cells.iter().filter(some).map(row).collect())
}

/// What went wrong, for the targets with which anything did.
pub(crate) fn faults(group: &Group<'_>, names: &[String]) -> Table {
    let heads = Faults::default().counts().map(|(_, heading, _)| heading);
    let heads = ["requests"].into_iter().chain(heads);
    let columns = [Column::words("target")].into_iter().chain(heads.map(Column::number));
    let row = |cell: &&Cell| {
        let summary = cell.summary.as_ref().filter(|summary| words::faulty(&summary.faults))?;
        let faults = &summary.faults;
        let counts = faults.counts().map(|(.., count)| count);
        let counts = [Some(summary.requests)].into_iter().chain(counts);
        let counts = counts.map(|count| optional(count, |count| COUNT.whole(count)));
        let errors = words::errors(faults);
        Some([named(names, cell.target)].into_iter().chain(counts).chain([errors]).collect())
    };
    Table::new(columns.chain([Column::words("errors")]).collect(), group.cells.iter().filter_map(row).collect())
}

/// Throughput of each round, and how fast the machine was.
pub(crate) fn rounds(group: &Group<'_>, names: &[String]) -> Table {
    let most = group.cells.iter().map(|cell| cell.rounds.len()).max().unwrap_or(0);
    let columns = [Column::words("round")].into_iter();
    let columns =
        columns.chain(group.cells.iter().map(|cell| Column::number(named(names, cell.target)).of("messages/s")));
    let row = |at: usize| {
        let of = |cell: &&Cell| {
            let measured = cell.rounds.get(at).filter(|round| round.elapsed_s > 0.0);
            optional(measured, |round| COUNT.show(round.messages as f64 / round.elapsed_s))
        };
        let mut yardsticks: Vec<f64> =
            group.cells.iter().filter_map(|cell| cell.rounds.get(at)).map(|round| round.yardstick_ns).collect();
        yardsticks.retain(|nanos| *nanos > 0.0);
        yardsticks.sort_by(f64::total_cmp);
        let yardstick = optional(yardsticks.get(yardsticks.len() / 2), |nanos| TIME.show(*nanos));
        [(at + 1).to_string()].into_iter().chain(group.cells.iter().map(of)).chain([yardstick]).collect()
    };
    Table::new(columns.chain([Column::number("yardstick")]).collect(), (0..most).map(row).collect())
}

/// One number of each target under each load.
pub(crate) fn matrix(
    run: &Run,
    groups: &[Group<'_>],
    names: &[String],
    unit: Unit,
    of: impl Fn(&Summary) -> Option<Value>,
) -> Table {
    let columns = [Column::words("load")].into_iter();
    let columns = columns.chain(names.iter().map(Column::number));
    let row = |group: &Group<'_>| {
        let number = |target: usize| {
            let cell = group.cells.iter().find(|cell| cell.target == target);
            optional(cell.and_then(|cell| of(cell.summary.as_ref()?)), |value| unit.with_error(&value))
        };
        [words::load(group.load)].into_iter().chain((0..run.targets.len()).map(number)).collect()
    };
    Table::new(columns.collect(), groups.iter().map(row).collect())
}

/// Messages per second of each target under each load.
pub(crate) fn glance(run: &Run, names: &[String]) -> Table {
    matrix(run, &by_load(run), names, COUNT, |summary| Some(summary.messages_per_s))
}

/// The highest rates that were found.
pub(crate) fn found(run: &Run, names: &[String]) -> Table {
    let columns = vec![
        Column::words("target"),
        Column::words("size"),
        Column::number("connections"),
        Column::number("highest rate"),
        Column::words("objective"),
        Column::number("p50").of("latency at it"),
        Column::number("p99").of("latency at it"),
        Column::words("what limits it"),
    ];
    let rows = run.found.iter().map(|found| {
        let at_it = found.probes.iter().rfind(|probe| probe.held && Some(probe.rate_per_s) == found.load.rate_per_s);
        let at = |percent| optional(at_it, |probe| time(probe.round.times().percentile(percent)));
        vec![
            named(names, found.target),
            words::size(&found.load.size),
            found.load.connections.to_string(),
            found.load.rate_per_s.map_or_else(|| "none held".to_owned(), |rate| format!("{}/s", COUNT.chosen(rate))),
            words::clean(&found.slo),
            at(50.0),
            at(99.0),
            words::limit(&found.limited_by),
        ]
    });
    Table::new(columns, rows.collect())
}

/// Every rate that one search tried.
pub(crate) fn probes(found: &crate::Found) -> Table {
    let columns = vec![
        Column::number("asked/s"),
        Column::number("answered/s"),
        Column::number("p50").of("latency"),
        Column::number("p99").of("latency"),
        Column::number("p99.9").of("latency"),
        Column::number("p99").of("lag"),
        Column::words("held"),
        Column::words("why not"),
    ];
    let rows = found.probes.iter().map(|probe| {
        let round = &probe.round;
        let at = |spectrum: &Spectrum, percent| {
            optional((!spectrum.is_empty()).then_some(spectrum), |s| time(s.percentile(percent)))
        };
        let answered =
            if round.elapsed_s > 0.0 { COUNT.show(round.messages as f64 / round.elapsed_s) } else { NONE.to_owned() };
        vec![
            COUNT.chosen(probe.rate_per_s),
            answered,
            at(round.times(), 50.0),
            at(round.times(), 99.0),
            at(round.times(), 99.9),
            at(&round.lag, 99.0),
            if probe.held { "yes" } else { "no" }.to_owned(),
            words::clean(&probe.why),
        ]
    });
    Table::new(columns, rows.collect())
}
