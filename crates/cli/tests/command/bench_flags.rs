//! `swapwire bench`: flags that are wrong or contradict each other are told before anything is measured.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use crate::common::run;

/// Exit code 2, nothing on the standard output, and exactly these lines.
fn refused(args: &[&str], lines: &[&str]) {
    // It would take a day if it began.
    let duration: &[&str] = if args.iter().any(|arg| matches!(*arg, "-d" | "-n")) { &[] } else { &["-d", "24h"] };
    let said = run(&[&["bench"], args, duration].concat(), "");
    assert_eq!((said.code, said.text()), (Some(2), ""), "{args:?}: {said:?}");
    let told: Vec<_> = said.stderr.lines().collect();
    assert_eq!(told.len(), lines.len(), "{args:?}: {told:?}");
    for (told, line) in told.iter().zip(lines) {
        assert!(told.strip_prefix("swapwire: ").unwrap().starts_with(line), "{args:?}: {told:?} is not {line:?}");
    }
}

#[test]
fn contradictions() {
    for (args, line) in [
        (&["mem", "-n", "10", "--duration", "1s"][..], "--requests and --duration: only one of them can end a round"),
        (&["mem", "--find-max"], "--find-max needs --slo, the objective, as --slo p99=5ms"),
        (&["mem", "--find-max", "--slo", "p99=5ms", "--rate", "1k,2k"], "--find-max: at most one --rate"),
        (&["mem", "--find-max", "--slo", "p99=5ms", "-n", "10"], "--find-max: write --duration"),
        (
            &["mem", "--find-max", "--slo", "p99=5ms", "--rounds", "3"],
            "--find-max: the search chooses the number of rounds",
        ),
        (
            &["mem", "--rounds", "1k", "-c", "1,2,3,4,5"],
            "1000 rounds × 1 targets × 5 loads are 5000 measurements; 4096",
        ),
        (&["tcp://127.0.0.1:1", "--self"], "--self: write schemes alone, as tcp or unix"),
        (&["tcp://127.0.0.1:1", "unix"], "schemes and endpoints: measure either servers that are started here"),
        (&["tcp://127.0.0.1:1", "--handler", "echo"], "--handler: a server that runs already has its own"),
        (&["tcp://127.0.0.1:1", "--server-workers", "2"], "--server-workers: a server that runs already has its own"),
        (&["tcp://127.0.0.1:1", "--server-pin", "0"], "--server-pin: only a server that is started here"),
        (
            &["mem", "--server-pid", "1"],
            "--server-pid: leave it out; the processes of servers that are started here are known",
        ),
        (&["tcp://127.0.0.1:1", "udp://127.0.0.1:1", "--server-pid", "1"], "--server-pid: write one endpoint"),
        (&["tcp", "--pipeline", "2", "--expect", "any"], "tcp: where replies may have any length (expect any)"),
        (&["udp", "--size", "1M"], "udp: requests of 1048576 bytes are too large"),
        (&["mem", "-d", "0"], "a duration of 0 measures nothing"),
        (&["mem", "--timeout", "0"], "a timeout of 0 loses every request"),
        (&["mem", "-c", "2", "-t", "3"], "--threads 3: more than the 2 connections"),
        (
            &["mem", "--message", "a", "--message-file", "b"],
            "--message and --message-file: only one of them can be the contents",
        ),
        (&["mem", "--message", "a", "--size", "64"], "--size: --message and --message-file set the size"),
        (&["tcp://127.0.0.1:1", "--message", "a"], "--message: write --expect with the right reply, as echo"),
        (&["tcp://127.0.0.1:1", "--message-file", "Cargo.toml"], "--message-file: write --expect with the right reply"),
        (&["tcp", "--message", "a\\nb", "--framing", "lines"], "tcp: framing lines with requests of 3 bytes: "),
        (&["tcp", "--message", ""], "tcp: a request of 0 bytes cannot be seen on a byte stream; choose a framing"),
        (
            &["mem", "--source", "127.0.0.2"],
            "mem: its connections have no source address (--source); those of tcp and udp have",
        ),
        (&["mem", "--json", "-", "--csv", "/dev/stdout"], "write /dev/stdout: two outputs cannot go to one file"),
    ] {
        refused(args, &[line]);
    }
}

