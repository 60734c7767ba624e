//! A room whose members receive each other's messages.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use swapwire_core::{
    ErrorClass, HandlerError, HandlerProperties, SendError, Session, SessionHandler, SessionSender, TrySendError,
};

/// A chat: each message that a peer sends goes to all others in the room, behind `<peer>: `, where `<peer>` is the
/// sender's address.
///
/// The room is the value: clones share it, so that one room can be served on many endpoints, streams (with a framing,
/// such as lines) and datagram sockets mixed. All members receive the messages in the same order.
///
/// A message is text: a line ending at its end is cut off, and control characters in it, except tabs, become spaces, so
/// that no member can write lines in another's name. An empty message goes to no member; on a datagram socket, it serves
/// to join.
///
/// It [amplifies](HandlerProperties::amplifies): a client that forges a sender's address makes that address a member, until the
/// session's idle time is over.
///
/// # Bounds
/// * A room has at most 1,024 members ([`Chat::with_capacity`] for another number); the next one is told that the room
///   is full, and its session ends.
/// * A member that reads slowly has what its session's queue holds. While the queue is full, messages to this member
///   are dropped and counted ([`Chat::dropped`]); the other members do not wait for it, and it stays in the room.
///
/// # Errors
/// A session ends with an error if its connection fails or its bytes make no message.
///
/// # Cancel safety
/// A session leaves the room when it ends, however it ends: by returning, by a panic, or by being dropped.
///
/// # Example
/// ```
/// use swapwire_core::{Addr, ConnInfo, Framing, Link, Peer, Session, SessionConfig, SessionHandler};
/// use swapwire_handlers::Chat;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), swapwire_core::HandlerError> {
/// let chat = Chat::new();
/// let join = |name| {
///     let addr = Addr::named("test", name).unwrap();
///     let (ours, theirs) = tokio::io::duplex(1024);
///     let link = |io| Link::bytes(io, ConnInfo::new(Peer::new(addr), addr));
///     let session = Session::new(link(ours), SessionConfig::framed(Framing::Lines));
///     let chat = chat.clone();
///     tokio::spawn(async move { chat.run(session).await });
///     Session::new(link(theirs), SessionConfig::framed(Framing::Lines))
/// };
/// let (mut ann, mut bob) = (join("ann"), join("bob"));
/// # while chat.members() < 2 { tokio::task::yield_now().await }
///
/// ann.send("hello").await?;
/// ann.flush().await?;
/// assert_eq!(bob.recv().await?.unwrap(), "test:ann: hello");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Chat {
    room: Arc<Room>,
}

impl Chat {
    /// The name by which an operator calls it.
    pub const NAME: &str = "chat";
    /// What it does, in one line.
    pub const DESCRIPTION: &str = "sends each message of a peer to all others";

    /// An empty room for 1,024 members.
    pub fn new() -> Self {
        Self::with_capacity(1024)
    }

    /// An empty room for at most `members` members.
    pub fn with_capacity(members: usize) -> Self {
        let room = Room { members: Mutex::default(), capacity: members, dropped: AtomicU64::new(0) };
        Self { room: Arc::new(room) }
    }

    /// How many are in the room now.
    pub fn members(&self) -> usize {
        self.room.lock().sessions.len()
    }

    /// How many messages were not delivered so far, because a member's queue was full or its wire could not carry them;
    /// a message that two members missed counts twice.
    pub fn dropped(&self) -> u64 {
        self.room.dropped.load(Relaxed)
    }
}

impl Default for Chat {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (members, dropped) = (self.members(), self.dropped());
        f.debug_struct("Chat").field("members", &members).field("dropped", &dropped).finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionHandler for Chat {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        let Some(member) = self.room.join(session.sender()) else {
            session.send(format!("the chat is full: its capacity is {}", self.room.capacity)).await?;
            return Ok(session.flush().await?);
        };
        let mut line = format!("{}: ", session.peer()).into_bytes();
        let prefix = line.len();
        loop {
            match session.recv().await {
                Ok(Some(message)) if text(&message).is_empty() => {}
                Ok(Some(message)) => {
                    line.extend(text(&message).iter().map(|byte| if is_control(*byte) { b' ' } else { *byte }));
                    member.tell_others(&line);
                    line.truncate(prefix);
                    line.shrink_to(KEEP);
                }
                Ok(None) => return Ok(()),
                Err(error) if error.class() == ErrorClass::PeerNoise => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn properties(&self) -> HandlerProperties {
        HandlerProperties::new().with_amplifies(true)
    }
}

/// A member that is silent keeps at most this much memory for its next message.
const KEEP: usize = 4096;

/// `message` without a line ending.
fn text(message: &[u8]) -> &[u8] {
    let line = message.strip_suffix(b"\n").unwrap_or(message);
    line.strip_suffix(b"\r").unwrap_or(line)
}

const fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

struct Room {
    members: Mutex<Members>,
    capacity: usize,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Members {
    sessions: HashMap<u64, SessionSender>,
    /// How many ever joined.
    joined: u64,
}

impl Room {
    /// `None`: the room is full.
    fn join(&self, sender: SessionSender) -> Option<Member<'_>> {
        let mut members = self.lock();
        if members.sessions.len() >= self.capacity {
            return None;
        }
        let id = members.joined;
        members.joined += 1;
        members.sessions.insert(id, sender);
        Some(Member { room: self, id })
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in a room; dropping it leaves.
struct Member<'a> {
    room: &'a Room,
    id: u64,
}

impl Member<'_> {
    /// Under the lock, so that all members receive all messages in the same order; nothing here waits.
    fn tell_others(&self, line: &[u8]) {
        for (_, member) in self.room.lock().sessions.iter().filter(|(id, _)| **id != self.id) {
            match member.try_send(line) {
                // A session that has closed is about to leave.
                Ok(()) | Err(TrySendError::Failed(SendError::Closed)) => {}
                Err(_) => {
                    self.room.dropped.fetch_add(1, Relaxed);
                }
            }
        }
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        let left = self.room.lock().sessions.remove(&self.id);
        // The lock is free again: dropping a session's last handle runs a transport's code.
        drop(left);
    }
}

#[cfg(test)]
mod tests;
