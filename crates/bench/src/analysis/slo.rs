//! Objectives.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use swapwire_core::OptionValue;

use crate::analysis::{stats, words};
use crate::{Cell, Round, Run, Spectrum};

/// Objectives that must hold together: `p99=5ms`, `p99.9=10ms,loss=0.1%`.
///
/// An objective is a percentile (`p50`, `p99.9`), `max` or `mean` and the longest latency it may have (`5ms`, `200us`, `1s`),
/// or `loss` and the largest share of requests without a reply in time (`0.1%`; none, unless it is given). `<=` may be written
/// for `=`. Wrong replies and errors always miss. Where every request is the first of its connection, the latency is that
/// of first replies.
#[derive(Clone, Debug, PartialEq)]
pub struct Slo {
    /// In the order they were written.
    latencies: Vec<(Measure, Duration)>,
    /// A share of 1, where it was given.
    loss: Option<f64>,
}

/// What of a spectrum is bounded.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Measure {
    Percentile(f64),
    Max,
    Mean,
}

impl Measure {
    /// In nanoseconds.
    fn of(self, times: &Spectrum) -> f64 {
        match self {
            Self::Percentile(percent) => times.percentile(percent) as f64,
            Self::Max => times.max() as f64,
            Self::Mean => times.mean(),
        }
    }

    /// Whether it is never more than the other, whatever is measured.
    fn is_below(self, other: Self) -> bool {
        match (self, other) {
            (Self::Percentile(this), Self::Percentile(other)) => this < other,
            (Self::Percentile(_) | Self::Mean, Self::Max) => true,
            _ => false,
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percentile(percent) => write!(f, "p{percent}"),
            Self::Max => f.write_str("max"),
            Self::Mean => f.write_str("mean"),
        }
    }
}

/// A text that is no objective.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("objective {text:?}: {problem}")]
pub struct SloParseError {
    text: String,
    problem: String,
}

impl FromStr for Slo {
    type Err = SloParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut slo = Self { latencies: Vec::new(), loss: None };
        for part in text.split(',') {
            slo.add(part.trim()).map_err(|problem| SloParseError { text: text.to_owned(), problem })?;
        }
        Ok(slo)
    }
}

impl Slo {
    fn add(&mut self, part: &str) -> Result<(), String> {
        const HELP: &str = "write p99=5ms, max=20ms, mean=1ms or loss=0.1%, several with commas";
        let (name, limit) = part.split_once('=').ok_or(HELP)?;
        let (name, limit) = (name.trim_end_matches('<').trim(), limit.trim());
        let measure = match name {
            "loss" if self.loss.is_some() => return Err("loss is given twice: keep one".to_owned()),
            "loss" => {
                self.loss = Some(share(limit)?);
                return Ok(());
            }
            "max" => Measure::Max,
            "mean" => Measure::Mean,
            _ => {
                let percent: f64 = name.strip_prefix('p').and_then(|number| number.parse().ok()).ok_or(HELP)?;
                if !(percent > 0.0 && percent < 100.0) {
                    return Err("write a percentile above 0 and below 100, as p99.9, or max".to_owned());
                }
                Measure::Percentile(percent)
            }
        };
        let limit = Duration::parse_option(limit).map_err(|problem| format!("{measure}: {problem}"))?;
        if limit.is_zero() {
            return Err(format!("{measure}: no reply takes no time: write one above 0, as 5ms"));
        }
        for (other, its) in &self.latencies {
            if *other == measure {
                return Err(format!("{measure} is given twice: keep one of {its:?} and {limit:?}"));
            }
            let ((low, may), (high, at_most)) = if measure.is_below(*other) {
                ((measure, limit), (*other, *its))
            } else {
                ((*other, *its), (measure, limit))
            };
            if low.is_below(high) && may > at_most {
                return Err(format!(
                    "{low} is never above {high}, which may be {at_most:?}: leave {low}={may:?} out, or make it shorter"
                ));
            }
        }
        self.latencies.push((measure, limit));
        Ok(())
    }
}

fn share(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    match percent {
        Some(percent) if (0.0..100.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err("loss: write a share from 0% to below 100%, as 0.1%".to_owned()),
    }
}

impl fmt::Display for Slo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let latencies = self.latencies.iter().map(|(measure, limit)| format!("{measure}<={limit:?}"));
        // Sixteen digits would show that a share is not a decimal number.
        let loss = self.loss.map(|share| format!("loss<={}%", (share * 1e14).round() / 1e12));
        f.write_str(&latencies.chain(loss).collect::<Vec<_>>().join(","))
    }
}

impl Slo {
    /// What of it did not hold in a round, in words; `None` if all of it held.
    pub fn missed_by(&self, round: &Round) -> Option<String> {
        self.missed_in(std::slice::from_ref(round))
    }

    /// What of it did not hold, a line for each cell; empty if all of it held. A latency is the median over the cell's
    /// rounds, losses are those of all rounds together, and a cell without rounds has missed.
    pub fn missed(&self, run: &Run) -> Vec<String> {
        let line = |cell: &Cell| self.missed_in(&cell.rounds).map(|what| format!("{}: {what}", words::cell(run, cell)));
        run.cells.iter().filter_map(line).collect()
    }

