//! What `examples/operate` has for Prometheus. Where Debian's package `prometheus` is missing, the tests say so and pass.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::admin::admin_place;
use crate::common::{PATIENCE, Running, Serving, connect, finish, lines, next};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/operate");

/// `None` if there is no such program here.
fn promtool(args: &[&str]) -> Option<Output> {
    let ran = Command::new("promtool").args(args).current_dir(FOLDER).output();
    if ran.is_err() {
        eprintln!("skipped: no promtool on this machine");
    }
    ran.ok()
}

#[test]
fn alerts_fire_when_they_should_and_are_quiet_otherwise() {
    for args in [&["test", "rules", "alerts_test.yml"][..], &["check", "config", "prometheus.yml"]] {
        let Some(ran) = promtool(args) else { return };
        assert!(ran.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
    }
    let rules = std::fs::read_to_string(Path::new(FOLDER).join("alerts.yml")).unwrap();
    let tests = std::fs::read_to_string(Path::new(FOLDER).join("alerts_test.yml")).unwrap();
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert_eq!(alerts.len(), 4, "{alerts:?}");
    for alert in alerts {
        let expected = |what: &str| tests.contains(&format!("alertname: {alert}\n        exp_alerts:{what}"));
        assert!(expected(" []\n") && expected("\n"), "{alert} is not seen to fire and to be quiet");
    }
}

/// A Prometheus that scrapes one target.
struct Prometheus {
    _process: Running,
    place: String,
    _folder: TempDir,
}

impl Prometheus {
    /// `None` if there is none here.
    fn scrape(target: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let config = std::fs::read_to_string(Path::new(FOLDER).join("prometheus.yml")).unwrap();
        let config = config
            .replace("127.0.0.1:9090", target)
            .replace("scrape_interval: 15s", "scrape_interval: 200ms\n    scrape_timeout: 200ms");
        std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        std::fs::copy(Path::new(FOLDER).join("alerts.yml"), folder.path().join("alerts.yml")).unwrap();
        let mut command = Command::new("prometheus");
        command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address=127.0.0.1:0"]);
        command.current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::piped());
        let Ok(mut process) = Running::start(&mut command) else {
            eprintln!("skipped: no prometheus on this machine");
            return None;
        };
        let log = lines(process.stderr.take().unwrap());
        let mut place = None;
        loop {
            let line = next(&log);
            if let Some((_, told)) = line.split_once("msg=\"Listening on\" address=") {
                place = Some(told.to_owned());
            }
            if line.contains("Server is ready to receive web requests") {
                break;
            }
        }
        // It is read to its end: a full pipe would stop it.
        std::thread::spawn(move || log.iter().count());
        Some(Self { _process: process, place: place.unwrap(), _folder: folder })
    }

    /// What an expression gives now: the label of each series and its value.
    fn query(&self, expression: &str) -> Vec<(Value, f64)> {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let answer = get(&self.place, &format!("/api/v1/query?query={encoded}"));
        let answer: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        let series = answer["data"]["result"].as_array().unwrap().iter();
        series.map(|one| (one["metric"].clone(), one["value"][1].as_str().unwrap().parse().unwrap())).collect()
    }

    /// Asks until `is` what is wanted.
    fn until(&self, expression: &str, is: impl Fn(&[(Value, f64)]) -> bool) -> Vec<(Value, f64)> {
        let end = Instant::now() + PATIENCE;
        loop {
            let found = self.query(expression);
            if is(&found) {
                return found;
            }
            assert!(Instant::now() < end, "{expression}: {found:?}");
            // Nothing tells when the next sample is there.
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The whole answer of a server that closes behind it.
fn get(place: &str, path: &str) -> String {
    let mut io = TcpStream::connect(place).unwrap();
    io.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(io, "GET {path} HTTP/1.0\r\nHost: {place}\r\n\r\n").unwrap();
    let mut answer = String::new();
    io.read_to_string(&mut answer).unwrap();
    answer
}

/// Every expression of the dashboard, with its variables as Grafana would fill them in.
fn expressions() -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(FOLDER).join("dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let targets =
        dashboard["panels"].as_array().unwrap().iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let expressions: Vec<_> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    assert!(expressions.len() > 30, "{expressions:?}");
    let fill = |text: &str| {
        let text = text.replace("$__rate_interval", "1m").replace("$job", "swapwire");
        text.replace("$instance", ".*").replace("$listener", ".*")
    };
    expressions.into_iter().map(fill).collect()
}

#[test]
fn a_prometheus_scrapes_the_server_and_each_expression_of_the_dashboard_has_a_series() {
    let endpoints =
        ["tcp://127.0.0.1:0", "udp://127.0.0.1:0", "--handler", "echo", "--admin-listen", "tcp://127.0.0.1:0"];
    let server = Serving::start(2, &endpoints);
    let admin = admin_place(&server);
    let Some(prometheus) = Prometheus::scrape(&admin) else { return };
    // Rates need two samples.
    prometheus.until("count_over_time(up[10m])", |found| found.first().is_some_and(|(_, count)| *count >= 2.0));
    let said = connect(&server.endpoints[0], "one\ntwo\nthree\n");
    assert_eq!(said.code, Some(0), "{said:?}");
    for expression in expressions() {
        let found = prometheus.until(&expression, |found| !found.is_empty());
        assert!(found.iter().all(|(_, value)| !value.is_nan()), "{expression}: {found:?}");
    }
    // What it has is what was said.
    let sessions = "sum(swapwire_sessions_total{transport=\"tcp\"})";
    prometheus.until(sessions, |found| matches!(found, [(_, count)] if *count == 1.0));
    let received = "sum(swapwire_received_bytes_total{transport=\"tcp\"})";
    prometheus.until(received, |found| matches!(found, [(_, bytes)] if *bytes == 14.0));
    // As many scrapes as in a minute of one each second: none failed, and none of the alerts for a server that is well.
    prometheus.until("count_over_time(up[10m])", |found| found.iter().any(|(_, count)| *count >= 60.0));
    assert_eq!(prometheus.query("min_over_time(up[10m])").first().map(|(_, up)| *up), Some(1.0));
    assert_eq!(prometheus.query("ALERTS"), []);
    server.stop();
}

#[test]
fn promtool_finds_nothing_wrong_with_the_metrics() {
    let server = Serving::start(2, &["tcp://127.0.0.1:0", "udp://127.0.0.1:0", "--admin-listen", "tcp://127.0.0.1:0"]);
    let answer = get(&admin_place(&server), "/metrics");
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut process) = Running::start(&mut command) else {
        eprintln!("skipped: no promtool on this machine");
        return;
    };
    process.stdin.take().unwrap().write_all(answer.split_once("\r\n\r\n").unwrap().1.as_bytes()).unwrap();
    let said = finish(process);
    assert_eq!((said.code, said.text(), &*said.stderr), (Some(0), "", ""));
    server.stop();
}
