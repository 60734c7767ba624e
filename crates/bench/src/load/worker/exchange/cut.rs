//! Cutting a byte stream into replies.

use swapwire_core::{Decoded, FrameDecoder, Framing};

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

    /// Looks for the reply to `front`, the oldest request under way, in `data`, which is not empty.
    pub(crate) fn next(&mut self, payload: &Payload, front: Option<Asked>, data: &mut [u8]) -> Result<Found, Mismatch> {
        let unasked = || Mismatch("recv: bytes without a request".to_owned());
        match self {
            Self::ByLength { have, right } => {
                let asked = front.ok_or_else(unasked)?;
                let Some(whole) = payload.reply_len(asked) else {
                    let right = payload.is_right(asked, data);
                    return Ok(Found { consumed: data.len(), reply: Some((data.len(), right)) });
                };
                let part = &data[..data.len().min(whole - *have)];
                *right &= payload.fits(asked, *have, part);
                *have += part.len();
                let mut found = Found { consumed: part.len(), reply: None };
                if *have == whole {
                    found.reply = Some((whole, *right));
                    (*have, *right) = (0, true);
                }
                Ok(found)
            }
            Self::ByFrame { decoder, kept } if kept.is_empty() => {
                let found = frame(decoder, payload, front, data)?;
                if found.reply.is_some() {
                    return Ok(found);
                }
                kept.extend_from_slice(&data[found.consumed..]);
                Ok(Found { consumed: data.len(), reply: None })
            }
            Self::ByFrame { decoder, kept } => {
                let before = kept.len();
                kept.extend_from_slice(data);
                let found = frame(decoder, payload, front, kept)?;
                if found.reply.is_none() {
                    kept.drain(..found.consumed);
                    return Ok(Found { consumed: data.len(), reply: None });
                }
                // What follows the frame is in `data`, unless the codec keeps its input, and then nothing follows.
                kept.clear();
                Ok(Found { consumed: found.consumed.saturating_sub(before), reply: found.reply })
            }
        }
    }
}

/// The first frame of `data`.
fn frame(
    decoder: &mut FrameDecoder,
    payload: &Payload,
    front: Option<Asked>,
    data: &mut [u8],
) -> Result<Found, Mismatch> {
    let unasked = || Mismatch("recv: a frame without a request".to_owned());
    let decoded = decoder.decode(data, false).map_err(|error| Mismatch(format!("recv: {error}")))?;
    Ok(match decoded {
        Decoded::Need { consumed, .. } | Decoded::Control { consumed, .. } => Found { consumed, reply: None },
        Decoded::Frame { message, consumed } => {
            let reply = &data[message];
            let right = payload.is_right(front.ok_or_else(unasked)?, reply);
            Found { consumed, reply: Some((reply.len(), right)) }
        }
        Decoded::Owned { message, consumed } => {
            let right = payload.is_right(front.ok_or_else(unasked)?, &message);
            Found { consumed, reply: Some((message.len(), right)) }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `stream` in pieces of `step` bytes and gives the replies found.
    fn cut(framing: &str, expect: &str, stream: &[u8], asked: &[Asked], step: usize) -> Vec<(usize, bool)> {
        let payload = Payload::new(expect.parse().unwrap(), 64, 1);
        let mut cut = Cut::new(&framing.parse().unwrap());
        let mut replies = Vec::new();
        for piece in stream.to_owned().chunks_mut(step) {
            let mut piece = &mut *piece;
            while !piece.is_empty() {
                let found = cut.next(&payload, asked.get(replies.len()).copied(), piece).unwrap();
                piece = &mut piece[found.consumed..];
                replies.extend(found.reply);
            }
        }
        replies
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
            let error = Cut::new(&framing).next(&payload, None, &mut b"hello\n".to_owned()).unwrap_err();
            assert!(error.0.contains("without a request"), "{error:?}");
        }
    }
}
