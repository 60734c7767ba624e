//! A server within this process.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use std::sync::mpsc::{SyncSender, sync_channel};

use swapwire::{Endpoint, Limits, Registry, Server};
use tokio::sync::oneshot;

use super::servers::Spec;

/// A server in memory: a thread that waits for workers. Dropping it tells the server to end and does not wait.
#[derive(Debug)]
pub(super) struct Memory {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    dialled: Vec<Endpoint>,
}

impl Memory {
    /// Starts it; when this returns, it listens.
    ///
    /// # Errors
    /// It could not be started; in one line.
    pub(super) fn start(endpoints: Vec<Endpoint>, spec: &Spec, registry: &Registry) -> Result<Self, String> {
        let handlers = swapwire::default_handlers();
        let entry = handlers.get(&spec.handler).map_err(|error| error.to_string())?;
        let mut limits = Limits::default();
        limits.max_message = limits.max_message.max(spec.max_message);
        limits.max_reply = limits.max_reply.max(limits.max_message);
        limits.max_connections = spec.max_connections.unwrap_or(limits.max_connections);
        limits.drain_timeout = Duration::from_secs(1);
        let mut builder = Server::builder()
            .registry(registry.clone())
            .handler(entry.make())
            .framing(spec.framing.clone())
            .limits(limits)
            .workers(spec.workers);
        for endpoint in endpoints {
            builder = builder.listen(endpoint);
        }
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = sync_channel(1);
        let serve = move |ready: SyncSender<Result<Vec<Endpoint>, String>>| {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return ready.send(Err(format!("start the runtime: {error}"))),
            };
            runtime.block_on(async {
                let server = match builder.bind().await {
                    Ok(server) => server,
                    Err(error) => return ready.send(Err(error.to_string())),
                };
                let told = ready.send(Ok(server.local_endpoints()));
                server
                    .run_until(async {
                        let _ = stopped.await;
                    })
                    .await;
                told
            })
        };
        let thread = thread::Builder::new()
            .name("mem-server".to_owned())
            .spawn(move || {
                // The receiver may be gone.
                let _ = serve(ready);
            })
            .map_err(|error| error.to_string())?;
        let dialled = is_ready.recv().unwrap_or_else(|_| Err("the thread of the server panicked".to_owned()))?;
        Ok(Self { stop, thread, dialled })
    }

    /// What its clients dial, in the order in which it was given the endpoints.
    pub(super) fn dialled(&self) -> &[Endpoint] {
        &self.dialled
    }

    /// Ends it and waits for that.
    pub(super) fn end(self) {
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}
