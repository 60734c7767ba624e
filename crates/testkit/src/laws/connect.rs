//! Laws about connecting.

use futures::FutureExt as _;
use swapwire_core::{BindError, ConnectError, Endpoint, OptionError, Side};
use tokio::task::yield_now;

use crate::payload::compare;
use crate::stop::{OrBroken as _, ensure};
use crate::wire::{accept, connect, expect, take};
use crate::{Context, Outcome, Stop};

/// `connect` does nothing before its first poll: the server sees only those that were polled.
///
/// # Errors
/// The law is broken.
pub async fn lazy_connect(ctx: &Context) -> Outcome {
    const FUTURES: usize = 8;
    if ctx.is_datagram() {
        let mut socket = ctx.socket().await?;
        let local = socket.local();
        let transport = ctx.transport(&local)?;
        let futures: Vec<_> = (0..FUTURES).map(|_| transport.connect(&local)).collect();
        let mut client = ctx.client(&local).await?;
        ctx.introduce(&mut client, &mut socket, b"from the one that was polled").await?;
        drop(futures);
        return Ok(());
    }
    let mut listener = ctx.listen().await?;
    let local = ctx.dial_listener(&*listener);
    let transport = ctx.transport(&local)?;
    let futures: Vec<_> = (0..FUTURES).map(|_| transport.connect(&local)).collect();
    ctx.step("receive over the connection that was accepted");
    let client = async {
        let mut client = ctx.session(connect(ctx.registry(), &local).await?);
        client.send(b"polled").await.or_broken("send")?;
        client.flush().await.or_broken("flush")?;
        Ok(client)
    };
    let server = async {
        let mut server = ctx.session(accept(&mut listener).await?);
        let got = tokio::select! {
            biased;
            got = expect(&mut server) => got?,
            _ = take(&mut listener) => return Err(Stop::broken("an unpolled connect was accepted")),
        };
        compare(b"polled", &got).or_broken("a message came as")?;
        Ok(server)
    };
    tokio::try_join!(client, server)?;
    drop(futures);
    Ok(())
}

/// Dropping a `connect` half-way, or its link at once, leaks no descriptor and does not disturb the server.
///
/// # Errors
/// The law is broken.
pub async fn dropped_connect(ctx: &Context) -> Outcome {
    const ATTEMPTS: usize = 128;
    const TOLERATED: usize = 64;
    let local = ctx.echo().await?;
    let transport = ctx.transport(&local)?;
    let before = open_descriptors();
    for attempt in 0..ATTEMPTS {
        ctx.step(format!("connect {local} and drop it, attempt {attempt}"));
        let mut connect = transport.connect(&local);
        for _ in 0..=attempt % 4 {
            if (&mut connect).now_or_never().is_some() {
                break;
            }
            yield_now().await;
        }
    }
    let mut client = ctx.client(&local).await?;
    ctx.step("exchange a message after the dropped ones");
    client.exchange(b"after the dropped ones").await?;
    // Other tests of this process open descriptors too, so the number need not come back to what it was.
    ctx.step(format!("wait until {ATTEMPTS} dropped connects have closed their descriptors"));
    while open_descriptors() > before + TOLERATED {
        yield_now().await;
    }
    Ok(())
}

/// How many descriptors this process has open; 0 where the system does not tell.
fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// Connecting to nobody fails and names the endpoint. A datagram connect may succeed.
///
/// # Errors
/// The law is broken.
pub async fn connect_to_nobody(ctx: &Context) -> Outcome {
    ctx.needs_own_socket("it listens after its server has gone")?;
    // A port that was just freed can be somebody else's by now; three in a row are not chance.
    for _ in 0..3 {
        let local = ctx.dial(&ctx.bind(&ctx.fresh()).await?);
        ctx.step(format!("connect {local} though nobody is there"));
        match ctx.registry().connect(&local).await {
            Ok(_) if ctx.is_datagram() => return Ok(()),
            Ok(_) => {}
            Err(error) => return names(&error, &local),
        }
    }
    Err(Stop::broken("a connect to an endpoint where nobody listens succeeds"))
}

fn names(error: &ConnectError, endpoint: &Endpoint) -> Outcome {
    ensure!(error.endpoint() == endpoint, "the error is about {}, not about {endpoint}", error.endpoint());
    ensure!(error.to_string().contains(&endpoint.to_string()), "the error's text does not name {endpoint}: {error}");
    Ok(())
}

