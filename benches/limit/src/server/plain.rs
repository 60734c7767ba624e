//! One datagram after the other, as anybody would write it.

use std::io;

use anyhow::Context as _;

/// The longest datagram.
const LONGEST: usize = 64 * 1024;

/// Serves with what receives a datagram and tells its sender, and what sends one to it.
pub(super) fn serve<A>(
    receive: impl Fn(&mut [u8]) -> io::Result<(usize, A)>,
    send: impl Fn(&[u8], &A) -> io::Result<usize>,
) -> anyhow::Result<()> {
    let mut buffer = vec![0; LONGEST];
    loop {
        let (len, peer) = match receive(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            received => received.context("receive")?,
        };
        let message = &mut buffer[..len];
        message.make_ascii_uppercase();
        let _ = send(message, &peer); // who is gone has no reply
    }
}
