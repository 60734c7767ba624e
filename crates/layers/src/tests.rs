//! What holds for all layers.

use std::time::Duration;

use swapwire_core::{Handler, HandlerExt as _, Input, Layer, SessionHandler};

use crate::testing::{Both, call, session};
use crate::{CatchPanicLayer, ConcurrencyLayer, RateLayer, TimeoutLayer, TraceLayer};

const SECOND: Duration = Duration::from_secs(1);

fn forwards<L>(layer: L)
where
    L: Layer<Both, Service: Handler + SessionHandler>,
{
    for input in [Input::Messages, Input::AnySlicing] {
        for amplifies in [false, true] {
            let wrapped = layer.layer(Both { input, amplifies, ..Both::default() });
            assert_eq!((Handler::input(&wrapped), SessionHandler::input(&wrapped)), (input, input));
            assert_eq!(Handler::amplifies(&wrapped), amplifies);
            assert_eq!(SessionHandler::amplifies(&wrapped), amplifies);
        }
    }
}

#[tokio::test]
async fn each_layer_forwards_what_the_handler_says_of_itself() {
    forwards(TimeoutLayer::new(SECOND));
    forwards(ConcurrencyLayer::new(1));
    forwards(RateLayer::wait(1, SECOND));
    forwards(TraceLayer);
    forwards(CatchPanicLayer);
}

#[tokio::test(start_paused = true)]
async fn all_five_stack_and_the_handler_stays_both_kinds() {
    let inner = Both { delay: SECOND, input: Input::AnySlicing, amplifies: true };
    let handler = inner
        .with_layer(CatchPanicLayer)
        .with_layer(TimeoutLayer::new(SECOND * 5))
        .with_layer(ConcurrencyLayer::new(2))
        .with_layer(RateLayer::wait(10, SECOND))
        .with_layer(TraceLayer);
    assert_eq!((Handler::input(&handler), SessionHandler::input(&handler)), (Input::AnySlicing, Input::AnySlicing));
    assert!(Handler::amplifies(&handler) && SessionHandler::amplifies(&handler));
    assert_eq!(call(&handler, b"x").await.unwrap(), [b"x"]);
    let (session, mut peer) = session();
    let run = tokio::spawn(async move { handler.run(session).await });
    peer.send("y").await.unwrap();
    assert_eq!(peer.recv().await.unwrap().unwrap(), "y");
    drop(peer);
    run.await.unwrap().unwrap();
}
