//! The families of metrics that the counters are in.

/// A family: what stands between `swapwire_` and its end is its name, and its counters differ by one label.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    /// By what its counters differ; empty where it has one.
    pub(super) label: &'static str,
    pub(super) help: &'static str,
}

/// Every family of counters, in the order in which they are written.
pub(super) const FAMILIES: &[Family] = &[
    family("sessions_total", "", "Sessions begun, on connections and on datagram sockets."),
    family("sessions_ended_total", "reason", "Sessions ended, by the reason."),
    family("handshakes_total", "outcome", "Handshakes of connections; of a wire without one it is done at once."),
    family("handshakes_evicted_total", "", "Handshakes that were ended because others needed their room."),
    family(
        "connections_refused_total",
        "reason",
        "Connections refused: the server was full, or their source had its share.",
    ),
    family("accept_errors_total", "", "Failed accepts."),
    family("messages_received_total", "", "Messages received."),
    family("messages_sent_total", "", "Messages sent, or queued for a byte stream."),
    family("received_bytes_total", "", "Bytes received, of byte streams with their framing."),
    family("sent_bytes_total", "", "Bytes sent, of byte streams with their framing."),
    family("requests_dropped_total", "reason", "Messages that were received and not handled."),
    family("datagrams_dropped_total", "reason", "Datagrams that were not handled, also before they were received."),
    family("datagrams_with_descriptors_total", "", "Datagrams that came with descriptors, which were closed."),
    family("replies_dropped_total", "reason", "Replies that were not sent."),
    family("replies_not_text_total", "", "Replies to text that were not UTF-8, and left as binary messages."),
    family("peers_evicted_total", "", "Sessions of peers that may be forged, ended to make room for others."),
    family("peer_errors_total", "", "Errors that peers provoked on a datagram socket."),
    family("handler_errors_total", "", "Calls or sessions that a handler gave up."),
    family("handler_panics_total", "", "Calls or sessions in which a handler panicked."),
    family("reconnects_total", "", "How often a listener on a connection of its own was connected anew."),
    family("receive_stalls_total", "", "How often receiving stopped because too many calls were waiting."),
    family("worker_late_total", "", "How often the thread of a listener was late by 100 ms or more."),
];

const fn family(name: &'static str, label: &'static str, help: &'static str) -> Family {
    Family { name, label, help }
}

/// The gauges of each listener: name and help.
pub(super) const GAUGES: &[(&str, &str)] = &[
    ("sessions_open", "Sessions that have begun and not ended."),
    ("listener_up", "1 while the listener takes in newcomers: all its loops run, and its place leads to it."),
    ("peers_limit", "Sessions of peers at once at most, of all sockets of the listener."),
];
