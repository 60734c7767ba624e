//! From arguments to a bound server.

use std::sync::Arc;
use std::thread::available_parallelism;

use swapwire::admin::{BoundAdmin, ServerSource};
use swapwire::core::{EndpointError, Place};
use swapwire::{BuildError, Endpoint, ErrorClass, Server};

use super::plan::{self, Plan, Planner};
use super::reload::ConfigFile;
use crate::cli::ServeArgs;
use crate::config::{Config, Listen};
use crate::directories;
use crate::exit::{self, Failure, complain};

/// As many workers as there are processors, but no more than this: the server takes no more (`ServerBuilder::workers`).
const MOST_BY_DEFAULT: usize = 1024;

/// What a command asks for.
pub(crate) enum Composed {
    /// To be told something.
    Told(String),
    /// To be served.
    Bound(Box<Bound>),
}

/// What is to be served.
pub(crate) struct Bound {
    pub(crate) server: Server,
    /// What an admin endpoint shows of the server.
    pub(crate) source: ServerSource,
    pub(crate) admin: Option<BoundAdmin>,
    pub(crate) plan: Plan,
}

/// Binds everything, or tells every mistake. With `--print-config`, or with `--check` and a file, nothing is bound.
pub(crate) async fn compose(args: &Arc<ServeArgs>, mut config: Config) -> Result<Composed, Failure> {
    if config.listen.is_empty() && args.config.is_none() {
        config.listen = default_endpoints().await?.iter().map(Listen::on).collect();
        config.listen.iter_mut().for_each(|listen| listen.override_by(args));
    }
    let usage = |lines| Failure::several(exit::USAGE, lines);
    let mut planner = Planner::new();
    let plan = planner.plan(&config).map_err(usage)?;
    #[cfg(feature = "ws")]
    if args.page.is_some() && !plan.places.iter().any(|(_, has_page)| *has_page) {
        return Err(Failure::usage("--page: no endpoint has ws; write one as ws://127.0.0.1:8080"));
    }
    let mut builder = planner.builder(&plan);
    let workers = plan.workers.unwrap_or_else(|| available_parallelism().map_or(1, usize::from).min(MOST_BY_DEFAULT));
    // One serves on this thread: in a process of one thread the C library does less around each system call.
    if workers != 1 {
        builder = builder.workers(workers);
    }
    let explain = |error: BuildError| {
        let code = if error.class() == ErrorClass::Configuration { exit::USAGE } else { exit::FAILURE };
        Failure::several(code, plan::explain(&error, &config))
    };
    if args.check {
        planner.remarks(&plan).into_iter().for_each(complain);
    }
    if args.print_config || args.check && args.config.is_some() {
        builder.check().await.map_err(explain)?;
        let mut endpoints: Vec<_> = plan.places.into_iter().map(|(endpoint, _)| endpoint).collect();
        if let Some(admin) = &plan.admin {
            endpoints.push(admin.check().await?.clone());
        }
        return Ok(Composed::Told(if args.check { lines("ok", &endpoints) } else { config.to_string() }));
    }
    let server = builder.bind().await.map_err(explain)?;
    let file = args.config.is_some().then(|| ConfigFile::new(Arc::clone(args), planner, config));
    let source = source_of(&server, &plan, file);
    let admin = match &plan.admin {
        Some(admin) => Some(admin.bind(&source).await?),
        None => None,
    };
    if args.check {
        let admin = admin.iter().flat_map(BoundAdmin::local_endpoints);
        let endpoints: Vec<_> = server.local_endpoints().iter().chain(admin).cloned().collect();
        return Ok(Composed::Told(lines("ok", &endpoints)));
    }
    Ok(Composed::Bound(Box::new(Bound { server, source, admin, plan })))
}

/// What an admin endpoint shows. It has the configuration read again, or else the files that endpoints were bound with.
fn source_of(server: &Server, plan: &Plan, file: Option<ConfigFile>) -> ServerSource {
    let handle = server.handle();
    let source = ServerSource::new(handle.clone()).limits(&plan.limits);
    if let Some(file) = file {
        return source.reload_by(move || file.clone().apply(handle.clone()));
    }
    if handle.reloads().is_empty() {
        return source;
    }
    source.reload_by(move || {
        handle.reload();
        let endpoints: Vec<_> = handle.reloads().iter().map(ToString::to_string).collect();
        std::future::ready(Ok(format!(
            "files are read again for {}; the log tells what was wrong",
            endpoints.join(", ")
        )))
    })
}

/// A line for each endpoint, behind a word.
pub(crate) fn lines(word: &str, endpoints: &[Endpoint]) -> String {
    endpoints.iter().map(|endpoint| format!("{word} {endpoint}\n")).collect()
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
