//! The byte stream.

use tokio::io::DuplexStream;

/// Bytes in flight each way, before the writer waits.
const BUFFER: usize = 64 * 1024;

pub(crate) fn pair() -> (DuplexStream, DuplexStream) {
    tokio::io::duplex(BUFFER)
}
