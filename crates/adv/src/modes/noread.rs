//! `noread`: peers that ask and never read.

use std::cell::RefCell;
use std::io;
use std::time::{Duration, Instant};

use clap::Args;
use futures::FutureExt as _;
use tokio::io::Interest;
use tokio::time::timeout;

use crate::common::{Common, Mode};
use crate::crowd::{Closed, Crowd, CrowdArgs, WatchArgs};
use crate::report::Report;
use crate::stream::Stream;
use crate::values::{Bytes, bytes, size};

/// The arguments of `noread`.
#[derive(Args, Clone, Debug)]
pub(crate) struct NoreadArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    crowd: CrowdArgs,
    #[command(flatten)]
    watch: WatchArgs,
    /// Write at most so many bytes of requests on each connection, of which an echo makes as many bytes of replies.
    /// Default: as many as the server takes
    #[arg(long, value_name = "BYTES", value_parser = size)]
    ask: Option<usize>,
    /// The request, which is written over and over. Default: a line of 1 KiB
    #[arg(long, value_name = "TEXT", value_parser = bytes)]
    request: Option<Bytes>,
    /// The receive buffer that the replies fill
    #[arg(long, value_name = "BYTES", value_parser = size)]
    receive_buffer: Option<usize>,
}

/// A run of `noread`.
#[derive(Debug)]
pub(crate) struct Noread {
    args: NoreadArgs,
    crowd: Crowd,
    requests: Vec<u8>,
    /// What each connection could write.
    written: RefCell<Vec<u64>>,
}

/// Who does not read is not told that there is nothing more to read, and has to look.
const LOOK: Duration = Duration::from_millis(50);
/// Written at once, at least.
const BLOCK: usize = 16 << 10;

impl Noread {
    /// # Errors
    /// As for a crowd.
    pub(crate) fn new(args: NoreadArgs) -> anyhow::Result<Self> {
        let crowd = Crowd::new(&args.common, &args.crowd, Self::NAME)?.with_receive_buffer(args.receive_buffer);
        let line = || [vec![b'N'; 1023], vec![b'\n']].concat();
        let request = args.request.clone().map_or_else(line, |Bytes(bytes)| bytes);
        let requests = request.repeat(BLOCK.div_ceil(request.len()));
        Ok(Self { args, crowd, requests, written: RefCell::new(Vec::new()) })
    }

    /// Writes what the server takes until it closes.
    async fn ask(&self, stream: &Stream, written: &mut usize) -> Closed {
        let most = self.args.ask.unwrap_or(usize::MAX);
        loop {
            while *written < most {
                let rest = &self.requests[*written % self.requests.len()..];
                match stream.try_write(&rest[..rest.len().min(most - *written)]) {
                    Ok(len) => *written += len,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Closed::by(&error),
                }
            }
            let interest = if *written < most { Interest::WRITABLE | Interest::ERROR } else { Interest::ERROR };
            let _ = timeout(LOOK, stream.ready(interest)).await;
            let now = stream.ready(Interest::READABLE | Interest::ERROR).now_or_never();
            match now {
                Some(Err(error)) => return Closed::by(&error),
                Some(Ok(ready)) if ready.is_error() => return Closed::Reset,
                Some(Ok(ready)) if ready.is_read_closed() => return Closed::Cleanly,
                _ => {}
            }
        }
    }
}

impl Mode for Noread {
    const NAME: &'static str = "noread";

    async fn drive(&self) -> anyhow::Result<()> {
        let act = async |_, stream: Stream| {
            let opened = Instant::now();
            let mut written = 0;
            if let Ok(how) = timeout(self.args.watch.longest(), self.ask(&stream, &mut written)).await {
                self.crowd.closed(how, opened);
            }
            self.written.borrow_mut().push(written as u64);
        };
        self.crowd.each(act).await;
        Ok(())
    }

    fn report(&self, report: &mut Report) {
        self.crowd.report(report);
        let mut written = self.written.borrow().clone();
        written.sort_unstable();
        let at = |index: usize| written.get(index).copied().unwrap_or(0);
        let (least, middle, most) = (at(0), at(written.len() / 2), at(written.len().saturating_sub(1)));
        report.line(format!("bytes written on each: least {least}, median {middle}, most {most}"));
        report.set("written_bytes", serde_json::json!({ "min": least, "median": middle, "max": most }));
        self.args.watch.judge(&self.crowd, report);
    }
}
