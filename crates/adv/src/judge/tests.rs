use super::*;
use crate::tagged::{Expect, SHORTEST};
use crate::values::Sizes;

const FRAMINGS: [Framing; 3] = [Framing::Lines, Framing::Length, Framing::Raw];

/// Requests 0 to 9 of client 1 were sent.
struct Bench {
    judge: Judge,
    tagged: Tagged,
    told: Vec<Verdict>,
}

impl Bench {
    fn new(framing: Framing) -> Self {
        let tagged = Tagged::new(3, framing, Expect::Any, Sizes { least: SHORTEST, most: 100 }).unwrap();
        let mut judge = Judge::new(tagged, 1);
        for _ in 0..10 {
            judge.begin(&mut Vec::new());
        }
        Self { judge, tagged, told: Vec::new() }
    }

    fn reply(&self, client: u32, seq: u32) -> Vec<u8> {
        let mut reply = Vec::new();
        self.tagged.reply(Tag { client, seq }, &mut reply);
        reply
    }

    /// Hears the replies in pieces of `len` bytes, and gives what was told.
    fn hear(&mut self, replies: &[Vec<u8>], len: usize) -> Vec<Verdict> {
        for bytes in replies.concat().chunks(len) {
            self.judge.feed(bytes, &mut |verdict| self.told.push(verdict));
        }
        mem::take(&mut self.told)
    }
}

/// In each framing, and in pieces of each of several lengths.
fn everywhere(case: impl Fn(&mut Bench, usize)) {
    for framing in FRAMINGS {
        for len in [1, 7, 64, 10_000] {
            case(&mut Bench::new(framing), len);
        }
    }
}

#[test]
fn right_replies_are_right_however_they_are_cut() {
    everywhere(|bench, len| {
        let replies: Vec<_> = (0..10).map(|seq| bench.reply(1, seq)).collect();
        let right: Vec<_> = (0..10).map(Verdict::Right).collect();
        assert_eq!(bench.hear(&replies, len), right);
        assert_eq!((bench.judge.waiting(), bench.judge.is_cut()), (0, false));
    });
}

#[test]
fn a_reply_that_is_missing_is_lost() {
    everywhere(|bench, len| {
        let replies = [bench.reply(1, 0), bench.reply(1, 3)];
        let told = [Verdict::Right(0), Verdict::Lost(1), Verdict::Lost(2), Verdict::Right(3)];
        assert_eq!(bench.hear(&replies, len), told);
        assert_eq!(bench.judge.waiting(), 6);
    });
}

#[test]
fn a_reply_that_comes_twice_is_duplicated() {
    everywhere(|bench, len| {
        let replies = [bench.reply(1, 0), bench.reply(1, 0), bench.reply(1, 1)];
        assert_eq!(bench.hear(&replies, len), [Verdict::Right(0), Verdict::Duplicated(0), Verdict::Right(1)]);
    });
}

#[test]
fn a_reply_to_another_client_is_crossed() {
    everywhere(|bench, len| {
        let replies = [bench.reply(2, 0), bench.reply(1, 0)];
        assert_eq!(bench.hear(&replies, len), [Verdict::Crossed, Verdict::Right(0)]);
    });
}

#[test]
fn replies_that_change_places_are_reordered() {
    everywhere(|bench, len| {
        let replies = [bench.reply(1, 1), bench.reply(1, 0), bench.reply(1, 2)];
        let told = [Verdict::Lost(0), Verdict::Right(1), Verdict::Reordered(0), Verdict::Right(2)];
        assert_eq!(bench.hear(&replies, len), told);
    });
}

#[test]
fn every_wrong_byte_is_seen_and_the_next_reply_is_right() {
    for framing in FRAMINGS {
        let size = Bench::new(framing).reply(1, 0).len();
        // A length that is wrong leaves nothing to be told apart behind it.
        let begin = if framing == Framing::Length { 4 } else { 0 };
        for at in begin..size {
            let mut bench = Bench::new(framing);
            let mut wrong = bench.reply(1, 0);
            wrong[at] ^= 0x80;
            let replies = [wrong, bench.reply(1, 1), bench.reply(1, 2)];
            let told = bench.hear(&replies, 11);
            let bad = told.iter().filter(|told| matches!(told, Verdict::Corrupt(_) | Verdict::Garbled)).count();
            assert!(bad >= 1, "{framing:?} byte {at}: {told:?}");
            assert_eq!(told.last(), Some(&Verdict::Right(2)), "{framing:?} byte {at}: {told:?}");
            assert!(!told.contains(&Verdict::Lost(0)), "it came, if garbled: {framing:?} byte {at}: {told:?}");
        }
    }
}

#[test]
fn nothing_is_waited_for_when_all_replies_were_garbled() {
    let mut bench = Bench::new(Framing::Lines);
    let told = bench.hear(&vec![b"nonsense\n".to_vec(); 11], 7);
    assert_eq!(told[..9], [Verdict::Garbled; 9]);
    assert_eq!(told[9..], [Verdict::Corrupt(9), Verdict::Garbled]);
    assert_eq!((bench.judge.waiting(), bench.judge.garbled()), (0, 0));
}

#[test]
fn a_reply_that_nobody_asked_for_is_garbled() {
    everywhere(|bench, len| {
        let mut replies: Vec<_> = (0..10).map(|seq| bench.reply(1, seq)).collect();
        replies.push(bench.reply(1, 10));
        assert_eq!(bench.hear(&replies, len).last(), Some(&Verdict::Garbled));
    });
}

#[test]
fn an_end_within_a_reply_is_a_cut() {
    everywhere(|bench, len| {
        let mut half = bench.reply(1, 1);
        half.truncate(half.len() - 1);
        let replies = [bench.reply(1, 0), half];
        assert_eq!(bench.hear(&replies, len), [Verdict::Right(0)]);
        assert!(bench.judge.is_cut());
    });
}

#[test]
fn a_length_that_is_absurd_keeps_no_bytes() {
    let mut bench = Bench::new(Framing::Length);
    let told = bench.hear(&[vec![0xff; 3000]], 1000);
    assert!(told.iter().all(|told| *told == Verdict::Garbled) && told.len() == 3, "{told:?}");
    assert!(bench.judge.odd.is_empty());
}
