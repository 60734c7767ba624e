//! The options of all layers and of the wire below stand in one query.

use crate::common::{A, B, Base, Layer, endpoint, listener, meet, registry, taken};
use swapwire_core::{BindError, Bound, ConnectError, OptionDoc, OptionError, Registry, Side, Transport as _};
use swapwire_stack::{Stacked, WithLayer as _};

#[tokio::test]
async fn each_layer_takes_its_own_and_the_rest_goes_down() {
    let (base, up, low) = (Base::new(), Layer::new("up", A), Layer::new("low", B));
    let registry = registry(&base, &up, &low);
    let bound = registry.bind(&endpoint("up+low+mem:x?size=1&a=2&key=k&b=3")).await.unwrap();
    assert_eq!(taken(&up.notes), ["up serves up+low+mem:x?a=2"]);
    assert_eq!(taken(&low.notes), ["low serves up+low+mem:x?key=k&b=3"]);
    assert_eq!(taken(&base.1), ["bind mem:x?size=1"]);

    registry.connect(&endpoint("up+low+mem:x?b=3&side=s&handshake_timeout=1s&a=2")).await.unwrap();
    assert_eq!(taken(&up.notes), ["up dials up+low+mem:x?a=2"]);
    assert_eq!(taken(&low.notes), ["low dials up+low+mem:x?b=3"]);
    assert_eq!(taken(&base.1), ["dial mem:x?side=s"]);
    drop(bound);
}

#[test]
fn they_are_documented_together_the_upper_ones_first() {
    let stack = Stacked::new(Layer::new("low", B), Base::new()).unwrap().under(Layer::new("up", A)).unwrap();
    let names: Vec<_> = stack.options("up+low+mem").iter().map(|doc| doc.name).collect();
    assert_eq!(names, ["a", "b", "key", "size", "side", "handshake_timeout"]);
}

#[tokio::test]
async fn what_is_wrong_is_said_before_anything_is_bound_or_dialled() {
    let (base, up, low) = (Base::new(), Layer::new("up", A), Layer::new("low", B));
    let registry = registry(&base, &up, &low);
    let bind = async |text: &str| registry.bind(&endpoint(text)).await.unwrap_err().to_string();
    let connect = async |text: &str| registry.connect(&endpoint(text)).await.unwrap_err().to_string();
    for (text, error) in [
        ("up+low+mem:x?key=k&c=1", "unknown option \"c\"; known: a, b, key, size, side"),
        ("up+low+mem:x?a=1", "option \"key\" is missing; write key=path: the lower one's key"),
        ("up+mem:x?handshake_timeout=1s", "option \"handshake_timeout\" is for connecting only"),
        ("up+mem:x?b=1", "unknown option \"b\"; known: a, size, side"),
    ] {
        assert_eq!(bind(text).await, format!("bind {text}: {error}"));
    }
    for (text, error) in [
        ("up+low+mem:x?c=1", "unknown option \"c\"; known: a, b, size, side, handshake_timeout"),
        ("up+low+mem:x?key=k", "option \"key\" is for binding only"),
        ("up+mem:x?handshake_timeout=soon", "option handshake_timeout=soon: write a time, as 500ms, 30s, 5m or 1h"),
    ] {
        assert_eq!(connect(text).await, format!("connect {text}: {error}"));
    }
    assert!(taken(&up.notes).is_empty() && taken(&low.notes).is_empty() && taken(&base.1).is_empty());
}

#[tokio::test]
async fn what_a_layer_cannot_use_is_an_error_about_the_whole_endpoint() {
    const UP: &[OptionDoc] = &[OptionDoc::new("up", "text", "", Side::Both)];
    let base = Base::new();
    let registry = registry(&base, &Layer::new("up", UP), &Layer::new("low", &[]));
    let (invalid, unusable) = (endpoint("up+low+mem:x?up=invalid"), endpoint("up+low+mem:x?up=unusable"));
    assert!(matches!(registry.bind(&invalid).await, Err(BindError::Invalid { endpoint, reason })
        if endpoint == invalid && reason == "write something else"));
    assert!(matches!(registry.bind(&unusable).await, Err(BindError::Unusable { endpoint, reason })
        if endpoint == unusable && reason == "the file is empty"));
    assert!(
        matches!(registry.connect(&invalid).await, Err(ConnectError::Invalid { endpoint, .. }) if endpoint == invalid)
    );
    assert!(
        matches!(registry.connect(&unusable).await, Err(ConnectError::Unusable { endpoint, .. }) if endpoint == unusable)
    );
    let unknown = endpoint("up+low+mem:x?down=1");
    let error = registry.bind(&unknown).await.unwrap_err();
    assert!(
        matches!(&error, BindError::Option { endpoint, source: OptionError::Unknown { .. } } if *endpoint == unknown)
    );
    assert!(taken(&base.1).is_empty());
}

#[test]
fn a_name_twice_is_refused() {
    const SIZE: &[OptionDoc] = &[OptionDoc::new("size", "bytes", "", Side::Bind)];
    const TIMEOUT: &[OptionDoc] = &[OptionDoc::new("handshake_timeout", "time", "", Side::Bind)];
    let why = |up, low| {
        let stack =
            Stacked::new(Layer::new("low", low), Base::new()).and_then(|stack| stack.under(Layer::new("up", up)));
        stack.unwrap_err().to_string()
    };
    assert_eq!(why(A, A), "up and low both have an option \"a\"");
    assert_eq!(why(SIZE, A), "up and mem both have an option \"size\"");
    assert_eq!(why(A, SIZE), "low and mem both have an option \"size\"");
    assert_eq!(why(TIMEOUT, A), "up and every stack both have an option \"handshake_timeout\"");
    let registry = registry(&Base::new(), &Layer::new("up", A), &Layer::new("low", A));
    let error = registry.transport(&endpoint("up+low+mem:x")).map(drop).unwrap_err();
    assert_eq!(error.to_string(), "scheme \"up+low+mem\": up and low both have an option \"a\"");
}

#[tokio::test]
async fn a_dialler_is_told_what_the_layers_tell_it() {
    let registry = Registry::new().with(Base::new()).with_layer(Layer::new("up", A)).with_layer(Layer::new("low", B));
    let bound = registry.bind(&endpoint("up+low+mem:x?key=k")).await.unwrap();
    assert_eq!(bound.local(), endpoint("up+low+mem:x"));
    assert_eq!(bound.dial(), endpoint("up+low+mem:x?a=told&b=told"));
    let Bound::Listener(_) = &bound else { panic!("{bound:?}") };
    meet(&registry, &mut listener(bound)).await;
}
