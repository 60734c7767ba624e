//! Many datagrams per system call: `recvmmsg(2)` and `sendmmsg(2)`, where asked for with `UDP_GRO` and `UDP_SEGMENT`
//! (`udp(7)`).
//!
//! Unsafe, since nix's wrappers do not fit: its headers keep the length of the last sender's name, which differ on Unix
//! sockets, and its result of sending reads names that only receiving fills in. Here what was received is sent from where it
//! lies, to where it came from.
#![expect(unsafe_code, reason = "the two system calls take raw pointers")]

use std::mem::zeroed;
use std::ops::Range;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::{ptr, slice};

use nix::errno::Errno;
use nix::libc::{self, cmsghdr, iovec, mmsghdr, sockaddr_storage, socklen_t};

/// What is longer is not merged: it must fit into a packet.
const LONGEST_SEGMENT: usize = 1452;
/// What one send may carry, merged: `UDP_MAX_SEGMENTS` of older systems, and the longest datagram.
const SEGMENTS: usize = 64;
const LONGEST: usize = 65_507;

/// Room for a fixed number of datagrams, each with the address of its other end unless the socket is connected.
///
/// Its memory is never given back: a program makes one or two.
pub(crate) struct Batch {
    /// One for each datagram. What they point to is leaked, and nothing else refers to it.
    headers: Vec<mmsghdr>,
    room: usize,
    name_len: socklen_t,
    /// What one send carries: a header for each datagram or train of them, and what makes it a train.
    trains: Vec<mmsghdr>,
    segments: Vec<Segment>,
    trains_as: Trains,
}

/// A control message: the size of each datagram in a train (`cmsg(3)`).
#[repr(C)]
#[derive(Clone, Copy)]
struct Segment {
    header: cmsghdr,
    /// Sent, a `u16`; received, an `int`.
    size: [u8; 8],
}

impl Segment {
    /// The one that makes a train of what is sent.
    fn of(size: u16) -> Self {
        // SAFETY: zeros are a valid value: numbers.
        let mut segment = unsafe { zeroed::<Self>() };
        segment.header.cmsg_len = size_of::<cmsghdr>() + size_of::<u16>();
        segment.header.cmsg_level = libc::SOL_UDP;
        segment.header.cmsg_type = libc::UDP_SEGMENT;
        segment.size[..2].copy_from_slice(&size.to_ne_bytes());
        segment
    }
}

/// What shares one trip through the kernel, beside one system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trains {
    /// Nothing: each datagram is received and sent as one.
    None,
    /// UDP: neighbours to one peer that are equally long leave as one.
    Made,
    /// UDP, where the socket has `UDP_GRO`: a slot receives a train whole, and it leaves as it came.
    Kept,
}

