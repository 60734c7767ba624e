//! When a change is a regression.

use std::fmt;
use std::str::FromStr;

use super::metric::Metric;

/// When a change is a regression: `p99>+5%`, `throughput<-3%`, `server-cpu>+5%`.
///
/// Metrics: `throughput`, `p50`, `p90`, `p99`, `p99.9`, `max`, `client-cpu`, `server-cpu` (both per message), `memory` (the
/// server's) and `loss` (here the per cent are points of the share of requests lost: from 1 % to 3 % is +2 %). `throughput` is
/// worse when it falls, everything else when it rises.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub(super) metric: Metric,
    /// A share of 1, never negative.
    pub(super) most: f64,
}

/// A text that is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rule {text:?}: {problem}")]
pub struct RuleParseError {
    text: String,
    problem: String,
}

impl FromStr for Rule {
    type Err = RuleParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map_err(|problem| RuleParseError { text: text.to_owned(), problem })
    }
}

fn parse(text: &str) -> Result<Rule, String> {
    const HELP: &str = "write a metric and how much worse it may get, as p99>+5% or throughput<-3%";
    let at = text.find(['<', '>']).ok_or(HELP)?;
    let (name, rest) = (text[..at].trim(), &text[at + 1..]);
    let falls = text[at..].starts_with('<');
    let metric = Metric::ALL
        .into_iter()
        .find(|metric| metric.name() == name)
        .ok_or_else(|| format!("unknown metric {name:?}; known: {}", Metric::ALL.map(Metric::name).join(", ")))?;
    let number = rest.trim().strip_suffix('%').ok_or("write the change in per cent, as +5%")?.trim();
    // `+5` and `5` are the same after `>`, `-3` and `3` after `<`.
    let number = number.strip_prefix(if falls { '-' } else { '+' }).unwrap_or(number);
    let percent: f64 = number.parse().ok().filter(|percent| (0.0..=1e6).contains(percent)).ok_or(HELP)?;
    let rule = Rule { metric, most: percent / 100.0 };
    if falls != metric.is_worse_when_it_falls() {
        let when = if falls { "rises" } else { "falls" };
        return Err(format!("{name} is worse when it {when}: write {rule}"));
    }
    if falls && percent >= 100.0 {
        return Err("nothing falls by 100 % or more: write less".to_owned());
    }
    Ok(rule)
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.metric.is_worse_when_it_falls() { "<-" } else { ">+" };
        write!(f, "{}{sign}{}%", self.metric.name(), (self.most * 1e14).round() / 1e12)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_they_are_written() {
        for text in ["p99>+5%", "throughput<-3%", "server-cpu>+0.1%", "p99.9>+250%", "loss>+0%", "memory>+10%"] {
            assert_eq!(text.parse::<Rule>().unwrap().to_string(), text);
        }
        assert_eq!(" p50 > 5 % ".parse::<Rule>().unwrap().to_string(), "p50>+5%");
        assert_eq!("throughput<3%".parse::<Rule>().unwrap().to_string(), "throughput<-3%");
    }

    #[test]
    fn what_is_no_rule_is_refused_with_what_would_be_right() {
        for (text, right) in [
            ("", "write a metric"),
            ("p99", "write a metric"),
            ("p98>+5%", "unknown metric \"p98\"; known: throughput, p50"),
            ("p99>+5", "in per cent"),
            ("p99>-5%", "write a metric"),
            ("p99>+nan%", "write a metric"),
            ("p99<-5%", "p99 is worse when it rises: write p99>+5%"),
            ("throughput>+5%", "throughput is worse when it falls: write throughput<-5%"),
            ("throughput<-100%", "write less"),
        ] {
            let error = text.parse::<Rule>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("rule {text:?}: ")) && error.contains(right), "{error}");
        }
    }
}
