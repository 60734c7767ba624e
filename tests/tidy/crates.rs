//! Which crate depends on which.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::ROOT;

/// The packages of the workspace, as cargo describes them.
pub(crate) fn packages() -> Vec<Value> {
    let args = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
    let output = Command::new(env!("CARGO")).args(args).current_dir(ROOT).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    serde_json::from_value(metadata["packages"].take()).unwrap()
}

/// The packages of the workspace, and on which of them each depends: name, kind.
fn arrows() -> BTreeMap<String, BTreeSet<(String, &'static str)>> {
    let packages = packages();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    let arrow = |dependency: &Value| {
        let kind = match dependency["kind"].as_str() {
            None => "normal",
            Some("dev") => "dev",
            Some(_) => "build",
        };
        (name(dependency), kind)
    };
    let arrows = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap().iter().map(arrow);
        all.filter(|(to, _)| ours.contains(to)).collect()
    };
    packages.iter().map(|package| (name(package), arrows(package))).collect()
}

/// Whether `from` may depend on `to`.
fn allowed(from: &str, to: &str, kind: &str) -> bool {
    let dev = kind == "dev";
    match (from, to) {
        // The facade joins all; the testkit and the load generator are for its tests and benches only.
        ("swapwire", "swapwire-testkit" | "swapwire-bench") => dev,
        ("swapwire", "swapwire-adv" | "swapwire-cli" | "swapwire-limit") => false,
        ("swapwire", _) => true,
        // What users copy is written as they write it, and what users read is tested as they have it.
        ("swapwire-template", to) => to == "swapwire" && kind == "normal",
        ("swapwire-guide", to) => dev && matches!(to, "swapwire" | "swapwire-testkit"),
        // The command depends on the facade and the load generator alone.
        ("swapwire-cli", to) => matches!(to, "swapwire" | "swapwire-bench"),
        // The adversary knows endpoints, and nothing else of ours: it must not share our mistakes.
        ("swapwire-adv", to) => to == "swapwire-core" && kind == "normal",
        ("swapwire-core", "swapwire-core") => false,
        ("swapwire-core", to) => dev && matches!(to, "swapwire-mem" | "swapwire-testkit"),
        // The transports whose messages have boundaries move many by one call of the system.
        ("swapwire-udp" | "swapwire-unix", "swapwire-mmsg") => kind == "normal",
        ("swapwire-tcp" | "swapwire-udp" | "swapwire-unix", "swapwire-socket") => kind == "normal",
        // The server is tried over a stack, and over frames of a wire.
        ("swapwire-server", "swapwire-stack" | "swapwire-ws") => dev,
        // What a layer is made of.
        ("swapwire-proxy" | "swapwire-tls" | "swapwire-ws", "swapwire-stack") => kind != "build",
        // The laws of layers have faults to find.
        ("swapwire-testkit", "swapwire-stack") => dev,
        // Everything else points to the core; in tests, to the memory network and the testkit as well.
        ("swapwire-socket", to) => to == "swapwire-core" && kind == "normal",
        (_, "swapwire-core") => kind != "build",
        (_, "swapwire-mem" | "swapwire-testkit") => dev,
        _ => false,
    }
}

#[test]
fn every_arrow_points_to_the_core() {
    let arrows = arrows();
    let expected = [
        "admin", "adv", "bench", "cli", "core", "handlers", "layers", "mem", "mmsg", "nats", "proxy", "server",
        "socket", "stack", "systemd", "tcp", "testkit", "tls", "udp", "unix", "ws",
    ]
    .map(|name| format!("swapwire-{name}"));
    for name in &expected {
        assert!(arrows.contains_key(name), "{name} is missing from {:?}", arrows.keys());
    }
    let mut wrong = Vec::new();
    for (from, dependencies) in &arrows {
        for (to, kind) in dependencies {
            if !allowed(from, to, kind) {
                wrong.push(format!("{from} -> {to} ({kind})"));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that point the wrong way: {}", wrong.join(", "));
}

#[test]
fn the_rules_for_arrows_refuse_what_they_should() {
    for (from, to, kind, expected) in [
        ("swapwire-admin", "swapwire-core", "normal", true),
        ("swapwire-admin", "swapwire-mem", "dev", true),
        ("swapwire-admin", "swapwire-server", "normal", false),
        ("swapwire-admin", "swapwire-tcp", "dev", false),
        ("swapwire-cli", "swapwire-admin", "normal", false),
        ("swapwire-server", "swapwire-admin", "dev", false),
        ("swapwire-tcp", "swapwire-core", "normal", true),
        ("swapwire-tcp", "swapwire-mem", "dev", true),
        ("swapwire-tcp", "swapwire-mem", "normal", false),
        ("swapwire-tcp", "swapwire-udp", "dev", false),
        ("swapwire-udp", "swapwire-mmsg", "normal", true),
        ("swapwire-unix", "swapwire-mmsg", "normal", true),
        ("swapwire-mmsg", "swapwire-core", "normal", true),
        ("swapwire-mmsg", "swapwire-udp", "dev", false),
        ("swapwire-tcp", "swapwire-mmsg", "normal", false),
        ("swapwire-socket", "swapwire-core", "normal", true),
        ("swapwire-socket", "swapwire-mem", "dev", false),
        ("swapwire-server", "swapwire-mmsg", "normal", false),
        ("swapwire-systemd", "swapwire-core", "normal", true),
        ("swapwire-systemd", "swapwire-tcp", "dev", false),
        ("swapwire-core", "swapwire-mmsg", "normal", false),
        ("swapwire-server", "swapwire-layers", "normal", false),
        ("swapwire-server", "swapwire", "dev", false),
        ("swapwire-layers", "swapwire-testkit", "normal", false),
        ("swapwire-core", "swapwire-tcp", "dev", false),
        ("swapwire-cli", "swapwire", "normal", true),
        ("swapwire-cli", "swapwire-bench", "normal", true),
        ("swapwire-cli", "swapwire-core", "normal", false),
        ("swapwire", "swapwire-limit", "dev", false),
        ("swapwire", "swapwire-adv", "dev", false),
        ("swapwire-adv", "swapwire-core", "normal", true),
        ("swapwire-adv", "swapwire-testkit", "dev", false),
        ("swapwire-server", "swapwire-adv", "dev", false),
        ("swapwire-bench", "swapwire-core", "normal", true),
        ("swapwire-bench", "swapwire-mem", "dev", true),
        ("swapwire-bench", "swapwire-server", "dev", false),
        ("swapwire-bench", "swapwire", "normal", false),
        ("swapwire", "swapwire-testkit", "normal", false),
        ("swapwire", "swapwire-bench", "normal", false),
    ] {
        assert_eq!(allowed(from, to, kind), expected, "{from} -> {to} ({kind})");
    }
}
