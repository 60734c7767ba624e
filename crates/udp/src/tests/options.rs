//! Options, and what holds without them.

use super::*;

#[tokio::test]
async fn options_take_effect_at_both_ends() {
    let options = "recv_buffer=32k&send_buffer=48k&ttl=9&broadcast=true";
    let (bound, _) = bind(&format!("udp://127.0.0.1:0?{options}")).await;
    let (dialled, _) = connect(&endpoint(&format!("udp://{}?{options}", bound.local_addr().unwrap()))).await;
    for socket in [&bound, &dialled] {
        let socket = SockRef::from(socket);
        let factor = if cfg!(target_os = "linux") { 2 } else { 1 };
        assert_eq!(socket.recv_buffer_size().unwrap(), factor * 32 * 1024);
        assert_eq!(socket.send_buffer_size().unwrap(), factor * 48 * 1024);
        assert_eq!(socket.ttl_v4().unwrap(), 9);
        assert!(socket.broadcast().unwrap());
        assert!(!socket.reuse_address().unwrap());
    }
    let (v6, _) = bind("udp://[::]:0?ttl=9&v6_only=false").await;
    let socket = SockRef::from(&v6);
    assert_eq!(socket.unicast_hops_v6().unwrap(), 9);
    assert!(!socket.only_v6().unwrap() && !socket.broadcast().unwrap() && !socket.reuse_address().unwrap());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_source_is_where_datagrams_come_from() {
    let (bound, _) = bind("udp://127.0.0.1:0").await;
    let to = format!("udp://{}", bound.local_addr().unwrap());
    let (dialled, _) = connect(&endpoint(&format!("{to}?source=127.0.0.7"))).await;
    dialled.send(b"ping").unwrap();
    let mut heard = [0; 4];
    bound.set_nonblocking(false).unwrap();
    let (_, from) = bound.recv_from(&mut heard).unwrap();
    assert!(from.to_string().starts_with("127.0.0.7:") && from == dialled.local_addr().unwrap(), "{from}");
    for (source, why) in [
        ("192.0.2.1", "source=192.0.2.1 is no address of this machine"),
        ("::1", "source=::1 does not reach 127.0.0.1: one is IPv4 and the other IPv6"),
    ] {
        let error = Udp::new().connect(&endpoint(&format!("{to}?source={source}"))).await.unwrap_err();
        assert_eq!(error.to_string(), format!("connect {to}?source={source}: {why}"));
    }
}

/// What is not asked for: more than most systems give by themselves, and as much as they allow.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn receive_buffers_are_large_by_default() {
    let most: usize = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap().trim().parse().unwrap();
    let untouched = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let own = SockRef::from(&untouched).recv_buffer_size().unwrap();
    let (bound, options) = bind("udp://127.0.0.1:0").await;
    let (dialled, _) = connect(&endpoint(&format!("udp://{}", bound.local_addr().unwrap()))).await;
    for (socket, size) in [(&bound, 4 << 20), (&dialled, 1 << 20)] {
        // Linux tells the double.
        assert_eq!(SockRef::from(socket).recv_buffer_size().unwrap(), own.max(2 * most.min(size)));
    }
    let told = SockRef::from(&bound).recv_buffer_size().unwrap();
    assert_eq!(Server::<Default>::new(bound, &options).unwrap().queue_memory(), told);
}

#[test]
fn every_option_is_read() {
    for doc in OPTIONS {
        let value = match doc.value {
            value if value.starts_with("bool") => "true",
            value if value.starts_with("IP") => "::1",
            _ => "5",
        };
        // Any text may be the name of one.
        let is_name = doc.value.starts_with("name");
        for side in [Side::Bind, Side::Connect] {
            if doc.side == side || doc.side == Side::Both {
                let with = endpoint("udp://[::1]:1").with_option(doc.name, value);
                let wrong = endpoint("udp://[::1]:1").with_option(doc.name, "x");
                crate::options::Options::read(&with, side).unwrap();
                let read = crate::options::Options::read(&wrong, side);
                assert!(is_name || read.is_err(), "{} is not read", doc.name);
            }
        }
    }
}
