//! Sessions that have much to do at once share the buffers of their thread.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::Net;
use dhat::{HeapStats, Profiler};
use swapwire_core::{ByteStream, Link, handler_fn};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::{Builder, Runtime};

#[global_allocator]
static ALLOC: dhat::Alloc = dhat::Alloc;

const SESSIONS: usize = 64;
/// What each has under way: 256 KiB, after which a session lets others run.
const MESSAGES: usize = 16;
const MESSAGE: usize = 16 << 10;
/// The buffer that a thread's session reads into.
const READ: usize = 128 << 10;
/// What a thread allocates the first time that it serves, in such buffers: one to read into, and two for replies, which grow by
/// doubling. It keeps them, so a thread that a busy machine lets run late allocates no more.
const MOST: usize = 8;
const ROUNDS: usize = 4;

/// One round: every session has all of it to read before any of them is served.
async fn exchange(clients: &mut [Box<dyn ByteStream>], requests: &[u8], replies: &mut [u8]) {
    for client in &mut *clients {
        client.write_all(requests).await.unwrap();
    }
    for client in clients {
        client.read_exact(replies).await.unwrap();
        assert!(requests == replies, "a wrong reply");
    }
}

/// How many buffers of [`READ`] bytes make up what is allocated in all rounds. The wire allocates nothing meanwhile.
fn made_in_all_rounds(runtime: &Runtime) -> usize {
    let mut requests = vec![b'x'; MESSAGES * MESSAGE];
    requests.chunks_mut(MESSAGE).for_each(|message| message[MESSAGE - 1] = b'\n');
    let mut replies = vec![0; requests.len()];
    runtime.block_on(async {
        let net = Net::new();
        let echo = handler_fn(|request, reply| Ok(reply.send(request.message())?));
        let server = net.start("wide:here", echo).await;
        let mut clients = Vec::new();
        for _ in 0..SESSIONS {
            let Ok(Link::Bytes { io, .. }) = net.registry.connect(&"wide:here".parse().unwrap()).await else {
                panic!("it is a byte stream");
            };
            clients.push(io);
        }
        let before = HeapStats::get().total_bytes;
        for _ in 0..ROUNDS {
            exchange(&mut clients, &requests, &mut replies).await;
        }
        let made = (HeapStats::get().total_bytes - before) as usize / READ;
        drop(clients);
        assert!(server.stop().await.is_clean());
        made
    })
}

/// One test: the heap is counted for the whole process.
#[test]
fn sessions_that_let_others_run_keep_no_buffers() {
    let _profiler = Profiler::builder().testing().build();
    let one = Builder::new_current_thread().enable_all().build().unwrap();
    let two = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for (threads, runtime) in [(1, one), (2, two)] {
        let made = made_in_all_rounds(&runtime);
        println!("{threads} threads: {made} buffers");
        assert!(made <= MOST * threads, "{made} buffers for {SESSIONS} sessions on {threads} threads");
    }
}
