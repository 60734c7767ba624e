//! `swapwire serve`.

use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use clap::ValueEnum as _;
use swapwire::admin::ServerSource;
use swapwire::{DrainReport, Server, ServerHandle};

use crate::cli::ServeArgs;
use crate::config::{self, Config, Log, Value};
use crate::descriptors;
use crate::exit::{self, Failure, complain, complain_last};
use crate::log::{self, Format};
use crate::manager::Manager;
use crate::signals::Signals;
use crate::stdio::{Output, Stdin};

mod admin;
mod compose;
#[cfg(feature = "ws")]
mod page;
mod plan;
mod reload;

use compose::{Bound, Composed, compose, lines};
use plan::Plan;
use reload::Reloader;

pub(crate) use reload::Reloads;

/// What the log tells where no level is given.
const LEVEL: &str = "warn";

/// Serves until told to stop.
pub(crate) fn run(args: ServeArgs) -> Result<u8, Failure> {
    descriptors::raise_limit();
    if args.print_schema {
        return exit::print(&config::schema());
    }
    if let Some(format) = args.log_format {
        // Also for what is wrong with the file.
        format.set();
    }
    let config = Config::gather(&args).map_err(|lines| Failure::several(exit::USAGE, lines))?;
    begin_log(&config.log)?;
    // For the signals and the input; what is served is served here too if there is one worker.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format_args!("serve: start the runtime: {error}")))?;
    let code = runtime.block_on(serve(&Arc::new(args), config));
    runtime.shutdown_background();
    code
}

async fn serve(args: &Arc<ServeArgs>, config: Config) -> Result<u8, Failure> {
    let mut signals =
        Signals::new().map_err(|error| Failure::failed(format_args!("serve: watch for signals: {error}")))?;
    // A name may take a while to be found.
    let Some(composed) = signals.unless(compose(args, config)).await else {
        let told = "serve: stopped by a signal before it listened";
        if args.check || args.print_config {
            return Err(Failure::failed(told));
        }
        complain_last(told);
        return Ok(exit::OK);
    };
    let Bound { server, source, admin, plan } = match composed? {
        Composed::Told(text) => return exit::print(&text),
        Composed::Bound(bound) => *bound,
    };
    // It answers until the drain is over.
    let _admin = match admin {
        Some(admin) => {
            admin::urls(admin.local_endpoints()).for_each(|url| complain(format_args!("the admin endpoint is {url}")));
            Some(admin.start().map_err(|error| admin::failure(&error))?)
        }
        None => None,
    };
    #[cfg(feature = "ws")]
    page::urls(&plan.places, &server.local_endpoints()).for_each(|url| complain(format_args!("the page is {url}")));
    let (handle, manager) = (server.handle(), Manager::new());
    let (reloader, reloads) = Reloader::new(source.clone(), manager.clone(), args.config.as_deref());
    if let Some(subject) = reloader.subject(&handle)
        && signals.reload_instead(reloads)
    {
        complain(format_args!("SIGHUP reloads {subject}; SIGTERM or SIGINT stops"));
    }
    let ended = end_of_input(plan.until_eof);
    let announced = announce(lines("listening", &server.local_endpoints()));
    manager.ready(&handle);
    let told = async {
        tokio::select! {
            () = ended => {}
            never = reloader.run(&handle) => match never {},
        }
    };
    let code = tokio::select! {
        code = serve_until_told(server, &source, &mut signals, told, &plan, &manager) => code,
        never = manager.watch(&handle) => match never {},
    };
    // A reader that has not read by then where it listened has no use for it.
    let _ = announced.recv_timeout(Duration::from_secs(1));
    Ok(code)
}

/// Serves until a signal or `told`, then drains.
async fn serve_until_told(
    server: Server,
    source: &ServerSource,
    signals: &mut Signals,
    told: impl Future<Output = ()>,
    plan: &Plan,
    manager: &Manager,
) -> u8 {
    let handle = server.handle();
    let mut run = pin!(server.run_until(std::future::pending()));
    tokio::select! {
        // Every endpoint has failed for good.
        report = &mut run => return conclude(&report),
        () = signals.next() => {}
        () = told => {}
    }
    source.ends_soon();
    manager.stopping(plan.limits.drain_timeout.saturating_add(plan.drain_delay));
    if !plan.drain_delay.is_zero() {
        complain(format_args!("not ready; draining in {:?}; a second signal cuts everything", plan.drain_delay));
        tokio::select! {
            report = &mut run => return conclude(&report),
            () = tokio::time::sleep(plan.drain_delay) => {}
            () = signals.next() => return cut(&handle, run).await,
        }
    }
    handle.stop();
    let patience = match plan.limits.drain_timeout {
        Duration::MAX => "for as long as it takes".to_owned(),
        time => format!("for at most {time:?}"),
    };
    let notice = async {
        // A drain that is over at once needs no words.
        tokio::time::sleep(Duration::from_millis(100)).await;
        complain(format_args!("draining {patience}; a second signal cuts everything"));
        std::future::pending::<()>().await;
    };
    tokio::select! {
        report = &mut run => conclude(&report),
        () = signals.next() => cut(&handle, run).await,
        () = notice => exit::CUT,
    }
}

/// Ends it by a second signal.
async fn cut(handle: &ServerHandle, run: impl Future<Output = DrainReport>) -> u8 {
    complain_last("second signal: everything was cut");
    handle.abort();
    // What was bound is closed then, and a socket's file is gone.
    run.await;
    exit::CUT
}

/// Ready when the standard input has ended, or cannot be read; never, unless that is `watched`.
async fn end_of_input(watched: bool) {
    if watched {
        if let Ok(mut input) = Stdin::new() {
            let _ = tokio::io::copy(&mut input, &mut tokio::io::sink()).await;
        }
    } else {
        std::future::pending().await
    }
}

/// Says where it listens. A standard output that is never read does not stop the server. The end of what this gives tells
/// that it was said.
fn announce(text: String) -> Receiver<()> {
    let (said, is_said) = sync_channel(0);
    let at_once = Output::Stdout.has_room(text.len());
    let write = move || {
        // A closed output is no error.
        let _ = exit::write_stdout(&text);
        drop(said);
    };
    if at_once {
        write();
    } else {
        // If no thread can be started, this is not written, and it serves all the same.
        let _ = thread::Builder::new().name("announcement".to_owned()).spawn(write);
    }
    is_said
}

fn conclude(report: &DrainReport) -> u8 {
    complain_last(report);
    match report {
        report if report.cut > 0 => exit::CUT,
        report if !report.is_clean() => exit::FAILURE,
        _ => exit::OK,
    }
}

/// Begins the log, as flags, the environment and the file say.
fn begin_log(log: &Log) -> Result<(), Failure> {
    if let Some(format) = log.format.as_ref().and_then(|format| Format::from_str(&format.text, false).ok()) {
        format.set();
    }
    let level = log.level.clone().unwrap_or_else(|| Value::given(LEVEL));
    log::begin(&level.text).map_err(|error| {
        let problem = format!("log filter {:?}: {error}; write for example info", level.text);
        Failure::usage(level.problem(problem))
    })
}
