//! Handlers on a datagram socket whose slots hold trains, cut datagrams and such without an address. Those that are ready
//! at once and those that may wait take different ways and give the same.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::net::IpAddr;

use crate::common::script::{HERE, Script, Sent, Slot, addr};
use crate::common::{Net, limits};
use fastrand::Rng;
use swapwire_core::{
    Addr, Handler, HandlerError, HandlerProperties, Reply, Request, Session, SessionHandler, async_trait,
};
use swapwire_server::{DrainReport, Limits};

/// Does what the first byte of a message says.
struct Acts {
    at_once: bool,
}

/// What an act replies: to one that is not answered as well.
fn replies(message: &[u8]) -> Vec<Vec<u8>> {
    match message.first() {
        Some(b'n') => vec![],
        Some(b'e') => vec![vec![]],
        Some(b'v') => vec![b"one".to_vec(), vec![], vec![], message.to_vec(), vec![]],
        Some(b'm') => (0..300).map(|i| format!("{i}").into_bytes()).collect(),
        Some(b'l') => vec![message.repeat(1000)],
        _ => vec![message.to_vec()],
    }
}

impl Handler for Acts {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        let message = request.message();
        for one in replies(message) {
            reply.send(one)?;
        }
        match message.first() {
            Some(b'p') => reply.write(|out| {
                out.put(b"half of a reply");
                panic!("as asked");
            })?,
            Some(b'f') => return Err("as asked".into()),
            Some(b'w') => std::future::pending().await,
            _ => {}
        }
        Ok(())
    }

    fn properties(&self) -> HandlerProperties {
        HandlerProperties::new().with_ready_at_once(self.at_once)
    }
}

async fn serve(script: &Script, handler: impl Handler, limits: Limits) -> DrainReport {
    let builder = Net::new().server().transport(script.clone()).listen(HERE).handler(handler).limits(limits);
    builder.allow_amplification(true).bind().await.unwrap().start().stop().await
}

/// What is to come of some slots.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    messages: u64,
    panics: u64,
    handler_errors: u64,
    failed_replies: u64,
    truncated: u64,
    dropped: u64,
    sent: Vec<Sent>,
}

impl Outcome {
    fn of(slots: &[Slot], max_message: usize) -> Self {
        let mut this = Self::default();
        for slot in slots {
            let count = if slot.segment == 0 { 1 } else { slot.bytes.len().div_ceil(slot.segment) as u64 };
            match slot.peer {
                _ if slot.truncated => this.truncated += count,
                Some(peer) if peer == addr("here") => this.dropped += count,
                peer if slot.bytes.is_empty() => this.one(&[], peer, slot.local),
                peer => {
                    let size = if slot.segment == 0 { slot.bytes.len() } else { slot.segment };
                    for message in slot.bytes.chunks(size) {
                        match message.len() <= max_message {
                            true => this.one(message, peer, slot.local),
                            false => this.dropped += 1,
                        }
                    }
                }
            }
        }
        this
    }

    fn one(&mut self, message: &[u8], peer: Option<Addr>, local: Option<IpAddr>) {
        self.messages += 1;
        let replies = replies(message);
        match (message.first(), peer) {
            // Whoever has nothing to reply need not know.
            (_, None) => self.failed_replies += u64::from(!replies.is_empty()),
            (Some(b'p'), _) => self.panics += 1,
            (Some(b'f' | b'w'), _) => self.handler_errors += 1,
            (_, Some(peer)) => self.sent.extend(replies.into_iter().map(|reply| (reply, peer, local))),
        }
    }

    fn found(script: &Script, report: &DrainReport) -> Self {
        let stats = &report.stats;
        Self {
            messages: stats.messages,
            panics: stats.panics,
            handler_errors: stats.handler_errors,
            failed_replies: stats.failed_replies,
            truncated: stats.truncated,
            dropped: stats.dropped_requests,
            sent: script.state().sent.clone(),
        }
    }
}

fn datagram(rng: &mut Rng, acts: &[u8], len: usize) -> Vec<u8> {
    let mut datagram: Vec<u8> = (0..len).map(|_| rng.digit(10) as u8).collect();
    if let Some(first) = datagram.first_mut() {
        *first = *rng.choice(acts).unwrap();
    }
    datagram
}

fn slot(rng: &mut Rng, acts: &[u8]) -> Slot {
    let peer = match rng.u8(0..12) {
        0 => None,
        1 => Some(addr("here")),
        other => Some(addr(["a", "b", "c"][usize::from(other) % 3])),
    };
    let count = if rng.bool() { 1 } else { rng.usize(2..40) };
    let len = rng.usize(usize::from(count > 1)..50);
    let mut datagrams: Vec<_> = (0..count).map(|_| datagram(rng, acts, len)).collect();
    if count > 1 {
        let len = rng.usize(1..=len);
        datagrams[count - 1].truncate(len);
    }
    let mut slot = Slot::train(peer, &datagrams);
    slot.local = rng.bool().then(|| IpAddr::from([127, 0, 0, rng.u8(1..3)]));
    slot.truncated = rng.u8(0..12) == 0;
    slot
}

