//! What can stand in the query of an endpoint.

use std::fmt;
use std::io;
use std::time::Duration;

use nix::unistd::Group;
use swapwire_core::{Endpoint, OptionDoc, OptionError, OptionValue, Place, Side};
use swapwire_socket::{Buffers, Wanted};

const MODE: OptionDoc =
    OptionDoc::new("mode", "octal, default 600", "permissions of the socket's file, whatever the umask", Side::Bind);
const GROUP: OptionDoc = OptionDoc::new(
    "group",
    "name or number, default the system's choice",
    "group of the socket's file; the mode must let it write",
    Side::Bind,
);
const BACKLOG: OptionDoc =
    OptionDoc::new("backlog", "number, default 1024", "connections that may wait to be accepted", Side::Bind);
const ALLOW_UID: OptionDoc =
    OptionDoc::new("allow_uid", "numbers, self, default all", "users that may connect", Side::Bind);
const ALLOW_GID: OptionDoc =
    OptionDoc::new("allow_gid", "numbers, self, default all", "groups that may connect", Side::Bind);
const CONNECT_TIMEOUT: OptionDoc = OptionDoc::new(
    "connect_timeout",
    "time, default 5s",
    "time for which connecting is tried again while the server's queue is full",
    Side::Connect,
);
const RECV_BUFFER: OptionDoc = OptionDoc::new(
    "recv_buffer",
    "size, default the system's",
    "the system's receive buffer; Linux counts the sender's",
    Side::Both,
);

/// The options of the scheme `unix`.
pub const OPTIONS: &[OptionDoc] = &[
    BACKLOG,
    MODE,
    GROUP,
    ALLOW_UID,
    ALLOW_GID,
    RECV_BUFFER,
    OptionDoc::new("send_buffer", "size, default the system's", "the system's send buffer", Side::Both),
    CONNECT_TIMEOUT,
];

/// The options of the scheme `unix-seq`.
pub const SEQ_OPTIONS: &[OptionDoc] = &[
    BACKLOG,
    MODE,
    GROUP,
    ALLOW_UID,
    ALLOW_GID,
    RECV_BUFFER,
    OptionDoc::new(
        "send_buffer",
        "size, default the system's",
        "the system's send buffer: a message has at most 32 bytes less than it",
        Side::Both,
    ),
    CONNECT_TIMEOUT,
];

/// The options of the scheme `unix-dgram`.
pub const DATAGRAM_OPTIONS: &[OptionDoc] = &[
    MODE,
    GROUP,
    RECV_BUFFER,
    OptionDoc::new(
        "send_buffer",
        "size, default 1MiB when binding",
        "the system's send buffer: bytes that peers have not read yet",
        Side::Both,
    ),
];

/// The options of any of the schemes, read.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) backlog: Wanted,
    pub(crate) access: Access,
    pub(crate) allowed: Allowed,
    pub(crate) buffers: Buffers,
    pub(crate) connect_timeout: Duration,
}

/// The permissions of a socket's file: `chmod(1)`, `chgrp(1)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) mode: u32,
    pub(crate) group: Option<u32>,
}

/// Users and groups that may connect, where some are named; `None` among them is our own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allowed {
    pub(crate) uids: Option<Vec<Option<u32>>>,
    pub(crate) gids: Option<Vec<Option<u32>>>,
}

struct Mode(u32);

struct GroupId(u32);

struct Ids(Vec<Option<u32>>);

