//! A network in memory with TLS servers that echo, and an authority that signs certificates.
#![allow(
    dead_code,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "helpers of tests"
)]

use std::path::PathBuf;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use swapwire_core::{Bound, ByteStream, Endpoint, Link, Listener, Registry};
use swapwire_mem::MemNetwork;
use swapwire_stack::WithLayer as _;
use swapwire_tls::{Tls, TlsInfo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Mutex, mpsc};

/// Signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        Self::named(&format!("authority {}", COUNT.fetch_add(1, Relaxed)))
    }

    pub fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate and its key.
    pub fn sign(&self, names: &[&str]) -> (String, String) {
        self.sign_until(names, 2999)
    }

    pub fn sign_until(&self, names: &[&str], year: i32) -> (String, String) {
        self.sign_with(names, |params| params.not_after = date_time_ymd(year, 1, 1))
    }

    /// One that ends in so many days.
    pub fn sign_for_days(&self, names: &[&str], days: u32) -> (String, String) {
        let now = std::time::SystemTime::now();
        let end = now + std::time::Duration::from_secs(u64::from(days) * 24 * 60 * 60);
        self.sign_with(names, |params| params.not_after = end.into())
    }

    fn sign_with(&self, names: &[&str], with: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        with(&mut params);
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

/// What became of each handshake at a server.
type Told<T> = (mpsc::Sender<T>, Mutex<mpsc::Receiver<T>>);

pub struct Net {
    pub registry: Registry,
    directory: tempfile::TempDir,
    count: AtomicUsize,
    seen: Told<TlsInfo>,
    refused: Told<String>,
    dials: std::sync::Mutex<Vec<(String, Endpoint)>>,
}

/// How many handshakes nobody has asked for.
const ROOM: usize = 10_000;

fn told<T>() -> Told<T> {
    let (tell, told) = mpsc::channel(ROOM);
    (tell, Mutex::new(told))
}

impl Net {
    pub fn new() -> Self {
        Self::of(Tls::new())
    }

    pub fn of(tls: Tls) -> Self {
        Self {
            registry: Registry::new().with(MemNetwork::new()).with_layer(tls),
            directory: tempfile::tempdir().unwrap(),
            count: AtomicUsize::new(0),
            seen: told(),
            refused: told(),
            dials: Default::default(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The files of a new certificate and its key.
    pub fn files(&self, ca: &Authority, name: &str, names: &[&str]) -> (String, String) {
        let (cert, key) = ca.sign(names);
        (write(self, &format!("{name}.pem"), &cert), write(self, &format!("{name}.key"), &key))
    }

    /// The same, as options.
    pub fn pair(&self, ca: &Authority, name: &str, names: &[&str]) -> String {
        let (cert, key) = self.files(ca, name, names);
        format!("cert={cert}&key={key}")
    }

    /// Serves an echo, and returns where, without options.
    pub async fn serve(&self, options: &str) -> String {
        let listener = self.bind(options).await;
        let place = listener.local().to_string();
        self.echo(listener);
        place
    }

    pub async fn bind(&self, options: &str) -> Box<dyn Listener> {
        let number = self.count.fetch_add(1, Relaxed);
        let endpoint = format!("tls+mem:s{number}?{options}").parse().unwrap();
        let Bound::Listener(listener) = self.registry.bind(&endpoint).await.unwrap() else { panic!("no listener") };
        self.dials.lock().unwrap().push((listener.local().to_string(), listener.dial()));
        listener
    }

    pub fn echo(&self, mut listener: Box<dyn Listener>) {
        let (seen, refused) = (self.seen.0.clone(), self.refused.0.clone());
        tokio::spawn(async move {
            while let Ok(incoming) = listener.accept().await {
                let (seen, refused) = (seen.clone(), refused.clone());
                tokio::spawn(async move {
                    match incoming.establish().await {
                        Ok(Link::Bytes { mut io, info }) => {
                            seen.try_send(info.peer.get::<TlsInfo>().unwrap().clone()).unwrap();
                            echo(&mut io).await;
                        }
                        Ok(other) => panic!("{other:?}"),
                        Err(error) => refused.try_send(error.to_string()).unwrap(),
                    }
                });
            }
        });
    }

    /// What the server at `place` says is dialled, with more options.
    pub fn dial(&self, place: &str, options: &str) -> String {
        let dials = self.dials.lock().unwrap();
        let (_, dial) = dials.iter().find(|(local, _)| local == place).unwrap();
        format!("{dial}&{options}")
    }

    /// Connects.
    pub async fn client(&self, endpoint: &str) -> Result<TlsInfo, String> {
        let link = self.registry.connect(&endpoint.parse().unwrap()).await.map_err(|error| error.to_string())?;
        Ok(link.info().peer.get::<TlsInfo>().unwrap().clone())
    }

    /// Connects, is answered, and reads to a clean end.
    pub async fn talk(&self, endpoint: &str) -> Result<TlsInfo, String> {
        let link = self.registry.connect(&endpoint.parse().unwrap()).await.map_err(|error| error.to_string())?;
        let Link::Bytes { mut io, info } = link else { panic!("no byte stream") };
        // That it was refused is an error of reading.
        let _ = io.write_all(b"hello").await;
        let _ = io.flush().await;
        let mut answer = [0; 5];
        io.read_exact(&mut answer).await.map_err(|error| error.to_string())?;
        assert_eq!(&answer, b"hello");
        io.shutdown().await.map_err(|error| error.to_string())?;
        assert_eq!(io.read(&mut answer).await.map_err(|error| error.to_string())?, 0);
        Ok(info.peer.get::<TlsInfo>().unwrap().clone())
    }

    /// What the server has seen of the next client.
    pub async fn seen(&self) -> TlsInfo {
        self.seen.1.lock().await.recv().await.unwrap()
    }

    /// Why it has refused the next.
    pub async fn refused(&self) -> String {
        self.refused.1.lock().await.recv().await.unwrap()
    }
}

async fn echo(io: &mut Box<dyn ByteStream>) {
    let mut buffer = vec![0; 4096];
    while let Ok(len) = io.read(&mut buffer).await {
        if len == 0 {
            let _ = io.shutdown().await;
            return;
        }
        if io.write_all(&buffer[..len]).await.is_err() || io.flush().await.is_err() {
            return;
        }
    }
}

/// Writes a file of `net`, which its owner alone can read.
pub fn write(net: &Net, name: &str, text: &str) -> String {
    let path = net.path(name);
    std::fs::write(&path, text).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    path.display().to_string()
}
