//! TCP over the loopback interface.

use std::time::Duration;

use socket2::SockRef;
use swapwire_core::{BindError, Bound, ConnectError, Endpoint, Incoming, Link, Listener, Side, Transport};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::listener::{Acceptor, prepare};
use crate::options::StreamOptions;
use crate::transport::{bind, connect};
use crate::{OPTIONS, Tcp};

mod group;
mod names;

fn endpoint(text: &str) -> Endpoint {
    text.parse().unwrap()
}

fn options(local: &Endpoint, options: &str) -> Endpoint {
    endpoint(format!("{local}?{options}").trim_end_matches('?'))
}

async fn listener(text: &str) -> Box<dyn Listener> {
    match Tcp::new().bind(&endpoint(text)).await.unwrap() {
        Bound::Listener(listener) => listener,
        other => panic!("{other:?}"),
    }
}

async fn refused_bind(text: &str) -> String {
    Tcp::new().bind(&endpoint(text)).await.unwrap_err().to_string()
}

async fn refused_connect(text: &str) -> String {
    Tcp::new().connect(&endpoint(text)).await.unwrap_err().to_string()
}

async fn pair(bind_options: &str, connect_options: &str) -> (Acceptor, TcpStream, TcpStream) {
    let mut acceptor = bind(&options(&endpoint("tcp://127.0.0.1:0"), bind_options)).await.unwrap();
    let client = connect(&options(&acceptor.local(), connect_options)).await.unwrap();
    let (server, _) = acceptor.accept_stream().await.unwrap();
    (acceptor, client, server)
}

fn stream_options(text: &str) -> StreamOptions {
    crate::options::Options::read(&options(&endpoint("tcp://127.0.0.1:0"), text), Side::Bind).unwrap().stream
}

/// Connects, says `ping`, hears it at the accepted end, and returns what that end knows of the two addresses.
async fn ping(listener: &mut dyn Listener, to: &Endpoint) -> (Link, Link) {
    let mut client = Tcp::new().connect(to).await.unwrap();
    let mut server = listener.accept().await.unwrap().establish().await.unwrap();
    let (Link::Bytes { io: near, .. }, Link::Bytes { io: far, .. }) = (&mut client, &mut server) else {
        panic!("TCP gives byte streams")
    };
    near.write_all(b"ping").await.unwrap();
    let mut heard = [0; 4];
    far.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"ping");
    assert_eq!(client.info().local, *server.info().peer.addr());
    assert_eq!(server.info().local, *client.info().peer.addr());
    (client, server)
}

#[tokio::test]
async fn hosts_of_all_kinds_can_be_bound_and_dialled() {
    for host in ["127.0.0.1", "127.0.0.9", "localhost", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]"] {
        let mut listener = listener(&format!("tcp://{host}:0")).await;
        let local = listener.local();
        assert!(!local.to_string().ends_with(":0"), "{local}");
        ping(listener.as_mut(), &local).await;
    }
}

#[tokio::test]
async fn an_ipv6_wildcard_takes_ipv4_only_when_asked() {
    let only = listener("tcp://[::]:0").await;
    let port = only.local().to_string().rsplit_once(':').unwrap().1.to_owned();
    let v4 = endpoint(&format!("tcp://127.0.0.1:{port}"));
    assert!(matches!(Tcp::new().connect(&v4).await, Err(ConnectError::Refused { .. })));
    // The IPv4 side of the port is free for another server.
    drop(listener(&v4.to_string()).await);
    drop(only);

    let mut both = listener("tcp://[::]:0?v6_only=false").await;
    let port = both.local().to_string().rsplit_once(':').unwrap().1.to_owned();
    let (client, server) = ping(both.as_mut(), &endpoint(&format!("tcp://127.0.0.1:{port}"))).await;
    assert!(server.info().peer.to_string().starts_with("127.0.0.1:"), "{server:?}");
    assert!(client.info().peer.to_string().starts_with("127.0.0.1:"), "{client:?}");
    ping(both.as_mut(), &endpoint(&format!("tcp://[::1]:{port}"))).await;
}

#[tokio::test]
async fn a_second_bind_is_refused_and_a_later_one_is_not() {
    // An address of its own, so that no other test takes the port meanwhile.
    let first = listener("tcp://127.0.0.77:0").await;
    let local = first.local();
    let error = Tcp::new().bind(&local).await.unwrap_err();
    assert!(error.is_addr_in_use());
    assert_eq!(error.to_string(), format!("bind {local}: address in use: another server is listening there"));
    drop(first);
    listener(&local.to_string()).await;
}