impl Batch {
    /// Room for `slots` datagrams of up to `room` bytes.
    pub(crate) fn new(slots: usize, room: usize, connected: bool, trains_as: Trains) -> Self {
        // Datagrams that begin a power of two apart would contend for the same lines of the cache.
        let stride = (room + 64).next_multiple_of(64);
        let bytes = Box::leak(vec![0_u8; slots * stride].into_boxed_slice());
        // One array, so that a train is a part of it.
        let parts: Vec<iovec> = bytes
            .chunks_exact_mut(stride)
            .map(|bytes| iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: room })
            .collect();
        let parts = Box::leak(parts.into_boxed_slice()).as_mut_ptr();
        let header = |index| {
            // SAFETY: zeros are a valid value of both: numbers and pointers.
            let (mut header, name) = unsafe { (zeroed::<mmsghdr>(), zeroed::<sockaddr_storage>()) };
            if !connected {
                header.msg_hdr.msg_name = ptr::from_mut(Box::leak(Box::new(name))).cast();
            }
            // SAFETY: there are `slots` parts.
            header.msg_hdr.msg_iov = unsafe { parts.add(index) };
            header.msg_hdr.msg_iovlen = 1;
            if trains_as == Trains::Kept {
                header.msg_hdr.msg_control = ptr::from_mut(Box::leak(Box::new(Segment::of(0)))).cast();
            }
            header
        };
        Self {
            headers: (0..slots).map(header).collect(),
            room,
            name_len: if connected { 0 } else { size_of::<sockaddr_storage>() as socklen_t },
            trains: Vec::with_capacity(slots),
            segments: vec![Segment::of(0); slots],
            trains_as,
        }
    }

    /// Receives into at most `count` slots; how many were filled.
    pub(crate) fn recv(&mut self, socket: &OwnedFd, count: usize, flags: i32) -> nix::Result<usize> {
        for header in &mut self.headers[..count] {
            header.msg_hdr.msg_namelen = self.name_len;
            if self.trains_as == Trains::Kept {
                header.msg_hdr.msg_controllen = size_of::<Segment>();
            }
            // SAFETY: this header's own part of what `new` leaked.
            unsafe { (*header.msg_hdr.msg_iov).iov_len = self.room };
        }
        let headers = self.headers[..count].as_mut_ptr();
        // SAFETY: there are `count` headers; their pointers are to leaked memory, at least as long as the lengths say.
        let done = unsafe { libc::recvmmsg(socket.as_raw_fd(), headers, count as u32, flags, ptr::null_mut()) };
        let done = Errno::result(done)? as usize;
        if self.trains_as == Trains::Kept {
            self.headers[..done].iter_mut().for_each(keep);
        }
        Ok(done)
    }

    /// Sends the slots of `range`, each to where it came from; how many left.
    pub(crate) fn send(&mut self, socket: &OwnedFd, range: Range<usize>) -> nix::Result<usize> {
        self.trains.clear();
        for header in &self.headers[range] {
            // SAFETY: this header's own part of what `new` leaked.
            unsafe { (*header.msg_hdr.msg_iov).iov_len = (header.msg_len as usize).min(self.room) };
            match self.trains.last_mut() {
                Some(train) if self.trains_as == Trains::Made && joins(train, header) => train.msg_hdr.msg_iovlen += 1,
                _ => self.trains.push(*header),
            }
        }
        for (train, segment) in self.trains.iter_mut().zip(&mut self.segments) {
            if train.msg_hdr.msg_iovlen > 1 {
                *segment = Segment::of(len(train) as u16);
                train.msg_hdr.msg_control = ptr::from_mut(segment).cast();
                train.msg_hdr.msg_controllen = size_of::<Segment>();
            }
        }
        let count = self.trains.len() as u32;
        // SAFETY: as in `recv`; names are as long as the system, or `new`, said; a train's parts are those of the headers
        // that joined it, which follow one another; `segments` lives as long as `self`.
        let done = unsafe { libc::sendmmsg(socket.as_raw_fd(), self.trains.as_mut_ptr(), count, 0) };
        let done = Errno::result(done)? as usize;
        Ok(self.trains[..done].iter().map(|train| train.msg_hdr.msg_iovlen).sum())
    }

    /// Sets the length of a datagram to be sent.
    pub(crate) fn set_len(&mut self, index: usize, len: usize) {
        self.headers[index].msg_len = len.min(self.room) as u32;
    }

    /// A datagram, as long as it was received or set.
    pub(crate) fn message(&mut self, index: usize) -> &mut [u8] {
        let header = &mut self.headers[index];
        let len = (header.msg_len as usize).min(self.room);
        // SAFETY: `new` leaked `room` bytes for this header alone, all of them initialised; `self` is borrowed as long.
        unsafe { slice::from_raw_parts_mut((*header.msg_hdr.msg_iov).iov_base.cast(), len) }
    }

    /// All the room of a datagram.
    pub(crate) fn room(&mut self, index: usize) -> &mut [u8] {
        self.set_len(index, self.room);
        self.message(index)
    }

    /// How many datagrams have room.
    pub(crate) fn slots(&self) -> usize {
        self.headers.len()
    }
}

/// Makes what the system said of a train that came what it must be told to send it as one.
fn keep(header: &mut mmsghdr) {
    let len = header.msg_hdr.msg_controllen;
    if len < size_of::<cmsghdr>() + size_of::<i32>() {
        header.msg_hdr.msg_controllen = 0; // a single datagram
        return;
    }
    // SAFETY: `new` leaked one for this header alone, where trains are kept; the system has filled it.
    let segment = unsafe { &mut *header.msg_hdr.msg_control.cast::<Segment>() };
    let [a, b, c, d, ..] = segment.size;
    // A segment is no longer than a datagram.
    *segment = Segment::of(i32::from_ne_bytes([a, b, c, d]) as u16);
}

/// The length of the datagram, or of the first one of a train.
fn len(header: &mmsghdr) -> usize {
    // SAFETY: every header here is one of a batch, or a copy; `new` made what it points to.
    unsafe { (*header.msg_hdr.msg_iov).iov_len }
}

/// Whether `next` can leave with the train that it follows.
fn joins(train: &mmsghdr, next: &mmsghdr) -> bool {
    let (size, count) = (len(train), train.msg_hdr.msg_iovlen + 1);
    let fits = (1..=LONGEST_SEGMENT).contains(&size) && count <= SEGMENTS && count * size <= LONGEST;
    fits && len(next) == size && name(train) == name(next)
}

