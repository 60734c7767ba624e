//! A proxy that loses, repeats and reorders replies on the way from a UDP server, and knows how many.
//!
//! In an open loop without warm-up, the proxy sees exactly the requests that are measured. No more datagrams are under way
//! than a socket's buffer holds (some 270), so that nothing but the proxy loses any.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use swapwire_bench::{Conditions, Load, Round};
use tokio::net::UdpSocket;

use crate::bench::{echoes, load, plan, round};
use crate::servers;

/// What happens to a reply.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Pass,
    Drop,
    Twice,
    /// After the next one to the same client.
    Swap,
}

/// What a proxy did.
#[derive(Default)]
struct Did {
    requests: u64,
    replies: u64,
    dropped: u64,
    doubled: u64,
    swapped: u64,
}

struct Proxy {
    /// To clients.
    front: UdpSocket,
    fate: fn(u64) -> Fate,
    did: Mutex<Did>,
}

impl Proxy {
    /// In front of `server`; gives its own endpoint.
    async fn start(server: &str, fate: fn(u64) -> Fate) -> (String, Arc<Self>) {
        let server: SocketAddr = server.strip_prefix("udp://").unwrap().parse().unwrap();
        let front = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("udp://{}", front.local_addr().unwrap());
        let proxy = Arc::new(Self { front, fate, did: Mutex::default() });
        tokio::spawn(Arc::clone(&proxy).requests(server));
        (endpoint, proxy)
    }

    /// Passes all requests on, each client's through a socket of its own.
    async fn requests(self: Arc<Self>, server: SocketAddr) {
        let (mut backs, mut buffer) = (HashMap::<SocketAddr, Arc<UdpSocket>>::new(), [0; 2048]);
        while let Ok((count, client)) = self.front.recv_from(&mut buffer).await {
            let back = match backs.entry(client) {
                Entry::Occupied(back) => back.into_mut(),
                Entry::Vacant(place) => {
                    let back = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
                    back.connect(server).await.unwrap();
                    tokio::spawn(Arc::clone(&self).replies(client, Arc::clone(&back)));
                    place.insert(back)
                }
            };
            self.did.lock().unwrap().requests += 1;
            back.send(&buffer[..count]).await.unwrap();
        }
    }

    /// Does to the replies to one client what fate wills.
    async fn replies(self: Arc<Self>, client: SocketAddr, back: Arc<UdpSocket>) {
        let (mut held, mut buffer): (Option<Vec<u8>>, _) = (None, [0; 2048]);
        while let Ok(count) = back.recv(&mut buffer).await {
            let reply = &buffer[..count];
            let fate = {
                let did = &mut *self.did.lock().unwrap();
                let fate = (self.fate)(did.replies);
                did.replies += 1;
                did.dropped += u64::from(fate == Fate::Drop);
                did.doubled += u64::from(fate == Fate::Twice);
                did.swapped += u64::from(fate == Fate::Swap);
                fate
            };
            let times = match fate {
                Fate::Drop => continue,
                Fate::Swap => {
                    held = Some(reply.to_vec());
                    continue;
                }
                Fate::Twice => 2,
                Fate::Pass => 1,
            };
            for _ in 0..times {
                self.front.send_to(reply, client).await.unwrap();
            }
            if let Some(held) = held.take() {
                self.front.send_to(&held, client).await.unwrap();
            }
        }
    }
}

const REQUESTS: u64 = 1000;

/// A thousand requests through such a proxy.
async fn through(fate: fn(u64) -> Fate, load: Load, timeout: Duration) -> (Round, Arc<Proxy>) {
    let server = servers::udp(|request| vec![request.to_vec()]).await;
    let (endpoint, proxy) = Proxy::start(&server, fate).await;
    let load = Load { rate: Some(1000.0), ..load };
    let round = round(plan(&endpoint, load, Conditions { timeout: Some(timeout), ..echoes(REQUESTS) })).await;
    let did = proxy.did.lock().unwrap();
    assert_eq!((round.requests, did.requests, did.replies), (REQUESTS, REQUESTS, REQUESTS), "{round:?}");
    assert_eq!((round.faults.wrong, round.faults.unsent, round.faults.broken), (0, 0, 0), "{round:?}");
    drop(did);
    (round, proxy)
}

#[tokio::test]
async fn what_a_proxy_drops_is_lost() {
    let every_20th = |reply| if reply % 20 == 7 { Fate::Drop } else { Fate::Pass };
    let load = Load { connections: 4, pipeline: 45, ..load("64") };
    let (round, proxy) = through(every_20th, load, Duration::from_secs(3)).await;
    let (faults, did) = (&round.faults, proxy.did.lock().unwrap());
    assert_eq!(did.dropped, REQUESTS / 20);
    // What the proxy was too slow for is late: that was not lost on the way.
    assert_eq!(faults.lost - faults.late, did.dropped, "{faults:?}");
    assert_eq!(round.answered, REQUESTS - faults.lost);
    if faults.late == 0 {
        let share = faults.lost as f64 / round.requests as f64;
        assert!((share - 0.05).abs() <= 0.005, "{share}");
    }
    assert_eq!((faults.duplicated, faults.reordered), (Some(0), Some(0)), "{faults:?}");
}

#[tokio::test]
async fn what_a_proxy_repeats_and_swaps_is_told_apart() {
    // No two fates touch the same pair of replies, and nothing happens to the last ones.
    let fates = |reply| match reply % 50 {
        7 | 32 => Fate::Twice,
        20 => Fate::Swap,
        _ => Fate::Pass,
    };
    // All are on one connection, so that it ends with the last reply, and a repeated one before that is seen.
    let load = Load { pipeline: 180, ..load("64..1k") };
    let (round, proxy) = through(fates, load, Duration::from_secs(20)).await;
    let (faults, did) = (&round.faults, proxy.did.lock().unwrap());
    assert_eq!((did.doubled, did.swapped), (REQUESTS / 25, REQUESTS / 50));
    assert_eq!((faults.duplicated, faults.reordered), (Some(did.doubled), Some(did.swapped)), "{faults:?}");
    assert_eq!((round.answered, faults.lost, faults.late), (REQUESTS, 0, 0), "{faults:?}");
}
