//! HdrHistogram's interval log.

use std::time::{Duration, SystemTime};

use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, IntervalLogWriterError, Tag};
use hdrhistogram::serialization::{V2DeflateSerializeError, V2DeflateSerializer};

use crate::Run;

use super::content::loads::{Measured, measured};
use super::content::words;

/// The latencies of every round as HdrHistogram's
/// [interval log](https://docs.rs/hdrhistogram/latest/hdrhistogram/serialization/interval_log/), which its tools read: an
/// interval for each round of each cell, and for each probe of a search, in the order in which they were made. The tag is
/// the target, the load and the round, as `tcp:64:c64:p1:round1`; a rate stands before the round, as `r1000`. Values are
/// nanoseconds, the column of the largest milliseconds.
pub fn hlog(run: &Run) -> String {
    let mut bytes = Vec::new();
    // Cannot fail: it is written to memory, and histograms with less than 2^64 times can be encoded.
    let _ = write(run, &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn write(run: &Run, bytes: &mut Vec<u8>) -> Result<(), IntervalLogWriterError<V2DeflateSerializeError>> {
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder
        .add_comment(&format!(" {}: latencies in nanoseconds; Interval_Max in milliseconds", words::clean(&run.tool)));
    builder.with_max_value_divisor(1e6);
    if let Some(start) = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(run.started_unix_s)) {
        builder.with_start_time(start).with_base_time(start);
    }
    let mut log = builder.begin_log_with(bytes, &mut serializer)?;
    for measured in measured(run) {
        // What is no time, in a file that another program wrote, is 0.
        let [at, long] = [measured.round.at_s, measured.round.elapsed_s]
            .map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default());
        log.write_histogram(measured.round.latency.histogram(), at, long, Tag::new(&tag(run, &measured)))?;
    }
    Ok(())
}

/// Without spaces and commas, which end a tag.
fn tag(run: &Run, measured: &Measured<'_>) -> String {
    let load = &measured.load;
    let rate = load.rate_per_s.map_or_else(String::new, |rate| format!(":r{rate:.0}"));
    let tag = format!(
        "{}:{}:c{}:p{}{rate}:{}{}",
        words::name(run, measured.target),
        words::clean(&load.size),
        load.connections,
        load.pipeline,
        measured.kind,
        measured.number
    );
    tag.chars().map(|c| if c == ',' || c.is_whitespace() { '_' } else { c }).collect()
}
