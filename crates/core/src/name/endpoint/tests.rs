use proptest::prelude::*;

use super::*;

fn normal(text: &str) -> String {
    text.parse::<Endpoint>().unwrap_or_else(|e| panic!("{e}")).to_string()
}

#[test]
fn one_normal_form() {
    for (text, form) in [
        ("tcp://127.0.0.1:8888", "tcp://127.0.0.1:8888"),
        ("TCP://localhost:0/", "tcp://localhost:0"),
        ("udp://[::1]:53?ttl=3", "udp://[::1]:53?ttl=3"),
        ("unix:///run/x.sock", "unix:/run/x.sock"),
        ("unix:/run/x y", "unix:/run/x%20y"),
        ("unix:./x", "unix:./x"),
        ("unix:@name", "unix:@name"),
        ("unix:@%00%ff", "unix:@%00%FF"),
        ("ws://h:1/", "ws://h:1"),
        ("ws://h/chat?a=1", "ws://h:80/chat?a=1"),
        ("wss://[::1]/", "wss://[::1]:443"),
        ("nats://h/orders.new?queue=q", "nats://h:4222/orders.new?queue=q"),
        ("ws://h:1/@x", "ws://h:1/@x"),
        ("ws://h:1?a=1&path=/x%20y", "ws://h:1/x%20y?a=1"),
        ("ws://h:1/runCase%3Fcase=1%26agent=x", "ws://h:1/runCase%3Fcase=1&agent=x"),
        ("ws://h:1//?path2=/", "ws://h:1//?path2=/"),
        ("ws://h:1?path=/", "ws://h:1?path=/"),
        ("ws:/run/x.sock?path=/chat", "ws:/run/x.sock?path=/chat"),
        ("mem:chat?a=1&b=x%26y", "mem:chat?a=1&b=x%26y"),
        ("mem:%2Fx", "mem:%2Fx"),
    ] {
        assert_eq!(normal(text), form);
        assert_eq!(normal(form), form);
    }
}

#[test]
fn wrong_ones_say_what_would_be_right() {
    for (text, part) in [
        ("", "no scheme"),
        ("127.0.0.1", "no scheme"),
        ("127.0.0.1:8888", "not a scheme"),
        ("tcp://127.0.0.1", "write tcp://127.0.0.1:PORT"),
        ("tcp://:80", "no host"),
        ("tcp://::1:80", "brackets"),
        ("tcp://[::1]80", "PORT"),
        ("tcp://h:65536", "too large"),
        ("tcp://h:http", "not a port"),
        ("tcp://a b:1", "cannot be in a host name"),
        ("tcp:", "nothing after"),
        ("unix:@", "empty"),
        ("unix:/x?mode", "no value"),
        ("unix:/x?a=1&a=2", "twice"),
        ("ws://h:1/x?path=/y", "twice"),
        ("ws+tcp://h/x", "write ws+tcp://h:PORT"),
        ("ws://h:1/x#y", "%23"),
        ("unix:/x%zz", "hexadecimal"),
        ("unix:/x%00y", "NUL"),
        ("mem:x#y", "%23"),
    ] {
        let error = text.parse::<Endpoint>().expect_err(text).to_string();
        assert!(error.contains(part), "{text}: {error}");
        assert!(!error.contains('\n'));
    }
    assert!(format!("mem:{}", "x".repeat(5000)).parse::<Endpoint>().is_err());
    // Three bytes of the normal form for each.
    assert!(format!("mem:{}", " ".repeat(1364)).parse::<Endpoint>().is_ok());
    assert!(format!("mem:{}", " ".repeat(1365)).parse::<Endpoint>().is_err());
}

#[test]
fn a_password_before_the_host_is_refused_and_not_shown() {
    for text in ["nats://user:SECRET@h:4222/x", "tcp://SECRET@h:1", "nats://SECRET:@h", "nats://SECRET@"] {
        let error = text.parse::<Endpoint>().unwrap_err().to_string();
        assert!(error.contains("user_file=FILE") && !error.contains("SECRET"), "{error}");
    }
    let shown = "nats://u:p@h:1/x@y".parse::<Endpoint>().unwrap_err().to_string();
    assert!(shown.starts_with("endpoint \"nats://…@h:1/x@y\": "), "{shown}");
}

#[test]
fn an_endpoint_that_cannot_be_written_is_refused() {
    assert!(Endpoint::new("tcp", Place::Host { host: String::new(), port: 1 }).is_err());
    assert!(Endpoint::new("unix", Place::Path("relative".into())).is_err());
    assert!(Endpoint::new("unix", Place::Path("//double".into())).is_ok());
}

#[cfg(feature = "serde")]
#[test]
fn serde_is_the_text() {
    let endpoint: Endpoint = "unix:@a?mode=600".parse().unwrap();
    let json = serde_json::to_string(&endpoint).unwrap();
    assert_eq!(json, "\"unix:@a?mode=600\"");
    assert_eq!(serde_json::from_str::<Endpoint>(&json).unwrap(), endpoint);
}

proptest! {
    #[test]
    fn any_text_parses_or_fails_and_what_parses_round_trips(text in "([a-z]{1,5}:(//)?[/@.]{0,3}\\PC{0,20}|wss?://h(:1)?/\\PC{0,9})(\\?([a-z]|path)=\\PC{0,5})?(&path=/\\PC{0,3})?") {
        if let Ok(endpoint) = text.parse::<Endpoint>() {
            let form = endpoint.to_string();
            prop_assert_eq!(form.parse::<Endpoint>().unwrap(), endpoint);
        }
    }

    #[test]
    fn any_bytes_survive_in_a_name(name in proptest::collection::vec(any::<u8>(), 1..50)) {
        let endpoint = Endpoint::new("unix", Place::Abstract(name)).unwrap();
        prop_assert_eq!(endpoint.to_string().parse::<Endpoint>().unwrap(), endpoint);
    }
}
