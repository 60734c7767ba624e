//! `swapwire connect`.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use swapwire::{Capabilities, Endpoint, ErrorClass, Framing, Session, SessionConfig, Shape};

use crate::cli::ConnectArgs;
use crate::exit::Failure;

mod flow;
mod input;
mod pipe;
mod print;
mod sides;
mod talk;
mod terminal;

/// How long to wait for replies where one is expected for each message.
const WAIT: Duration = Duration::from_secs(2);

/// What is said to whom, and how.
#[derive(Debug)]
pub(crate) struct Plan {
    endpoint: Endpoint,
    capabilities: Capabilities,
    framing: Framing,
    max_message: usize,
    /// As asked for: `None` for the default, `Some(None)` for ever.
    wait: Option<Option<Duration>>,
    raw: bool,
}

impl Plan {
    /// The end of the input is told by closing the sending half, and the peer's end is the end.
    fn half_close(&self) -> bool {
        self.capabilities.shape == Shape::ByteStream && self.capabilities.half_close
    }

    /// Messages may be lost where too many are under way.
    fn datagrams(&self) -> bool {
        self.capabilities.shape == Shape::Datagram
    }

    /// Why replies may be missing that nobody told of.
    fn why_missing(&self) -> &'static str {
        match self.capabilities {
            Capabilities { spoofable: true, .. } => {
                "; datagrams can be lost, and a server may withhold a long reply to a short message (its log says so)"
            }
            Capabilities { reliable: false, .. } => "; datagrams can be lost",
            _ => "",
        }
    }

    /// A byte stream without messages: bytes go both ways as they are.
    fn plain_bytes(&self) -> bool {
        self.capabilities.shape == Shape::ByteStream && !self.framing.boundaries()
    }
}

/// Talks until the input or the peer has ended.
pub(crate) fn run(args: ConnectArgs) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format_args!("connect: start the runtime: {error}")))?;
    let code = runtime.block_on(connect(args));
    // A thread may still be reading the standard input: it must not hold up the end.
    runtime.shutdown_background();
    code
}

async fn connect(args: ConnectArgs) -> Result<u8, Failure> {
    let registry = swapwire::default_registry();
    let endpoint: Endpoint = args.endpoint.parse().map_err(|error| Failure::usage(registry.explain(error)))?;
    let framing = args.framing.map(|text| text.parse()).transpose().map_err(Failure::usage)?.unwrap_or(Framing::Lines);
    if args.max_message == 0 {
        return Err(Failure::usage("--max-message 0: nothing could be sent; write at least 1"));
    }
    let transport =
        registry.transport(&endpoint).map_err(|error| Failure::usage(format_args!("connect {endpoint}: {error}")))?;
    let plan = Plan {
        capabilities: transport.capabilities(endpoint.scheme()),
        framing,
        max_message: args.max_message,
        wait: args.wait.map(|wait| wait.0),
        raw: args.raw,
        endpoint,
    };
    let link = registry.connect(&plan.endpoint).await.map_err(|error| match error.class() {
        ErrorClass::Configuration => Failure::usage(error),
        _ => Failure::failed(error),
    })?;
    let mut config = SessionConfig::framed(plan.framing.clone());
    config.max_message = plan.max_message;
    let session = Session::new(link, config);
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        terminal::run(session, &plan).await
    } else {
        pipe::run(session, &plan).await
    }
}
