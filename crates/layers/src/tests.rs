//! What holds for all layers.

use std::time::Duration;

use swapwire_core::testing::{self, Probe};
use swapwire_core::{Handler, HandlerExt as _, HandlerProperties, Layer, SessionHandler};

use crate::testing::{Both, call, session};
use crate::{CatchPanicLayer, ConcurrencyLayer, PeerRateLayer, RateLayer, TimeoutLayer, TraceLayer};

const SECOND: Duration = Duration::from_secs(1);

fn passes_on<L>(layer: L)
where
    L: Layer<Probe, Service: Handler + SessionHandler>,
{
    testing::assert_passes_on(&layer);
    testing::assert_session_passes_on(&layer);
}

#[tokio::test]
async fn each_layer_passes_on_what_the_handler_declares() {
    passes_on(TimeoutLayer::new(SECOND));
    passes_on(ConcurrencyLayer::new(1));
    passes_on(RateLayer::wait(1, SECOND));
    passes_on(PeerRateLayer::new(1, SECOND));
    passes_on(TraceLayer);
    passes_on(CatchPanicLayer);
}

#[tokio::test]
async fn calls_are_ready_at_once_unless_the_layer_waits() {
    let probe = || Probe { properties: HandlerProperties::new().with_ready_at_once(true) };
    assert!(Handler::properties(&probe().with_layer(TraceLayer)).ready_at_once);
    assert!(Handler::properties(&probe().with_layer(CatchPanicLayer)).ready_at_once);
    assert!(!Handler::properties(&probe().with_layer(TimeoutLayer::new(SECOND))).ready_at_once);
    assert!(!Handler::properties(&probe().with_layer(ConcurrencyLayer::new(1))).ready_at_once);
    assert!(!Handler::properties(&probe().with_layer(RateLayer::wait(1, SECOND))).ready_at_once);
}

#[tokio::test(start_paused = true)]
async fn all_five_stack_and_the_handler_stays_both_kinds() {
    let properties = HandlerProperties::new().any_slicing().with_amplifies(true);
    let inner = Both { delay: SECOND, properties };
    let handler = inner
        .with_layer(CatchPanicLayer)
        .with_layer(TimeoutLayer::new(SECOND * 5))
        .with_layer(ConcurrencyLayer::new(2))
        .with_layer(RateLayer::wait(10, SECOND))
        .with_layer(TraceLayer);
    assert_eq!((Handler::properties(&handler), SessionHandler::properties(&handler)), (properties, properties));
    assert_eq!(call(&handler, b"x").await.unwrap(), [b"x"]);
    let (session, mut peer) = session();
    let run = tokio::spawn(async move { handler.run(session).await });
    peer.send("y").await.unwrap();
    assert_eq!(peer.recv().await.unwrap().unwrap(), "y");
    drop(peer);
    run.await.unwrap().unwrap();
}
