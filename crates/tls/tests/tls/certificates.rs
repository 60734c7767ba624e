//! Certificates and keys: whose they are, who is believed, and what is said of those that do not fit.

use crate::common::{Authority, Net, write};
use swapwire_tls::{Identity, Tls};

#[tokio::test]
async fn a_client_believes_whom_its_ca_has_signed() {
    let (net, ca) = (Net::new(), Authority::new());
    let options = net.pair(&ca, "server", &["localhost", "example.org"]);
    let place = net.serve(&options).await;
    let ca_file = write(&net, "ca.pem", &ca.pem());
    let info = net.client(&format!("{place}?ca={ca_file}")).await.unwrap();
    assert_eq!((info.version, info.server_name.as_deref()), ("1.3", Some("localhost")));
    assert_eq!(info.peer_certificates.len(), 1);
    let info = net.client(&format!("{place}?ca={ca_file}&server_name=example.org")).await.unwrap();
    assert_eq!(info.server_name.as_deref(), Some("example.org"));
    assert_eq!(net.seen().await.server_name.as_deref(), Some("localhost"));
    assert_eq!(net.seen().await.server_name.as_deref(), Some("example.org"));
}

#[tokio::test]
async fn a_client_says_why_it_does_not_believe() {
    let (net, ca, other, same) = (Net::new(), Authority::named("ca"), Authority::new(), Authority::named("ca"));
    let options = net.pair(&ca, "server", &["localhost", "example.org"]);
    let place = net.serve(&options).await;
    let (ca_file, other_file) = (write(&net, "ca.pem", &ca.pem()), write(&net, "other.pem", &other.pem()));
    let same_file = write(&net, "same.pem", &same.pem());

    let error = net.client(&format!("{place}?ca={ca_file}&server_name=example.com")).await.unwrap_err();
    assert!(error.contains("is for localhost, example.org, and not for example.com"), "{error}");
    assert!(error.starts_with(&format!("connect {place}?ca=")), "{error}");

    net.client(&format!("{place}?ca={same_file}")).await.unwrap_err();
    let error = net.client(&format!("{place}?ca={other_file}")).await.unwrap_err();
    let (_, pin) = error.split_once("write pin=").expect(&error);
    net.client(&format!("{place}?pin={pin}")).await.unwrap();

    let wrong = format!("sha256:{}", "00".repeat(32));
    let error = net.client(&format!("{place}?pin={wrong}")).await.unwrap_err();
    assert!(error.contains("none of pin=") && error.contains(pin), "{error}");
    net.client(&format!("{place}?pin={wrong},{pin}")).await.unwrap();
}

#[tokio::test]
async fn names_choose_among_certificates() {
    let (net, ca) = (Net::new(), Authority::new());
    let pairs = [net.files(&ca, "a", &["a.example"]), net.files(&ca, "b", &["b.example", "*.wild.example"])];
    let [(cert_a, key_a), (cert_b, key_b)] = pairs;
    let place = net.serve(&format!("cert={cert_a},{cert_b}&key={key_a},{key_b}")).await;
    let ca = write(&net, "ca.pem", &ca.pem());
    let (net, place, ca) = (&net, &place, &ca);
    let connect = |name: &'static str| async move { net.client(&format!("{place}?ca={ca}&server_name={name}")).await };
    let of = |info: swapwire_tls::TlsInfo| info.peer_certificates[0].clone();
    let a = of(connect("a.example").await.unwrap());
    let b = of(connect("b.example").await.unwrap());
    assert_ne!(a, b);
    assert_eq!(of(connect("x.wild.example").await.unwrap()), b);
    // Nobody's name: the first.
    let error = connect("c.example").await.unwrap_err();
    assert!(error.contains("is for a.example"), "{error}");
}