impl Options {
    pub(crate) fn read(endpoint: &Endpoint, known: &[OptionDoc], side: Side) -> Result<Self, OptionError> {
        let options = endpoint.read_options();
        options.check(known, side)?;
        let value = |name: &str, reason: &str| OptionError::Value {
            name: name.to_owned(),
            value: endpoint.option(name).unwrap_or_default().to_owned(),
            reason: reason.to_owned(),
        };
        let (mode, group) = (options.get::<Mode>("mode")?, options.get::<GroupId>("group")?);
        if !matches!(endpoint.place(), Place::Path(_)) {
            if mode.is_some() {
                return Err(value("mode", "only a path has a mode; every user can connect to an abstract name"));
            }
            if group.is_some() {
                return Err(value(
                    "group",
                    "only a path has a group; write allow_gid to limit who may connect to an abstract name",
                ));
            }
        }
        let access = Access { mode: mode.map_or(0o600, |mode| mode.0), group: group.map(|group| group.0) };
        if access.group.is_some() && access.mode & 0o020 == 0 {
            let reason = format!("the mode {:03o} does not allow the group to connect; add mode=660", access.mode);
            return Err(value("group", &reason));
        }
        Ok(Self {
            backlog: options.get::<u32>("backlog")?.map_or(Wanted::Usual(1024), |n| Wanted::Asked(n as usize)),
            access,
            allowed: Allowed {
                uids: options.get::<Ids>("allow_uid")?.map(|ids| ids.0),
                gids: options.get::<Ids>("allow_gid")?.map(|ids| ids.0),
            },
            buffers: Buffers::asked(options.get("recv_buffer")?, options.get("send_buffer")?),
            connect_timeout: options.get("connect_timeout")?.unwrap_or(Duration::from_secs(5)),
        })
    }
}

impl Access {
    /// The mode that the file is created with: nothing for a group that it is not to have.
    pub(crate) fn first_mode(self) -> u32 {
        if self.group.is_some() { self.mode & 0o700 } else { self.mode }
    }
}

impl OptionValue for Mode {
    fn parse_option(value: &str) -> Result<Self, impl fmt::Display> {
        let digits = value.strip_prefix("0o").unwrap_or(value);
        let mode = u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o777 && !digits.starts_with('+'));
        mode.map(Self).ok_or("write three octal digits, as 600, 660 or 666")
    }
}

impl OptionValue for GroupId {
    fn parse_option(value: &str) -> Result<Self, impl fmt::Display> {
        // The largest number is no user's: to `chown(2)` it means no change.
        if let Ok(id) = value.parse()
            && id != u32::MAX
        {
            return Ok(Self(id));
        }
        match Group::from_name(value) {
            Ok(Some(group)) => Ok(Self(group.gid.as_raw())),
            Ok(None) => {
                Err("there is no such group; write the name of one, as in /etc/group, or its number".to_owned())
            }
            Err(error) => Err(format!("the system cannot look it up: {}; write its number", io::Error::from(error))),
        }
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
        assert_eq!((options.access, options.backlog.backlog()), (Access { mode: 0o660, group: None }, i32::MAX));
        assert_eq!(options.buffers, Buffers::asked(None, Some(65536)));
        let options = read("unix:/x").unwrap();
        assert_eq!((options.access.mode, options.backlog.backlog()), (0o600, 1024));
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
        assert_eq!(error, "option mode=600: only a path has a mode; every user can connect to an abstract name");
    }

    #[test]
    fn a_group_is_a_name_or_a_number_and_may_connect() {
        let root = Group::from_gid(0.into()).unwrap().unwrap();
        for (name, id) in [(root.name.as_str(), 0), ("0", 0), ("4294967294", 4_294_967_294)] {
            let access = read(&format!("unix:/x?mode=660&group={name}")).unwrap().access;
            assert_eq!((access, access.first_mode()), (Access { mode: 0o660, group: Some(id) }, 0o600));
        }
        for name in ["no-such-group", "", "-1", "4294967295", "4294967296"] {
            let error = read(&format!("unix:/x?mode=660&group={name}")).unwrap_err();
            assert!(
                error.starts_with(&format!("option group={name}: there is no such group; write the name")),
                "{error}"
            );
        }
        for mode in ["", "&mode=600", "&mode=606", "&mode=644"] {
            let error = read(&format!("unix:/x?group=0{mode}")).unwrap_err();
            assert!(error.ends_with(" does not allow the group to connect; add mode=660"), "{error}");
        }
        let error = read("unix:@x?group=0").unwrap_err();
        assert!(error.starts_with("option group=0: only a path has a group"), "{error}");
    }
}
