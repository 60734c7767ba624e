//! Where the pieces end changes nothing.

use proptest::prelude::*;
use swapwire_core::FrameError;

use crate::common::{BINARY, CLOSE, FIN, Feed, Item, PING, TEXT, close, frame, masked};

const MAX: usize = 300;

/// What comes of `bytes` in pieces that end where `cuts` say, and of their end.
fn outcome(bytes: &[u8], cuts: &[usize]) -> (Vec<Item>, Result<(), FrameError>) {
    let mut feed = Feed::server(MAX);
    let mut from = 0;
    let mut result = Ok(());
    for to in cuts.iter().copied().chain([bytes.len()]) {
        if result.is_ok() && to >= from {
            result = feed.push(&bytes[from..to]);
            from = to;
        }
    }
    let result = result.and_then(|()| feed.end());
    (feed.items, result)
}

/// Every cut into two, into three, and into single bytes.
#[test]
fn every_cut_gives_the_same_messages() {
    let stream = [
        masked(FIN | TEXT, "größe".as_bytes()),
        masked(TEXT, b"a\xe2"),
        masked(FIN | PING, b"ping"),
        masked(0, b"\x82"),
        masked(FIN, b"\xacz"),
        masked(FIN | BINARY, &[7; 130]),
        masked(FIN | BINARY, b""),
        close(1001, b"done"),
        vec![1, 2, 3],
    ]
    .concat();
    let whole = outcome(&stream, &[]);
    let expected = [
        (TEXT, "größe".as_bytes().to_vec()),
        (PING, b"ping".to_vec()),
        (TEXT, "a€z".as_bytes().to_vec()),
        (BINARY, vec![7; 130]),
        (BINARY, Vec::new()),
        (CLOSE, b"\x03\xe9done".to_vec()),
    ];
    assert_eq!((&whole.0[..], &whole.1), (&expected[..], &Ok(())));
    for first in 0..=stream.len() {
        for second in first..=stream.len() {
            assert_eq!(outcome(&stream, &[first, second]), whole, "{first} {second}");
        }
    }
    assert_eq!(outcome(&stream, &(0..stream.len()).collect::<Vec<_>>()), whole);
}

/// Frames, right and wrong ones.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..140),
        "[a-zäß€🙂]{0,40}".prop_map(String::into_bytes),
        Just(b"\x03\xe8".to_vec()),
    ];
    let first = prop_oneof![
        8 => prop_oneof![Just(FIN | TEXT), Just(FIN | BINARY), Just(FIN | PING), Just(TEXT), Just(BINARY)],
        8 => prop_oneof![Just(0_u8), Just(FIN)],
        1 => Just(FIN | CLOSE),
        1 => any::<u8>(),
    ];
    let one = (first, payload, any::<[u8; 4]>(), prop::bool::weighted(0.97))
        .prop_map(|(first, payload, mask, is_masked)| frame(first, &payload, is_masked.then_some(mask)));
    prop::collection::vec(one, 0..12).prop_map(|frames| frames.concat())
}

proptest! {
    #[test]
    fn cuts_change_nothing(stream in stream(), cuts in prop::collection::vec(0..600_usize, 0..20)) {
        let mut cuts: Vec<_> = cuts.into_iter().filter(|cut| *cut <= stream.len()).collect();
        cuts.sort_unstable();
        prop_assert_eq!(outcome(&stream, &cuts), outcome(&stream, &[]));
    }

    #[test]
    fn nor_do_cuts_of_anything(stream: Vec<u8>) {
        let singles: Vec<_> = (0..stream.len()).collect();
        prop_assert_eq!(outcome(&stream, &singles), outcome(&stream, &[]));
    }
}
