//! The half at a server.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use swapwire_core::{ByteStream, ConnInfo, Link, UpgradeServer, Upkeep, async_trait};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::der::Day;
use crate::engine::{ServerConfig, ServerSettings, Session, Ticketer};
use crate::files::{self, Stamp};
use crate::options::{ServerOptions, Source};
use crate::stream::TlsStream;
use crate::{Identity, TlsError, handshake};

const DAY: i64 = 24 * 60 * 60;
/// A certificate that ends sooner is warned of.
const WARN: i64 = 14 * DAY;
/// How often.
const WARN_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) struct Server {
    options: ServerOptions,
    /// Those of [`Source::Code`] and [`Source::SelfSigned`]; of files, `None`.
    given: Mutex<Option<Vec<Identity>>>,
    /// Read once for each handshake.
    config: RwLock<ServerConfig>,
    state: Mutex<State>,
    itself: Weak<Self>,
}

struct State {
    /// Survives what is read again, so that sessions are resumed; but not other signers of the clients' certificates.
    ticketer: Option<Ticketer>,
    client_ca: Option<Vec<u8>>,
    /// Of the files as they were when they were read last.
    stamps: Vec<Stamp>,
    look_at: Option<Instant>,
    asked_to_read: bool,
    is_reading: bool,
    news: Option<String>,
    /// The certificates, by their files, and when they end.
    ends: Vec<(String, i64)>,
    warn_at: Option<Instant>,
}

/// What was read.
struct Loaded {
    config: ServerConfig,
    ticketer: Option<Ticketer>,
    client_ca: Option<Vec<u8>>,
    ends: Vec<(String, i64)>,
}

