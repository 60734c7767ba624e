//! `nats-anchor ADDRESS SUBJECT QUEUE [THREADS]`: answers each message in upper case, as one writes it by hand on `async-nats`.
//! One thread unless told otherwise. Prints `listening` when the broker has the subscription, and runs until it is killed.

use futures::StreamExt as _;

type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    let usage = "usage: nats-anchor ADDRESS SUBJECT QUEUE [THREADS]";
    let mut args = std::env::args().skip(1);
    let (Some(address), Some(subject), Some(queue)) = (args.next(), args.next(), args.next()) else {
        return Err(usage.into());
    };
    let threads: usize = args.next().map_or(Ok(1), |threads| threads.parse())?;
    let mut runtime = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    runtime.worker_threads(threads).enable_all().build()?.block_on(respond(address, subject, queue))
}

async fn respond(address: String, subject: String, queue: String) -> Result<(), Failed> {
    let client = async_nats::connect(address).await?;
    let mut messages = client.queue_subscribe(subject, queue).await?;
    client.flush().await?;
    println!("listening");
    while let Some(message) = messages.next().await {
        if let Some(reply) = message.reply {
            client.publish(reply, message.payload.to_ascii_uppercase().into()).await?;
        }
    }
    Ok(())
}
