//! The admin endpoint over real sockets: a blocking client on the thread of the only other runtime.

use std::future::IntoFuture as _;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use swapwire::admin::{Admin, BoundAdmin, ReloadError, RunningAdmin, ServerSource, Source, Status};
use swapwire::{Endpoint, Limits, Listen, async_trait, default_registry, handler_fn};

/// Nothing here takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

struct Shown;

#[async_trait]
impl Source for Shown {
    fn metrics(&self) -> String {
        "# TYPE up gauge\nup 1\n".to_owned()
    }

    fn status(&self) -> Status {
        Status::default()
    }

    async fn reload(&self) -> Result<String, ReloadError> {
        Ok("nothing changed".to_owned())
    }
}

fn start(endpoint: &str, expose: bool) -> Result<RunningAdmin, String> {
    start_of(Shown, endpoint, expose)
}

/// It runs when the runtime that bound it is gone.
fn start_of(source: impl Source, endpoint: &str, expose: bool) -> Result<RunningAdmin, String> {
    let endpoint: Endpoint = endpoint.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bound = runtime.block_on(Admin::new().expose(expose).bind(&default_registry(), &endpoint, source));
    bound.and_then(BoundAdmin::start).map_err(|error| error.to_string())
}

fn talk(mut io: impl Read + Write, request: &str) -> String {
    io.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    io.read_to_string(&mut answer).unwrap();
    answer
}

fn tcp(place: &str) -> TcpStream {
    let io = TcpStream::connect(place).unwrap();
    io.set_read_timeout(Some(PATIENCE)).unwrap();
    io
}

fn unix(path: &Path) -> UnixStream {
    let io = UnixStream::connect(path).unwrap();
    io.set_read_timeout(Some(PATIENCE)).unwrap();
    io
}

fn place(running: &RunningAdmin) -> String {
    running.local_endpoints()[0].to_string().strip_prefix("tcp://").unwrap().to_owned()
}

const GET: &str = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
const POST: &str = "POST /reload HTTP/1.1\r\nHost: localhost\r\n\r\n";
const POST_BY_SAYING_SO: &str = "POST /reload HTTP/1.1\r\nHost: localhost\r\nX-Swapwire: reload\r\n\r\n";

fn is(answer: &str, status: u16) -> bool {
    answer.starts_with(&format!("HTTP/1.1 {status} "))
}

#[test]
fn a_unix_socket_is_for_its_user_and_may_reload() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let running = start(&format!("unix:{}", path.display()), false).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(talk(unix(&path), GET).ends_with("\r\n\r\n# TYPE up gauge\nup 1\n"));
    assert!(talk(unix(&path), POST).ends_with("\r\n\r\nnothing changed\n"));
    let taken = start(&format!("unix:{}", path.display()), false).unwrap_err();
    assert!(taken.starts_with("admin: bind unix:") && taken.contains("another server is listening there"), "{taken}");
    // Who cleans up takes it away; it comes back.
    std::fs::remove_file(&path).unwrap();
    let end = Instant::now() + PATIENCE;
    while !std::fs::symlink_metadata(&path).is_ok_and(|file| file.file_type().is_socket()) {
        assert!(Instant::now() < end, "the socket was not made again");
        std::thread::yield_now();
    }
    assert!(is(&talk(unix(&path), GET), 200));
    drop(running);
    assert!(!path.exists());
}

#[test]
fn loopback_reloads_by_a_header_that_no_page_sends() {
    let running = start("tcp://localhost:0", false).unwrap();
    let addresses =
        ("localhost", 0).to_socket_addrs().unwrap().map(|addr| addr.ip()).collect::<std::collections::HashSet<_>>();
    assert!((1..=addresses.len()).contains(&running.local_endpoints().len()));
    for local in running.local_endpoints() {
        let place = local.to_string();
        let place = place.strip_prefix("tcp://").unwrap();
        assert!(is(&talk(tcp(place), GET), 200));
        assert!(is(&talk(tcp(place), POST), 403));
        assert!(is(&talk(tcp(place), POST_BY_SAYING_SO), 200));
    }
}

