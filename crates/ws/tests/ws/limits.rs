//! What a reader keeps.

use swapwire_core::{Decoded, FrameError, FrameFactory as _};
use swapwire_ws::{MessageKind, WsFrames};

use crate::common::{BINARY, FIN, Feed, TEXT, masked};

#[test]
fn the_sum_of_fragments_is_bounded_before_they_are_kept() {
    let mut feed = Feed::server(100);
    feed.push(&masked(BINARY, &[1; 60])).unwrap();
    feed.push(&masked(0, &[2; 40])).unwrap();
    let next = masked(0, &[3; 1]);
    assert_eq!(feed.push(&next[..1]), Ok(()));
    assert_eq!(feed.push(&next[1..2]), Err(FrameError::TooLarge { len: 101, max: 100 }));
}

#[test]
fn a_message_may_be_as_long_as_the_limit() {
    for max in [0, 1, 125, 126, 65535, 65536] {
        let mut feed = Feed::server(max);
        feed.push(&masked(FIN | BINARY, &vec![1; max])).unwrap();
        let half = max / 2;
        feed.push(&[masked(BINARY, &vec![2; half]), masked(FIN, &vec![3; max - half])].concat()).unwrap();
        assert_eq!(feed.items.iter().map(|(_, message)| message.len()).collect::<Vec<_>>(), [max, max]);
        let error = feed.push(&masked(FIN | BINARY, &vec![1; max + 1])).unwrap_err();
        assert_eq!(error, FrameError::TooLarge { len: max as u64 + 1, max });
    }
}

/// The cases of Autobahn with the most fragments pass.
#[test]
fn fragments_are_bounded_by_what_they_take() {
    const MAX: usize = 16 << 20;
    let mut feed = Feed::server(MAX);
    let (begin, fragment) = (masked(TEXT, &[b'a'; 64]), masked(0, &[b'a'; 64]));
    feed.push(&begin).unwrap();
    for _ in 2..65536 {
        feed.push(&fragment).unwrap();
    }
    feed.push(&masked(FIN, &[b'a'; 64])).unwrap();
    assert_eq!(feed.items, [(TEXT, vec![b'a'; 4 << 20])]);
    assert!(feed.most_memory <= 2 * (4 << 20) + 64, "{}", feed.most_memory);

    let mut feed = Feed::server(100_000);
    feed.push(&masked(BINARY, &[1; 60_000])).unwrap();
    for _ in 0..40 {
        feed.push(&masked(0, &[2; 1000])).unwrap();
    }
    assert!(feed.most_memory <= 100_000 + 64, "{}", feed.most_memory);

    let max = 1 << 20;
    let mut feed = Feed::server(max);
    feed.push(&masked(BINARY, b"")).unwrap();
    let empty = masked(0, b"");
    let most = 2 * max / 16;
    for _ in 1..most {
        feed.push(&empty).unwrap();
    }
    let error = feed.push(&empty).unwrap_err();
    assert_eq!(error, FrameError::TooLarge { len: 16 * (most as u64 + 1), max: 2 * max });
    assert!(feed.most_memory < 256);
}

/// Where messages are short, a few fragments are still taken.
#[test]
fn short_messages_may_be_fragmented() {
    let mut feed = Feed::server(10);
    feed.push(&[masked(TEXT, b"ab"), masked(0, b"c"), masked(FIN, b"de")].concat()).unwrap();
    assert_eq!(feed.items, [(TEXT, b"abcde".to_vec())]);
}

#[test]
fn one_byte_fragments_take_no_more_than_twice_what_was_sent() {
    let mut feed = Feed::server(1 << 20);
    let mut sent = 0;
    for index in 0..10_000 {
        let fragment = masked(if index == 0 { BINARY } else { 0 }, b"x");
        sent += fragment.len();
        feed.push(&fragment).unwrap();
        assert!(feed.reader.memory() <= 2 * sent + 64, "{} of {sent}", feed.reader.memory());
    }
}

/// A whole message lies where it was received, without a copy.
#[test]
fn a_message_that_is_not_fragmented_stays_where_it_is() {
    let mut reader = WsFrames::server(MessageKind::Auto).reader(1 << 20);
    let mut bytes = [masked(FIN | BINARY, &[1; 300]), masked(FIN | TEXT, b"two")].concat();
    let first = Decoded::Frame { message: 8..308, consumed: 308 };
    assert_eq!(reader.decode(&mut bytes, false), Ok(first));
    assert_eq!(bytes[8..308], [1; 300]);
    assert_eq!(reader.decode(&mut bytes[308..], false), Ok(Decoded::Frame { message: 6..9, consumed: 9 }));
    assert_eq!((&bytes[314..], reader.memory()), (&b"two"[..], 0));
}
