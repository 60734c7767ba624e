//! What the judge has counted.

use std::time::Duration;

use clap::ValueEnum;
use serde_json::{Map, Value};

use crate::failures::Failures;
use crate::report::Report;
use crate::spread::Spread;

/// What a right server does not do. `README.md` says exactly what is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    /// A request without a reply
    Lost,
    /// A second reply to a request
    Duplicated,
    /// A reply to another client's request
    Crossed,
    /// A reply with wrong bytes, or bytes that are no reply
    Corrupt,
    /// A right reply after `--late`, or, to a datagram, after `--timeout`
    Late,
    /// A right reply behind that to a later request
    Reordered,
    /// A connection that ended within a reply
    Cut,
    /// A connection that the server reset
    Reset,
    /// A connection that the server closed while the client still wanted it
    Closed,
    /// A connection that could not be made
    Refused,
    /// In a drain, a connection that the server reset before its first reply, as if it had not been accepted
    TurnedAway,
}

const FAULTS: usize = Fault::TurnedAway as usize + 1;

/// Counters.
#[derive(Debug)]
pub(crate) struct Tally {
    faults: [u64; FAULTS],
    pub(crate) connections: u64,
    /// Requests whose last byte the system took.
    pub(crate) requests: u64,
    /// Right replies, the late and reordered ones as well.
    pub(crate) answered: u64,
    /// Requests without a reply when a connection ended in a drain, and not to be called lost.
    pub(crate) unanswered: u64,
    /// From when a request was made until its right reply had come.
    pub(crate) latency: Spread,
    /// Why connections could not be made.
    pub(crate) failures: Failures,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            faults: [0; FAULTS],
            connections: 0,
            requests: 0,
            answered: 0,
            unanswered: 0,
            latency: Spread::new(),
            failures: Failures::default(),
        }
    }

    pub(crate) fn add(&mut self, fault: Fault, count: u64) {
        self.faults[fault as usize] += count;
    }

    /// It came after all.
    pub(crate) fn not_lost(&mut self) {
        let lost = &mut self.faults[Fault::Lost as usize];
        *lost = lost.saturating_sub(1);
    }

    pub(crate) fn answered(&mut self, latency: Duration) {
        self.answered += 1;
        self.latency.add(latency);
    }

    /// Writes everything down; what is in `allowed` is no fault.
    pub(crate) fn report(&self, allowed: &[Fault], elapsed: Duration, report: &mut Report) {
        let Self { connections, requests, answered, unanswered, .. } = self;
        let rate = *answered as f64 / elapsed.as_secs_f64().max(1e-9);
        report.line(format!("{connections} connections, {requests} requests, {answered} answered, {rate:.0}/s"));
        let named =
            |fault: &Fault| fault.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned());
        let counts: Vec<_> = Fault::value_variants().iter().map(|fault| (fault, named(fault))).collect();
        let count = |fault: &Fault| self.faults[*fault as usize];
        let words: Vec<_> = counts.iter().map(|(fault, name)| format!("{name} {}", count(fault))).collect();
        report.line(format!("{}, unanswered {unanswered}", words.join(", ")));
        report.line(format!("latency {}", self.latency));
        if self.failures.total() > 0 {
            report.line(format!("connecting: {}", self.failures));
        }
        for (fault, name) in &counts {
            if count(fault) > 0 && !allowed.contains(fault) {
                report.fault(format!("{name} {}", count(fault)));
            }
        }
        if *answered == 0 {
            report.fault("no reply at all");
        }
        let object: Map<_, _> = counts.iter().map(|(fault, name)| (name.clone(), Value::from(count(fault)))).collect();
        report.set("counts", object);
        report.set("connections", *connections);
        report.set("requests", *requests);
        report.set("answered", *answered);
        report.set("unanswered", *unanswered);
        report.set("answered_per_s", rate);
        report.set("latency", self.latency.json());
        report.set("connect_failures", self.failures.json());
    }
}
