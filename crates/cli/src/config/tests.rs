use std::collections::BTreeSet;

use clap::Parser as _;

use super::tables::{Admin, LimitTable, Listen, Log, Server, Table as _};
use super::*;
use crate::cli::{Cli, Command, ServeArgs, command};

fn parse(text: &str) -> Result<Config, Vec<String>> {
    Config::parse("f", text.as_bytes())
}

fn args(args: &[&str]) -> ServeArgs {
    let Command::Serve(args) = Cli::parse_from([&["swapwire", "serve"], args].concat()).command else { unreachable!() };
    *args
}

/// What a command line says.
fn flags(given: &[&str]) -> Config {
    Config::gather(&args(given)).unwrap()
}

/// A file with every key.
const ALL: &str = r#"
[server]
workers = 2
drain_timeout = "5s"
drain_delay = 5
until_eof = true

[limits]
max_connections = 10_000
max_per_source = "none"
max_handshakes = "2k"
max_message = "64KiB"
max_reply = 0x10000
out_queue = 4096
frame_timeout = 30
write_timeout = "off"
idle_timeout = "5m"
handshake_timeout = "1.5s"
drain_grace = "1s"
max_peers = 7
max_unvalidated_peers = 3
peer_queue = 2
peer_bytes = "1MiB"
source_rate = "1.5k"
memory_budget = "256MiB"
max_waiting = 9
refuse = "try \"later\"\n\u007f"
allow_amplification = false

[log]
format = "json"
level = "info"

[admin]
listen = "tcp://127.0.0.1:9090"
expose = true
hosts = ["a.example", "b.example"]

[[listen]]
name = "front"
endpoint = "tcp://127.0.0.1:7000"
handler = "echo"
framing = 'delimiter:\r\n'

[[listen]]
endpoint = "ws://127.0.0.1:7001"
handler = "chat"
page = true
limits.max_message = "1KiB"
limits.refuse = ""

[[listen]]
endpoint = "ws://127.0.0.1:7002"
page = "page.html"
"#;

#[test]
fn what_is_printed_is_read_again() {
    let all = parse(ALL).unwrap();
    let missing = |keys: Vec<value::Key>, has: &dyn Fn(&str) -> bool| {
        keys.into_iter().map(|key| key.name).filter(|name| !has(name)).collect::<Vec<_>>()
    };
    assert_eq!(missing(Server::keys(), &|name| all.server.get(name).is_some()), [""; 0]);
    assert_eq!(missing(LimitTable::keys(), &|name| all.limits.get(name).is_some()), [""; 0]);
    assert_eq!(missing(Log::keys(), &|name| all.log.get(name).is_some()), [""; 0]);
    let admin = all.admin.clone().unwrap();
    assert_eq!(missing(Admin::keys(), &|name| admin.get(name).is_some()), [""; 0]);
    assert_eq!(admin.hosts.unwrap().text, "a.example,b.example");
    let listens = |name: &str| all.listen.iter().any(|listen| listen.get(name).is_some());
    assert_eq!(missing(Listen::keys(), &listens), [""; 0]);
    assert_eq!(parse(&all.to_string()).as_ref(), Ok(&all), "{all}");
    assert_eq!(all.limits.get("max_reply").unwrap().text, "65536");
    assert!(all.to_string().contains("limits.max_message = \"1KiB\"\nlimits.refuse = \"\"\n"), "{all}");
}

