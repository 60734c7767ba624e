//! What stream clients and datagram clients have in common.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use swapwire_core::{Addr, Registry, Session, SessionConfig};
use swapwire_testkit::{Dice, drop_after};

use crate::plan::{ClientPlan, Plan};
use crate::recorder::Recorder;

/// What became of one client.
#[derive(Debug, Default)]
pub(crate) struct ClientLog {
    pub(crate) id: usize,
    pub(crate) addr: Option<Addr>,
    /// What was handed over, in order.
    pub(crate) asked: Vec<Vec<u8>>,
    pub(crate) got: Vec<Vec<u8>>,
    /// How many requests were on the wire, wholly, before the drain began.
    pub(crate) waiting: usize,
    pub(crate) end: Ending,
    /// Whether the drain had begun before its end.
    pub(crate) met_drain: bool,
}

/// How it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nobody listened any more.
    #[default]
    Refused,
    /// It left as it had planned, with replies outstanding or not.
    Left,
    /// It had all replies that were due.
    Served,
    /// The server ended the connection.
    Ended,
    /// The connection broke.
    Broke(String),
}

/// A client's session, with its patience.
pub(crate) struct Client {
    pub(crate) log: ClientLog,
    pub(crate) plan: ClientPlan,
    pub(crate) recorder: Arc<Recorder>,
    steps: usize,
}

/// It is time to leave.
pub(crate) struct Leave;

impl Client {
    /// Connects; `Err` has the log of one that could not.
    pub(crate) async fn connect(
        plan: ClientPlan,
        whole: &Plan,
        registry: &Registry,
        recorder: Arc<Recorder>,
    ) -> Result<(Self, Session), ClientLog> {
        tokio::time::sleep(plan.after).await;
        let mut log = ClientLog { id: plan.id, ..ClientLog::default() };
        let endpoint = format!("{}:server", whole.scheme).parse().unwrap();
        let Ok(link) = registry.connect(&endpoint).await else {
            log.met_drain = recorder.has_drained();
            return Err(log);
        };
        log.addr = Some(link.info().local);
        let mut config = SessionConfig::framed(whole.framing.clone());
        config.out_queue = plan.out_queue;
        let client = Self { log, plan, recorder, steps: 0 };
        Ok((client, Session::new(link, config)))
    }

    pub(crate) fn finish(mut self, end: Ending) -> ClientLog {
        self.log.met_drain = self.recorder.has_drained();
        self.log.end = end;
        self.recorder.note((self.log.id, self.log.asked.len(), self.log.got.len(), format!("{:?}", self.log.end)));
        self.log
    }

    /// All that was asked is on the wire.
    pub(crate) fn flushed(&mut self) {
        if !self.recorder.has_drained() {
            self.log.waiting = self.log.asked.len();
        }
    }

    /// One more step, if it does not leave before it.
    pub(crate) fn step(&mut self) -> Result<(), Leave> {
        self.steps += 1;
        if self.plan.leaves_at.is_some_and(|at| self.steps > at) { Err(Leave) } else { Ok(()) }
    }
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Runs what `make` makes; with the chance of `impatience` it is dropped after a few polls, and made again.
pub(crate) async fn insist<S: ?Sized, T>(
    state: &mut S,
    dice: &mut Dice,
    impatience: f64,
    make: impl for<'a> Fn(&'a mut S) -> Boxed<'a, T>,
) -> T {
    while dice.chance(impatience) {
        if let Some(done) = drop_after(1 + dice.index(3), make(state)).await {
            return done;
        }
    }
    make(state).await
}
