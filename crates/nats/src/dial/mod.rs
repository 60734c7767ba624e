//! How a broker is reached: which, by what wire, as whom.

mod error;
mod handshake;
mod servers;

use std::fmt;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use swapwire_core::{
    ByteStream, ConnInfo, ConnectError, Endpoint, Link, OptionDoc, Side, Transport, Upgrade, UpgradeError,
};
use tokio::time::timeout;

use crate::credentials::{CredentialFile, Proof};
use crate::info::ServerInfo;
use handshake::{Failed, Lines};
use servers::{Server, Servers};

pub(crate) use error::DialError;

/// How long a broker may take to accept this client, without the option.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest name of a connection, in bytes.
const LONGEST_NAME: usize = 128;
/// Whether key files are looked at closely; it is for files of credentials as well, and so does not ask for TLS.
const KEY_MODE: &str = "key_mode";
const TIMEOUT: &str = "connect_timeout";

/// The wire below, and what may stand on it.
#[derive(Clone)]
pub(crate) struct Below {
    pub(crate) base: Arc<dyn Transport>,
    /// The one of its schemes that is used.
    pub(crate) scheme: String,
    pub(crate) tls: Option<Arc<dyn Upgrade>>,
}

impl Below {
    /// What can be said of the wire below by the options of an endpoint, beside `own`: the options of its clients.
    pub(crate) fn options<'a>(&'a self, own: &'a [OptionDoc]) -> impl Iterator<Item = OptionDoc> + use<'a> {
        let layer = self.tls.iter().flat_map(|tls| tls.options());
        let all = layer.chain(self.base.options(&self.scheme)).filter(|doc| doc.is_for(Side::Connect));
        all.filter(|doc| own.iter().all(|known| known.name != doc.name)).map(|doc| {
            let mut doc = *doc;
            // Both sides are clients of a broker.
            doc.side = Side::Both;
            doc
        })
    }
}

/// How to reach one of the servers; made from an endpoint's options.
pub(crate) struct Dialer {
    below: Below,
    /// As they were written.
    options: Endpoint,
    servers: Servers,
    credentials: Option<CredentialFile>,
    name: String,
    timeout: Duration,
    tls: Wanted,
}

/// Whether TLS is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Always,
    AsTheBrokerAsks,
    Never,
}

/// A connection to a broker that has taken this client.
pub(crate) struct Dialed {
    pub(crate) io: Box<dyn ByteStream>,
    /// What was read behind the `PONG`.
    pub(crate) unread: BytesMut,
    pub(crate) info: ServerInfo,
    /// Where the broker is, without options.
    pub(crate) server: Endpoint,
}

impl Dialer {
    /// Reads the options, which are checked for what is unknown already.
    ///
    /// # Errors
    /// They do not fit.
    pub(crate) fn of(below: Below, endpoint: &Endpoint) -> Result<Self, UpgradeError> {
        let options = endpoint.read_options();
        let name = options.get::<String>("name")?.unwrap_or_else(|| "swapwire".to_owned());
        if name.len() > LONGEST_NAME {
            let text = format!("option name: {} bytes; the limit is {LONGEST_NAME}", name.len());
            return Err(UpgradeError::Invalid(text));
        }
        let help = "write a time from 1ms to 24h";
        let timeout = options.get_in(TIMEOUT, Duration::from_millis(1)..=LONGEST_TIMEOUT, help)?;
        let of_tls = below.tls.as_ref().map_or(&[][..], |tls| tls.options());
        let of_tls = of_tls.iter().filter(|doc| doc.name != KEY_MODE && endpoint.option(doc.name).is_some());
        let of_tls: Vec<_> = of_tls.map(|doc| doc.name).collect();
        let tls = match (options.get::<bool>("tls")?, of_tls.first()) {
            (Some(true), _) if below.tls.is_none() => {
                return Err(UpgradeError::Invalid("tls=true: this program has no TLS for it".to_owned()));
            }
            (Some(false), Some(name)) => {
                return Err(UpgradeError::Invalid(format!("{name}= has no meaning with tls=false")));
            }
            (Some(false), None) => Wanted::Never,
            (Some(true), _) | (None, Some(_)) => Wanted::Always,
            (None, None) => Wanted::AsTheBrokerAsks,
        };
        Ok(Self {
            servers: Servers::of(endpoint, options)?,
            credentials: CredentialFile::of(options)?,
            timeout: timeout.unwrap_or(CONNECT_TIMEOUT),
            options: endpoint.clone(),
            below,
            name,
            tls,
        })
    }

