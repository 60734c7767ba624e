//! Every order in which a drain may begin and be looked for.

use std::future::poll_fn;
use std::task::Poll;

use super::*;
use crate::sync::{block_on, explore, thread};

#[test]
fn whoever_watches_hears_of_the_drain() {
    explore(3, || {
        let drain = Drain::default();
        let watchers = [(); 2].map(|()| {
            let mut watch = drain.watch();
            thread::spawn(move || block_on(poll_fn(|cx| if watch.poll(cx) { Poll::Ready(()) } else { Poll::Pending })))
        });
        drain.begin();
        watchers.into_iter().for_each(|watcher| watcher.join().expect("it is told"));
    });
}
