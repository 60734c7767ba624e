//! The options of an endpoint, but for those of the wire below and of TLS.

use std::time::Duration;

use swapwire_core::{Endpoint, OptionDoc, Side, UpgradeError};

use crate::subject::{Subject, is_word};

pub(crate) const OPTIONS: &[OptionDoc] = &[
    OptionDoc::new(
        "path",
        "subject",
        "the subject, which is written behind the port: without blanks, without wildcards",
        Side::Both,
    ),
    OptionDoc::new(
        "queue",
        "name, default none",
        "the queue group, whose members share the messages; needed with more than one worker",
        Side::Bind,
    ),
    OptionDoc::new(
        "servers",
        "host:port, several with commas; default none",
        "further brokers of the same cluster, which are tried in this order",
        Side::Both,
    ),
    OptionDoc::new(
        "discover",
        "bool, default true",
        "whether brokers that a broker names are tried as well",
        Side::Both,
    ),
    OptionDoc::new(
        "wait",
        "bool, default false",
        "serve as soon as a broker is there, rather than fail without one",
        Side::Bind,
    ),
    OptionDoc::new(
        "connect_timeout",
        "time, default 5s",
        "how long a broker may take to accept this client, handshakes included",
        Side::Both,
    ),
    OptionDoc::new(
        "tls",
        "bool, default as the broker asks; with an option of TLS true",
        "whether a connection without TLS is an error; with false, one with it",
        Side::Both,
    ),
    OptionDoc::new("user_file", "path, default none", "file with a user and a password, on a line each", Side::Both),
    OptionDoc::new("token_file", "path, default none", "file with a token", Side::Both),
    OptionDoc::new("creds", "path, default none", ".creds file of a user, or file with an NKEY seed", Side::Both),
    OptionDoc::new(
        "key_mode",
        "strict or any, default strict",
        "whether a file of secrets that every user can read is refused",
        Side::Both,
    ),
    OptionDoc::new("name", "text, default swapwire", "what the broker's monitoring calls the connection", Side::Both),
    OptionDoc::new(
        "pending",
        "size, default 8MiB",
        "memory of received messages that wait; of more, the newest are dropped",
        Side::Both,
    ),
    OptionDoc::new(
        "ping",
        "time, default 5s",
        "how often the broker is asked whether it is there; two answers that are missing end the connection",
        Side::Both,
    ),
];

/// The options of one endpoint, checked, but for those of the dialer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) subject: Subject,
    pub(crate) queue: Option<String>,
    pub(crate) wait: bool,
    pub(crate) pending: usize,
    pub(crate) ping: Duration,
}

impl Options {
    pub(crate) fn read(endpoint: &Endpoint) -> Result<Self, UpgradeError> {
        let options = endpoint.read_options();
        let path = options.get::<String>("path")?.unwrap_or_default();
        let subject = path.strip_prefix('/').unwrap_or(&path);
        if subject.is_empty() {
            let text = "no subject; write it behind the port, as in nats://127.0.0.1:4222/orders.new";
            return Err(UpgradeError::Invalid(text.to_owned()));
        }
        let queue = options.get::<String>("queue")?;
        if let Some((queue, Err(reason))) = queue.as_deref().map(|queue| (queue, is_word(queue))) {
            return Err(UpgradeError::Invalid(format!("option queue={queue}: {reason}")));
        }
        Ok(Self {
            subject: Subject::new(subject).map_err(UpgradeError::Invalid)?,
            queue,
            wait: options.get("wait")?.unwrap_or(false),
            pending: options
                .get_in("pending", 64 << 10..=1 << 30, "write a size from 64KiB to 1GiB")?
                .unwrap_or(8 << 20),
            ping: options
                .get_in(
                    "ping",
                    Duration::from_millis(100)..=Duration::from_secs(3600),
                    "write a time from 100ms to 1h",
                )?
                .unwrap_or(Duration::from_secs(5)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Options, String> {
        Options::read(&text.parse().unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_path_is_the_subject() {
        for text in ["nats://h:4222/a.b?queue=q", "nats://h:4222?path=a.b&queue=q", "nats:broker?path=/a.b&queue=q"] {
            let options = read(text).unwrap();
            assert_eq!((options.subject.as_str(), options.queue.as_deref()), ("a.b", Some("q")), "{text}");
        }
        assert_eq!(read("nats://h/a/b").unwrap().subject.as_str(), "a/b");
        let usual = read("nats://h/a").unwrap();
        assert_eq!((usual.wait, usual.pending, usual.ping), (false, 8 << 20, Duration::from_secs(5)));
    }

    #[test]
    fn wrong_ones_say_what_would_be_right() {
        for (text, part) in [
            ("nats://h:4222", "no subject; write it behind the port"),
            ("nats://h:4222/", "no subject"),
            ("nats://h:4222//", "subject \"/\""),
            ("nats://h:4222/a%20b", "no blanks"),
            ("nats://h:4222/a.>", "no wildcards"),
            ("nats://h:4222/a?queue=", "option queue=: it is empty"),
            ("nats://h:4222/a?queue=b%0Ac", "no blanks"),
            ("nats://h:4222/a?wait=maybe", "true or false"),
            ("nats://h:4222/a?pending=1k", "64KiB"),
            ("nats://h:4222/a?ping=0", "100ms"),
        ] {
            match read(text) {
                Err(error) => assert!(error.contains(part), "{text}: {error}"),
                // A slash is a letter like others.
                Ok(options) => assert_eq!(options.subject.as_str(), "/", "{text}"),
            }
        }
    }
}
