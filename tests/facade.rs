//! The facade says what it documents: everything here comes from `swapwire`, and from the tokio that runs it.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "facade/diagnostics.rs"]
mod diagnostics;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use swapwire::handlers::Daytime;
use swapwire::layers::{Panicked, RateExceeded, TimedOut};
use swapwire::prelude::*;
use swapwire::{
    BindError, BuildError, BuildProblem, Bytes, Capabilities, ConnectError, DatagramSocket, EndpointError, FrameError,
    FramingParseError, HandlerRegistry, Link, Listen, OptionError, PerMessage, PerSession, RecvError, Registry,
    RegistryError, ReplyError, SendError, ServeContext, Service, SessionEnd, Shape, Split, TrySendError,
    UnknownHandler, WhenFull, testing,
};

/// Tells each peer how it is served, and nothing else.
struct Sign;

#[async_trait]
impl Service for Sign {
    fn check(&self, capabilities: &Capabilities, _: &Framing) -> Result<(), String> {
        match capabilities.shape {
            Shape::Datagram => Err("this service is for connections".to_owned()),
            _ => Ok(()),
        }
    }

    fn amplifies(&self) -> bool {
        false
    }

    async fn serve_link(self: Arc<Self>, link: Link, cx: Arc<ServeContext>) -> SessionEnd {
        let mut session = Session::new(link, SessionConfig::framed(cx.framing().clone()));
        let text = format!("{} of at most {} bytes", cx.framing(), cx.limits().max_message);
        match session.send(text).await {
            Ok(()) if session.shutdown().await.is_ok() => SessionEnd::Done,
            _ => SessionEnd::Broken,
        }
    }

    async fn serve_socket(&self, _: Box<dyn DatagramSocket>, _: &ServeContext) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[tokio::test]
async fn daytime_and_a_service_of_its_own_are_served() {
    let daytime = || Split::new(PerSession::new(Daytime::new()), PerMessage::new(Daytime::new()));
    let registry = swapwire::default_registry();
    let limits = Limits::default()
        .max_message(4096)
        .when_full(WhenFull::Refuse(Bytes::from_static(b"full")))
        .idle_timeout(Duration::from_secs(60));
    let server = Server::builder()
        .registry(registry.clone())
        .listen(Listen::on("mem:sign").handler(Sign))
        .listen(Listen::on("mem:daytime").handler(daytime()).framing(Framing::Chunks))
        .listen(Listen::on("mem-dgram:daytime").handler(daytime()))
        .framing(Framing::Lines)
        .limits(limits)
        .bind()
        .await
        .unwrap()
        .start();
    let config = || SessionConfig::framed(Framing::Lines);
    let mut session = swapwire::connect_with(&registry, "mem:sign", config()).await.unwrap();
    assert_eq!(session.recv().await.unwrap().unwrap(), "lines of at most 4096 bytes");
    for endpoint in ["mem:daytime", "mem-dgram:daytime"] {
        let mut session = swapwire::connect_with(&registry, endpoint, config()).await.unwrap();
        session.send("").await.unwrap();
        let line = session.recv().await.unwrap().unwrap();
        assert!(line.ends_with(b"-UTC") || line.ends_with(b"-UTC\r\n"), "{line:?}");
    }
    let report: swapwire::DrainReport = server.stop().await;
    assert_eq!(report.stats.panics, 0);
    assert_eq!(testing::replies(&Daytime::new(), "").await.unwrap().len(), 1);
}

/// What a program does with each error, and with each of its kinds.
mod errors {
    use super::*;

    pub(super) fn bind(error: &BindError) -> &'static str {
        match error {
            BindError::Registry { source, .. } => registry(source),
            BindError::Option { source, .. } => option(source),
            BindError::Invalid { .. } => "invalid",
            BindError::AddrInUse { .. } => "in use",
            BindError::Unusable { .. } => "unusable",
            BindError::Io { .. } => "io",
            _ => "new",
        }
    }

