//! From arguments to a bound server.

use std::thread::available_parallelism;

use swapwire::core::{EndpointError, Place};
use swapwire::{Endpoint, ErrorClass, Framing, Server, WhenFull};

use crate::cli::ServeArgs;
use crate::directories;
use crate::exit::{self, Failure, complain};
#[cfg(feature = "ws")]
use crate::serve::page;

/// As many workers as there are processors, but no more than this: the server takes no more (`ServerBuilder::workers`).
const MOST_BY_DEFAULT: usize = 1024;

/// Binds everything, or tells every mistake.
pub(crate) async fn compose(args: ServeArgs) -> Result<Server, Failure> {
    let mut problems = Vec::new();
    let handlers = swapwire::default_handlers();
    let entry = handlers.get(&args.handler).map_err(|error| problems.push(error.to_string())).ok();
    let framing = args.framing.map(|text| text.parse::<Framing>()).transpose();
    let framing = framing.map_err(|error| problems.push(error.to_string())).ok().flatten();
    let mut endpoints = Vec::new();
    for text in &args.endpoints {
        match text.parse() {
            Ok(endpoint) => endpoints.push(endpoint),
            Err(error) => problems.push(swapwire::default_registry().explain(error).to_string()),
        }
    }
    let (Some(entry), true) = (entry, problems.is_empty()) else {
        return Err(Failure::several(exit::USAGE, problems));
    };
    if endpoints.is_empty() {
        endpoints = default_endpoints().await?;
    }
    let registry = swapwire::default_registry();
    #[cfg(feature = "ws")]
    let registry = page::add(registry, args.page.as_ref(), &args.handler, &endpoints).map_err(Failure::usage)?;

    let mut limits = args.limits.limits();
    if let Some(message) = args.refuse {
        limits.when_full = WhenFull::refuse(message);
    }
    // An echo of the largest message must fit into a reply.
    limits.max_reply = limits.max_reply.max(limits.max_message);

    let workers = args.workers.unwrap_or_else(|| available_parallelism().map_or(1, usize::from).min(MOST_BY_DEFAULT));
    let framing = framing.or_else(|| entry.framing().cloned()).unwrap_or(Framing::Chunks);
    let mut builder = swapwire::server()
        .registry(registry)
        .handler(entry.make())
        .framing(framing)
        .limits(limits)
        .allow_amplification(args.allow_amplification);
    // One serves on this thread: in a process of one thread the C library does less around each system call.
    if workers != 1 {
        builder = builder.workers(workers);
    }
    for endpoint in &endpoints {
        builder = builder.listen(endpoint);
    }
    let server = builder.bind().await.map_err(|error| {
        let code = if error.class() == ErrorClass::Configuration { exit::USAGE } else { exit::FAILURE };
        Failure::several(code, error.problems().iter().map(ToString::to_string).collect())
    })?;
    #[cfg(feature = "ws")]
    if args.page.is_some() && !args.check {
        page::urls(&server.local_endpoints()).for_each(|url| complain(format_args!("the page is {url}")));
    }
    Ok(server)
}

/// Loopback and a socket of this user's alone: nothing that another host could reach.
async fn default_endpoints() -> Result<Vec<Endpoint>, Failure> {
    let wrong = |error| Failure::usage(format_args!("serve: {error}"));
    let host = |scheme| Endpoint::new(scheme, Place::Host { host: "127.0.0.1".to_owned(), port: 8888 });
    let mut endpoints = vec![host("tcp").map_err(wrong)?, host("udp").map_err(wrong)?];
    if cfg!(unix) {
        endpoints.push(default_socket().await.map_err(wrong)?);
    }
    Ok(endpoints)
}

/// The first place that a socket can be bound to, or where a server is already; the first of all if there is none, so that
/// binding tells why. Says which places were passed over.
async fn default_socket() -> Result<Endpoint, EndpointError> {
    let registry = swapwire::default_registry();
    let mut passed_over = Vec::new();
    let places = directories::of_sockets().into_iter().map(|directory| Place::Path(directory.join("swapwire.sock")));
    let places: Vec<_> = places.map(|place| Endpoint::new("unix", place)).collect::<Result<_, _>>()?;
    for place in &places {
        match registry.bind(place).await {
            Err(error) if !error.is_addr_in_use() => passed_over.push(error),
            _ => {
                for error in passed_over {
                    complain(format_args!("the socket is not at its usual place: {error}"));
                }
                return Ok(place.clone());
            }
        }
    }
    Ok(places[0].clone())
}
