//! Over the loopback interface and over Unix sockets.

use std::io::{self, Read as _};
use std::net::UdpSocket;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;

use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, setsockopt, socketpair, sockopt,
};
use swapwire_core::{Addr, RecvBatch, SendBatch, UnixAddr};

use crate::headers::forbid_checksums;
use crate::{BATCH, Behind, Merging, Peers, Receiver, Sender};

const MAX: usize = 65_507;

fn bound(host: &str) -> (UdpSocket, Addr) {
    let socket = UdpSocket::bind(format!("{host}:0")).unwrap();
    socket.set_nonblocking(true).unwrap();
    let addr = Addr::inet(socket.local_addr().unwrap());
    (socket, addr)
}

fn batch(entries: &[(&[u8], Addr)]) -> SendBatch {
    let mut batch = SendBatch::new();
    entries.iter().for_each(|(message, to)| batch.push(message, *to, None));
    batch
}

/// What is in a batch: who sent it, the messages of the slot.
fn all(batch: &RecvBatch) -> Vec<(Option<Addr>, Vec<u8>)> {
    assert!(batch.iter().all(|(meta, _)| !meta.truncated));
    batch.iter().map(|(meta, message)| (meta.peer, message.to_vec())).collect()
}

/// The number of calls that it takes to send everything.
fn send_all(sender: &mut Sender, socket: BorrowedFd<'_>, batch: &SendBatch, merging: &mut Merging) -> usize {
    let (mut from, mut calls) = (0, 0);
    while from < batch.len() {
        from += sender.send(socket, batch, from, merging).unwrap();
        calls += 1;
    }
    assert_eq!(sender.send(socket, batch, from, merging).unwrap(), 0);
    calls
}

#[test]
fn every_sender_is_known_whatever_the_length_of_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("server");
    let server = UnixDatagram::bind(&path).unwrap();
    let unix = |path: &Path| UnixAddr::from_path(path).map(Addr::Unix).unwrap();
    let (mut receiver, mut sender) = (Receiver::new(Peers::Unix, MAX), Sender::new(Peers::Unix, MAX));
    let mut received = RecvBatch::new(5, 100);
    for round in 0..3 {
        let names =
            ["short", "much-longer-than-short", "mid-length"].map(|name| dir.path().join(format!("{name}{round}")));
        let clients = [2, 0, 1].map(|i| (UnixDatagram::bind(&names[i]).unwrap(), &names[i]));
        let nobody = UnixDatagram::unbound().unwrap();
        for (client, _) in &clients {
            client.send_to(b"ask", &path).unwrap();
            nobody.send_to(b"nobody", &path).unwrap();
        }
        received.clear();
        assert!(!receiver.recv(server.as_fd(), &mut received, 5).unwrap());
        let mut replies = SendBatch::new();
        for (i, (peer, message)) in all(&received).into_iter().enumerate() {
            if i % 2 == 0 {
                assert_eq!((peer, message.as_slice()), (Some(unix(clients[i / 2].1)), b"ask".as_slice()));
                replies.push(clients[i / 2].1.to_str().unwrap().as_bytes(), peer.unwrap(), None);
            } else {
                assert_eq!((peer, message.as_slice()), (None, b"nobody".as_slice()));
            }
        }
        assert_eq!(sender.send(server.as_fd(), &replies, 0, &mut Merging::new(false)).unwrap(), 3);
        for (client, path) in &clients {
            let mut reply = [0; 200];
            let len = client.recv(&mut reply).unwrap();
            assert_eq!(&reply[..len], path.to_str().unwrap().as_bytes());
        }
        received.clear();
        assert!(receiver.recv(server.as_fd(), &mut received, 5).unwrap());
        assert_eq!(received.len(), 1);
    }
}

