//! What peers make a server keep is bounded by the formulas of `Limits`.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "the helpers of a test")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use dhat::{HeapStats, Profiler};
use swapwire::handlers::Echo;
use swapwire::{Framing, HandlerError, IntoService, Limits, Running, Session, SessionHandler, async_trait};

#[global_allocator]
static ALLOC: dhat::Alloc = dhat::Alloc;

/// What the threads of a server may keep beside its sessions: idle buffers and tables.
const THREADS: usize = 5 * ((128 + 2 * 256) << 10) + (1 << 20);

/// One test: the heap is counted for the whole process.
#[test]
fn peers_cannot_make_it_keep_more_than_it_says() {
    let _profiler = Profiler::builder().testing().build();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let all = async {
        idle_connections_are_small().await;
        nobody_reads().await;
        nobody_reads_and_there_is_a_budget().await;
        lengths_are_lies().await;
        many_peers_on_a_datagram_socket().await;
        sessions_that_do_not_receive().await;
    };
    // A guard against hanging: each wait below is for an event.
    runtime
        .block_on(async { tokio::time::timeout(Duration::from_secs(300), all).await.expect("an event did not come") });
}

fn heap() -> usize {
    HeapStats::get().curr_bytes
}

async fn start<K>(endpoint: &str, handler: impl IntoService<K>, framing: Framing, limits: Limits) -> Running {
    let builder = swapwire::server().listen(endpoint).handler(handler).framing(framing).limits(limits);
    builder.bind().await.unwrap().start()
}

fn place(server: &Running) -> String {
    server.local_endpoints()[0].to_string().split_once("://").unwrap().1.to_owned()
}