#[test]
fn a_command_line_is_printed_as_a_file_that_says_the_same() {
    for line in [
        &["tcp://127.0.0.1:0"][..],
        &["tcp://127.0.0.1:0", "unix:@a", "--handler", "echo", "--framing", "lines", "--workers", "1"],
        &[
            "mem:x",
            "--max-connections",
            "10k",
            "--max-message",
            "64KiB",
            "--idle-timeout",
            "0",
            "--drain-timeout",
            "none",
        ],
        &["mem:x", "--refuse", "--until-eof", "--allow-amplification", "--log", "info", "--log-format", "json"],
        &["mem:x", "--refuse=a \\ \"b\"\t\u{7f}\u{e9}", "--until-eof=false", "--source-rate", "200"],
        &["ws://127.0.0.1:0", "mem:x", "--handler", "chat", "--page"],
        &["ws://127.0.0.1:0", "mem:x", "--page=a b.html"],
        &["mem:x", "--admin-listen", "unix:@a?allow_uid=self", "--admin-expose=false", "--admin-hosts", "a, b"],
        &["mem:x", "--admin-expose", "--drain-delay", "1.5s"],
    ] {
        let config = flags(line);
        assert_eq!(parse(&config.to_string()).as_ref(), Ok(&config), "{line:?}: {config}");
    }
    let printed = flags(&["mem:x", "--max-connections", "10k", "--idle-timeout", "90s", "--drain-timeout", "none"]);
    let expected = "[server]\ndrain_timeout = \"none\"\n\n[limits]\nmax_connections = 10000\nidle_timeout = \"90s\"\n\n\
                    [[listen]]\nendpoint = \"mem:x\"\n";
    assert_eq!(printed.to_string(), expected);
}

#[test]
fn flags_win_over_the_file_in_every_listener() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("f");
    std::fs::write(&path, ALL).unwrap();
    let path = path.to_str().unwrap();
    assert_eq!(flags(&["--config", path]), parse(ALL).unwrap());
    let over = flags(&[
        "--config",
        path,
        "--handler",
        "discard",
        "--max-message",
        "3k",
        "--until-eof=false",
        "--page=other",
        "--drain-timeout",
        "1s",
    ]);
    for listen in &over.listen {
        assert_eq!(listen.handler.as_ref().unwrap().text, "discard");
        assert!(listen.limits.get("max_message").is_none());
    }
    let pages: Vec<_> = over.listen.iter().map(|listen| listen.page.as_ref().map(|page| &*page.text)).collect();
    assert_eq!(pages, [None, Some("other"), Some("other")]);
    assert_eq!(over.limits.get("max_message").unwrap().text, "3KiB");
    assert_eq!(over.limits.get("max_peers").unwrap().text, "7");
    let server = &over.server;
    let texts = [&server.workers, &server.drain_timeout, &server.until_eof].map(|value| &*value.as_ref().unwrap().text);
    assert_eq!(texts, ["2", "1s", "false"]);
}

#[test]
fn what_cannot_change_while_a_server_runs_is_told_by_name() {
    let running =
        parse("[server]\nworkers = 2\n[limits]\nmax_peers = 2\nmax_per_source = 3\n[[listen]]\nendpoint = \"mem:x\"");
    let running = running.unwrap();
    let listener = "[[listen]]\nname = \"a\"\nendpoint = \"mem:y\"\nlimits.max_per_source = 1";
    let changes = |text: &str| parse(&format!("{text}\n{listener}")).unwrap().lasting_changes(&running);
    let same = "[limits]\nmax_peers = 9\nmax_per_source = 3\n[server]\nworkers = 2";
    assert_eq!(changes(same), [""; 0]);
    let other = "[server]\nworkers = 3\nuntil_eof = true\n[limits]\nmax_connections = 1\nallow_amplification = true\n[log]\nlevel = \"info\"";
    let cannot = "cannot change while the server runs; start it anew";
    assert_eq!(
        changes(other),
        [
            format!("f:2:11: workers {cannot}"),
            format!("f:3:13: until_eof {cannot}"),
            format!("f:8:9: level {cannot}"),
            format!("f:5:19: max_connections {cannot}"),
            // It is not there any more.
            format!("max_per_source {cannot}"),
            format!("f:6:23: allow_amplification {cannot}"),
        ]
    );
}

/// The key of the file that says the same as a flag.
fn key_of(flag: &str) -> String {
    match flag {
        "log" => "level".to_owned(),
        "log-format" => "format".to_owned(),
        flag => flag.replace('-', "_"),
    }
}