#[test]
fn a_full_peer_ends_the_call_and_then_is_its_error() {
    let dir = tempfile::tempdir().unwrap();
    let server = UnixDatagram::bind(dir.path().join("server")).unwrap();
    let [full, good] = ["full", "good"].map(|name| UnixDatagram::bind(dir.path().join(name)).unwrap());
    let [to_full, to_good] =
        ["full", "good"].map(|name| UnixAddr::from_path(&dir.path().join(name)).map(Addr::Unix).unwrap());
    let mut sender = Sender::new(Peers::Unix, MAX);
    let filling = batch(&[(b"x", to_full)]);
    while sender.send(server.as_fd(), &filling, 0, &mut Merging::new(false)).is_ok() {}
    let replies = batch(&[(b"1", to_good), (b"2", to_good), (b"3", to_full), (b"4", to_good)]);
    let mut send = |from| sender.send(server.as_fd(), &replies, from, &mut Merging::new(false));
    assert_eq!(send(0).unwrap(), 2);
    assert_eq!(send(2).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert_eq!(send(3).unwrap(), 1);
    full.recv(&mut [0; 1]).unwrap();
    assert_eq!(send(2).unwrap(), 2);
    for expected in [b"1", b"2", b"4", b"4"] {
        let mut message = [0; 2];
        assert_eq!((good.recv(&mut message).unwrap(), &message[..1]), (1, expected.as_slice()));
    }
}

#[test]
fn batches_in_turn_and_batches_in_part_get_what_is_theirs() {
    let (server, to) = bound("127.0.0.1");
    let (client, from) = bound("127.0.0.1");
    let mut receiver = Receiver::new(Peers::Inet, MAX);
    let mut batches = [RecvBatch::new(4, 100), RecvBatch::new(3, 300), RecvBatch::new(70, 10)];
    let mut text = (0_u32..).map(|i| i.to_string().into_bytes());
    for _ in 0..4 {
        for received in &mut batches {
            received.clear();
            for count in [1, 2, 1] {
                let sent: Vec<_> = text.by_ref().take(count).collect();
                sent.iter().for_each(|message| assert!(client.send_to(message, socket_addr(&to)).is_ok()));
                let before = received.len();
                let room = received.slots() - before;
                assert_eq!(receiver.recv(server.as_fd(), received, usize::MAX).unwrap(), room > count);
                let sent: Vec<_> = sent.into_iter().take(room).map(|message| (Some(from), message)).collect();
                assert_eq!(all(received)[before..], sent);
                while received.is_full() && server.recv(&mut [0; 9]).is_ok() {}
                if received.is_full() {
                    break;
                }
                let kind = receiver.recv(server.as_fd(), received, 9).unwrap_err().kind();
                assert_eq!(kind, io::ErrorKind::WouldBlock);
            }
        }
    }
}

fn socket_addr(addr: &Addr) -> std::net::SocketAddr {
    match addr {
        Addr::Inet(addr) => *addr,
        other => panic!("{other}"),
    }
}

#[test]
fn more_than_one_call_moves_is_moved_by_several() {
    let ((a, from), (b, to)) = (bound("127.0.0.1"), bound("127.0.0.1"));
    // Growing, so that nothing merges.
    let messages: Vec<_> = (0..150).map(|i| vec![b'x'; i]).collect();
    let entries: Vec<_> = messages.iter().map(|message| (message.as_slice(), to)).collect();
    let calls = send_all(&mut Sender::new(Peers::Inet, MAX), a.as_fd(), &batch(&entries), &mut Merging::new(true));
    assert_eq!(calls, 3);
    let (mut receiver, mut received) = (Receiver::new(Peers::Inet, MAX), RecvBatch::new(150, 150));
    assert!(!receiver.recv(b.as_fd(), &mut received, usize::MAX).unwrap());
    assert_eq!(received.len(), BATCH);
    assert!(!receiver.recv(b.as_fd(), &mut received, usize::MAX).unwrap());
    assert!(!receiver.recv(b.as_fd(), &mut received, usize::MAX).unwrap(), "every slot that was free is filled");
    assert_eq!(all(&received), messages.into_iter().map(|message| (Some(from), message)).collect::<Vec<_>>());
}

#[test]
fn neighbours_leave_together_and_arrive_apart_or_as_a_train() {
    for (host, peers) in [("127.0.0.1", Peers::Inet), ("[::1]", Peers::Inet6)] {
        for gro in [false, true] {
            let (a, from) = bound(host);
            let clients = [bound(host), bound(host)];
            for (client, _) in &clients {
                setsockopt(client, sockopt::UdpGroSegment, &gro).unwrap();
            }
            let long = [b'l'; 1453];
            let sent: [(usize, &[u8]); 13] = [
                (0, b"aa"),
                (0, b"bb"),
                (0, b"c"),
                (0, b"dd"),
                (0, b"eee"),
                (1, b"fff"),
                (1, b"ggg"),
                (1, b""),
                (1, b""),
                (0, &long),
                (0, &long),
                (0, b"h"),
                (0, b"i"),
            ];
            let entries: Vec<_> = sent.iter().map(|(client, message)| (*message, clients[*client].1)).collect();
            let merging = &mut Merging::new(true);
            assert_eq!(send_all(&mut Sender::new(peers, MAX), a.as_fd(), &batch(&entries), merging), 1);
            for (client, slots) in [(0, if gro { 6 } else { 9 }), (1, if gro { 3 } else { 4 })] {
                let mut received = RecvBatch::new(16, 65_535);
                assert!(Receiver::new(peers, MAX).recv(clients[client].0.as_fd(), &mut received, 16).unwrap());
                assert_eq!(received.len(), slots, "over {host}, gro: {gro}");
                let mut messages = Vec::new();
                for (meta, bytes) in received.iter() {
                    assert_eq!((meta.peer, meta.truncated), (Some(from), false));
                    assert!(gro || meta.segment.is_none());
                    messages.extend(meta.datagrams(bytes));
                }
                let expected: Vec<_> =
                    sent.iter().filter(|(to, _)| *to == client).map(|(_, message)| *message).collect();
                assert_eq!(messages, expected);
            }
        }
    }
}

#[test]
fn a_train_tells_its_segments_and_its_local_address() {
    for (bind, host, peers) in [("0.0.0.0", "127.0.0.5", Peers::Inet), ("[::]", "[::1]", Peers::Inet6)] {
        let (server, _) = bound(bind);
        setsockopt(&server, sockopt::UdpGroSegment, &true).unwrap();
        match peers {
            Peers::Inet => setsockopt(&server, sockopt::Ipv4PacketInfo, &true).unwrap(),
            _ => setsockopt(&server, sockopt::Ipv6RecvPacketInfo, &true).unwrap(),
        }
        let asked: std::net::SocketAddr = format!("{host}:{}", server.local_addr().unwrap().port()).parse().unwrap();
        let (client, from) = bound(if peers == Peers::Inet { "127.0.0.1" } else { "[::1]" });
        let mut train = SendBatch::new();
        for message in [b"one".as_slice(), b"two", b"3"] {
            train.push(message, Addr::inet(asked), None);
        }
        Sender::new(peers, MAX).send(client.as_fd(), &train, 0, &mut Merging::new(true)).unwrap();
        let mut received = RecvBatch::new(2, 65_535);
        assert!(Receiver::new(peers, MAX).recv(server.as_fd(), &mut received, 2).unwrap());
        let (meta, bytes) = received.get(0).unwrap();
        assert_eq!((meta.peer, meta.local, meta.segment), (Some(from), Some(asked.ip()), NonZeroUsize::new(3)));
        assert_eq!(bytes, b"onetwo3");

        let mut answer = SendBatch::new();
        (0..3).for_each(|_| answer.push(b"answer", from, meta.local));
        let merging = &mut Merging::new(true);
        assert_eq!(Sender::new(peers, MAX).send(server.as_fd(), &answer, 0, merging).unwrap(), 3);
        for _ in 0..3 {
            let (len, sender) = client.recv_from(&mut [0; 9]).unwrap();
            assert_eq!((len, sender), (6, asked));
        }
    }
}

#[test]
fn what_is_longer_than_the_slot_or_the_limit_is_marked() {
    let (server, to) = bound("127.0.0.1");
    let (client, _) = bound("127.0.0.1");
    let (mut receiver, mut received) = (Receiver::new(Peers::Inet, 4), RecvBatch::new(8, 5));
    for message in ["1234", "12345", "123456", ""] {
        client.send_to(message.as_bytes(), socket_addr(&to)).unwrap();
    }
    assert!(receiver.recv(server.as_fd(), &mut received, 8).unwrap());
    let marks: Vec<_> = received.iter().map(|(meta, message)| (meta.truncated, message.len())).collect();
    assert_eq!(marks, [(false, 4), (true, 5), (true, 5), (false, 0)]);
}

#[test]
fn an_error_is_about_the_first_entry_alone() {
    let (a, own) = bound("127.0.0.1");
    let (b, to) = bound("127.0.0.1");
    let named = Addr::named("mem", "x").unwrap();
    let v6 = Addr::inet("[::1]:9".parse().unwrap());
    let large = vec![0; MAX + 1];
    let entries: [(&[u8], Addr); 6] = [(b"1", to), (b"2", named), (b"3", v6), (&large, to), (b"4", to), (b"5", own)];
    let (entries, mut sender) = (batch(&entries), Sender::new(Peers::Inet, MAX));
    let mut send = |from| sender.send(a.as_fd(), &entries, from, &mut Merging::new(true));
    assert_eq!(send(0).unwrap(), 1);
    for bad in 1..=3 {
        assert_eq!(send(bad).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
    assert_eq!(send(4).unwrap(), 2);
    for expected in [b"1", b"4"] {
        let mut message = [0; 2];
        assert_eq!((b.recv(&mut message).unwrap(), &message[..1]), (1, expected.as_slice()));
    }
}

/// Without checksums, as with a device that cannot compute them, Linux refuses to segment (`udp_send_skb`).
#[test]
fn a_refused_train_leaves_one_by_one_and_merging_pauses() {
    let (a, _) = bound("127.0.0.1");
    let clients = [bound("127.0.0.1"), bound("127.0.0.1")];
    forbid_checksums(a.as_fd(), true).unwrap();
    let (mut sender, mut merging) = (Sender::new(Peers::Inet, MAX), Merging::new(true));
    let to = |i: usize| clients[i % 2].1;
    // The refused train is the first message, or behind others.
    let entries: Vec<(&[u8], Addr)> =
        [(b"a".as_slice(), to(1)), (b"bb", to(0)), (b"cc", to(0)), (b"dd", to(0)), (b"e", to(1))].to_vec();
    for from in [0, 1] {
        merging = Merging::new(true);
        let batch = batch(&entries[from..]);
        assert_eq!(send_all(&mut sender, a.as_fd(), &batch, &mut merging), 2 - from);
        assert!(!merging.is_on());
    }
    let mut message = [0; 9];
    for _ in 0..2 {
        for expected in [b"bb", b"cc", b"dd"] {
            assert_eq!((clients[0].0.recv(&mut message).unwrap(), &message[..2]), (2, expected.as_slice()));
        }
    }
    forbid_checksums(a.as_fd(), false).unwrap();
    let mut count = 0;
    let pair = batch(&entries[1..3]);
    while !merging.is_on() {
        count += sender.send(a.as_fd(), &pair, 0, &mut merging).unwrap();
        assert!(count < 5000, "the pause does not end");
        while clients[0].0.recv(&mut message).is_ok() {}
    }
    assert!(count > 500, "the pause was of {count} datagrams");
    assert_eq!(sender.send(a.as_fd(), &pair, 0, &mut merging).unwrap(), 2);
    assert!(merging.is_on());
}

/// Sends `message` with one end of a connection, and gives the other end.
fn with_descriptor(socket: &UnixDatagram, message: &[u8], to: Option<&Path>) -> UnixStream {
    let (reader, writer) = UnixStream::pair().unwrap();
    // A read fails where the end is still open, rather than wait for ever.
    reader.set_nonblocking(true).unwrap();
    let to = to.map(|path| nix::sys::socket::UnixAddr::new(path).unwrap());
    let (message, control) = ([io::IoSlice::new(message)], [writer.as_raw_fd()]);
    let control = [ControlMessage::ScmRights(&control)];
    sendmsg(socket.as_raw_fd(), &message, &control, MsgFlags::empty(), to.as_ref()).unwrap();
    reader
}

#[test]
fn descriptors_are_refused_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("server");
    let server = UnixDatagram::bind(&path).unwrap();
    let client = UnixDatagram::bind(dir.path().join("client")).unwrap();
    let pair = UnixDatagram::pair().unwrap();
    for (peers, socket, from, to) in
        [(Peers::Unix, &server, &client, Some(path.as_path())), (Peers::OneUnix, &pair.0, &pair.1, None)]
    {
        let mut receiver = Receiver::new(peers, 4);
        for size in [100, 3] {
            let ends = [b"a".as_slice(), b"too long", b"b"].map(|message| with_descriptor(from, message, to));
            match to {
                Some(path) => from.send_to(b"c", path).unwrap(),
                None => from.send(b"c").unwrap(),
            };
            let mut received = RecvBatch::new(8, size);
            assert!(receiver.recv(socket.as_fd(), &mut received, 8).unwrap());
            assert_eq!((received.len(), received.with_descriptors()), (4, 3));
            let marks: Vec<_> = received.iter().map(|(meta, _)| (meta.peer.is_some(), meta.truncated)).collect();
            assert_eq!(marks, [false, true, false, false].map(|truncated| (to.is_some(), truncated)));
            for mut end in ends {
                assert_eq!(end.read(&mut [0]).ok(), Some(0), "the descriptor stayed open");
            }
        }
    }
}

#[test]
fn an_empty_message_is_told_from_the_end() {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let (a, b) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).unwrap();
    setsockopt(&b, sockopt::PassCred, &true).unwrap();
    let (mut sender, mut receiver) = (Sender::new(Peers::SeqUnix, MAX), Receiver::new(Peers::SeqUnix, MAX));
    let to = Addr::named("unix", "peer").unwrap();
    let messages: [&[u8]; 5] = [b"", b"four", b"", b"five!", b""];
    let entries = messages.map(|message| (message, to));
    assert_eq!(send_all(&mut sender, a.as_fd(), &batch(&entries), &mut Merging::new(false)), 1);
    let mut received = RecvBatch::new(16, 4);
    let mut receive = |received: &mut RecvBatch, count| receiver.recv_messages(b.as_fd(), received, count, 3);
    assert_eq!(receive(&mut received, 2).unwrap(), Behind::More);
    assert_eq!(received.len(), 2);
    assert_eq!(receive(&mut received, 16).unwrap(), Behind::Nothing);
    let got: Vec<_> = received.iter().map(|(meta, message)| (meta.truncated, message)).collect();
    // Larger than the largest, and larger than the slot.
    let expected: [(bool, &[u8]); 5] = [(false, b""), (true, b"four"), (false, b""), (true, b"five"), (false, b"")];
    assert_eq!(got, expected);
    assert_eq!(receive(&mut received, 16).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert_eq!((received.len(), received.with_descriptors()), (5, 0));

    assert_eq!(send_all(&mut sender, a.as_fd(), &batch(&entries[..1]), &mut Merging::new(false)), 1);
    drop(a);
    received.clear();
    assert_eq!(receive(&mut received, 16).unwrap(), Behind::End);
    assert_eq!(received.len(), 1);
    assert_eq!(receive(&mut received, 16).unwrap(), Behind::End);
    assert_eq!(received.len(), 1);
}
