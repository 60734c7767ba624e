//! The admin endpoint over real sockets: a blocking client on the thread of the only other runtime.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use swapwire::{Endpoint, async_trait, default_registry};
use swapwire_admin::{Admin, RunningAdmin, Source, Status};

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

    async fn reload(&self) -> Result<String, swapwire_admin::ReloadError> {
        Ok("nothing changed".to_owned())
    }
}

/// It runs when the runtime that bound it is gone.
fn start(endpoint: &str, expose: bool) -> Result<RunningAdmin, String> {
    let endpoint: Endpoint = endpoint.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bound = runtime.block_on(Admin::new(Shown).expose(expose).bind(&default_registry(), &endpoint));
    bound.and_then(swapwire_admin::BoundAdmin::start).map_err(|error| error.to_string())
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