    fn missed_in(&self, rounds: &[Round]) -> Option<String> {
        let sum = |part: fn(&Round) -> u64| rounds.iter().map(part).sum::<u64>();
        if sum(|round| round.answered) == 0 {
            return Some("nothing was answered".to_owned());
        }
        let mut missed = Vec::new();
        for (measure, limit) in &self.latencies {
            let times = rounds.iter().map(Round::times).filter(|times| !times.is_empty());
            let took = stats::median(&times.map(|times| measure.of(times)).collect::<Vec<_>>());
            if let Some(took) = took.filter(|took| *took > limit.as_nanos() as f64) {
                missed.push(format!("{measure}<={limit:?} missed with {}", words::time(took)));
            }
        }
        let loss = sum(Round::unanswered) as f64 / sum(|round| round.requests).max(1) as f64;
        let allowed = self.loss.unwrap_or(0.0);
        if loss > allowed {
            missed.push(format!("loss<={} missed with {}", words::percent(allowed), words::percent(loss)));
        }
        let wrong = sum(|round| round.faults.wrong);
        if wrong > 0 {
            missed.push(format!("wrong replies: {}", words::count(wrong as f64)));
        }
        let errors = sum(|round| round.faults.errors.values().sum());
        if errors > 0 {
            missed.push(format!("errors: {}", words::count(errors as f64)));
        }
        (!missed.is_empty()).then(|| missed.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::samples::{round, run, times};

    fn slo(text: &str) -> Slo {
        text.parse().unwrap()
    }

    #[test]
    fn objectives_are_read_and_written() {
        for (text, written) in [
            ("p99=5ms", "p99<=5ms"),
            ("p99.9=200us,loss=0.1%", "p99.9<=200µs,loss<=0.1%"),
            (" mean = 1ms , max=1.5s", "mean<=1ms,max<=1.5s"),
            ("loss=0.07%", "loss<=0.07%"),
            ("p50=1ms,p99=5ms,max=5ms", "p50<=1ms,p99<=5ms,max<=5ms"),
        ] {
            assert_eq!(slo(text).to_string(), written);
            assert_eq!(slo(written), slo(text), "what is written can be read");
        }
    }

    #[test]
    fn what_is_no_objective_is_refused_with_what_would_be_right() {
        for (text, right) in [
            ("", "write p99=5ms"),
            ("p99", "write p99=5ms"),
            ("p99=", "write a time"),
            ("p99=5 apples", "write a time"),
            ("p99=0ms", "write one above 0"),
            ("p100=5ms", "or max"),
            ("pnan=5ms", "or max"),
            ("q99=5ms", "write p99=5ms"),
            ("loss=1", "from 0% to below 100%"),
            ("loss=100%", "from 0% to below 100%"),
            ("loss=0%,loss=1%", "loss is given twice"),
            ("p99=5ms,p99=5ms", "p99 is given twice: keep one of 5ms and 5ms"),
            ("p99=5ms,p50=6ms", "p50 is never above p99, which may be 5ms: leave p50=6ms out, or make it shorter"),
            ("p50=6ms,p99=5ms", "p50 is never above p99, which may be 5ms: leave p50=6ms out, or make it shorter"),
            ("mean=6ms,max=5ms", "mean is never above max"),
        ] {
            let error = text.parse::<Slo>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("objective {text:?}: ")) && error.contains(right), "{error}");
        }
    }

    #[test]
    fn a_round_misses_by_latency_loss_wrong_replies_and_errors() {
        let good = round(1000);
        assert_eq!(slo("p99=2ms,max=2ms,mean=2ms").missed_by(&good), None);
        assert_eq!(slo("p99=900us,max=2ms").missed_by(&good).as_deref(), Some("p99<=900µs missed with 1 ms"));
        let mut lossy = good.clone();
        lossy.answered = 998;
        lossy.faults.lost = 2;
        assert_eq!(slo("p99=2ms").missed_by(&lossy).as_deref(), Some("loss<=0 % missed with 0.2 %"));
        assert_eq!(slo("p99=2ms,loss=0.2%").missed_by(&lossy), None);
        lossy.faults.wrong = 1;
        lossy.faults.errors.insert("connect: connection refused".to_owned(), 4);
        assert_eq!(slo("loss=0.2%").missed_by(&lossy).as_deref(), Some("wrong replies: 1, errors: 4"));
        let silent = Round { requests: 10, ..Round::default() };
        assert_eq!(slo("p99=2ms,loss=50%").missed_by(&silent).as_deref(), Some("nothing was answered"));
        let mut first_replies = good;
        first_replies.first_reply = std::mem::take(&mut first_replies.latency);
        assert!(slo("p99=900us").missed_by(&first_replies).is_some());
    }

    #[test]
    fn a_run_misses_by_the_middle_of_its_rounds() {
        let with = |micros: &[u64]| {
            let rounds: Vec<_> = micros.iter().map(|micros| Round { latency: times(*micros), ..round(1000) }).collect();
            slo("p99=5ms").missed(&run(None, &[("tcp", rounds), ("unix", vec![round(1000)])]))
        };
        assert!(with(&[1000, 1000, 9000]).is_empty(), "one bad round of three");
        assert_eq!(with(&[1000, 9000, 9000]), ["tcp at 64 B, 64 connections: p99<=5ms missed with 9 ms"]);
        assert_eq!(with(&[]), ["tcp at 64 B, 64 connections: nothing was answered"]);
    }
}
