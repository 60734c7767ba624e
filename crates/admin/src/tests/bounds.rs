//! Those who ask badly, slowly or not at all.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use super::{Served, Shown, body, code, read};
use crate::readers::{LONGEST, MOST};
use crate::tests::Inner;

const LIVEZ: &str = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_request_may_come_in_any_pieces() {
    let served = Served::new(Shown::default()).await;
    for size in [1, 2, 7, LIVEZ.len()] {
        let mut io = served.connect().await;
        for piece in LIVEZ.as_bytes().chunks(size) {
            io.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(body(&read(&mut io).await), "ok\n", "{size}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_has_its_bounds() {
    let served = Served::new(Shown::default()).await;
    let start = "GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ";
    let longest = 4096 - start.len() - 4;
    for (extra, status) in [(longest, "200"), (longest + 1, "431"), (100_000, "431")] {
        let mut io = served.connect().await;
        let request = format!("{start}{}\r\n\r\n", "x".repeat(extra));
        // It may answer, and close, before it has read all.
        let _ = io.write_all(request.as_bytes()).await;
        assert_eq!(code(&read(&mut io).await), status, "{extra}");
    }
    let many = |count: usize| format!("GET /livez HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "a: b\r\n".repeat(count));
    assert_eq!(code(&served.ask(&many(63)).await), "200");
    assert_eq!(code(&served.ask(&many(64)).await), "431");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_request_is_told_at_once() {
    let served = Served::new(Shown::default()).await;
    for (bytes, status) in [
        ("\x16\x03\x01\x02\x00\x01", "400"),
        ("hello there\r\n", "400"),
        ("GET /livez HTTP/2.0\r\n\r\n", "505"),
        ("GET /livez HTTP/1.1\r\nHost: local\0host\r\n\r\n", "400"),
        ("GET /livez\r\n\r\n", "400"),
        ("GET /li vez HTTP/1.1\r\nHost: localhost\r\n\r\n", "505"),
    ] {
        let before = Instant::now();
        assert_eq!(code(&served.ask(bytes).await), status, "{bytes:?}");
        assert!(before.elapsed() < LONGEST, "{bytes:?}");
    }
    // Who leaves without a word, or within one, is no matter.
    for bytes in ["", "GET /li"] {
        let mut io = served.connect().await;
        io.write_all(bytes.as_bytes()).await.unwrap();
        io.shutdown().await.unwrap();
        assert_eq!(read(&mut io).await, "");
    }
    assert_eq!(code(&served.ask(LIVEZ).await), "200");
}

#[tokio::test(start_paused = true)]
async fn the_silent_make_room_and_have_five_seconds() {
    let served = Served::new(Shown::default()).await;
    let mut silent = Vec::new();
    for _ in 0..MOST {
        silent.push(served.connect().await);
    }
    let begun = Instant::now();
    // One asks: the first makes room, and no other.
    assert_eq!(code(&served.ask(LIVEZ).await), "200");
    assert_eq!(read(&mut silent.remove(0)).await, "");
    assert_eq!(begun.elapsed(), Duration::ZERO);
    for mut one in silent {
        // It drips, which makes it no longer.
        let _ = one.write_all(b"G").await;
        assert_eq!(read(&mut one).await, "");
        assert_eq!(begun.elapsed().as_secs(), LONGEST.as_secs());
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_is_cut() {
    const LONG: usize = 1 << 20;
    let served = Served::new(Shown(Inner { metrics: "x".repeat(LONG), ..Inner::default() }.into())).await;
    let mut slow = served.connect().await;
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let begun = Instant::now();
    tokio::time::sleep(LONGEST - Duration::from_millis(10)).await;
    // Others are answered meanwhile, and whole.
    assert_eq!(body(&served.get("/metrics").await).len(), LONG);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut got = Vec::new();
    let _ = slow.read_to_end(&mut got).await;
    assert!((1..LONG).contains(&got.len()), "{}", got.len());
    assert!(begun.elapsed() < LONGEST + Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_costs_its_reader_alone() {
    let served = Served::new(Shown(Inner { metrics: "panic".to_owned(), ..Inner::default() }.into())).await;
    for _ in 0..2 * MOST {
        assert_eq!(served.get("/metrics").await, "");
    }
    assert_eq!(code(&served.ask(LIVEZ).await), "200");
}