#[test]
fn every_flag_has_a_key_of_its_name() {
    let keys = [Server::keys(), LimitTable::keys(), Log::keys(), Listen::keys()].concat();
    let admin = Admin::keys().into_iter().map(|key| format!("admin_{}", key.name));
    let keys: BTreeSet<_> = keys.into_iter().map(|key| key.name.to_owned()).chain(admin).collect();
    let (command, not_in_a_file) = (command(), ["check", "config", "help", "print-config", "print-schema"]);
    let flags = command.find_subcommand("serve").unwrap().get_arguments().filter_map(|arg| arg.get_long());
    for flag in flags.filter(|flag| !not_in_a_file.contains(flag)) {
        assert!(keys.contains(&key_of(flag)), "--{flag}");
    }
}

#[test]
fn mistakes_have_a_line_and_a_column() {
    let one = |text: &str| {
        let mut problems = parse(&format!("{text}\n[[listen]]\nendpoint = \"mem:x\"")).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems.remove(0)
    };
    for (text, problem) in [
        ("workers = 2", "f:1:1: unknown key \"workers\"; it is a key of [server]"),
        (
            "[sever]",
            "f:1:2: unknown table \"sever\"; did you mean \"server\"? known: server, limits, log, admin, listen",
        ),
        ("[server]\nworkers = []", "f:2:11: workers is an array; write a whole number, as 64 or \"10k\""),
        ("[server]\nworkers = 0", "f:2:11: workers=0: write a whole number from 1 on, as 64, 10k or 1.5M"),
        ("[server]\nworkers = -1", "f:2:11: workers=-1: write a whole number from 1 on, as 64, 10k or 1.5M"),
        (
            "[server]\nworkers = 1.5",
            "f:2:11: workers is a number with a fraction; write a whole number, as 64 or \"10k\"",
        ),
        ("[server]\nuntil_eof = \"yes\"", "f:2:13: until_eof is a text; write true or false"),
        (
            "[server]\ndrain_timeout = 1979-05-27",
            "f:2:17: drain_timeout is a date or a time of day; write a time, as \"30s\"",
        ),
        (
            "[server]\n  drain_timeout = 'soon'",
            "f:2:19: drain_timeout=soon: write a time, as 500ms, 30s, 5m or 1h, or none",
        ),
        (
            "[limits]\ndrain_timeout = \"1s\"",
            "f:2:1: unknown key \"drain_timeout\" in [limits]; it is a key of [server]",
        ),
        ("[limits]\nmax_message = true", "f:2:15: max_message is a boolean; write a size, as \"64KiB\""),
        ("[limits]\nmax_message = 0", "f:2:15: max_message must be at least 1"),
        (
            "[limits]\n\n# ü\nmax_message = \"bïg\"",
            "f:4:15: max_message=bïg: write a number of bytes, as 65536, 64k or 1MiB",
        ),
        ("[limits]\nidle_timeout = {}", "f:2:16: idle_timeout is a table; write a time, as \"30s\""),
        ("[limits]\nrefuse = 3", "f:2:10: refuse is a whole number; write a text in quotes"),
        ("[log]\nformat = \"xml\"", "f:2:10: format \"xml\"; write \"text\" or \"json\""),
        ("log = 3", "f:1:7: a whole number instead of a table; write [log]"),
        ("[[server]]\nworkers = 1", "f:1:1: an array instead of a table; write [server]"),
        ("[server]\nworkers = 1\nworkers = 2", "f:3:1: duplicate key"),
        ("[server\nworkers = 1", "f:1:8: unclosed table, expected `]`"),
        ("[log]\nlevel = \"info", "f:2:14: invalid basic string, expected `\"`"),
    ] {
        assert_eq!(one(text), problem, "{text}");
    }
    let long = one("[server]\n\u{202e}x\\u001b = 1");
    assert!(!long.contains(['\u{202e}', '\u{1b}']), "{long}");
}

