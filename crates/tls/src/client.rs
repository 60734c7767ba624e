//! The half at a client.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use swapwire_core::{ByteStream, ConnInfo, Endpoint, Link, UpgradeClient, UpgradeError, async_trait};
use tokio::time::Instant;

use crate::engine::{ClientConfig, ClientSettings, Name, Roots, Session, Trust};
use crate::files::{self, Stamp};
use crate::options::{ClientOptions, lax, name};
use crate::stream::TlsStream;
use crate::{Identity, TlsError, handshake, on_blocking_thread};

/// The most configurations that are kept; of more, the one that was made first is made again when it is needed.
const MOST_KEPT: usize = 32;
/// Files that were looked at so lately are not looked at again.
const FRESH: Duration = Duration::from_secs(5);

pub(crate) struct Client {
    config: ClientConfig,
    name: Name,
    lax: bool,
}

/// What code gives all clients, where their options say nothing.
#[derive(Clone, Default)]
pub(crate) struct Defaults {
    pub(crate) roots: Option<Roots>,
    pub(crate) identity: Option<Identity>,
}

/// The configurations of clients, by their options: files are read for the first of many connections, and sessions can be
/// resumed.
#[derive(Default)]
pub(crate) struct Configs(Mutex<Vec<Kept>>);

struct Kept {
    options: Vec<(String, String)>,
    config: ClientConfig,
    stamps: Vec<Stamp>,
    looked_at: Instant,
}

impl Configs {
    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets them all, as what code gives all clients has changed.
    pub(crate) fn clear(&self) {
        self.kept().clear();
    }

    pub(crate) async fn client(&self, endpoint: &Endpoint, defaults: &Defaults) -> Result<Client, UpgradeError> {
        let options = ClientOptions::read(endpoint)?;
        let (name, lax) = (name(endpoint)?, lax(endpoint.read_options())?);
        let key = endpoint.clone().without_option("server_name").without_option("eof").options().to_vec();
        let found = {
            let kept = self.kept();
            let found = kept.iter().find(|kept| kept.options == key);
            found.map(|found| (found.config.clone(), found.stamps.clone(), found.looked_at.elapsed() < FRESH))
        };
        let before = match found {
            Some((config, _, true)) => return Ok(Client { config, name, lax }),
            Some((config, stamps, false)) => Some((config, stamps)),
            None => None,
        };
        let defaults = defaults.clone();
        let (config, stamps) = on_blocking_thread(move || {
            let stamps = files::stamps(options.files());
            match before {
                Some((config, before)) if before == stamps => Ok((config, stamps)),
                _ => load(&options, defaults).map(|config| (config, stamps)),
            }
        })
        .await?;
        let mut kept = self.kept();
        kept.retain(|kept| kept.options != key);
        if kept.len() == MOST_KEPT {
            kept.remove(0);
        }
        kept.push(Kept { options: key, config: config.clone(), stamps, looked_at: Instant::now() });
        Ok(Client { config, name, lax })
    }
}

fn load(options: &ClientOptions, defaults: Defaults) -> Result<ClientConfig, TlsError> {
    let trust = match (&options.ca, defaults.roots) {
        _ if !options.pins.is_empty() => Trust::Pins(options.pins.clone()),
        (Some(path), _) => {
            Trust::Roots(Roots::from_pem(&files::read("ca", path)?).map_err(|error| error.of("ca", path))?)
        }
        (None, Some(roots)) => Trust::Roots(roots),
        (None, None) => Trust::Roots(Roots::of_platform()?),
    };
    let identity = match &options.pair {
        Some((cert, key)) => Some(files::identity(cert, key, options.any_key_mode)?),
        None => defaults.identity,
    };
    ClientConfig::new(ClientSettings { trust, identity, alpn: &options.alpn, tickets: options.tickets })
}

#[async_trait]
impl UpgradeClient for Client {
    async fn connect(&self, io: Box<dyn ByteStream>, mut info: ConnInfo) -> io::Result<Link> {
        let session = Session::client(&self.config, &self.name)?;
        let mut stream = TlsStream::new(io, session, self.lax);
        stream.begin()?;
        let (stream, mut shown) = handshake::run(stream).await?;
        shown.server_name = self.name.dns().map(Into::into);
        info.peer = info.peer.and(shown);
        Ok(Link::bytes(stream, info))
    }
}
