//! One run: a server, its clients, and what is left of them.

use std::cell::Cell;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use swapwire_core::{Endpoint, Registry, Session, SessionConfig};
use swapwire_mem::MemNetwork;
use swapwire_server::{DrainReport, Running, Server, ServerBuilder, SessionEnd, Snapshot};
use swapwire_stack::WithLayer as _;
use swapwire_testkit::{FaultSwitch, Faulty};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::clients::ClientLog;
use crate::handlers::{Answerer, AtOnce, Halves, PerPeer, Remembers, Waits};
use swapwire_ws::Ws;

use crate::mask::Mask;
use crate::message::AS_ASKED;
use crate::plan::{End, HandlerKind, Plan};
use crate::recorder::Recorder;
use crate::sabotage::{Careless, Sabotage};
use crate::{datagrams, judge, judge_datagrams, streams};

/// All of a run is over by then.
const LONGEST: Duration = Duration::from_secs(3600);

thread_local! {
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

/// Counts panics that nobody asked for, and says nothing of those that somebody did.
pub(crate) fn watch_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let asked = info.payload().downcast_ref::<String>().is_some_and(|text| text == AS_ASKED);
        if !asked {
            PANICS.set(PANICS.get() + 1);
            before(info);
        }
    }));
}

/// What a run has left.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) trace: u64,
}

/// Runs a seed; `Err` says what was broken.
pub(crate) fn run(seed: u64, sabotage: Sabotage) -> Result<Done, String> {
    run_told(seed, sabotage, false).0
}

/// As [`run`], and with the whole story of it, if that is wanted.
pub(crate) fn run_told(seed: u64, sabotage: Sabotage, story: bool) -> (Result<Done, String>, Vec<String>) {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    PANICS.set(0);
    let recorder = runtime.block_on(async { Arc::new(Recorder::new(story)) });
    let all = timeout_of(simulate(Plan::of(seed), sabotage, Arc::clone(&recorder)));
    let verdict = catch_unwind(AssertUnwindSafe(|| runtime.block_on(all)));
    let verdict = match (verdict, PANICS.get()) {
        (Ok(verdict), 0) => verdict,
        (_, count) => Err(format!("{count} panics that nobody asked for")),
    };
    let story = recorder.state().story.take().unwrap_or_default();
    (verdict.map(|()| Done { trace: recorder.trace() }), story)
}

async fn timeout_of(run: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    timeout(LONGEST, run).await.unwrap_or_else(|_| Err("hang: it is not over".to_owned()))
}

struct World {
    plan: Arc<Plan>,
    recorder: Arc<Recorder>,
    network: MemNetwork,
    /// What the clients connect with.
    registry: Registry,
    switches: Vec<FaultSwitch>,
}

async fn simulate(plan: Plan, sabotage: Sabotage, recorder: Arc<Recorder>) -> Result<(), String> {
    let network = MemNetwork::new();
    let faulty = |faults, seed| {
        let recorder = Arc::clone(&recorder);
        Faulty::new(network.clone(), faults, seed).watched(move |event| recorder.event(event))
    };
    let server_side = faulty(plan.server_faults.clone(), plan.seed ^ 1);
    let mut switches = vec![server_side.switch()];
    let registry = match &plan.client_faults {
        Some(faults) => {
            let client_side = faulty(faults.clone(), plan.seed ^ 2);
            switches.push(client_side.switch());
            Registry::new().with(client_side)
        }
        None => Registry::new().with(network.clone()),
    };
    let server_side = match sabotage {
        Sabotage::LosesAByteAtASlice => Registry::new().with(Careless(server_side)),
        _ => Registry::new().with(server_side),
    };
    let builder = Server::builder().registry(server_side.with_layer(Mask).with_layer(Ws::new()));
    let registry = registry.with_layer(Mask).with_layer(Ws::new());
    let plan = Arc::new(plan);
    let world = World { plan, recorder, network, registry, switches };
    let server = world.compose(builder, sabotage).bind().await.map_err(|error| format!("bind: {error}"))?;

    let mut clients = world.clients();
    let (logs, report) = match world.plan.end {
        End::Stop => world.stop(server.start(), &mut clients).await?,
        End::Cut(after) => world.cut(server, &mut clients, after).await,
        End::Drop => world.drop(server.start(), &mut clients).await,
    };
    world.all_is_back(sabotage).await?;
    let World { plan, recorder, .. } = world;
    let state = recorder.state();
    match plan.is_datagram() {
        true => judge_datagrams::judge(&plan, &state, &logs, report.as_ref()),
        false => judge::judge(&plan, &state, &logs, report.as_ref()),
    }
}

impl World {
    fn compose(&self, builder: ServerBuilder, sabotage: Sabotage) -> ServerBuilder {
        let plan = &self.plan;
        let (chunks, numbered) = (plan.chunks(), plan.is_datagram());
        let answerer = Answerer { recorder: Arc::clone(&self.recorder), sabotage, chunks, numbered };
        let builder = builder.listen(format!("{}:server", plan.scheme).as_str());
        let builder = builder.framing(plan.framing.clone()).limits(plan.limits.clone());
        match plan.handler {
            HandlerKind::AtOnce => builder.handler(AtOnce(answerer)),
            HandlerKind::Waits => builder.handler(Waits(answerer)),
            HandlerKind::Session => builder.handler(PerPeer(answerer)),
            HandlerKind::Halves => builder.handler(Halves(answerer)),
            HandlerKind::Stateful => builder.handler(Remembers(answerer)),
        }
    }

    fn clients(&self) -> JoinSet<ClientLog> {
        let mut clients = JoinSet::new();
        for client in self.plan.clients.iter().cloned() {
            let (plan, registry, recorder) =
                (Arc::clone(&self.plan), self.registry.clone(), Arc::clone(&self.recorder));
            match plan.is_datagram() {
                true => clients.spawn(datagrams::run(client, plan, registry, recorder)),
                false => clients.spawn(streams::run(client, plan, registry, recorder)),
            };
        }
        clients
    }

