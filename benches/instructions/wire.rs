//! A datagram socket that costs nothing: the datagrams are there, and replies are counted and forgotten. What is left is the
//! datagram loop and its handler.

use std::borrow::Cow;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use swapwire::core::RecvBatch;
use swapwire::core::SendBatch;
use swapwire::{
    Addr, BindError, Bound, Capabilities, ConnectError, DatagramSocket, Endpoint, Framing, IntoService, Link,
    Transport, async_trait,
};

use super::handlers::Server;
use super::{SIZE, WARM_UP};

const ENDPOINT: &str = "wire:bench";

#[derive(Default)]
struct Traffic {
    /// Datagrams that wait in the socket, and who waits for one.
    requests: usize,
    server: Option<Waker>,
    /// Replies that are still to come, and who waits for the last.
    missing: usize,
    client: Option<Waker>,
}

pub struct Wire {
    server: Server,
    traffic: Arc<Mutex<Traffic>>,
}

impl Wire {
    pub fn new<K>(handler: impl IntoService<K>) -> Self {
        let traffic = Arc::default();
        let server = Server::start(Open(Arc::clone(&traffic)), ENDPOINT, handler, Framing::Chunks);
        let mut this = Self { server, traffic };
        this.run(WARM_UP);
        this
    }

    pub fn run(&mut self, messages: usize) {
        {
            let mut traffic = self.traffic.lock().unwrap();
            (traffic.requests, traffic.missing) = (messages, messages);
            traffic.server.take().into_iter().for_each(Waker::wake);
        }
        self.server.runtime.block_on(poll_fn(|cx| {
            let mut traffic = self.traffic.lock().unwrap();
            if traffic.missing == 0 {
                return Poll::Ready(());
            }
            traffic.client = Some(cx.waker().clone());
            Poll::Pending
        }));
    }
}

struct Open(Arc<Mutex<Traffic>>);

#[async_trait]
impl Transport for Open {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec!["wire".into()]
    }

    fn capabilities(&self, _: &str) -> Capabilities {
        Capabilities::datagram(SIZE)
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        let peer = Addr::of_endpoint(&"wire:client".parse().unwrap()).unwrap();
        Ok(Bound::Socket(Box::new(Socket { traffic: Arc::clone(&self.0), local: endpoint.clone(), peer })))
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        Err(ConnectError::invalid(endpoint, "it has no clients"))
    }
}

struct Socket {
    traffic: Arc<Mutex<Traffic>>,
    local: Endpoint,
    peer: Addr,
}

impl DatagramSocket for Socket {
    fn local(&self) -> Endpoint {
        self.local.clone()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, batch: &mut RecvBatch) -> Poll<io::Result<()>> {
        let mut traffic = self.traffic.lock().unwrap();
        if traffic.requests == 0 {
            traffic.server = Some(cx.waker().clone());
            return Poll::Pending;
        }
        while traffic.requests > 0 && !batch.is_full() {
            batch.push_message(Some(self.peer), &[b'a'; SIZE]);
            traffic.requests -= 1;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_send(&mut self, _: &mut Context<'_>, batch: &SendBatch, from: usize) -> Poll<io::Result<usize>> {
        let sent = batch.iter_from(from).filter(|entry| entry.message == [b'A'; SIZE]).count();
        let mut traffic = self.traffic.lock().unwrap();
        traffic.missing -= sent;
        if traffic.missing == 0 {
            traffic.client.take().into_iter().for_each(Waker::wake);
        }
        Poll::Ready(Ok(batch.len() - from))
    }

    fn max_message(&self) -> usize {
        SIZE
    }
}
