//! What is asked gets the answer that it should.

use swapwire_core::Endpoint;

use super::{Served, Shown, body, code};
use crate::access::{Access, Reach};
use crate::request::Asked;
use crate::routes::Routes;
use crate::tests::Inner;

#[tokio::test(start_paused = true)]
async fn every_path_has_its_answer() {
    let served = Served::new(Shown(Inner { metrics: "up 1\n".to_owned(), ..Inner::default() }.into())).await;
    for (path, kind, part) in [
        ("/", "text/html; charset=utf-8", "<h1>swapwire</h1>"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8", "up 1\n"),
        ("/metrics?name[]=up", "text/plain; version=0.0.4; charset=utf-8", "up 1\n"),
        ("/livez", "text/plain; charset=utf-8", "ok\n"),
        ("/readyz", "text/plain; charset=utf-8", "ready\n"),
        ("/status", "application/json", "\"version\":\"1.2.3\""),
        ("http://localhost/livez", "text/plain; charset=utf-8", "ok\n"),
        ("http://localhost", "text/html; charset=utf-8", "<h1>swapwire</h1>"),
    ] {
        let answer = served.get(path).await;
        let head = answer.split("\r\n\r\n").next().unwrap();
        assert_eq!(code(&answer), "200", "{path}: {answer}");
        assert!(
            head.contains(&format!("Content-Type: {kind}\r\n")) && body(&answer).contains(part),
            "{path}: {answer}"
        );
        assert!(head.contains(&format!("Content-Length: {}\r\n", body(&answer).len())), "{path}: {head}");
        assert!(head.contains("\r\nConnection: close\r\n") && head.contains("default-src 'none'"), "{path}: {head}");
        assert!(head.contains("frame-ancestors 'none'") && !head.contains("unsafe"), "{path}: {head}");
    }
    for (method, path, status, allow) in [
        ("GET", "/nothing", "404", ""),
        ("GET", "//livez", "404", ""),
        ("GET", "/LIVEZ", "404", ""),
        ("GET", "*", "404", ""),
        ("HEAD", "/livez", "405", "Allow: GET\r\n"),
        ("POST", "/metrics", "405", "Allow: GET\r\n"),
        ("DELETE", "/status", "405", "Allow: GET\r\n"),
        ("GET", "/reload", "405", "Allow: POST\r\n"),
        ("POST", "/nothing", "404", ""),
    ] {
        let answer = served.ask(&format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
        assert_eq!(code(&answer), status, "{method} {path}: {answer}");
        assert!(answer.contains(allow), "{method} {path}: {answer}");
        assert_eq!(body(&answer).matches('\n').count(), 1, "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_ready_says_why() {
    let reason = "the listener front does not accept".to_owned();
    let served = Served::new(Shown(Inner { not_ready: Some(reason), ..Inner::default() }.into())).await;
    let answer = served.get("/readyz").await;
    assert_eq!((code(&answer), body(&answer)), ("503", "the listener front does not accept\n"));
    assert_eq!(code(&served.get("/livez").await), "200");
}

#[tokio::test(start_paused = true)]
async fn status_is_json_whatever_the_names_are() {
    let served = Served::new(Shown::default()).await;
    let status: serde_json::Value = serde_json::from_str(body(&served.get("/status").await)).unwrap();
    assert_eq!(status["uptime_seconds"], 1.5);
    assert_eq!((&status["not_ready"], &status["drain"]), (&serde_json::Value::Null, &"none".into()));
    assert_eq!(status["limits"]["max_message"], "64KiB");
    let front = &status["listeners"][0];
    assert_eq!((&front["name"], &front["is_healthy"]), (&"front \"door\"".into(), &true.into()));
    assert_eq!((&front["received"]["bytes"], &front["counters"]["done"]), (&u64::MAX.into(), &3.into()));
    assert_eq!(status["reload"]["last_succeeded"], serde_json::Value::Null);
}

#[tokio::test(start_paused = true)]
async fn pages_of_others_and_strange_names_are_refused() {
    let served = Served::new(Shown::default()).await;
    for (headers, status) in [
        ("Host: localhost", "200"),
        ("Host: LOCALHOST:9090", "200"),
        ("Host: 127.0.0.1:9090", "200"),
        ("Host: [::1]:9090", "200"),
        ("Host: [::1]", "200"),
        ("Host: 192.0.2.7", "200"),
        ("Host: ops.example", "200"),
        ("Host: Ops.Example:9090", "200"),
        ("host:localhost", "200"),
        // A name of another's, which may lead here.
        ("Host: evil.example:9090", "403"),
        ("Host: localhost.evil.example", "403"),
        ("Host: xops.example", "403"),
        ("Host: 127.0.0.1.evil.example", "403"),
        ("Host: [::1].evil.example", "403"),
        ("Host: ", "400"),
        ("Host: :80", "400"),
        ("Host: localhost:x", "400"),
        ("Host: localhost:99999", "400"),
        ("X: y", "400"),
        ("Host: localhost\r\nHost: localhost", "400"),
        ("Host: localhost\r\nHost: evil.example", "400"),
        // Pages.
        ("Host: localhost:9090\r\nOrigin: http://localhost:9090", "200"),
        ("Host: 127.0.0.1\r\nOrigin: http://127.0.0.1:80", "200"),
        ("Host: 127.0.0.1:443\r\nOrigin: https://127.0.0.1", "200"),
        ("Host: localhost:9090\r\nOrigin: http://localhost:8080", "403"),
        ("Host: localhost:9090\r\nOrigin: http://127.0.0.1:9090", "403"),
        ("Host: localhost:9090\r\nOrigin: http://evil.example", "403"),
        ("Host: localhost:9090\r\nOrigin: http://evil.example:9090", "403"),
        ("Host: evil.example\r\nOrigin: http://evil.example", "403"),
        ("Host: localhost\r\nOrigin: null", "403"),
        ("Host: localhost\r\nOrigin: ", "403"),
        ("Host: localhost\r\nOrigin: file://localhost", "403"),
        ("Host: localhost\r\nOrigin: http://localhost\r\nOrigin: http://localhost", "400"),
        ("Host: localhost\r\nOrigin: http://\u{e4}", "403"),
        // Bodies.
        ("Host: localhost\r\nContent-Length: 0", "200"),
        ("Host: localhost\r\nContent-Length: 1", "400"),
        ("Host: localhost\r\nContent-Length: 0\r\nContent-Length: 0", "400"),
        ("Host: localhost\r\nTransfer-Encoding: chunked", "400"),
    ] {
        let answer = served.ask(&format!("GET /livez HTTP/1.1\r\n{headers}\r\n\r\n")).await;
        assert_eq!(code(&answer), status, "{headers}: {answer}");
        assert_eq!(body(&answer).matches('\n').count(), 1, "{answer}");
    }
    // Load balancers say no host.
    assert_eq!(code(&served.ask("GET /readyz HTTP/1.0\r\n\r\n").await), "200");
    assert_eq!(code(&served.ask("GET /readyz HTTP/1.0\r\nOrigin: http://evil.example\r\n\r\n").await), "403");
    // The absolute form's host counts.
    let absolute = "GET http://evil.example/livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(code(&served.ask(absolute).await), "403");
}

#[tokio::test(start_paused = true)]
async fn a_reload_is_for_those_who_may() {
    for (reach, expose, headers, status) in [
        (Reach::Own, false, "", "200"),
        (Reach::Own, false, "X-Swapwire: other\r\n", "200"),
        (Reach::Loopback, false, "", "403"),
        (Reach::Loopback, false, "X-Swapwire: Reload\r\n", "403"),
        (Reach::Loopback, false, "X-Swapwire: reload\r\n", "200"),
        (Reach::Loopback, true, "x-swapwire:reload\r\n", "200"),
        (Reach::Loopback, false, "X-Swapwire: reload\r\nOrigin: http://localhost\r\n", "200"),
        (Reach::Loopback, false, "X-Swapwire: reload\r\nOrigin: http://evil.example\r\n", "403"),
        (Reach::Loopback, false, "X-Swapwire: reload\r\nX-Swapwire: reload\r\n", "400"),
        (Reach::Network, true, "X-Swapwire: reload\r\n", "405"),
        // A proxy on loopback has a client elsewhere.
        (Reach::Network, false, "X-Swapwire: reload\r\n", "403"),
    ] {
        let shown = Shown::default();
        let routes = Routes::new(Box::new(shown.clone()), Access { hosts: Vec::new(), expose });
        let head = format!("POST /reload HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        let mut parsed = [httparse::EMPTY_HEADER; 8];
        let mut request = httparse::Request::new(&mut parsed);
        assert!(request.parse(head.as_bytes()).unwrap().is_complete());
        let answer = match Asked::read(&request) {
            Ok(asked) => routes.answer(&asked, reach).await,
            Err(answer) => answer,
        };
        assert_eq!(&answer.status[..3], status, "{reach:?} {headers}: {answer:?}");
        let reloads = usize::from(status == "200");
        assert_eq!(shown.0.ended.load(std::sync::atomic::Ordering::Relaxed), reloads, "{reach:?} {headers}");
    }
}

#[test]
fn an_endpoint_is_reached_by_whom_it_should() {
    for (text, expose, expected) in [
        ("unix:/run/admin.sock", false, Some(Some(Reach::Own))),
        ("unix:@admin", false, None),
        ("unix:@admin?allow_uid=self", false, Some(Some(Reach::Own))),
        ("unix:@admin?allow_gid=0", false, Some(Some(Reach::Own))),
        ("mem:admin", false, Some(Some(Reach::Own))),
        ("tcp://127.0.0.1:9090", false, Some(Some(Reach::Loopback))),
        ("tcp://127.8.8.8:9090", true, Some(Some(Reach::Loopback))),
        ("tcp://[::1]:9090", false, Some(Some(Reach::Loopback))),
        ("tcp://[::ffff:127.0.0.1]:9090", false, Some(Some(Reach::Loopback))),
        ("tcp://0.0.0.0:9090", false, None),
        ("tcp://[::]:9090", false, None),
        ("tcp://192.0.2.1:9090", false, None),
        ("tcp://[fe80::1%1]:9090", false, None),
        ("tcp://0.0.0.0:9090", true, Some(Some(Reach::Network))),
        ("tcp://[fe80::1%1]:9090", true, Some(Some(Reach::Network))),
        // Not known before it is looked up.
        ("tcp://localhost:9090", false, Some(None)),
    ] {
        let endpoint: Endpoint = text.parse().unwrap();
        assert_eq!(Reach::checked(&endpoint, &endpoint, expose).ok(), expected, "{text} {expose}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_an_admin_endpoint_is_refused_by_a_line() {
    let registry = swapwire_core::Registry::new().with(swapwire_mem::MemNetwork::new());
    for (text, hosts, part) in [
        ("mem-dgram:admin", "a", "HTTP needs a byte stream"),
        ("mem-seq:admin", "a", "HTTP needs a byte stream"),
        ("tpc://127.0.0.1:1", "a", "unknown scheme \"tpc\""),
        ("mem:admin?mode=600", "a", "unknown option \"mode\""),
        ("mem:admin", "a:1", "write names without a port"),
        ("mem:admin", "", "which is no name of a host"),
    ] {
        let endpoint = text.parse().unwrap();
        let admin = crate::Admin::new().hosts([hosts]);
        let error = admin.check(&registry, &endpoint).await.unwrap_err();
        let told = error.to_string();
        assert_eq!(admin.bind(&registry, &endpoint, Shown::default()).await.unwrap_err().to_string(), told);
        assert!(told.contains(part) && told.starts_with("admin: bind ") && !told.contains('\n'), "{text}: {told}");
        assert!(error.is_configuration(), "{told}");
    }
}