    pub(super) fn connect(error: &ConnectError) -> &'static str {
        match error {
            ConnectError::Registry { source, .. } => registry(source),
            ConnectError::Option { source, .. } => option(source),
            ConnectError::Invalid { .. } => "invalid",
            ConnectError::Refused { .. } => "refused",
            ConnectError::Missing { .. } => "missing",
            ConnectError::Busy { .. } => "busy",
            ConnectError::Io { .. } => "io",
            _ => "new",
        }
    }

    pub(super) fn registry(error: &RegistryError) -> &'static str {
        match error {
            RegistryError::UnknownScheme { .. } => "unknown scheme",
            _ => "new",
        }
    }

    pub(super) fn option(error: &OptionError) -> &'static str {
        match error {
            OptionError::Unknown { .. } => "unknown option",
            OptionError::WrongSide { .. } => "wrong side",
            OptionError::Value { .. } => "value",
            _ => "new",
        }
    }

    pub(super) fn frame(error: &FrameError) -> &'static str {
        match error {
            FrameError::TooLarge { .. } => "too large",
            FrameError::Truncated { .. } => "truncated",
            FrameError::Malformed(_) => "malformed",
            FrameError::Unframeable(_) => "unframeable",
            FrameError::Codec(_) => "codec",
            _ => "new",
        }
    }

    pub(super) fn recv(error: &RecvError) -> &'static str {
        match error {
            RecvError::Frame(source) => frame(source),
            RecvError::TooLarge { .. } => "too large",
            RecvError::PeerNoise(_) => "noise",
            RecvError::Io(_) => "io",
            _ => "new",
        }
    }

    pub(super) fn send(error: &SendError) -> &'static str {
        match error {
            SendError::Closed => "closed",
            SendError::TooLarge { .. } => "too large",
            SendError::Frame(source) => frame(source),
            SendError::Congested => "congested",
            SendError::Unvalidated { .. } => "unvalidated",
            SendError::PeerNoise(_) => "noise",
            SendError::Io(_) => "io",
            _ => "new",
        }
    }

    pub(super) fn try_send(error: &TrySendError) -> &'static str {
        match error {
            TrySendError::Full => "full",
            TrySendError::Failed(source) => send(source),
            _ => "new",
        }
    }

    pub(super) fn reply(error: &ReplyError) -> &'static str {
        match error {
            ReplyError::Full { .. } => "full",
            ReplyError::Frame(source) => frame(source),
            ReplyError::NoReturnAddress => "nobody",
            _ => "new",
        }
    }

    pub(super) fn dial(error: &swapwire::Error) -> &'static str {
        match error {
            swapwire::Error::Endpoint(_) => "endpoint",
            swapwire::Error::Connect(source) => connect(source),
            _ => "new",
        }
    }
}

/// `Debug`, which is what a `main` that returns it prints, is the text.
fn is_text(error: &(impl std::error::Error + ?Sized)) -> String {
    let text = error.to_string();
    assert_eq!(format!("{error:?}"), text);
    assert!(!text.contains('\n'), "{text}");
    text
}

#[tokio::test]
async fn every_error_can_be_matched_and_prints_as_one_line() {
    let unknown = swapwire::connect("tpc://h:1").await.unwrap_err();
    assert_eq!(errors::dial(&unknown), "unknown scheme");
    assert!(is_text(&unknown).starts_with("connect tpc://h:1: unknown scheme \"tpc\"; did you mean \"tcp\"? known: "));
    // An unknown scheme comes before a missing port.
    let no_port = swapwire::connect("tpc://h").await.unwrap_err();
    assert_eq!(errors::dial(&no_port), "endpoint");
    assert!(is_text(&no_port).starts_with("endpoint \"tpc://h\": unknown scheme \"tpc\"; did you mean \"tcp\"?"));

    let registry: Registry = swapwire::default_registry();
    let endpoint: Endpoint = "tcp://127.0.0.1:0?back_log=3".parse().unwrap();
    assert_eq!(format!("{endpoint:?}"), "tcp://127.0.0.1:0?back_log=3");
    let bind = registry.bind(&endpoint).await.unwrap_err();
    assert_eq!(errors::bind(&bind), "unknown option");
    assert!(is_text(&bind).contains("unknown option \"back_log\"; did you mean \"backlog\"? known: backlog, "));
    let connect = registry.connect(&endpoint).await.unwrap_err();
    assert_eq!(errors::connect(&connect), "invalid", "{connect}");
    is_text(&connect);

    let error: EndpointError = "tcp".parse::<Endpoint>().unwrap_err();
    is_text(&error);
    let error: FramingParseError = "words".parse::<Framing>().unwrap_err();
    is_text(&error);
    let error: UnknownHandler = swapwire::default_handlers().get("ecco").unwrap_err();
    assert!(is_text(&error).starts_with("unknown handler \"ecco\"; did you mean \"echo\"? known: chargen, "));
    let error: UnknownHandler = HandlerRegistry::new().get("echo").unwrap_err();
    assert_eq!(is_text(&error), "unknown handler \"echo\"; known: none");

    let frame = FrameError::TooLarge { len: 2, max: 1 };
    is_text(&frame);
    assert_eq!(errors::recv(&RecvError::Frame(frame.clone())), "too large");
    assert_eq!(errors::try_send(&TrySendError::Failed(SendError::Frame(frame.clone()))), "too large");
    assert_eq!(errors::reply(&ReplyError::Frame(frame.clone())), "too large");
    is_text(&RecvError::from(frame.clone()));
    is_text(&SendError::from(frame.clone()));
    is_text(&TrySendError::Full);
    is_text(&ReplyError::Full { len: 2, limit: 1 });
    let failed = HandlerError::from(ReplyError::from(frame));
    assert_eq!(format!("{failed:?}"), failed.to_string());
    let of_layers = |error: &HandlerError| {
        error.downcast_ref::<TimedOut>().is_some()
            || error.downcast_ref::<RateExceeded>().is_some()
            || error.downcast_ref::<Panicked>().is_some()
    };
    let panics = handler_fn(|_, _| panic!("as it must")).with_layer(swapwire::layers::CatchPanicLayer);
    let error = testing::replies(&panics, "x").await.unwrap_err();
    assert!(of_layers(&error) && !of_layers(&failed), "{error}");
    assert_eq!(is_text(&*error.into_inner()), "handle: the handler panicked: as it must");
}

