//! Reloads.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::Instant;

use super::{Inner, Served, Shown, body, code, read};
use crate::ReloadError;

const RELOAD: &str = "POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";

async fn until(is: impl Fn() -> bool) {
    while !is() {
        yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_hears_what_came_of_it() {
    let answer = Served::new(Shown::default()).await.ask(RELOAD).await;
    assert_eq!((code(&answer), body(&answer)), ("200", "2 listeners changed\n"));
    let fails = Some("swapwire.toml:3:1: unknown key".to_owned());
    let answer = Served::new(Shown(Inner { fails, ..Inner::default() }.into())).await.ask(RELOAD).await;
    assert_eq!((code(&answer), body(&answer)), ("500", "swapwire.toml:3:1: unknown key\n"));
}

#[tokio::test(start_paused = true)]
async fn a_source_without_files_has_nothing_to_reload() {
    struct Plain;
    impl crate::Source for Plain {
        fn metrics(&self) -> String {
            String::new()
        }

        fn status(&self) -> crate::Status {
            crate::Status::default()
        }
    }
    let answer = Served::new(Plain).await.ask(RELOAD).await;
    assert_eq!((code(&answer), body(&answer)), ("409", &*format!("{}\n", ReloadError::Nothing)));
}

#[tokio::test(start_paused = true)]
async fn one_reload_at_a_time_goes_on_without_its_asker() {
    let shown = Shown(Inner { go: Some(Notify::new()), ..Inner::default() }.into());
    let served = Served::new(shown.clone()).await;
    let mut first = served.connect().await;
    first.write_all(RELOAD.as_bytes()).await.unwrap();
    until(|| shown.0.begun.load(Relaxed) == 1).await;
    let answer = served.ask(RELOAD).await;
    assert_eq!((code(&answer), body(&answer)), ("409", "a reload is under way\n"));
    drop(first);
    // Silent ones take the place of whoever waits for it.
    for _ in 0..2 * crate::readers::MOST {
        drop(served.connect().await);
    }
    assert_eq!(code(&served.get("/livez").await), "200");
    shown.0.go.as_ref().unwrap().notify_one();
    until(|| shown.0.ended.load(Relaxed) == 1).await;
    // And then the next may.
    shown.0.go.as_ref().unwrap().notify_one();
    assert_eq!(code(&served.ask(RELOAD).await), "200");
    assert_eq!((shown.0.begun.load(Relaxed), shown.0.ended.load(Relaxed)), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_long_reload_is_not_waited_for() {
    let shown = Shown(Inner { go: Some(Notify::new()), ..Inner::default() }.into());
    let served = Served::new(shown.clone()).await;
    let begun = Instant::now();
    let mut io = served.connect().await;
    io.write_all(RELOAD.as_bytes()).await.unwrap();
    let answer = read(&mut io).await;
    assert_eq!(code(&answer), "202", "{answer}");
    assert!((Duration::from_secs(4)..Duration::from_secs(5)).contains(&begun.elapsed()));
    assert_eq!(shown.0.ended.load(Relaxed), 0);
    shown.0.go.as_ref().unwrap().notify_one();
    until(|| shown.0.ended.load(Relaxed) == 1).await;
}
