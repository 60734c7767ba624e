//! The suite itself: what it says, what it leaves out, and what its README promises.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures::FutureExt as _;
use swapwire_core::{BindError, Bound, Capabilities, ConnectError, Endpoint, Link, Registry, Transport, async_trait};
use swapwire_mem::MemNetwork;
use swapwire_testkit::{Context, LAWS, Stop, Suite, Verdict, laws};

fn fresh(scheme: &'static str) -> impl Fn() -> Endpoint + Send + Sync + 'static {
    let names = AtomicUsize::new(0);
    move || format!("{scheme}:test-{}", names.fetch_add(1, Relaxed)).parse().expect("an endpoint")
}

fn suite(scheme: &'static str) -> Suite {
    Suite::new(Registry::new().with(MemNetwork::new()), fresh(scheme))
}

#[tokio::test]
async fn a_report_says_what_was_kept_and_what_was_left_out() {
    let report =
        suite("mem").only("second_bind").only("dead_peer").only("bulk").skip("bulk", "it is slow").report().await;
    assert_eq!(
        report.to_string(),
        "ok   second_bind\nskip bulk: it is slow\nskip dead_peer: for datagrams only\n\
         mem: 1 laws kept, 2 skipped, 0 broken"
    );
    assert_eq!(report.verdict("bulk"), Some(&Verdict::Skipped("it is slow".to_owned())));
    assert_eq!(report.verdict("ping_pong"), None);
}

#[tokio::test]
async fn a_law_that_does_not_exist_cannot_be_skipped() {
    let report = suite("mem").only("second_bind").skip("secnd_bind", "a typing error").report().await;
    assert_eq!(report.broken(), ["secnd_bind"]);
}

#[tokio::test]
async fn an_unknown_scheme_breaks_every_law() {
    let report = suite("mem-telepathy").report().await;
    assert_eq!(report.broken().len(), LAWS.len());
    assert!(report.to_string().contains("unknown scheme \"mem-telepathy\""), "{report}");
}

struct Hollow;

#[async_trait]
impl Transport for Hollow {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec!["hollow".into()]
    }

    fn capabilities(&self, _: &str) -> Capabilities {
        Capabilities::byte_stream()
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        Err(BindError::invalid(endpoint, "nothing here"))
    }

    async fn connect(&self, _: &Endpoint) -> Result<Link, ConnectError> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_broken_law_makes_run_panic_and_say_why() {
    let suite = Suite::new(Registry::new().with(Hollow), fresh("hollow")).case_timeout(Duration::from_secs(60));
    let panic = AssertUnwindSafe(suite.only("bulk").run()).catch_unwind().await.unwrap_err();
    let text = panic.downcast::<String>().unwrap();
    assert_eq!(
        *text,
        "hollow: 0 laws kept, 0 skipped, 1 broken\n  \
         bulk: a bind that should work: bind hollow:test-2: nothing here"
    );
}

#[test]
fn its_futures_can_be_spawned() {
    fn spawnable<T: Send + 'static>(_: T) {}
    spawnable(suite("mem").run());
    spawnable(suite("mem").report());
}

#[tokio::test]
async fn one_law_can_be_run_alone() {
    let registry = Registry::new().with(MemNetwork::new());
    let ctx = Context::new(registry.clone(), fresh("mem-seq")).unwrap();
    assert_eq!(laws::half_close(&ctx).await, Ok(()));
    let ctx = Context::new(registry, fresh("mem-dgram")).unwrap();
    assert!(matches!(laws::half_close(&ctx).await, Err(Stop::Skipped(_))));
}

#[test]
fn the_readme_lists_the_laws() {
    let readme = include_str!("../README.md");
    let listed: Vec<_> = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let laws: Vec<_> = LAWS.iter().map(|law| law.name()).collect();
    assert_eq!(listed, laws);
}

#[test]
fn the_laws_that_core_names_exist() {
    let named = [
        "batched_recv",
        "batched_send",
        "bind_again",
        "bound_elsewhere",
        "boundaries",
        "bulk",
        "cancelled_accept",
        "cancelled_recv",
        "close_flushes",
        "close_wakes_recv",
        "close_wakes_send",
        "connect_to_nobody",
        "dead_peer",
        "dropped_bind",
        "dropped_connect",
        "errors_stay_apart",
        "fenced_drain",
        "flush_reaches",
        "goodbye",
        "half_close",
        "handshake_sliced",
        "handshake_then_data_in_one_write",
        "last_arrivals",
        "lazy_connect",
        "listener_drop",
        "local_is_dialable",
        "peer_info_stacks",
        "ping_pong",
        "refused_accept_waits",
        "second_bind",
        "slow_peer",
        "stalled_handshake",
        "too_large",
        "truncation",
        "unknown_option",
    ];
    for name in named {
        assert!(LAWS.iter().any(|law| law.name() == name), "{name}");
    }
}
