//! An upper-case echo that is slow in ways one knows, to check measuring tools with:
//! `cargo run --release --example slow_server -- [FLAG…] ENDPOINT…`
//!
//! ```text
//! --delay 2ms           before every reply
//! --sometimes 1%:50ms   before every 100th reply (of all peers together), on top of that
//! --burn 20us           busy for so long, for every message
//! --work 20000          busy with so many steps of a computation, for every message: slower on a slower machine
//! --stall 1s@3s         3 s after the first message, everything stands still for 1 s, once
//! --drop 5%             every 20th message gets no reply; for datagrams
//! --framing fixed:64    how streams are cut; otherwise what comes in one read is one message
//! ```
//!
//! Messages of one stream wait for one another, as everywhere: with `--delay 2ms`, a stream carries 500 a second. So, and
//! because there is one thread for all, ask for less than that where the times shall be the ones written here. It ends
//! when its input does, or at ctrl-c.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{env, io, thread};

use swapwire::core::OptionValue;
use swapwire::handlers::UppercaseEcho;
use swapwire::{Framing, Handler, HandlerError, HandlerProperties, Reply, Request};

/// tokio's timers are late by up to two milliseconds, so waits sleep on threads; this much of each is polled.
const POLLED: Duration = Duration::from_micros(100);

#[derive(Default)]
struct Slow {
    delay: Duration,
    sometimes: (Share, Duration),
    burn: Duration,
    work: u64,
    /// For how long, and when.
    stall: Option<(Duration, Duration)>,
    drop: Share,
    messages: AtomicU64,
}

impl Handler for Slow {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        let begun = Instant::now();
        let number = self.messages.fetch_add(1, Relaxed) + 1;
        if let (1, Some((time, at))) = (number, self.stall) {
            tokio::spawn(async move {
                tokio::time::sleep_until((begun + at).into()).await;
                thread::sleep(time); // wrong in a server, and the point of this one
            });
        }
        while begun.elapsed() < self.burn {}
        std::hint::black_box((0..self.work).fold(number, |sum, step| std::hint::black_box(sum ^ step).rotate_left(5)));
        if self.drop.has(number) {
            return Ok(());
        }
        let (share, more) = self.sometimes;
        wait_until(begun + self.delay + if share.has(number) { more } else { Duration::ZERO }).await;
        UppercaseEcho.handle(request, reply).await
    }

    fn properties(&self) -> HandlerProperties {
        HandlerProperties::new().any_slicing()
    }
}

async fn wait_until(time: Instant) {
    if let Some(sleep) = time.saturating_duration_since(Instant::now()).checked_sub(POLLED) {
        let _ = tokio::task::spawn_blocking(move || thread::sleep(sleep)).await;
    }
    while Instant::now() < time {
        tokio::task::yield_now().await;
    }
}

/// A share of all messages, in millionths, spread evenly.
#[derive(Clone, Copy, Default)]
struct Share(u64);

impl Share {
    fn has(self, number: u64) -> bool {
        let up_to = |number: u64| u128::from(number) * u128::from(self.0) / 1_000_000;
        up_to(number) > up_to(number - 1)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let percent = text.strip_suffix('%').and_then(|number| number.parse().ok());
        let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
        percent
            .map(|percent: f64| Self((percent * 10_000.0).round() as u64))
            .ok_or(format!("{text}: write a share, as 5%"))
    }
}

fn time(text: &str) -> Result<Duration, String> {
    Duration::parse_option(text).map_err(|problem| format!("{text}: {problem}"))
}

#[derive(Default)]
struct Asked {
    slow: Slow,
    framing: Option<Framing>,
    endpoints: Vec<String>,
}

fn read(mut args: impl Iterator<Item = String>) -> Result<Asked, String> {
    let Asked { mut slow, mut framing, mut endpoints } = Asked::default();
    while let Some(arg) = args.next() {
        if !arg.starts_with('-') {
            endpoints.push(arg);
            continue;
        }
        let value = args.next().ok_or(format!("{arg}: write a value behind it"))?;
        let parts = |by| value.split_once(by).ok_or(format!("{arg} {value}: write two values with {by} between them"));
        match arg.as_str() {
            "--delay" => slow.delay = time(&value)?,
            "--sometimes" => {
                slow.sometimes = parts(':').and_then(|(share, more)| Ok((Share::parse(share)?, time(more)?)))?
            }
            "--burn" => slow.burn = time(&value)?,
            "--work" => slow.work = value.parse().map_err(|error| format!("{arg} {value}: {error}"))?,
            "--stall" => slow.stall = Some(parts('@').and_then(|(length, at)| Ok((time(length)?, time(at)?)))?),
            "--drop" => slow.drop = Share::parse(&value)?,
            "--framing" => framing = Some(value.parse().map_err(|error| format!("{arg} {value}: {error}"))?),
            _ => {
                return Err(format!("{arg}: write --delay, --sometimes, --burn, --work, --stall, --drop or --framing"));
            }
        }
    }
    Ok(Asked { slow, framing, endpoints })
}

#[tokio::main(flavor = "current_thread")] // so that a stall stops everything
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Asked { slow, framing, endpoints } = read(env::args().skip(1))?;
    let server = endpoints.into_iter().fold(swapwire::server(), |server, endpoint| server.listen(endpoint));
    let server = server.handler(slow).framing(framing.unwrap_or(Framing::Chunks)).bind().await?;
    for endpoint in server.local_endpoints() {
        println!("listening {endpoint}");
    }
    let (input, end_of_input) = tokio::sync::oneshot::channel::<()>();
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        drop(input);
    });
    let end = async {
        tokio::select! {
            _ = end_of_input => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    let report = server.run_until(end).await;
    eprintln!("{report}");
    Ok(())
}
