//! UDP keeps the laws.
use swapwire_core::Registry;
use swapwire_testkit::Suite;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn udp_keeps_the_laws() {
    Suite::new(Registry::new().with(swapwire_udp::Udp::new()), || "udp://127.0.0.1:0".parse().expect("an endpoint"))
        .run()
        .await;
}
