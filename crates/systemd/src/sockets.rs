//! Passed sockets as a source of a registry.

use std::borrow::Cow;
use std::os::fd::RawFd;
use std::sync::{Mutex, PoisonError};

use socket2::SockAddr;
use swapwire_core::{PassedSocket, Place, SocketSource};

use crate::descriptor;
use crate::environment::{FIRST, Passed};
use crate::kind::place_of;

const BY_NAME: &str = "systemd";
const BY_NUMBER: &str = "fd";

/// The sockets that were passed to this process: the schemes `systemd` and `fd`. See the [crate](crate).
///
/// All values are equal: descriptors belong to the process, and each is taken once.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct PassedSockets;

/// What was passed to this process: what the environment says, and descriptors that endpoints name.
#[derive(Debug)]
struct Table {
    /// Whether the environment passes anything, or why not; `None` before it was read.
    environment: Option<Result<(), String>>,
    passed: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    number: RawFd,
    /// As the service manager says.
    name: Option<String>,
    /// With the address that it is bound to; or why it cannot be served.
    socket: Result<(SockAddr, PassedSocket), String>,
}

static TABLE: Mutex<Table> = Mutex::new(Table { environment: None, passed: Vec::new() });

impl PassedSockets {
    /// The source.
    pub const fn new() -> Self {
        Self
    }

    /// What a service manager passed to this process and nothing serves now, a line for each: clients of such a socket wait in
    /// vain.
    pub fn unserved(&self) -> Vec<String> {
        let mut table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
        table.read_environment();
        let unserved = |entry: &Entry| match (&entry.socket, entry.name.as_ref()?) {
            (Ok((_, socket)), _) if socket.is_served() => None,
            (Ok((_, socket)), name) => Some(format!("{} is not served; write {BY_NAME}:{name}", socket.name())),
            (Err(reason), _) => Some(reason.clone()),
        };
        table.passed.iter().filter_map(unserved).collect()
    }
}

impl SocketSource for PassedSockets {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec![BY_NAME.into(), BY_NUMBER.into()]
    }

    fn sockets(&self, scheme: &str, place: &Place) -> Result<Vec<Vec<PassedSocket>>, String> {
        let mut table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
        table.read_environment();
        let Place::Name(name) = place else {
            return Err(format!("sockets are called by name or number; write {BY_NAME}:NAME or {BY_NUMBER}:{FIRST}"));
        };
        if scheme == BY_NAME { table.named(name) } else { table.numbered(name) }
    }
}

impl Table {
    /// Once.
    fn read_environment(&mut self) {
        if self.environment.is_some() {
            return;
        }
        let passed = Passed::read();
        self.environment = Some(passed.as_ref().map(drop).map_err(Clone::clone));
        let Ok(passed) = passed else { return };
        self.passed = Vec::with_capacity(passed.numbers.len());
        for number in passed.numbers.clone() {
            let name = passed.name(number).to_owned();
            let socket = take(number, Some(&name));
            self.passed.push(Entry { number, name: Some(name), socket });
        }
    }

    fn named(&self, name: &str) -> Result<Vec<Vec<PassedSocket>>, String> {
        if let Some(Err(reason)) = &self.environment {
            return Err(reason.clone());
        }
        let mut groups: Vec<(&SockAddr, Vec<PassedSocket>)> = Vec::new();
        for entry in self.passed.iter().filter(|entry| entry.name.as_deref() == Some(name)) {
            let (place, socket) = entry.socket.as_ref().map_err(Clone::clone)?;
            match groups.iter_mut().find(|(other, _)| *other == place) {
                Some((_, group)) => group.push(socket.clone()),
                None => groups.push((place, vec![socket.clone()])),
            }
        }
        if groups.is_empty() {
            let mut known: Vec<_> = self.passed.iter().filter_map(|entry| entry.name.as_deref()).collect();
            known.sort_unstable();
            known.dedup();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(format!("no socket was passed under the name {name:?}; known: {known}"));
        }
        Ok(groups.into_iter().map(|(_, group)| group).collect())
    }

    fn numbered(&mut self, text: &str) -> Result<Vec<Vec<PassedSocket>>, String> {
        let number = text.parse::<RawFd>().ok().filter(|number| *number >= FIRST && !text.starts_with('+'));
        let number = number.ok_or_else(|| {
            format!("{text:?} is not the number of a passed socket; write {BY_NUMBER}:{FIRST} or a higher one")
        })?;
        let known = self.passed.iter().find(|entry| entry.number == number);
        let socket = match known.map(|entry| entry.socket.clone()) {
            Some(socket) => socket?.1,
            None => {
                let (place, socket) = take(number, None)?;
                self.passed.push(Entry { number, name: None, socket: Ok((place, socket.clone())) });
                socket
            }
        };
        Ok(vec![vec![socket]])
    }
}

/// Takes a socket that can be served: closes its number, and keeps a duplicate. Other descriptors stay as they are.
fn take(number: RawFd, name: Option<&str>) -> Result<(SockAddr, PassedSocket), String> {
    let called = match name {
        Some(name) => format!("descriptor {number} ({name:?})"),
        None => format!("descriptor {number}"),
    };
    let duplicate = descriptor::passed(number)?;
    let place = place_of(&duplicate).map_err(|reason| format!("{called} {reason}"))?;
    // Or children would inherit it.
    nix::unistd::close(number).map_err(|error| format!("{called} cannot be taken: {error}"))?;
    Ok((place, PassedSocket::new(called, duplicate)))
}
