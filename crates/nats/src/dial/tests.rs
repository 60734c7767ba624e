use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use swapwire_core::{Bound, Listener, UpgradeClient, UpgradeServer, async_trait};
use swapwire_mem::MemNetwork;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::task::JoinHandle;

use super::*;

const INFO: &str = r#"INFO {"server_id":"N1","server_name":"n","version":"2.9.10","headers":true,"max_payload":4096,"nonce":"n0nce","later":{}}"#;

/// What stands for TLS: it says `HI` and is answered `HO`.
struct Hi(AtomicUsize);

#[async_trait]
impl Upgrade for Hi {
    fn name(&self) -> &'static str {
        "hi"
    }

    fn options(&self) -> &[OptionDoc] {
        const {
            &[
                OptionDoc::new("ca", "path", "", Side::Connect),
                OptionDoc::new("key_mode", "text", "", Side::Both),
                OptionDoc::new("server_name", "name", "", Side::Connect),
                OptionDoc::new("reload", "time", "", Side::Bind),
            ]
        }
    }

    async fn server(&self, _: &Endpoint) -> Result<Arc<dyn UpgradeServer>, UpgradeError> {
        Err(UpgradeError::Invalid("no server".to_owned()))
    }

    async fn client(&self, endpoint: &Endpoint) -> Result<Arc<dyn UpgradeClient>, UpgradeError> {
        self.0.fetch_add(1, Relaxed);
        match endpoint.option("ca") {
            Some("missing") => Err(UpgradeError::Unusable("ca=missing: it is missing".to_owned())),
            _ => Ok(Arc::new(HiClient)),
        }
    }
}

struct HiClient;

#[async_trait]
impl UpgradeClient for HiClient {
    async fn connect(&self, mut io: Box<dyn ByteStream>, info: ConnInfo) -> io::Result<Link> {
        io.write_all(b"HI").await?;
        let mut answer = [0; 2];
        io.read_exact(&mut answer).await?;
        if answer != *b"HO" {
            return Err(io::Error::new(ErrorKind::InvalidData, "no HO"));
        }
        Ok(Link::bytes(io, info))
    }
}

/// A network with brokers that say what a test tells them.
struct Network {
    mem: MemNetwork,
    tls: Arc<Hi>,
}

impl Network {
    fn new() -> Self {
        Self { mem: MemNetwork::new(), tls: Arc::new(Hi(AtomicUsize::new(0))) }
    }

    async fn listen(&self, name: &str) -> Box<dyn Listener> {
        let endpoint = format!("mem:{name}").parse().unwrap();
        let Ok(Bound::Listener(listener)) = self.mem.bind(&endpoint).await else { panic!("{endpoint}") };
        listener
    }

    /// Plays the lines of a broker: each is said, but for those that begin with `<`, which must be what comes. Gives what `CONNECT`
    /// said.
    async fn broker(&self, name: &str, script: &str) -> JoinHandle<String> {
        let mut listener = self.listen(name).await;
        let script: Vec<_> = script.lines().map(str::to_owned).collect();
        tokio::spawn(async move {
            let link = listener.accept().await.unwrap().establish().await.unwrap();
            let Link::Bytes { io, .. } = link else { panic!() };
            let mut io = BufReader::new(io);
            let mut said = String::new();
            for line in script {
                match line.strip_prefix('<') {
                    Some("HI") => {
                        let mut hi = [0; 2];
                        io.read_exact(&mut hi).await.unwrap();
                        assert_eq!(hi, *b"HI");
                        io.write_all(b"HO").await.unwrap();
                    }
                    Some(expected) => {
                        let mut line = String::new();
                        io.read_line(&mut line).await.unwrap();
                        assert!(line.starts_with(expected) && line.ends_with("\r\n"), "{line:?}, not {expected}");
                        said.push_str(line.strip_prefix("CONNECT ").unwrap_or(""));
                    }
                    // It may have had enough already.
                    None => drop(io.write_all(format!("{line}\r\n").as_bytes()).await),
                }
            }
            // Until the client is gone.
            let _ = io.read_to_string(&mut String::new()).await;
            said
        })
    }

