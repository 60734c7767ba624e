//! Groups and broadcast, over the loopback interface.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use super::*;

/// Whether the loopback interface carries groups here; a container may forbid it.
fn carries_groups() -> bool {
    let carries = || {
        let socket = UdpSocket::bind("239.1.2.3:0")?;
        let (sockref, port) = (SockRef::from(&socket), socket.local_addr()?.port());
        sockref.join_multicast_v4_n(&Ipv4Addr::new(239, 1, 2, 3), &socket2::InterfaceIndexOrAddress::Index(1))?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        let sender = UdpSocket::bind("127.0.0.1:0")?;
        SockRef::from(&sender).bind_device(Some(b"lo"))?;
        sender.send_to(b"x", ("239.1.2.3", port))?;
        socket.recv_from(&mut [0; 8])
    };
    carries().inspect_err(|error| eprintln!("skipped: groups on the loopback interface: {error}")).is_ok()
}

async fn all(text: &str, members: usize) -> Vec<Box<dyn DatagramSocket>> {
    let bound = Udp::new().bind_all(&endpoint(text), members).await.unwrap();
    let socket = |bound| match bound {
        Bound::Socket(socket) => socket,
        other => panic!("{other:?}"),
    };
    bound.into_iter().flatten().map(socket).collect()
}

/// Which of them hears a datagram first, and what.
async fn first_of(members: &mut [Box<dyn DatagramSocket>]) -> (usize, Vec<u8>) {
    let mut batch = RecvBatch::new(1, members[0].slot_size());
    poll_fn(|cx| {
        for (at, member) in members.iter_mut().enumerate() {
            if let Poll::Ready(done) = member.poll_recv(cx, &mut batch) {
                done.unwrap();
                return Poll::Ready((at, batch.get(0).unwrap().1.to_vec()));
            }
        }
        Poll::Pending
    })
    .await
}

async fn talk(server: &mut dyn DatagramSocket, to: &Endpoint) {
    let mut client = client(to).await;
    let (mut batch, mut replies) = (RecvBatch::new(8, server.slot_size()), SendBatch::new());
    for message in [b"who".as_slice(), b""] {
        client.send(message).await.unwrap();
        batch.clear();
        poll_fn(|cx| server.poll_recv(cx, &mut batch)).await.unwrap();
        let (meta, heard) = batch.get(0).unwrap();
        assert!(heard == message && batch.len() == 1);
        replies.clear();
        replies.push(message, meta.peer.unwrap(), meta.local);
        assert_eq!(poll_fn(|cx| server.poll_send(cx, &replies, 0)).await.unwrap(), 1);
        assert_eq!(client.recv().await.unwrap(), message);
    }
    assert!(matches!(client.send(&[0; MAX_MESSAGE + 1]).await, Err(SendError::TooLarge { .. })));
}

/// Each would answer, if several heard the same datagram.
#[tokio::test]
async fn a_group_is_joined_by_one_socket_and_its_answers_are_heard() {
    if !carries_groups() {
        return;
    }
    let mut members = all("udp://239.1.2.3:0?interface=lo", 3).await;
    assert_eq!(members.len(), 1);
    let to = endpoint(&format!("{}?interface=lo&ttl=3", members[0].local()));
    talk(&mut *members[0], &to).await;
}

/// Of IPv6, on an interface that carries groups: one of this scope is heard on this host alone (RFC 4291, section 2.7).
#[tokio::test]
async fn a_group_of_ipv6_has_a_scope() {
    let carries = |name: &String| {
        let flags = std::fs::read_to_string(format!("/sys/class/net/{name}/flags")).unwrap_or_default();
        let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).unwrap_or(0);
        let wanted = (libc::IFF_UP | libc::IFF_MULTICAST) as u32;
        flags & wanted == wanted && UdpSocket::bind((format!("ff11::1234%{name}").as_str(), 0)).is_ok()
    };
    let names = std::fs::read_dir("/sys/class/net").unwrap();
    let mut names = names.map(|name| name.unwrap().file_name().into_string().unwrap());
    let Some(name) = names.find(carries) else {
        eprintln!("skipped: no interface carries groups of IPv6");
        return;
    };
    let mut members = all(&format!("udp://[ff11::1234%{name}]:0"), 3).await;
    assert_eq!(members.len(), 1);
    let to = members[0].local();
    talk(&mut *members[0], &to).await;
}

