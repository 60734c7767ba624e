use crate::analysis::samples::{load, round, run, times};
use crate::{Faults, Found, Probe, Round, Run};

fn rounds(messages: &[u64]) -> Vec<Round> {
    messages.iter().map(|messages| round(*messages)).collect()
}

fn evaluated(mut run: Run) -> Run {
    run.evaluate();
    // Whatever comes out, JSON can carry it.
    let text = serde_json::to_string(&run).unwrap();
    assert!(serde_json::from_str::<Run>(&text).is_ok());
    run
}

fn warning<'a>(run: &'a Run, start: &str) -> Option<&'a str> {
    run.warnings.iter().map(String::as_str).find(|line| line.starts_with(start))
}

#[test]
fn a_summary_is_the_middle_of_the_rounds_and_the_sum_of_their_parts() {
    let mut all = rounds(&[1000, 3000, 2000]);
    all[0].faults = Faults { lost: 2, duplicated: Some(1), ..Faults::default() };
    all[1].faults.errors.insert("connect: connection refused".to_owned(), 3);
    all[2].latency = times(3000);
    all[2].server.as_mut().unwrap().memory = Some(5 << 20);
    let run = evaluated(run(None, &[("tcp", all)]));
    let summary = run.cells[0].summary.as_ref().unwrap();
    assert_eq!(summary.messages_per_s.median, 2000.0);
    assert_eq!((summary.messages_per_s.min, summary.messages_per_s.max), (1000.0, 3000.0));
    assert_eq!(summary.bytes_per_s.median, 2000.0 * 128.0);
    let p50 = summary.latency_ns["p50"];
    assert!((p50.median / 1e6 - 1.0).abs() < 0.002 && (p50.max / 3e6 - 1.0).abs() < 0.002, "{p50:?}");
    assert_eq!(summary.latency_ns.keys().collect::<Vec<_>>(), ["max", "p50", "p90", "p99", "p99.9"]);
    assert_eq!(summary.latency.count(), 300);
    assert!((summary.client_cpu_ns.unwrap().median - 1000.0).abs() < 1e-6);
    assert!((summary.server_cpu_ns.unwrap().median - 2000.0).abs() < 1e-6);
    assert_eq!(summary.server_memory, Some(5 << 20));
    assert_eq!((summary.requests, summary.answered), (6000, 6000));
    assert_eq!((summary.faults.lost, summary.faults.duplicated, summary.faults.reordered), (2, Some(1), None));
    assert_eq!(summary.faults.errors["connect: connection refused"], 3);
}

#[test]
fn ratios_are_those_of_the_same_rounds() {
    // The machine halves its speed each round; the ratios do not care.
    let run = evaluated(run(None, &[("tcp", rounds(&[4000, 2000, 1000])), ("unix", rounds(&[6000, 3000, 1500]))]));
    let ratio = run.ratios.iter().find(|ratio| ratio.metric == "messages_per_s").unwrap();
    assert_eq!((ratio.target, ratio.over, ratio.value.median), (1, 0, 1.5));
    assert_eq!((ratio.value.low, ratio.value.high), (1.5, 1.5));
    let metrics: Vec<_> = run.ratios.iter().map(|ratio| ratio.metric.as_str()).collect();
    assert_eq!(metrics, ["messages_per_s", "p50", "p99", "server_cpu_ns"]);
    assert_eq!(run.conclusion, ["unix handles 1.50 times as many messages per second as tcp at 64 B, 64 connections"]);
}

#[test]
fn the_conclusion_names_the_best_first_and_knows_noise() {
    let first = [1000, 1010, 990, 1005, 995];
    let run = evaluated(run(
        None,
        &[
            ("tcp", rounds(&first)),
            ("udp", rounds(&[1010, 1000, 1000, 995, 1005])),
            ("unix", rounds(&first.map(|messages| messages * 142 / 100 + messages % 7))),
        ],
    ));
    assert_eq!(
        run.conclusion,
        [
            "unix handles 1.42 ± 0.003 times as many messages per second as tcp at 64 B, 64 connections",
            "udp handles as many messages per second as tcp, no different within the noise (1.01 ± 0.02), at 64 B, 64 \
             connections",
        ]
    );
}

