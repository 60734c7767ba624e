//! What holds for all layers.

use std::time::Duration;

use swapwire_core::{Handler, HandlerExt as _, HandlerProperties, Input, Layer, SessionHandler};

use crate::testing::{Both, call, session};
use crate::{CatchPanicLayer, ConcurrencyLayer, RateLayer, TimeoutLayer, TraceLayer};

const SECOND: Duration = Duration::from_secs(1);

fn forwards<L>(layer: L, waits: bool)
where
    L: Layer<Both, Service: Handler + SessionHandler>,
{
    for input in [Input::Messages, Input::AnySlicing] {
        for (amplifies, at_once) in [(false, false), (false, true), (true, false), (true, true)] {
            let properties = HandlerProperties::new().with_input(input).with_amplifies(amplifies);
            let inner = properties.with_ready_at_once(at_once);
            let wrapped = layer.layer(Both { properties: inner, ..Both::default() });
            let expected = properties.with_ready_at_once(at_once && !waits);
            assert_eq!(Handler::properties(&wrapped), expected);
            assert_eq!(SessionHandler::properties(&wrapped), expected);
        }
    }
}

#[tokio::test]
async fn each_layer_forwards_what_the_handler_says_of_itself() {
    forwards(TimeoutLayer::new(SECOND), true);
    forwards(ConcurrencyLayer::new(1), true);
    forwards(RateLayer::wait(1, SECOND), true);
    forwards(TraceLayer, false);
    forwards(CatchPanicLayer, false);
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