#[tokio::test]
async fn a_group_that_cannot_be_joined_says_what_would_be_right() {
    let refused = async |text: &str| Udp::new().bind_all(&endpoint(text), 1).await.unwrap_err().to_string();
    let error = refused("udp://239.1.2.3:0?interface=no-such0").await;
    assert!(error.contains("interface no-such0: "), "{error}");
    let error = Udp::new().connect(&endpoint("udp://239.1.2.3:9?interface=no-such0")).await.unwrap_err().to_string();
    assert!(error.contains("interface no-such0: "), "{error}");
}

/// Of groups that it has not joined, a socket hears nothing, although somebody else here has joined them.
#[tokio::test]
async fn a_wildcard_does_not_hear_the_groups_of_others() {
    if !carries_groups() {
        return;
    }
    let _joined = all("udp://239.1.2.3:0?interface=lo", 1).await;
    let mut wildcard = server::<Default>("udp://0.0.0.0:0").await;
    let port = port(&wildcard.local());
    let mut client = client(&endpoint(&format!("udp://239.1.2.3:{port}?interface=lo"))).await;
    client.send(b"to the group").await.unwrap();
    let mut own = super::client(&endpoint(&format!("udp://127.0.0.1:{port}"))).await;
    own.send(b"to the host").await.unwrap();
    let mut batch = RecvBatch::new(4, wildcard.slot_size());
    recv(&mut wildcard, &mut batch).await;
    assert!(batch.len() == 1 && batch.get(0).unwrap().1 == b"to the host");
}

#[tokio::test]
async fn a_broadcast_is_heard_once_and_its_answers_too() {
    let to_all = |port: &str, options: &str| endpoint(&format!("udp://127.255.255.255:{port}{options}"));
    // Bound to the address itself, by one socket for any number of workers.
    let mut members = all("udp://127.255.255.255:0", 3).await;
    assert_eq!(members.len(), 1);
    let to = to_all(&port(&members[0].local()), "?broadcast=true");
    talk(&mut *members[0], &to).await;

    // At a wildcard, by the first of several; what is sent to the others alone shows that nothing waits there before it.
    for wildcard in ["udp://0.0.0.0:0", "udp://[::]:0?v6_only=false"] {
        let mut members = all(wildcard, 3).await;
        let port = port(&members[0].local());
        assert_eq!(members.len(), 3);
        talk(&mut *members[0], &to_all(&port, "?broadcast=true")).await;
        let mut heard = vec![0; members.len()];
        while heard.contains(&0) {
            let marker = UdpSocket::bind("127.0.0.1:0").unwrap();
            marker.send_to(b"to one", format!("127.0.0.1:{port}")).unwrap();
            let (at, message) = first_of(&mut members).await;
            assert_eq!(message, b"to one", "member {at}, {wildcard}");
            heard[at] += 1;
        }
        let error = Udp::new().connect(&to_all(&port, "")).await.unwrap_err();
        let reason = "127.255.255.255 is a broadcast address; broadcast=true allows sending there";
        assert_eq!(error.to_string(), format!("connect {}: {reason}", to_all(&port, "")));
    }
}

/// A link that hears everybody is for groups and broadcasts alone.
#[tokio::test]
async fn a_host_is_heard_alone_even_where_broadcast_is_allowed() {
    let mut server = server::<Default>("udp://127.0.0.1:0").await;
    let mut client = client(&endpoint(&format!("{}?broadcast=true", server.local()))).await;
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let Addr::Inet(local) = client.local else { panic!("{:?}", client.local) };
    stranger.send_to(b"strange", local).unwrap();
    client.send(b"x").await.unwrap();
    echo(&mut server, 1).await;
    assert_eq!(client.recv().await.unwrap(), b"x");
}
