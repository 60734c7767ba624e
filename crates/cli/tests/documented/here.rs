//! What stands in for the ports, paths, hosts and times of the documents.

use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::{env, fs};

use tempfile::TempDir;

use super::broker::Broker;
use super::common::{Running, Serving, run, start};

/// What is replaced in every line, in this order. Words that begin with `$` are set for the shell.
const REPLACED: &[(&str, &str)] = &[
    // Servers: any free port, any free path.
    ("serve tcp://0.0.0.0:8888 udp://0.0.0.0:8888", "serve tcp://127.0.0.1:0 udp://127.0.0.1:0"),
    ("serve 'tcp://0.0.0.0:8888", "serve 'tcp://127.0.0.1:0"),
    ("serve tcp://0.0.0.0:8888", "serve tcp://127.0.0.1:0"),
    ("serve tcp://127.0.0.1:8888 udp://127.0.0.1:8888", "serve tcp://127.0.0.1:0 udp://127.0.0.1:0"),
    ("serve tcp://127.0.0.1:8888", "serve tcp://127.0.0.1:0"),
    ("serve 'tcp://127.0.0.1:8888", "serve 'tcp://127.0.0.1:0"),
    ("serve udp://127.0.0.1:8888", "serve udp://127.0.0.1:0"),
    ("serve tcp://127.0.0.1:8801", "serve tcp://127.0.0.1:0"),
    ("serve tcp://127.0.0.1:8802", "serve tcp://127.0.0.1:0"),
    ("serve tcp://127.0.0.1:8803", "serve tcp://127.0.0.1:0"),
    ("serve tcp://127.0.0.1:13", "serve tcp://127.0.0.1:0"),
    ("serve 'tls://127.0.0.1:8443?self_signed", "serve 'tls://127.0.0.1:0?self_signed"),
    // Its files are the operator's.
    ("serve 'tls://0.0.0.0:8443?cert=cert.pem&key=key.pem", "serve 'tls://127.0.0.1:0?self_signed=true"),
    ("serve 'tls:/run/x.sock", "serve 'tls:./tls.sock"),
    ("serve ws://127.0.0.1:8080 tcp://127.0.0.1:8888", "serve ws://127.0.0.1:0 tcp://127.0.0.1:0"),
    ("serve --handler chat 'ws://127.0.0.1:8080'", "serve --handler chat 'ws://127.0.0.1:0'"),
    ("serve 'wss://0.0.0.0:8443/chat?cert=cert.pem&key=key.pem", "serve 'wss://127.0.0.1:0/chat?self_signed=true"),
    ("serve 'proxy+tcp://127.0.0.1:8080", "serve 'proxy+tcp://127.0.0.1:0"),
    ("udp://127.0.0.1:8888 unix:/run/user/1000/echo.sock", "udp://127.0.0.1:0 unix:./echo.sock"),
    ("unix:/run/user/1000/echo.sock", "unix:./echo.sock"),
    ("sleep 60 |", "printf '' |"),
    ("--admin-listen tcp://127.0.0.1:9090", "--admin-listen=tcp://127.0.0.1:0"),
    ("--drain-delay 5s", "--drain-delay 5ms"),
    ("--drain-delay 2s", "--drain-delay 2ms"),
    // A broker that was started for them; its others and its files are the operator's.
    (
        "serve --handler uppercase-echo 'nats://127.0.0.1:4222/upper?queue=workers'",
        "serve \"nats:$NATS?queue=workers\"",
    ),
    (
        "'nats://n1.example/upper?queue=workers&servers=n2.example,n3.example&tls=true&creds=/etc/upper.creds'",
        "\"nats:$NATS?queue=workers\"",
    ),
    ("connect 'nats://127.0.0.1:4222/upper'", "connect \"nats:$NATS\""),
    // Clients: servers that were started for them.
    ("'tls://example.org:8443?ca=ca.pem'", "\"$TLS\""),
    ("'proxy+tcp://127.0.0.1:8080?client=192.0.2.1:1234'", "\"$PROXY?client=192.0.2.1:1234\""),
    ("connect ws://127.0.0.1:8080", "connect $WS"),
    ("connect 'ws://127.0.0.1:8080'", "connect \"$WS\""),
    ("tcp://10.0.0.7:9000", "$TCP_ECHO"),
    ("tcp://127.0.0.1:8888 unix:/run/echo.sock --expect echo", "$TCP_ECHO $UNIX_ECHO --expect echo"),
    ("tcp://127.0.0.1:8888 --expect echo", "$TCP_ECHO --expect echo"),
    ("tcp://127.0.0.1:7 ", "$TCP_ECHO "),
    ("--server-pid 1", "--server-pid $PID_ECHO"),
    ("tcp://127.0.0.1:13", "$DAYTIME"),
    ("tcp://127.0.0.1:80 ", "$TCP "),
    ("tcp://127.0.0.1:8888", "$TCP"),
    ("udp://127.0.0.1:8888", "$UDP"),
    ("unix:@upper --framing length", "$LENGTH --framing length"),
    ("unix:/run/x.sock", "$UNIX"),
    ("unix:/run/user/1000/swapwire.sock", "$UNIX"),
    ("UNIX-CONNECT:/run/user/1000/swapwire.sock", "UNIX-CONNECT:$UNIX_PATH"),
    ("nc -N 127.0.0.1 8888", "nc -N 127.0.0.1 $TCP_PORT"),
    ("UDP:127.0.0.1:8888", "UDP:127.0.0.1:$UDP_PORT"),
    ("tcp://127.0.0.1:8801", "$TCP"),
    ("tcp://127.0.0.1:8802", "$TCP"),
    ("tcp://127.0.0.1:8803", "$TCP"),
    ("--server-pid $old", "--server-pid $PID"),
    ("--server-pid $new", "--server-pid $PID"),
    ("$load", "-c 1 --quiet"),
    ("-n $n", "-n 200"),
    // Processors that not every machine has.
    ("--pin 1", "--pin 0"),
    ("-d 10s", "-d 300ms"),
    ("-d 5s", "-d 300ms"),
    ("--rounds 10", "--rounds 1"),
    ("--rounds 20", "--rounds 1"),
    ("~/.local/share/bash-completion/completions/", ""),
    ("~/.zfunc/", ""),
    ("~/.config/fish/completions/", ""),
];