    fn dialer(&self, text: &str) -> Result<Dialer, UpgradeError> {
        let below = Below {
            base: Arc::new(self.mem.clone()),
            scheme: "mem".to_owned(),
            tls: Some(Arc::clone(&self.tls) as Arc<dyn Upgrade>),
        };
        Dialer::of(below, &text.parse().unwrap())
    }

    async fn dial(&self, text: &str) -> Result<Dialed, DialError> {
        self.dialer(text)?.dial_any(0).await.map(|(_, dialed)| dialed)
    }

    async fn error(&self, text: &str) -> String {
        let error = self.dial(text).await.err().unwrap().of_connect(&text.parse().unwrap()).to_string();
        assert!(!error.contains('\n'), "{error}");
        error
    }
}

const WELCOME: &str = "<CONNECT\n<PING\nPONG";

#[tokio::test]
async fn a_broker_is_told_who_comes_and_what_it_understands() {
    let network = Network::new();
    let broker = network.broker("one", &format!("{INFO}\n{WELCOME}\nMSG a 1 0\n")).await;
    let mut dialed = network.dial("nats:one?path=x&name=me").await.unwrap();
    assert_eq!(
        (dialed.info.max_payload, &*dialed.info.server_id, dialed.info.nonce.as_deref()),
        (4096, "N1", Some("n0nce"))
    );
    assert_eq!(dialed.server.to_string(), "nats:one");
    // What came behind the PONG is the connection's.
    while dialed.unread.len() < 11 {
        dialed.io.read_buf(&mut dialed.unread).await.unwrap();
    }
    assert_eq!(dialed.unread, "MSG a 1 0\r\n");
    drop(dialed);
    let said = broker.await.unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        r#"{{"verbose":false,"pedantic":false,"tls_required":false,"name":"me","lang":"rust","version":"{version}","protocol":1,"echo":true,"headers":true,"no_responders":true}}"#
    );
    assert_eq!(said.trim_end(), expected);
}

