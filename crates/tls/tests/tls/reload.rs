//! New certificates while a server serves.

use std::path::Path;

use crate::common::{Authority, Net, write};
use swapwire_core::{Bytes, Listener};
use swapwire_tls::{Identity, Tls};

/// Asks what is new until there is something, as a server does each half second.
async fn news(listener: &mut dyn Listener) -> String {
    loop {
        let upkeep = listener.upkeep().expect("there is something to look after");
        assert!(upkeep.reachable);
        if let Some(news) = upkeep.news {
            return news;
        }
        // The files are read on a thread that may wait.
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
}

/// As tools that renew certificates do it: a new file under the old name.
fn replace(net: &Net, name: &str, text: &str) {
    let new = write(net, &format!("{name}.new"), text);
    std::fs::rename(Path::new(&new), net.path(name)).unwrap();
}

/// The certificate that a client of the listener sees.
async fn shown_by(net: &Net, listener: &mut dyn Listener, endpoint: &str) -> Bytes {
    let accepted = async { listener.accept().await.unwrap().establish().await.unwrap() };
    let (_, info) = tokio::join!(accepted, net.client(endpoint));
    info.unwrap().peer_certificates[0].clone()
}

#[tokio::test(start_paused = true)]
async fn files_that_have_changed_are_read_and_a_bad_pair_keeps_the_last_good_one() {
    let (net, ca) = (Net::new(), Authority::new());
    let pair = net.pair(&ca, "server", &["localhost"]);
    let ca_file = write(&net, "ca.pem", &ca.pem());
    let mut listener = net.bind(&pair).await;
    let endpoint = format!("{}?ca={ca_file}", listener.local());
    let first = shown_by(&net, &mut *listener, &endpoint).await;
    assert_eq!(listener.upkeep().unwrap().news, None);

    let (cert, key) = ca.sign(&["localhost"]);
    replace(&net, "server.pem", &cert);
    let told = news(&mut *listener).await;
    assert!(
        told.contains("cannot be read again, and those from before stay") && told.contains("another certificate"),
        "{told}"
    );
    assert_eq!(shown_by(&net, &mut *listener, &endpoint).await, first);
    replace(&net, "server.key", &key);
    let told = news(&mut *listener).await;
    assert!(told.contains("were read again") && told.contains("2999-01-01"), "{told}");
    assert_eq!(listener.upkeep().unwrap().news, None, "it is told once");
    assert_eq!(shown_by(&net, &mut *listener, &endpoint).await, der(&cert));
}

#[tokio::test(start_paused = true)]
async fn files_are_read_when_somebody_asks() {
    let (tls, ca) = (Tls::new(), Authority::new());
    let net = Net::of(tls.clone());
    let pair = net.pair(&ca, "server", &["localhost"]);
    let ca_file = write(&net, "ca.pem", &ca.pem());
    let mut listener = net.bind(&format!("{pair}&reload=off")).await;
    let (cert, key) = ca.sign(&["localhost"]);
    replace(&net, "server.pem", &cert);
    replace(&net, "server.key", &key);
    assert!(listener.reloads());
    listener.reload();
    assert!(news(&mut *listener).await.contains("were read again"));
    assert!(tls.reloader().reload());
    assert!(news(&mut *listener).await.contains("were read again"));
    let endpoint = format!("{}?ca={ca_file}", listener.local());
    let now = shown_by(&net, &mut *listener, &endpoint).await;
    assert_eq!(now, der(&cert));

    let mut without = net.bind("self_signed=true").await;
    assert!(!without.reloads() && without.upkeep().is_none());
}

fn der(pem: &str) -> Bytes {
    use base64::Engine as _;
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    base64::engine::general_purpose::STANDARD.decode(base64).unwrap().into()
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_ends_soon_is_told_at_start_and_daily() {
    let (net, ca) = (Net::new(), Authority::new());
    let (cert, key) = ca.sign_for_days(&["localhost"], 5);
    let (cert, key) = (write(&net, "server.pem", &cert), write(&net, "server.key", &key));
    let mut listener = net.bind(&format!("cert={cert}&key={key}")).await;
    let warned = listener.upkeep().unwrap().news.unwrap();
    assert!(warned.contains(&format!("cert={cert} ends in ")) && warned.contains("renew it"), "{warned}");
    assert_eq!(listener.upkeep().unwrap().news, None);
    tokio::time::advance(std::time::Duration::from_secs(24 * 60 * 60 - 1)).await;
    assert_eq!(listener.upkeep().unwrap().news, None);
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    assert_eq!(listener.upkeep().unwrap().news, Some(warned));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_swapped_under_load_without_a_failed_handshake() {
    const SWAPS: usize = 100;
    let made: Vec<_> = (0..2).map(|_| Identity::self_signed(&["localhost"]).unwrap()).collect();
    let pins = format!("{},{}", made[0].pin(), made[1].pin());
    let tls = Tls::new().with_identity(made[0].clone());
    let net = Net::of(tls.clone());
    let place = net.serve("eof=strict").await;
    let endpoint = format!("{place}?pin={pins}");
    let reloader = tls.reloader();
    let load = async {
        for _ in 0..SWAPS {
            net.talk(&endpoint).await.unwrap();
        }
    };
    let swap = async {
        for number in 0..SWAPS {
            reloader.replace([made[number % 2].clone()]).unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(load, swap);
    reloader.replace([made[1].clone()]).unwrap();
    net.talk(&format!("{place}?pin={}", made[1].pin())).await.unwrap();
    net.talk(&format!("{place}?pin={}", made[0].pin())).await.unwrap_err();
    assert!(reloader.replace([]).is_err());
    net.talk(&format!("{place}?pin={}", made[1].pin())).await.unwrap();
}
