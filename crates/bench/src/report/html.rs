//! The page.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use crate::{Run, Summary, Value};

use super::content::loads::{Group, by_load, by_size};
use super::content::table::Table;
use super::content::units::{COUNT, TIGHT, TIME, Unit};
use super::content::{tables, words};
use super::plots::{self, Bar, Cost};

/// Letters of a target's name in plots and tables; the list of targets has the whole.
const NAME: usize = 20;

#[derive(Serialize)]
struct Page {
    style: &'static str,
    title: String,
    runs: Vec<Section>,
}

/// One run.
#[derive(Serialize)]
struct Section {
    /// Unique on the page.
    id: String,
    file: String,
    title: String,
    when: String,
    /// Where it comes from.
    origin: Vec<(&'static str, String)>,
    facts: Vec<(&'static str, String)>,
    targets: Vec<TargetLine>,
    /// The first plot, which stands before everything that needs more words.
    lead: Option<Lead>,
    warnings: Vec<String>,
    partial: Vec<String>,
    conclusion: Vec<String>,
    /// All loads in one table, if there are several.
    glance: Option<Table>,
    loads: Vec<LoadSection>,
    costs: Vec<CostSection>,
    found: Option<FoundSection>,
    /// Names of the targets that share a process with the generator.
    shared: String,
}

#[derive(Serialize)]
struct TargetLine {
    name: String,
    endpoint: String,
    server: &'static str,
    wire: String,
    /// What it is drawn with.
    sample: String,
}

#[derive(Serialize)]
struct Lead {
    title: String,
    /// `closed`: throughput; `open`: latency, since the rate was given; `found`: the rates that were tried.
    kind: &'static str,
    drawing: String,
}

/// A drawing; none if there is nothing to draw.
type Drawing = Option<String>;

#[derive(Serialize)]
struct LoadSection {
    id: String,
    title: String,
    open: bool,
    pipeline: usize,
    over: String,
    throughput: Drawing,
    cpu: Drawing,
    summary: Table,
    ratios: Table,
    spectrum: Drawing,
    percentiles: Table,
    timeline: Drawing,
    rounds: Table,
    beginnings: Table,
    lag: Table,
    faults: Table,
}

#[derive(Serialize)]
struct CostSection {
    id: String,
    title: String,
    throughput: Drawing,
    cpu: Drawing,
    rates: Table,
    cpus: Table,
}

#[derive(Serialize)]
struct FoundSection {
    id: String,
    table: Table,
    plots: Vec<Drawing>,
    probes: Vec<(String, Table)>,
}

/// One page that shows runs one below the other, each under its name: it needs no other file, no network and no script.
/// Names and texts in the runs are shown as they are and never become markup.
pub fn html(runs: &[(String, Run)]) -> String {
    let sections: Vec<_> = runs.iter().enumerate().map(|(at, (file, run))| section(at + 1, file, run)).collect();
    let title = match sections.as_slice() {
        [one] => format!("{}, {}", one.title, one.when),
        more => {
            format!("{} runs: {}", more.len(), more.iter().map(|run| run.file.as_str()).collect::<Vec<_>>().join(", "))
        }
    };
    let page = Page { style: include_str!("page.css"), title, runs: sections };
    #[allow(clippy::expect_used, reason = "the template is a constant that tests fill in")]
    render(&page).expect("the template fits its values")
}

fn render(page: &Page) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    // The ending `.html` is what makes it escape every value that is not marked as safe.
    environment.add_template("page.html", include_str!("page.html"))?;
    environment.get_template("page.html")?.render(Serde(page))
}

fn section(number: usize, file: &str, run: &Run) -> Section {
    let names = words::short_names(run, NAME);
    let clean = |lines: &[String]| lines.iter().map(|line| words::clean(line)).collect();
    let id = format!("run{number}");
    let groups = by_load(run);
    let mut loads: Vec<_> =
        groups.iter().enumerate().map(|(at, group)| load(format!("{id}-load{}", at + 1), run, group, &names)).collect();
    let mut found = (!run.found.is_empty()).then(|| found(format!("{id}-found"), run, &names));
    // Moved, not copied.
    let lead = match (&mut found, loads.first_mut()) {
        (Some(found), _) => found.plots.first_mut().and_then(Option::take).map(|drawing| ("found", drawing)),
        (None, Some(load)) if load.open => load.spectrum.take().map(|drawing| ("open", drawing)),
        (None, Some(load)) => load.throughput.take().map(|drawing| ("closed", drawing)),
        (None, None) => None,
    };
    let first = loads.first().map_or_else(String::new, |load| load.title.clone());
    let lead = lead.map(|(kind, drawing)| Lead { title: first, kind, drawing });
    let shared = run.targets.iter().zip(&names).filter(|(target, _)| target.server == "same-process");
    Section {
        file: words::clean(file),
        title: words::title(run),
        when: words::date(run.started_unix_s),
        origin: words::origin(run),
        facts: words::facts(run),
        targets: (0..run.targets.len()).map(|target| target_line(run, target, &names)).collect(),
        lead,
        warnings: clean(&run.warnings),
        partial: clean(&run.partial),
        conclusion: clean(&run.conclusion),
        glance: (groups.len() > 1).then(|| tables::glance(run, &names)),
        loads,
        costs: by_size(run)
            .iter()
            .enumerate()
            .map(|(at, family)| cost(format!("{id}-cost{}", at + 1), run, family, &names))
            .collect(),
        found,
        shared: shared.map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(", "),
        id,
    }
}

fn target_line(run: &Run, at: usize, names: &[String]) -> TargetLine {
    let target = &run.targets[at];
    TargetLine {
        name: names[at].clone(),
        endpoint: words::clean(&target.endpoint),
        server: words::server(target),
        wire: words::wire(target),
        sample: plots::sample(at, &names[at]),
    }
}

fn load(id: String, run: &Run, group: &Group<'_>, names: &[String]) -> LoadSection {
    let title = words::load(group.load);
    let plain = title.replace(TIGHT, " ");
    let known = || group.cells.iter().filter(|cell| cell.target < names.len());
    let bar = |target: usize, name: bool, note, value: Value| Bar {
        series: target,
        name: if name { names[target].clone() } else { String::new() },
        note,
        value,
    };
    let rates: Vec<_> =
        known().filter_map(|cell| Some(bar(cell.target, true, "", cell.summary.as_ref()?.messages_per_s))).collect();
    let cpus = |cell: &&&crate::Cell| {
        let summary = cell.summary.as_ref();
        let client = summary.and_then(|summary| summary.client_cpu_ns).map(|cpu| bar(cell.target, true, "client", cpu));
        let server = summary
            .and_then(|summary| summary.server_cpu_ns)
            .map(|cpu| bar(cell.target, client.is_none(), "server", cpu));
        [client, server]
    };
    let cpus: Vec<_> = known().flat_map(|cell| cpus(&cell)).flatten().collect();
    let latencies: Vec<_> = known().filter_map(|cell| Some((cell.target, &cell.summary.as_ref()?.latency))).collect();
    LoadSection {
        id,
        open: group.load.rate_per_s.is_some(),
        pipeline: group.load.pipeline,
        over: tables::over(run, group).map_or_else(String::new, |over| tables::named(names, over)),
        throughput: plots::bars(&format!("Messages per second, {plain}"), COUNT, &rates),
        cpu: plots::bars(&format!("CPU time per message, {plain}"), TIME, &cpus),
        summary: tables::summary(run, group, names),
        ratios: tables::ratios(run, group, names),
        spectrum: plots::spectrum(&format!("Latency spectrum, {plain}"), &latencies, names),
        percentiles: tables::percentiles(group, names),
        timeline: plots::timeline(&format!("Throughput over time, {plain}"), &group.cells, names),
        rounds: tables::rounds(group, names),
        beginnings: tables::times(group, names, &tables::BEGINNINGS),
        lag: tables::times(group, names, &[tables::LAG]),
        faults: tables::faults(group, names),
        title,
    }
}

/// Loads that differ in size alone.
fn cost(id: String, run: &Run, family: &[Group<'_>], names: &[String]) -> CostSection {
    let loads: Vec<_> = family.iter().map(|group| group.load).collect();
    let draw = |title: &str, what: &str, unit: Unit, of: fn(&Summary) -> Option<Value>| {
        let series = |target| {
            let at = |group: &Group<'_>| of(group.cells.iter().find(|cell| cell.target == target)?.summary.as_ref()?);
            (target, family.iter().map(at).collect())
        };
        plots::cost(&Cost { title, what, unit, series: (0..names.len()).map(series).collect() }, &loads, names)
    };
    let rate: fn(&Summary) -> Option<Value> = |summary| Some(summary.messages_per_s);
    let cpu: fn(&Summary) -> Option<Value> = |summary| summary.server_cpu_ns;
    CostSection {
        id,
        title: words::without_size(loads[0]),
        throughput: draw("Throughput by message size", "messages/s", COUNT, rate),
        cpu: draw("Server CPU per message by message size", "server CPU per message", TIME, cpu),
        rates: tables::matrix(run, family, names, COUNT, rate),
        cpus: tables::matrix(run, family, names, TIME, cpu),
    }
}

fn found(id: String, run: &Run, names: &[String]) -> FoundSection {
    let title = |found: &crate::Found| {
        let load = crate::LoadInfo { rate_per_s: None, ..found.load.clone() };
        format!("{}, {}", words::size(&load.size), words::connections(&load))
    };
    let mut kinds: Vec<(String, Vec<&crate::Found>)> = Vec::new();
    for found in &run.found {
        match kinds.iter_mut().find(|(kind, _)| *kind == title(found)) {
            Some((_, all)) => all.push(found),
            None => kinds.push((title(found), vec![found])),
        }
    }
    let plot = |(kind, all): &(String, Vec<&crate::Found>)| {
        plots::probes(&format!("Rates that were tried, {}", kind.replace(TIGHT, " ")), all, names)
    };
    let named = |found: &crate::Found| {
        (format!("{}, {}", tables::named(names, found.target), title(found)), tables::probes(found))
    };
    FoundSection {
        id,
        table: tables::found(run, names),
        plots: kinds.iter().map(plot).collect(),
        probes: run.found.iter().map(named).collect(),
    }
}