#[tokio::test]
async fn a_handshake_takes_its_lines_in_whatever_pieces_they_come() {
    let network = Network::new();
    let mut listener = network.listen("one").await;
    let broker = tokio::spawn(async move {
        let Ok(Link::Bytes { mut io, .. }) = listener.accept().await.unwrap().establish().await else { panic!() };
        for byte in format!("{INFO}\r\n+OK\r\nPING\r\ninfo  {{\"max_payload\":7}}\r\npong\r\n").bytes() {
            io.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut said = String::new();
        io.read_to_string(&mut said).await.unwrap();
        said
    });
    let dialed = network.dial("nats:one?path=x").await.unwrap();
    assert_eq!((dialed.info.max_payload, dialed.unread.len()), (7, 0));
    drop(dialed);
    let said = broker.await.unwrap();
    assert!(said.starts_with("CONNECT {") && said.ends_with("}\r\nPING\r\nPONG\r\n"), "{said}");
}

#[tokio::test]
async fn tls_is_spoken_on_the_same_stream_behind_info_where_it_is_asked_for() {
    let required = INFO.replace("headers", "tls_required\":true,\"headers");
    let available = INFO.replace("headers", "tls_available\":true,\"headers");
    let cases = [
        (&*required, "", true),
        (&required, "&ca=c", true),
        (&available, "", false),
        (&available, "&tls=true", true),
        (&available, "&ca=c", true),
        (&available, "&key_mode=any", false),
        (&available, "&tls=false", false),
        (INFO, "&tls=false", false),
    ];
    for (info, options, encrypted) in cases {
        let network = Network::new();
        let hi = if encrypted { "<HI\n" } else { "" };
        let broker = network.broker("one", &format!("{info}\n{hi}{WELCOME}")).await;
        drop(network.dial(&format!("nats:one?path=x{options}")).await.unwrap());
        let said = broker.await.unwrap();
        assert!(said.contains(&format!("\"tls_required\":{encrypted}")), "{info} {options}: {said}");
        assert_eq!(network.tls.0.load(Relaxed), usize::from(encrypted), "{info} {options}");
    }
}

#[tokio::test]
async fn tls_is_not_left_out_and_nothing_from_before_it_is_believed() {
    let required = INFO.replace("headers", "tls_required\":true,\"headers");
    for (script, options, part) in [
        (INFO.to_owned(), "&tls=true", "the broker has no TLS"),
        (INFO.to_owned(), "&server_name=a", "the broker has no TLS"),
        (required.clone(), "&tls=false", "takes no client without TLS: leave out tls=false"),
        (format!("{required}\r\n{INFO}"), "", "went on in the clear"),
        (required.clone(), "&ca=missing", "ca=missing: it is missing"),
    ] {
        let network = Network::new();
        // In one write.
        let mut listener = network.listen("one").await;
        let text = format!("{script}\r\n");
        let broker = tokio::spawn(async move {
            let Ok(Link::Bytes { mut io, .. }) = listener.accept().await.unwrap().establish().await else { panic!() };
            io.write_all(text.as_bytes()).await.unwrap();
            let mut said = String::new();
            io.read_to_string(&mut said).await.unwrap();
            said
        });
        let error = network.error(&format!("nats:one?path=x{options}")).await;
        assert!(error.contains(part), "{options}: {error}");
        assert_eq!(broker.await.unwrap(), "", "{options}");
    }
    let misfit = Network::new().dialer("nats:one?path=x&tls=false&ca=c").err().unwrap().to_string();
    assert_eq!(misfit, "ca= has no meaning with tls=false");
}

#[tokio::test]
async fn one_server_is_dialled_after_the_other() {
    let network = Network::new();
    let lame = INFO.replace("headers", r#"ldm":true,"connect_urls":["four","two"],"headers"#);
    drop(network.broker("two", &lame).await);
    let four = network.broker("four", &format!("{INFO}\n{WELCOME}")).await;
    let dialer = network.dialer("nats:one?path=x&servers=two,three").unwrap();
    assert_eq!(dialer.servers(), 3);
    let (number, dialed) = dialer.dial_any(0).await.unwrap();
    assert_eq!((number, dialed.server.to_string().as_str(), dialer.servers()), (3, "nats:four", 4));
    drop(dialed);
    four.await.unwrap();
    // Now nobody is there.
    let error = dialer.dial_any(1).await.err().unwrap();
    assert!(error.may_pass());
    let bind = error.of_bind(&"nats:one?path=x".parse().unwrap()).to_string();
    assert!(
        bind.starts_with("bind nats:one?path=x: none of 4 brokers: two: no broker there: connection refused; three: "),
        "{bind}"
    );
    assert!(bind.ends_with("; and 1 more; start it, or serve as soon as it is there with wait=true"), "{bind}");
}

#[tokio::test]
async fn what_a_broker_refuses_is_told_in_its_words_with_what_would_be_right() {
    for (script, part, may_pass) in [
        (
            format!("{INFO}\n<CONNECT\n<PING\n-ERR 'Authorization Violation'"),
            "one: the broker says: Authorization Violation; name a file",
            false,
        ),
        (
            format!("{INFO}\n-ERR 'maximum connections exceeded'"),
            "one: the broker says: maximum connections exceeded",
            true,
        ),
        ("-ERR 'x\x1b[2J'".to_owned(), "the broker says: x\\x1b[2J", true),
        (INFO.replace("headers", "ldm\":true,\"headers"), "one: the broker is about to shut down", true),
        ("SSH-2.0-OpenSSH_9.2".to_owned(), "one: this is no NATS broker: it said \"SSH-2.0-OpenSSH_9.2\"", false),
        ("INFO {".to_owned(), "this is no NATS broker", false),
        ("PONG".to_owned(), "did not begin with INFO", false),
        (format!("{INFO}\nMSG a 1 5"), "this is no NATS broker: it said \"MSG a 1 5\"", false),
        (format!("INFO {{\"x\":\"{}\"}}", "y".repeat(65_536)), "this is no NATS broker: it said \"INFO {", false),
    ] {
        let network = Network::new();
        drop(network.broker("one", &script).await);
        let error = network.dial("nats:one?path=x").await.err().unwrap();
        assert!(error.to_string().contains(part), "{script}: {error}");
        assert_eq!(error.may_pass(), may_pass, "{error}");
    }
}

#[tokio::test]
async fn a_broker_that_goes_away_is_no_rubbish() {
    let network = Network::new();
    for text in ["", "INFO {", INFO] {
        let mut listener = network.listen("one").await;
        let text = text.to_owned();
        let broker = tokio::spawn(async move {
            let Ok(Link::Bytes { mut io, .. }) = listener.accept().await.unwrap().establish().await else { panic!() };
            io.write_all(text.as_bytes()).await.unwrap();
        });
        let error = network.dial("nats:one?path=x").await.err().unwrap();
        assert!(error.to_string().starts_with("one: "), "{error}");
        broker.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_trickles_has_its_time_and_no_more() {
    let network = Network::new();
    let mut listener = network.listen("one").await;
    let broker = tokio::spawn(async move {
        let Ok(Link::Bytes { mut io, .. }) = listener.accept().await.unwrap().establish().await else { panic!() };
        let mut sent = 0;
        while io.write_all(b"INFO {\"a\": "[sent % 11..][..1].as_ref()).await.is_ok() {
            sent += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        sent
    });
    let begun = tokio::time::Instant::now();
    let error = network.error("nats:one?path=x&connect_timeout=2s").await;
    assert_eq!(begun.elapsed(), Duration::from_secs(2));
    assert!(error.ends_with("one: the broker had not taken this client after 2s (connect_timeout=)"), "{error}");
    assert!((19..=21).contains(&broker.await.unwrap()));
}

#[tokio::test]
async fn credentials_are_shown_to_the_broker_and_to_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("user");
    std::fs::write(&path, "ada:SECRET").unwrap();
    let endpoint = format!("nats:one?path=x&key_mode=any&user_file={}", path.display());
    let network = Network::new();
    let broker = network.broker("one", &format!("{INFO}\n{WELCOME}")).await;
    let dialer = network.dialer(&endpoint).unwrap();
    dialer.check().await.unwrap();
    drop(dialer.dial(0).await.unwrap());
    assert!(broker.await.unwrap().contains(r#""user":"ada","pass":"SECRET"}"#));
    assert!(!format!("{dialer:?}").contains("SECRET"));

    // What is renewed holds from the next connection on.
    std::fs::write(&path, "ada:OTHER").unwrap();
    let broker = network.broker("one", &format!("{INFO}\n<CONNECT\n<PING\n-ERR 'Authorization Violation'")).await;
    let error = dialer.dial(0).await.err().unwrap().to_string();
    assert!(error.ends_with(&format!("; it does not take what user_file={} says", path.display())), "{error}");
    assert!(broker.await.unwrap().contains(r#""pass":"OTHER"}"#));

    std::fs::remove_file(&path).unwrap();
    drop(network.broker("one", INFO).await);
    assert!(dialer.check().await.unwrap_err().to_string().starts_with("user_file="));
    assert!(!dialer.dial(0).await.err().unwrap().may_pass());
}

#[test]
fn both_sides_have_the_options_of_clients_of_the_wire_below() {
    let network = Network::new();
    let dialer = network.dialer("nats:one?path=x").unwrap();
    let own = [OptionDoc::new("key_mode", "", "", Side::Both)];
    let names: Vec<_> = dialer.below.options(&own).map(|doc| (doc.name, doc.side)).collect();
    assert_eq!(names, [("ca", Side::Both), ("server_name", Side::Both)]);
    for text in ["nats:one?path=x&connect_timeout=0", "nats:one?path=x&connect_timeout=25h"] {
        assert!(network.dialer(text).err().unwrap().to_string().contains("from 1ms to 24h"), "{text}");
    }
    let long = format!("nats:one?path=x&name={}", "n".repeat(129));
    assert!(network.dialer(&long).err().unwrap().to_string().contains("the limit is 128"));
}
