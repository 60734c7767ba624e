//! The headers of the two system calls, and the memory that they point to.
#![expect(unsafe_code, reason = "the system calls take raw pointers, and no maintained library wraps both of them")]
#![allow(clippy::unnecessary_cast, reason = "C libraries do not agree on the types of lengths")]

use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr;

use libc::{iovec, mmsghdr};
use swapwire_core::RecvBatch;

use crate::{BATCH, Peers, control, name};

/// Headers for up to [`BATCH`] datagrams, made as far as they are needed.
pub(crate) struct Headers {
    /// Header `i` points to slot `i` from the time that it is made.
    headers: Vec<mmsghdr>,
    /// Never moves but in [`Headers::grow`], which points the headers to where it is then.
    slots: Vec<Slot>,
    /// Bytes for a name, if headers point to names.
    name_len: usize,
    /// Bytes for control messages, if headers point to any.
    control_len: usize,
    /// The memory that the first [`described`](Self::described) slots point to.
    memory: Memory,
    described: usize,
}

/// What one header points to.
#[repr(C, align(64))]
pub(crate) struct Slot {
    part: iovec,
    pub(crate) name: [u8; name::MAX_LEN],
    pub(crate) control: [u8; control::SPACE],
}

/// Where free slots of a batch begin, and how they lie.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Memory {
    start: usize,
    slot_size: usize,
    stride: usize,
}

// SAFETY: the pointers in it are to slots that it owns, or to memory of a batch, and the latter are used only during a call
// that borrows that batch.
unsafe impl Send for Headers {}

impl Headers {
    pub(crate) const fn new(peers: Peers) -> Self {
        let memory = Memory { start: 0, slot_size: 0, stride: 0 };
        let name_len = if peers.have_names() { name::MAX_LEN } else { 0 };
        let control_len = if peers.have_control() { control::SPACE } else { 0 };
        Self { headers: Vec::new(), slots: Vec::new(), name_len, control_len, memory, described: 0 }
    }

    /// Makes headers until there are `count`.
    #[inline]
    fn grow(&mut self, count: usize) {
        if self.headers.len() < count {
            self.make(count);
        }
    }

    #[cold]
    fn make(&mut self, count: usize) {
        let before = self.headers.len();
        let part = iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        self.slots.resize_with(count, || Slot { part, name: [0; name::MAX_LEN], control: [0; control::SPACE] });
        // SAFETY: zeros are a valid value: numbers and pointers.
        self.headers.resize(count, unsafe { zeroed() });
        self.described = 0;
        for (header, slot) in self.headers.iter_mut().zip(&mut self.slots) {
            header.msg_hdr.msg_iov = ptr::from_mut(&mut slot.part);
            header.msg_hdr.msg_iovlen = 1;
            if self.control_len > 0 {
                header.msg_hdr.msg_control = slot.control.as_mut_ptr().cast();
            }
            if self.name_len > 0 {
                header.msg_hdr.msg_name = slot.name.as_mut_ptr().cast();
            }
        }
        self.headers[before..].iter_mut().for_each(|header| reset(header, self.name_len, self.control_len));
    }

    /// One `recvmmsg` into free slots of `batch`, `count` at most; how many there were, of which the caller
    /// [takes](Headers::take) each.
    pub(crate) fn receive(&mut self, socket: BorrowedFd<'_>, batch: &mut RecvBatch, count: usize) -> io::Result<usize> {
        let count = count.min(batch.slots() - batch.len()).min(BATCH);
        self.grow(count);
        self.describe(batch, count);
        let headers = self.headers[..count].as_mut_ptr();
        // SAFETY: there are `count` headers. Each points to a slot of its own, of `self`, to a name and a control buffer in
        // it as long as `reset` says or none, and from there to memory of `batch`, which `describe` saw to.
        let done = unsafe {
            libc::recvmmsg(socket.as_raw_fd(), headers, count as _, libc::MSG_DONTWAIT as _, ptr::null_mut())
        };
        result(done as isize)
    }

    /// Points the first `count` slots to as many free slots of `batch`, which has them.
    #[inline]
    fn describe(&mut self, batch: &mut RecvBatch, count: usize) {
        let (slot_size, stride) = (batch.slot_size(), batch.stride());
        let first = batch.len() * stride;
        let free = &mut batch.memory()[first..];
        let memory = Memory { start: free.as_mut_ptr().expose_provenance(), slot_size, stride };
        if self.memory != memory {
            self.memory = memory;
            self.described = 0;
        }
        // What was described stays true: the start, the size and the distance are the same, and there are `count`.
        for (slot, free) in self.slots[..count].iter_mut().zip(free.chunks_exact_mut(stride)).skip(self.described) {
            slot.part = iovec { iov_base: free[..slot_size].as_mut_ptr().cast(), iov_len: slot_size };
        }
        self.described = self.described.max(count);
    }

