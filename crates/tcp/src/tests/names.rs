//! Names with several addresses, and addresses that are no host's.

use swapwire_core::{BindError, Bound, ErrorClass, Listener as _, Transport as _};
use swapwire_socket::Binder;

use super::{Tcp, bind, connect, endpoint, refused_bind, refused_connect};
use crate::options::Options;

/// What `localhost` may be, or anything else that a resolver says.
#[tokio::test]
async fn all_addresses_of_a_name_are_listened_on() {
    let name = endpoint("tcp://localhost:0");
    for members in [1, 3] {
        let mut binder = Binder::<Options>::read(&name).await.unwrap();
        binder.addrs = ["[::1]:0", "127.0.0.1:0", "127.0.0.2:0"].map(|addr| addr.parse().unwrap()).to_vec();
        let groups = binder.groups(members).unwrap();
        let port = groups[0][0].local().to_string().rsplit_once(':').unwrap().1.to_owned();
        for (group, host) in groups.iter().zip(["[::1]", "127.0.0.1", "127.0.0.2"]) {
            let local = endpoint(&format!("tcp://{host}:{port}"));
            assert!(group.len() == members && group.iter().all(|member| member.local() == local), "{local}");
            connect(&local).await.unwrap();
            assert!(bind(&local).await.unwrap_err().is_addr_in_use());
        }
        // Of a second server, no address is bound, those that are free neither.
        binder.addrs.iter_mut().for_each(|addr| addr.set_port(port.parse().unwrap()));
        binder.addrs.insert(0, format!("127.0.0.3:{port}").parse().unwrap());
        let error = binder.groups(members).unwrap_err();
        assert!(error.is_addr_in_use());
        let taken = format!("another server is listening on [::1]:{port}");
        assert_eq!(error.to_string(), format!("bind tcp://localhost:0: address in use: {taken}"));
        bind(&endpoint(&format!("tcp://127.0.0.3:{port}"))).await.unwrap();
    }
}

/// Of documentation (RFC 5737), and so never this machine's.
#[tokio::test]
async fn an_address_that_is_elsewhere_is_left_out() {
    let name = endpoint("tcp://localhost:0");
    let mut binder = Binder::<Options>::read(&name).await.unwrap();
    binder.addrs = ["192.0.2.1:0", "127.0.0.1:0"].map(|addr| addr.parse().unwrap()).to_vec();
    let groups = binder.groups(2).unwrap();
    assert_eq!(groups.len(), 1);
    assert!(groups[0][0].local().to_string().starts_with("tcp://127.0.0.1:"));
    binder.addrs.truncate(1);
    assert!(matches!(binder.groups(2), Err(BindError::Io { .. })));
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
        let error = Tcp::new().bind_all(&endpoint(&place), 2).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Configuration);
    }
}