#[test]
fn at_a_given_rate_it_is_the_latency_that_differs() {
    let mut fast = rounds(&[1000, 1000, 1000]);
    fast.iter_mut().for_each(|round| round.latency = times(500));
    let run = evaluated(run(Some(1000.0), &[("tcp", rounds(&[1000, 1000, 1000])), ("unix", fast)]));
    assert_eq!(
        run.conclusion,
        ["the p99 latency of unix is 0.50 times that of tcp at 64 B, 64 connections, 1,000 per second"]
    );
}

#[test]
fn one_target_and_partial_runs_have_conclusions_too() {
    let run = evaluated(run(None, &[("tcp", Vec::new()), ("unix", rounds(&[12_000, 12_000, 12_000]))]));
    assert_eq!(run.cells[0].summary, None);
    assert!(run.ratios.is_empty());
    assert_eq!(
        run.conclusion,
        [
            "unix handles 12,000 messages per second at 64 B, 64 connections: half of the replies come within 1 ms, 99 % within \
          1 ms"
        ]
    );
}

#[test]
fn searches_conclude_with_what_was_found() {
    let found = |rate: Option<f64>, limited_by: &str| Found {
        load: load(rate),
        slo: "p99<=5ms".to_owned(),
        limited_by: limited_by.to_owned(),
        probes: vec![Probe { rate_per_s: 1000.0, ..Probe::default() }],
        ..Found::default()
    };
    let mut run = run(None, &[("tcp", Vec::new())]);
    run.found = vec![found(Some(120_000.0), "client"), found(None, "objective")];
    let run = evaluated(run);
    assert_eq!(
        run.conclusion,
        [
            "tcp holds p99<=5ms up to 120,000 messages per second at 64 B, 64 connections (limited by the client, so it may \
             be more)",
            "tcp does not hold p99<=5ms at 64 B, 64 connections even at 1,000 per second (limited by the objective)",
        ]
    );
    assert!(warning(&run, "THE CLIENT WAS THE BOTTLENECK: the server may hold more").is_some(), "{:?}", run.warnings);
}

/// A run of one target whose generator and server were so busy.
fn busy(client: f64, server: f64, kind: &str, cpus: usize) -> Run {
    let mut rounds = rounds(&[1000, 1000, 1000]);
    for round in &mut rounds {
        round.client.busy = Some(client);
        round.server.as_mut().unwrap().cpu_s = server;
    }
    let mut run = run(None, &[("tcp", rounds)]);
    (run.targets[0].server, run.machine.cpus) = (kind.to_owned(), cpus);
    run
}

#[test]
fn a_busy_client_is_called_the_bottleneck_unless_the_server_was_busier() {
    let with = |client: f64, server: f64, kind: &str, cpus: usize, spin: bool| {
        let mut run = busy(client, server, kind, cpus);
        run.settings.spin = spin;
        evaluated(run).warnings.first().map(|line| line.split(':').next().unwrap().to_owned())
    };
    let bottleneck = Some("THE CLIENT WAS THE BOTTLENECK".to_owned());
    assert_eq!(with(0.94, 0.1, "process", 8, false), None);
    assert_eq!(with(0.98, 0.5, "process", 8, false), bottleneck);
    assert_eq!(with(0.98, 2.5, "process", 8, false), bottleneck, "it had processors left");
    assert_eq!(with(0.98, 1.0, "process", 8, false), Some("THE CLIENT MAY HAVE BEEN THE BOTTLENECK".to_owned()));
    assert_eq!(with(0.98, 0.95, "process", 2, false), Some("THE MACHINE WAS FULL".to_owned()));
    assert_eq!(with(0.98, 1.0, "same-process", 2, false), bottleneck, "its CPU time says nothing");
    assert_eq!(with(1.0, 0.1, "process", 8, true), None, "a client that polls is always busy");
}