    /// Gives the `count` datagrams that were received to `give`, and makes their headers ready for others. How many of them
    /// had control messages although there is no buffer for them.
    #[inline]
    pub(crate) fn take(&mut self, count: usize, mut give: impl FnMut(Received<'_>)) -> usize {
        let (name_len, control_len) = (self.name_len, self.control_len);
        let refusal = if control_len == 0 { libc::MSG_CTRUNC } else { 0 };
        let mut refused = 0;
        for (header, slot) in self.headers[..count].iter_mut().zip(&self.slots) {
            let hdr = &header.msg_hdr;
            let name = &slot.name[..(hdr.msg_namelen as usize).min(name_len)];
            let control = &slot.control[..(hdr.msg_controllen as usize).min(control_len)];
            let truncated = hdr.msg_flags & libc::MSG_TRUNC != 0;
            refused += usize::from(hdr.msg_flags & refusal != 0);
            let marked = hdr.msg_flags & libc::MSG_CTRUNC != 0;
            give(Received { len: header.msg_len as usize, truncated, marked, name, control });
            reset(header, name_len, control_len);
        }
        refused
    }

    /// Sends what `next` gives, up to `most` messages, by one system call; how many left. For each, `next` writes where it
    /// goes and its control messages. What it fails to give is the last, or the error if it is the first.
    #[inline]
    pub(crate) fn send<'a>(
        &mut self,
        socket: BorrowedFd<'_>,
        most: usize,
        mut next: impl FnMut(&mut Slot) -> io::Result<Option<Outgoing<'a>>>,
    ) -> io::Result<usize> {
        let most = most.min(BATCH);
        self.grow(most);
        // The slots will point elsewhere.
        self.described = 0;
        let mut count = 0;
        for (header, slot) in self.headers[..most].iter_mut().zip(&mut self.slots) {
            let Outgoing { message, name, control } = match next(slot) {
                Ok(Some(outgoing)) => outgoing,
                Err(error) if count == 0 => return Err(error),
                _ => break,
            };
            slot.part = iovec { iov_base: message.as_ptr().cast_mut().cast(), iov_len: message.len() };
            header.msg_hdr.msg_namelen = name.min(name::MAX_LEN) as _;
            header.msg_hdr.msg_controllen = control.min(self.control_len) as _;
            count += 1;
        }
        let (socket, headers) = (socket.as_raw_fd(), &mut self.headers[..count]);
        // SAFETY: each of the headers points to a slot of its own, of `self`, and that to its message, which lives as long as
        // 'a and which the system only reads; name and control buffer are in the slot and no shorter than their lengths say.
        let done = unsafe {
            match headers {
                [] => 0,
                [one] => match libc::sendmsg(socket, &raw const one.msg_hdr, libc::MSG_DONTWAIT) {
                    -1 => -1,
                    _ => 1,
                },
                many => libc::sendmmsg(socket, many.as_mut_ptr(), many.len() as _, libc::MSG_DONTWAIT as _),
            }
        };
        result(done as isize)
    }
}

/// One message to send, and how long its name and its control messages are.
pub(crate) struct Outgoing<'a> {
    pub(crate) message: &'a [u8],
    pub(crate) name: usize,
    pub(crate) control: usize,
}

/// One received datagram, or a train of them.
pub(crate) struct Received<'a> {
    pub(crate) len: usize,
    pub(crate) truncated: bool,
    /// It had control messages for which there was no room.
    pub(crate) marked: bool,
    pub(crate) name: &'a [u8],
    pub(crate) control: &'a [u8],
}

/// Gives a header the lengths that receiving needs; the system overwrites them with those of what it received.
#[inline]
fn reset(header: &mut mmsghdr, name_len: usize, control_len: usize) {
    header.msg_hdr.msg_namelen = name_len as _;
    header.msg_hdr.msg_controllen = control_len as _;
}

fn result(done: isize) -> io::Result<usize> {
    usize::try_from(done).map_err(|_| io::Error::last_os_error())
}

/// How many datagrams the system has dropped that were meant for a socket, since it was opened, as its receive buffer was
/// full or they were damaged; behind the largest number comes 0. `None` before Linux 4.12, which does not tell
/// (`SO_MEMINFO`, `sock_diag(7)`).
pub fn drops(socket: BorrowedFd<'_>) -> Option<u32> {
    /// `SK_MEMINFO_DROPS` of `linux/sock_diag.h`: the last of the numbers.
    const DROPS: usize = 8;
    let mut numbers = [0_u32; DROPS + 1];
    let mut len = size_of_val(&numbers) as libc::socklen_t;
    // SAFETY: the system writes at most `len` bytes, which is what the numbers have, and how many these were.
    let done = unsafe {
        let into = numbers.as_mut_ptr().cast();
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_MEMINFO, into, &raw mut len)
    };
    (done == 0 && len as usize == size_of_val(&numbers)).then_some(numbers[DROPS])
}

/// Sends without checksums, or no longer so (`SO_NO_CHECK`): no library has this, and only a test needs it.
#[cfg(test)]
pub(crate) fn forbid_checksums(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    let (value, len) = (i32::from(on), size_of::<i32>());
    // SAFETY: the value is an `int` of its own, as long as said, which the system only reads.
    let done = unsafe {
        let value = (&raw const value).cast();
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_NO_CHECK, value, len as _)
    };
    result(done as isize).map(drop)
}