#[test]
fn an_exposed_address_is_read_only() {
    for endpoint in ["tcp://0.0.0.0:0", "tcp://[::]:0"] {
        let refused = start(endpoint, false).unwrap_err();
        assert!(refused.contains("expose = true"), "{refused}");
    }
    let running = start("tcp://0.0.0.0:0", true).unwrap();
    let place = place(&running).replace("0.0.0.0", "127.0.0.1");
    assert!(is(&talk(tcp(&place), GET), 200));
    assert!(is(&talk(tcp(&place), &GET.replace("localhost", &place)), 200));
    assert!(is(&talk(tcp(&place), &GET.replace("localhost", "rebound.example")), 403));
    assert!(is(&talk(tcp(&place), POST_BY_SAYING_SO), 405));
}

#[test]
fn curl_reads_and_reloads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let _running = start(&format!("unix:{}", path.display()), false).unwrap();
    let curl = |args: &[&str]| {
        let mut command = std::process::Command::new("curl");
        command.args(["--silent", "--show-error", "--fail", "--max-time", "60", "--unix-socket"]).arg(&path).args(args);
        command.output()
    };
    let Ok(read) = curl(&["http://localhost/metrics"]) else {
        eprintln!("skipped: no curl on this machine");
        return;
    };
    assert_eq!(String::from_utf8_lossy(&read.stdout), "# TYPE up gauge\nup 1\n", "{read:?}");
    for how in [&["-X", "POST"][..], &["-d", ""]] {
        let reloaded = curl(&[how, &["http://localhost/reload"]].concat()).unwrap();
        assert_eq!(String::from_utf8_lossy(&reloaded.stdout), "nothing changed\n", "{reloaded:?}");
    }
}

