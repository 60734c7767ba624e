//! What is particular to memory: names, namespaces, bounds. No test here needs a runtime.

use std::io;
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::task::noop_waker_ref;
use swapwire_core::{
    Bound, ConnectError, DatagramSocket, Endpoint, Link, Listener, RecvBatch, SendBatch, SendError, Session,
    SessionConfig, Transport as _,
};
use swapwire_mem::MemNetwork;

fn endpoint(text: &str) -> Endpoint {
    text.parse().expect("an endpoint")
}

/// The output of a future that must be ready at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("it need not wait")
}

fn listen(network: &MemNetwork, text: &str) -> Box<dyn Listener> {
    match now(network.bind(&endpoint(text))) {
        Ok(Bound::Listener(listener)) => listener,
        other => panic!("{other:?}"),
    }
}

fn socket(network: &MemNetwork, text: &str) -> Box<dyn DatagramSocket> {
    match now(network.bind(&endpoint(text))) {
        Ok(Bound::Socket(socket)) => socket,
        other => panic!("{other:?}"),
    }
}

fn connect(network: &MemNetwork, text: &str) -> Link {
    now(network.connect(&endpoint(text))).expect("somebody is there")
}

fn connect_error(network: &MemNetwork, text: &str) -> ConnectError {
    now(network.connect(&endpoint(text))).expect_err("nobody is there")
}

fn session(link: Link) -> Session {
    Session::new(link, SessionConfig::default())
}

fn receive(socket: &mut dyn DatagramSocket, batch: &mut RecvBatch) -> usize {
    batch.clear();
    match socket.poll_recv(&mut Context::from_waker(noop_waker_ref()), batch) {
        Poll::Ready(result) => result.map(|()| batch.len()).expect("memory does not fail"),
        Poll::Pending => 0,
    }
}

fn send(socket: &mut dyn DatagramSocket, batch: &SendBatch) -> io::Result<usize> {
    match socket.poll_send(&mut Context::from_waker(noop_waker_ref()), batch, 0) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("a send in memory does not wait"),
    }
}

#[test]
fn clones_are_one_network_and_others_are_not() {
    let network = MemNetwork::new();
    let _listener = listen(&network, "mem:a");
    connect(&network.clone(), "mem:a");
    assert!(matches!(connect_error(&MemNetwork::new(), "mem:a"), ConnectError::Refused { .. }));
    assert_eq!(format!("{network:?}"), "MemNetwork { bound: {\"mem:a\"} }");
}

#[test]
fn the_three_schemes_are_three_namespaces() {
    let network = MemNetwork::new();
    let _bound = (listen(&network, "mem:a"), listen(&network, "mem-seq:a"), socket(&network, "mem-dgram:a"));
    assert!(now(network.bind(&endpoint("mem-seq:a"))).unwrap_err().is_addr_in_use());
    for scheme in ["mem", "mem-seq", "mem-dgram"] {
        let error = connect_error(&network, &format!("{scheme}:b"));
        assert!(matches!(error, ConnectError::Refused { .. }), "{error}");
    }
}

#[test]
fn errors_say_what_to_write() {
    let network = MemNetwork::new();
    let bind = |text: &str| now(network.bind(&endpoint(text))).unwrap_err().to_string();
    assert_eq!(bind("mem:/a"), "bind mem:/a: this place is not a name; write mem:name");
    assert_eq!(bind("mem:a?backlog=0"), "bind mem:a?backlog=0: option backlog=0: write a number from 1 to 65535");
    assert_eq!(bind("mem-dgram:a?backlog=1"), "bind mem-dgram:a?backlog=1: unknown option \"backlog\"; known: none");
    assert_eq!(
        connect_error(&network, "mem:a?backlog=1").to_string(),
        "connect mem:a?backlog=1: option \"backlog\" is for binding only"
    );
    let error = connect_error(&network, "mem:%231").to_string();
    assert!(error.ends_with("names that begin with # are reserved for clients; write mem:name"), "{error}");
}

#[test]
fn a_full_backlog_makes_connect_wait() {
    let network = MemNetwork::new();
    let mut listener = listen(&network, "mem:a?backlog=1");
    assert_eq!(listener.local(), endpoint("mem:a"));
    let _first = connect(&network, "mem:a");
    let second = endpoint("mem:a");
    let mut second = network.connect(&second);
    assert!((&mut second).now_or_never().is_none());
    let dropped = endpoint("mem:a");
    assert!(network.connect(&dropped).now_or_never().is_none());
    drop(now(listener.accept()).unwrap());
    assert!((&mut second).now_or_never().unwrap().is_ok());
    drop(now(listener.accept()).unwrap());
    assert!(listener.accept().now_or_never().is_none());
}

