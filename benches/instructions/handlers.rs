//! The handlers, and a server of one on a runtime of its own.

use std::sync::Arc;

use swapwire::{Framing, Handler, HandlerError, IntoService, Registry, Reply, Request, Running, Service, Transport};
use tokio::runtime::Runtime;

/// The one that `swapwire serve` runs, as an operator gets it: by its name, behind `Arc<dyn Service>`.
pub fn uppercase_echo() -> Arc<dyn Service> {
    swapwire::default_handlers().get("uppercase-echo").unwrap().make()
}

/// Lets others run before it answers.
pub struct WaitsOnce;

impl Handler for WaitsOnce {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        tokio::task::yield_now().await;
        reply.write(|out| {
            out.put(request.message());
            out.as_mut().make_ascii_uppercase();
        })?;
        Ok(())
    }
}

/// One thread for all, as each worker has. The limits and deadlines are the default ones.
pub struct Server {
    // Before the runtime it runs on.
    pub _running: Running,
    pub registry: Registry,
    pub runtime: Runtime,
}

impl Server {
    pub fn start<K>(transport: impl Transport, endpoint: &str, handler: impl IntoService<K>, framing: Framing) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let registry = Registry::new().with(transport);
        let server = swapwire::server().registry(registry.clone()).handler(handler).framing(framing).listen(endpoint);
        let _running = runtime.block_on(async { server.bind().await.unwrap().start() });
        Self { _running, registry, runtime }
    }
}
