//! The suite: every law against one transport.

use std::fmt;
use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use swapwire_core::{Endpoint, Registry};

use crate::stop::panic_text;
use crate::{Context, LAWS, Law, Report, Verdict};

/// Runs every law against one scheme of a registry.
///
/// ```no_run
/// # async fn conformance(registry: swapwire_core::Registry) {
/// use swapwire_testkit::Suite;
///
/// Suite::new(registry, || "tcp://127.0.0.1:0".parse().unwrap()).run().await;
/// # }
/// ```
///
/// Needs a tokio runtime with timers whose clock runs. Laws are run one after the other, each on endpoints of its own.
#[must_use = "a suite does nothing until it is run"]
pub struct Suite {
    registry: Registry,
    fresh: Arc<dyn Fn() -> Endpoint + Send + Sync>,
    dial: Arc<dyn Fn(Endpoint) -> Endpoint + Send + Sync>,
    passed: bool,
    case_timeout: Duration,
    skips: Vec<(String, String)>,
    only: Vec<String>,
}

impl Suite {
    /// A suite for the transport that `registry` holds for the scheme of `fresh`'s endpoints.
    ///
    /// `fresh` gives an endpoint that can be bound, another one at each call: port 0, or a name that was not used before; with
    /// the options that a bind needs. A place is bound again with the options of such an endpoint.
    pub fn new(registry: Registry, fresh: impl Fn() -> Endpoint + Send + Sync + 'static) -> Self {
        let case_timeout = Duration::from_secs(120);
        Self {
            registry,
            fresh: Arc::new(fresh),
            dial: Arc::new(|dial| dial),
            passed: false,
            case_timeout,
            skips: Vec::new(),
            only: Vec::new(),
        }
    }

    /// What a client dials, made of what [`Bound::dial`](swapwire_core::Bound::dial) says: for wires whose clients need an
    /// option that a server cannot know, as a file of trusted certificates.
    pub fn dial_with(mut self, dial: impl Fn(Endpoint) -> Endpoint + Send + Sync + 'static) -> Self {
        self.dial = Arc::new(dial);
        self
    }

    /// The endpoints name sockets that another program opened and holds, of a `SocketSource` of the core. Laws that need a socket
    /// of one's own are left out, and say so.
    pub const fn passed_sockets(mut self) -> Self {
        self.passed = true;
        self
    }

    /// The time after which a law counts as broken. It only guards against hanging: no law waits for time to pass.
    /// Default: 120 s, as a law may have to wait its turn on a busy machine.
    pub const fn case_timeout(mut self, timeout: Duration) -> Self {
        self.case_timeout = timeout;
        self
    }

    /// Leaves out `law`, and says `reason` in its place. Laws that do not apply by the transport's capabilities are left
    /// out without this.
    pub fn skip(mut self, law: &str, reason: &str) -> Self {
        self.skips.push((law.to_owned(), reason.to_owned()));
        self
    }

    /// Runs `law` alone, or with the others that were named so.
    pub fn only(mut self, law: &str) -> Self {
        self.only.push(law.to_owned());
        self
    }

    /// Runs the laws, and prints a line for each and a summary. The summary is shown even where a test runner keeps the
    /// output of a passing test to itself.
    ///
    /// # Panics
    /// If a law is broken; the text names each one and says why.
    ///
    /// # Cancel safety
    /// Cancel safe: what was bound and spawned is dropped.
    #[expect(clippy::print_stdout, reason = "the lines are what it is for")]
    pub async fn run(self) {
        let report = self.judge_all(|line| println!("{line}")).await;
        // Past the capture of `println!`; a summary that nobody can read is no reason to fail.
        let _ = writeln!(std::io::stderr(), "{}", report.summary());
        let mut broken = String::new();
        for (law, verdict) in report.verdicts() {
            if let Verdict::Broken(why) = verdict {
                broken.push_str(&format!("\n  {law}: {why}"));
            }
        }
        assert!(broken.is_empty(), "{}{broken}", report.summary());
    }

    /// Runs the laws, prints nothing, and says what was found.
    ///
    /// # Cancel safety
    /// Cancel safe: what was bound and spawned is dropped.
    pub async fn report(self) -> Report {
        self.judge_all(|_| ()).await
    }

    async fn judge_all(self, mut tell: impl FnMut(&str)) -> Report {
        let mut report = Report::new((self.fresh)().scheme().to_owned());
        for name in self.only.iter().chain(self.skips.iter().map(|(law, _)| law)) {
            if !LAWS.iter().any(|law| law.name() == name) {
                tell(&report.push(name, Verdict::Broken("there is no law of this name".to_owned())));
            }
        }
        for law in LAWS {
            if !self.only.is_empty() && !self.only.iter().any(|name| name == law.name()) {
                continue;
            }
            let verdict = match self.skips.iter().find(|(name, _)| name == law.name()) {
                Some((_, reason)) => Verdict::Skipped(reason.clone()),
                None => self.judge(law).await,
            };
            tell(&report.push(law.name(), verdict));
        }
        report
    }

    async fn judge(&self, law: &Law) -> Verdict {
        let (fresh, dial) = (Arc::clone(&self.fresh), Arc::clone(&self.dial));
        let ctx = match Context::new(self.registry.clone(), move || fresh()) {
            Ok(ctx) => ctx.dial_with(move |endpoint| dial(endpoint)).passed_sockets(self.passed),
            Err(error) => return Verdict::Broken(error.to_string()),
        };
        let run = AssertUnwindSafe(law.run(&ctx)).catch_unwind();
        let verdict = tokio::select! {
            biased;
            why = ctx.complaint() => Verdict::Broken(why),
            result = tokio::time::timeout(self.case_timeout, run) => match result {
                Ok(Ok(outcome)) => outcome.into(),
                Ok(Err(panic)) => Verdict::Broken(format!("panicked at {:?}: {}", ctx.last_step(), panic_text(&*panic))),
                Err(_) => Verdict::Broken(format!("not done within {:?}; it was at {:?}", self.case_timeout, ctx.last_step())),
            },
        };
        ctx.close().await;
        verdict
    }
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suite")
            .field("registry", &self.registry)
            .field("passed", &self.passed)
            .field("case_timeout", &self.case_timeout)
            .field("skips", &self.skips)
            .field("only", &self.only)
            .finish_non_exhaustive()
    }
}