#[tokio::test]
async fn clients_are_asked_for_certificates() {
    let (net, ca, other) = (Net::new(), Authority::new(), Authority::new());
    let own = net.pair(&ca, "server", &["localhost"]);
    let ca_file = write(&net, "ca.pem", &ca.pem());
    let (cert, key) = net.files(&ca, "client", &["client"]);
    let (strange, strange_key) = net.files(&other, "strange", &["client"]);

    let required = net.serve(&format!("{own}&client_ca={ca_file}")).await;
    net.talk(&format!("{required}?ca={ca_file}&cert={cert}&key={key}")).await.unwrap();
    assert_eq!(net.seen().await.peer_certificates.len(), 1);
    // With TLS 1.3 a client learns it by its first read.
    let error = net.talk(&format!("{required}?ca={ca_file}")).await.unwrap_err();
    assert!(error.contains("it wants a certificate of this end") && error.contains("certificate_required"), "{error}");
    let refused = net.refused().await;
    assert!(refused.contains("tls: the peer has shown no certificate"), "{refused}");
    let error = net.talk(&format!("{required}?ca={ca_file}&cert={strange}&key={strange_key}")).await.unwrap_err();
    assert!(error.contains("alert "), "{error}");
    assert!(net.refused().await.contains("signed by nobody that is trusted"));

    let requested = net.serve(&format!("{own}&client_ca={ca_file}&client_auth=request")).await;
    net.talk(&format!("{requested}?ca={ca_file}")).await.unwrap();
    assert_eq!(net.seen().await.peer_certificates.len(), 0);
    net.talk(&format!("{requested}?ca={ca_file}&cert={strange}&key={strange_key}")).await.unwrap_err();
}

#[tokio::test]
async fn both_ends_agree_on_a_protocol_or_part() {
    let net = Net::new();
    let place = net.serve("self_signed=true&alpn=echo/2,echo/1").await;
    let info = net.client(&net.dial(&place, "alpn=echo/1,echo/2")).await.unwrap();
    assert_eq!(info.alpn.as_deref(), Some(b"echo/2".as_slice()));
    assert_eq!(net.client(&net.dial(&place, "eof=lax")).await.unwrap().alpn, None);
    let error = net.client(&net.dial(&place, "alpn=other")).await.unwrap_err();
    assert!(error.contains("none of the protocols of alpn=") && error.contains("no_application_protocol"), "{error}");
}

#[tokio::test]
async fn sessions_are_resumed_where_both_ends_want_that() {
    let net = Net::new();
    for (server, client, resumed) in [(true, true, true), (true, false, false), (false, true, false)] {
        let place = net.serve(&format!("self_signed=true&tickets={server}")).await;
        let endpoint = net.dial(&place, &format!("tickets={client}"));
        assert!(!net.talk(&endpoint).await.unwrap().resumed);
        assert_eq!(net.talk(&endpoint).await.unwrap().resumed, resumed, "{server} {client}");
    }
}

#[tokio::test]
async fn code_gives_certificates_without_files() {
    let ca = Authority::new();
    let (cert, key) = ca.sign(&["example.org"]);
    let identity = Identity::from_pem(cert.as_bytes(), key.as_bytes()).unwrap();
    let (client_cert, client_key) = ca.sign(&["client"]);
    let client = Identity::from_pem(client_cert.as_bytes(), client_key.as_bytes()).unwrap();
    let tls = Tls::new().with_identity(identity.clone()).with_client_identity(client);
    let net = Net::of(tls.with_roots(ca.pem().as_bytes()).unwrap());
    let ca_file = write(&net, "ca.pem", &ca.pem());
    let place = net.serve(&format!("client_ca={ca_file}&min_version=1.3")).await;
    net.talk(&format!("{place}?server_name=example.org")).await.unwrap();
    net.talk(&format!("{place}?pin={}", identity.pin())).await.unwrap();
    assert_eq!(net.seen().await.peer_certificates.len(), 1);

    assert!(Identity::from_pem(cert.as_bytes(), client_key.as_bytes()).unwrap_err().to_string().contains("another"));
    assert!(Identity::from_der([vec![1, 2, 3]], Vec::new()).is_err());
    assert!(Identity::from_pem(b"", key.as_bytes()).unwrap_err().to_string().contains("no certificate in it"));
    assert!(Tls::new().with_roots(b"nothing").unwrap_err().to_string().contains("no certificate in it"));
}

