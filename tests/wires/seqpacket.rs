//! Foreign clients of `unix-seq`, by the calls of the system.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket};
use swapwire::{HandlerError, PerMessage, PerSession, Running, Session, SessionHandler, async_trait, handler_fn};

/// Answers, and ends with "quit".
struct Quits;

#[async_trait]
impl SessionHandler for Quits {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        while let Some(message) = session.recv().await? {
            session.send(message.to_ascii_uppercase()).await?;
            if message == b"quit".as_slice() {
                break;
            }
        }
        Ok(())
    }
}

async fn start(per_session: bool, directory: &Path) -> (Running, PathBuf) {
    let path = directory.join(per_session.to_string());
    let builder = swapwire::server().listen(format!("unix-seq:{}", path.display()));
    let builder = if per_session {
        builder.handler(PerSession::new(Quits))
    } else {
        builder.handler(PerMessage::new(handler_fn(|request, reply| {
            reply.send(request.message().to_ascii_uppercase())?;
            if request.message() == b"quit" {
                reply.close();
            }
            Ok(())
        })))
    };
    (builder.bind().await.unwrap().start(), path)
}

fn dial(path: &Path) -> OwnedFd {
    let client = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
    connect(client.as_raw_fd(), &UnixAddr::new(path).unwrap()).unwrap();
    client
}

/// Sends all of `messages`, and then receives until the end.
fn ask(client: &OwnedFd, messages: &[&[u8]], replies: usize) -> Vec<Vec<u8>> {
    for message in messages {
        send(client.as_raw_fd(), message, MsgFlags::MSG_NOSIGNAL).unwrap();
    }
    let mut got = Vec::new();
    let mut reply = [0; 100];
    for _ in 0..replies {
        let len = recv(client.as_raw_fd(), &mut reply, MsgFlags::empty()).unwrap();
        got.push(reply[..len].to_vec());
    }
    got
}

/// A close with messages that were not received is `ECONNRESET` to the peer, before the replies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_arrive_although_messages_were_not_received() {
    let directory = tempfile::tempdir().unwrap();
    for per_session in [false, true] {
        let (server, path) = start(per_session, directory.path()).await;
        let got = tokio::task::spawn_blocking(move || {
            let client = dial(&path);
            // More than are received together, so that some are still with the system.
            let mut messages = vec![b"".as_slice(), b"quit"];
            messages.extend([b"more".as_slice(); 80]);
            ask(&client, &messages, 3)
        });
        assert_eq!(got.await.unwrap(), [b"".as_slice(), b"QUIT", b""], "per session: {per_session}");
        let report = server.stop().await;
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.stats.messages, 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_messages_and_pipelined_ones_are_answered_in_order() {
    let directory = tempfile::tempdir().unwrap();
    for per_session in [false, true] {
        let (server, path) = start(per_session, directory.path()).await;
        let got = tokio::task::spawn_blocking(move || {
            let client = dial(&path);
            let messages: Vec<_> = (0..100).map(|i| if i % 3 == 0 { String::new() } else { format!("m{i}") }).collect();
            let got = ask(&client, &messages.iter().map(|message| message.as_bytes()).collect::<Vec<_>>(), 100);
            assert!(messages.iter().zip(&got).all(|(asked, got)| asked.to_uppercase().as_bytes() == got));
            got.len()
        });
        assert_eq!(got.await.unwrap(), 100);
        assert_eq!(server.stop().await.stats.messages, 100);
    }
}
