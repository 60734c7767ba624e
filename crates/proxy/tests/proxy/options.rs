//! Options that do not fit: one line each, with the endpoint and what would be right.

use swapwire_core::{Endpoint, Registry};
use swapwire_mem::MemNetwork;
use swapwire_proxy::Proxy;
use swapwire_stack::WithLayer as _;

fn registry() -> Registry {
    Registry::new().with(MemNetwork::new()).with_layer(Proxy::new())
}

fn endpoint(text: &str) -> Endpoint {
    text.parse().unwrap()
}

#[tokio::test]
async fn binds_that_cannot_be() {
    for (text, reason) in [
        (
            "proxy+mem:x",
            "option \"trust\" is missing; write trust=10.0.0.0/8,::1,unix: the proxies that are believed: networks, and wires \
             without IP addresses by their name",
        ),
        (
            "proxy+mem:x?trust=",
            "option trust=: write networks, addresses or names of wires without them, as in 10.0.0.0/8,::1,unix",
        ),
        (
            "proxy+mem:x?trust=10.0.0.0/33",
            "option trust=10.0.0.0/33: write networks, addresses or names of wires without them, as in 10.0.0.0/8,::1,unix",
        ),
        (
            "proxy+mem:x?trust=unix,localhost",
            "trust=localhost is no network, address or wire: write networks, addresses or names of wires without them, as in \
             10.0.0.0/8,::1,unix",
        ),
        ("proxy+mem:x?trust=mem&untrusted=maybe", "option untrusted=maybe: write refuse or plain"),
        ("proxy+mem:x?trust=mem&version=3", "option version=3: write 1, 2 or any"),
        ("proxy+mem:x?trust=mem&max_tlvs=64KiB", "option max_tlvs=64KiB: write a size of at most 65312 bytes"),
        ("proxy+mem:x?trust=mem&client=192.0.2.1:1", "option \"client\" is for connecting only"),
        (
            "proxy+mem:x?trust=mem&trsut=mem",
            "unknown option \"trsut\"; did you mean \"trust\"? known: trust, untrusted, version, max_tlvs, backlog",
        ),
    ] {
        let error = registry().bind(&endpoint(text)).await.map(|_| ()).unwrap_err().to_string();
        assert_eq!(error, format!("bind {text}: {reason}"));
    }
}

#[tokio::test]
async fn connects_that_cannot_be() {
    let registry = registry();
    let _bound = registry.bind(&endpoint("proxy+mem:x?trust=mem")).await.unwrap();
    for (options, reason) in [
        ("client=here", "option client=here: write an IP address and a port, as 192.0.2.1:1234 or [2001:db8::1]:1234"),
        ("destination=192.0.2.1:1", "destination= is for whom client= names: add that, or leave it out"),
        ("client=192.0.2.1:1&destination=[::1]:1", "client= and destination= are not both IPv4 or both IPv6"),
        ("checksum=true&version=1", "checksum=true is for version=2"),
        ("trust=mem", "option \"trust\" is for binding only"),
    ] {
        let text = endpoint(&format!("proxy+mem:x?{options}"));
        let error = registry.connect(&text).await.map(|_| ()).unwrap_err().to_string();
        assert_eq!(error, format!("connect {text}: {reason}"));
    }
    // A name is no destination.
    let text = endpoint("proxy+mem:x?client=192.0.2.1:1");
    let error = registry.connect(&text).await.map(|_| ()).unwrap_err().to_string();
    let reason = "client=192.0.2.1:1 and mem:x are of different kinds: add destination=HOST:PORT";
    assert_eq!(error, format!("connect {text}: proxy: {reason}"));
}
