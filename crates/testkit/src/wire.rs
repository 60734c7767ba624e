//! What most laws need: bound places, connected pairs, and sessions that talk.

use std::sync::Arc;

use bytes::Bytes;
use swapwire_core::{
    Bound, ConnectError, DatagramSocket, Endpoint, ErrorClass, Framing, Incoming, Link, Listener, Registry, Session,
    SessionConfig, SessionReader, SessionWriter,
};

use crate::context::spawn;
use crate::payload::compare;
use crate::stop::{OrBroken as _, ensure};
use crate::{Context, Outcome, Stop};

/// No law sends a larger message than this, in bytes, whatever the wire could carry.
const LARGEST: usize = 4 << 20;
/// The largest message that laws send over a framing, where the wire itself has no limit.
const LARGEST_FRAMED: usize = 256 << 10;

impl Context {
    /// Sessions' configuration: the wire's own largest message, and length-prefixed frames where it has no boundaries.
    pub(crate) fn config(&self) -> SessionConfig {
        let mut config = SessionConfig::framed(Framing::length_prefixed());
        config.max_message = self.capabilities().max_message.unwrap_or(LARGEST_FRAMED).min(LARGEST);
        config
    }

    pub(crate) async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, Stop> {
        self.step(format!("bind {endpoint}"));
        self.registry().bind(endpoint).await.or_broken("a bind that should work")
    }

    pub(crate) async fn connect(&self, endpoint: &Endpoint) -> Result<Link, Stop> {
        self.step(format!("connect {endpoint}"));
        connect(self.registry(), endpoint).await
    }

    /// A listener on a fresh endpoint; skips the law for datagrams.
    pub(crate) async fn listen(&self) -> Result<Box<dyn Listener>, Stop> {
        self.needs_connections()?;
        as_listener(self.bind(&self.fresh()).await?)
    }

    /// A socket on a fresh endpoint; skips the law for other shapes.
    pub(crate) async fn socket(&self) -> Result<Box<dyn DatagramSocket>, Stop> {
        self.needs_datagrams()?;
        as_socket(self.bind(&self.fresh()).await?)
    }

    /// Two links, the client's first, connected at `listener`.
    pub(crate) async fn meet(&self, listener: &mut Box<dyn Listener>) -> Result<(Link, Link), Stop> {
        let local = self.dial_listener(&**listener);
        self.step(format!("connect {local} and accept"));
        let links = tokio::try_join!(connect(self.registry(), &local), accept(listener))?;
        self.step("talk over a connection");
        Ok(links)
    }

    /// Two connected links, the client's first; skips the law for datagrams.
    pub(crate) async fn links(&self) -> Result<(Link, Link), Stop> {
        let mut listener = self.listen().await?;
        self.meet(&mut listener).await
    }

    /// Two connected sessions, the client's first; skips the law for datagrams.
    pub(crate) async fn sessions(&self) -> Result<(Session, Session), Stop> {
        let (client, server) = self.links().await?;
        Ok((self.session(client), self.session(server)))
    }

    pub(crate) fn session(&self, link: Link) -> Session {
        Session::new(link, self.config())
    }
}

/// Connects; a listener whose queue is full is asked again.
pub(crate) async fn connect(registry: &Registry, endpoint: &Endpoint) -> Result<Link, Stop> {
    loop {
        match registry.connect(endpoint).await {
            Err(ConnectError::Busy { .. }) => tokio::task::yield_now().await,
            result => return result.or_broken("a connect that should work"),
        }
    }
}

pub(crate) fn as_listener(bound: Bound) -> Result<Box<dyn Listener>, Stop> {
    match bound {
        Bound::Listener(listener) => Ok(listener),
        other => Err(Stop::broken(format!("{other:?} is not a listener, though the capabilities say connections"))),
    }
}

pub(crate) fn as_socket(bound: Bound) -> Result<Box<dyn DatagramSocket>, Stop> {
    match bound {
        Bound::Socket(socket) => Ok(socket),
        other => Err(Stop::broken(format!("{other:?} is not a socket, though the capabilities say datagrams"))),
    }
}

/// Takes the next connection, without its handshake.
pub(crate) async fn take(listener: &mut Box<dyn Listener>) -> Result<Incoming, Stop> {
    loop {
        match listener.accept().await {
            Err(error) if listener.classify(&error) == ErrorClass::ListenerTransient => tokio::task::yield_now().await,
            result => return result.or_broken("accept"),
        }
    }
}

/// Takes the next connection, with its handshake.
pub(crate) async fn accept(listener: &mut Box<dyn Listener>) -> Result<Link, Stop> {
    establish(take(listener).await?).await
}

pub(crate) async fn establish(incoming: Incoming) -> Result<Link, Stop> {
    incoming.establish().await.or_broken("establish an accepted connection")
}

/// Each session sends one message and receives the other's.
pub(crate) async fn talk(a: &mut Session, b: &mut Session) -> Outcome {
    say(a, b, b"from the first to the second").await?;
    say(b, a, b"and back").await
}

/// One message from one session to the other.
pub(crate) async fn say(from: &mut Session, to: &mut Session, message: &[u8]) -> Outcome {
    let send = async {
        from.send(message).await.or_broken("send")?;
        from.flush().await.or_broken("flush")
    };
    let ((), got) = tokio::try_join!(send, expect(to))?;
    compare(message, &got).or_broken("a message came as")
}

/// The next message; the end is not expected.
pub(crate) async fn expect(session: &mut Session) -> Result<Bytes, Stop> {
    session.recv().await.or_broken("receive")?.ok_or_else(|| Stop::broken("the session ended where a message was due"))
}

/// Sends messages both ways at once, as fast as the wire takes them; all must arrive, whole and in order.
pub(crate) async fn both_ways(a: Session, b: Session, there: Vec<Vec<u8>>, back: Vec<Vec<u8>>) -> Outcome {
    let (there, back) = (Arc::new(there), Arc::new(back));
    let ((a_reader, a_writer), (b_reader, b_writer)) = (a.split(), b.split());
    let sends = (
        spawn("the client's sender", send_list(a_writer, Arc::clone(&there))),
        spawn("the server's sender", send_list(b_writer, Arc::clone(&back))),
    );
    let receives = (
        spawn("the server's receiver", receive_list(b_reader, there)),
        spawn("the client's receiver", receive_list(a_reader, back)),
    );
    // The results hold the halves, so no session closes before all are done.
    tokio::try_join!(sends.0.join(), sends.1.join(), receives.0.join(), receives.1.join())?;
    Ok(())
}

async fn send_list(mut writer: SessionWriter, messages: Arc<Vec<Vec<u8>>>) -> Result<SessionWriter, Stop> {
    for (index, message) in messages.iter().enumerate() {
        writer.send(message).await.or_broken(format_args!("message {index} of {} bytes", message.len()))?;
    }
    writer.flush().await.or_broken("flush")?;
    Ok(writer)
}

async fn receive_list(mut reader: SessionReader, messages: Arc<Vec<Vec<u8>>>) -> Result<SessionReader, Stop> {
    for (index, message) in messages.iter().enumerate() {
        let got = reader.recv().await.or_broken(format_args!("receive message {index}"))?;
        let total = messages.len();
        let Some(got) = got else {
            return Err(Stop::broken(format!("the session ended before message {index} of {total}")));
        };
        if let Err(how) = compare(message, &got) {
            let other = messages.iter().position(|message| got == message);
            ensure!(other.is_none(), "message {} came where message {index} was due", other.unwrap_or(index));
            return Err(Stop::broken(format!("message {index} of {total} came as {how}")));
        }
    }
    Ok(reader)
}
