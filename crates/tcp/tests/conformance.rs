//! TCP keeps the laws.
use swapwire_core::Registry;
use swapwire_testkit::Suite;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_keeps_the_laws() {
    Suite::new(Registry::new().with(swapwire_tcp::Tcp::new()), || "tcp://127.0.0.1:0".parse().expect("an endpoint"))
        .run()
        .await;
}
