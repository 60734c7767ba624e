//! The servers, each on a thread of its own.

use std::thread::JoinHandle;

use swapwire::handlers::UppercaseEcho;
use swapwire::{Bound, Endpoint, Framing, IntoService, Registry, Running, WithLayer as _};
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::by_hand::{self, Duplex};
use super::session_echo::SessionEcho;
use super::{Kind, Wire};

/// A server on a thread with a runtime of its own, until it is dropped.
pub struct Server {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Reaches it.
    pub registry: Registry,
    running: Option<Running>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Of sockets.
    _dir: TempDir,
}

impl Server {
    /// By hand, only memory has framings; directly, there is only memory, and no framing.
    pub fn start(kind: Kind, wire: Wire, framing: &Framing) -> Self {
        let dir = TempDir::new().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let duplex = Duplex { runtime: runtime.handle().clone(), framing: framing.clone() };
        let registry = swapwire::default_registry().with(duplex).with_layer(swapwire_ws::Ws::new());
        let place = match (wire, kind) {
            (Wire::Tcp | Wire::Udp | Wire::Ws, _) => format!("{}://127.0.0.1:0", wire.name()),
            (Wire::Unix | Wire::UnixDgram | Wire::UnixSeq, _) => {
                format!("{}:{}", wire.name(), dir.path().join("server").display())
            }
            (Wire::Mem, Kind::ByHand) => "duplex:bench".to_owned(),
            (Wire::Mem, _) => "mem:bench".to_owned(),
        };
        let place: Endpoint = place.parse().unwrap();
        let (endpoint, running) = runtime.block_on(async {
            match kind {
                Kind::Swapwire => ours(&registry, place, UppercaseEcho, framing).await,
                Kind::Registry => {
                    let handler = swapwire::default_handlers().get("uppercase-echo").unwrap().make();
                    ours(&registry, place, handler, framing).await
                }
                Kind::Session => ours(&registry, place, SessionEcho, framing).await,
                Kind::Direct => {
                    let bound = registry.transport(&place).unwrap().bind(&place).await.unwrap();
                    let Bound::Listener(listener) = bound else { panic!("{place} has no connections") };
                    tokio::spawn(by_hand::serve_directly(listener));
                    (place, None)
                }
                Kind::ByHand => (by_hand::serve(place).await.unwrap(), None),
            }
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || drop(runtime.block_on(stopped)));
        Self { endpoint, registry, running, stop: Some(stop), thread: Some(thread), _dir: dir }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Before the thread ends: it runs there.
        self.running.take();
        self.stop.take();
        self.thread.take().map(JoinHandle::join);
    }
}

async fn ours<K>(
    registry: &Registry,
    place: Endpoint,
    handler: impl IntoService<K>,
    framing: &Framing,
) -> (Endpoint, Option<Running>) {
    let server = swapwire::server().registry(registry.clone()).handler(handler).framing(framing.clone());
    let running = server.listen(place).bind().await.unwrap().start();
    (running.local_endpoints()[0].clone(), Some(running))
}