#[test]
fn a_warning_says_nothing_that_cannot_be_done() {
    let warned = |change: fn(&mut Run), kind: &str, server: f64| {
        let mut run = busy(0.98, server, kind, 2);
        change(&mut run);
        evaluated(run).warnings.remove(0)
    };
    let elsewhere = |_: &mut Run| ();
    let own = |run: &mut Run| run.settings.handler = Some("echo".to_owned());
    let local = |run: &mut Run| run.targets[0].endpoint = "unix:/run/x.sock".to_owned();
    let machine = "another machine";
    assert!(
        warned(elsewhere, "process", 0.95).contains(machine) && warned(elsewhere, "elsewhere", 0.1).contains(machine)
    );
    for (change, why) in [(own as fn(&mut Run), "it is served by the run"), (local, "it ends at this machine")] {
        assert!(!warned(change, "process", 0.95).contains(machine), "{why}");
        assert!(!warned(change, "elsewhere", 0.1).contains(machine), "{why}");
    }
    assert!(warned(elsewhere, "elsewhere", 0.1).contains("--threads"));
    let all = |run: &mut Run| (run.settings.threads, run.settings.pin) = (2, vec![0, 1]);
    let one = |run: &mut Run| run.cells[0].load.connections = 1;
    for (change, why) in [(all as fn(&mut Run), "no processor is left"), (one, "one connection has one thread")] {
        assert!(!warned(change, "elsewhere", 0.1).contains("--threads"), "{why}");
    }
    assert!(!warned(all, "elsewhere", 0.1).contains("--pin"), "they are");
    let mut few = run(None, &[("tcp", rounds(&[5; 5]))]);
    few.settings.requests = Some(5);
    let few = evaluated(few).warnings.remove(0);
    assert!(few.contains("--requests") && !few.contains("--duration"), "{few}");
}

#[test]
fn each_cause_is_one_line_with_its_cells_and_a_full_machine_marks_its_findings() {
    let mut run = busy(0.98, 0.95, "process", 2);
    run.settings.handler = Some("echo".to_owned());
    for (at, name) in [(1, "unix"), (2, "udp")] {
        run.targets.push(crate::TargetInfo { name: name.to_owned(), ..run.targets[0].clone() });
        run.cells.push(crate::Cell { target: at, ..run.cells[0].clone() });
    }
    run.cells[2].rounds.iter_mut().for_each(|round| round.server.as_mut().unwrap().cpu_s = 0.1);
    let run = evaluated(run);
    assert_eq!(
        run.warnings,
        [
            "THE MACHINE WAS FULL: client and server took its 2 processors from each other, and the numbers are those of both, \
             good to compare wires with each other, and no limit of a server alone; at 64 B, 64 connections: tcp (1 thread of \
             the generator busy 98 %, the server 0.95 processors), unix (1 thread of the generator busy 98 %, the server 0.95 \
             processors)",
            "THE CLIENT WAS THE BOTTLENECK: the generator had no time to spare, and the server may do more; give the generator \
             more --threads, or --pin its threads; at 64 B, 64 connections: udp (1 thread of the generator busy 98 %)",
        ]
    );
    let marked = |line: &String| line.ends_with(" (on a full machine, which client and server shared)");
    assert!(run.conclusion.len() == 2 && run.conclusion.iter().all(marked), "{:?}", run.conclusion);
    let alone = evaluated(busy(0.98, 0.95, "process", 2)).conclusion.remove(0);
    assert!(alone.contains("64 connections (on a full machine, which client and server shared): half of"), "{alone}");
    let calm = evaluated(busy(0.5, 0.5, "process", 2)).conclusion.remove(0);
    assert!(!calm.contains("full machine"), "{calm}");
}