    /// Whether the files that the options name can be used at present.
    ///
    /// # Errors
    /// One of them cannot.
    pub(crate) async fn check(&self) -> Result<(), UpgradeError> {
        if let Some(credentials) = &self.credentials {
            credentials.check().await?;
        }
        if let Some(tls) = self.below.tls.as_ref().filter(|_| self.tls == Wanted::Always) {
            tls.client(&self.tls_endpoint(&self.servers.get(0))?).await?;
        }
        Ok(())
    }

    /// How many servers there are; it changes with what brokers say of their cluster.
    pub(crate) fn servers(&self) -> usize {
        self.servers.len()
    }

    /// Takes what a broker says of its cluster, as each `INFO` does.
    pub(crate) fn learn(&self, info: &ServerInfo) {
        self.servers.learn(&info.connect_urls);
    }

    /// Dials one server after the other, each once, from that number on, until one has taken this client; gives its number too.
    ///
    /// # Errors
    /// None has.
    ///
    /// # Cancel safety
    /// Dropping it closes the connection.
    pub(crate) async fn dial_any(&self, first: usize) -> Result<(usize, Dialed), DialError> {
        let mut errors = Vec::new();
        // One that is about to shut down may have named others.
        while errors.len() < self.servers() {
            let number = first + errors.len();
            match self.dial(number).await {
                Ok(dialed) => return Ok((number, dialed)),
                Err(error @ DialError::Options(_)) => return Err(error),
                Err(error) => errors.push(error),
            }
        }
        Err(DialError::of_all(errors))
    }

    /// Connects to the server with that number (they wrap around), until it has taken this client: INFO, TLS, CONNECT, PING, PONG.
    ///
    /// # Errors
    /// It is not there, does not take this client, is about to shut down, or is not done in time.
    ///
    /// # Cancel safety
    /// Dropping it closes the connection.
    pub(crate) async fn dial(&self, number: usize) -> Result<Dialed, DialError> {
        let server = self.servers.get(number);
        let place = self.endpoint("nats", &server)?;
        let Ok(dialed) = timeout(self.timeout, self.handshake(&server, &place)).await else {
            let text = format!("the broker had not taken this client after {:?} ({TIMEOUT}=)", self.timeout);
            return Err(DialError::new(ErrorKind::TimedOut, &place, text));
        };
        dialed
    }

    async fn handshake(&self, server: &Server, place: &Endpoint) -> Result<Dialed, DialError> {
        let failed = |Failed(kind, text)| DialError::new(kind, place, text);
        let (io, conn) = self.connect(server, place).await?;
        let mut lines = Lines::new(io);
        let mut info = lines.info().await.map_err(failed)?;
        let tls = self.wants_tls(&info).map_err(failed)?;
        if tls.is_some() {
            // Said in the clear: whoever added a broker of his own would be sent the credentials.
            info.connect_urls.clear();
        }
        self.learn(&info);
        if info.ldm {
            let text = "the broker is about to shut down (lame duck mode); name others by servers=";
            return Err(DialError::new(ErrorKind::ConnectionAborted, place, text));
        }
        if let Some(layer) = tls {
            let client = layer.client(&self.tls_endpoint(server)?).await?;
            let io = lines.into_stream().map_err(failed)?;
            let link = client
                .connect(io, conn)
                .await
                .map_err(|error| DialError::new(error.kind(), place, format!("{}: {error}", layer.name())))?;
            let Link::Bytes { io, .. } = link else {
                let text = format!("{} gives no byte stream", layer.name());
                return Err(UpgradeError::Invalid(text).into());
            };
            lines = Lines::new(io);
        }
        let proof = match &self.credentials {
            Some(file) => file.prove(info.nonce.as_deref()).await?,
            None => Proof::default(),
        };
        let connected = lines.connect(info, &self.name, tls.is_some(), proof).await;
        let (io, unread, info) = connected.map_err(|Failed(kind, text)| {
            let help = if kind == ErrorKind::PermissionDenied { self.who() } else { String::new() };
            DialError::new(kind, place, text + &help)
        })?;
        self.learn(&info);
        Ok(Dialed { io, unread, info, server: place.clone() })
    }

