//! A framing alone: messages are framed in place and cut again.

use std::hint::black_box;

use swapwire::Framing;
use swapwire::core::{Decoded, FrameDecoder, FrameEncoder};

use super::{SIZE, WARM_UP};

/// Frames that lie in the buffer at once.
const BATCH: usize = 16;

pub struct Codec {
    encoder: FrameEncoder,
    decoder: FrameDecoder,
    message: [u8; SIZE],
    buf: Vec<u8>,
}

impl Codec {
    pub fn new(framing: &Framing) -> Self {
        let (encoder, decoder) = (framing.encoder(SIZE), framing.decoder(SIZE));
        let mut this = Self { encoder, decoder, message: [b'a'; SIZE], buf: Vec::new() };
        this.run(WARM_UP);
        this
    }

    pub fn run(&mut self, messages: usize) {
        for _ in 0..messages / BATCH {
            self.buf.clear();
            for _ in 0..BATCH {
                let start = self.buf.len();
                self.encoder.begin(&mut self.buf);
                self.buf.extend_from_slice(black_box(&self.message));
                self.encoder.finish(&mut self.buf, start).unwrap();
            }
            let (mut from, mut found) = (0, 0);
            while let Decoded::Frame { message, consumed } = self.decoder.decode(&mut self.buf[from..], false).unwrap()
            {
                found += usize::from(black_box(message).len() == SIZE);
                from += consumed;
            }
            assert_eq!(found, BATCH);
        }
    }
}
