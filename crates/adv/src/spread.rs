//! How times are spread.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Times with percentiles, to three digits, from a microsecond to an hour.
#[derive(Clone, Debug)]
pub(crate) struct Spread(Histogram<u64>);

impl Spread {
    const LONGEST_US: u64 = 3_600_000_000;

    pub(crate) fn new() -> Self {
        Self(Histogram::new_with_bounds(1, Self::LONGEST_US, 3).expect("1 is below the longest, and 3 at most 5"))
    }

    pub(crate) fn add(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1));
    }

    pub(crate) fn len(&self) -> u64 {
        self.0.len()
    }

    pub(crate) fn min(&self) -> Duration {
        Duration::from_micros(self.0.min())
    }

    pub(crate) fn max(&self) -> Duration {
        Duration::from_micros(self.0.max())
    }

    /// In milliseconds; null without any.
    pub(crate) fn json(&self) -> Value {
        if self.0.is_empty() {
            return Value::Null;
        }
        let ms = |micros: u64| micros as f64 / 1e3;
        let at = |quantile| ms(self.0.value_at_quantile(quantile));
        json!({
            "count": self.0.len(), "min_ms": ms(self.0.min()), "p50_ms": at(0.5), "p90_ms": at(0.9), "p99_ms": at(0.99),
            "p999_ms": at(0.999), "max_ms": ms(self.0.max()),
        })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        let at = |quantile| Duration::from_micros(self.0.value_at_quantile(quantile));
        let (min, max) = (self.min(), self.max());
        write!(
            f,
            "min {min:?}, p50 {:?}, p90 {:?}, p99 {:?}, p99.9 {:?}, max {max:?}",
            at(0.5),
            at(0.9),
            at(0.99),
            at(0.999)
        )
    }
}