/// Lets the server run until it says so.
async fn until(server: &Running, what: impl Fn(&swapwire::Snapshot) -> bool) {
    while !what(&server.snapshot()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn idle_connections_are_small() {
    let server = start("tcp://127.0.0.1:0", Echo, Framing::Lines, Limits::default()).await;
    let mut clients = Vec::new();
    for round in 0..2 {
        let before = heap();
        for i in 0..100 {
            let mut client = TcpStream::connect(place(&server)).unwrap();
            client.write_all(b"hello\n").unwrap();
            clients.push(client);
            until(&server, |stats| stats.messages == 100 * round + i + 1).await;
        }
        let each = (heap() - before) / 100;
        println!("an idle connection keeps {each} B");
        assert!(round == 0 || each <= 2048, "{each}");
    }
    drop(clients);
    server.stop().await;
}

/// Requests without end, of which nobody reads the replies, and which end with half a request.
async fn nobody_reads() {
    const CLIENTS: usize = 20;
    let mut limits = Limits::default();
    (limits.max_message, limits.max_reply, limits.out_queue) = (64 << 10, 64 << 10, 64 << 10);
    limits.write_timeout = Some(Duration::from_millis(500));
    let most = CLIENTS * limits.session_memory() + THREADS;
    let server = start("tcp://127.0.0.1:0?send_buffer=4k", Echo, Framing::Lines, limits).await;
    let line = [vec![b'x'; 60_000], b"\n".to_vec()].concat();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| TcpStream::connect(place(&server)).unwrap()).collect();
    let (before, mut peak) = (heap(), 0);
    for client in &mut clients {
        client.set_nonblocking(true).unwrap();
    }
    while server.snapshot().write_timeouts < CLIENTS as u64 {
        for client in &mut clients {
            while client.write(&line).is_ok_and(|len| len > 0) {}
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        peak = peak.max(heap().saturating_sub(before));
    }
    println!("{CLIENTS} that do not read: {peak} B of {most} B");
    assert!(peak <= most && peak > CLIENTS * (64 << 10), "{peak} B, at most {most} B");
    drop(clients);
    server.stop().await;
}

/// As many as `SWAPWIRE_PEERS` says, and what they keep together is bounded; somebody who reads is answered meanwhile.
async fn nobody_reads_and_there_is_a_budget() {
    let clients: usize = std::env::var("SWAPWIRE_PEERS").map_or(200, |peers| peers.parse().unwrap());
    let budget = clients * (64 << 10);
    let mut limits = Limits::default();
    limits.memory_budget = Some(budget);
    let most = budget + budget / 4;
    let server = start("tcp://127.0.0.1:0?send_buffer=4k", Echo, Framing::Lines, limits).await;
    let mut good = TcpStream::connect(place(&server)).unwrap();
    good.set_nonblocking(true).unwrap();
    let line = [vec![b'x'; 1000], b"\n".to_vec()].concat().repeat(60);
    let mut clients: Vec<_> = (0..clients).map(|_| TcpStream::connect(place(&server)).unwrap()).collect();
    clients.iter_mut().for_each(|client| client.set_nonblocking(true).unwrap());
    until(&server, |stats| stats.sessions == clients.len() as u64 + 1).await;
    let (before, mut peak, mut answers) = (heap(), 0, 0);
    while answers < 100 {
        for client in &mut clients {
            while client.write(&line).is_ok_and(|len| len > 0) {}
        }
        good.write_all(b"hello\n").unwrap();
        let mut answer = [0; 6];
        while let Err(error) = good.read_exact(&mut answer) {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            tokio::time::sleep(Duration::from_millis(1)).await;
            peak = peak.max(heap().saturating_sub(before));
        }
        assert_eq!(answer, *b"hello\n");
        answers += 1;
    }
    let closed = server.snapshot().over_budget;
    let all = clients.len();
    println!("{all} that do not read, {closed} of them closed: {peak} B, with a budget of {budget} B");
    assert!(peak <= most && peak > budget / 2, "{peak} B, at most {most} B");
    assert!(closed > 0 && closed < all as u64, "{closed} of {all}");
    drop(clients);
    server.stop().await;
}

/// Headers that declare 4 GiB.
async fn lengths_are_lies() {
    let server = start("tcp://127.0.0.1:0", Echo, Framing::length_prefixed(), Limits::default()).await;
    let before = heap();
    for _ in 0..200 {
        let mut client = TcpStream::connect(place(&server)).unwrap();
        client.write_all(&[0xff; 4]).unwrap();
        client.set_nonblocking(true).unwrap();
        let mut refused = || match client.read(&mut [0; 1]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            ended => ended.is_err() || ended.is_ok_and(|len| len == 0),
        };
        while !refused() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(heap() <= before + THREADS, "{} B more", heap() - before);
    }
    until(&server, |stats| stats.bad_frames == 200).await;
    // Those that declare what they may, and send nothing of it.
    let (before, mut clients) = (heap(), Vec::new());
    for _ in 0..100 {
        let mut client = TcpStream::connect(place(&server)).unwrap();
        client.write_all(&(1_u32 << 20).to_be_bytes()).unwrap();
        clients.push(client);
    }
    until(&server, |stats| stats.sessions == 300).await;
    let each = (heap() - before) / 100;
    assert!(each <= 64 << 10, "{each} B for each that lies");
    drop(clients);
    server.stop().await;
}

/// Answers each message.
struct Answer;

#[async_trait]
impl SessionHandler for Answer {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        while let Some(message) = session.recv().await? {
            session.send(&message).await?;
        }
        Ok(())
    }
}

async fn many_peers_on_a_datagram_socket() {
    let mut limits = Limits::default();
    limits.max_unvalidated_peers = 100;
    let server = start("udp://127.0.0.1:0", Answer, Framing::Chunks, limits).await;
    let mut clients = Vec::new();
    let mut sizes = Vec::new();
    for i in 0..500 {
        let before = heap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"x", place(&server)).unwrap();
        clients.push(client);
        until(&server, |stats| stats.sessions == i + 1 && stats.sessions - stats.evicted <= 100).await;
        sizes.push(heap() as i64 - before as i64);
    }
    let (first, later) = (sizes[..100].iter().sum::<i64>() / 100, sizes[100..].iter().sum::<i64>());
    println!("a session of a datagram socket keeps {first} B; 400 more that made others go {later} B");
    // What a socket has once: the batch to receive into, queues, tables.
    assert!(first <= (10 << 10) + (5 << 20) / 100, "{first}");
    assert!(later <= 400 << 10, "{later}");
    assert_eq!(server.stop().await.stats.evicted, 400);
}

/// Never receives.
struct Deaf;

#[async_trait]
impl SessionHandler for Deaf {
    async fn run(&self, session: Session) -> Result<(), HandlerError> {
        session.draining().await;
        Ok(())
    }
}

async fn sessions_that_do_not_receive() {
    let mut limits = Limits::default();
    (limits.max_peers, limits.max_unvalidated_peers, limits.peer_bytes) = (20, 20, 1 << 20);
    (limits.max_message, limits.out_queue) = (16 << 10, 16 << 10);
    let most = 64 * 65_664 + (1 << 20) + 20 * (10 << 10) + (1 << 20);
    let formula = limits.socket_memory(65_507, 65_536, 0);
    assert!(most <= formula);
    let server = start("udp://127.0.0.1:0", Deaf, Framing::Chunks, limits).await;
    let before = heap();
    let clients: Vec<_> = (0..20).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let mut sent = 0;
    while server.snapshot().dropped_requests < 500 {
        for client in &clients {
            client.send_to(&[b'x'; 8000], place(&server)).unwrap();
            sent += 1;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        let kept = heap().saturating_sub(before);
        assert!(kept <= most, "{kept} B, at most {most} B");
    }
    println!("sessions that do not receive keep {} B of {sent} datagrams, at most {formula} B", heap() - before);
}
