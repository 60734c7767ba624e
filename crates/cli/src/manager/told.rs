//! By the protocol of systemd.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use swapwire::ServerHandle;
use swapwire::systemd::{Notifier, PassedSockets, State, watchdog};
use tokio::time::{sleep, timeout};

use crate::exit::complain;

/// What a drain may take beyond its deadline: cutting, and the report.
const MARGIN: Duration = Duration::from_secs(5);

/// Tells the manager, if there is one. What cannot be told is complained of once, and the server goes on.
#[derive(Clone, Debug)]
pub(crate) struct Manager {
    notifier: Option<Notifier>,
    failed: Rc<Cell<bool>>,
}

impl Manager {
    pub(crate) fn new() -> Self {
        Self { notifier: Notifier::from_environment(), failed: Rc::default() }
    }

    /// It serves; or has begun to serve what was reloaded. What was passed and is not served is complained of.
    pub(crate) fn ready(&self, server: &ServerHandle) {
        PassedSockets::new().unserved().into_iter().for_each(|line| complain(format_args!("{line}")));
        let endpoints: Vec<_> = server.local_endpoints().iter().map(ToString::to_string).collect();
        self.tell(&[State::Ready, State::Status(&format!("serving {}", endpoints.join(", ")))]);
    }

    /// It reloads. [`Manager::ready`] follows.
    pub(crate) fn reloading(&self) {
        self.tell(&[State::Reloading, State::Status("reloading")]);
    }

    /// It drains, for so long at the most.
    pub(crate) fn stopping(&self, drain_timeout: Duration) {
        let longest = drain_timeout.saturating_add(MARGIN);
        let status = match drain_timeout {
            Duration::MAX => "draining for as long as it takes".to_owned(),
            time => format!("draining for at most {time:?}"),
        };
        match longest {
            Duration::MAX => self.tell(&[State::Stopping, State::Status(&status)]),
            longest => self.tell(&[State::Stopping, State::ExtendTimeout(longest), State::Status(&status)]),
        }
    }

    /// Gives signs of life, as often as the manager asks for, as long as every worker does its work. A drain has a deadline of its
    /// own, and workers that have ended need not work.
    pub(crate) async fn watch(&self, server: &ServerHandle) -> Infallible {
        let Some(longest) = watchdog().filter(|_| self.notifier.is_some()) else { return pending().await };
        loop {
            if server.is_draining() || timeout(longest / 2, server.turned()).await.is_ok() {
                self.tell(&[State::Watchdog]);
                sleep(longest / 2).await;
            }
        }
    }

    fn tell(&self, states: &[State<'_>]) {
        let Some(notifier) = &self.notifier else { return };
        match notifier.notify(states) {
            Ok(()) => self.failed.set(false),
            Err(error) if !self.failed.replace(true) => complain(format_args!("{error}")),
            Err(_) => {}
        }
    }
}
