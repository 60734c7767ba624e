//! A server whose handler is slower than its requests come.

use std::fs;
use std::io::{Write as _, stdin, stdout};
use std::process::{Command, Stdio};
use std::time::Duration;

use swapwire::{Endpoint, Limits, handler_fn_async};

use super::real::Broker;
use super::real::asker::{Asker, Load};
use super::{asking_for_all, group, member};
use crate::common::{Running, lines, next, start};

/// Where the server of the test below is bound, in a process of its own, as its memory is looked at.
const ENDPOINT: &str = "SLOW_ENDPOINT";
/// What may wait, in bytes: the option `pending`.
const PENDING: usize = 1 << 20;
/// What may wait to be sent, twice.
const OUT: usize = 256 << 10;
/// The largest message.
const MESSAGE: usize = 16 << 10;
/// Calls at once.
const CALLS: usize = 16;

fn limits() -> Limits {
    Limits::default().max_waiting(CALLS).max_message(MESSAGE).max_reply(MESSAGE).max_peers(1).peer_bytes(PENDING)
}

/// No test: the slow server, until its standard input ends.
#[test]
#[ignore = "it is the other process of a test"]
fn the_slow_server() {
    let endpoint: Endpoint = std::env::var(ENDPOINT).expect("it is started by a test").parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let slow = handler_fn_async(|message| async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(message)
    });
    runtime.block_on(async {
        let server = swapwire::server().limits(limits()).listen(endpoint).handler(slow).bind().await.unwrap();
        let handle = server.handle();
        std::thread::spawn(move || {
            for line in stdin().lines().map_while(Result::ok) {
                assert_eq!(line, "numbers");
                writeln!(stdout(), "numbers {}", handle.prometheus().to_string().replace('\n', "\t")).unwrap();
            }
            handle.abort();
        });
        writeln!(stdout(), "listening").unwrap();
        server.run_until(std::future::pending()).await;
    });
}

fn resident(process: &Running) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

#[test]
fn a_slow_handler_costs_counted_requests_and_no_more_memory_than_the_formula_and_others_nothing() {
    let Some(broker) = Broker::start(&format!("max_payload: {MESSAGE}\n")) else {
        return;
    };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "broker::slow::the_slow_server", "--ignored", "--nocapture"]);
    command.env(ENDPOINT, format!("{}?queue=g&pending={PENDING}", broker.endpoint("slow")));
    let mut slow = start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
    let (mut stdin, said) = (slow.stdin.take().unwrap(), lines(slow.stdout.take().unwrap()));
    // The test program says its own words before it.
    while !next(&said).ends_with("listening") {}
    let idle = resident(&slow);

    let others = member(&group(&broker));
    let unharmed = asking_for_all(&broker);
    // 8 MiB at once, of which it may keep one, and has time for few.
    let load = Load::Closed { depth: 2000, requests: 2000 };
    let flood = Asker::start(&broker.address(), "slow", 4096, load, Duration::from_secs(1)).unwrap().join();
    unharmed.stop().assert_whole();
    others.stop();

    writeln!(stdin, "numbers").unwrap();
    let numbers = next(&said);
    let count = |metric: &str, label: &str| {
        let is_it = |line: &&str| line.starts_with(&format!("{metric}{{")) && line.contains(label);
        let number = numbers.split('\t').find(is_it).and_then(|line| line.rsplit(' ').next());
        number.unwrap_or_else(|| panic!("{metric}: {numbers}")).parse::<u64>().unwrap()
    };
    let dropped = count("swapwire_datagrams_dropped_total", "reason=\"overflow\"");
    let received = count("swapwire_messages_received_total", "");
    let sent = count("swapwire_messages_sent_total", "");
    assert!(dropped > 0 && received + dropped == 2000, "{received} received, {dropped} dropped: {flood:?}");
    // It answers what it took, though nobody waits any more.
    assert!(sent >= flood.wrong && sent <= received, "{sent} sent: {flood:?}");
    let formula = limits().socket_memory(MESSAGE, MESSAGE + 1, PENDING + 2 * OUT);
    let most = resident(&slow);
    assert!(most < idle + formula, "{idle} bytes, then {most}, and the formula allows {formula} more");
    drop(stdin);
    assert!(slow.wait().unwrap().success());
}
