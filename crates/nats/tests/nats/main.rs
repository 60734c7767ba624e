//! The wire over a broker in memory.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot run says where and stops")]

mod broker;
mod client;
mod conformance;
mod fence;
mod reconnect;

use std::future::poll_fn;
use std::sync::{Arc, Mutex};

use swapwire_core::{Addr, Bound, DatagramSocket, MessageStream, RecvBatch, SendBatch, SendError, Transport as _};
use swapwire_core::{BindError, ConnectError, Link};
use swapwire_mem::MemNetwork;
use swapwire_nats::Nats;

use broker::{Broker, Hub, hub};

/// A network with one broker, `mem:b`.
struct World {
    network: MemNetwork,
    hub: Arc<Mutex<Hub>>,
    broker: Broker,
}

impl World {
    async fn new() -> Self {
        let (network, hub) = (MemNetwork::new(), hub());
        let broker = Broker::start(&network, "b", &hub).await;
        Self { network, hub, broker }
    }

    async fn bind(&self, options: &str) -> Result<Box<dyn DatagramSocket>, BindError> {
        let endpoint = format!("nats:b?path=/upper{options}").parse().unwrap();
        match Nats::over(self.network.clone()).bind(&endpoint).await? {
            Bound::Socket(socket) => Ok(socket),
            other => panic!("{other:?}"),
        }
    }

    async fn connect(&self, options: &str) -> Result<Box<dyn MessageStream>, ConnectError> {
        let endpoint = format!("nats:b?path=/upper{options}").parse().unwrap();
        match Nats::over(self.network.clone()).connect(&endpoint).await? {
            Link::Messages { io, .. } => Ok(io),
            other => panic!("{other:?}"),
        }
    }
}

/// The next messages, each with its sender.
async fn receive(socket: &mut dyn DatagramSocket) -> Vec<(Option<Addr>, Vec<u8>)> {
    let mut batch = RecvBatch::new(64, socket.slot_size());
    poll_fn(|cx| socket.poll_recv(cx, &mut batch)).await.unwrap();
    batch.iter().map(|(meta, bytes)| (meta.peer, bytes.to_vec())).collect()
}

async fn reply(socket: &mut dyn DatagramSocket, to: Addr, message: &[u8]) -> std::io::Result<usize> {
    let mut batch = SendBatch::new();
    batch.push(message, to, None);
    poll_fn(|cx| socket.poll_send(cx, &batch, 0)).await
}

async fn ask(client: &mut dyn MessageStream, message: &[u8]) -> Result<(), SendError> {
    poll_fn(|cx| client.poll_send(cx, message)).await
}

async fn answer(client: &mut dyn MessageStream) -> Result<Vec<u8>, String> {
    let mut bytes = bytes::BytesMut::new();
    match poll_fn(|cx| client.poll_recv(cx, &mut bytes)).await {
        Ok(_) => Ok(bytes.to_vec()),
        Err(error) => Err(error.to_string()),
    }
}
