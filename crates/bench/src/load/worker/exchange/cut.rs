//! Cutting a byte stream into replies.

use swapwire_core::{Answer, Decoded, FrameDecoder, Framing};

use super::outgoing::Outgoing;
use crate::load::request::payload::{Asked, Payload};

/// What came cannot be a reply: the wire cannot be used any more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mismatch(pub(crate) String);

/// What was found at the front of what was received.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Bytes that are done with.
    pub(crate) consumed: usize,
    /// The length of a reply that ends with them, and whether it is right.
    pub(crate) reply: Option<(usize, bool)>,
    /// A control frame ends with them.
    is_control: bool,
}

/// Without boundaries, the length that a right reply has tells where it ends, and replies are compared as they come, without
/// being kept. With a framing, the frames tell, and a partial one is kept.
#[derive(Debug)]
pub(crate) enum Cut {
    /// How much of the reply came, and whether it was right so far.
    ByLength { have: usize, right: bool },
    /// By a framing.
    ByFrame { decoder: FrameDecoder, kept: Vec<u8> },
}

/// The longest reply in a framing: 64 MiB, as the longest request.
const LONGEST: usize = 64 << 20;

impl Cut {
    pub(crate) fn new(framing: &Framing) -> Self {
        if framing.boundaries() {
            Self::ByFrame { decoder: framing.decoder(LONGEST), kept: Vec::new() }
        } else {
            Self::ByLength { have: 0, right: true }
        }
    }

    /// Looks for the reply to `front`, the oldest request under way, in `data`, which is not empty. Control frames are
    /// answered to `out`.
    pub(crate) fn next(
        &mut self,
        payload: &Payload,
        front: Option<Asked>,
        data: &mut [u8],
        out: &mut Outgoing,
    ) -> Result<Found, Mismatch> {
        let unasked = || Mismatch("recv: bytes without a request".to_owned());
        match self {
            Self::ByLength { have, right } => {
                let asked = front.ok_or_else(unasked)?;
                let Some(whole) = payload.reply_len(asked) else {
                    let right = payload.is_right(asked, data);
                    return Ok(Found { consumed: data.len(), reply: Some((data.len(), right)), ..Found::default() });
                };
                let part = &data[..data.len().min(whole - *have)];
                *right &= payload.fits(asked, *have, part);
                *have += part.len();
                let mut found = Found { consumed: part.len(), ..Found::default() };
                if *have == whole {
                    found.reply = Some((whole, *right));
                    (*have, *right) = (0, true);
                }
                Ok(found)
            }
            Self::ByFrame { decoder, kept } if kept.is_empty() => {
                let found = frame(decoder, payload, front, data, out)?;
                if found.is_whole() {
                    return Ok(found);
                }
                kept.extend_from_slice(&data[found.consumed..]);
                Ok(Found { consumed: data.len(), ..found })
            }
            Self::ByFrame { decoder, kept } => {
                let before = kept.len();
                kept.extend_from_slice(data);
                let found = frame(decoder, payload, front, kept, out)?;
                if !found.is_whole() {
                    kept.drain(..found.consumed);
                    return Ok(Found { consumed: data.len(), ..found });
                }
                // What follows the frame is in `data`, unless the codec keeps its input, and then nothing follows.
                kept.clear();
                Ok(Found { consumed: found.consumed.saturating_sub(before), ..found })
            }
        }
    }
}

impl Found {
    fn is_whole(&self) -> bool {
        self.reply.is_some() || self.is_control
    }
}

/// The first frame of `data`.
fn frame(
    decoder: &mut FrameDecoder,
    payload: &Payload,
    front: Option<Asked>,
    data: &mut [u8],
    out: &mut Outgoing,
) -> Result<Found, Mismatch> {
    let unasked = || Mismatch("recv: a frame without a request".to_owned());
    let decoded = decoder.decode(data, false).map_err(|error| Mismatch(format!("recv: {error}")))?;
    let found = |consumed| Found { consumed, ..Found::default() };
    Ok(match decoded {
        Decoded::Need { consumed, .. } => found(consumed),
        Decoded::Control { payload, consumed } => match out.answer(decoder.tag(), &data[payload]) {
            Answer::GoesOn => Found { is_control: true, ..found(consumed) },
            Answer::Breaks(error) => return Err(Mismatch(format!("recv: {error}"))),
            _ => return Err(Mismatch("recv: closed by the server".to_owned())),
        },
        Decoded::Frame { message, consumed } => {
            let reply = &data[message];
            let right = payload.is_right(front.ok_or_else(unasked)?, reply);
            Found { reply: Some((reply.len(), right)), ..found(consumed) }
        }
        Decoded::Owned { message, consumed } => {
            let right = payload.is_right(front.ok_or_else(unasked)?, &message);
            Found { reply: Some((message.len(), right)), ..found(consumed) }
        }
    })
}

#[cfg(test)]
mod tests {
    use swapwire_core::{FrameError, FrameFactory, FrameReader, FrameWriter};

    use super::*;

    /// Frames of a kind, a length and so many bytes: `m` a message, `?` a control frame that wants `!`, `.` the end.
    struct Kinds(u8);

    impl FrameFactory for Kinds {
        fn reader(&self, _: usize) -> Box<dyn FrameReader> {
            Box::new(Self(0))
        }

        fn writer(&self, _: usize) -> Box<dyn FrameWriter> {
            Box::new(Self(0))
        }
    }