#[tokio::test]
async fn a_server_is_one_line() {
    let here = tempfile::tempdir().unwrap();
    let endpoint = format!("unix:{}/s", here.path().display());
    let served = swapwire::serve(Listen::on(&endpoint).framing(Framing::Lines), swapwire::handlers::UppercaseEcho);
    let client = async {
        let mut session = loop {
            match swapwire::connect(&*endpoint).await {
                Ok(session) => break session,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        session.send("hello\n").await.unwrap();
        assert_eq!(session.recv().await.unwrap().unwrap(), "HELLO\n");
    };
    tokio::select! {
        ended = served => panic!("it serves for ever: {ended:?}"),
        () = client => {}
    }
    let error = swapwire::serve(endpoint, handler_fn(|_, _| Ok(()))).await.unwrap_err();
    assert!(matches!(error.problems(), [BuildProblem::NoFraming { .. }]), "{error}");
}

#[tokio::test]
async fn a_composition_that_fails_names_the_methods_that_cure_it() {
    let error: BuildError = swapwire::server()
        .listen("tcp://127.0.0.1:0")
        .listen("tpc://:1")
        .listen(Listen::on("tcp://127.0.0.1:0").handler(handler_fn(|_, _| Ok(()))))
        .listen(Listen::on("quic://h:1").handler(Sign))
        .limits(Limits::default().max_message(0))
        .workers(0)
        .bind()
        .await
        .unwrap_err();
    let layers =
        [(cfg!(feature = "proxy"), ", proxy"), (cfg!(feature = "tls"), ", tls"), (cfg!(feature = "ws"), ", ws, wss")];
    let layers: String = layers.into_iter().filter_map(|(is_on, name)| is_on.then_some(name)).collect();
    let passed = if cfg!(feature = "systemd") { ", fd, systemd" } else { "" };
    let nats = if cfg!(feature = "nats") { ", nats" } else { "" };
    let known = format!("known: mem, mem-dgram, mem-seq{nats}, tcp, udp, unix, unix-dgram, unix-seq{passed}{layers}");
    let expected = [
        "limits: max_message must be at least 1: .limits(Limits::default().max_message(…))".to_owned(),
        "limits: workers must be from 1 to 1024: .workers(n)".to_owned(),
        "serve tcp://127.0.0.1:0: no handler: .handler(…) gives one to every endpoint, \
         .listen(Listen::on(endpoint).handler(…)) to this one"
            .to_owned(),
        format!("endpoint \"tpc://:1\": unknown scheme \"tpc\"; did you mean \"tcp\"? {known}"),
        "serve tcp://127.0.0.1:0: the handler needs whole messages, and a byte stream has none: choose a framing (lines, \
         length, …): .framing(Framing::Lines) sets one for every byte stream, .listen(Listen::on(endpoint).framing(…)) for this one"
            .to_owned(),
        format!(
            "bind quic://h:1: unknown scheme \"quic\"; {known}: .transport(…) adds one, .registry(…) has many"
        ),
    ];
    assert_eq!(format!("{error:?}").lines().collect::<Vec<_>>(), expected);
    assert_eq!(error.to_string(), expected.join("; "));
    // Operators know no methods.
    assert!(error.problems().iter().zip(expected).all(|(operator, text)| text.starts_with(&operator.to_string())));
    assert!(error.problems().iter().all(|line| !line.to_string().contains("Limits::")));

    let kinds = error.problems().iter().map(|problem| match problem {
        BuildProblem::Limit { name, .. } => *name,
        BuildProblem::Workers { workers: 0 } => "workers",
        BuildProblem::NoHandler { .. } => "no handler",
        BuildProblem::Endpoint(EndpointError { .. }) => "endpoint",
        BuildProblem::NoFraming { .. } => "no framing",
        BuildProblem::Bind(BindError::Registry { .. }) => "scheme",
        other => panic!("{other}"),
    });
    let kinds: Vec<_> = kinds.collect();
    assert_eq!(kinds, ["max_message", "workers", "no handler", "endpoint", "no framing", "scheme"]);
    let of: Vec<_> =
        error.problems().iter().filter_map(|problem| problem.endpoint()).map(ToString::to_string).collect();
    assert_eq!(of, ["tcp://127.0.0.1:0", "tcp://127.0.0.1:0", "quic://h:1"]);

    let error = Server::builder().handler(Sign).bind().await.unwrap_err();
    assert_eq!(format!("{error:?}"), "no endpoint to listen on: .listen(\"tcp://127.0.0.1:8888\")");
    let amplifier = PerMessage::new(swapwire::handlers::Chargen::new());
    let error = swapwire::server().listen("udp://0.0.0.0:0").handler(amplifier).bind().await.unwrap_err();
    let text = format!("{error:?}");
    assert!(text.ends_with(": .allow_amplification(true)"), "{text}");
}

/// The names in the `pub use` lists of a crate's root.
fn exported(file: &str, of: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let lists = text.split("pub use ").skip(1).map(|rest| rest.split(';').next().unwrap());
    let names = lists.filter(|list| list.starts_with(of)).flat_map(|list| {
        let names = list.rsplit_once("::").map_or(list, |(_, names)| names);
        let names = list.split_once('{').map_or(names, |(_, names)| names.trim_end_matches(['}', '\n']));
        names.split(',').map(|name| name.split(" as ").last().unwrap().trim().to_owned()).collect::<Vec<_>>()
    });
    names.filter(|name| !name.is_empty()).collect()
}

/// What only authors of transports, codecs and loops name: `swapwire::core` has it.
const OF_THE_CORE_ALONE: &[&str] = &[
    "Answer",
    "Arrivals",
    "CodecFactory",
    "Compose",
    "Decoded",
    "FrameDecoder",
    "FrameEncoder",
    "FrameFactory",
    "FrameReader",
    "FrameWriter",
    "Goodbye",
    "InlineName",
    "Offload",
    "OptionDoc",
    "OptionReader",
    "OptionValue",
    "Printable",
    "PrintableBytes",
    "RecvBatch",
    "RecvMeta",
    "SendBatch",
    "SendEntry",
    "Side",
    "Train",
    "TrainLimits",
    "Upkeep",
    "WireLayers",
    "classify_accept",
    "classify_datagram",
    "classify_stream",
    "deserialize_settings",
    "did_you_mean",
    "needs_escape",
    "parse_number",
    "serialize_settings",
    "server",
    "unescape",
];

#[test]
fn what_the_crates_show_is_at_the_root() {
    let missing = |file: &str, of: &str| {
        let (theirs, ours) = (exported(file, ""), exported("src/lib.rs", of));
        assert!(theirs.len() > 5 && ours.len() > 5, "{theirs:?}, {ours:?}");
        theirs.difference(&ours).cloned().collect::<Vec<_>>()
    };
    assert_eq!(missing("crates/server/src/lib.rs", "swapwire_server::"), Vec::<String>::new());
    assert_eq!(missing("crates/core/src/lib.rs", "swapwire_core::"), OF_THE_CORE_ALONE);
}
