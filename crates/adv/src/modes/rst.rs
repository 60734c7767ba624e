//! `rst`: peers that vanish in the middle of everything.

use std::cell::{Cell, RefCell};
use std::io;

use clap::Args;
use futures::StreamExt as _;
use futures::stream;

use crate::asking::{AskArgs, Asker};
use crate::common::{Common, Mode};
use crate::failures::{Failures, cause};
use crate::limits;
use crate::report::Report;
use crate::stream::Stream;
use crate::tagged::{Tag, mix};
use crate::values::count;

/// The arguments of `rst`.
#[derive(Args, Clone, Debug)]
pub(crate) struct RstArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    asking: AskArgs,
    /// Connections, one after the other
    #[arg(short, value_name = "N", default_value = "1000", value_parser = count)]
    n: u64,
    /// How many are open at once
    #[arg(long, value_name = "C", default_value = "16", value_parser = count)]
    concurrency: u64,
    /// Reset at once, so that the server accepts what is no more
    #[arg(long)]
    before_accept: bool,
}

/// A run of `rst`.
#[derive(Debug)]
pub(crate) struct Rst {
    args: RstArgs,
    asker: Asker,
    resets: Cell<u64>,
    written: Cell<u64>,
    read: Cell<u64>,
    failures: RefCell<Failures>,
    alive: RefCell<Option<io::Result<()>>>,
}

impl Rst {
    /// # Errors
    /// A datagram endpoint; more connections than descriptors; sizes that have no room for a tag.
    pub(crate) fn new(args: RstArgs) -> anyhow::Result<Self> {
        args.common.needs_stream(Self::NAME)?;
        limits::make_room_for(args.concurrency)?;
        let asker = Asker::new(&args.common, &args.asking)?;
        let [resets, written, read] = std::array::from_fn(|_| Cell::new(0));
        Ok(Self { args, asker, resets, written, read, failures: RefCell::default(), alive: RefCell::default() })
    }

    /// Writes a request up to a random byte, sometimes reads of the reply up to another, and resets.
    async fn one(&self, index: u64) -> io::Result<()> {
        let stream = self.asker.dial.stream(index).await?;
        if !self.args.before_accept {
            let mut random = fastrand::Rng::with_seed(mix(self.asker.seed, index));
            let (mut request, mut reply) = (Vec::new(), Vec::new());
            let tag = Tag { client: index as u32, seq: 0 };
            self.asker.tagged.request(tag, &mut request);
            self.asker.tagged.reply(tag, &mut reply);
            let len = random.usize(..=request.len());
            stream.write_all(&request[..len]).await?;
            self.written.set(self.written.get() + len as u64);
            if len == request.len() || random.u8(..4) == 0 {
                stream.write_all(&request[len..]).await?;
                let most = random.usize(1..=reply.len());
                self.read(&stream, &mut reply[..most]).await?;
            }
        }
        stream.reset_at_close()?;
        self.resets.set(self.resets.get() + 1);
        Ok(())
    }

    async fn read(&self, stream: &Stream, buffer: &mut [u8]) -> io::Result<()> {
        let read = tokio::time::timeout(self.args.asking.timeout, stream.read(buffer)).await;
        let len = read.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        self.read.set(self.read.get() + len as u64);
        Ok(())
    }
}

impl Mode for Rst {
    const NAME: &'static str = "rst";

    async fn drive(&self) -> anyhow::Result<()> {
        let one = async |index| {
            if let Err(error) = self.one(index).await {
                self.failures.borrow_mut().add(&error);
            }
        };
        let concurrency = usize::try_from(self.args.concurrency).unwrap_or(usize::MAX);
        stream::iter(0..self.args.n).for_each_concurrent(concurrency, one).await;
        let alive = self.asker.is_alive().await;
        self.alive.replace(Some(alive));
        Ok(())
    }

    fn report(&self, report: &mut Report) {
        let (resets, written, read) = (self.resets.get(), self.written.get(), self.read.get());
        let failures = self.failures.borrow();
        report.line(format!("{resets} resets, {written} bytes written and {read} read before; {failures}"));
        report.set("resets", resets);
        report.set("written_bytes", written);
        report.set("read_bytes", read);
        report.set("failures", failures.json());
        report.set("seed", self.asker.seed);
        judge_alive(&self.alive, report);
        if failures.total() > 0 {
            report.fault(format!("{} connections could not be used: {failures}", failures.total()));
        }
    }
}

/// Complains if the server did not answer at the end.
pub(super) fn judge_alive(alive: &RefCell<Option<io::Result<()>>>, report: &mut Report) {
    let alive = alive.borrow();
    report.set("alive", matches!(*alive, Some(Ok(()))));
    match &*alive {
        Some(Ok(())) => report.line("somebody new is answered"),
        Some(Err(error)) => report.fault(format!("somebody new is not answered: {}", cause(error))),
        None => {}
    }
}
