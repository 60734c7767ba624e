//! Endpoints with a host and a port: what is to be bound or dialled of them.

use std::io;
use std::net::SocketAddr;

use socket2::SockRef;
use swapwire_core::{BindError, ConnectError, Endpoint, OptionError, Place, Side};

use crate::addresses::{bind_each, bind_first, resolve};
use crate::families::v6_only_mistake;

/// The options of a transport of hosts and ports, and how one address is bound with them.
pub trait HostOptions: Sized {
    /// What is wrong with an endpoint of another kind, and what would be right.
    const PLACE: &'static str;

    /// What is bound.
    type Socket;

    /// Reads the options of `endpoint` for `side`.
    ///
    /// # Errors
    /// An option is unknown here, or its value is wrong.
    fn read(endpoint: &Endpoint, side: Side) -> Result<Self, OptionError>;

    /// The option `v6_only`.
    fn v6_only(&self) -> Option<bool>;

    /// Why `addr` cannot be bound whatever the system says, if so. The default is `None`.
    fn mistake(addr: &SocketAddr) -> Option<String> {
        let _ = addr;
        None
    }

    /// Binds `addr`.
    ///
    /// # Errors
    /// The system's.
    fn bind(&self, addr: SocketAddr) -> io::Result<Self::Socket>;

    /// The group of `members` that begins with `first`.
    ///
    /// # Errors
    /// The system's.
    fn group(&self, first: Self::Socket, members: usize) -> io::Result<Vec<Self::Socket>>;

    /// The socket that was bound.
    fn as_ref(socket: &Self::Socket) -> SockRef<'_>;

    /// Logs what the system cut for a bound socket.
    fn tell_bound(&self, endpoint: &Endpoint, socket: &SockRef<'_>);
}

/// An endpoint to bind, with its addresses and options.
#[derive(Debug)]
pub struct Binder<'a, O> {
    endpoint: &'a Endpoint,
    /// Of the host, at least one.
    pub addrs: Vec<SocketAddr>,
    /// As read.
    pub options: O,
}

impl<'a, O: HostOptions> Binder<'a, O> {
    /// Reads `endpoint` and resolves its host.
    ///
    /// # Errors
    /// It has no host and port, its options do not fit, or the name has no address.
    ///
    /// # Panics
    /// Outside a tokio runtime, if a name must be resolved.
    pub async fn read(endpoint: &'a Endpoint) -> Result<Self, BindError> {
        let Place::Host { host, port } = endpoint.place() else { return Err(BindError::invalid(endpoint, O::PLACE)) };
        let options = O::read(endpoint, Side::Bind).map_err(|error| BindError::option(endpoint, error))?;
        let addrs = resolve(host, *port).await.map_err(|error| BindError::from_io(endpoint, error))?;
        if let Some(reason) = addrs.iter().find_map(O::mistake) {
            return Err(BindError::invalid(endpoint, reason));
        }
        if let (Some(value), Some(reason)) = (options.v6_only(), v6_only_mistake(host, &addrs)) {
            let (name, value) = ("v6_only".to_owned(), value.to_string());
            return Err(BindError::option(endpoint, OptionError::Value { name, value, reason }));
        }
        Ok(Self { endpoint, addrs, options })
    }

    /// A socket of the first address that can be bound. One that is in use ends the search: the second server is refused
    /// rather than bound to another address of the same name.
    ///
    /// # Errors
    /// An address is in use, or none can be bound.
    pub fn first(&self) -> Result<O::Socket, BindError> {
        let first = bind_first(&self.addrs, |addr| self.options.bind(addr)).map_err(|error| self.failed(error))?;
        self.options.tell_bound(self.endpoint, &O::as_ref(&first));
        Ok(first)
    }

    /// A socket of each address. With port 0 they share a free one; if there is none after 16 tries, some have one of their
    /// own. An address that cannot be bound is left out, and logged, if another can.
    ///
    /// # Errors
    /// An address is in use, or none can be bound. What was bound is dropped.
    pub fn each(&self) -> Result<Vec<O::Socket>, BindError> {
        let bind = |addr| {
            let socket = self.options.bind(addr)?;
            let local = O::as_ref(&socket).local_addr()?;
            Ok((socket, local.as_socket().map_or(0, |addr| addr.port())))
        };
        let each = bind_each(self.endpoint, &self.addrs, bind).map_err(|error| self.failed(error))?;
        if let Some(first) = each.first() {
            self.options.tell_bound(self.endpoint, &O::as_ref(first));
        }
        Ok(each)
    }

    /// A group of `members` of the first address that can be bound.
    ///
    /// # Errors
    /// As [`first`](Self::first), or a member could not be bound.
    pub fn group(&self, members: usize) -> Result<Vec<O::Socket>, BindError> {
        self.options.group(self.first()?, members).map_err(|error| self.failed(error))
    }

    /// A group of `members` of each address.
    ///
    /// # Errors
    /// As [`each`](Self::each), or a member could not be bound.
    pub fn groups(&self, members: usize) -> Result<Vec<Vec<O::Socket>>, BindError> {
        let groups = self.each()?.into_iter().map(|first| self.options.group(first, members));
        groups.collect::<io::Result<_>>().map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> BindError {
        BindError::from_io(self.endpoint, error)
    }
}

/// The host, the port and the options of an endpoint to dial.
///
/// # Errors
/// It has no host and port, its port is 0, or its options do not fit.
pub fn read_to_dial<O: HostOptions>(endpoint: &Endpoint) -> Result<(&str, u16, O), ConnectError> {
    let Place::Host { host, port } = endpoint.place() else { return Err(ConnectError::invalid(endpoint, O::PLACE)) };
    if *port == 0 {
        return Err(ConnectError::invalid(endpoint, "port 0 cannot be dialled; write the port of a server"));
    }
    let options = O::read(endpoint, Side::Connect).map_err(|error| ConnectError::option(endpoint, error))?;
    Ok((host, *port, options))
}
