//! Laws about binding.

use std::sync::Arc;

use futures::FutureExt as _;
use swapwire_core::{Addr, BindError, Bound, Credentials, Link, Place, Shape};
use tokio::task::yield_now;

use crate::context::spawn;
use crate::echo::serve;
use crate::stop::{OrBroken as _, ensure};
use crate::wire::talk;
use crate::{Context, Outcome, Stop};

/// What the transport says of itself is so: its schemes, its shape, its largest message, its credentials.
///
/// # Errors
/// The law is broken.
pub async fn capabilities_are_true(ctx: &Context) -> Outcome {
    let endpoint = ctx.fresh();
    let (scheme, capabilities) = (endpoint.scheme(), ctx.capabilities());
    let schemes = ctx.transport(&endpoint)?.schemes();
    ensure!(schemes.iter().any(|own| own == scheme), "it is registered for {scheme:?}, but its schemes are {schemes:?}");
    ensure!(schemes.iter().all(|scheme| *scheme == scheme.to_lowercase()), "{schemes:?} are not all in lower case");
    let bounded = capabilities.max_message.is_some();
    ensure!(bounded || capabilities.shape != Shape::Datagram, "datagrams must have a largest message");
    let largest = capabilities.max_message.unwrap_or(usize::MAX);
    let (link, server) = if ctx.is_datagram() {
        let socket = ctx.socket().await?;
        let receives = socket.max_message();
        ensure!(receives >= largest, "max_message is {largest}, but the socket receives at most {receives} bytes");
        (ctx.connect(&socket.local()).await?, None)
    } else {
        let (client, server) = ctx.links().await?;
        (client, Some(server))
    };
    match &link {
        Link::Bytes { .. } => {
            ensure!(capabilities.shape == Shape::ByteStream, "connect gave bytes, the shape is {}", capabilities.shape);
        }
        Link::Messages { io, .. } => {
            ensure!(capabilities.shape != Shape::ByteStream, "connect gave messages, the shape is a byte stream");
            let own = io.max_message();
            ensure!(own <= largest, "a wire carries {own} bytes, more than the {largest} of the capabilities");
        }
        Link::Framed { .. } => {
            let shape = capabilities.shape;
            ensure!(shape == Shape::MessageStream, "connect gave a wire whose messages are frames, the shape is {shape}");
        }
        other => return Err(Stop::broken(format!("an unknown kind of link: {other:?}"))),
    }
    let credentials = server.is_none_or(|server| server.info().peer.get::<Credentials>().is_some());
    ensure!(credentials || !capabilities.peer_credentials, "peer_credentials is set, but the peer has none");
    Ok(())
}

/// The transport itself and the registry that boxes it are one: what either binds, the other dials.
///
/// # Errors
/// The law is broken.
pub async fn erased(ctx: &Context) -> Outcome {
    let endpoint = ctx.fresh();
    let transport = ctx.transport(&endpoint)?;
    let bound = transport.bind(&endpoint).await.or_broken("a bind without a registry")?;
    let local = ctx.echo_at(bound);
    ctx.client(&local).await?.exchange(b"through the registry").await?;

    let local = ctx.echo().await?;
    let link = transport.connect(&local).await.or_broken("a connect without a registry")?;
    ctx.client_over(link).exchange(b"without a registry").await
}

/// What `local` says after a bind is where the thing really is: it has a real port, and what `dial` says can be dialled.
///
/// # Errors
/// The law is broken.
pub async fn local_is_dialable(ctx: &Context) -> Outcome {
    let fresh = ctx.fresh();
    let bound = ctx.bind(&fresh).await?;
    let local = bound.local();
    ensure!(ctx.is_passed() || local.scheme() == fresh.scheme(), "{fresh} was bound as {local}");
    ensure!(!matches!(local.place(), Place::Host { port: 0, .. }), "the port of {local} is not a real one");
    let dial = ctx.echo_at(bound);
    ensure!(dial.place() == local.place(), "{local} is to be dialled at another place: {dial}");
    ctx.client(&dial).await?.exchange(b"dialled").await
}