#[tokio::test(start_paused = true)]
async fn each_datagram_has_its_own_outcome_in_order() {
    for seed in 0..60 {
        for (at_once, acts) in [(true, b"xxxxxxpfwnevml".as_slice()), (false, b"xxxxxxpfnevml")] {
            let mut rng = Rng::with_seed(seed);
            let batches: Vec<Vec<Slot>> =
                (0..rng.usize(1..5)).map(|_| (0..rng.usize(1..=32)).map(|_| slot(&mut rng, acts)).collect()).collect();
            let out_queue = *rng.choice(&[1, 100, 10_000, 256 << 10]).unwrap();
            let max_message = *rng.choice(&[1, 20, 1 << 20]).unwrap();
            let expected = Outcome::of(&batches.concat(), max_message);
            let script = Script::new(batches);
            let limits = limits(|l| (l.out_queue, l.max_message) = (out_queue, max_message));
            let report = serve(&script, Acts { at_once }, limits).await;
            let found = Outcome::found(&script, &report);
            let same = found.sent.iter().zip(&expected.sent).take_while(|(found, expected)| found == expected).count();
            let (some, all) = (found.sent.get(same), expected.sent.get(same));
            assert!(some == all, "seed {seed}, at once {at_once}: reply {same} is {some:?} in the place of {all:?}");
            assert_eq!(found, expected, "seed {seed}, at once {at_once}");
            // Above its bound a batch is by what one call replied.
            let (datagrams, bytes) = script.state().largest;
            assert!(datagrams < 1024 + 300, "seed {seed}: {datagrams} replies in a batch");
            assert!(bytes < out_queue + 50_000, "seed {seed}: {bytes} bytes in a batch of {out_queue}");
            assert!(report.is_clean(), "{report}");
        }
    }
}

/// A train of datagrams that do nothing but reply often: it is left in its midst, more than once, and gone on with.
#[tokio::test(start_paused = true)]
async fn a_train_with_more_replies_than_a_batch_has_is_answered_whole() {
    for at_once in [true, false] {
        let slots = vec![Slot::train(Some(addr("a")), &vec![b"many".to_vec(); 40])];
        let expected = Outcome::of(&slots, 1 << 20);
        let script = Script::new([slots]);
        let report = serve(&script, Acts { at_once }, limits(|_| {})).await;
        assert_eq!(expected.sent.len(), 40 * 300);
        assert!(Outcome::found(&script, &report) == expected, "at once {at_once}: {report}");
        assert_eq!(script.state().largest.0, 1200);
    }
}

/// Replies as many bytes as the first two of the message say.
struct Amplifier {
    at_once: bool,
    amplifies: bool,
}

impl Handler for Amplifier {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        let len = u16::from_be_bytes([request.message()[0], request.message()[1]]);
        // In two messages: the bound is for both.
        let (one, other) = (usize::from(len / 2), usize::from(len - len / 2));
        reply.send(vec![b'a'; one])?;
        Ok(reply.send(vec![b'b'; other])?)
    }

    fn properties(&self) -> HandlerProperties {
        HandlerProperties::new().with_ready_at_once(self.at_once).with_amplifies(self.amplifies)
    }
}

fn asks_for(len: u16, padded: usize) -> Vec<u8> {
    let mut message = len.to_be_bytes().to_vec();
    message.resize(padded, b'.');
    message
}

/// Each datagram of a train may be answered with three times its own length, not that of the train.
#[tokio::test(start_paused = true)]
async fn replies_to_each_datagram_of_a_train_are_bounded_by_it() {
    for at_once in [true, false] {
        for (spoofable, amplifies) in [(true, false), (true, true), (false, false)] {
            let long = [90, 91, 90, 64, 150, 200, 90].map(|len| asks_for(len, 30));
            // The last is short, and has the least.
            let trains = [[&long[..], &[asks_for(65, 10)]].concat(), [&long[..], &[asks_for(64, 10)]].concat()];
            let alone = [(65, 21), (64, 21), (66, 22), (67, 22)].map(|(len, padded)| vec![asks_for(len, padded)]);
            let slots: Vec<_> =
                trains.into_iter().chain(alone).map(|train| Slot::train(Some(addr("a")), &train)).collect();
            let script = Script { spoofable, ..Script::new([slots]) };
            let report = serve(&script, Amplifier { at_once, amplifies }, limits(|_| {})).await;
            let sent: Vec<_> = script.state().sent.chunks(2).map(|two| two[0].0.len() + two[1].0.len()).collect();
            let what = format!("{at_once} {spoofable} {amplifies}: {report}");
            if spoofable && !amplifies {
                assert_eq!(sent, [90, 90, 64, 90, 90, 90, 64, 90, 64, 64, 66], "{what}");
                assert_eq!((report.stats.withheld_replies, report.stats.handler_errors), (9, 0), "{what}");
            } else {
                assert_eq!((sent.len(), report.stats.withheld_replies), (20, 0), "{what}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_is_counted_by_datagrams() {
    let seven = |peer| Slot::train(peer, &vec![b"x".to_vec(); 7]);
    // A call that waits stalls the socket in the midst of a train.
    let waits: Vec<_> = [b"x", b"x", b"w"].into_iter().chain([b"x"; 4]).map(|byte| byte.to_vec()).collect();
    let script = Script::new([vec![seven(Some(addr("here"))), Slot::train(Some(addr("a")), &waits), seven(None)]]);
    let report = serve(&script, Acts { at_once: false }, limits(|l| l.max_waiting = 1)).await;
    let stats = &report.stats;
    assert_eq!((stats.messages, stats.dropped_requests, report.cut), (3, 7 + 4 + 7, 1 + 4 + 7), "{report}");
    // A session needs somebody.
    let script = Script::new([vec![seven(None)]]);
    let builder = Net::new().server().transport(script).listen(HERE).handler(Idle);
    let report = builder.bind().await.unwrap().start().stop().await;
    assert_eq!(report.stats.dropped_requests, 7, "{report}");
}

struct Idle;

#[async_trait]
impl SessionHandler for Idle {
    async fn run(&self, _: Session) -> Result<(), HandlerError> {
        Ok(())
    }
}
