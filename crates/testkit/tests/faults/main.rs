//! A suite that cannot fail is worthless: transports with one fault each, and the law that must find it.

mod batches;
mod bytes;
mod group;
mod listener;
mod messages;
mod socket;
mod stack;
mod toy;
mod transport;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use swapwire_core::{Compose, Registry};
use swapwire_mem::MemNetwork;
use swapwire_stack::WithLayer as _;
use swapwire_testkit::{LAWS, Report, Suite, Verdict};

use toy::Toy;
use transport::Faulty;

/// What is wrong with a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    // Of a byte stream.
    DiesOfBadInput,
    EndsAtAShortRead,
    EndsInAReset,
    FlipsABit,
    ForgetsToWake,
    Hoards,
    LosesTheTail,
    ShutdownDoesNothing,
    SurvivesItsDrop,
    SwallowsWritesToTheDead,
    // Of a message stream.
    ClaimsTheWholeBatch,
    DropsEmptyMessages,
    LosesTheEndOfABatch,
    LosesWhatItTook,
    OversizeIsFatal,
    SwapsTwoMessages,
    TruncatesMessages,
    // Of a listener.
    AcceptLosesWhenCancelled,
    DropKillsSessions,
    FailsOnceItRefuses,
    HandshakesInAccept,
    LocalIsElsewhere,
    LoopsOnceItRefuses,
    OneAtATime,
    PeerIsMadeUp,
    RefusesThoseWhoWait,
    RegistersInBind,
    SpinsOnceItRefuses,
    // Of a group.
    MembersAreDeaf,
    MembersAreElsewhere,
    // Of a datagram socket.
    AnswersTheWrongPeer,
    BlocksOnAFullPeer,
    DiesOfADeadPeer,
    FlushesTooSoon,
    GivesBehindTheLast,
    LosesDatagrams,
    LosesWhatWasUnderWay,
    MixesUpABatch,
    TruncatesDatagrams,
    // Of the transport itself.
    AnonymousRefusal,
    BindsWhenDropped,
    BindsOnce,
    BindsTwice,
    ConnectsEagerly,
    ConnectsToGhosts,
    DocumentsAGhost,
    IgnoresOptions,
    KeepsTheName,
    LeaksDescriptors,
    LiesAboutItsShape,
    Panics,
    // Of a layer.
    ForgetsThePeer,
    ReadsTooFar,
    SaysGoodbyeAtDrop,
    SaysNoGoodbye,
    TakesACutForTheEnd,
    WaitsForAFlush,
    WantsOnePiece,
    // Of a stack.
    BindsOneMember,
    ConnectsWithoutABound,
    HidesNews,
    HidesReloads,
    HidesTheClassOfErrors,
    HidesTheQueue,
    HidesTheRefusal,
    IgnoresReloads,
}

const COMPOSE: [Compose; stack::FAULTS.len()] = [
    stack::compose::<0>,
    stack::compose::<1>,
    stack::compose::<2>,
    stack::compose::<3>,
    stack::compose::<4>,
    stack::compose::<5>,
    stack::compose::<6>,
    stack::compose::<7>,
];

async fn report(fault: Fault, scheme: &'static str, law: Option<&str>, case_timeout: Duration) -> Report {
    let names = AtomicUsize::new(0);
    let fresh = move || format!("{scheme}:test-{}", names.fetch_add(1, Relaxed)).parse().expect("an endpoint");
    let mut registry = Registry::new().with(Faulty::new(MemNetwork::new(), fault)).with_layer(Toy(fault));
    if let Some(of_stack) = stack::FAULTS.iter().position(|of_stack| *of_stack == fault) {
        registry.register_layer(Arc::new(Toy(fault)), COMPOSE[of_stack]);
    }
    let suite = Suite::new(registry, fresh).case_timeout(case_timeout);
    match law {
        Some(law) => suite.only(law).report().await,
        None => suite.report().await,
    }
}

/// What a law that waits for ever says in the end.
const HANGS: &str = "not done within";