/// An option that the transport does not document is an error that lists those it does, for `check`, `bind` and `connect`; `check`
/// has nothing against an endpoint that can be bound.
///
/// # Errors
/// The law is broken.
pub async fn unknown_option(ctx: &Context) -> Outcome {
    const OPTION: &str = "no-such-option";
    let fresh = ctx.fresh();
    let asked = fresh.clone().with_option(OPTION, 1);
    let transport = ctx.transport(&asked)?;
    match transport.check(&asked).await {
        Err(BindError::Option { source, endpoint }) => {
            ensure!(endpoint == asked, "the error of check is about {endpoint}, not about {asked}");
            lists(ctx, &asked, &source, Side::Bind)?;
        }
        checked => return Err(Stop::broken(format!("check of an unknown option gave {checked:?}"))),
    }
    if let Err(error) = transport.check(&fresh).await {
        return Err(Stop::broken(format!("check refuses what can be bound: {error}")));
    }
    match ctx.registry().bind(&asked).await {
        Err(BindError::Option { source, endpoint }) => {
            ensure!(endpoint == asked, "the error of bind is about {endpoint}, not about {asked}");
            lists(ctx, &asked, &source, Side::Bind)?;
        }
        Err(error) => return Err(Stop::broken(format!("bind answered an unknown option with another error: {error}"))),
        Ok(_) => return Err(Stop::broken(format!("bind {asked} ignored an unknown option"))),
    }
    let bound = ctx.bind(&fresh).await?;
    let asked = ctx.dial(&bound).with_option(OPTION, 1);
    match ctx.registry().connect(&asked).await {
        Err(ConnectError::Option { source, endpoint }) => {
            ensure!(endpoint == asked, "the error of connect is about {endpoint}, not about {asked}");
            lists(ctx, &asked, &source, Side::Connect)
        }
        Err(error) => Err(Stop::broken(format!("connect answered an unknown option with another error: {error}"))),
        Ok(_) => Err(Stop::broken(format!("connect {asked} ignored an unknown option"))),
    }
}

fn lists(ctx: &Context, endpoint: &Endpoint, error: &OptionError, side: Side) -> Outcome {
    let OptionError::Unknown { known, .. } = error else {
        return Err(Stop::broken(format!("an unknown option gives another error: {error}")));
    };
    for doc in ctx.transport(endpoint)?.options(endpoint.scheme()) {
        ensure!(!doc.is_for(side) || known.split(", ").any(|name| name == doc.name), "the known options lack {}: {error}", doc.name);
    }
    Ok(())
}

/// An option that is documented is understood on its side: one whose documentation tells its default may be given as that.
///
/// # Errors
/// The law is broken.
pub async fn options_reach(ctx: &Context) -> Outcome {
    let endpoint = ctx.fresh();
    let transport = ctx.transport(&endpoint)?;
    for doc in transport.options(endpoint.scheme()) {
        let Some(value) = default_of(doc.value) else { continue };
        let mut fresh = ctx.fresh();
        // What the endpoint under test says, it needs.
        if doc.is_for(Side::Bind) && fresh.option(doc.name).is_none() {
            fresh = fresh.with_option(doc.name, value);
        }
        // One that does not fit this place is understood.
        let bound = match ctx.registry().bind(&fresh).await {
            Err(BindError::Option { source: OptionError::Value { .. }, .. }) => continue,
            bound => bound.or_broken(format_args!("bind with {}={value}", doc.name))?,
        };
        let mut dial = ctx.dial(&bound);
        if doc.is_for(Side::Connect) && dial.option(doc.name).is_none() {
            dial = dial.with_option(doc.name, value);
        }
        ctx.echo_at(bound);
        ctx.client(&dial).await?.exchange(doc.name.as_bytes()).await?;
    }
    Ok(())
}

/// The default that the documentation of a value tells, if it is one word that can be written: `bool, default true`.
fn default_of(value: &str) -> Option<&str> {
    let (_, default) = value.split_once("default ")?;
    let word = default.split([',', ' ', ';']).next()?;
    let is_word = word.len() == default.len();
    (is_word && (matches!(word, "true" | "false") || word.starts_with(|c: char| c.is_ascii_digit()))).then_some(word)
}
