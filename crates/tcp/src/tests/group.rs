//! Groups for workers, and listeners that are polled elsewhere than they were bound.

use std::future::Future;

use swapwire_core::{BindError, Endpoint, Incoming, Listener};
use swapwire_socket::Binder;

use super::{bind, connect, endpoint, options};
use crate::Tcp;
use crate::listener::Acceptor;
use crate::options::Options;

async fn bind_group(endpoint: &Endpoint, members: usize) -> Result<Vec<Acceptor>, BindError> {
    Binder::<Options>::read(endpoint).await?.group(members)
}

const MEMBERS: usize = 4;
const CLIENTS: usize = 200;

/// On a runtime of its own, which is gone afterwards.
fn elsewhere<T: Send>(work: impl Future<Output = T> + Send) -> T {
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
    std::thread::scope(|scope| scope.spawn(run).join().unwrap())
}

/// How many of the waiting connections each member takes.
async fn taken(mut group: Vec<Acceptor>) -> Vec<usize> {
    let mut counts = vec![0; group.len()];
    let mut kept: Vec<Incoming> = Vec::new();
    while counts.iter().sum::<usize>() < CLIENTS {
        for (member, count) in group.iter_mut().zip(&mut counts) {
            tokio::select! {
                biased;
                incoming = member.accept() => {
                    kept.push(incoming.unwrap());
                    *count += 1;
                }
                () = tokio::task::yield_now() => {}
            }
        }
    }
    counts
}

#[tokio::test]
async fn a_group_shares_its_clients_and_its_place() {
    for place in ["tcp://127.0.0.1:0", "tcp://[::1]:0", "tcp://0.0.0.0:0", "tcp://[::]:0?v6_only=false"] {
        let group = bind_group(&endpoint(place), MEMBERS).await.unwrap();
        assert_eq!(group.len(), MEMBERS);
        let local = group[0].local();
        assert!(
            group
                .iter()
                .all(|member| member.local() == local && !member.shares_queue() | cfg!(not(target_os = "linux")))
        );
        // Neither one server more nor one group more.
        assert!(bind(&local).await.unwrap_err().is_addr_in_use(), "{place}");
        assert!(bind_group(&local, MEMBERS).await.unwrap_err().is_addr_in_use(), "{place}");
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(connect(&local).await.unwrap());
        }
        let counts = taken(group).await;
        assert!(counts.iter().all(|count| *count >= CLIENTS / MEMBERS / 8), "{place}: {counts:?}");
        bind(&local).await.unwrap();
    }
}

#[tokio::test]
async fn a_group_is_refused_where_somebody_listens() {
    let first = bind(&endpoint("tcp://127.0.0.1:0")).await.unwrap();
    assert!(bind_group(&first.local(), MEMBERS).await.unwrap_err().is_addr_in_use());
    // A port that both say they share takes a group too.
    let first = bind(&endpoint("tcp://127.0.0.1:0?reuse_port=true")).await.unwrap();
    assert!(bind_group(&first.local(), MEMBERS).await.unwrap_err().is_addr_in_use());
    let group = bind_group(&options(&first.local(), "reuse_port=true"), MEMBERS).await.unwrap();
    assert_eq!(group[3].local(), first.local());
}

#[tokio::test]
async fn one_member_is_a_listener_as_any_other() {
    let group = bind_group(&endpoint("tcp://127.0.0.1:0"), 1).await.unwrap();
    assert_eq!(group.len(), 1);
    let shared = endpoint(&format!("{}?reuse_port=true", group[0].local()));
    assert!(bind(&shared).await.unwrap_err().is_addr_in_use());
}

#[tokio::test]
async fn members_of_one_socket_take_from_one_queue() {
    let group = bind(&endpoint("tcp://127.0.0.1:0")).await.unwrap().share(MEMBERS).unwrap();
    let local = group[0].local();
    assert!(group.len() == MEMBERS && group.iter().all(Listener::shares_queue));
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(connect(&local).await.unwrap());
    }
    assert_eq!(taken(group).await.iter().sum::<usize>(), CLIENTS);
    bind(&local).await.unwrap();
}

/// Its neighbour would not get what it dropped.
#[tokio::test]
async fn who_leaves_a_port_that_others_share_serves_what_waited_and_its_neighbour_what_comes() {
    let mut leaving = bind(&endpoint("tcp://127.0.0.1:0?reuse_port=true")).await.unwrap();
    let local = leaving.local();
    let mut stays = bind(&options(&local, "reuse_port=true")).await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(connect(&local).await.unwrap());
    }
    // One was under way when the drain began.
    drop(leaving.accept().await.unwrap());
    leaving.refuse_arrivals().unwrap();
    for _ in 0..CLIENTS {
        clients.push(connect(&local).await.unwrap());
    }
    let mut served = [1, 0];
    while served.iter().sum::<usize>() < 2 * CLIENTS {
        let (of, incoming) = tokio::select! {
            biased;
            incoming = leaving.accept() => (0, incoming),
            incoming = stays.accept() => (1, incoming),
        };
        incoming.unwrap().establish().await.unwrap();
        served[of] += 1;
    }
    assert!(served[0] >= CLIENTS / 8 && served[1] >= CLIENTS + CLIENTS / 8, "{served:?}");
    let none = tokio::select! {
        biased;
        _ = leaving.accept() => false,
        () = tokio::task::yield_now() => true,
    };
    assert!(none);
    drop(leaving);
    connect(&local).await.unwrap();
}

#[tokio::test]
async fn a_port_that_nobody_else_shares_refuses_who_comes_behind_it() {
    let mut leaving = bind(&endpoint("tcp://127.0.0.1:0?reuse_port=true")).await.unwrap();
    let _waits = connect(&leaving.local()).await.unwrap();
    leaving.refuse_arrivals().unwrap();
    let error = connect(&leaving.local()).await.unwrap_err().to_string();
    assert!(error.contains("refused"), "{error}");
    leaving.accept().await.unwrap().establish().await.unwrap();
}

#[test]
fn a_listener_belongs_to_the_runtime_that_polls_it() {
    let mut listener = elsewhere(bind(&endpoint("tcp://127.0.0.1:0"))).unwrap();
    let local = listener.local();
    elsewhere(async { (connect(&local).await.unwrap(), listener.accept().await.unwrap().establish().await.unwrap()) });

    // Without any runtime.
    let mut listener = Tcp::listener_from_std(std::net::TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
    let local = listener.local();
    elsewhere(async { drop((connect(&local).await.unwrap(), listener.accept().await.unwrap())) });
}

#[test]
fn a_connection_of_a_shared_socket_belongs_to_the_runtime_that_serves_it() {
    let mut group = elsewhere(bind(&endpoint("tcp://127.0.0.1:0"))).unwrap().share(2).unwrap();
    let local = group[0].local();
    let (_client, incoming) = elsewhere(async { (connect(&local).await.unwrap(), group[0].accept().await.unwrap()) });
    elsewhere(async { incoming.establish().await.unwrap() });
}
