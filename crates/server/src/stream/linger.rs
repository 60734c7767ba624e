//! Closing a byte stream so that the last reply survives.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use swapwire_core::ByteStream;
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};

use crate::ServeContext;
use crate::drain::LINGER_BYTES;
use crate::memory::WorkerBuffers;
use crate::time::within;

/// Ends the writing half, then reads and forgets a little: closing with unread input makes the system throw away what the
/// peer has not yet received. Behind the end of the input there is none, and dropping the stream does.
pub(crate) async fn linger(mut io: Box<dyn ByteStream>, time: Duration, cx: &ServeContext) {
    let _ = within(time, &cx.stats, async {
        io.shutdown().await?;
        let mut left = LINGER_BYTES;
        poll_fn(|task| {
            while left > 0 {
                let mut buffers = WorkerBuffers::take(&cx.buffers);
                let mut into = ReadBuf::new(&mut buffers.input);
                let read = Pin::new(&mut io).poll_read(task, &mut into);
                let len = into.filled().len();
                buffers.give();
                ready!(read)?;
                left = if len == 0 { 0 } else { left.saturating_sub(len) };
            }
            Poll::Ready(Ok::<_, std::io::Error>(()))
        })
        .await
    })
    .await;
}