fn json(place: &str) -> Value {
    let answer = talk(tcp(place), &GET.replace("/metrics", "/status"));
    assert!(is(&answer, 200), "{answer}");
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// The value of the one series that begins so.
fn metric(place: &str, series: &str) -> Option<f64> {
    let text = talk(tcp(place), GET);
    let mut found = text.lines().filter_map(|line| line.strip_prefix(series)?.trim().parse().ok());
    found.next()
}

#[test]
fn a_server_is_seen_while_every_worker_is_blocked() {
    // Each call tells that it began, and then blocks its thread until it may go on.
    let (began, begins) = sync_channel(2);
    let (go_on, may_go_on) = sync_channel::<()>(2);
    let may_go_on = Mutex::new(may_go_on);
    let blocks = handler_fn(move |request, reply| {
        began.send(()).unwrap();
        may_go_on.lock().unwrap().recv().unwrap();
        Ok(reply.send(request.message())?)
    });
    let limits = Limits::default().max_connections(77);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // Each is bound once, so that each of the workers has one.
    let listen = |name: &str| Listen::on(format!("unix-dgram:{}", path(name).display())).named(name);
    let server = swapwire::server().workers(2).handler(blocks).limits(limits.clone());
    let server = server.listen(listen("one")).listen(listen("two"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(server.bind()).unwrap();
    let source = ServerSource::new(server.handle()).limits(&limits);
    let admin = start_of(source.clone(), "tcp://127.0.0.1:0", false).unwrap();
    let place = place(&admin);
    let handle = server.handle();
    let serves = std::thread::spawn(move || runtime.block_on(server.into_future()));

    let client = UnixDatagram::bind(path("client")).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    for name in ["one", "two"] {
        client.send_to(name.as_bytes(), path(name)).unwrap();
        begins.recv_timeout(PATIENCE).unwrap();
    }
    // Both are blocked now.
    for path in ["/", "/metrics", "/livez", "/readyz"] {
        assert!(is(&talk(tcp(&place), &GET.replace("/metrics", path)), 200), "{path}");
    }
    let status = json(&place);
    assert_eq!((&status["workers"], &status["not_ready"], &status["drain"]), (&2.into(), &Value::Null, &"none".into()));
    assert_eq!(status["limits"]["max_connections"], "77");
    let names: Vec<_> =
        status["listeners"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["one", "two"]);
    assert_eq!(
        (metric(&place, "swapwire_connections_limit "), metric(&place, "swapwire_draining ")),
        (Some(77.0), Some(0.0))
    );
    for _ in 0..2 {
        go_on.send(()).unwrap();
        client.recv(&mut [0; 10]).unwrap();
    }
    let one = |status: &Value| status["listeners"][0].clone();
    let end = Instant::now() + PATIENCE;
    while one(&json(&place))["sent"] != serde_json::json!({ "messages": 1, "bytes": 3 }) {
        assert!(Instant::now() < end, "{:?}", one(&json(&place)));
    }
    let counted = one(&json(&place));
    assert_eq!((&counted["received"]["messages"], &counted["received"]["bytes"]), (&1.into(), &3.into()));
    assert_eq!(
        (&counted["sent"]["bytes"], &counted["dropped"], &counted["is_healthy"]),
        (&3.into(), &0.into(), &true.into())
    );

    // First it says so, then it drains.
    let readyz = || talk(tcp(&place), &GET.replace("/metrics", "/readyz"));
    assert!(is(&readyz(), 200));
    source.ends_soon();
    assert!(is(&readyz(), 503) && readyz().ends_with("the drain begins soon\n"));
    assert_eq!((&json(&place)["drain"], metric(&place, "swapwire_draining ")), (&"delayed".into(), Some(0.0)));
    handle.stop();
    assert!(serves.join().unwrap().is_clean());
    assert!(is(&readyz(), 503) && readyz().ends_with("the server drains\n"));
    assert_eq!((&json(&place)["drain"], metric(&place, "swapwire_draining ")), (&"running".into(), Some(1.0)));
    assert!(is(&talk(tcp(&place), &GET.replace("/metrics", "/livez")), 200));
}

#[test]
fn reloads_are_told_whoever_asked_for_them() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = swapwire::server().listen("mem:echo").handler(swapwire::handlers::Echo);
    let server = runtime.block_on(server.bind()).unwrap();
    let outcomes = Arc::new(Mutex::new(vec![
        Err("swapwire.toml:3:1: unknown key \"handlr\"".to_owned()),
        Ok("front changed".to_owned()),
    ]));
    let source = ServerSource::new(server.handle()).reload_by(move || {
        let outcome = outcomes.lock().unwrap().pop().unwrap();
        async move { outcome }
    });
    let admin = start_of(source.clone(), "tcp://127.0.0.1:0", false).unwrap();
    let place = place(&admin);
    let reloads = || {
        let [total, successful] = ["reloads_total ", "last_reload_successful "]
            .map(|name| metric(&place, &format!("swapwire_config_{name}")).unwrap() as u64);
        (total, successful)
    };
    let read = || metric(&place, "swapwire_config_last_reload_timestamp_seconds ").unwrap();
    let began = read();
    assert!(began > 1.7e9, "{began}");
    assert_eq!((reloads(), &json(&place)["reload"]["is_possible"]), ((0, 1), &true.into()));
    assert!(is(&talk(tcp(&place), POST_BY_SAYING_SO), 200));
    assert_eq!(reloads(), (1, 1));
    let changed = read();
    assert!(changed > began);
    let refused = talk(tcp(&place), POST_BY_SAYING_SO);
    assert!(is(&refused, 500) && refused.ends_with("\r\n\r\nswapwire.toml:3:1: unknown key \"handlr\"\n"), "{refused}");
    assert_eq!((reloads(), read()), ((2, 0), changed));
    assert_eq!(json(&place)["reload"]["last"], "swapwire.toml:3:1: unknown key \"handlr\"");
    // By a signal.
    source.note_reload(&Ok("nothing changed".to_owned()));
    let reload = &json(&place)["reload"];
    assert_eq!((reloads(), &reload["succeeded"], &reload["last_succeeded"]), ((3, 1), &2.into(), &true.into()));
}
