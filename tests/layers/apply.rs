//! Layers change over a listener that stays bound.

use std::sync::Arc;

use crate::common::{Net, ask};
use swapwire::{Endpoint, IntoService as _, Listen, handler_fn};

#[tokio::test]
async fn a_listener_takes_other_layers_and_other_certificates() {
    let echo = handler_fn(|request, reply| Ok(reply.send(request.message())?)).into_service();
    for workers in [None, Some(2)] {
        let net = Net::new();
        let on = |scheme: &str, tcp: &Endpoint, query: &str| {
            let place = tcp.to_string().replacen("tcp", scheme, 1);
            Listen::on(&*format!("{place}{query}")).handler(Arc::clone(&echo))
        };
        let mut builder = net.server().listen(on("tcp", &"tcp://127.0.0.1:0".parse().unwrap(), ""));
        if let Some(workers) = workers {
            builder = builder.workers(workers);
        }
        let server = builder.bind().await.unwrap().start();
        let tcp = server.local_endpoints()[0].clone();
        let mut plain = net.connect(&tcp).await;
        ask(&mut plain, "a").await;
        let mut dialled = Vec::new();
        for (scheme, query) in [
            ("ws+tcp", "?path=/chat"),
            ("tls", "?self_signed=true"),
            ("tls", "?self_signed=true&min_version=1.3"),
            ("wss", "?self_signed=true"),
            ("tcp", ""),
        ] {
            let applied = server.handle().apply(vec![on(scheme, &tcp, query)]).await.unwrap();
            assert_eq!((applied.changed, applied.added), (1, 0), "{scheme}{query}");
            let dial = server.local_endpoints()[0].clone();
            assert_eq!(ask(&mut net.connect(&dial).await, "hello").await, "hello", "{dial}");
            dialled.push(dial);
        }
        // Each certificate is another one.
        assert!(dialled[1].option("pin").is_some() && dialled[1].option("pin") != dialled[2].option("pin"));
        assert_eq!(dialled[4], tcp);
        // What a layer needs is read before anything changes.
        let wrong = on("tls", &tcp, "?cert=/nowhere&key=/nowhere");
        let error = server.handle().apply(vec![wrong]).await.unwrap_err().to_string();
        assert!(error.contains("/nowhere"), "{error}");
        assert_eq!(ask(&mut plain, "b").await, "b");
        assert!(server.stop().await.is_clean());
    }
}