/// Both ends call each other the same: the client's local address is the server's peer, and the reverse. Not for Unix
/// sockets without a name.
///
/// # Errors
/// The law is broken.
pub async fn addresses_agree(ctx: &Context) -> Outcome {
    fn same(what: &str, own: &Addr, others: &Addr) -> Outcome {
        let unnamed = |addr: &Addr| matches!(addr, Addr::Unix(unix) if unix.is_unnamed());
        ensure!(own == others || unnamed(own) || unnamed(others), "{what} itself {own}, the other end calls it {others}");
        Ok(())
    }
    if ctx.is_datagram() {
        let mut socket = ctx.socket().await?;
        let mut client = ctx.client(&socket.local()).await?;
        let peer = ctx.introduce(&mut client, &mut socket, b"who am I").await?;
        if !ctx.capabilities().stable_peers {
            let again = ctx.introduce(&mut client, &mut socket, b"who am I now").await?;
            ensure!(peer != again, "two requests come from {peer}, though the transport says that each has an address");
            return Ok(());
        }
        return same("the client calls", client.session.local(), &peer);
    }
    let (client, server) = ctx.links().await?;
    same("the client calls", &client.info().local, server.info().peer.addr())?;
    same("the server calls", &server.info().local, client.info().peer.addr())
}

/// A second bind of a bound place is [`BindError::AddrInUse`], names the endpoint, and leaves the first alone.
///
/// # Errors
/// The law is broken.
pub async fn second_bind(ctx: &Context) -> Outcome {
    ctx.needs(ctx.capabilities().exclusive_bind, "binds are not exclusive")?;
    let bound = ctx.bind(&ctx.fresh()).await?;
    let local = ctx.rebind(&bound);
    let dial = ctx.echo_at(bound);
    ctx.step(format!("bind {local} again"));
    match ctx.registry().bind(&local).await {
        Err(error @ BindError::AddrInUse { .. }) => {
            ensure!(error.endpoint() == &local, "the error is about {}, not about {local}", error.endpoint());
            ensure!(error.to_string().contains(&local.to_string()), "the error does not name {local}: {error}");
        }
        Err(error) => return Err(Stop::broken(format!("a second bind fails, but not as address in use: {error}"))),
        Ok(_) => return Err(Stop::broken(format!("a second bind of {local} succeeds"))),
    }
    ctx.client(&dial).await?.exchange(b"the first is still there").await
}

/// After a listener or socket is dropped, its place can be bound again at once, though a session that it accepted lives.
///
/// # Errors
/// The law is broken.
pub async fn bind_again(ctx: &Context) -> Outcome {
    ctx.needs_own_socket("the place stays taken")?;
    // The system may have given a free port to another program meanwhile.
    for _ in 0..2 {
        if bound_again(ctx).await?.is_ok() {
            return Ok(());
        }
    }
    bound_again(ctx).await?.or_broken("bind after the first was dropped")
}

/// Binds a place, and again; the error, if it was in use then.
async fn bound_again(ctx: &Context) -> Result<Result<(), BindError>, Stop> {
    let bound = ctx.bind(&ctx.fresh()).await?;
    let (local, dial, place) = (ctx.rebind(&bound), ctx.dial(&bound), bound.local());
    let sessions = match bound {
        Bound::Listener(mut listener) => {
            let (client, server) = ctx.meet(&mut listener).await?;
            let (mut client, mut server) = (ctx.session(client), ctx.session(server));
            talk(&mut client, &mut server).await?;
            Some((client, server))
        }
        bound => {
            let server = spawn("an echo", serve(bound, ctx.config(), Arc::new(<[u8]>::to_vec)));
            ctx.client(&dial).await?.exchange(b"before").await?;
            server.stop().await;
            None
        }
    };
    ctx.step(format!("bind {local} again"));
    let again = match ctx.registry().bind(&local).await {
        Err(error) if error.is_addr_in_use() => return Ok(Err(error)),
        again => again.or_broken("bind after the first was dropped")?,
    };
    ensure!(again.local() == place, "{place} was bound again as {}", again.local());
    let dial = ctx.echo_at(again);
    ctx.client(&dial).await?.exchange(b"after").await?;
    if let Some((mut client, mut server)) = sessions {
        talk(&mut client, &mut server).await?;
    }
    Ok(Ok(()))
}

/// `bind` does nothing before its first poll, and dropping it half-way leaves nothing bound.
///
/// # Errors
/// The law is broken.
pub async fn dropped_bind(ctx: &Context) -> Outcome {
    let endpoint = ctx.fresh();
    let transport = ctx.transport(&endpoint)?;
    let unpolled = transport.bind(&endpoint);
    for polls in 1..4 {
        ctx.step(format!("bind {endpoint}, and drop it after {polls} polls"));
        let mut bind = transport.bind(&endpoint);
        for _ in 0..polls {
            if (&mut bind).now_or_never().is_some() {
                break;
            }
            yield_now().await;
        }
    }
    let bound = ctx.bind(&endpoint).await?;
    drop(unpolled);
    let local = ctx.echo_at(bound);
    ctx.client(&local).await?.exchange(b"bound at last").await
}