const FOUND: &[(Fault, &str, &str, &str)] = &[
    (Fault::DiesOfBadInput, "mem", "errors_stay_apart", "flush after a receive that failed"),
    (Fault::EndsAtAShortRead, "mem", "framing_slices", "the session ended before message 0"),
    (Fault::FlipsABit, "mem", "bulk", "differ from byte 500000 on"),
    (Fault::ForgetsToWake, "mem", "ping_pong", HANGS),
    (Fault::Hoards, "mem", "slow_reader", "bytes were taken for a peer that reads nothing"),
    (Fault::LosesTheTail, "mem", "close_flushes", "the session ended where a message was due"),
    (Fault::ShutdownDoesNothing, "mem", "half_close", HANGS),
    (Fault::ShutdownDoesNothing, "mem-seq", "half_close", HANGS),
    (Fault::SurvivesItsDrop, "mem", "close_wakes_recv", HANGS),
    (Fault::SurvivesItsDrop, "mem", "close_wakes_send", HANGS),
    (Fault::SwallowsWritesToTheDead, "mem", "close_wakes_send", "bytes were taken for an end that was dropped"),
    (Fault::ClaimsTheWholeBatch, "mem-seq", "batched_send", "a message of 1048577 bytes in a batch was sent"),
    (Fault::DropsEmptyMessages, "mem-seq", "boundaries", "message 1 came where message 0 was due"),
    (Fault::LosesTheEndOfABatch, "mem-dgram", "batched_recv", "came where message"),
    (Fault::LosesTheEndOfABatch, "mem-seq", "batched_recv", "came where message"),
    (Fault::LosesWhatItTook, "mem-seq", "cancelled_recv", "came as"),
    (Fault::OversizeIsFatal, "mem-seq", "too_large", "answers one more with"),
    (Fault::SwapsTwoMessages, "mem-seq", "in_order", "came where message"),
    (Fault::SwapsTwoMessages, "mem-seq", "bulk", "came where message"),
    (Fault::TruncatesMessages, "mem-seq", "boundaries", "bytes instead of"),
    (Fault::AcceptLosesWhenCancelled, "mem", "cancelled_accept", "ended where an answer was due|broken pipe"),
    (Fault::DropKillsSessions, "mem", "listener_drop", "after the listener was dropped"),
    (Fault::HandshakesInAccept, "mem", "stalled_handshake", HANGS),
    (Fault::LocalIsElsewhere, "mem", "local_is_dialable", "no server is listening there"),
    (Fault::OneAtATime, "mem", "concurrent_connects", HANGS),
    (Fault::RefusesThoseWhoWait, "mem", "last_arrivals", HANGS),
    (Fault::PeerIsMadeUp, "mem-seq", "addresses_agree", "the other end calls it mem:nobody"),
    (Fault::AnswersTheWrongPeer, "mem-dgram", "no_crosstalk", "the answer is"),
    (Fault::BlocksOnAFullPeer, "mem-dgram", "slow_peer", HANGS),
    (Fault::DiesOfADeadPeer, "mem-dgram", "dead_peer", "which ends the socket"),
    (Fault::LosesDatagrams, "mem-dgram", "ping_pong", HANGS),
    (Fault::FlushesTooSoon, "mem-dgram", "flush_reaches", HANGS),
    (Fault::GivesBehindTheLast, "mem-dgram", "fenced_drain", "1 datagrams came behind the last one"),
    (Fault::LosesWhatWasUnderWay, "mem-dgram", "fenced_drain", HANGS),
    (Fault::MixesUpABatch, "mem-dgram", "batches", "that nobody sent"),
    (Fault::TruncatesDatagrams, "mem-dgram", "boundaries", "bytes instead of"),
    (Fault::AnonymousRefusal, "mem", "connect_to_nobody", "not about mem:test-"),
    (Fault::BindsWhenDropped, "mem", "dropped_bind", "a bind that should work"),
    (Fault::BindsOnce, "mem", "erased", "one is enough"),
    (Fault::BindsTwice, "mem", "second_bind", "a second bind of mem:test-"),
    (Fault::ConnectsEagerly, "mem", "lazy_connect", "an unpolled connect was accepted"),
    (Fault::ConnectsToGhosts, "mem", "connect_to_nobody", "where nobody listens succeeds"),
    (Fault::IgnoresOptions, "mem", "unknown_option", "ignored an unknown option"),
    (Fault::KeepsTheName, "mem", "bind_again", "bind after the first was dropped"),
    #[cfg(target_os = "linux")]
    (Fault::LeaksDescriptors, "mem", "dropped_connect", HANGS),
    (Fault::LiesAboutItsShape, "mem", "capabilities_are_true", "the shape is message stream"),
    (Fault::Panics, "mem", "ping_pong", "panicked"),
    (Fault::DocumentsAGhost, "mem", "options_reach", "unknown option \"ghost\""),
    (
        Fault::EndsInAReset,
        "mem",
        "clean_end",
        "receive the end of one that has read to the end: receive: connection reset",
    ),
    (Fault::FailsOnceItRefuses, "mem", "refused_accept_waits", "accept fails where it is to wait: invalid input"),
    (Fault::LoopsOnceItRefuses, "mem", "refused_accept_waits", HANGS),
    (Fault::SpinsOnceItRefuses, "mem", "refused_accept_waits", "though nobody comes"),
    (
        Fault::RegistersInBind,
        "mem",
        "bound_elsewhere",
        "accept: A Tokio 1.x context was found, but it is being shutdown",
    ),
    (Fault::MembersAreDeaf, "mem", "group", HANGS),
    (Fault::MembersAreElsewhere, "mem", "group", "another at mem:elsewhere"),
    (Fault::BindsTwice, "mem", "group", "beside a group succeeds"),
    (Fault::BindsOneMember, "toy+mem", "group", "a group of the wire below has 3 members, of the stack 1"),
    (Fault::SaysNoGoodbye, "toy+mem", "goodbye", "receive the good-bye: "),
    (Fault::SaysGoodbyeAtDrop, "toy+mem", "goodbye", "takes that for a clean end"),
    (Fault::TakesACutForTheEnd, "toy+mem", "goodbye", "takes that for a clean end"),
    (Fault::TakesACutForTheEnd, "toy+mem", "truncation", "and a clean end"),
    (Fault::WantsOnePiece, "toy+mem", "handshake_sliced", "toy: invalid data"),
    (Fault::ReadsTooFar, "toy+mem", "handshake_then_data_in_one_write", HANGS),
    (Fault::ForgetsThePeer, "toy+mem", "peer_info_stacks", "does not know what the wire below knew"),
    (Fault::BindsOneMember, "toy+mem", "forwards", "one of 1 of the wire below"),
    (Fault::HidesNews, "toy+mem", "forwards", "what is new of the wire below: None"),
    (Fault::HidesReloads, "toy+mem", "forwards", "something to read again"),
    (Fault::HidesTheClassOfErrors, "toy+mem", "forwards", "calls an error Configuration"),
    (Fault::HidesTheQueue, "toy+mem", "forwards", "shares a queue"),
    (Fault::HidesTheRefusal, "toy+mem", "forwards", "does not hear of it"),
    (Fault::IgnoresReloads, "toy+mem", "forwards", "does not hear of a reload"),
    (Fault::WaitsForAFlush, "toy+mem", "ping_pong", HANGS),
    (Fault::RefusesThoseWhoWait, "toy+mem", "last_arrivals", HANGS),
    (Fault::ConnectsWithoutABound, "toy+mem", "quiet_peer", HANGS),
];

