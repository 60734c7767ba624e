//! What a broker refuses, brokers that are none, and messages that do not fit: one clear line each, and no hang.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use super::real::Broker;
use super::{group, member};
use crate::common::{Said, connect, next, run};

const INFO: &str =
    "INFO {\"server_id\":\"A\",\"version\":\"2.9.10\",\"proto\":1,\"headers\":true,\"max_payload\":1048576}\r\n";

/// A broker that says `said` to everybody, and nothing more.
fn fake(said: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("nats://{}/upper?connect_timeout=300ms", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let _ = client.write_all(said.as_bytes());
            thread::spawn(move || client.read_to_end(&mut Vec::new()));
        }
    });
    endpoint
}

fn serve(endpoint: &str) -> Said {
    run(&["serve", "--workers", "1", endpoint], "")
}

#[test]
fn brokers_that_are_none_end_both_sides_with_one_line() {
    for (said, part) in [
        ("", "the broker had not taken this client after 300ms"),
        ("INFO {\"server_id\":", "the broker had not taken this client after 300ms"),
        (INFO, "the broker had not taken this client after 300ms"),
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "this is no NATS broker: it said \"HTTP/1.1 400 Bad Request\""),
        ("INFO rubbish\r\n", "INFO"),
    ] {
        let endpoint = fake(said);
        for done in [serve(&endpoint), connect(&endpoint, "hello\n")] {
            assert!(done.code == Some(1) && done.line().contains(part), "{said:?}: {done:?}");
        }
    }
}

#[test]
fn a_subject_that_permissions_deny_is_told() {
    let Some(broker) = Broker::start(
        "authorization { users: [{ user: a, password: b, permissions: { publish: \"x\", subscribe: \"_INBOX.>\" } }], }\nno_auth_user: a\n",
    ) else {
        return;
    };
    let done = serve(&group(&broker));
    let said = "Permissions Violation for Subscription to \"upper\"";
    assert!(done.code == Some(1) && done.line().contains(said), "{done:?}");
    let done = connect(&broker.endpoint("upper"), "hello\n");
    assert!(done.code == Some(1) && done.line().contains("Permissions Violation for Publish to \"upper\""), "{done:?}");
}

#[test]
fn a_request_that_nobody_answers_and_one_above_max_payload_are_told_at_once() {
    let Some(broker) = Broker::start("max_payload: 4096\n") else {
        return;
    };
    let done = connect(&broker.endpoint("upper"), "hello\n");
    assert!(done.code == Some(1) && done.line().contains("nobody answers the subject"), "{done:?}");
    let server = member(&group(&broker));
    let done = connect(&broker.endpoint("upper"), vec![b'x'; 5000]);
    assert!(done.code == Some(1) && done.line().contains("4096"), "{done:?}");
    let done = connect(&broker.endpoint("upper"), vec![b'x'; 4096]);
    assert_eq!(done.text().trim_end(), "X".repeat(4096));
    server.stop();
}

#[test]
fn a_reply_subject_that_is_longer_than_an_address_is_counted_and_told() {
    let Some(broker) = Broker::start("") else {
        return;
    };
    let server = member(&group(&broker));
    let mut stream = TcpStream::connect(broker.address()).unwrap();
    let long = "r".repeat(300);
    write!(stream, "CONNECT {{}}\r\nSUB ok 1\r\nPUB upper {long} 2\r\nhi\r\nPUB upper ok 2\r\nhi\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines();
    // Those behind it are answered.
    while lines.next().unwrap().unwrap() != "MSG ok 1 2" {}
    assert_eq!(lines.next().unwrap().unwrap(), "HI");
    let told = "a reply subject of 300 bytes is longer than an address of nats holds";
    while !next(&server.stderr).contains(told) {}
    let report = server.stop();
    assert!(report.contains("2 messages"), "{report}");
}

#[test]
fn a_broker_that_shuts_down_is_left_for_the_next() {
    let config = "lame_duck_duration: \"30s\"\nlame_duck_grace_period: \"10s\"\n";
    let (Some(old), Some(new)) = (Broker::start(config), Broker::start("")) else {
        return;
    };
    old.lame_duck();
    old.log.wait_for("Entering lame duck mode");
    let done = serve(&group(&old));
    assert!(done.code == Some(1) && done.line().contains(&old.address()), "{done:?}");
    let server = member(&format!("{}&servers={}", group(&old), new.address()));
    assert_eq!(connect(&new.endpoint("upper"), "hello\n").text(), "HELLO\n");
    server.stop();
}
