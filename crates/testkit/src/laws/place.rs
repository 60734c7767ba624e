//! Laws about what is bound: where it is polled, by how many, and until when.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::time::Duration;

use swapwire_core::{BindError, Bound, Incoming};
use tokio::sync::oneshot;
use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout;

use crate::context::spawn;
use crate::stop::{OrBroken as _, ensure};
use crate::wire::{as_listener, connect, take};
use crate::{Context, Outcome, Stop};

/// Once a listener refuses arrivals and nobody waits, `accept` is pending, and wakes nobody.
///
/// # Errors
/// The law is broken.
pub async fn refused_accept_waits(ctx: &Context) -> Outcome {
    /// A runtime asks its reactor for news each 61 turns.
    const TURNS: usize = 1000;
    const POLLS: usize = 8;
    ctx.needs_connections()?;
    let mut listener = as_listener(ctx.bind(&ctx.fresh()).await?)?;
    ctx.step("accept after arrivals were refused");
    let polls = on_another_runtime("accept after arrivals were refused", async move {
        listener.refuse_arrivals().or_broken("refuse arrivals")?;
        let mut polls = 0;
        let mut accept = pin!(listener.accept());
        let mut accepted = pin!(poll_fn(|cx| {
            polls += 1;
            accept.as_mut().poll(cx)
        }));
        let turns = async {
            for _ in 0..TURNS {
                yield_now().await;
            }
        };
        let accepted = tokio::select! {
            biased;
            accepted = &mut accepted => Some(accepted),
            () = turns => None,
        };
        let _: Option<io::Result<Incoming>> = accepted.filter(Result::is_ok);
        Ok(polls)
    })
    .await?;
    // Once for each turn of the select, and no sooner than something woke it.
    ensure!(polls <= TURNS + POLLS, "accept was polled {polls} times, though nobody came");
    Ok(())
}

/// What was bound on one runtime, which has ended since, serves on another.
///
/// # Errors
/// The law is broken.
pub async fn bound_elsewhere(ctx: &Context) -> Outcome {
    let (registry, fresh) = (ctx.registry().clone(), ctx.fresh());
    ctx.step(format!("bind {fresh} on a runtime that ends"));
    let bound = on_another_runtime("a bind", async move {
        registry.bind(&fresh).await.or_broken("bind on a runtime of its own")
    })
    .await?;
    let dial = ctx.echo_at(bound);
    ctx.client(&dial).await?.exchange(b"bound elsewhere").await
}

/// Runs `task` on a thread and a runtime of its own: a task that does not give its thread back holds up nobody else.
async fn on_another_runtime<T: Send + 'static>(
    what: &'static str,
    task: impl Future<Output = Result<T, Stop>> + Send + 'static,
) -> Result<T, Stop> {
    /// Only a task that never ends needs it.
    const PATIENCE: Duration = Duration::from_secs(60);
    let (tell, told) = oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let result = runtime.or_broken("make a runtime").and_then(|runtime| runtime.block_on(task));
        let _ = tell.send(result);
    });
    match timeout(PATIENCE, told).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(Stop::broken(format!("{what} panicked"))),
        Err(_) => Err(Stop::broken(format!("{what} does not give its thread back"))),
    }
}

/// The members of a group are bound to one place, to which nobody else can be bound, and connections reach each of them. A stack
/// has as many as the wire below.
///
/// # Errors
/// The law is broken.
pub async fn group(ctx: &Context) -> Outcome {
    const MEMBERS: usize = 3;
    /// More than enough for each member, wherever the system sends them.
    const CLIENTS: usize = 300;
    const PATIENCE: Duration = Duration::from_secs(60);
    let fresh = ctx.fresh();
    let group = ctx.registry().bind_group(&fresh, MEMBERS).await.or_broken("bind a group")?;
    ensure!((1..=MEMBERS).contains(&group.len()), "a group of at most {MEMBERS} has {} members", group.len());
    let (again, dial, is_socket) = {
        let Some(first) = group.first() else { return Err(Stop::broken("an empty group")) };
        for bound in &group {
            ensure!(bound.local() == first.local(), "one member is at {}, another at {}", first.local(), bound.local());
        }
        (ctx.rebind(first), ctx.dial(first), matches!(first, Bound::Socket(_)))
    };
    if let Ok(below) = ctx.below() {
        let below = ctx.fresh().without_options().with_scheme(below);
        let below = ctx.registry().bind_group(&below, MEMBERS).await.or_broken("bind a group of the wire below")?.len();
        ensure!(group.len() == below, "a group of the wire below has {below} members, of the stack {}", group.len());
    }
    if ctx.capabilities().exclusive_bind {
        match ctx.registry().bind(&again).await {
            Err(BindError::AddrInUse { .. }) => {}
            Err(error) => return Err(error).or_broken("a bind beside a group is not address in use"),
            Ok(_) => return Err(Stop::broken(format!("a bind of {again} beside a group succeeds"))),
        }
    }
    if is_socket {
        return Ok(());
    }
    let mut reached = JoinSet::new();
    for bound in group {
        let mut listener = as_listener(bound)?;
        // Others go on without a member that was reached; it stays bound until all are.
        reached.spawn(async move { take(&mut listener).await.map(|_| listener) });
    }
    ctx.step("reach each member of a group");
    let clients = async {
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let (registry, dial) = (ctx.registry().clone(), dial.clone());
            clients.push(spawn("a client", async move { connect(&registry, &dial).await }));
            for _ in 0..10 {
                yield_now().await;
            }
        }
        std::future::pending::<()>().await;
    };
    let all = async {
        let mut members = Vec::new();
        while let Some(member) = reached.join_next().await {
            members.push(member.or_broken("a member")??);
        }
        Ok(())
    };
    tokio::select! {
        biased;
        reached = all => reached,
        () = clients => Ok(()),
        () = tokio::time::sleep(PATIENCE) => Err(Stop::broken(format!("of {CLIENTS} clients, none reached some member"))),
    }
}
