//! Plans: what is to be measured.
//!
//! A plan knows the loads of a [run](crate::Run), which it is written to; it knows nothing of how it is carried out.

mod check;
mod expect;
mod message;
mod sizes;

use std::net::IpAddr;
use std::time::Duration;

use swapwire_core::{Endpoint, Framing};

pub use expect::{Expect, ExpectParseError};
pub use message::{Message, MessageError};
pub use sizes::{Sizes, SizesParseError};

use crate::LoadInfo;

/// A server that is measured.
#[derive(Clone, Debug)]
pub struct Target {
    /// Short, and unique within the plan.
    pub name: String,
    /// Where it is.
    pub endpoint: Endpoint,
    /// What is known of its server.
    pub server: ServerKind,
}

/// What is known of a target's server, for its CPU time and memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerKind {
    /// Nothing.
    Elsewhere,
    /// It is this process of this machine.
    Process(u32),
    /// It is a part of the generator's process: its CPU time is what the process used beyond the generator's threads.
    SameProcess,
}

/// One load: a cell of the matrix.
#[derive(Clone, Debug)]
pub struct Load {
    /// How large requests are.
    pub sizes: Sizes,
    /// Connections, or peers of a datagram socket; at least 1.
    pub connections: usize,
    /// Requests under way on each connection, at most; at least 1. In an open loop a bound that keeps memory finite.
    pub pipeline: usize,
    /// Requests per second on all connections together, whether or not replies come; `None`: a closed loop.
    pub rate: Option<f64>,
}

impl Load {
    /// As written to JSON.
    pub fn info(&self) -> LoadInfo {
        LoadInfo {
            size: self.sizes.to_string(),
            connections: self.connections,
            pipeline: self.pipeline,
            rate_per_s: self.rate,
        }
    }
}

/// When the measured part of a round ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Goal {
    /// After so long.
    Time(Duration),
    /// After so many requests on all connections together, neither more nor less. Without a [warm-up](Conditions::warmup)
    /// nothing else is sent.
    Requests(u64),
}

/// What is the same for all cells.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// How byte streams are cut into messages; wires with boundaries ignore it.
    pub framing: Framing,
    /// What every request holds; its length is the [size](Load::sizes) of all loads. `None`: letters and digits that tell
    /// requests apart.
    pub message: Option<Message>,
    /// What counts as a right reply.
    pub expect: Expect,
    /// When a round ends.
    pub goal: Goal,
    /// Full load before the measured part; 0: nothing is sent until all connections are open and the measured part begins.
    pub warmup: Duration,
    /// Over which the connections of a round are opened.
    pub ramp: Duration,
    /// A request without a reply for so long is lost; on a byte stream, its connection is given up. `None`: a second where
    /// the wire may lose messages, else five.
    pub timeout: Option<Duration>,
    /// Replies after which a connection is opened anew.
    pub reconnect_every: Option<u64>,
    /// Threads of the generator, at least 1; never more than connections.
    pub threads: usize,
    /// Processors that the threads are bound to, in turn; empty: any.
    pub pin: Vec<usize>,
    /// Poll instead of sleeping: quicker to notice a reply, at the price of a whole processor for each thread.
    pub spin: bool,
    /// Addresses of this machine that connections come from, in turn; empty: the system chooses. For wires with the option
    /// `source`.
    pub sources: Vec<IpAddr>,
    /// Where the random numbers begin.
    pub seed: u64,
}

impl Default for Conditions {
    /// A second of uppercase echo in chunks, after a fifth of a second of warm-up, from one thread.
    fn default() -> Self {
        Self {
            framing: Framing::Chunks,
            message: None,
            expect: Expect::Uppercase,
            goal: Goal::Time(Duration::from_secs(1)),
            warmup: Duration::from_millis(200),
            ramp: Duration::ZERO,
            timeout: None,
            reconnect_every: None,
            threads: 1,
            pin: Vec::new(),
            spin: false,
            sources: Vec::new(),
            seed: 1,
        }
    }
}

/// Targets × loads, measured in rounds: in each round every target is measured under every load once, one after the other, so
/// that what changes slowly on the machine touches all of them alike.
#[derive(Clone, Debug)]
pub struct Plan {
    /// At least one.
    pub targets: Vec<Target>,
    /// At least one.
    pub loads: Vec<Load>,
    /// For all of them.
    pub conditions: Conditions,
    /// At least 1.
    pub rounds: usize,
}

/// Why a plan cannot be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// It contradicts itself, or a wire cannot carry it; a line for each problem.
    #[error("{}", .0.join("; "))]
    Impossible(Vec<String>),
    /// Nothing could be measured; a line for each reason.
    #[error("{}", .0.join("; "))]
    Failed(Vec<String>),
}