#[tokio::test]
async fn ports_are_shared_only_when_both_say_so() {
    let first = listener("tcp://127.0.0.1:0?reuse_port=true").await;
    assert!(Tcp::new().bind(&first.local()).await.unwrap_err().is_addr_in_use());
    listener(&options(&first.local(), "reuse_port=true").to_string()).await;
}

#[tokio::test]
async fn dialling_nobody_is_refused() {
    // Bound and not listening, so that no other test takes the port.
    let reserved = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    reserved.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    let free = endpoint(&format!("tcp://{}", reserved.local_addr().unwrap().as_socket().unwrap()));
    let error = Tcp::new().connect(&free).await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused { .. }));
    assert_eq!(error.to_string(), format!("connect {free}: connection refused: no server is listening there"));
    #[cfg(target_os = "linux")]
    assert_eq!(error.raw_os_error(), Some(111));
    assert!(refused_connect("tcp://127.0.0.1:0").await.contains("port 0 cannot be dialled"));
    assert!(
        refused_connect("tcp://no-such-host.invalid:1").await.starts_with("connect tcp://no-such-host.invalid:1: ")
    );
}

#[tokio::test]
async fn wrong_endpoints_say_what_would_be_right() {
    assert_eq!(refused_bind("tcp:/run/x").await, "bind tcp:/run/x: TCP has hosts and ports; write tcp://host:port");
    assert_eq!(refused_connect("tcp:x").await, "connect tcp:x: TCP has hosts and ports; write tcp://host:port");
    let unknown = refused_bind("tcp://127.0.0.1:0?backlogg=1").await;
    assert!(
        unknown.contains(
            "unknown option \"backlogg\"; did you mean \"backlog\"? known: backlog, reuse_port, v6_only, nodelay"
        ),
        "{unknown}"
    );
    assert!(refused_connect("tcp://127.0.0.1:1?backlog=1").await.ends_with("option \"backlog\" is for binding only"));
    assert!(refused_bind("tcp://127.0.0.1:0?connect_timeout=1s").await.ends_with("is for connecting only"));
    for (option, right) in [
        ("backlog=0", "write a number from 1 to 2147483647"),
        ("ttl=256", "write a number from 1 to 255"),
        ("keepalive=10ms", "write a time from 1s to 32767s, or leave it out for none"),
        ("recv_buffer=0", "write a size from 1 to 1GiB"),
        ("nodelay=maybe", "write true or false"),
        ("v6_only=true", "127.0.0.1 is not an IPv6 address; leave the option out, or write [::]"),
    ] {
        let error = refused_bind(&format!("tcp://127.0.0.1:0?{option}")).await;
        assert_eq!(error, format!("bind tcp://127.0.0.1:0?{option}: option {option}: {right}"));
    }
}

#[tokio::test]
async fn dialled_sockets_are_prepared() {
    let (_acceptor, client, _server) = pair("", "nodelay=false&keepalive=7s&ttl=9").await;
    let socket = SockRef::from(&client);
    assert!(!socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
    assert_eq!(socket.ttl_v4().unwrap(), 9);
    #[cfg(target_os = "linux")]
    {
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(7));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(7));
    }

    let (_acceptor, client, _server) = pair("", "").await;
    assert!(client.nodelay().unwrap() && !SockRef::from(&client).keepalive().unwrap());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_source_is_where_the_connection_comes_from() {
    let (acceptor, client, server) = pair("", "source=127.0.0.7").await;
    assert!(client.local_addr().unwrap().to_string().starts_with("127.0.0.7:"));
    assert_eq!(server.peer_addr().unwrap(), client.local_addr().unwrap());
    let local = acceptor.local();
    for (source, why) in [
        ("192.0.2.1", "source=192.0.2.1 is no address of this machine"),
        ("::1", "source=::1 does not reach 127.0.0.1: one is IPv4 and the other IPv6"),
        ("here", "option source=here: write an IP address, as 127.0.0.2 or ::1"),
    ] {
        let error = refused_connect(&format!("{local}?source={source}")).await;
        assert_eq!(error, format!("connect {local}?source={source}: {why}"));
    }
    assert!(refused_bind("tcp://127.0.0.1:0?source=127.0.0.1").await.ends_with("is for connecting only"));
}

