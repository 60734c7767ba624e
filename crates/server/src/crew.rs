//! Who serves what: the loops of one worker, or of the only one.

use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use swapwire_core::{Addr, Bound, Capabilities, Endpoint, Framing};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::accept::serve_listener;
use crate::catch::let_go;
use crate::context::Drain;
use crate::group::Member;
use crate::group_socket::GroupSocket;
use crate::keeper::Keeper;
use crate::room::Room;
use crate::scratch::Lending;
use crate::stats::Stats;
use crate::troubles::Troubles;
use crate::{Limits, ServeContext, Service};

/// An endpoint with all that was bound for it: one, or a group for several workers.
pub(crate) struct Served {
    pub(crate) members: Vec<Bound>,
    pub(crate) local: Endpoint,
    pub(crate) service: Arc<dyn Service>,
    pub(crate) framing: Framing,
    pub(crate) capabilities: Capabilities,
}

/// What one worker serves.
pub(crate) struct Crew {
    parts: Vec<Part>,
    pub(crate) stats: Arc<Stats>,
    /// The addresses of all datagram sockets, of other crews as well.
    ours: Arc<[SocketAddr]>,
}

/// One member of one endpoint's group.
struct Part {
    bound: Bound,
    member: Member,
    grouped: bool,
    served: Arc<Plan>,
}

struct Plan {
    local: Endpoint,
    service: Arc<dyn Service>,
    framing: Framing,
    capabilities: Capabilities,
    troubles: Arc<Troubles>,
}

/// How the loops of a crew are told to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Word {
    pub(crate) drain: Drain,
    pub(crate) abort: CancellationToken,
}

/// How the loop of one member ended: its endpoint, what was cut, and whether it failed.
pub(crate) type Outcome = (Endpoint, u64, io::Result<()>);

/// Spreads the members over so many crews, and leaves out those that would have nothing to do.
pub(crate) fn spread(served: Vec<Served>, workers: usize) -> Vec<Crew> {
    let ours: Arc<[_]> = served.iter().filter_map(datagram_address).collect();
    let crew = |_| Crew { parts: Vec::new(), stats: Arc::default(), ours: Arc::clone(&ours) };
    let mut crews: Vec<_> = (0..workers.max(1)).map(crew).collect();
    let workers = crews.len();
    // Endpoints that not everybody serves begin where the last of them ended.
    let mut next = 0;
    for Served { members, local, service, framing, capabilities } in served {
        let count = members.len();
        let first = if count < workers { next } else { 0 };
        next = if count < workers { (next + count) % workers } else { next };
        let served = Arc::new(Plan { local, service, framing, capabilities, troubles: Arc::default() });
        for (i, (bound, member)) in members.into_iter().zip(Member::group(count)).enumerate() {
            let part = Part { bound, member, grouped: count > 1, served: Arc::clone(&served) };
            crews[(first + i) % workers].parts.push(part);
        }
    }
    crews.retain(|crew| !crew.parts.is_empty());
    crews
}

fn datagram_address(served: &Served) -> Option<SocketAddr> {
    match served.members.first()? {
        Bound::Socket(socket) => match socket.local_addr()? {
            Addr::Inet(addr) => Some(addr),
            _ => None,
        },
        _ => None,
    }
}

impl Crew {
    /// What it serves, an endpoint for each loop.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.parts.iter().map(|part| &part.served.local)
    }

    /// Starts a task for each loop on the runtime that this is called on.
    pub(crate) fn start(self, limits: &Arc<Limits>, room: &Room, word: &Word) -> JoinSet<Outcome> {
        let mut loops = JoinSet::new();
        for part in self.parts {
            let cx = Arc::new(ServeContext {
                bound: Addr::of_endpoint(&part.served.local),
                endpoint: part.served.local.clone(),
                capabilities: part.served.capabilities,
                framing: part.served.framing.clone(),
                limits: Arc::clone(limits),
                stats: Arc::clone(&self.stats),
                troubles: Arc::clone(&part.served.troubles),
                drain: word.drain.clone(),
                abort: word.abort.clone(),
                keeper: Arc::new(Keeper::new(limits)),
                lending: Lending::default(),
                ledger: room.ledger.clone(),
                ours: Arc::clone(&self.ours),
                id: ServeContext::fresh_id(),
            });
            let room = room.clone();
            loops.spawn(async move {
                let local = part.served.local.clone();
                // A transport of somebody else's may panic; then this endpoint has failed, and says so.
                let served = AssertUnwindSafe(part.serve(cx, room)).catch_unwind().await.map_err(let_go);
                let (cut, result) = served.unwrap_or_else(|()| (0, Err(io::Error::other("its loop panicked"))));
                (local, cut, result)
            });
        }
        loops
    }
}

impl Part {
    async fn serve(self, cx: Arc<ServeContext>, room: Room) -> (u64, io::Result<()>) {
        let service = Arc::clone(&self.served.service);
        let socket = match self.bound {
            Bound::Listener(listener) => return serve_listener(listener, self.member, service, cx, room).await,
            Bound::Socket(socket) if !self.grouped => socket,
            Bound::Socket(socket) => Box::new(GroupSocket::new(socket, self.member, cx.drain.clone())),
            _ => return (0, Err(io::ErrorKind::Unsupported.into())),
        };
        match service.serve_socket(socket, &cx).await {
            Ok(cut) => (cut, Ok(())),
            Err(error) => (0, Err(error)),
        }
    }
}
