//! What a message may cost. The gate is red above `MARGIN` times what was measured here.

use gungraun::{Callgrind, EventKind, LibraryBenchmarkConfig};

use super::MESSAGES;

/// Counts move by less than 0.1 % from run to run, and by 1 % or so with a compiler's new mind.
const MARGIN: f64 = 1.025;

/// Instructions per message, as measured. `scripts/instructions --renew` measures anew and writes this table; do it when a
/// change that is wanted costs more, and when one made something cheaper, or the gate is open by as much.
const MEASURED: &[(&str, f64)] = &[
    ("framing lines", 301.6),
    ("framing length", 321.9),
    ("stream chunks_1", 3_416.0),
    ("stream lines_16", 949.9),
    ("stream waits_16", 1_342.1),
    ("stream session_16", 1_621.8),
    ("messages echo_16", 2_711.8),
    ("messages session_16", 3_249.0),
    ("datagrams echo_32", 2_764.0),
    ("datagrams waits_32", 5_926.0),
    ("datagrams session_32", 5_612.6),
    ("socket echo_32", 526.3),
    ("socket waits_32", 3_692.5),
];

/// The gate of one bench.
pub fn limit(bench: &str) -> LibraryBenchmarkConfig {
    let mut callgrind = Callgrind::default();
    // The script measures what is not in the table yet.
    if let Some((_, each)) = MEASURED.iter().find(|(name, _)| *name == bench) {
        let most = (each * MESSAGES as f64 * MARGIN).ceil() as u64;
        callgrind.hard_limits([(EventKind::Ir, most)]);
    }
    // Without a simulated cache: instructions alone, and faster.
    callgrind.args(["--cache-sim=no"]);
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(callgrind);
    config
}
