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
    no_shutdown: bool,
}

impl Plan {
    /// The sending half can be closed alone, and the peer's end is the end.
    fn half_close(&self) -> bool {
        self.is_stream() && self.capabilities.half_close
    }

    /// The end of the input is told by closing the sending half.
    fn tells_end(&self) -> bool {
        self.half_close() && !self.no_shutdown
    }

    /// Messages may be lost where too many are under way.
    fn datagrams(&self) -> bool {
        self.capabilities.shape == Shape::Datagram
    }

    /// Why replies may be missing without an error.
    fn why_missing(&self) -> &'static str {
        match self.capabilities {
            Capabilities { spoofable: true, .. } => {
                "; datagrams can be lost, and a server may withhold a long reply to a short message (its log says so)"
            }
            Capabilities { reliable: false, .. } => "; datagrams can be lost",
            _ => "",
        }
    }

    fn is_stream(&self) -> bool {
        self.capabilities.shape == Shape::ByteStream
    }

    /// An empty line is a message: on wires with boundaries one without bytes, else its line end.
    fn takes_empty(&self) -> bool {
        !self.is_stream() || !self.framing.boundaries()
    }

    /// At a prompt: what comes is shown as it comes, and not when a line is whole.
    fn shows_text(&self) -> bool {
        self.is_stream() && matches!(self.framing, Framing::Lines | Framing::Chunks)
    }

    /// At a prompt: what is typed is sent with the end of its line.
    fn sends_ends(&self) -> bool {
        self.shows_text() || !self.framing.boundaries()
    }

    fn failed(&self, what: &str, error: impl std::fmt::Display) -> Failure {
        Failure::failed(format_args!("{what} {}: {error}", self.endpoint))
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
    let registry = args.headers.registry().map_err(Failure::usage)?;
    let endpoint: Endpoint = args.endpoint.parse().map_err(|error| Failure::usage(registry.explain(error)))?;
    args.headers.check(&registry, [&endpoint].into_iter()).map_err(Failure::usage)?;
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
        no_shutdown: args.no_shutdown,
        endpoint,
    };
    let link = registry.connect(&plan.endpoint).await.map_err(|error| match error.class() {
        ErrorClass::Configuration => Failure::usage(error),
        _ => Failure::failed(error),
    })?;
    let at_prompt = io::stdin().is_terminal() && io::stdout().is_terminal();
    let framing = if at_prompt && plan.shows_text() { Framing::Chunks } else { plan.framing.clone() };
    let mut config = SessionConfig::framed(framing);
    config.max_message = plan.max_message;
    if at_prompt {
        // The end of a line does not count.
        config.max_message = config.max_message.saturating_add(usize::from(plan.sends_ends()));
        terminal::run(Session::new(link, config), &plan).await
    } else {
        pipe::run(Session::new(link, config), &plan).await
    }
}