/// The command in a line of a document: others stand for it, and what only the document's session needs is cut off.
pub(crate) fn as_command(line: &str) -> String {
    let mut line = line.replace("cargo run --release -- ", "swapwire ");
    for before in ["./old ", "./new ", "taskset -c 0 "] {
        line = line.replace(before, if before.starts_with("./") { "swapwire " } else { "" });
    }
    line.split(" & ").next().unwrap_or_default().trim_end_matches(" &").to_owned()
}

/// What is in a line that cannot stand in a test: a port, an absolute path, or a length of time.
pub(crate) fn left_over(line: &str) -> Option<String> {
    let mut words = line.split([' ', '\'']).filter(|word| !word.is_empty()).peekable();
    while let Some(word) = words.next() {
        let port = word.split_once("://").and_then(|(_, place)| place.rsplit_once(':'));
        if port.is_some_and(|(_, port)| !port.starts_with('0')) {
            return Some(format!("the port of {word}"));
        }
        let path = word.split_once(':').map_or(word, |(_, path)| path);
        if path.starts_with('/') && !path.starts_with("//") && path != "/dev/null" && !line.contains("'GET /") {
            return Some(format!("the path in {word}"));
        }
        let waits = ["-d", "--duration", "sleep"].contains(&word);
        if let Some(time) = words.peek().filter(|time| waits && !time.ends_with("ms")) {
            return Some(format!("{word} {time}"));
        }
    }
    None
}

