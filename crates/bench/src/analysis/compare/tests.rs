use super::change::{Sample, change};
use super::{Verdict, compare};
use crate::analysis::samples::{normal, round, run};
use crate::{Round, Rule, Run};

/// A machine whose speed differs from run to run, and rounds that differ beyond that.
#[derive(Clone, Copy)]
struct World {
    rounds: usize,
    /// Deviation within a run.
    noise: f64,
    /// Share of rounds that are hit by something else.
    bursts: f64,
    /// Deviation between runs.
    drift: f64,
    /// How much of the drift the client's CPU time sees; `None` where it is not known.
    client: Option<f64>,
    /// How much of a server's slowdown the client pays too, since it waits more.
    masked: f64,
    /// The generator of the second run costs this many times as much.
    dearer: f64,
}

const USUAL: World =
    World { rounds: 20, noise: 0.04, bursts: 0.0, drift: 0.01, client: None, masked: 0.0, dearer: 1.0 };

impl World {
    /// Logarithms of costs in one run.
    fn sample(self, random: &mut fastrand::Rng, drift: f64, slower: f64, dearer: f64) -> Sample {
        let mut draw = |middle: f64, noise: f64| -> Vec<f64> {
            // Others only ever add: what is below the middle is rare.
            let mut one = |_| {
                let burst = if random.f64() < self.bursts { (4.0 * noise * normal(random)).abs() } else { 0.0 };
                middle + noise * normal(random).abs() + 0.01 * normal(random) + burst
            };
            (0..self.rounds).map(&mut one).collect()
        };
        let client = |share: f64| share * drift + self.masked * slower.ln() + dearer.ln();
        Sample {
            values: draw(drift + slower.ln(), self.noise),
            client: self.client.map_or_else(Vec::new, |share| draw(client(share), 0.03)),
        }
    }

    /// In how many of 200 comparisons throughput or server CPU is surely more than 2 % worse.
    fn alarms(self, slower: f64) -> usize {
        let mut random = fastrand::Rng::with_seed(7);
        let alarm = |_: &usize| {
            let drifts = [self.drift * normal(&mut random), self.drift * normal(&mut random)];
            let worse = [1.0, -1.0].map(|sign| {
                let [mut before, mut after] = [(drifts[0], 1.0, 1.0), (drifts[1], slower, self.dearer)]
                    .map(|(drift, slower, dearer)| self.sample(&mut random, drift, slower, dearer));
                for side in [&mut before, &mut after] {
                    side.values.iter_mut().for_each(|value| *value *= sign);
                }
                let estimate = change(&before, &after, sign).unwrap();
                if sign > 0.0 { estimate.low > 1.02_f64.ln() } else { estimate.high < 0.98_f64.ln() }
            });
            worse[0] || worse[1]
        };
        (0..200).filter(alarm).count()
    }
}

#[test]
fn runs_of_one_build_do_not_alarm_and_a_server_slower_by_10_percent_does() {
    let worlds = [
        World { noise: 0.02, rounds: 8, ..USUAL },
        USUAL,
        World { bursts: 0.1, ..USUAL },
        World { rounds: 40, noise: 0.1, ..USUAL },
        // The client waits more for a slower server, and pays half as much more for each message.
        World { rounds: 40, noise: 0.05, client: Some(1.0), masked: 0.5, ..USUAL },
    ];
    for (at, world) in worlds.into_iter().enumerate() {
        let (same, slower) = (world.alarms(1.0), world.alarms(1.1));
        assert!(same <= 1, "world {at}: {same} false alarms in 200");
        assert!(slower >= 190, "world {at}: {slower} alarms in 200");
    }
}

#[test]
fn a_machine_that_got_slower_is_no_server_that_did() {
    // Even the quietest rounds move by 5 % from run to run; the client's CPU time tells of it.
    let world = World { drift: 0.05, ..USUAL };
    let (told, untold) = (World { client: Some(1.0), ..world }.alarms(1.0), world.alarms(1.0));
    assert!(told * 3 < untold * 2, "{told} false alarms in 200, and {untold} without the client");
}