    /// What a client that was refused can change.
    fn who(&self) -> String {
        match &self.credentials {
            Some(file) => format!("; it does not take what {} says", file.written()),
            None => "; name a file that says who this client is: user_file=, token_file= or creds=".to_owned(),
        }
    }

    /// The layer, if TLS is to be spoken with the broker that said this.
    fn wants_tls(&self, info: &ServerInfo) -> Result<Option<&Arc<dyn Upgrade>>, Failed> {
        let failed = |text: &str| Err(Failed(ErrorKind::PermissionDenied, text.to_owned()));
        match (self.tls, &self.below.tls) {
            (Wanted::Always, _) if !info.tls_required && !info.tls_available => {
                failed("the broker has no TLS: leave out tls= and its options, or configure tls in the broker")
            }
            (Wanted::Always, layer) => Ok(layer.as_ref()),
            (Wanted::Never, _) if info.tls_required => {
                failed("the broker takes no client without TLS: leave out tls=false")
            }
            (Wanted::AsTheBrokerAsks, layer) if info.tls_required => match layer {
                Some(layer) => Ok(Some(layer)),
                None => failed("the broker takes no client without TLS, which this program does not have for it"),
            },
            _ => Ok(None),
        }
    }

    async fn connect(&self, server: &Server, place: &Endpoint) -> Result<(Box<dyn ByteStream>, ConnInfo), DialError> {
        let mut below = self.endpoint(&self.below.scheme, server)?;
        for doc in self.below.base.options(&self.below.scheme) {
            if let Some(value) = self.options.option(doc.name).filter(|_| doc.is_for(Side::Connect)) {
                below = below.with_option(doc.name, value);
            }
        }
        let no_broker = |source: std::io::Error| {
            let reason = match source.kind() {
                ErrorKind::ConnectionRefused => "connection refused".to_owned(),
                _ => source.to_string(),
            };
            DialError::new(source.kind(), place, format!("no broker there: {reason}"))
        };
        match self.below.base.connect(&below).await {
            Ok(Link::Bytes { io, info }) => Ok((io, info)),
            Ok(_) => Err(UpgradeError::Invalid("the wire below gives no byte stream".to_owned()).into()),
            Err(ConnectError::Option { source, .. }) => Err(UpgradeError::Option(source).into()),
            Err(ConnectError::Invalid { reason, .. }) => Err(UpgradeError::Invalid(reason).into()),
            Err(
                ConnectError::Refused { source, .. }
                | ConnectError::Missing { source, .. }
                | ConnectError::Busy { source, .. }
                | ConnectError::Io { source, .. },
            ) => Err(no_broker(source)),
            Err(other) => Err(DialError::new(ErrorKind::Other, place, other)),
        }
    }

    /// The endpoint of a server under `scheme`, without options.
    fn endpoint(&self, scheme: &str, server: &Server) -> Result<Endpoint, DialError> {
        let endpoint = Endpoint::new("nats", server.place.clone()).map(|endpoint| endpoint.with_scheme(scheme));
        endpoint.map_err(|error| UpgradeError::Invalid(error.to_string()).into())
    }

    /// What the layer reads: the server's place, and the layer's options alone.
    fn tls_endpoint(&self, server: &Server) -> Result<Endpoint, UpgradeError> {
        let docs = self.below.tls.as_ref().map_or(&[][..], |tls| tls.options());
        let place = Endpoint::new("nats", server.place.clone());
        let mut endpoint = place.map_err(|error| UpgradeError::Invalid(error.to_string()))?;
        for (name, value) in self.options.options().iter().filter(|(name, _)| docs.iter().any(|doc| doc.name == name)) {
            endpoint = endpoint.with_option(name, value);
        }
        const NAME: &str = "server_name";
        match &server.host {
            Some(host) if docs.iter().any(|doc| doc.name == NAME) && endpoint.option(NAME).is_none() => {
                Ok(endpoint.with_option(NAME, host))
            }
            _ => Ok(endpoint),
        }
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("servers", &self.servers).field("tls", &self.tls).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
