//! What a broker counts of its clients.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use super::real::Broker;

/// For the configuration of a broker that is looked at.
pub(super) const MONITORED: &str = "http: \"127.0.0.1:-1\"\n";

/// The clients that are called `name`; those that are gone with `state` closed, others with open.
pub(super) fn clients(broker: &Broker, name: &str, state: &str) -> Vec<Value> {
    let line = broker.log.wait_for("Starting http monitor on ");
    let address = line.rsplit(' ').next().unwrap();
    let mut io = TcpStream::connect(address).unwrap();
    write!(io, "GET /connz?state={state} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    io.read_to_string(&mut answer).unwrap();
    let mut found: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let Value::Array(clients) = found["connections"].take() else {
        panic!("{answer}");
    };
    clients.into_iter().filter(|client| client["name"] == name).collect()
}