#[test]
fn without_enough_rounds_a_slowdown_is_missed_rather_than_invented() {
    for rounds in [3, 4, 5] {
        let same = World { rounds, noise: 0.05, ..USUAL }.alarms(1.0);
        assert!(same <= 4, "{same} false alarms in 200 with {rounds} rounds");
    }
}

#[test]
fn a_generator_that_got_cheaper_is_no_server_that_got_dearer() {
    let world = World { client: Some(1.0), dearer: 0.8, ..USUAL };
    assert!(world.alarms(1.0) <= 1);
    assert!(world.alarms(1.1) > 160);
}

#[test]
fn a_change_is_the_one_computed_by_hand() {
    let sample = |values: [f64; 3]| Sample { values: values.to_vec(), ..Sample::default() };
    let estimate = change(&sample([0.0, 0.1, 0.2]), &sample([0.5, 0.6, 0.7]), 0.0).unwrap();
    // Variances 0.01; 0.02/3 and 2·0.01² together 0.0068667; 4 degrees of freedom · (1.03)² = 4.24; t 4.604.
    let reach = 4.604 * 0.082_865;
    assert!((estimate.by - 0.5).abs() < 1e-9 && (estimate.low - 0.5 + reach).abs() < 1e-4, "{estimate:?}");
    assert_eq!(change(&sample([0.0; 3]), &Sample::default(), 0.0), None);
}

fn rules(texts: &[&str]) -> Vec<Rule> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Rounds that spread by 1 %; the server's work is `slower`, and it is what limits.
fn rounds(seed: u64, slower: f64) -> Vec<Round> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut one = || {
        let mut noisy = |value: f64| value * (0.01 * normal(&mut random)).exp();
        let mut round = round(noisy(100_000.0 / slower) as u64);
        round.server.as_mut().unwrap().cpu_s = round.messages as f64 * noisy(8e-6 * slower);
        round.client.cpu_s = round.messages as f64 * noisy(6e-6);
        round.yardstick_ns = noisy(5000.0);
        round
    };
    (0..10).map(|_| one()).collect()
}

fn made(seed: u64, slower: f64) -> Run {
    run(None, &[("tcp", rounds(seed, slower)), ("unix", rounds(seed + 1000, slower))])
}

#[test]
fn twenty_runs_of_one_build_are_the_same_and_of_a_slower_one_are_not() {
    for seed in 0..20 {
        let same = compare(&made(seed, 1.0), &made(seed + 100, 1.0), &[]).unwrap();
        assert!(same.regressions.is_empty(), "{same}");
        let slower = compare(&made(seed, 1.0), &made(seed + 100, 1.1), &[]).unwrap();
        assert_eq!(slower.regressions.len(), 4, "{slower}");
    }
}

#[test]
fn the_table_fits_into_100_columns_and_ends_in_a_verdict() {
    let text = compare(&made(1, 1.0), &made(2, 1.1), &rules(&["server-cpu>+2%", "p99>+5%"])).unwrap().to_string();
    let longest = text.lines().filter(|line| line.starts_with("  ")).map(|line| line.chars().count()).max();
    assert!(longest <= Some(100), "{text}");
    assert!(text.starts_with("tcp at 64 B, 64 connections\n  metric "), "{text}");
    assert!(text.contains("REGRESSION (server-cpu>+2%)") && text.contains("same within noise"), "{text}");
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("2 REGRESSIONS by server-cpu>+2%, p99>+5%, the first: tcp at 64 B"), "{last}");
    let better = compare(&made(1, 1.1), &made(2, 1.0), &[]).unwrap();
    assert_eq!(better.sentence(), "no regression by throughput<-2%, server-cpu>+2%");
    assert!(better.rows.iter().any(|row| row.verdict == Verdict::Better));
}

