//! The admin endpoint of a server: what an operator, a Prometheus and a load balancer ask it.
//!
//! [`Admin`] serves HTTP/1.1 on a Unix socket or a TCP port, on a thread and a runtime of its own, so that it answers while every
//! worker of the server is blocked. What it shows comes from a [`Source`].
//!
//! | path | answer |
//! | --- | --- |
//! | `GET /` | a page that shows it live; it loads nothing from elsewhere |
//! | `GET /metrics` | Prometheus text 0.0.4 |
//! | `GET /livez` | 200 as long as the process runs |
//! | `GET /readyz` | 200, or 503 with the reason |
//! | `GET /status` | [`Status`] as JSON |
//! | `POST /reload` | reads the configuration again |
//!
//! # Who may ask
//! * A Unix socket: who may connect, which is this user alone unless the endpoint has a `mode`. An abstract name (`unix(7)`), which
//!   has no mode, needs `allow_uid` or `allow_gid`.
//! * A loopback address: all of this host. `POST /reload` needs the header `X-Swapwire: reload`, which no page of another
//!   origin can send.
//! * Any other address is refused, but with [`Admin::expose`]; then there is no `POST`. It is plain HTTP without a password: a
//!   layer in front (`tls+tcp://…?client_ca=…`) or a firewall decides who may read.
//!
//! A browser reaches loopback, also by a name that was made to lead there. So `Host` has to be an IP address, `localhost` or
//! [listed](Admin::hosts), and an `Origin` has to be the endpoint's own. A request of HTTP/1.0 may come without `Host`, as load
//! balancers send it.
//!
//! # Bounds
//! At most 16 readers at once; the one that came first makes room for another. Each has 5 s in all, and a request head of at most
//! 4 KiB and 64 headers. A request has no body, and a connection has one request. One reload at a time.
//!
//! ```
//! use std::time::Duration;
//! use swapwire_admin::{Admin, Source, Status};
//! use swapwire_core::Registry;
//! use swapwire_mem::MemNetwork;
//! use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
//!
//! struct Fixed;
//!
//! impl Source for Fixed {
//!     fn metrics(&self) -> String {
//!         "# TYPE up gauge\nup 1\n".to_owned()
//!     }
//!
//!     fn status(&self) -> Status {
//!         Status { uptime: Duration::from_secs(1), ..Status::default() }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::new().with(MemNetwork::new());
//! let running = Admin::new().bind(&registry, &"mem:admin".parse()?, Fixed).await?.start()?;
//! let swapwire_core::Link::Bytes { mut io, .. } = registry.connect(&running.local_endpoints()[0]).await? else {
//!     return Err("not a byte stream".into());
//! };
//! io.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
//! let mut answer = String::new();
//! io.read_to_string(&mut answer).await?;
//! assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("up 1\n"));
//! # Ok(())
//! # }
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]

mod access;
mod answer;
mod head;
mod listening;
mod readers;
mod request;
mod routes;
mod running;
mod source;
mod status;

use std::sync::Arc;

use swapwire_core::{BindError, Bound, Endpoint, Listener, Registry, Shape, Transport};

use access::{Access, Reach};
use routes::Routes;

pub use running::{AdminError, BoundAdmin, RunningAdmin};
pub use source::{ReloadError, Source};
pub use status::{Count, Drain, ListenerStatus, ReloadStatus, Status, Traffic};

/// Who may ask an admin endpoint: what it is bound with.
#[derive(Clone, Debug, Default)]
#[must_use = "it does nothing before it is bound"]
pub struct Admin {
    hosts: Vec<String>,
    expose: bool,
}

impl Admin {
    /// `localhost` and IP addresses are its hosts, and it is not exposed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names of this host, beside its addresses and `localhost`, by which it may be asked: `metrics.example`, in any case, without a
    /// port.
    pub fn hosts(mut self, hosts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.hosts = hosts.into_iter().map(Into::into).collect();
        self
    }

    /// Allows an address that other hosts reach. There it takes `GET` alone. Off by default.
    pub fn expose(mut self, expose: bool) -> Self {
        self.expose = expose;
        self
    }

    /// Finds what is wrong as far as that is known before anything is bound.
    ///
    /// # Errors
    /// As of [`bind`](Self::bind), but for what only binding tells.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn check(&self, registry: &Registry, endpoint: &Endpoint) -> Result<(), AdminError> {
        self.transport(registry, endpoint).await.map(drop)
    }

    /// Binds it, to show what `source` tells. Nothing is answered yet; connections wait in the system's queue. Of a host name, all
    /// addresses are bound.
    ///
    /// # Errors
    /// The endpoint cannot be bound, is none of byte streams, or may be reached by more than it should.
    ///
    /// # Cancel safety
    /// Dropping it leaves nothing bound.
    pub async fn bind(
        &self,
        registry: &Registry,
        endpoint: &Endpoint,
        source: impl Source,
    ) -> Result<BoundAdmin, AdminError> {
        let transport = self.transport(registry, endpoint).await?;
        let mut listeners: Vec<(Box<dyn Listener>, Reach)> = Vec::new();
        for bound in transport.bind_all(endpoint, 1).await?.into_iter().flatten() {
            let reach = self.reach(endpoint, &bound.local())?.unwrap_or(Reach::Network);
            match bound {
                Bound::Listener(listener) => listeners.push((listener, reach)),
                _ => return Err(AdminError::refused(endpoint, NOT_A_STREAM)),
            }
        }
        let access = Access { hosts: self.hosts.clone(), expose: self.expose };
        Ok(BoundAdmin::new(listeners, Arc::new(Routes::new(Box::new(source), access))))
    }

    async fn transport(&self, registry: &Registry, endpoint: &Endpoint) -> Result<Arc<dyn Transport>, AdminError> {
        access::check_names(&self.hosts).map_err(|reason| AdminError::refused(endpoint, reason))?;
        let transport = registry.transport(endpoint);
        let transport = transport.map_err(|source| BindError::Registry { endpoint: endpoint.clone(), source })?;
        if transport.capabilities(endpoint.scheme()).shape != Shape::ByteStream {
            return Err(AdminError::refused(endpoint, NOT_A_STREAM));
        }
        self.reach(endpoint, endpoint)?;
        transport.check(endpoint).await?;
        Ok(transport)
    }

    fn reach(&self, asked: &Endpoint, local: &Endpoint) -> Result<Option<Reach>, AdminError> {
        Reach::checked(asked, local, self.expose).map_err(|reason| AdminError::refused(asked, reason))
    }
}

const NOT_A_STREAM: &str = "HTTP needs a byte stream; write unix:/run/user/1000/admin.sock or tcp://127.0.0.1:9090";

#[cfg(test)]
mod tests;
