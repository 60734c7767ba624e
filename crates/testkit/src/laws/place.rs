//! Laws about what is bound: where it is polled, by how many, and until when.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context as Task, Poll, Wake, Waker};
use std::time::Duration;

use swapwire_core::{BindError, Bound, Listener};
use tokio::task::{JoinSet, yield_now};

use crate::context::spawn;
use crate::elsewhere::{TURNS, elsewhere};
use crate::stop::{OrBroken as _, ensure};
use crate::wire::{accept, as_listener, connect, take};
use crate::{Context, Outcome, Stop};

/// Once a listener refuses arrivals and nobody waits, `accept` is pending, and wakes nobody; whether it was polled before or not.
///
/// # Errors
/// The law is broken.
pub async fn refused_accept_waits(ctx: &Context) -> Outcome {
    const WHAT: &str = "accept, after arrivals were refused,";
    ctx.needs_connections()?;
    for polled_before in [false, true] {
        let mut listener = ctx.listen().await?;
        let (registry, dial) = (ctx.registry().clone(), ctx.dial_listener(&*listener));
        ctx.step(format!("accept after arrivals were refused, by a listener that was polled before: {polled_before}"));
        elsewhere(WHAT, async move {
            let _links = match polled_before {
                true => Some(tokio::try_join!(connect(&registry, &dial), accept(&mut listener))?),
                false => None,
            };
            listener.refuse_arrivals().or_broken("refuse arrivals")?;
            waits_quietly(&mut listener).await
        })
        .await?;
    }
    Ok(())
}

async fn waits_quietly(listener: &mut Box<dyn Listener>) -> Outcome {
    /// A reactor may tell what it knew before.
    const POLLS: usize = 8;
    let bell = Arc::new(Bell(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&bell));
    let mut accept = pin!(listener.accept());
    let mut polls = 0;
    for _ in 0..TURNS {
        if bell.0.swap(false, Relaxed) {
            polls += 1;
            match accept.as_mut().poll(&mut Task::from_waker(&waker)) {
                Poll::Pending => {}
                Poll::Ready(Ok(incoming)) => return Err(Stop::broken(format!("accept gives {incoming:?}, and nobody came"))),
                Poll::Ready(Err(error)) => return Err(error).or_broken("accept fails where it is to wait"),
            }
        }
        yield_now().await;
    }
    ensure!(polls <= POLLS, "accept wakes its task {polls} times in {TURNS} turns, though nobody comes");
    Ok(())
}

/// Whether a task was woken.
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

/// What was bound on one runtime, which has ended since, serves on another.
///
/// # Errors
/// The law is broken.
pub async fn bound_elsewhere(ctx: &Context) -> Outcome {
    let (registry, fresh) = (ctx.registry().clone(), ctx.fresh());
    ctx.step(format!("bind {fresh} on a runtime that ends"));
    let bound = elsewhere("a bind", async move {
        registry.bind(&fresh).await.or_broken("bind on a runtime of its own")
    })
    .await?;
    let dial = ctx.echo_at(bound);
    ctx.client(&dial).await?.exchange(b"bound elsewhere").await
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