#[test]
fn what_does_not_exist() {
    for (args, line) in [
        (
            &["tpc"][..],
            "unknown scheme \"tpc\"; did you mean \"tcp\"? known: mem, mem-dgram, mem-seq, tcp, udp, unix, unix-dgram, unix-seq",
        ),
        (&["ws+udp"], "scheme \"ws+udp\": ws needs a byte stream"),
        (&["tls+ws+tls"], "scheme \"tls+ws+tls\": tls stands in it twice"),
        (&["tpc://h:1"], "bench tpc://h:1: unknown scheme \"tpc\"; did you mean \"tcp\"? known: mem, mem-dgram, "),
        (&["127.0.0.1"], "endpoint \"127.0.0.1\": no scheme; write for example tcp://127.0.0.1:8888"),
        (&["mem", "--handler", "ecco"], "unknown handler \"ecco\"; did you mean \"echo\"? known: chargen, chat, "),
        (&["mem", "--handler", "daytime"], "--handler daytime: write --expect with the right reply"),
        (&["mem", "--pin", "4096"], "--pin 4096: there is no processor 4096 for this process; it may use "),
        (&["mem", "--server-pin", "0-"], "--server-pin 0-: write processors as 1 or 0,2-3"),
        (&["tcp://127.0.0.1:1", "--server-pid", "4194999"], "--server-pid 4194999: there is no such process"),
        (&["mem", "--size", "file:/no/such"], "--size \"file:/no/such\": size \"file:/no/such\": read /no/such: "),
        (&["mem", "--message", "a\\q"], "--message: message \"a\\\\q\": escapes are \\n, \\r, \\t"),
        (&["mem", "--message-file", "/no/such"], "--message-file: message \"/no/such\": read it: No such file"),
        (&["tcp", "--source", "here"], "--source \"here\": write an IP address of this machine, as 127.0.0.2"),
        (&["mem", "--framing", "words"], "framing \"words\": write chunks, lines,"),
        (&["mem", "--expect", "upper"], "expect \"upper\": write uppercase, echo, any, bytes:N or regex:PATTERN"),
        (&["mem", "--slo", "fast"], "objective \"fast\": "),
        (&["mem", "--duration", "soon"], "invalid value 'soon' for '--duration <TIME>': write a time, as 500ms,"),
        (&["mem", "--requests", "1.5"], "invalid value '1.5' for '--requests <N>': write a whole number from 1 on"),
    ] {
        refused(args, &[line]);
    }
}

#[test]
fn every_problem_is_a_line_of_its_own() {
    let args =
        ["mem", "tpc", "--find-max", "--slo", "fast", "--size", "64,much", "-c", "0", "--rate", "1k,1k", "--pin", "x"];
    refused(
        &args,
        &[
            "--find-max: at most one --rate",
            "objective \"fast\": ",
            "--size \"much\": ",
            "--connections \"0\": write a whole number from 1 on",
            "--rate 1k,1k: \"1k\" is given twice",
            "--pin x: write processors as 1 or 0,2-3",
            "unknown scheme \"tpc\"",
        ],
    );
}

#[test]
fn more_connections_than_descriptors_are_refused_before_the_start() {
    use std::process::{Command, Stdio};
    let script = "ulimit -n 100; exec \"$0\" bench tcp -c 64 -d 24h";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_swapwire")]);
    let child = crate::common::start(shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let said = crate::common::finish(child);
    let line = "swapwire: --connections 64: that takes 128 descriptors, and this process may open 100; raise the hard \
                limit (ulimit -Hn)";
    assert_eq!((said.code, said.line()), (Some(2), line));
}
