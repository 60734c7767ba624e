//! A framing with a state: each frame carries its number on its connection, so one that was framed for another shows.

use std::io;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use swapwire_core::Framing;
use tokio_util::codec::{Decoder, Encoder};

const HEADER: usize = 8;

#[derive(Default)]
struct Numbered {
    next: u32,
}

impl Decoder for Numbered {
    type Item = BytesMut;
    type Error = io::Error;

    fn decode(&mut self, src: &mut BytesMut) -> io::Result<Option<BytesMut>> {
        let Some(mut header) = src.get(..HEADER) else { return Ok(None) };
        let (number, len) = (header.get_u32(), header.get_u32() as usize);
        if number != self.next {
            return Err(io::Error::other(format!("frame {number} in the place of {}", self.next)));
        }
        if src.len() < HEADER + len {
            return Ok(None);
        }
        self.next += 1;
        src.advance(HEADER);
        Ok(Some(src.split_to(len)))
    }
}

impl Encoder<Bytes> for Numbered {
    type Error = io::Error;

    fn encode(&mut self, message: Bytes, out: &mut BytesMut) -> io::Result<()> {
        out.put_u32(self.next);
        out.put_u32(u32::try_from(message.len()).map_err(io::Error::other)?);
        out.put_slice(&message);
        self.next += 1;
        Ok(())
    }
}

pub fn numbered() -> Framing {
    Framing::codec(Numbered::default)
}