#[cfg(unix)]
#[tokio::test]
async fn each_unusable_file_is_told_in_one_line() {
    use std::os::unix::fs::PermissionsExt;
    let (net, ca) = (Net::new(), Authority::new());
    let (cert, key) = net.files(&ca, "server", &["localhost"]);
    let (other, other_key) = net.files(&ca, "other", &["localhost"]);
    let text = write(&net, "text", "not PEM");
    let broken = write(&net, "broken", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let (expired, expired_key) = ca.sign_until(&["localhost"], 2020);
    let (expired, expired_key) = (write(&net, "expired.pem", &expired), write(&net, "expired.key", &expired_key));
    let encrypted = write(
        &net,
        "encrypted.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let open = write(&net, "open.key", &std::fs::read_to_string(net.path("server.key")).unwrap());
    let mode = |path: &str, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    mode(&open, 0o644);
    for (options, expected) in [
        ("eof=lax".to_owned(), "to try it out, self_signed=true".to_owned()),
        (format!("cert={cert}"), "cert= has 1 files and key= has 0".to_owned()),
        (format!("cert={cert},{other}&key={key}"), "cert= has 2 files and key= has 1".to_owned()),
        (format!("cert=/nowhere.pem&key={key}"), "cert=/nowhere.pem: No such file".to_owned()),
        (format!("cert={cert}&key=/nowhere.key"), "key=/nowhere.key: No such file".to_owned()),
        (format!("cert={text}&key={key}"), format!("cert={text}: there is no certificate in it")),
        (format!("cert={broken}&key={key}"), format!("cert={broken}")),
        (format!("cert={cert}&key={text}"), format!("key={text}: there is no private key in it")),
        (format!("cert={cert}&key={cert}"), format!("key={cert}: there is no private key in it")),
        (format!("cert={key}&key={key}"), format!("cert={key}: there is no certificate in it")),
        (format!("cert={cert}&key={encrypted}"), format!("key={encrypted}: the private key is encrypted")),
        (format!("cert={cert}&key={other_key}"), "the private key is of another certificate".to_owned()),
        (
            format!("cert={expired}&key={expired_key}"),
            format!("cert={expired}: it has expired, it was valid until 2020-"),
        ),
        (format!("cert={cert}&key={open}"), format!("chmod 640 {open}")),
        (format!("cert={cert}&key={key}&client_ca={text}"), format!("client_ca={text}: there is no certificate in it")),
        (format!("cert={cert}&key={key}&client_auth=require"), "needs client_ca=".to_owned()),
        (format!("cert={cert}&key={key}&self_signed=true"), "leave out".to_owned()),
        ("self_signed=true&min_version=1.1".to_owned(), "write 1.2 or 1.3".to_owned()),
        ("self_signed=true&alpn=a,,b".to_owned(), "option alpn=a,,b".to_owned()),
    ] {
        let endpoint = format!("tls+mem:bad?{options}");
        let error = net.registry.bind(&endpoint.parse().unwrap()).await.map(drop).unwrap_err().to_string();
        assert!(error.starts_with("bind tls+mem:bad") && error.contains(&expected), "{options}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    for file_mode in [0o600, 0o640, 0o400] {
        mode(&open, file_mode);
        net.serve(&format!("cert={cert}&key={open}")).await;
    }
    mode(&open, 0o644);
    net.serve(&format!("cert={cert}&key={open}&key_mode=any")).await;

    let place = net.serve(&format!("cert={cert}&key={key}")).await;
    for (options, expected) in [
        ("ca=/nowhere.pem", "ca=/nowhere.pem: No such file"),
        ("pin=sha256:short", "option pin=sha256:short: write sha256: and the hash"),
        ("server_name=a%20b", "write a DNS name or an IP address"),
        ("cert=/a", "cert= needs key="),
    ] {
        let error = net.client(&format!("{place}?{options}")).await.unwrap_err();
        assert!(error.starts_with(&format!("connect {place}")) && error.contains(expected), "{options}: {error}");
    }
}
