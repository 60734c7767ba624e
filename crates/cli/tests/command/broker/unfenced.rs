//! Members whose broker's bytes are held back, with the fence and without it.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use swapwire::core::{Arrivals, BindError, ConnectError, OptionDoc, RecvBatch, SendBatch, Upkeep};
use swapwire::{Bound, Capabilities, DatagramSocket, Endpoint, Link, Registry, Running, Transport, async_trait};
use tokio::runtime::Runtime;

use super::real::Broker;
use super::real::asker::Outcome;
use super::real::holding::held_back;
use super::{asking, group, times};

/// Longer than the server waits for quiet where it knows nothing better: 10 ms and two looks, 16 ms apart.
const HELD: Duration = Duration::from_millis(60);

/// Members that are drained without a fence: they unsubscribe, wait for quiet, and ask nobody whether all has arrived.
struct Unfenced(Arc<dyn Transport>);

struct UnfencedSocket(Box<dyn DatagramSocket>);

#[async_trait]
impl Transport for Unfenced {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec!["nats".into()]
    }

    fn capabilities(&self, scheme: &str) -> Capabilities {
        self.0.capabilities(scheme)
    }

    fn options(&self, scheme: &str) -> &[OptionDoc] {
        self.0.options(scheme)
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        match self.0.bind(endpoint).await? {
            Bound::Socket(socket) => Ok(Bound::Socket(Box::new(UnfencedSocket(socket)))),
            bound => Ok(bound),
        }
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        self.0.connect(endpoint).await
    }
}

impl DatagramSocket for UnfencedSocket {
    fn local(&self) -> Endpoint {
        self.0.local()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, batch: &mut RecvBatch) -> Poll<io::Result<()>> {
        ready!(self.0.poll_recv(cx, batch))?;
        // It does not tell which is the last one.
        if batch.is_empty() { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, batch: &SendBatch, from: usize) -> Poll<io::Result<usize>> {
        self.0.poll_send(cx, batch, from)
    }

    fn max_message(&self) -> usize {
        self.0.max_message()
    }

    fn slot_size(&self) -> usize {
        self.0.slot_size()
    }

    fn refuse_arrivals(&mut self) -> Arrivals {
        self.0.refuse_arrivals();
        Arrivals::Unknown
    }

    fn upkeep(&mut self) -> Option<Upkeep> {
        self.0.upkeep()
    }

    fn queue_memory(&self) -> usize {
        self.0.queue_memory()
    }
}

fn start(runtime: &Runtime, endpoint: &str, fenced: bool) -> Running {
    let known = swapwire::default_registry();
    let endpoint: Endpoint = endpoint.parse().unwrap();
    let unfenced = || Registry::new().with(Unfenced(known.transport(&endpoint).unwrap()));
    let registry = if fenced { known } else { unfenced() };
    let server = swapwire::server().registry(registry).listen(endpoint).handler(swapwire::handlers::UppercaseEcho);
    runtime.block_on(async { server.bind().await.unwrap().start() })
}

/// Members come and go while they are asked, as their broker's bytes come late.
fn replaced(broker: &Broker, fenced: bool, times: u64) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let late = held_back(&broker.address(), HELD);
    let endpoint = group(broker).replace(&broker.address(), &late) + "&discover=false";
    let mut member = start(&runtime, &endpoint, fenced);
    let asker = asking(broker, Duration::from_secs(1));
    for _ in 0..times {
        asker.wait_for(100);
        let next = start(&runtime, &endpoint, fenced);
        let report = runtime.block_on(std::mem::replace(&mut member, next).stop());
        assert!(report.is_clean(), "{report}");
    }
    let outcome = asker.stop();
    runtime.block_on(member.stop());
    outcome
}

#[test]
fn bytes_that_come_late_cost_nothing_behind_a_fence() {
    let Some(broker) = Broker::start("") else {
        return;
    };
    replaced(&broker, true, times()).assert_whole();
}

/// So the tests of members that come and go would see that one is missing.
#[test]
fn without_a_fence_they_cost_requests() {
    let Some(broker) = Broker::start("") else {
        return;
    };
    let outcome = replaced(&broker, false, times());
    assert!(outcome.lost() > 0 && outcome.doubled + outcome.wrong == 0, "{outcome:?}");
}
