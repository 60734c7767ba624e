//! What `examples/operate` has for Prometheus. Where Debian's package `prometheus` is missing, the tests say so and pass.

use std::path::Path;
use std::process::{Command, Output};

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
