//! Sockets that another program opened.

use std::os::fd::BorrowedFd;

use socket2::{Domain, Protocol, SockRef, Type};
use swapwire_core::{BindError, Endpoint, OptionError};

/// What a socket is: `SO_DOMAIN`, `SO_TYPE`, and `SO_PROTOCOL` where the system tells it (`socket(7)`). `None`: not a socket.
pub fn kind_of(socket: BorrowedFd<'_>) -> Option<(Domain, Type, Option<Protocol>)> {
    let socket = SockRef::from(&socket);
    #[cfg(target_os = "linux")]
    let (domain, protocol) = (socket.domain().ok()?, socket.protocol().ok()?);
    #[cfg(not(target_os = "linux"))]
    let (domain, protocol) = (socket.local_addr().ok()?.domain(), None);
    Some((domain, socket.r#type().ok()?, protocol))
}

/// Refuses those options of `endpoint` that say how a socket is opened, for one that another program has opened.
///
/// # Errors
/// One of `options` is given.
pub fn refuse_options_of_opening(endpoint: &Endpoint, options: &[&str]) -> Result<(), BindError> {
    let Some((name, value)) = options.iter().find_map(|name| Some((*name, endpoint.option(name)?))) else {
        return Ok(());
    };
    let reason = "the program that opened the socket has set this; leave the option out".to_owned();
    let (name, value) = (name.to_owned(), value.to_owned());
    Err(BindError::option(endpoint, OptionError::Value { name, value, reason }))
}
