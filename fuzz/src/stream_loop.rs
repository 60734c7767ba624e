//! The server's loop of one byte stream, over a wire that does what a script says, with a handler that does what it is
//! told by each message.
//!
//! What is checked: the replies are those of a loop that is too simple to be wrong, in order and whole; nothing is written
//! behind an error or the end; the loop does not spin; the heap stays within its bound.

mod handler;
mod once;

use swapwire::{Limits, Server, Snapshot};
use tokio::runtime::Builder;

use self::handler::{Obedient, Script};
use self::once::Once;
use super::decode::{Next, Rule};
use super::meter;
use super::source::Source;
use super::wire::Wire;

/// A configuration, a script, and what the peer sends.
pub fn stream_loop(data: &[u8]) {
    let mut source = Source::new(data);
    let rule = rule(&mut source);
    let at_once = source.flag();
    let bound = |source: &mut Source<'_>| source.limit().clamp(1, 1 << 18);
    let mut limits = Limits::default();
    (limits.max_message, limits.max_reply, limits.out_queue) =
        (bound(&mut source), bound(&mut source), bound(&mut source));
    if matches!(rule, Rule::Chunks) {
        limits.max_reply = limits.max_message;
    }
    // Some peers send much, where it makes few messages.
    let filler = usize::from(source.byte() >> 3) << if limits.max_message < 1000 { 3 } else { 13 };
    let script_len = source.byte();
    let script = source.take(script_len.into());
    let mut input = source.rest().to_vec();
    input.resize(input.len() + filler, b'x');

    let (expected, messages) = replies(&rule, &input, &limits, at_once);
    let most_calls = 64 + 4 * script.len() + 4 * messages + input.len() / 256;
    let wire = Wire::patient(script, input, expected);
    meter::reset();
    let Snapshot { messages: handled, panics, .. } = serve(&wire, &rule, &limits, at_once);
    // A panic of what is checked in the loop is caught there, but for a fuzzer's.
    assert_eq!(panics, 0, "what the wire or the handler found is told above");
    let (peak, most_bytes) = (meter::peak(), most_bytes(&limits, &rule));
    assert!(peak <= most_bytes, "{peak} bytes of the heap, of at most {most_bytes}: {rule:?}, {limits:?}");

    let state = wire.state();
    assert!(state.calls <= most_calls, "{} calls, of at most {most_calls}", state.calls);
    if !state.read_failed && !state.write_failed && !state.flush_failed {
        assert_eq!(state.written, state.expected.len(), "replies are missing");
        assert!(matches!(rule, Rule::Chunks) || handled == messages as u64, "{handled} messages of {messages}");
    }
}

fn rule(source: &mut Source<'_>) -> Rule {
    let (kind, detail) = (source.byte(), source.byte());
    match kind % 5 {
        0 => Rule::Chunks,
        1 => Rule::Lines,
        2 => Rule::length(detail),
        3 => Rule::Delimited(if detail & 1 == 1 { b"\r\n".to_vec() } else { vec![detail; 2] }),
        _ => Rule::Fixed(usize::from(detail).max(1)),
    }
}

/// Everything that is replied to `input`, and to how many messages.
fn replies(rule: &Rule, input: &[u8], limits: &Limits, at_once: bool) -> (Vec<u8>, usize) {
    let (mut out, mut at, mut count) = (Vec::new(), 0, 0);
    while let Next::Frame { message, consumed } = rule.next(&input[at..], limits.max_message, true) {
        let message = &input[at + message.start..at + message.end];
        at += consumed;
        count += 1;
        let script = Script::of(message, rule, at_once);
        if script.fails {
            break;
        }
        let mut used = 0;
        for reply in script.replies(message, limits.max_reply) {
            if used + reply.len() <= limits.max_reply && rule.encode(reply, limits.max_reply, &mut out) {
                used += reply.len();
            }
        }
        if script.closes {
            break;
        }
    }
    (out, count)
}

/// Serves the wire to its end.
fn serve(wire: &Wire, rule: &Rule, limits: &Limits, at_once: bool) -> Snapshot {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    let server = Server::builder()
        .transport(Once::new(wire.clone()))
        .listen("fuzz:wire")
        .framing(rule.framing())
        .limits(limits.clone())
        .handler(Obedient { rule: rule.clone(), at_once });
    runtime.block_on(async {
        let running = server.bind().await.expect("nothing is in the way").start();
        wire.dropped().await;
        running.snapshot()
    })
}

/// What `Limits` says of a session on a byte stream and of its thread, and what a server is without sessions.
fn most_bytes(limits: &Limits, rule: &Rule) -> usize {
    const SCRATCH: usize = (128 + 2 * 256) * 1024;
    const SERVER: usize = 64 * 1024;
    let frame = limits.max_message + rule.overhead();
    2 * (frame + limits.out_queue + limits.max_reply + 128 * 1024) + SCRATCH + SERVER
}
