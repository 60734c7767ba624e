//! Between a client and its broker: holds back what the broker says.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// The address of a relay to `broker` that gives on what comes from there only once it has waited for `time`, and reads nothing
/// meanwhile: it comes in bursts. It lasts as long as the process.
pub fn held_back(broker: &str, time: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, broker) = (listener.local_addr().unwrap().to_string(), broker.to_owned());
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(&broker).unwrap();
            server.set_nodelay(true).unwrap();
            client.set_nodelay(true).unwrap();
            let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || relay(from, to, Duration::ZERO));
            thread::spawn(move || relay(server, client, time));
        }
    });
    address
}

fn relay(mut from: TcpStream, mut to: TcpStream, time: Duration) -> io::Result<()> {
    let mut bytes = vec![0; 1 << 20];
    while let read @ 1.. = from.read(&mut bytes)? {
        thread::sleep(time);
        to.write_all(&bytes[..read])?;
    }
    to.shutdown(Shutdown::Write)
}