#[test]
fn a_late_generator_is_told_from_an_overloaded_server() {
    let with = |lag: u64, latency: u64, messages: u64| {
        let mut rounds = rounds(&[messages; 3]);
        for round in &mut rounds {
            (round.latency, round.lag) = (times(latency), times(lag));
        }
        evaluated(run(Some(1000.0), &[("tcp", rounds)])).warnings.first().cloned().unwrap_or_default()
    };
    assert_eq!(with(50, 1000, 1000), "", "5 % of the latency is no bottleneck");
    assert_eq!(with(3000, 100_000, 1000), "", "nor are 3 ms of 100");
    let late = with(900, 1000, 1000);
    assert!(late.starts_with("THE CLIENT WAS THE BOTTLENECK: the generator was late"), "{late}");
    assert!(late.contains("; at 64 B, 64 connections, 1,000 per second: tcp (late by 9"), "{late}");
    assert!(late.contains("--spin") && !late.contains("were answered"), "{late}");
    assert!(with(900, 1000, 900).contains("; 900 per second were answered)"));
    assert!(with(50, 90_000, 900).starts_with("overload: "));
}

#[test]
fn what_went_wrong_is_said() {
    let mut all = rounds(&[2000, 2000, 2000]);
    all[1].faults = Faults { wrong: 3, lost: 100, late: 40, broken: 97, server_drops: Some(500), ..Faults::default() };
    all[1].faults.errors.insert("connect: connection refused".to_owned(), 2);
    all[1].faults.errors.insert(crate::result::OUT_OF_PORTS.to_owned(), 7);
    all[1].answered = 1800;
    let run = evaluated(run(None, &[("tcp", all)]));
    assert_eq!(
        run.warnings,
        [
            "wrong replies, where echo was expected (--expect); at 64 B, 64 connections: tcp (3 of 6,000)",
            "loss: requests without a right reply in time; at 64 B, 64 connections: tcp (3.3 % of 6,000 requests: 100 without a \
             reply within the timeout, of which 40 came late (--timeout), 97 on connections that broke, 500 dropped by the system \
             at the server's sockets in the whole round, warm-up included (recv_buffer))",
            "NO LOCAL PORTS LEFT on the client's machine, which is no fault of the server: come from more addresses (--source), \
             or open fewer connections anew (--reconnect-every); at 64 B, 64 connections: tcp (7 times)",
            "errors; at 64 B, 64 connections: tcp (connect: connection refused × 2)",
        ]
    );
}

#[test]
fn rounds_that_do_not_agree_are_doubted() {
    let noisy = evaluated(run(None, &[("tcp", rounds(&[1000, 1400, 800, 1100, 1300]))]));
    let line = warning(&noisy, "noisy: ask for more rounds (--rounds), longer ones (--duration)").unwrap_or_default();
    assert!(line.contains("; at 64 B, 64 connections: tcp (messages per second ±"), "{:?}", noisy.warnings);
    assert!(warning(&noisy, "drift").is_none());
    let drifting = evaluated(run(None, &[("tcp", rounds(&[700, 1000, 1010, 990, 1005]))]));
    let line = warning(&drifting, "drift").unwrap_or_default();
    assert!(line.ends_with("at 64 B, 64 connections: tcp (700 per second, then 1,001 per second)"), "{line}");
    let few = evaluated(run(None, &[("tcp", rounds(&[5]))]));
    assert!(warning(&few, "1 round cannot tell").is_some() && warning(&few, "few messages in a round").is_some());
    let calm = evaluated(run(None, &[("tcp", rounds(&[1000, 1010, 990, 1005, 995]))]));
    assert!(calm.warnings.is_empty(), "{:?}", calm.warnings);
}

#[test]
fn rounds_in_which_nothing_came_do_no_harm() {
    let nothing = || vec![Round { requests: 5, ..Round::default() }; 3];
    let run = evaluated(run(None, &[("tcp", nothing()), ("unix", rounds(&[1000; 3])), ("udp", nothing())]));
    assert!(run.ratios.is_empty(), "{:?}", run.ratios);
    assert_eq!(run.cells[0].summary.as_ref().unwrap().messages_per_s.median, 0.0);
    assert_eq!(run.conclusion.len(), 3);
    let (before, mut again) = (run.clone(), run);
    again.evaluate();
    assert_eq!(again, before, "it can be called again");
}
