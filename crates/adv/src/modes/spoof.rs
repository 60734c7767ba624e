//! `udp-spoof`: datagrams from very many sources, and how many bytes those get for theirs.

mod sources;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use clap::Args;
use socket2::{Domain, Socket, Type};
use tokio::task::yield_now;
use tokio::time::sleep;

use self::sources::Net;
use super::rst::judge_alive;
use crate::asking::{AskArgs, Asker};
use crate::common::{Common, Mode};
use crate::datagram::LONGEST;
use crate::failures::{Failures, meaning};
use crate::limits;
use crate::report::Report;
use crate::target::Where;
use crate::values::{Bytes, bytes, count, time};

/// The arguments of `udp-spoof`.
#[derive(Args, Clone, Debug)]
pub(crate) struct SpoofArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    asking: AskArgs,
    /// Sources, each of which sends one request
    #[arg(short, value_name = "SOURCES", default_value = "10k", value_parser = count)]
    n: u64,
    /// The addresses to send from
    #[arg(long, value_name = "NET", default_value = "127.0.0.0/8")]
    src_net: Net,
    /// Send from addresses that are not this machine's; needs a privilege (`IP_TRANSPARENT`, ip(7))
    #[arg(long)]
    transparent: bool,
    /// The request
    #[arg(long, value_name = "TEXT", default_value = "x", value_parser = bytes)]
    request: Bytes,
    /// Sockets that are open at once. The oldest makes way for the next, and its replies are counted then; what comes after
    /// meets a closed port
    #[arg(long, value_name = "N", default_value = "1000", value_parser = count)]
    open: u64,
    /// Sources for each second. Default: as many as can be
    #[arg(long, value_name = "N", value_parser = count)]
    rate: Option<u64>,
    /// Wait so long for replies to the last
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = time)]
    settle: Duration,
    /// More bytes of replies for each byte of the request are a fault
    #[arg(long, value_name = "RATIO", default_value = "3")]
    ratio: f64,
    /// So many bytes of replies to one source are none
    #[arg(long, value_name = "BYTES", default_value = "64")]
    floor: u64,
}

/// A run of `udp-spoof`.
#[derive(Debug)]
pub(crate) struct Spoof {
    args: SpoofArgs,
    asker: Asker,
    to: SocketAddr,
    seed: u64,
    sent: Cell<u64>,
    /// Sources that got a reply, all their bytes, and the most that one got.
    answered: Cell<u64>,
    replies: Cell<u64>,
    most: Cell<u64>,
    failures: RefCell<Failures>,
    alive: RefCell<Option<io::Result<()>>>,
}

/// Sources after which the others get a turn.
const TURN: u64 = 64;
/// Before a source is used again that the system calls busy.
const BUSY: Duration = Duration::from_millis(2);

impl Spoof {
    /// # Errors
    /// Another endpoint than of UDP; a network of the other family; more sockets than descriptors, more sources than the
    /// network has.
    pub(crate) fn new(args: SpoofArgs) -> anyhow::Result<Self> {
        let (target, net) = (&args.common.target, args.src_net);
        let Where::Ip(to) = *target.place() else { anyhow::bail!("udp-spoof {target}: write a udp endpoint") };
        anyhow::ensure!(target.has_datagrams(), "udp-spoof {target}: write a udp endpoint");
        let same = net.source(0, 0).is_some_and(|source| source.is_ipv4() == to.is_ipv4());
        anyhow::ensure!(same, "--src-net: write a network of the same family as {target}");
        anyhow::ensure!(args.n <= net.sources(), "-n {}: the network has {} sources", args.n, net.sources());
        limits::make_room_for(args.open)?;
        let asker = Asker::new(&args.common, &args.asking)?;
        let seed = asker.seed;
        let [sent, answered, replies, most] = std::array::from_fn(|_| Cell::new(0));
        let (failures, alive) = (RefCell::default(), RefCell::default());
        Ok(Self { args, asker, to, seed, sent, answered, replies, most, failures, alive })
    }

    fn send(&self, from: SocketAddr) -> io::Result<UdpSocket> {
        let socket = Socket::new(Domain::for_address(from), Type::DGRAM, None)?;
        socket.set_nonblocking(true)?;
        if self.args.transparent && from.is_ipv4() {
            socket.set_ip_transparent_v4(true)?;
        } else if self.args.transparent {
            socket.set_ip_transparent_v6(true)?;
        }
        socket.bind(&from.into())?;
        let socket = UdpSocket::from(socket);
        socket.send_to(&self.args.request.0, self.to)?;
        self.sent.set(self.sent.get() + 1);
        Ok(socket)
    }

    /// Counts what came back to a source, which then is no more.
    fn close(&self, socket: &UdpSocket, buffer: &mut [u8]) {
        let mut got = 0;
        while let Ok((len, _)) = socket.recv_from(buffer) {
            got += len as u64;
        }
        self.answered.set(self.answered.get() + u64::from(got > 0));
        self.replies.set(self.replies.get() + got);
        self.most.set(self.most.get().max(got));
    }
}

impl Mode for Spoof {
    const NAME: &'static str = "udp-spoof";

    async fn drive(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut open = VecDeque::new();
        let mut buffer = vec![0; LONGEST];
        for index in 0..self.args.n {
            if open.len() as u64 >= self.args.open
                && let Some(oldest) = open.pop_front()
            {
                self.close(&oldest, &mut buffer);
            }
            if let Some(from) = self.args.src_net.source(index, self.seed) {
                match self.send(from) {
                    Ok(socket) => open.push_back(socket),
                    Err(error) => {
                        self.failures.borrow_mut().add(&error);
                        if meaning(&error) == "other" {
                            sleep(BUSY).await;
                        }
                    }
                }
            }
            if let Some(rate) = self.args.rate {
                let due = begun + Duration::from_secs_f64(index as f64 / rate as f64);
                sleep(due.saturating_duration_since(Instant::now())).await;
            } else if index % TURN == 0 {
                yield_now().await;
            }
        }
        sleep(self.args.settle).await;
        open.iter().for_each(|socket| self.close(socket, &mut buffer));
        let alive = self.asker.is_alive().await;
        self.alive.replace(Some(alive));
        Ok(())
    }

    fn report(&self, report: &mut Report) {
        let (sent, answered, replies, most) =
            (self.sent.get(), self.answered.get(), self.replies.get(), self.most.get());
        let request = self.args.request.0.len() as u64;
        let failures = self.failures.borrow();
        let ratio = replies as f64 / (sent * request).max(1) as f64;
        report.line(format!("{sent} sources sent {request} bytes each, {answered} were answered; {failures}"));
        report.line(format!("{replies} bytes of replies, {ratio:.2} for each of a request; the most to one: {most}"));
        report.set("sources", sent);
        report.set("request_bytes", request);
        report.set("answered", answered);
        report.set("reply_bytes", replies);
        report.set("ratio", ratio);
        report.set("most_to_one", most);
        report.set("failures", failures.json());
        report.set("seed", self.seed);
        judge_alive(&self.alive, report);
        if most > self.args.floor && most as f64 > self.args.ratio * request as f64 {
            report
                .fault(format!("{most} bytes were replied to {request}, which is more than {} times", self.args.ratio));
        }
        if sent == 0 {
            report.fault(format!("nothing was sent: {failures}"));
        }
    }
}
