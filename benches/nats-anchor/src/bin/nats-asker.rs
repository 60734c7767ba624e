//! `nats-asker ADDRESS SUBJECT SIZE closed DEPTH REQUESTS`, or `… open RATE SECONDS`: asks through a broker, judges every reply, and
//! prints what became of them as JSON. Requests without a reply for 10 seconds are lost.

#[path = "../../../../tests/common/broker/asker.rs"]
#[allow(dead_code, reason = "tests use more of it")]
mod asker;

use std::time::Duration;

use asker::{Asker, Load};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [address, subject, size, how, number, end] = &args[..] else {
        return Err("usage: nats-asker ADDRESS SUBJECT SIZE closed|open DEPTH|RATE REQUESTS|SECONDS".into());
    };
    let (number, end) = (number.parse()?, end.parse()?);
    let load = match &how[..] {
        "closed" => Load::Closed { depth: number, requests: end },
        "open" => Load::Open { rate: number },
        _ => return Err(format!("{how}: it is closed or open").into()),
    };
    let asker = Asker::start(address, subject, size.parse()?, load, Duration::from_secs(10))?;
    let outcome = match load {
        Load::Closed { .. } => asker.join(),
        Load::Open { .. } => {
            std::thread::sleep(Duration::from_secs(end));
            asker.stop()
        }
    };
    let (seconds, slowest) = (outcome.elapsed.as_secs_f64(), outcome.slowest.as_secs_f64());
    println!(
        "{{\"asked\": {}, \"answered\": {}, \"lost\": {}, \"doubled\": {}, \"wrong\": {}, \"nobody\": {}, \"seconds\": {seconds}, \
         \"slowest_s\": {slowest}}}",
        outcome.asked,
        outcome.answered,
        outcome.lost(),
        outcome.doubled,
        outcome.wrong,
        outcome.nobody
    );
    outcome.broken.map_or(Ok(()), |broken| Err(broken.into()))
}
