//! GitHub's tables.

use crate::Run;

use super::content::loads::by_load;
use super::content::table::{Table, escape};
use super::content::{tables, words};
use super::text::legend;

/// What a run found, ready to be pasted into an issue: the findings, what makes them doubtful, what was measured where, and
/// the tables.
pub fn markdown(run: &Run) -> String {
    let names: Vec<_> = (0..run.targets.len()).map(|target| words::name(run, target)).collect();
    let list = |bold: &str, lines: &[String]| {
        let line = |line: &String| format!("* {bold}{}\n", escape(&words::clean(line)));
        lines.iter().map(line).collect::<String>()
    };
    let mut parts = vec![
        list("", &run.conclusion),
        list("**WARNING**: ", &run.warnings),
        list("**PARTIAL**: ", &run.partial),
        about(run, &names),
    ];
    for group in by_load(run) {
        parts.push(format!("### {}\n", escape(&words::load(group.load))));
        let tables = [
            tables::summary(run, &group, &names),
            tables::ratios(run, &group, &names),
            tables::faults(&group, &names),
            tables::times(&group, &names, &tables::BEGINNINGS),
            tables::times(&group, &names, &[tables::LAG]),
        ];
        parts.extend(tables.iter().filter(|table| !table.is_empty()).map(Table::markdown));
    }
    if !run.found.is_empty() {
        parts.push("### Highest rates\n".to_owned());
        parts.push(tables::found(run, &names).markdown());
        for found in &run.found {
            let (name, size) = (tables::named(&names, found.target), words::size(&found.load.size));
            parts.push(escape(&format!("Tried on {name}, {size}:")) + "\n");
            parts.push(tables::probes(found).markdown());
        }
    }
    parts.push(escape(&legend(run)) + "\n");
    parts.retain(|part| !part.trim().is_empty());
    parts.join("\n")
}

/// The settings and the targets, as a list.
fn about(run: &Run, names: &[String]) -> String {
    let fact = |(name, fact): (&str, String)| format!("* {name}: {}\n", escape(&fact));
    let target = |(name, target): (&String, &crate::TargetInfo)| {
        format!(
            "* {}: {} ({}), server {}\n",
            escape(name),
            escape(&words::clean(&target.endpoint)),
            words::wire(target),
            words::server(target)
        )
    };
    words::origin(run)
        .into_iter()
        .chain(words::facts(run))
        .map(fact)
        .chain(names.iter().zip(&run.targets).map(target))
        .collect()
}