#[tokio::test]
async fn every_fault_is_found_by_its_law() {
    let mut wrong = Vec::new();
    for (fault, scheme, law, text) in FOUND {
        let timeout = Duration::from_secs(if *text == HANGS { 1 } else { 30 });
        let report = report(*fault, scheme, Some(law), timeout).await;
        if *fault == Fault::LoopsOnceItRefuses {
            listener::GIVE_BACK.store(true, Relaxed);
        }
        match report.verdict(law) {
            Some(Verdict::Broken(why)) if text.split('|').any(|text| why.contains(text)) => {}
            Some(Verdict::Broken(why)) => wrong.push(format!("{fault:?} breaks {law} for another reason: {why}")),
            verdict => wrong.push(format!("{law} does not find {fault:?}: {verdict:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_law_finds_a_fault() {
    let idle: Vec<_> = LAWS
        .iter()
        .map(|law| law.name())
        .filter(|law| !FOUND.iter().any(|(_, _, found_by, _)| found_by == law))
        .collect();
    assert!(idle.is_empty(), "no fault shows that these laws can fail: {idle:?}");
}

#[tokio::test]
async fn without_a_fault_every_law_is_kept() {
    for scheme in ["mem", "mem-seq", "mem-dgram", "toy+mem"] {
        let report = report(Fault::None, scheme, None, Duration::from_secs(30)).await;
        assert!(report.broken().is_empty(), "{report}");
    }
}
