//! `swapwire compare` and `swapwire report`: runs that were written before.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use swapwire_bench::{Rule, Run, SCHEMA, compare, report};

use crate::cli::{CompareArgs, ReportArgs};
use crate::exit::{self, Failure, cause};
use crate::outputs::Outputs;

/// No run is larger.
const LARGEST: u64 = 256 << 20;

/// Prints what changed, and fails on a regression.
pub(crate) fn run_compare(args: &CompareArgs) -> Result<u8, Failure> {
    let mut problems = Vec::new();
    let rules = args.fail_if.iter().map(|text| text.parse::<Rule>());
    let rules: Vec<_> = rules.filter_map(|rule| rule.map_err(|error| problems.push(error.to_string())).ok()).collect();
    if !problems.is_empty() {
        return Err(Failure::several(exit::USAGE, problems));
    }
    let runs = read_all(&[args.before.as_path(), &args.after])?;
    let [before, after] = &runs[..] else { return Err(Failure::usage("compare: needs two runs")) };
    let comparison = compare(before, after, &rules).map_err(|error| {
        Failure::failed(format_args!("compare {} with {}: {error}", args.after.display(), args.before.display()))
    })?;
    exit::print(&comparison.to_string())?;
    if comparison.regressions.is_empty() {
        Ok(exit::OK)
    } else {
        Err(Failure::several(exit::MISSED, comparison.regressions))
    }
}

/// Prints the table of each run, and writes the files.
pub(crate) fn run_report(args: &ReportArgs) -> Result<u8, Failure> {
    let several = args.runs.len() > 1;
    let single = [("--csv", &args.outputs.csv), ("--hlog", &args.outputs.hlog)];
    let single = single.iter().filter(|(_, path)| several && path.is_some());
    let problems: Vec<_> =
        single.map(|(flag, _)| format!("{flag}: of one run alone; --html and --markdown take several")).collect();
    if !problems.is_empty() {
        return Err(Failure::several(exit::USAGE, problems));
    }
    let paths: Vec<_> = args.runs.iter().map(|path| path.as_path()).collect();
    let names = args.runs.iter().map(|path| path.display().to_string());
    let runs: Vec<_> = names.zip(read_all(&paths)?).collect();
    let outputs = Outputs::open(None, &args.outputs)?;
    let text = |color: bool| {
        let text = |(name, run): &(String, Run)| {
            let heading = if several { format!("{name}\n\n") } else { String::new() };
            heading + &report::text(run, color)
        };
        runs.iter().map(text).collect::<Vec<_>>().join("\n")
    };
    let mut problems: Vec<_> = outputs.print(text).into_iter().collect();
    problems.extend(outputs.write(&runs));
    if problems.is_empty() { Ok(exit::OK) } else { Err(Failure::several(exit::FAILURE, problems)) }
}

fn read_all(paths: &[&Path]) -> Result<Vec<Run>, Failure> {
    let mut problems = Vec::new();
    let read = paths.iter().map(|path| read(path).map_err(|error| format!("read {}: {error}", path.display())));
    let runs: Vec<_> = read.filter_map(|run| run.map_err(|problem| problems.push(problem)).ok()).collect();
    if problems.is_empty() { Ok(runs) } else { Err(Failure::several(exit::FAILURE, problems)) }
}

fn read(path: &Path) -> Result<Run, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|error: io::Error| cause(&error))?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("more than {} MiB; no run is that large", LARGEST >> 20));
    }
    let newer =
        |schema| format!("written by a newer swapwire (schema {schema}; this one knows {SCHEMA}): use that one");
    match serde_json::from_slice::<Run>(&bytes) {
        Ok(run) if run.schema > SCHEMA => Err(newer(run.schema.into())),
        Ok(run) => Ok(run),
        Err(error) => match serde_json::from_slice::<serde_json::Value>(&bytes) {
            Err(error) => Err(format!("not JSON: {error}")),
            Ok(value) => match value["schema"].as_u64() {
                Some(schema) if schema > SCHEMA.into() => Err(newer(schema)),
                Some(_) => Err(format!("not a whole run: {error}")),
                None => Err("not a run of swapwire bench: it has no schema".to_owned()),
            },
        },
    }
}
