//! Whether a run went well.

use std::collections::BTreeMap;

use swapwire_bench::{Round, Run, Slo};

/// What went wrong, a line each: something is missing, replies were wrong, or there were errors. Datagrams that were lost
/// are a finding and no fault.
pub(super) fn problems(run: &Run) -> Vec<String> {
    let mut problems = run.partial.clone();
    for (at, target) in run.targets.iter().enumerate() {
        let rounds: Vec<_> = run.cells.iter().filter(|cell| cell.target == at).flat_map(|cell| &cell.rounds).collect();
        // A search goes on until something fails: only a wrong reply tells that it was no search in the first place.
        let probes = run.found.iter().filter(|found| found.target == at).flat_map(|found| &found.probes);
        let probes = probes.map(|probe| &probe.round);
        let sum = |of: fn(&Round) -> u64| rounds.iter().map(|round| of(round)).sum::<u64>();
        let mut say = |count: u64, what: &str| {
            if count > 0 {
                problems.push(format!("{}: {count} {what}", target.name));
            }
        };
        let wrong = sum(|round| round.faults.wrong) + probes.map(|round| round.faults.wrong).sum::<u64>();
        say(wrong, &format!("wrong replies; right would be {}, see --expect", run.settings.expect));
        if !target.datagrams {
            say(sum(|round| round.faults.lost), "requests without a reply in time, see --timeout");
        }
        say(sum(|round| round.faults.broken), "requests were under way on connections that broke");
        let mut errors = BTreeMap::new();
        for (kind, count) in rounds.iter().flat_map(|round| &round.faults.errors) {
            *errors.entry(kind.as_str()).or_insert(0) += count;
        }
        for (kind, count) in errors {
            say(count, &format!("× {kind}"));
        }
    }
    problems
}

/// What of the objective was missed, a line each; in a search, where not even the lowest rate held.
pub(super) fn missed(run: &Run, slo: &Slo) -> Vec<String> {
    let unheld = run.found.iter().filter(|found| found.load.rate_per_s.is_none());
    let unheld = unheld.map(|found| {
        let name = run.targets.get(found.target).map_or("a target", |target| target.name.as_str());
        format!("{name}: {} did not hold at any rate that was tried", found.slo)
    });
    unheld.chain(slo.missed(run)).collect()
}

#[cfg(test)]
mod tests {
    use swapwire_bench::{Cell, Found, LoadInfo, Probe, TargetInfo};

    use super::*;

    fn run_of(datagrams: bool, change: impl Fn(&mut Round)) -> Run {
        let mut round = Round::default();
        change(&mut round);
        // Two rounds, so that a sum can be told from a last value.
        let cell = Cell { rounds: vec![round.clone(), round], ..Cell::default() };
        let mut run = Run::default();
        run.settings.expect = "echo".to_owned();
        run.targets = vec![TargetInfo { name: "x".to_owned(), datagrams, ..TargetInfo::default() }];
        run.cells = vec![cell];
        run
    }

    #[test]
    fn a_whole_run_without_faults_went_well() {
        assert_eq!(problems(&run_of(false, |_| ())), Vec::<String>::new());
        assert_eq!(problems(&run_of(true, |round| round.faults.lost = 9)), Vec::<String>::new());
        assert_eq!(problems(&run_of(false, |round| round.faults.unsent = 9)), Vec::<String>::new());
    }

    #[test]
    fn faults_are_summed_and_named() {
        let wrong = problems(&run_of(true, |round| round.faults.wrong = 3));
        assert_eq!(wrong, ["x: 6 wrong replies; right would be echo, see --expect"]);
        let lost = problems(&run_of(false, |round| round.faults.lost = 1));
        assert_eq!(lost, ["x: 2 requests without a reply in time, see --timeout"]);
        let errors = problems(&run_of(true, |round| {
            round.faults.broken = 1;
            round.faults.errors.insert("connect: connection refused".to_owned(), 2);
        }));
        assert_eq!(
            errors,
            ["x: 2 requests were under way on connections that broke", "x: 4 × connect: connection refused"]
        );
    }

    #[test]
    fn what_is_missing_is_told() {
        let mut run = run_of(false, |round| round.faults.wrong = 1);
        run.partial = vec!["stopped in round 2 of 7".to_owned()];
        assert_eq!(
            problems(&run),
            ["stopped in round 2 of 7", "x: 2 wrong replies; right would be echo, see --expect"]
        );
    }

    #[test]
    fn a_search_may_meet_errors_but_no_wrong_replies() {
        let mut probe = Probe::default();
        probe.round.faults.lost = 5;
        probe.round.faults.errors.insert("recv".to_owned(), 1);
        let mut run = run_of(false, |_| ());
        run.cells.clear();
        run.found = vec![Found { probes: vec![probe], ..Found::default() }];
        assert_eq!(problems(&run), Vec::<String>::new());
        run.found[0].probes[0].round.faults.wrong = 1;
        assert_eq!(problems(&run), ["x: 1 wrong replies; right would be echo, see --expect"]);
    }

    #[test]
    fn a_search_without_a_result_missed_its_objective() {
        let slo: Slo = "p99=5ms".parse().unwrap();
        let mut run = run_of(false, |_| ());
        run.cells.clear();
        run.found = vec![Found { slo: "p99<=5ms".to_owned(), ..Found::default() }];
        assert_eq!(missed(&run, &slo), ["x: p99<=5ms did not hold at any rate that was tried"]);
        run.found[0].load = LoadInfo { rate_per_s: Some(1000.0), ..LoadInfo::default() };
        assert_eq!(missed(&run, &slo), Vec::<String>::new());
    }
}
