//! A datagram socket: receive many, answer all of them. In place of a datagram, a slot may hold a train of them.

use std::os::fd::OwnedFd;

use anyhow::Context as _;
use nix::errno::Errno;
use nix::libc;

use crate::mmsg::{Batch, Trains};

/// Datagrams, or trains, per system call, at most.
const BATCH: usize = 64;

/// The longest datagram, and the longest train.
const LONGEST: usize = 64 * 1024;

/// The socket blocks: with one thing to wait for, there is nothing to be asked what is ready.
pub(super) fn serve(socket: &OwnedFd, trains: Trains) -> anyhow::Result<()> {
    let mut batch = Batch::new(BATCH, LONGEST, false, trains);
    loop {
        let count = match batch.recv(socket, BATCH, libc::MSG_WAITFORONE) {
            Err(Errno::EINTR) => continue,
            count => count.context("receive")?,
        };
        for index in 0..count {
            batch.message(index).make_ascii_uppercase();
        }
        let mut done = 0;
        while done < count {
            done += match batch.send(socket, done..count) {
                Ok(sent) => sent,
                Err(Errno::EINTR) => 0,
                Err(_) => 1, // this client is gone, or has no name
            };
        }
    }
}