    /// Waits for the clients, or for the end that is planned; the time of it, if it came first.
    async fn wait(&self, clients: &mut JoinSet<ClientLog>, logs: &mut Vec<ClientLog>) {
        let at = self.plan.end_at.map(|at| Instant::now() + at);
        loop {
            tokio::select! {
                biased;
                () = async { match at { Some(at) => sleep_until(at).await, None => pending().await } } => break,
                log = clients.join_next() => match log {
                    Some(log) => logs.push(log.expect("clients do not panic")),
                    None => break,
                },
            }
        }
        for _ in 0..self.plan.turns {
            yield_now().await;
        }
    }

    async fn rest(&self, mut logs: Vec<ClientLog>, clients: &mut JoinSet<ClientLog>) -> Vec<ClientLog> {
        while let Some(log) = clients.join_next().await {
            logs.push(log.expect("clients do not panic"));
        }
        logs.sort_by_key(|log| log.id);
        logs
    }

    async fn stop(
        &self,
        server: Running,
        clients: &mut JoinSet<ClientLog>,
    ) -> Result<(Vec<ClientLog>, Option<DrainReport>), String> {
        let mut logs = Vec::new();
        self.wait(clients, &mut logs).await;
        if clients.is_empty() {
            self.probe(&server).await?;
        }
        self.recorder.drain_begins();
        let drained = tokio::spawn(server.stop());
        let logs = self.rest(logs, clients).await;
        let report = drained.await.map_err(|_| "the server panicked".to_owned())?;
        Ok((logs, Some(report)))
    }

    async fn cut(
        &self,
        server: Server,
        clients: &mut JoinSet<ClientLog>,
        after: Duration,
    ) -> (Vec<ClientLog>, Option<DrainReport>) {
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            let _ = stopped.await;
        };
        let server = tokio::spawn(server.run_until_cut(shutdown, sleep(after)));
        let mut logs = Vec::new();
        self.wait(clients, &mut logs).await;
        self.recorder.drain_begins();
        drop(stop);
        let logs = self.rest(logs, clients).await;
        (logs, server.await.ok())
    }

    async fn drop(&self, server: Running, clients: &mut JoinSet<ClientLog>) -> (Vec<ClientLog>, Option<DrainReport>) {
        let mut logs = Vec::new();
        self.wait(clients, &mut logs).await;
        self.recorder.drain_begins();
        drop(server);
        (self.rest(logs, clients).await, None)
    }

    /// All clients are gone: so are their sessions, and there is room for as many as ever.
    async fn probe(&self, server: &Running) -> Result<(), String> {
        self.switches.iter().for_each(FaultSwitch::calm);
        if self.plan.is_datagram() || self.plan.hangs() {
            return Ok(());
        }
        let patience = Instant::now() + Duration::from_secs(600);
        while sessions_ended(&server.snapshot()) < server.snapshot().sessions {
            if Instant::now() > patience {
                return Err(format!("hang: sessions do not end, {:?}", server.snapshot()));
            }
            sleep(Duration::from_millis(10)).await;
        }
        if self.plan.is_tight {
            return Ok(());
        }
        let endpoint: Endpoint = format!("{}:server", self.plan.scheme).parse().unwrap();
        let mut probes = Vec::new();
        for _ in 0..self.plan.limits.max_connections.min(4) {
            let link = Registry::new()
                .with(self.network.clone())
                .with_layer(Mask)
                .with_layer(Ws::new())
                .connect(&endpoint)
                .await;
            let link = link.map_err(|error| format!("a probe after all have left: {error}"))?;
            probes.push(Session::new(link, SessionConfig::framed(self.plan.framing.clone())));
        }
        let len = if let swapwire_core::Framing::Fixed(len) = self.plan.framing { len } else { 0 };
        // One that is answered once.
        let request = (0..).map(|seq| crate::message::request(b'c', 99, seq, len));
        let request = request.into_iter().find(|request| crate::message::answers(request).len() == 1).unwrap();
        for (index, probe) in probes.iter_mut().enumerate() {
            let sent = async { probe.send(&request).await.and(probe.flush().await) };
            let sent = sent.await.map_err(|error| format!("probe {index}: {error}"));
            sent?;
            match timeout(Duration::from_secs(60), probe.recv()).await {
                Ok(Ok(Some(_))) => {}
                other => return Err(format!("probe {index} of a server that all have left got {other:?}")),
            }
        }
        Ok(())
    }

    /// Nothing is left: no task, no name.
    async fn all_is_back(&self, sabotage: Sabotage) -> Result<(), String> {
        match sabotage {
            Sabotage::LeaksATask => drop(tokio::spawn(pending::<()>())),
            Sabotage::KeepsTheName => {
                std::mem::forget(self.network_holder().await);
            }
            _ => {}
        }
        for _ in 0..20 {
            yield_now().await;
        }
        match Handle::current().metrics().num_alive_tasks() {
            0 => {}
            count => return Err(format!("{count} tasks are left")),
        }
        let bound = format!("{:?}", self.network);
        if bound != "MemNetwork { bound: {} }" {
            return Err(format!("something is still bound: {bound}"));
        }
        Ok(())
    }

    async fn network_holder(&self) -> impl Sized {
        Registry::new().with(self.network.clone()).bind(&"mem:kept".parse().unwrap()).await
    }
}

/// Sessions whose end was counted.
pub(crate) fn sessions_ended(stats: &Snapshot) -> u64 {
    SessionEnd::ALL.iter().map(|end| stats.ended(*end)).sum()
}
