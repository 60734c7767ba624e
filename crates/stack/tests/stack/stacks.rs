//! What can stand on what, and what is forwarded.

use crate::common::{A, Base, Layer, endpoint, listener, meet, registry, taken};
use swapwire_core::{Bound, ConnectError, Endpoint, Link, Registry, Transport as _};
use swapwire_mem::MemNetwork;
use swapwire_stack::{Stacked, WithLayer as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn why(registry: &Registry, text: &str) -> String {
    registry.transport(&endpoint(text)).map(drop).unwrap_err().to_string()
}

#[test]
fn an_impossible_stack_says_why() {
    let messages = Layer { messages: true, ..Layer::new("msg", &[]) };
    let registry = registry(&Base::new(), &Layer::new("up", A), &Layer::new("low", &[])).with_layer(messages);
    for (text, error) in [
        ("up+mem-dgram:x", "up needs a byte stream, and mem-dgram gives a datagram wire"),
        ("up+low+mem-seq:x", "low needs a byte stream, and mem-seq gives a message stream wire"),
        ("up+msg+mem:x", "up needs a byte stream, and msg gives a message stream wire"),
        ("low+up+low+mem:x", "low stands in it twice"),
        ("mem+up:x", "mem is no layer, so it comes last: write the layers first, as in tls+tcp"),
        ("up://127.0.0.1:1", "it stands on tcp here, which this program does not have"),
        ("up:/run/x", "it stands on unix here, which this program does not have"),
        ("up:@x", "it stands on unix here, which this program does not have"),
    ] {
        let scheme = text.split(':').next().unwrap();
        assert_eq!(why(&registry, text), format!("scheme {scheme:?}: {error}"));
    }
    let known = "known: mem, mem-dgram, mem-seq, low, msg, up";
    assert_eq!(why(&registry, "up+pipe:x"), format!("unknown scheme \"pipe\"; {known}"));
    // One of messages is possible where nothing stands on it.
    registry.transport(&endpoint("msg+up+mem:x")).unwrap();

    let nothing = Stacked::new(Layer::new("up", A), Stacked::new(messages_layer(), MemNetwork::new()).unwrap());
    assert_eq!(nothing.unwrap_err().to_string(), "up needs a byte stream, and the transport below has none");
    let twice = Stacked::new(Layer::new("up", A), MemNetwork::new()).unwrap().under(Layer::new("up", A));
    assert_eq!(twice.unwrap_err().to_string(), "up stands in it twice");
}

#[tokio::test]
async fn an_alias_stands_for_layers_and_what_is_bound_has_the_whole_name() {
    let registry = registry(&Base::new(), &Layer::new("up", A), &Layer::new("low", &[]));
    let registry = registry.with_alias("both", "up+low").with_alias("none", "up+gone");
    for text in ["both:x", "both+mem:y"] {
        let bound = registry.bind(&endpoint(text)).await.unwrap();
        assert_eq!(bound.local(), endpoint(text).with_scheme("up+low+mem"));
    }
    assert_eq!(why(&registry, "low+both:x"), "scheme \"low+up+low\": low stands in it twice");
    let known = "known: mem, mem-dgram, mem-seq, low, up, both";
    assert_eq!(why(&registry, "none:x"), format!("unknown scheme \"gone\"; {known}"));
}

fn messages_layer() -> Layer {
    Layer { messages: true, ..Layer::new("msg", &[]) }
}

#[tokio::test]
async fn a_place_without_a_base_has_the_base_of_its_kind_and_prints_it() {
    let registry = registry(&Base::new(), &Layer::new("up", A), &Layer::new("low", &[]));
    let bound = registry.bind(&endpoint("up+low:x")).await.unwrap();
    assert_eq!(bound.local(), endpoint("up+low+mem:x"));
    let (client, server) = meet(&registry, &mut listener(bound)).await;
    assert!(matches!((client, server), (Link::Bytes { .. }, Link::Bytes { .. })));
}

#[tokio::test]
async fn a_stack_on_a_registered_network_is_on_that_network() {
    let (network, up) = (MemNetwork::new(), Layer::new("up", &[]));
    let registry = Registry::new().with(network.clone()).with_layer(up.clone());
    let by_code = Registry::new().with(Stacked::new(up, network.clone()).unwrap());
    let mut bound = listener(registry.bind(&endpoint("up+mem:x")).await.unwrap());
    for registry in [&registry, &by_code] {
        meet(registry, &mut bound).await;
    }
    // The layer has no bytes of its own, so that whoever is below it can be heard.
    let below = endpoint("mem:x");
    let (client, incoming) = tokio::join!(network.connect(&below), bound.accept());
    let (Link::Bytes { io: mut client, .. }, Link::Bytes { io: mut server, .. }) =
        (client.unwrap(), incoming.unwrap().establish().await.unwrap())
    else {
        panic!()
    };
    client.write_all(b"below").await.unwrap();
    let mut got = [0; 5];
    server.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"below");
    assert!(network.bind(&endpoint("mem:x")).await.unwrap_err().is_addr_in_use());
}

