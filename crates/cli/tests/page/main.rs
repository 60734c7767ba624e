//! The pages of `swapwire serve` in a real browser: the chat's, and that of the admin endpoint. Where Chromium is missing, the tests say so and pass.

#![cfg(all(unix, feature = "ws"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../common/mod.rs"]
mod common;

mod admin;
mod browser;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{ChildStdin, Stdio};
use std::sync::mpsc::Receiver;

use browser::{Browser, Page};
use common::{Running, Serving, lines, next, start, swapwire};
use nix::sys::signal::Signal;
use serde_json::json;

/// Where the page is, as a server says when it starts.
fn url(server: &Serving) -> String {
    next(&server.stderr).strip_prefix("swapwire: the page is ").unwrap().to_owned()
}

/// Writes a message into the form of a page and presses the button.
fn say(text: &str) -> String {
    format!("document.querySelector('input').value = {}; document.querySelector('form button').click()", json!(text))
}

/// Whether a line of a page is this message of somebody else.
fn heard(text: &str) -> String {
    format!("lines().some(([kind, text]) => kind === 'other' && text === {})", json!(text))
}

/// A function that the conditions use: the kind, the text without the sender, and the sender of each line.
const LINES: &str = "globalThis.lines = () => [...document.querySelectorAll('#log li')]
    .map((line) => [line.className, line.lastChild.data, line.querySelector('b')?.textContent ?? '']);";

fn connected(browser: &mut Browser, url: &str) -> Page {
    let page = browser.open(url);
    browser.until(&page, "document.body?.dataset.state === 'connected'");
    browser.evaluate(&page, LINES);
    page
}

/// A client of the command in the room.
struct Member {
    _process: Running,
    input: ChildStdin,
    heard: Receiver<String>,
}

impl Member {
    fn join(endpoint: &str) -> Self {
        let mut process =
            start(swapwire(&["connect", endpoint]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()));
        let (input, heard) = (process.stdin.take().unwrap(), lines(process.stdout.take().unwrap()));
        Self { _process: process, input, heard }
    }

    fn say(&mut self, text: &str) {
        writeln!(self.input, "{text}").unwrap();
    }

    /// Waits for a message; those of others that come before it are read, too.
    fn hears(&self, text: &str) {
        while !next(&self.heard).ends_with(&format!(": {text}")) {}
    }
}

/// Two pages that know each other to be in the room: one repeats itself until the other has heard it.
fn two_pages(browser: &mut Browser, url: &str) -> (Page, Page) {
    let (ann, bob) = (connected(browser, url), connected(browser, url));
    browser.evaluate(&bob, &format!("globalThis.knocks = setInterval(() => {{ {} }}, 100), 0", say("knock")));
    browser.until(&ann, &heard("knock"));
    browser.evaluate(&bob, "clearInterval(knocks)");
    (ann, bob)
}

#[test]
fn pages_and_clients_of_two_wires_share_a_room() {
    let Some(mut browser) = Browser::start() else { return };
    let endpoints = ["ws://127.0.0.1:0", "tcp://127.0.0.1:0"];
    let server = Serving::start(2, &[&endpoints[..], &["--handler", "chat", "--page"]].concat());
    let (ann, bob) = two_pages(&mut browser, &url(&server));
    let (mut web, mut tcp) = (Member::join(&server.endpoints[0]), Member::join(&server.endpoints[1]));
    for (member, text) in [(&mut web, "I am at ws"), (&mut tcp, "I am at tcp")] {
        member.say(text);
        browser.until(&ann, &heard(text));
        browser.until(&bob, &heard(text));
    }
    web.hears("I am at tcp");

    // Text stays text, whatever it looks like, and whoever sends it.
    let text = "<img src=x onerror=alert(1)> <b>ä</b> 🎈 \u{202e}: right";
    browser.evaluate(&ann, &say(text));
    browser.until(&bob, &heard(text));
    web.hears(text);
    tcp.hears(text);
    tcp.say("<script>alert(2)</script>");
    browser.until(&ann, &heard("<script>alert(2)</script>"));
    for page in [&ann, &bob] {
        assert_eq!(browser.evaluate(page, "document.querySelectorAll('li img, li script').length"), 0);
        assert_eq!(browser.evaluate(page, "document.querySelectorAll('li b').length === lines().length"), true);
    }
    // Each message was heard once, and not by its sender.
    let count = |text: &str| format!("lines().filter((line) => line[1] === {}).map((line) => line[0])", json!(text));
    assert_eq!(browser.evaluate(&ann, &count(text)), json!(["own"]));
    assert_eq!(browser.evaluate(&bob, &count(text)), json!(["other"]));
    assert_eq!(browser.evaluate(&bob, &count("I am at tcp")), json!(["other"]));
    // Bytes that are no text are shown as far as they can be; the other client would print them as they are.
    drop(web);
    tcp.input.write_all(b"caf\xe9\n").unwrap();
    browser.until(&ann, &heard("caf\u{fffd}"));
    assert_eq!(browser.complaints(), [""; 0]);
    browser.close();
    drop(tcp);
    server.stop();
}

#[test]
fn a_page_says_how_its_connection_ended_and_connects_again() {
    let Some(mut browser) = Browser::start() else { return };
    let serve = |endpoint: &str| Serving::start(1, &[endpoint, "--handler", "chat", "--page"]);
    let server = serve("ws://127.0.0.1:0");
    let endpoint = server.endpoint().to_owned();
    let (ann, bob) = two_pages(&mut browser, &url(&server));
    server.signal(Signal::SIGTERM);
    let state = "document.getElementById('state').textContent";
    for page in [&ann, &bob] {
        browser.until(page, "document.body.dataset.state === 'ended'");
        assert_eq!(browser.evaluate(page, state), "○ Ended: code 1001: the server stops");
        assert_eq!(browser.evaluate(page, "document.querySelector('form button').disabled"), true);
    }
    let (code, stderr) = server.end();
    assert_eq!(code, Some(0), "{stderr:?}");

    // Nobody is there yet.
    let again = "document.getElementById('again').click()";
    browser.evaluate(&ann, again);
    browser.until(&ann, &format!("{state}.startsWith('○ Ended: code 1006')"));
    let server = serve(&endpoint);
    for page in [&ann, &bob] {
        browser.evaluate(page, again);
        browser.until(page, "document.body.dataset.state === 'connected'");
        assert_eq!(browser.evaluate(page, "document.getElementById('again').hidden"), true);
    }
    browser.close();
    server.stop();
}

#[test]
fn a_server_says_where_its_page_is() {
    const PAGE: &str = "<!doctype html><title>mine</title>";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    std::fs::write(&file, PAGE).unwrap();
    let socket = format!("ws:{}", folder.path().join("s").display());
    let page = format!("--page={}", file.display());
    let wires = ["ws://127.0.0.1:0/a%20b", &socket, "tcp://127.0.0.1:0", "wss://127.0.0.1:0?self_signed=true", &page];
    let server = Serving::start(4, &wires);
    let place = |index: usize| server.endpoints[index].split_once("://").unwrap().1.split(['/', '?']).next().unwrap();
    assert_eq!(url(&server), format!("http://{}/a%20b", place(0)));
    assert_eq!(url(&server), format!("https://{}/", place(3)));
    let mut stream = TcpStream::connect(place(0)).unwrap();
    stream.write_all(b"GET /a%20b HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with(PAGE), "{answer}");
    server.stop();
}