fn name(header: &mmsghdr) -> &[u8] {
    let (name, len) = (header.msg_hdr.msg_name, header.msg_hdr.msg_namelen);
    if name.is_null() {
        return &[];
    }
    // SAFETY: `new` made the name, whole and of zeros; the system does not say that it is longer than it was told to write.
    unsafe { slice::from_raw_parts(name.cast(), (len as usize).min(size_of::<sockaddr_storage>())) }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::unix::net::UnixDatagram;

    use nix::sys::socket::{setsockopt, sockopt};

    use super::*;

    #[test]
    fn every_sender_is_answered_whatever_the_length_of_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server");
        let server = OwnedFd::from(UnixDatagram::bind(&path).unwrap());
        let mut batch = Batch::new(4, 100, false, Trains::None);
        for round in 0..2 {
            let names = ["short", "much-longer-than-short", "mid-length"].map(|name| format!("{name}{round}"));
            let clients = names.map(|name| UnixDatagram::bind(dir.path().join(name)).unwrap());
            for (i, client) in clients.iter().enumerate() {
                client.send_to(&vec![b'a' + i as u8; i], &path).unwrap();
            }
            assert_eq!(batch.recv(&server, 4, libc::MSG_DONTWAIT), Ok(3));
            (0..3).for_each(|i| batch.message(i).make_ascii_uppercase());
            assert_eq!(batch.send(&server, 0..3), Ok(3));
            for (i, client) in clients.iter().enumerate() {
                let mut reply = [0; 8];
                let len = client.recv(&mut reply).unwrap();
                assert_eq!(reply[..len], vec![b'A' + i as u8; i]);
            }
        }
    }

    #[test]
    fn what_is_longer_than_the_room_is_cut() {
        let (a, b) = UnixDatagram::pair().unwrap();
        let mut batch = Batch::new(2, 5, true, Trains::None);
        a.send(b"longer").unwrap();
        let b = OwnedFd::from(b);
        assert_eq!(batch.recv(&b, 2, libc::MSG_DONTWAIT), Ok(1));
        assert_eq!(batch.message(0), b"longe");
        assert_eq!(batch.recv(&b, 2, libc::MSG_DONTWAIT), Err(Errno::EAGAIN));
    }

    #[test]
    fn neighbours_that_leave_together_arrive_apart_each_at_its_sender() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = server.local_addr().unwrap();
        let clients = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        // Equal lengths, another length, another sender, nothing, too long to be merged.
        let long = [b'l'; LONGEST_SEGMENT + 1];
        let sent: [(usize, &[u8]); 10] = [
            (0, b"aa"),
            (0, b"bb"),
            (0, b"cc"),
            (0, b"ddd"),
            (1, b"eee"),
            (1, b"fff"),
            (1, b""),
            (1, b""),
            (0, &long),
            (0, &long),
        ];
        for (client, message) in sent {
            clients[client].send_to(message, to).unwrap();
        }
        let server = OwnedFd::from(server);
        let mut batch = Batch::new(16, 2000, false, Trains::Made);
        assert_eq!(batch.recv(&server, 16, libc::MSG_DONTWAIT), Ok(10));
        assert_eq!(batch.send(&server, 0..10), Ok(10));
        assert_eq!(batch.trains.len(), 7);
        for (client, message) in sent {
            let mut reply = [0; 2000];
            let len = clients[client].recv(&mut reply).unwrap();
            assert_eq!(reply[..len], *message);
        }
    }

    #[test]
    fn a_train_is_received_whole_and_arrives_apart() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(server.local_addr().unwrap()).unwrap();
        let (server, client) = (OwnedFd::from(server), OwnedFd::from(client));
        setsockopt(&server, sockopt::UdpGroSegment, &true).unwrap();
        let (mut requests, mut replies) =
            (Batch::new(6, 10, true, Trains::Made), Batch::new(6, 10, true, Trains::None));
        let mut batch = Batch::new(4, 2000, false, Trains::Kept);
        // The second time, what held a train holds a single datagram: of it, nothing may be left.
        for lens in [&[3, 3, 3, 7, 7, 9][..], &[5, 4, 5, 5]] {
            for (index, len) in lens.iter().enumerate() {
                requests.set_len(index, *len);
                requests.message(index).fill(b'a' + index as u8);
            }
            assert_eq!(requests.send(&client, 0..lens.len()), Ok(lens.len()));
            assert_eq!(batch.recv(&server, 4, libc::MSG_DONTWAIT), Ok(3));
            (0..3).for_each(|slot| batch.message(slot).make_ascii_uppercase());
            // A slot at a time and all of the rest, as where a send stops half-way.
            assert_eq!(batch.send(&server, 0..1), Ok(1));
            assert_eq!(batch.send(&server, 1..3), Ok(2));
            assert_eq!(replies.recv(&client, 6, libc::MSG_DONTWAIT), Ok(lens.len()));
            for (index, len) in lens.iter().enumerate() {
                assert_eq!(replies.message(index), vec![b'A' + index as u8; *len]);
            }
        }
    }
}
