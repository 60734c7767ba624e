//! Sessions, driven by a list of operations over a wire that does what a script says.
//!
//! What is checked: messages arrive and leave in order and whole, whatever is cancelled; `flush` and `shutdown` mean what
//! they say; nothing is written behind an error or the end; who waits is woken by the wire; a poll that moves nothing ends
//! soon; the queue and the heap stay within their bounds.

mod driver;
mod model;

use swapwire_core::{DrainToken, Framing, Link, Session, SessionConfig, SessionGuard, SessionReader, SessionWriter};

use self::driver::Driver;
use self::model::{Bounds, Model};
use super::decode::Rule;
use super::meter;
use super::source::Source;
use super::wire::{Served, Wire};

/// What is left of a session.
enum Parts {
    Whole(Session),
    Halves(Option<SessionReader>, Option<SessionWriter>),
    Gone,
}

/// A configuration, a script, operations, and what the peer sends.
pub fn session(data: &[u8]) {
    let mut source = Source::new(data);
    let (rule, lines) = rule(&mut source);
    let bounds = Bounds { max_message: source.limit().min(1 << 16), out_queue: source.limit().min(1 << 14) };
    let how = source.byte();
    // Some peers send much, where it makes few messages.
    let filler = usize::from(how >> 3) << if bounds.max_message < 1000 { 5 } else { 13 };
    let script_len = source.byte();
    let script = source.take(script_len.into());
    let count = source.below(48);
    let ops = source.take(2 * count);
    let mut input = source.rest().to_vec();
    input.resize(input.len() + filler, b'x');

    let wire = Wire::new(script, input);
    let token = DrainToken::new();
    let mut model = Model::new(wire.clone(), rule.clone(), lines, bounds);
    let driver = Driver::new(wire.clone());
    meter::reset();

    let whole = if lines { Framing::Lines } else { Framing::Chunks };
    let mut config = SessionConfig::framed(rule.as_ref().map_or(whole, Rule::framing));
    (config.max_message, config.out_queue) = (bounds.max_message, bounds.out_queue);
    config.draining = (how & 1 == 1).then(|| token.clone());
    let (served, info) = (Served(wire.clone()), Wire::info());
    let link = if rule.is_some() { Link::bytes(served, info) } else { Link::messages(served, info) };
    let session = Session::new(link, config);
    let guard = (how & 2 == 2).then(|| session.guard());
    let sender = session.sender();
    let mut parts = Parts::Whole(session);
    for op in ops.chunks(2) {
        let (op, detail) = (op[0], op.get(1).copied().unwrap_or(0));
        if op & 15 == 15 {
            token.begin();
            model.draining |= how & 1 == 1;
        }
        parts = model.step(&driver, parts, &sender, op, detail);
        model.check(sender.progress());
    }
    drop(parts);
    model.closed = true;
    assert!(sender.is_closed() && sender.try_send("late").is_err());
    finish(&driver, &mut model, guard);
    assert!(wire.state().dropped, "the wire outlives its session");
    model.check_heap(meter::peak());
}

/// Closes as a server does, until nothing more is to be done.
fn finish(driver: &Driver, model: &mut Model, guard: Option<SessionGuard>) {
    let Some(guard) = guard else { return };
    let wire = model.wire.clone();
    assert!(!wire.state().dropped || model.raw, "a guard keeps the wire");
    let closed = driver.finish(guard.close(1 << 16));
    let state = wire.state();
    if closed.is_ok() && !state.write_failed && !model.raw {
        assert_eq!((state.written, state.shut), (state.expected.len(), true), "closed before everything was written");
    } else {
        assert!(state.write_failed || state.flush_failed || state.read_failed || state.inbox.noise > 0 || model.raw);
    }
    drop(state);
    drop(guard);
}

/// How the wire is cut; `None` if it has boundaries of its own, and then whether messages lose the ends of lines.
fn rule(source: &mut Source<'_>) -> (Option<Rule>, bool) {
    let (kind, detail) = (source.byte(), source.byte());
    let rule = match kind % 6 {
        0 => return (None, detail & 1 == 1),
        1 => Some(Rule::Chunks),
        2 => Some(Rule::Lines),
        3 => Some(Rule::length(detail)),
        4 => Some(Rule::Delimited(if detail & 1 == 1 { b"\r\n".to_vec() } else { vec![detail; 2] })),
        _ => Some(Rule::Fixed(usize::from(detail).max(1))),
    };
    (rule, false)
}
