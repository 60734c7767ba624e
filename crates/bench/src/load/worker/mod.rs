//! One thread of the generator: its connections, each a task that sends, receives and counts.

mod alarm;
mod connection;
mod exchange;
mod pacer;
mod ports;
mod shared;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch::Receiver;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

pub(crate) use self::shared::Job;
use self::shared::Shared;
use crate::load::request::tally::{Tally, Window};
use crate::load::usage;

/// What a thread is told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Phase {
    /// Open the connections.
    Opening,
    /// All threads' connections are open: measure.
    Running(Window),
    /// End now; the results will not be looked at.
    Stopped,
}

/// What a thread found out.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) tally: Tally,
    /// What the thread used in the measured part; `None` where the system does not tell.
    pub(crate) used: Option<Used>,
}

/// What a thread used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    pub(crate) cpu: Duration,
    /// Right replies meanwhile.
    pub(crate) replies: u64,
    pub(crate) time: Duration,
}

/// The part of `all` that thread `thread` of `threads` has.
fn part(all: u64, thread: usize, threads: usize) -> u64 {
    let (thread, threads) = (thread as u64, threads as u64);
    all / threads + u64::from(thread < all % threads)
}

/// Runs connections `thread`, `thread + threads`, … of the round, on a runtime of one thread. Says through `opened` when
/// they are open.
///
/// # Errors
/// Why the round cannot go on; nothing but that it was [stopped](Phase::Stopped) is `None`.
pub(crate) async fn work(
    job: Arc<Job>,
    thread: usize,
    mut phase: Receiver<Phase>,
    opened: impl FnOnce(),
) -> Result<Finding, Option<String>> {
    let count = part(job.connections as u64, thread, job.threads) as usize;
    // Connections take turns: a thread has as many requests as its connections would have.
    let requests = job.requests.map(|requests| {
        let (each, rest) = (requests / job.connections as u64, requests % job.connections as u64);
        each * count as u64 + part(rest, thread, job.threads)
    });
    let shared = Arc::new(Shared::new(&job, count, requests));
    let mut tasks = JoinSet::new();
    let begun = Instant::now();
    for place in 0..count {
        let index = thread + place * job.threads;
        let at = begun + job.ramp.mul_f64(index as f64 / job.connections as f64);
        tasks.spawn(connection::run(Arc::clone(&job), Arc::clone(&shared), index, place, at));
    }
    let mut others = JoinSet::new();
    if job.spin {
        // A task that is always ready keeps the runtime from sleeping; it polls the others all the same.
        others.spawn(async {
            loop {
                tokio::task::yield_now().await;
            }
        });
    }
    let window = opening(&shared, count, &mut phase, opened).await?;
    {
        let mut inner = shared.lock();
        inner.state.window = Some(window);
    }
    others.spawn(pacer::run(Arc::clone(&job), Arc::clone(&shared), thread, window));
    shared.wake_all();
    let used = tokio::select! {
        used = measured(&job, &shared, window, &mut tasks) => used,
        why = failed(&shared) => return Err(Some(why)),
        () = stopped(&mut phase) => return Err(None),
    };
    let mut inner = shared.lock();
    inner.state.tell(&job.monitor, true);
    if let Some(why) = inner.state.failed.take() {
        return Err(Some(why));
    }
    Ok(Finding { tally: std::mem::replace(&mut inner.state.tally, Tally::new(job.step)), used })
}

/// Waits until all connections of this thread are open, and then those of the others.
async fn opening(
    shared: &Shared,
    count: usize,
    phase: &mut Receiver<Phase>,
    opened: impl FnOnce(),
) -> Result<Window, Option<String>> {
    let mut opened = Some(opened);
    loop {
        let open = shared.lock().open;
        if open == count
            && let Some(opened) = opened.take()
        {
            opened();
        }
        match *phase.borrow_and_update() {
            Phase::Running(window) => return Ok(window),
            Phase::Stopped => return Err(None),
            Phase::Opening => {}
        }
        tokio::select! {
            changed = phase.changed() => changed.map_err(|_| None)?,
            why = failed(shared) => return Err(Some(why)),
            () = shared.opened.notified() => {}
        }
    }
}

/// Waits until the measured part is over and everything is answered or given up.
async fn measured(job: &Job, shared: &Shared, window: Window, tasks: &mut JoinSet<()>) -> Option<Used> {
    let sample = || usage::thread_cpu().map(|cpu| (cpu, shared.lock().state.tally.replies, Instant::now()));
    sleep_until(window.begin).await;
    let before = sample();
    if !job.warmup {
        // Until now they had nothing to do.
        shared.wake_all();
    }
    match window.end {
        Some(end) => sleep_until(end).await,
        None => shared.exhausted.notified().await,
    }
    let after = sample();
    // A connection with nothing under way sees the end; one that could not send what was due gives up.
    shared.wake_all();
    let all = async { while tasks.join_next().await.is_some() {} };
    tokio::select! {
        () = all => {}
        () = async {
            sleep_until(Instant::now() + job.timeout).await;
            shared.wake_all();
            std::future::pending().await
        } => {}
    }
    let (before, after) = (before?, after?);
    Some(Used { cpu: after.0.saturating_sub(before.0), replies: after.1 - before.1, time: after.2 - before.2 })
}

async fn failed(shared: &Shared) -> String {
    loop {
        if let Some(why) = shared.lock().state.failed.clone() {
            return why;
        }
        shared.failed.notified().await;
    }
}

async fn stopped(phase: &mut Receiver<Phase>) {
    // An end of the channel is an end of the run.
    let _ = phase.wait_for(|phase| matches!(phase, Phase::Stopped)).await;
}

#[cfg(test)]
mod tests;
