//! Datagrams: a session, with a socket of its own towards the server, for each peer.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::Notify;

use super::counters::add;
use super::peers::{Peer, Shared};
use super::plan::Direction;
use super::queue::{Queue, To};
use super::{Proxy, pause};
use crate::datagram::{Datagram, LONGEST};

/// One peer.
#[derive(Debug)]
pub(super) struct Session {
    number: u64,
    peer: Peer,
    pub(super) upstream: Datagram,
    /// Datagrams so far, in each direction.
    to_server: Cell<u64>,
    to_client: Cell<u64>,
    last: Cell<Instant>,
    /// It had to make way for another.
    forgotten: Notify,
}

/// Passes datagrams on, for ever.
///
/// # Errors
/// Never, so far; what a socket says is about one datagram.
pub(super) async fn pass(proxy: &Rc<Proxy>, socket: &Shared) -> anyhow::Result<()> {
    let queue = Queue::new(proxy.queue);
    let mut sessions: HashMap<Peer, Rc<Session>> = HashMap::new();
    let mut readers = FuturesUnordered::new();
    let mut buffer = vec![0; LONGEST];
    let mut number = 0;
    let mut deliver = std::pin::pin!(queue.deliver(socket, &proxy.counters));
    let waits = !proxy.dial.target.is_lossy();
    loop {
        let receive = async {
            if waits {
                queue.room().await;
            }
            socket.recv_from(&mut buffer).await
        };
        let (len, peer) = tokio::select! {
            received = receive => match received {
                Ok(received) => received,
                Err(_) => {
                    pause().await;
                    continue;
                }
            },
            Some(()) = readers.next() => continue,
            () = &mut deliver => continue,
        };
        let session = match sessions.get(&peer) {
            Some(session) => session.clone(),
            None => {
                let Ok(upstream) = proxy.dial.datagrams(number) else {
                    add(&proxy.counters.unreachable, 1);
                    continue;
                };
                if sessions.len() >= proxy.sessions {
                    forget_the_quietest(proxy, &mut sessions);
                }
                let session = Rc::new(Session::new(number, peer.clone(), upstream));
                number += 1;
                add(&proxy.counters.sessions, 1);
                sessions.insert(peer, session.clone());
                readers.push(read(proxy, session.clone(), &queue));
                session
            }
        };
        session.last.set(Instant::now());
        decide(proxy, &session, Direction::ToServer, &buffer[..len], &queue);
    }
}

impl Session {
    fn new(number: u64, peer: Peer, upstream: Datagram) -> Self {
        let (to_server, to_client) = (Cell::new(0), Cell::new(0));
        let last = Cell::new(Instant::now());
        Self { number, peer, upstream, to_server, to_client, last, forgotten: Notify::new() }
    }
}

fn forget_the_quietest(proxy: &Proxy, sessions: &mut HashMap<Peer, Rc<Session>>) {
    let quietest = sessions.values().min_by_key(|session| session.last.get()).map(|session| session.peer.clone());
    if let Some(session) = quietest.and_then(|peer| sessions.remove(&peer)) {
        session.forgotten.notify_one();
        add(&proxy.counters.forgotten, 1);
    }
}

/// Reads what the server says to one peer, until that is forgotten.
async fn read(proxy: &Proxy, session: Rc<Session>, queue: &Queue) {
    let mut buffer = vec![0; LONGEST];
    loop {
        let receive = async {
            if !proxy.dial.target.is_lossy() {
                queue.room().await;
            }
            session.upstream.recv(&mut buffer).await
        };
        let received = tokio::select! {
            received = receive => received,
            () = session.forgotten.notified() => return,
        };
        match received {
            Ok(len) => {
                session.last.set(Instant::now());
                decide(proxy, &session, Direction::ToClient, &buffer[..len], queue);
            }
            // About an earlier datagram, such as one to a port where nobody listens.
            Err(_) => pause().await,
        }
    }
}

/// Lets happen to a datagram what is to happen.
fn decide(proxy: &Proxy, session: &Rc<Session>, direction: Direction, datagram: &[u8], queue: &Queue) {
    let counters = &proxy.counters;
    let index = if direction == Direction::ToServer { &session.to_server } else { &session.to_client };
    let fate = proxy.faults.fate(session.number, direction, index.get());
    add(index, 1);
    add(&counters.datagrams, 1);
    add(&counters.dropped, u64::from(fate.delays.is_empty()));
    add(&counters.duplicated, u64::from(fate.delays.len() > 1));
    add(&counters.reordered, u64::from(fate.reordered));
    let mut bytes = datagram.to_vec();
    if let Some((at, other)) = fate.corrupt
        && let Some(at) = at.checked_rem(bytes.len())
        && !fate.delays.is_empty()
    {
        bytes[at] ^= other;
        add(&counters.corrupted, 1);
    }
    for delay in fate.delays {
        let to = match direction {
            Direction::ToServer => To::Server(session.clone()),
            Direction::ToClient => To::Client(session.peer.clone()),
        };
        add(&counters.delayed, u64::from(!delay.is_zero()));
        if !queue.push(delay, to, bytes.clone()) {
            add(&counters.overflowed, 1);
        }
    }
}