#[test]
fn dropping_a_listener_closes_what_waits_for_it() {
    let network = MemNetwork::new();
    let listener = listen(&network, "mem-seq:a?backlog=1");
    let mut queued = session(connect(&network, "mem-seq:a"));
    let place = endpoint("mem-seq:a");
    let mut waits = network.connect(&place);
    assert!((&mut waits).now_or_never().is_none());
    drop(listener);
    assert!(matches!(now(waits), Err(ConnectError::Refused { .. })));
    assert_eq!(now(queued.recv()).unwrap(), None);
    assert!(now(queued.send("x")).is_ok() && matches!(now(queued.flush()), Err(SendError::Io(_))));
}

#[test]
fn sixteen_messages_are_in_flight_each_way() {
    let network = MemNetwork::new();
    let mut listener = listen(&network, "mem-seq:a");
    let Link::Messages { io: mut client, .. } = connect(&network, "mem-seq:a") else { panic!("messages") };
    let mut server = session(now(now(listener.accept()).unwrap().establish()).unwrap());
    let mut cx = Context::from_waker(noop_waker_ref());
    let mut send = |text: &str| client.poll_send(&mut cx, text.as_bytes());
    for number in 0..16 {
        assert!(matches!(send(&number.to_string()), Poll::Ready(Ok(()))), "{number}");
    }
    assert!(send("16").is_pending());
    assert_eq!(now(server.recv()).unwrap().unwrap(), "0");
    assert!(send("16").is_ready() && send("17").is_pending());
}

#[test]
fn a_full_inbox_is_congestion() {
    let network = MemNetwork::new();
    let mut server = socket(&network, "mem-dgram:a");
    let mut client = session(connect(&network, "mem-dgram:a"));
    for _ in 0..256 {
        now(client.send("x")).unwrap();
    }
    now(client.flush()).unwrap();
    now(client.send("x")).unwrap();
    assert!(matches!(now(client.flush()), Err(SendError::Congested)));

    let mut batch = RecvBatch::new(8, 16);
    assert_eq!(receive(server.as_mut(), &mut batch), 8);
    let peer = batch.get(0).unwrap().0.peer.unwrap();
    assert_eq!(peer, *client.local());
    let mut replies = SendBatch::new();
    (0..300).for_each(|_| replies.push(b"y", peer, None));
    assert_eq!(send(server.as_mut(), &replies).unwrap(), 256);
    assert_eq!(send(server.as_mut(), &replies).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    drop(client);
    assert_eq!(send(server.as_mut(), &replies).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_client_hears_its_server_alone_and_finds_it_again() {
    let network = MemNetwork::new();
    let server = socket(&network, "mem-dgram:a");
    let mut stranger = socket(&network, "mem-dgram:b");
    let mut client = session(connect(&network, "mem-dgram:a"));
    let mut batch = SendBatch::new();
    batch.push(b"psst", *client.local(), None);
    assert_eq!(send(stranger.as_mut(), &batch).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    drop(server);
    now(client.send("anybody there")).unwrap();
    assert!(matches!(now(client.flush()), Err(SendError::PeerNoise(_))));
    let mut server = socket(&network, "mem-dgram:a");
    now(client.send("hello again")).unwrap();
    now(client.flush()).unwrap();
    assert_eq!(receive(server.as_mut(), &mut RecvBatch::new(1, 16)), 1);
    assert_eq!(send(server.as_mut(), &batch).unwrap(), 1);
    assert_eq!(now(client.recv()).unwrap().unwrap(), "psst");
}

#[test]
fn a_datagram_that_does_not_fit_its_slot_says_so() {
    let network = MemNetwork::new();
    let mut server = socket(&network, "mem-dgram:a");
    let mut client = session(connect(&network, "mem-dgram:a"));
    now(client.send("0123456789")).unwrap();
    now(client.flush()).unwrap();
    let mut batch = RecvBatch::new(2, 4);
    assert_eq!(receive(server.as_mut(), &mut batch), 1);
    let (meta, bytes) = batch.get(0).unwrap();
    assert!(meta.truncated && bytes == b"0123");
}
