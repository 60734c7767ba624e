//! How long the handshakes of a client may take, on a clock that stands still unless all wait; and how they fail.

use std::io;
use std::time::Duration;

use crate::common::{Base, Layer, endpoint, listener, registry};
use swapwire_core::{ConnectError, ErrorClass, Registry};
use tokio::time::Instant;

/// What a connect gives, and how long it takes.
async fn connect(registry: &Registry, text: &str) -> (Result<(), ConnectError>, Duration) {
    let begun = Instant::now();
    let connected = registry.connect(&endpoint(text)).await.map(drop);
    (connected, begun.elapsed())
}

fn stack(up: Duration, low: Duration) -> Registry {
    let layer = |name, takes| Layer { takes, ..Layer::new(name, &[]) };
    registry(&Base::new(), &layer("up", up), &layer("low", low))
}

const S: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn one_deadline_is_for_the_handshakes_of_all_layers() {
    let registry = stack(6 * S, 6 * S);
    let _bound = registry.bind(&endpoint("up+low+mem:x")).await.unwrap();
    for (text, layer, limit) in [
        ("up+low+mem:x", "up", 10 * S),
        ("up+low+mem:x?handshake_timeout=6500ms", "up", Duration::from_millis(6500)),
        ("up+low+mem:x?handshake_timeout=2s", "low", 2 * S),
    ] {
        let (connected, took) = connect(&registry, text).await;
        // tokio's timers have the granularity of a millisecond.
        assert!((limit..limit + Duration::from_millis(2)).contains(&took), "{text}: {took:?}");
        let error = connected.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "connect {text}: {layer}: the handshake was not done within {limit:?}: handshake_timeout is for all layers"
            )
        );
        let ConnectError::Handshake { source, .. } = &error else { panic!("{error}") };
        assert_eq!((source.kind(), error.class()), (io::ErrorKind::TimedOut, ErrorClass::ConnectionFatal));
    }
    let (connected, took) = connect(&registry, "up+low+mem:x?handshake_timeout=13s").await;
    connected.unwrap();
    assert!((12 * S..13 * S).contains(&took), "{took:?}");
}

#[tokio::test]
async fn a_handshake_that_fails_names_its_layer_at_both_ends() {
    let fails = Layer { fails: true, ..Layer::new("low", &[]) };
    let registry = registry(&Base::new(), &Layer::new("up", &[]), &fails);
    let whole = endpoint("up+low+mem:x");
    let mut listener = listener(registry.bind(&whole).await.unwrap());
    let (connected, accepted) = tokio::join!(registry.connect(&whole), listener.accept());
    let error = connected.unwrap_err();
    assert_eq!(error.to_string(), "connect up+low+mem:x: low: not my protocol");
    assert_eq!(error.class(), ErrorClass::Configuration);
    let error = accepted.unwrap().establish().await.unwrap_err();
    assert_eq!((error.to_string().as_str(), error.kind()), ("low: not my protocol", io::ErrorKind::InvalidData));
}