#[tokio::test]
async fn accepted_sockets_are_prepared() {
    let bind_options = "nodelay=false&keepalive=7s&ttl=9";
    let (_acceptor, _client, server) = pair(bind_options, "").await;
    prepare(&server, None, stream_options(bind_options)).unwrap();
    let socket = SockRef::from(&server);
    assert!(!socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
    assert_eq!(socket.ttl_v4().unwrap(), 9);

    let (_acceptor, _client, server) = pair("", "").await;
    prepare(&server, None, stream_options("")).unwrap();
    assert!(server.nodelay().unwrap());
}

#[tokio::test]
async fn buffers_have_the_size_that_was_asked_for() {
    let sizes = "recv_buffer=32k&send_buffer=48k";
    let (_acceptor, client, server) = pair(sizes, sizes).await;
    for stream in [&client, &server] {
        let socket = SockRef::from(stream);
        let (recv, send) = (socket.recv_buffer_size().unwrap(), socket.send_buffer_size().unwrap());
        let factor = if cfg!(target_os = "linux") { 2 } else { 1 };
        assert_eq!((recv, send), (factor * 32 * 1024, factor * 48 * 1024));
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn user_timeout_takes_effect() {
    let (_acceptor, client, _server) = pair("", "user_timeout=1500ms").await;
    assert_eq!(SockRef::from(&client).tcp_user_timeout().unwrap(), Some(Duration::from_millis(1500)));
}

#[tokio::test]
async fn ipv6_sockets_take_the_same_options() {
    let mut acceptor = bind(&endpoint("tcp://[::]:0?v6_only=false&ttl=9")).await.unwrap();
    let port = acceptor.local().to_string().rsplit_once(':').unwrap().1.to_owned();
    for host in ["127.0.0.1", "[::1]"] {
        let client = connect(&endpoint(&format!("tcp://{host}:{port}?ttl=9"))).await.unwrap();
        let (server, _) = acceptor.accept_stream().await.unwrap();
        prepare(&server, None, stream_options("ttl=9")).unwrap();
        let socket = SockRef::from(&server);
        assert_eq!(socket.unicast_hops_v6().unwrap(), 9);
        #[cfg(target_os = "linux")]
        assert_eq!(socket.ttl_v4().unwrap(), 9);
        drop(client);
    }
}

/// Linux takes one connection more than the backlog, and then drops what knocks.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_backlog_meets_the_connect_timeout() {
    let listener = listener("tcp://127.0.0.1:0?backlog=1").await;
    let dial = options(&listener.local(), "connect_timeout=1s");
    let mut waiting = Vec::new();
    let error = loop {
        match Tcp::new().connect(&dial).await {
            Ok(link) => waiting.push(link),
            Err(error) => break error,
        }
    };
    assert_eq!(waiting.len(), 2);
    assert_eq!(error.to_string(), format!("connect {dial}: no answer within 1s"));
}

#[tokio::test]
async fn a_connection_that_is_gone_does_not_disturb_the_listener() {
    let mut listener = listener("tcp://127.0.0.1:0?keepalive=5s&ttl=5").await;
    let gone = connect(&listener.local()).await.unwrap();
    SockRef::from(&gone).set_linger(Some(Duration::ZERO)).unwrap();
    drop(gone);
    let incoming: Incoming = listener.accept().await.unwrap();
    assert!(incoming.peer().to_string().starts_with("127.0.0.1:"));
    drop(incoming);
    let local = listener.local();
    ping(listener.as_mut(), &local).await;
}

#[tokio::test]
async fn a_listener_from_elsewhere_serves() {
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut listener = Tcp::listener_from_std(elsewhere).unwrap();
    let local = listener.local();
    ping(listener.as_mut(), &local).await;
}

#[test]
fn nothing_happens_before_the_first_poll() {
    // Without a runtime, a poll would panic.
    let (tcp, to) = (Tcp::new(), endpoint("tcp://127.0.0.1:1"));
    drop((tcp.connect(&to), tcp.bind(&to)));
}

#[test]
fn every_option_is_read() {
    for doc in OPTIONS {
        let value = match doc.value.split_once([',', ' ']).unwrap().0 {
            "bool" => "true",
            "time" => "5s",
            "IP" => "::1",
            _ => "5",
        };
        for side in [Side::Bind, Side::Connect] {
            if doc.side == side || doc.side == Side::Both {
                let with = endpoint("tcp://[::1]:1").with_option(doc.name, value);
                let wrong = endpoint("tcp://[::1]:1").with_option(doc.name, "x");
                crate::options::Options::read(&with, side).unwrap();
                assert!(crate::options::Options::read(&wrong, side).is_err(), "{} is not read", doc.name);
            }
        }
    }
}

#[test]
fn the_public_types_are_what_users_need() {
    fn check<T: Send + Sync + std::fmt::Debug + Clone + Default + 'static>() {}
    check::<Tcp>();
    let error = BindError::invalid(&endpoint("tcp://h:1"), "x");
    assert!(!error.is_addr_in_use());
}
