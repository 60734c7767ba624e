//! Options that do not fit: one line each, with the endpoint and what would be right.

use swapwire_core::{Endpoint, Registry};
use swapwire_mem::MemNetwork;
use swapwire_stack::WithLayer as _;
use swapwire_ws::Ws;

fn registry() -> Registry {
    Registry::new().with(MemNetwork::new()).with_layer(Ws::new())
}

#[tokio::test]
async fn binds_that_cannot_be() {
    for (options, reason) in [
        ("path=chat", "option path=chat: write a path that begins with /"),
        ("path=/chat%3Fa", "option path=/chat?a: a server has no query, and takes a request with any"),
        ("type=blob", "option type=blob: write auto, text or binary"),
        ("protocol=a,,b", "option protocol=a,,b: write names with commas between them"),
        ("protocol=a b", "option protocol=a b: write names of subprotocols, of letters, digits and -._"),
        (
            "origin=a.example",
            "option origin=a.example: write origins as browsers do, https://a.example or http://a.example:8080, null, or * for \
             all but null",
        ),
        ("host=a:80", "option host=a:80: write names without ports, as chat.example"),
        ("headers=a:b", "option headers=a:b: write names of headers, as cookie,user-agent"),
    ] {
        let endpoint: Endpoint = format!("ws+mem:x?{options}").parse().unwrap();
        let error = registry().bind(&endpoint).await.map(|_| ()).unwrap_err().to_string();
        assert_eq!(error, format!("bind {endpoint}: {reason}"));
    }
}

#[tokio::test]
async fn connects_that_cannot_be() {
    // Each of its bytes takes three.
    let long = format!("path=/{}", "[".repeat(3000));
    for (options, reason) in [
        ("path=chat", "option path=chat: write a path that begins with /"),
        ("path=*", "option path=*: write a path that begins with /"),
        ("headers=cookie", "option \"headers\" is for binding only"),
        ("origin=a", "option origin=a: write an origin as browsers do, https://a.example, or null"),
        ("host=a/b", "option host=a/b: write a name, and a port if there is one"),
        (&long, "the request has 9150 bytes, and a server takes 8192 at most"),
    ] {
        let endpoint: Endpoint = format!("ws+mem:x?{options}").parse().unwrap();
        let error = registry().connect(&endpoint).await.map(|_| ()).unwrap_err().to_string();
        assert_eq!(error, format!("connect {endpoint}: {reason}"));
    }
}

#[tokio::test]
async fn what_is_dialled_has_the_path() {
    for (options, dial) in [
        ("", "ws+mem:x"),
        ("?path=/", "ws+mem:x"),
        ("?path=*", "ws+mem:x"),
        ("?path=/chat&protocol=a&host=h&origin=null&headers=cookie", "ws+mem:x?path=/chat"),
    ] {
        let registry = registry();
        let bound = registry.bind(&format!("ws+mem:x{options}").parse().unwrap()).await.unwrap();
        assert_eq!(bound.dial().to_string(), dial);
    }
}