/// A folder with what the lines need, and servers beside it.
pub(crate) struct Here {
    folder: TempDir,
    variables: Vec<(&'static str, String)>,
    _servers: Vec<Serving>,
    broker: Option<Broker>,
}

impl Here {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| format!("unix:{}", folder.path().join(name).display());
        let wires = |name: &str| ["tcp://127.0.0.1:0".to_owned(), "udp://127.0.0.1:0".to_owned(), at(name)];
        let start = |places: &[String], flags: &[&str]| {
            let args: Vec<&str> = places.iter().map(String::as_str).chain(flags.iter().copied()).collect();
            Serving::start(places.len(), &[&args[..], &["--workers", "1"]].concat())
        };
        let upper = start(&wires("upper"), &[]);
        let echo = start(&wires("echo"), &["--handler", "echo"]);
        let daytime = start(&wires("daytime")[..1], &["--handler", "daytime"]);
        let length = start(&[at("length")], &["--framing", "length"]);
        let stacks = [
            "ws+tcp://127.0.0.1:0",
            "tls+tcp://127.0.0.1:0?self_signed=true",
            "proxy+tcp://127.0.0.1:0?trust=127.0.0.0/8",
        ];
        let broker = Broker::start("");
        let subject = broker.as_ref().map(|broker| broker.endpoint("upper"));
        let asked = subject.as_ref().map(|subject| start(&[format!("{subject}?queue=workers")], &[]));
        let layers = start(&stacks.map(str::to_owned), &[]);
        let variables = vec![
            ("TCP", upper.endpoints[0].clone()),
            ("TCP_PORT", upper.endpoints[0].rsplit_once(':').unwrap().1.to_owned()),
            ("UDP", upper.endpoints[1].clone()),
            ("UDP_PORT", upper.endpoints[1].rsplit_once(':').unwrap().1.to_owned()),
            ("UNIX", upper.endpoints[2].clone()),
            ("UNIX_PATH", upper.endpoints[2].strip_prefix("unix:").unwrap().to_owned()),
            ("PID", upper.pid().to_string()),
            ("TCP_ECHO", echo.endpoints[0].clone()),
            ("UNIX_ECHO", echo.endpoints[2].clone()),
            ("PID_ECHO", echo.pid().to_string()),
            ("DAYTIME", daytime.endpoints[0].clone()),
            ("LENGTH", length.endpoints[0].clone()),
            ("WS", layers.endpoints[0].clone()),
            ("TLS", layers.endpoints[1].clone()),
            ("PROXY", layers.endpoints[2].clone()),
            ("NATS", subject.unwrap_or_default().trim_start_matches("nats:").to_owned()),
        ];
        fs::write(folder.path().join("swapwire.toml"), "[[listen]]\nendpoint = \"tcp://127.0.0.1:0\"\n").unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        symlink(env!("CARGO_BIN_EXE_swapwire"), folder.path().join("bin/swapwire")).unwrap();
        let run_of = |name: &str| {
            let path = folder.path().join(name);
            let quick = ["-c", "1", "-n", "200", "--warmup", "5ms", "--rounds", "3", "--quiet", "--json"];
            let said = run(&[&["bench", "mem"], &quick[..], &[path.to_str().unwrap()]].concat(), "");
            assert_eq!(said.code, Some(0), "{said:?}");
            path
        };
        let first = run_of("run.json");
        for name in ["before.json", "after.json", "old-1.json", "old-2.json", "new.json"] {
            fs::copy(&first, folder.path().join(name)).unwrap();
        }
        let servers = [upper, echo, daytime, length, layers].into_iter().chain(asked).collect();
        Self { folder, variables, _servers: servers, broker }
    }

    /// Whether there is a broker of NATS; if not, its lines are left out.
    pub(crate) const fn has_broker(&self) -> bool {
        self.broker.is_some()
    }

    /// The line as it can run here.
    pub(crate) fn replace(&self, line: &str) -> String {
        let mut line = line.to_owned();
        for (before, after) in REPLACED {
            line = line.replace(before, after);
        }
        if line.contains("swapwire bench") && !line.contains("--help") {
            for (flags, quick) in [
                (&["-n ", "-d "][..], " -d 300ms"),
                (&["--rounds", "--find-max"], " --rounds 1"),
                (&["--warmup"], " --warmup 5ms"),
            ] {
                if !flags.iter().any(|flag| line.contains(flag)) {
                    line.push_str(quick);
                }
            }
        }
        line
    }

    /// Runs a line by the shell, in the folder.
    pub(crate) fn spawn(&self, line: &str) -> Running {
        let path = format!("{}/bin:{}", self.folder.path().display(), env::var("PATH").unwrap());
        let mut command = Command::new("sh");
        command
            .args(["-c", line])
            .current_dir(self.folder.path())
            .env("PATH", path)
            .env_remove("SWAPWIRE_LOG")
            .env("XDG_RUNTIME_DIR", self.folder.path())
            .env("XDG_STATE_HOME", self.folder.path())
            .envs(self.variables.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        start(&mut command)
    }
}