#[tokio::test]
async fn a_stack_by_code_has_the_schemes_of_its_base_that_have_byte_streams() {
    let stack = Stacked::new(Layer::new("low", &[]), Base::new()).unwrap();
    assert_eq!(stack.schemes(), ["low+mem"]);
    let stack = stack.under(Layer::new("up", A)).unwrap();
    assert_eq!(format!("{stack:?}"), "Stacked(up+low+mem)");
    let registry = Registry::new().with(stack);
    meet(&registry, &mut listener(registry.bind(&endpoint("up+low+mem:x")).await.unwrap())).await;
}

#[tokio::test]
async fn errors_from_below_are_about_the_whole_endpoint() {
    let registry = registry(&Base::new(), &Layer::new("up", A), &Layer::new("low", &[]));
    let whole = endpoint("up+low+mem:x?size=1");
    let error = registry.connect(&whole).await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused { .. }) && *error.endpoint() == whole, "{error}");
    let _bound = registry.bind(&whole).await.unwrap();
    let error = registry.bind(&whole).await.unwrap_err();
    assert!(error.is_addr_in_use() && *error.endpoint() == whole, "{error}");
}

#[tokio::test]
async fn what_all_layers_learn_of_a_peer_is_known() {
    let registry = registry(&Base::new(), &Layer::new("up", A), &Layer::new("low", &[]));
    let mut listener = listener(registry.bind(&endpoint("up+low+mem:x")).await.unwrap());
    let (client, server) = meet(&registry, &mut listener).await;
    for link in [client, server] {
        assert_eq!(link.info().peer.get::<crate::common::Passed>().unwrap().0, ["low", "up"]);
    }
}

#[tokio::test]
async fn a_group_is_one_of_the_wire_below_with_one_half_for_all() {
    let (base, up) = (Base::new(), Layer::new("up", A));
    let registry = Registry::new().with(base.clone()).with_layer(up.clone());
    for all in [false, true] {
        let whole = endpoint("up+mem:x");
        let group = match all {
            true => registry.bind_all(&whole, 3).await.unwrap().remove(0),
            false => registry.bind_group(&whole, 3).await.unwrap(),
        };
        assert_eq!(taken(&base.1).len(), 3);
        assert_eq!(taken(&up.notes), ["up serves up+mem:x"]);
        let places: Vec<_> = group.iter().map(|member| member.local().to_string()).collect();
        assert_eq!(places, ["up+mem:member-0", "up+mem:member-1", "up+mem:member-2"]);
        for member in group {
            meet(&registry, &mut listener(member)).await;
        }
        taken(&base.1);
        taken(&up.notes);
    }
}

#[tokio::test]
async fn every_layer_reloads_and_tells_its_news() {
    let (up, low) = (Layer::new("up", A), Layer::new("low", &[]));
    let registry = registry(&Base::new(), &up, &low);
    let Bound::Listener(mut listener) = registry.bind(&endpoint("up+low+mem:x")).await.unwrap() else { panic!() };
    let found = listener.upkeep().unwrap();
    assert_eq!((found.reachable, found.news.as_deref()), (true, Some("low is well; up is well")));
    taken(&up.notes);
    taken(&low.notes);
    assert!(listener.reloads());
    listener.reload();
    assert_eq!((taken(&up.notes), taken(&low.notes)), (vec!["up reloads".to_owned()], vec!["low reloads".to_owned()]));
}

#[tokio::test]
async fn what_is_bound_goes_on_under_other_layers() {
    let base = Base::new();
    let registry = registry(&base, &Layer::new("up", A), &Layer::new("low", &[]));
    let (plain, stacked) = (endpoint("mem:x"), endpoint("up+low+mem:x?a=1"));
    let transport = |text: &Endpoint| registry.transport(text).unwrap();
    let over = async |text: &_| transport(text).layers(text).await.unwrap();
    assert_eq!((transport(&plain).base(&plain), transport(&stacked).base(&stacked)), (plain.clone(), plain.clone()));

    let bound = listener(registry.bind(&plain).await.unwrap());
    let mut bound = over(&stacked).await.wrap(over(&plain).await.wrap(bound));
    assert_eq!(bound.local(), endpoint("up+low+mem:x"));
    meet(&registry, &mut bound).await;
    // The other way round, a connection that waited is not lost.
    let (client, taken) = (registry.connect(&plain), async { bound.unstack().unwrap() });
    let (client, mut taken) = tokio::join!(client, taken);
    assert_eq!((client.is_ok(), taken.local()), (true, plain.clone()));
    assert!(taken.unstack().is_none());
    taken.accept().await.unwrap().establish().await.unwrap();

    let wrong = endpoint("up+mem:x?b=1");
    let error = transport(&wrong).layers(&wrong).await.unwrap_err();
    assert!(error.to_string().starts_with("bind up+mem:x?b=1: "), "{error}");
}