    impl FrameReader for Kinds {
        fn decode(&mut self, unread: &mut [u8], _: bool) -> Result<Decoded, FrameError> {
            let Some(&[kind, len]) = unread.first_chunk() else {
                return Ok(Decoded::Need { consumed: 0, partial: false });
            };
            let (message, consumed) = (2..2 + usize::from(len), 2 + usize::from(len));
            self.0 = kind;
            Ok(match kind {
                _ if unread.len() < consumed => Decoded::Need { consumed: 0, partial: false },
                b'm' => Decoded::Frame { message, consumed },
                _ => Decoded::Control { payload: message, consumed },
            })
        }

        fn tag(&self) -> u8 {
            self.0
        }
    }

    impl FrameWriter for Kinds {
        fn begin(&self, out: &mut Vec<u8>) {
            out.extend(b"m\0");
        }

        fn finish(&mut self, out: &mut Vec<u8>, start: usize) -> Result<(), FrameError> {
            out[start + 1] = (out.len() - start - 2) as u8;
            Ok(())
        }

        fn answer(&mut self, tag: u8, payload: &[u8], out: &mut Vec<u8>) -> Answer {
            out.extend([b'!', payload.len() as u8].iter().chain(payload));
            if tag == b'.' { Answer::Ends } else { Answer::GoesOn }
        }
    }

    #[test]
    fn control_frames_are_answered_and_are_no_replies() {
        let asked = [0, 1].map(|number| Asked { slot: 0, number, size: 20 });
        let payload = Payload::new("echo".parse().unwrap(), 64, 1);
        let framing = Framing::frames(Kinds(0));
        let mut stream = b"?\x02ab".to_vec();
        for asked in &asked {
            stream.extend(b"m\x14");
            payload.write(*asked, &mut stream);
            stream.extend(b"?\x01c");
        }
        for step in 1..=stream.len() {
            let (replies, out) = cut_by(&framing, "echo", &stream, &asked, step);
            assert_eq!(replies, [(20, true), (20, true)], "by {step}");
            assert_eq!(out.waiting(), b"!\x02ab!\x01c!\x01c", "by {step}");
        }
        let mut cut = Cut::new(&framing);
        let (mut out, mut next) = (Outgoing::new(&framing), |bytes: &mut [u8], out: &mut Outgoing| {
            cut.next(&payload, None, bytes, out).unwrap_err().0
        });
        assert_eq!(next(&mut b".\0".to_owned(), &mut out), "recv: closed by the server");
        out.push(|message| message.resize(1 << 18, 0)).unwrap();
        assert_eq!(next(&mut b"?\0".to_owned(), &mut out), "recv: control frames without end");
    }

    /// Feeds `stream` in pieces of `step` bytes and gives the replies found.
    fn cut(framing: &str, expect: &str, stream: &[u8], asked: &[Asked], step: usize) -> Vec<(usize, bool)> {
        cut_by(&framing.parse().unwrap(), expect, stream, asked, step).0
    }

    fn cut_by(
        framing: &Framing,
        expect: &str,
        stream: &[u8],
        asked: &[Asked],
        step: usize,
    ) -> (Vec<(usize, bool)>, Outgoing) {
        let payload = Payload::new(expect.parse().unwrap(), 64, 1);
        let (mut cut, mut out) = (Cut::new(framing), Outgoing::new(framing));
        let mut replies = Vec::new();
        for piece in stream.to_owned().chunks_mut(step) {
            let mut piece = &mut *piece;
            while !piece.is_empty() {
                let found = cut.next(&payload, asked.get(replies.len()).copied(), piece, &mut out).unwrap();
                piece = &mut piece[found.consumed..];
                replies.extend(found.reply);
            }
        }
        (replies, out)
    }

    #[test]
    fn replies_are_found_however_the_stream_is_cut() {
        let asked: Vec<_> =
            [20, 7, 64, 1].into_iter().zip(0..).map(|(size, number)| Asked { slot: 0, number, size }).collect();
        let payload = Payload::new("echo".parse().unwrap(), 64, 1);
        for framing in ["chunks", "lines", "length:2", "length:3le", "varint", "delimiter:\\r\\n\\r\\n"] {
            let (mut stream, mut encoder) = (Vec::new(), framing.parse::<Framing>().unwrap().encoder(1000));
            for asked in &asked {
                let start = stream.len();
                encoder.begin(&mut stream);
                payload.write(*asked, &mut stream);
                encoder.finish(&mut stream, start).unwrap();
            }
            for step in 1..=stream.len() {
                let replies = cut(framing, "echo", &stream, &asked, step);
                assert_eq!(replies, [(20, true), (7, true), (64, true), (1, true)], "{framing} by {step}");
            }
        }
    }

    #[test]
    fn one_wrong_byte_makes_one_wrong_reply() {
        let asked = [0, 1].map(|number| Asked { slot: 0, number, size: 20 });
        let payload = Payload::new("echo".parse().unwrap(), 64, 1);
        let mut stream = Vec::new();
        asked.iter().for_each(|asked| payload.write(*asked, &mut stream));
        stream[19] ^= 1;
        assert_eq!(cut("chunks", "echo", &stream, &asked, 3), [(20, false), (20, true)]);
        stream[19] ^= 1;
        // Replies that were swapped are two wrong ones.
        stream.rotate_left(20);
        assert_eq!(cut("chunks", "echo", &stream, &asked, 40), [(20, false), (20, false)]);
    }

    #[test]
    fn what_nobody_asked_for_is_a_mismatch() {
        let payload = Payload::new("echo".parse().unwrap(), 64, 1);
        for framing in [Framing::Chunks, Framing::Lines] {
            let (bytes, mut out) = (&mut b"hello\n".to_owned(), Outgoing::new(&framing));
            let error = Cut::new(&framing).next(&payload, None, bytes, &mut out).unwrap_err();
            assert!(error.0.contains("without a request"), "{error:?}");
        }
    }
}
