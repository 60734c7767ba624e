//! Names with several addresses, and addresses that are no host's.

use swapwire_core::{Bound, ErrorClass, Listener as _, Transport as _};
use swapwire_socket::resolve;

use super::{Tcp, connect, endpoint, refused_bind, refused_connect};
use crate::transport::bind_all;

/// What `localhost` is, this machine says; where it has two addresses both must answer, on one port.
#[tokio::test]
async fn all_addresses_of_a_name_are_listened_on() {
    let addrs = resolve("localhost", 0).await.unwrap();
    for members in [1, 3] {
        let groups = bind_all(&endpoint("tcp://localhost:0"), members).await.unwrap();
        assert_eq!(groups.len(), addrs.len());
        let port = groups[0][0].local().to_string().rsplit_once(':').unwrap().1.to_owned();
        for (group, addr) in groups.iter().zip(&addrs) {
            let host = if addr.is_ipv6() { format!("[{}]", addr.ip()) } else { addr.ip().to_string() };
            let local = endpoint(&format!("tcp://{host}:{port}"));
            assert!(group.len() == members && group.iter().all(|member| member.local() == local), "{local}");
            connect(&local).await.unwrap();
            let error = bind_all(&local, members).await.unwrap_err();
            assert_eq!(error.to_string(), format!("bind {local}: address in use: another server is listening there"));
        }
        let name = endpoint(&format!("tcp://localhost:{port}"));
        connect(&name).await.unwrap();
        assert!(bind_all(&name, 1).await.unwrap_err().is_addr_in_use());
    }
}

#[tokio::test]
async fn the_transport_gives_what_was_bound() {
    let groups = Tcp::new().bind_all(&endpoint("tcp://127.0.0.1:0"), 2).await.unwrap();
    assert!(groups.len() == 1 && groups[0].len() == 2);
    assert!(groups[0].iter().all(|bound| matches!(bound, Bound::Listener(_)) && bound.local() == groups[0][0].local()));
}

#[tokio::test]
async fn a_group_has_no_connections() {
    for (host, kind) in [("239.1.2.3", "multicast"), ("[ff02::1]", "multicast"), ("255.255.255.255", "broadcast")] {
        let place = format!("tcp://{host}:9");
        let ip = host.trim_matches(['[', ']']);
        let reason =
            format!("{ip} is a {kind} address, and TCP connects two hosts; write udp:// for datagrams to many");
        assert_eq!(refused_bind(&place).await, format!("bind {place}: {reason}"));
        assert_eq!(refused_connect(&place).await, format!("connect {place}: {reason}"));
        let error = bind_all(&endpoint(&place), 2).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Configuration);
    }
}
