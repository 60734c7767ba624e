//! A histogram of times that can be written to JSON.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer as HdrDeserializer, Serializer as _, V2DeflateSerializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

/// What is shorter, counts as this long: 64 ns.
const SHORTEST: u64 = 64;
/// What is longer, counts as this long: ten minutes.
const LONGEST: u64 = 600_000_000_000;

/// Times in nanoseconds, three digits exact ([HdrHistogram](https://hdrhistogram.org)).
///
/// Memory: 16 KiB, and more the longer the longest time is: 100 KiB for milliseconds, 220 KiB at the most.
#[derive(Clone, PartialEq)]
pub struct Spectrum(Histogram<u64>);

impl Spectrum {
    /// Nothing yet.
    pub fn new() -> Self {
        #[allow(clippy::expect_used, reason = "the bounds are constants that a test tries")]
        let mut histogram = Histogram::new_with_bounds(SHORTEST, 2 * SHORTEST, 3).expect("the bounds are valid");
        histogram.auto(true);
        Self(histogram)
    }

    /// Counts one time.
    pub fn record(&mut self, time: Duration) {
        // Cannot fail: it grows.
        let _ = self.0.record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).min(LONGEST));
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        // Cannot fail: it grows.
        let _ = self.0.add(&other.0);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What `percent` of them do not exceed, in nanoseconds; 0 if there are none.
    pub fn percentile(&self, percent: f64) -> u64 {
        if percent >= 100.0 { self.max() } else { self.0.value_at_percentile(percent).min(self.max()) }
    }

    /// The shortest, in nanoseconds; 0 if there are none.
    pub fn min(&self) -> u64 {
        if self.is_empty() { 0 } else { self.0.min() }
    }

    /// The longest.
    pub fn max(&self) -> u64 {
        self.0.max()
    }

    /// The arithmetic mean.
    pub fn mean(&self) -> f64 {
        self.0.mean()
    }

    /// The histogram itself, for tools that know it.
    pub fn histogram(&self) -> &Histogram<u64> {
        &self.0
    }
}

impl Default for Spectrum {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Spectrum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99] = [50.0, 99.0].map(|percent| Duration::from_nanos(self.percentile(percent)));
        write!(
            f,
            "Spectrum({} times, p50 {p50:?}, p99 {p99:?}, max {:?})",
            self.count(),
            Duration::from_nanos(self.max())
        )
    }
}

/// The JSON form. `hdr` is what counts; the rest is there for people and simple tools.
#[derive(Serialize, Deserialize)]
struct Written {
    count: u64,
    min_ns: u64,
    mean_ns: f64,
    p50_ns: u64,
    p90_ns: u64,
    p99_ns: u64,
    #[serde(rename = "p99.9_ns")]
    p99_9_ns: u64,
    max_ns: u64,
    /// HdrHistogram's V2 encoding, deflated, in base64: what stands in an `.hlog`. Empty if there is nothing.
    hdr: String,
}

impl Serialize for Spectrum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        if !self.is_empty() {
            V2DeflateSerializer::new().serialize(&self.0, &mut bytes).map_err(ser::Error::custom)?;
        }
        let at = |percent| self.percentile(percent);
        Written {
            count: self.count(),
            min_ns: self.min(),
            mean_ns: self.mean(),
            p50_ns: at(50.0),
            p90_ns: at(90.0),
            p99_ns: at(99.0),
            p99_9_ns: at(99.9),
            max_ns: self.max(),
            hdr: BASE64_STANDARD.encode(bytes),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Spectrum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        let mut spectrum = Self::new();
        if !written.hdr.is_empty() {
            let bytes = BASE64_STANDARD.decode(&written.hdr).map_err(de::Error::custom)?;
            let read: Histogram<u64> =
                HdrDeserializer::new().deserialize(&mut bytes.as_slice()).map_err(de::Error::custom)?;
            spectrum.0.add(&read).map_err(de::Error::custom)?;
        }
        if spectrum.count() != written.count {
            return Err(de::Error::custom(format_args!(
                "a histogram of {} times that says it has {}",
                spectrum.count(),
                written.count
            )));
        }
        Ok(spectrum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_survives_json() {
        let mut spectrum = Spectrum::new();
        for micros in 1..=1000 {
            spectrum.record(Duration::from_micros(micros));
        }
        spectrum.record(Duration::from_secs(3600));
        let text = serde_json::to_string(&spectrum).unwrap();
        let read: Spectrum = serde_json::from_str(&text).unwrap();
        assert_eq!(read, spectrum);
        assert_eq!(read.count(), 1001);
        let p50 = read.percentile(50.0);
        assert!((500_000..=502_000).contains(&p50), "{p50}");
        assert!(read.max() > 599_000_000_000, "too long counts as the longest: {}", read.max());
        assert_eq!(
            serde_json::from_str::<Spectrum>(&serde_json::to_string(&Spectrum::new()).unwrap()).unwrap().count(),
            0
        );
    }

    #[test]
    fn a_count_that_does_not_fit_is_refused() {
        let mut spectrum = Spectrum::new();
        spectrum.record(Duration::from_millis(1));
        let text = serde_json::to_string(&spectrum).unwrap().replace("\"count\":1", "\"count\":2");
        let error = serde_json::from_str::<Spectrum>(&text).unwrap_err().to_string();
        assert!(error.contains("a histogram of 1 times that says it has 2"), "{error}");
    }
}