impl Server {
    /// Reads the files. Called on a thread that may wait.
    pub(crate) fn load(options: ServerOptions, given: Option<Vec<Identity>>) -> Result<Arc<Self>, TlsError> {
        let stamps = files::stamps(options.files());
        let loaded = load(&options, given.as_deref(), None)?;
        let state = State {
            ticketer: loaded.ticketer,
            client_ca: loaded.client_ca,
            stamps,
            look_at: None,
            asked_to_read: false,
            is_reading: false,
            news: None,
            ends: loaded.ends,
            warn_at: None,
        };
        Ok(Arc::new_cyclic(|itself| Self {
            options,
            given: Mutex::new(given),
            config: RwLock::new(loaded.config),
            state: Mutex::new(state),
            itself: Weak::clone(itself),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_files(&self) -> bool {
        self.options.files().next().is_some()
    }

    /// Serves with `identities` from now on, if code gave what it has.
    pub(crate) fn replace(&self, identities: &[Identity]) -> Result<(), TlsError> {
        if self.options.source != Source::Code {
            return Ok(());
        }
        *self.given.lock().unwrap_or_else(PoisonError::into_inner) = Some(identities.to_vec());
        self.read_again()
    }

    /// Reads the files again, and serves with them from now on. Called on a thread that may wait.
    fn read_again(&self) -> Result<(), TlsError> {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let kept = {
            let state = self.state();
            (state.ticketer.clone(), state.client_ca.clone())
        };
        let loaded = load(&self.options, given.as_deref(), Some(kept))?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = loaded.config;
        let mut state = self.state();
        (state.ticketer, state.client_ca) = (loaded.ticketer, loaded.client_ca);
        (state.ends, state.warn_at) = (loaded.ends, None);
        Ok(())
    }

    /// Looks at the files; if they have changed, or if somebody asked for it, reads them. Called on a thread that may wait.
    fn look(&self, asked: bool) {
        let stamps = files::stamps(self.options.files());
        if !asked && self.state().stamps == stamps {
            return;
        }
        let news = match self.read_again() {
            Ok(()) => {
                let ends = self.state().ends.iter().map(|(_, end)| *end).min().unwrap_or_default();
                format!("the certificates were read again, and serve new connections; the first ends on {}", Day(ends))
            }
            Err(error) => format!("the certificates cannot be read again, and those from before stay: {error}"),
        };
        let mut state = self.state();
        (state.stamps, state.news) = (stamps, Some(news));
    }

    fn begin_to_look(&self, state: &mut State, now: Instant) {
        let due = self.options.reload.is_some_and(|_| state.look_at.is_some_and(|at| at <= now));
        if state.look_at.is_none() || due {
            state.look_at = self.options.reload.map(|every| now + every);
        }
        if state.is_reading || !(state.asked_to_read || due) || !self.has_files() {
            return;
        }
        let (Ok(runtime), Some(itself)) = (Handle::try_current(), self.itself.upgrade()) else { return };
        let asked = std::mem::take(&mut state.asked_to_read);
        state.is_reading = true;
        let reading = IsReading(itself);
        runtime.spawn_blocking(move || reading.0.look(asked));
    }
}

/// Ends when the files were looked at, or never will be.
struct IsReading(Arc<Server>);

impl Drop for IsReading {
    fn drop(&mut self) {
        self.0.state().is_reading = false;
    }
}

fn load(
    options: &ServerOptions,
    given: Option<&[Identity]>,
    kept: Option<(Option<Ticketer>, Option<Vec<u8>>)>,
) -> Result<Loaded, TlsError> {
    let identities: Vec<(String, Identity)> = match (&options.source, given) {
        (Source::Files(pairs), _) => {
            let read = pairs.iter().map(|(cert, key)| {
                let identity = files::identity(cert, key, options.any_key_mode)?;
                Ok((format!("cert={}", cert.display()), identity))
            });
            read.collect::<Result<_, TlsError>>()?
        }
        (_, given) => {
            let given = given.unwrap_or_default();
            given.iter().map(|identity| ("its certificate".to_owned(), identity.clone())).collect()
        }
    };
    let now = now();
    for (what, identity) in &identities {
        if identity.validity.until < now {
            let ended = Day(identity.validity.until);
            return Err(TlsError::new(format!("{what}: it has expired, it was valid until {ended}: renew it")));
        }
    }
    let client_ca = options.client_ca.as_deref().map(|path| files::read("client_ca", path)).transpose()?;
    let kept = kept.filter(|(_, before)| *before == client_ca).and_then(|(ticketer, _)| ticketer);
    let ticketer = match (options.tickets, kept) {
        (true, None) => Some(Ticketer::new()?),
        (_, kept) => kept,
    };
    let ends = identities.iter().map(|(what, identity)| (what.clone(), identity.validity.until)).collect();
    let config = ServerConfig::new(ServerSettings {
        identities: identities.into_iter().map(|(_, identity)| identity).collect(),
        client_ca: client_ca.as_deref(),
        client_auth: options.client_auth,
        alpn: &options.alpn,
        only_tls13: options.only_tls13,
        ticketer: ticketer.as_ref(),
    });
    let of_ca = |error: TlsError| match &options.client_ca {
        Some(path) => error.of("client_ca", path),
        None => error,
    };
    Ok(Loaded { config: config.map_err(of_ca)?, ticketer, client_ca, ends })
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// What there is to say of certificates that end soon.
fn warning(ends: &[(String, i64)], now: i64) -> Option<String> {
    let soon = ends.iter().filter(|(_, end)| *end - now < WARN).map(|(what, end)| match (end - now).div_euclid(DAY) {
        ..0 => format!("{what} has expired, on {}: renew it", Day(*end)),
        days => format!("{what} ends in {days} days, on {}: renew it", Day(*end)),
    });
    let soon: Vec<_> = soon.collect();
    (!soon.is_empty()).then(|| soon.join("; "))
}

#[async_trait]
impl UpgradeServer for Server {
    async fn accept(&self, io: Box<dyn ByteStream>, mut info: ConnInfo) -> io::Result<Link> {
        let session = Session::server(&self.config.read().unwrap_or_else(PoisonError::into_inner))?;
        let (stream, shown) = handshake::run(TlsStream::new(io, session, self.options.lax)).await?;
        info.peer = info.peer.and(shown);
        Ok(Link::bytes(stream, info))
    }

    fn dial_options(&self) -> Vec<(&'static str, String)> {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        match (&self.options.source, given.as_deref()) {
            (Source::SelfSigned, Some([identity, ..])) => vec![("pin", identity.pin())],
            _ => Vec::new(),
        }
    }

    fn reloads(&self) -> bool {
        self.has_files()
    }

    fn reload(&self) {
        let has_files = self.has_files();
        self.state().asked_to_read |= has_files;
    }

    fn upkeep(&self) -> Option<Upkeep> {
        if self.options.source == Source::SelfSigned && !self.has_files() {
            return None;
        }
        let mut state = self.state();
        let moment = Instant::now();
        self.begin_to_look(&mut state, moment);
        let found = state.news.take().map_or(Upkeep::unchanged(true), |news| Upkeep::changed(true, news));
        if state.warn_at.is_some_and(|at| moment < at) {
            return Some(found);
        }
        state.warn_at = Some(moment + WARN_EVERY);
        let warning = warning(&state.ends, now());
        Some(warning.map_or(Upkeep::unchanged(true), |warning| Upkeep::changed(true, warning)).and(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_ends_soon_is_warned_of() {
        let ends = |days: i64| vec![("cert=a.pem".to_owned(), 20_786 * DAY + days * DAY)];
        let warned = |days| warning(&ends(days), 20_786 * DAY);
        assert_eq!(warned(14), None);
        assert_eq!(warned(13).as_deref(), Some("cert=a.pem ends in 13 days, on 2026-12-12: renew it"));
        assert_eq!(warned(-1).as_deref(), Some("cert=a.pem has expired, on 2026-11-28: renew it"));
        assert_eq!(warning(&[ends(20), ends(3)].concat(), 20_786 * DAY).unwrap().matches("renew").count(), 1);
    }
}
