//! A generator that is too slow says that it measured itself.

use swapwire_bench::{Conditions, Load, Run};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use crate::bench::{assert_flawless, echoes, load, plan, round, run};
use crate::servers::{self, Wire};

/// Answers each line with what costs nothing to make.
async fn answer_lines(wire: Box<dyn Wire>) {
    let reply = format!("é{}c\n", "ab".repeat(250));
    let (from, mut to) = tokio::io::split(wire);
    let mut requests = BufReader::new(from).lines();
    while let Ok(Some(_)) = requests.next_line().await {
        if to.write_all(reply.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Found at the very end of it, tried from every letter; and `\b` beside an `é` is what no automaton is built for. That is
/// 3.5 ms of work, 0.2 ms with optimization.
const COSTLY: &str = r"regex:(\b|[ab])[ab]{30}[cd]";

fn lines(expect: &str, requests: u64) -> Conditions {
    Conditions { framing: "lines".parse().unwrap(), expect: expect.parse().unwrap(), ..echoes(requests) }
}

/// Whether the client is named as the bottleneck; and whether, by the run's own figures, its lateness is more than a tenth
/// of what was measured.
pub(crate) fn blamed(run: &Run) -> (bool, bool) {
    let said =
        run.warnings.iter().any(|line| line.starts_with("THE CLIENT WAS THE BOTTLENECK: ") && line.contains(": it ("));
    let summary = run.cells[0].summary.as_ref().unwrap();
    let late = |percent| summary.lag.percentile(percent) as f64 > 0.1 * summary.latency.percentile(percent) as f64;
    (said, late(50.0) || late(99.0))
}

#[tokio::test]
async fn a_generator_with_costly_checks_blames_itself_and_not_the_server() {
    let endpoint = servers::tcp(answer_lines).await;
    let alone = round(plan(&endpoint, load("64"), lines(COSTLY, 50))).await;
    let each = alone.client.cpu_s / alone.client.messages as f64;

    // Twice as much as one thread can do. Of so many connections, each has its turn late because the others have work.
    let load = Load { connections: 64, pipeline: 64, rate: Some(2.0 / each), ..load("64") };
    let own = run(plan(&endpoint, load.clone(), lines(COSTLY, 512))).await.unwrap();
    assert_eq!(blamed(&own), (true, true), "{:?}", own.warnings);

    // The same server at the same rate, when replies are not looked at: it could do that.
    let any = run(plan(&endpoint, load, lines("any", 512))).await.unwrap();
    assert_flawless(&any.cells[0].rounds[0], 512, "any");
    let (said, late) = blamed(&any);
    assert_eq!(said, late, "{:?}", any.warnings);
}
