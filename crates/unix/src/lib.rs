//! Unix sockets for swapwire: byte streams, messages over a connection, and datagrams.
//!
//! * [`Unix`]: the transport of the schemes `unix` (byte streams), `unix-dgram` (datagrams) and, on Linux, `unix-seq`
//!   (messages over a connection: `SOCK_SEQPACKET`).
//! * [`OPTIONS`], [`DATAGRAM_OPTIONS`] and [`SEQ_OPTIONS`]: what can stand in the query of an endpoint.
//! * [`MAX_MESSAGE`]: the largest datagram.
//!
//! ```
//! use swapwire_core::{Bound, Registry};
//! use swapwire_unix::Unix;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("upper.sock").display().to_string();
//! let registry = Registry::new().with(Unix::new());
//! let Bound::Listener(mut listener) = registry.bind(&format!("unix:{path}?mode=660").parse()?).await? else { panic!() };
//! let client = registry.connect(&listener.local()).await?;
//! let server = listener.accept().await?.establish().await?;
//! assert_eq!(client.info().peer.addr(), &server.info().local);
//! # Ok(())
//! # }
//! ```
//!
//! # Places
//!
//! `unix:/absolute/path`, `unix:./relative/path` (made absolute at once, so that a later change of directory changes
//! nothing) and, on Linux, `unix:@name` in the abstract namespace. A path has at most 107 bytes after it was made
//! absolute (103 where `sun_path` is shorter than Linux's, `unix(7)`).
//!
//! # Binding to a path
//!
//! 1. A lock, `<path>.lock`, is held from before the first check until after the socket's file is gone. A bind that finds
//!    it held fails with `AddrInUse`. It is empty, has mode 600, and is removed at the end; one that a crash left behind
//!    does no harm.
//! 2. What is at the path is looked at: a socket in use is never replaced (`AddrInUse`), a stale one of this user is
//!    removed, and everything else (a file, a directory, a symbolic link, another user's socket) is refused and stays.
//! 3. The socket gets its mode, 600 unless the option `mode` says otherwise, before it is bound, so that on Linux its
//!    file is never open to more than was asked for. (Elsewhere the mode is set just after the bind.)
//! 4. It is bound in place, so that the system knows it by its path: `/proc/net/unix`, `ss -xl`, and a client's
//!    `getpeername`. Cleaners of temporary directories look there for sockets in use.
//! 5. With the option `group`, it is created open to its owner alone, then gets the group, and then the rest of its mode.
//! 6. A socket for connections listens. A connection between the bind and this moment is refused.
//! 7. At the end the path is unlinked only if it still is the inode that was bound.
//!
//! `bind(2)` does not tell which inode it made in step 4: it is the one that is found at the path behind it. If a
//! process that may write the directory puts a socket of its own there in between, that one is taken for this server's, and
//! removed at the end; where a group or more of the mode is to be set, one of another user is refused.
//!
//! The directory must exist and must not be writable by all users without the sticky bit. A process that is killed between
//! two of these steps leaves a stale socket, which the next start replaces.
//!
//! # When the file is removed
//!
//! A process that may write the directory can remove the file of a server that runs; cleaners of temporary directories do.
//! The server checks the path each half second ([`upkeep`](swapwire_core::Listener::upkeep)), and what happened is logged
//! in one line:
//!
//! * The file has gone: the path is bound again, by the same steps, within a second. Connections stay; those that wait to be
//!   accepted are accepted; a connected datagram client goes on with the socket that it is connected to, the last one before.
//! * That fails, as the directory has gone too: it is tried again, and the endpoint is unhealthy until then.
//! * Another server's socket, or another file, is at the path: it is given up with its lock, and the endpoint stays
//!   unhealthy.
//!
//! # Abstract names have no permissions
//!
//! Any process in the same network namespace can connect to them (`unix(7)`), of any user: name the users that may, or
//! check the [`Credentials`](swapwire_core::Credentials) of the peer in the handler. A bind without such a rule logs a
//! warning. They vanish with the socket.
//!
//! # Users that may connect
//!
//! `allow_uid=0,1000` and `allow_gid=self` name the users and the groups whose processes may connect to a listener of `unix`
//! or `unix-seq`; `self` is the effective one of the server, at the bind. Where both are named, either is enough. Looked at are the
//! effective user and group of the process that connected, at that moment (`SO_PEERCRED`, `unix(7)`), not its supplementary
//! groups. Other connections are closed without a byte: their handshake fails with `PermissionDenied`, which a server counts
//! and warns of, at most once a second for each endpoint. Datagrams tell no credentials, so their sockets have no such
//! rule.
//!
//! # Descriptors
//!
//! A peer can send descriptors along with its bytes (`SCM_RIGHTS`). This crate has no use for any, and none stays open:
//! messages are received without a buffer for them, so the system closes them. The bytes are taken as ever. Of datagrams,
//! where `recvmmsg(2)` receives them, it is counted
//! ([`RecvBatch::with_descriptors`](swapwire_core::RecvBatch::with_descriptors)); of `unix` and `unix-seq` it is not. A
//! read from a stream ends behind what came with descriptors, as if no more had arrived: a peer that sends some and goes on
//! at once may not be read further until it sends again or ends.
//!
//! # Messages over a connection
//!
//! `unix-seq` keeps the boundaries of messages, their order, and the end of each direction (`SOCK_SEQPACKET`, `unix(7)`). Linux
//! only: macOS has no such Unix sockets.
//!
//! * The largest message is the send buffer of its sender less 32 bytes (`unix_dgram_sendmsg`), 212,960 bytes by default;
//!   `send_buffer` sets it, and the system caps that (`net.core.wmem_max`). Linux doubles the size that is asked for
//!   (`SO_SNDBUF`, `socket(7)`). A message that is larger than this end could send is not received
//!   ([`RecvError::TooLarge`](swapwire_core::RecvError::TooLarge)), and the wire goes on.
//! * What the peer has not received counts against the send buffer, some 700 bytes for each message beside its own. Sending
//!   waits when it is full.
//! * An empty message is a message. The system gives the end in the same form, so this end sets `SO_PASSCRED`: then each message
//!   carries credentials, and the end does not. For that the system names the client's socket (`unix(7)`, "Autobind
//!   feature"). A peer of any kind needs no such option to send; to tell an empty message from the end it does.
//! * A peer that closes before it has received everything is told of by `ECONNRESET` before what it sent; that is received first
//!   all the same, and the error stands in the place of the end.
//!
//! # Datagrams
//!
//! Reliable and ordered on Linux (`unix(7)`), with four properties that UDP does not have:
//!
//! * A receiver's queue holds few datagrams (`net.unix.max_dgram_qlen`, often 10). A client then waits; a server gets
//!   [`WouldBlock`](std::io::ErrorKind::WouldBlock) for that one reply.
//! * What a receiver has not read yet counts against the *sender's* send buffer, and that is the only limit of what a
//!   connected client leaves unread (the kernel's `unix_dgram_sendmsg`): a client that sends requests and never reads can
//!   use up the server's send buffer, and then all replies fail with `WouldBlock` until it reads or goes. `send_buffer`
//!   sets how much that takes: 1 MiB holds 2,731 replies of one byte, or 31 of 64 KiB.
//! * A sender without a name cannot be answered. The client side names itself: on Linux with a name that the kernel
//!   chooses, which is abstract and so unknown in other network namespaces; elsewhere with a path in the temporary
//!   directory.
//! * A client is connected to a socket, not to its path. When the server was replaced, the next send connects anew.
//!
//! # Runtime
//!
//! Needs a tokio runtime with I/O, and with time when a listener's queue is full.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg(unix)]

mod address;
mod failure;
mod options;
mod rule;

mod lock;
mod path;
mod watch;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod seq;

mod kind;

mod client;
mod connect;
mod datagram;
mod listener;
mod transport;

pub use datagram::MAX_MESSAGE;
pub use options::{DATAGRAM_OPTIONS, OPTIONS, SEQ_OPTIONS};
pub use transport::Unix;
