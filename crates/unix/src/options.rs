//! What can stand in the query of an endpoint.

use std::fmt;
use std::io;
use std::time::Duration;

use socket2::SockRef;
use swapwire_core::{Endpoint, OptionDoc, OptionError, OptionValue, Place, Side};

const MODE: OptionDoc =
    OptionDoc::new("mode", "octal, default 600", "permissions of the socket's file, whatever the umask", Side::Bind);
const RECV_BUFFER: OptionDoc = OptionDoc::new(
    "recv_buffer",
    "size, default the system's",
    "the system's receive buffer; Linux counts the sender's",
    Side::Both,
);

/// The options of the scheme `unix`.
pub const OPTIONS: &[OptionDoc] = &[
    OptionDoc::new("backlog", "number, default 1024", "connections that may wait to be accepted", Side::Bind),
    MODE,
    OptionDoc::new("allow_uid", "numbers, self, default anybody", "users that may connect", Side::Bind),
    OptionDoc::new("allow_gid", "numbers, self, default anybody", "groups that may connect", Side::Bind),
    RECV_BUFFER,
    OptionDoc::new("send_buffer", "size, default the system's", "the system's send buffer", Side::Both),
    OptionDoc::new(
        "connect_timeout",
        "time, default 5s",
        "try again so long while the server's queue is full",
        Side::Connect,
    ),
];

/// The options of the scheme `unix-dgram`.
pub const DATAGRAM_OPTIONS: &[OptionDoc] = &[
    MODE,
    RECV_BUFFER,
    OptionDoc::new(
        "send_buffer",
        "size, default 1MiB when binding",
        "the system's send buffer: what peers have not read yet",
        Side::Both,
    ),
];

/// The options of either scheme, read.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) backlog: i32,
    pub(crate) mode: u32,
    pub(crate) allowed: Allowed,
    pub(crate) buffers: Buffers,
    pub(crate) connect_timeout: Duration,
}

/// The sizes of a socket's buffers, in bytes, where they are not the system's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Buffers {
    pub(crate) recv: Option<usize>,
    pub(crate) send: Option<usize>,
}

/// Users and groups that may connect, where some are named; `None` among them is our own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allowed {
    pub(crate) uids: Option<Vec<Option<u32>>>,
    pub(crate) gids: Option<Vec<Option<u32>>>,
}

struct Mode(u32);

struct Ids(Vec<Option<u32>>);

impl Options {
    pub(crate) fn read(endpoint: &Endpoint, known: &[OptionDoc], side: Side) -> Result<Self, OptionError> {
        let options = endpoint.read_options();
        options.check(known, side)?;
        let mode = options.get::<Mode>("mode")?;
        if mode.is_some() && !matches!(endpoint.place(), Place::Path(_)) {
            return Err(OptionError::Value {
                name: "mode".to_owned(),
                value: endpoint.option("mode").unwrap_or_default().to_owned(),
                reason: "only a path has a mode; everybody can reach an abstract name".to_owned(),
            });
        }
        Ok(Self {
            backlog: options.get::<u32>("backlog")?.map_or(1024, |n| i32::try_from(n).unwrap_or(i32::MAX)),
            mode: mode.map_or(0o600, |mode| mode.0),
            allowed: Allowed {
                uids: options.get::<Ids>("allow_uid")?.map(|ids| ids.0),
                gids: options.get::<Ids>("allow_gid")?.map(|ids| ids.0),
            },
            buffers: Buffers { recv: options.get("recv_buffer")?, send: options.get("send_buffer")? },
            connect_timeout: options.get("connect_timeout")?.unwrap_or(Duration::from_secs(5)),
        })
    }
}

impl Buffers {
    pub(crate) fn apply(self, socket: SockRef<'_>) -> io::Result<()> {
        // The system takes a C int.
        let size = |bytes: usize| bytes.min(1 << 30);
        if let Some(bytes) = self.recv {
            socket.set_recv_buffer_size(size(bytes))?;
        }
        if let Some(bytes) = self.send {
            socket.set_send_buffer_size(size(bytes))?;
        }
        Ok(())
    }
}

impl OptionValue for Mode {
    fn parse_option(value: &str) -> Result<Self, impl fmt::Display> {
        let digits = value.strip_prefix("0o").unwrap_or(value);
        let mode = u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o777 && !digits.starts_with('+'));
        mode.map(Self).ok_or("write three octal digits, as 600, 660 or 666")
    }
}

impl OptionValue for Ids {
    fn parse_option(value: &str) -> Result<Self, impl fmt::Display> {
        let id = |text: &str| if text == "self" { Some(None) } else { text.parse().ok().map(Some) };
        let ids: Option<_> = value.split(',').map(id).collect();
        ids.map(Self).ok_or("write numbers, or self, with commas between them, as 0,1000 or self")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Options, String> {
        let endpoint: Endpoint = text.parse().unwrap();
        Options::read(&endpoint, OPTIONS, Side::Bind).map_err(|e| e.to_string())
    }

    #[test]
    fn options_are_typed() {
        let options = read("unix:/x?mode=0660&backlog=4294967295&send_buffer=64k").unwrap();
        assert_eq!((options.mode, options.backlog), (0o660, i32::MAX));
        assert_eq!(options.buffers, Buffers { recv: None, send: Some(65536) });
        let options = read("unix:/x").unwrap();
        assert_eq!((options.mode, options.backlog), (0o600, 1024));
    }

    #[test]
    fn a_rule_is_a_list_of_numbers() {
        assert_eq!(read("unix:/x").unwrap().allowed, Allowed::default());
        let Allowed { uids, gids } = read("unix:/x?allow_uid=0,1000,self&allow_gid=self").unwrap().allowed;
        assert_eq!((uids, gids), (Some(vec![Some(0), Some(1000), None]), Some(vec![None])));
        for ids in ["", "root", "1,", "-1", "4294967296", "Self"] {
            let error = read(&format!("unix:/x?allow_gid={ids}")).unwrap_err();
            let help = "write numbers, or self, with commas between them, as 0,1000 or self";
            assert_eq!(error, format!("option allow_gid={ids}: {help}"));
        }
    }

    #[test]
    fn a_mode_is_three_octal_digits_of_a_path() {
        for mode in ["800", "1777", "rw", "", "+60", "-1"] {
            let error = read(&format!("unix:/x?mode={mode}")).unwrap_err();
            assert_eq!(error, format!("option mode={mode}: write three octal digits, as 600, 660 or 666"));
        }
        let error = read("unix:@x?mode=600").unwrap_err();
        assert_eq!(error, "option mode=600: only a path has a mode; everybody can reach an abstract name");
    }
}