#[test]
fn mistakes_of_listeners_have_a_line_and_a_column() {
    let all = |text: &str| parse(text).unwrap_err();
    assert_eq!(all(""), ["f: no [[listen]]; write one with an endpoint"]);
    assert_eq!(all("listen = 3"), ["f:1:10: listen is a whole number; write [[listen]]"]);
    assert_eq!(all("listen = [3]"), ["f:1:11: listen has a whole number; write [[listen]]"]);
    assert_eq!(all("[listen]\nendpoint = \"mem:x\""), ["f:1:1: listen is a table; write [[listen]]"]);
    let problems = all("[[listen]]\nhandeler = \"echo\"\nmax_message = 1\nlimits.max_connections = 2\nworkers = 1\n\
                        [[listen]]\nendpoint = 3\npage = false\nlimits = 3\n");
    assert_eq!(
        problems,
        [
            "f:1:1: [[listen]] has no endpoint; write endpoint = \"tcp://127.0.0.1:8888\"",
            "f:2:1: unknown key \"handeler\" in [[listen]]; did you mean \"handler\"? known: name, endpoint, handler, framing, \
             page, limits",
            "f:3:1: unknown key \"max_message\" in [[listen]]; write limits.max_message",
            "f:4:8: unknown key \"max_connections\" in limits of [[listen]]; it is a key of [limits]",
            "f:5:1: unknown key \"workers\" in [[listen]]; it is a key of [server]",
            "f:7:12: endpoint is a whole number; write a text in quotes",
            "f:8:8: page is a boolean; write a path in quotes, or true",
            "f:9:10: limits is a whole number; write limits.NAME = VALUE",
        ]
    );
    let many = all(&"[[listen]]\n".repeat(30));
    assert_eq!((many.len(), &*many[20]), (21, "f: 10 more mistakes"));
}

#[test]
fn what_is_no_text_and_what_is_no_file_is_told() {
    assert_eq!(Config::parse("f", b"a = 1\n  \xff").unwrap_err(), ["f:2:3: no text in UTF-8"]);
    let read = |path: &str| Config::read(path.as_ref()).unwrap_err().join("\n");
    assert_eq!(read("/nowhere/x.toml"), "read /nowhere/x.toml: No such file or directory");
    assert_eq!(read("/"), "read /: Is a directory");
    assert_eq!(read("/dev/zero"), "read /dev/zero: longer than 1048576 bytes, the most of a configuration");
    // As deep as it gets.
    let deep = format!("a = {}", "[".repeat(100_000));
    assert_eq!(Config::parse("f", deep.as_bytes()).unwrap_err().len(), 1);
    // With a mark of its encoding, and with the line ends of other systems.
    assert!(Config::parse("f", "\u{feff}[[listen]]\r\nendpoint = \"mem:x\"\r\n".as_bytes()).is_ok());
}

#[test]
fn an_empty_table_switches_the_admin_endpoint_on() {
    let config = parse("[admin]\n[[listen]]\nendpoint = \"mem:x\"\n").unwrap();
    assert_eq!(config.admin, Some(Admin::default()));
    assert_eq!(parse(&config.to_string()), Ok(config));
    assert_eq!(parse("[[listen]]\nendpoint = \"mem:x\"\n").unwrap().admin, None);
    for (line, told) in [
        ("hosts = \"a\"", "f:2:9: hosts is a text; write an array of texts, as [\"a.example\", \"b.example\"]"),
        ("hosts = [1]", "f:2:9: hosts has a whole number; write an array of texts, as [\"a.example\", \"b.example\"]"),
        ("hosts = [\"a,b\"]", "f:2:9: hosts has a text; write an array of texts, as [\"a.example\", \"b.example\"]"),
        ("expose = 1", "f:2:10: expose is a whole number; write true or false"),
        ("host = []", "f:2:1: unknown key \"host\" in [admin]; did you mean \"hosts\"? known: listen, expose, hosts"),
    ] {
        let text = format!("[admin]\n{line}\n[[listen]]\nendpoint = \"mem:x\"\n");
        assert_eq!(parse(&text), Err(vec![told.to_owned()]), "{line}");
    }
}
