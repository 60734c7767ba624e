//! The handlers of the simulation: all answer alike, and wait differently.

use std::future::pending;
use std::panic::{panic_any, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use swapwire_core::{
    Handler, HandlerError, HandlerProperties, Input, Peer, Reply, Request, Session, SessionHandler, SessionReader,
    SessionSender, StatefulHandler, async_trait,
};
use tokio::task::{JoinSet, yield_now};
use tokio::time::sleep;

use crate::message::{AS_ASKED, BYE, FAIL, HANG, PANIC, answers, name, weight};
use crate::recorder::{Alive, Recorder};
use crate::sabotage::Sabotage;

/// What all kinds share.
#[derive(Clone)]
pub(crate) struct Answerer {
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) sabotage: Sabotage,
    /// Bytes as they come, each answered by its upper case.
    pub(crate) chunks: bool,
    /// Replies carry the number of the call behind a `#`: on datagrams, where one request may be two calls.
    pub(crate) numbered: bool,
}

impl Answerer {
    fn properties(&self) -> HandlerProperties {
        HandlerProperties::new().with_input(if self.chunks { Input::AnySlicing } else { Input::Messages })
    }

    fn begin(&self) {
        self.recorder.state().begun += 1;
    }

    /// The replies to one request.
    fn answers(&self, request: &[u8]) -> Result<Vec<Vec<u8>>, HandlerError> {
        let mut state = self.recorder.state();
        state.calls.push(name(request).unwrap_or_default());
        let number = state.calls.len() - 1;
        if self.chunks {
            return Ok(vec![request.to_ascii_uppercase()]);
        }
        match request.first() {
            Some(&FAIL) => return Err("as asked".into()),
            Some(&PANIC) => {
                state.panics += 1;
                drop(state);
                panic_any(AS_ASKED.to_owned());
            }
            _ => {}
        }
        let mut answers = answers(request);
        if self.numbered {
            answers.iter_mut().for_each(|answer| answer.extend_from_slice(format!("#{number}").as_bytes()));
        }
        self.sabotage.spoil(&mut answers, number);
        state.replies += answers.len();
        Ok(answers)
    }

    /// Takes as long as the request says.
    async fn think(&self, request: &[u8]) {
        let sabotaged = self.sabotage == Sabotage::NeverEndsACall && self.recorder.state().begun == 5;
        if sabotaged || request.first() == Some(&HANG) && !self.chunks {
            pending::<()>().await;
        }
        match weight(request) / 8 % 8 {
            0 => yield_now().await,
            1 => sleep(Duration::from_millis(weight(request) / 64 % 40)).await,
            2 => {
                yield_now().await;
                sleep(Duration::from_micros(300)).await;
            }
            _ => {}
        }
    }

    fn reply(&self, request: &[u8], reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        for answer in self.answers(request)? {
            reply.send(answer)?;
        }
        if request.first() == Some(&BYE) && !self.chunks {
            reply.close();
        }
        Ok(())
    }
}

pub(crate) struct AtOnce(pub(crate) Answerer);

impl Handler for AtOnce {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        self.0.begin();
        self.0.reply(request.message(), reply)
    }

    fn properties(&self) -> HandlerProperties {
        self.0.properties().with_ready_at_once(true)
    }
}

pub(crate) struct Waits(pub(crate) Answerer);

impl Handler for Waits {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        self.0.begin();
        self.0.think(request.message()).await;
        self.0.reply(request.message(), reply)?;
        if weight(request.message()).is_multiple_of(3) {
            self.0.think(request.message()).await;
        }
        Ok(())
    }

    fn properties(&self) -> HandlerProperties {
        self.0.properties()
    }
}

pub(crate) struct PerPeer(pub(crate) Answerer);

#[async_trait]
impl SessionHandler for PerPeer {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        let _alive = self.0.recorder.session(*session.peer().addr());
        while let Some(request) = session.recv().await? {
            self.0.begin();
            self.0.think(&request).await;
            for answer in self.0.answers(&request)? {
                session.send(&answer).await?;
            }
            match weight(&request) % 4 {
                _ if is_last(&request, &self.0) => break,
                0 => session.flush().await?,
                _ => {}
            }
        }
        Ok(())
    }

    fn properties(&self) -> HandlerProperties {
        self.0.properties()
    }
}

/// Answers its sessions call by call, and keeps that they are alive.
pub(crate) struct Remembers(pub(crate) Answerer);

impl StatefulHandler for Remembers {
    type State = Alive;

    fn begin(&self, peer: &Peer) -> Alive {
        self.0.recorder.session(*peer.addr())
    }

    async fn handle(&self, _: &mut Alive, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        self.0.begin();
        self.0.think(request.message()).await;
        self.0.reply(request.message(), reply)
    }

    fn properties(&self) -> HandlerProperties {
        self.0.properties()
    }
}

fn is_last(request: &Bytes, answerer: &Answerer) -> bool {
    request.first() == Some(&BYE) && !answerer.chunks
}

/// One half receives and pushes in a task of its own, the other writes.
pub(crate) struct Halves(pub(crate) Answerer);

#[async_trait]
impl SessionHandler for Halves {
    async fn run(&self, session: Session) -> Result<(), HandlerError> {
        let _alive = self.0.recorder.session(*session.peer().addr());
        let (reader, mut writer) = session.split();
        let mut task = JoinSet::new();
        task.spawn(push_answers(self.0.clone(), reader, writer.sender()));
        tokio::select! {
            biased;
            Some(ended) = task.join_next() => ended.unwrap_or_else(|error| resume_unwind(error.into_panic())),
            driven = writer.drive() => Err(driven.err().map_or_else(|| "closed".into(), HandlerError::from)),
        }
    }

    fn properties(&self) -> HandlerProperties {
        self.0.properties()
    }
}

async fn push_answers(
    answerer: Answerer,
    mut reader: SessionReader,
    sender: SessionSender,
) -> Result<(), HandlerError> {
    while let Some(request) = reader.recv().await? {
        answerer.begin();
        answerer.think(&request).await;
        for answer in answerer.answers(&request)? {
            sender.send(&answer).await?;
        }
        if is_last(&request, &answerer) {
            break;
        }
    }
    Ok(())
}