#[test]
fn a_rule_fires_only_beyond_its_threshold() {
    let judged = |rule: &str| compare(&made(1, 1.0), &made(2, 1.1), &rules(&[rule])).unwrap();
    assert_eq!(judged("server-cpu>+3%").regressions.len(), 2);
    let within = judged("server-cpu>+20%");
    assert!(within.regressions.is_empty());
    assert!(within.rows.iter().any(|row| row.metric == "server-cpu" && row.verdict == Verdict::Worse));
}

#[test]
fn processors_lost_to_others_are_no_regression_of_the_server() {
    let mut starved = made(2, 1.0);
    for round in starved.cells.iter_mut().flat_map(|cell| &mut cell.rounds) {
        round.messages /= 2;
        round.client.cpu_s /= 2.0;
        round.client.messages = round.messages;
        let server = round.server.as_mut().unwrap();
        (server.cpu_s, server.messages) = (server.cpu_s / 2.0, round.messages);
    }
    let comparison = compare(&made(1, 1.0), &starved, &[]).unwrap();
    assert!(comparison.regressions.is_empty(), "{comparison}");
    assert!(comparison.notes[0].contains("% less busy than before"), "{comparison}");
}

#[test]
fn losses_are_compared_in_points() {
    let lossy = |share: f64| {
        let mut run = made(1, 1.0);
        for (at, round) in run.cells.iter_mut().flat_map(|cell| &mut cell.rounds).enumerate() {
            round.answered -= (round.requests as f64 * (share + 0.001 * (at % 3) as f64)) as u64;
        }
        run
    };
    let alarms = |share| compare(&lossy(0.0), &lossy(share), &rules(&["loss>+1%"])).unwrap().regressions.len();
    assert_eq!((alarms(0.0), alarms(0.009), alarms(0.03)), (0, 0, 2));
}

#[test]
fn runs_that_cannot_be_compared_are_refused_in_one_line() {
    let refused = |before: &Run, after: &Run, rules: &[Rule]| {
        let error = compare(before, after, rules).unwrap_err().to_string();
        assert!(error.starts_with("compare: ") && !error.contains('\n'), "{error}");
        error
    };
    let first = made(1, 1.0);
    let mut other = made(2, 1.0);
    (other.settings.threads, other.settings.pin, other.machine.cpus) = (2, vec![0, 1], 4);
    let error = refused(&first, &other, &[]);
    assert!(error.contains("threads 1 and 2, pin none and 0,1, processors 8 and 4; measure again alike"), "{error}");
    let other = run(Some(10.0), &[("tcp", rounds(1, 1.0))]);
    let error = refused(&first, &other, &[]);
    assert!(error.contains("before tcp at 64 B, 64 connections; unix") && error.contains("10 per second"), "{error}");
    let few = run(None, &[("tcp", rounds(1, 1.0)[..2].to_vec())]);
    assert!(refused(&first, &few, &[]).contains("ask for 10 (--rounds)"));
    let mut unseen = made(1, 1.0);
    unseen.cells.iter_mut().flat_map(|cell| &mut cell.rounds).for_each(|round| round.server = None);
    let error = refused(&unseen, &first, &rules(&["server-cpu>+5%"]));
    assert!(error.contains("rule server-cpu>+5%: no cell has server-cpu in both runs"), "{error}");
    assert!(compare(&unseen, &first, &[]).is_ok(), "the default rules do without");
}

#[test]
fn partial_runs_are_compared_by_what_they_have() {
    let mut partial = made(2, 1.0);
    partial.cells[1].rounds.truncate(2);
    partial.partial = vec!["unix: connection refused".to_owned()];
    let comparison = compare(&made(1, 1.0), &partial, &[]).unwrap();
    assert_eq!(comparison.notes, ["the second run is partial: unix: connection refused"]);
    assert!(comparison.sentence().ends_with("; 2 of 4 could not be judged for want of 3 rounds"), "{comparison}");
}
