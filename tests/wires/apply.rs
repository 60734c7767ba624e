//! The listeners of a server change while it runs, on every wire.

use std::sync::Arc;

use crate::common::{Net, Places, ask, is_datagram, within};
use swapwire::core::ErrorClass;
use swapwire::{Endpoint, IntoService as _, Listen, Service, handler_fn};

fn says(word: &'static str) -> Arc<dyn Service> {
    handler_fn(move |request, reply| Ok(reply.send([word.as_bytes(), b" ", request.message()].concat())?))
        .into_service()
}

#[tokio::test]
async fn what_is_bound_passes_to_what_follows_on_every_wire() {
    let places = Places::new();
    for workers in [None, Some(3)] {
        for place in places.all() {
            let net = Net::new();
            let mut builder = net.server().listen(Listen::on(&*place).handler(says("one")));
            if let Some(workers) = workers {
                builder = builder.workers(workers);
            }
            let server = builder.bind().await.unwrap().start();
            let local = server.local_endpoints()[0].clone();
            let mut stays = net.connect(&local).await;
            assert_eq!(ask(&mut stays, "a").await, "one a", "{place}");
            for word in ["two", "three"] {
                // Where it is bound, as it was written and as it really is.
                let place = if word == "two" { place.parse().unwrap() } else { local.clone() };
                let listen = Listen::on(place).handler(says(word));
                let applied = within("apply", server.handle().apply(vec![listen])).await.unwrap();
                assert_eq!((applied.changed, applied.added, applied.removed), (1, 0, 0), "{local}");
                assert_eq!(server.local_endpoints()[0], local);
                // Every member has got it, or passes it on.
                for _ in 0..8 {
                    assert_eq!(ask(&mut net.connect(&local).await, "b").await, format!("{word} b"), "{local}");
                }
            }
            let answer = if is_datagram(&local) { "three c" } else { "one c" };
            assert_eq!(ask(&mut stays, "c").await, answer, "{local} {workers:?}");
            // A session that goes on is waited for.
            drop(stays);
            let report = server.stop().await;
            assert!(report.is_clean(), "{local}: {report}");
        }
    }
}

#[tokio::test]
async fn an_option_of_what_is_bound_does_not_change() {
    let (net, places, one) = (Net::new(), Places::new(), says("one"));
    let unix = places.unix();
    let on = |place: &str| Listen::on(place).handler(Arc::clone(&one));
    let server =
        net.server().listen(on("tcp://127.0.0.1:0?backlog=7&nodelay=true")).listen(on(&format!("{unix}?mode=600")));
    let server = server.bind().await.unwrap().start();
    let wrong = vec![on("tcp://127.0.0.1:0?nodelay=false"), on(&format!("{unix}?mode=660"))];
    let error = server.handle().apply(wrong).await.unwrap_err();
    let told: Vec<_> = error.problems().iter().map(ToString::to_string).collect();
    let cure = "cannot change where it is bound: name another place, or start the server anew";
    assert_eq!(
        told,
        [
            format!("serve tcp://127.0.0.1:0?nodelay=false: backlog, nodelay {cure}"),
            format!("serve {unix}?mode=660: mode {cure}")
        ]
    );
    assert_eq!(error.class(), ErrorClass::Configuration);
    let local = server.local_endpoints()[0].clone();
    assert_eq!(ask(&mut net.connect(&local).await, "a").await, "one a");
    assert!(server.stop().await.is_clean());
}

/// A file that was taken away is made again for the service that follows, and removed by it.
#[cfg(unix)]
#[tokio::test]
async fn the_file_of_a_socket_passes_with_it() {
    let (net, places) = (Net::new(), Places::new());
    let (first, second) = (places.path(), places.path());
    let on = |path: &std::path::Path, word| {
        Listen::on(format!("unix:{}", path.display()).parse::<Endpoint>().unwrap()).handler(says(word))
    };
    let server = net.server().listen(on(&first, "one")).bind().await.unwrap().start();
    server.handle().apply(vec![on(&first, "two")]).await.unwrap();
    assert!(first.exists());
    server.handle().apply(vec![on(&second, "two")]).await.unwrap();
    within("the file is removed", async {
        while first.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let local = server.local_endpoints()[0].clone();
    assert_eq!(ask(&mut net.connect(&local).await, "a").await, "two a");
    assert!(server.stop().await.is_clean() && !second.exists());
}
