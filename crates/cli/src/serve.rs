//! `swapwire serve`.

use std::io::{self, IsTerminal as _, Write as _};
use std::pin::pin;
use std::time::Duration;

use swapwire::{DrainReport, Endpoint, Limits};
use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;

use crate::cli::ServeArgs;
use crate::descriptors;
use crate::exit::{self, Failure, complain};
use crate::signals::Signals;

mod compose;

use compose::compose;

/// Serves until told to stop.
pub(crate) fn run(args: ServeArgs) -> Result<u8, Failure> {
    log_to_stderr(&args.log)?;
    descriptors::raise_limit();
    // For the signals and the input; what is served is served here too if there is one worker.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format_args!("serve: start the runtime: {error}")))?;
    let code = runtime.block_on(serve(args));
    runtime.shutdown_background();
    code
}

async fn serve(args: ServeArgs) -> Result<u8, Failure> {
    let (drain_timeout, until_eof, check) = (args.drain_timeout, args.until_eof, args.check);
    let mut signals =
        Signals::new().map_err(|error| Failure::failed(format_args!("serve: watch for signals: {error}")))?;
    let server = compose(args).await?;
    if check {
        announce("ok", &server.local_endpoints());
        return Ok(exit::OK);
    }
    let ended = end_of_input(until_eof);
    announce("listening", &server.local_endpoints());

    let (stop, stopped) = oneshot::channel::<()>();
    let (cut, was_cut) = oneshot::channel::<()>();
    let stopped = async {
        let _ = stopped.await;
    };
    let was_cut = async {
        let _ = was_cut.await;
    };
    let mut run = pin!(server.run_until_cut(stopped, was_cut));
    tokio::select! {
        // Every endpoint has failed for good.
        report = &mut run => return Ok(conclude(&report)),
        () = signals.next() => {}
        () = ended => {}
    }
    let _ = stop.send(());
    let patience = drain_timeout.map_or(Some(Limits::default().drain_timeout), |deadline| deadline.0);
    let patience =
        patience.map_or_else(|| "for as long as it takes".to_owned(), |time| format!("for at most {time:?}"));
    let notice = async {
        // A drain that is over at once needs no words.
        tokio::time::sleep(Duration::from_millis(100)).await;
        complain(format_args!("draining {patience}; a second signal cuts everything"));
        std::future::pending::<()>().await;
    };
    tokio::select! {
        report = &mut run => Ok(conclude(&report)),
        () = signals.next() => {
            complain("second signal: everything was cut");
            let _ = cut.send(());
            // What was bound is closed then, and a socket's file is gone.
            run.await;
            Ok(exit::CUT)
        }
        () = notice => Ok(exit::CUT),
    }
}

/// Ready when the standard input has ended, or cannot be read; never, unless that is `watched`.
async fn end_of_input(watched: bool) {
    if watched {
        let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await;
    } else {
        std::future::pending().await
    }
}

/// Says where it listens. Nobody may be reading: that does not stop a server.
fn announce(word: &str, endpoints: &[Endpoint]) {
    let lines: String = endpoints.iter().map(|endpoint| format!("{word} {endpoint}\n")).collect();
    let mut out = io::stdout().lock();
    let _ = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
}

fn conclude(report: &DrainReport) -> u8 {
    complain(report);
    match report {
        report if report.cut > 0 => exit::CUT,
        report if !report.is_clean() => exit::FAILURE,
        _ => exit::OK,
    }
}

fn log_to_stderr(filter: &str) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| Failure::usage(format_args!("log filter {filter:?}: {error}; write for example info")))?;
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        // A closed standard error is nobody's fault, and nobody could be told.
        .log_internal_errors(false)
        .try_init();
    Ok(())
}
