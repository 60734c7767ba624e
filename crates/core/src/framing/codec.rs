//! Any `tokio_util` codec as a framing.

use std::fmt;
use std::marker::PhantomData;

use bytes::{Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use super::{Decoded, FrameError, FrameFactory, FrameReader, FrameWriter};

/// A codec of `tokio_util` whose items are messages. `Items` tells the compiler which of the two kinds it is: one that is
/// given [bytes](ByteItems) to frame, or one that is given [text](TextItems). What it decodes may be either.
pub trait MessageCodec<Items>: Decoder<Item: AsRef<[u8]>, Error: fmt::Display> + Send + 'static {
    /// Appends the frame of `message` to `out`.
    ///
    /// # Errors
    /// The codec's own, or that the message is no text.
    fn frame(&mut self, message: Bytes, out: &mut BytesMut) -> Result<(), FrameError>;
}

/// The kind of codecs that frame [`Bytes`], as `LengthDelimitedCodec` and `BytesCodec` (which keeps no boundaries).
#[derive(Debug)]
pub enum ByteItems {}

/// The kind of codecs that frame a [`String`], as `LinesCodec` and `AnyDelimiterCodec`.
#[derive(Debug)]
pub enum TextItems {}

impl<C> MessageCodec<ByteItems> for C
where
    C: Decoder<Item: AsRef<[u8]>, Error: fmt::Display> + Encoder<Bytes, Error: fmt::Display> + Send + 'static,
{
    fn frame(&mut self, message: Bytes, out: &mut BytesMut) -> Result<(), FrameError> {
        self.encode(message, out).map_err(failed)
    }
}

impl<C> MessageCodec<TextItems> for C
where
    C: Decoder<Item: AsRef<[u8]>, Error: fmt::Display> + Encoder<String, Error: fmt::Display> + Send + 'static,
{
    fn frame(&mut self, message: Bytes, out: &mut BytesMut) -> Result<(), FrameError> {
        let text = String::from_utf8(message.into())
            .map_err(|_| FrameError::Unframeable("the codec frames text, and the message is not UTF-8"))?;
        self.encode(text, out).map_err(failed)
    }
}

fn failed(error: impl fmt::Display) -> FrameError {
    FrameError::Codec(error.to_string())
}

/// A `tokio_util` codec for each direction.
pub(super) struct Codecs<Items, F> {
    make: F,
    items: PhantomData<fn(Items)>,
}

impl<Items, F> Codecs<Items, F> {
    pub(super) fn new(make: F) -> Self {
        Self { make, items: PhantomData }
    }
}

impl<Items: 'static, C: MessageCodec<Items>, F: Fn() -> C + Send + Sync + 'static> FrameFactory for Codecs<Items, F> {
    fn reader(&self, max_message: usize) -> Box<dyn FrameReader> {
        Box::new(Reader { codec: (self.make)(), input: BytesMut::new(), max_message, items: PhantomData })
    }

    fn writer(&self, max_message: usize) -> Box<dyn FrameWriter> {
        Box::new(Writer { codec: (self.make)(), max_message, items: PhantomData })
    }
}

struct Reader<Items, C> {
    codec: C,
    input: BytesMut,
    max_message: usize,
    items: PhantomData<fn(Items)>,
}

impl<Items, C: MessageCodec<Items>> FrameReader for Reader<Items, C> {
    fn decode(&mut self, unread: &mut [u8], eof: bool) -> Result<Decoded, FrameError> {
        self.input.extend_from_slice(unread);
        let decode = if eof { C::decode_eof } else { C::decode };
        let item = decode(&mut self.codec, &mut self.input).map_err(failed)?;
        match item {
            Some(item) if item.as_ref().len() > self.max_message => {
                Err(FrameError::TooLarge { len: item.as_ref().len() as u64, max: self.max_message })
            }
            Some(item) => Ok(Decoded::Owned { message: Bytes::copy_from_slice(item.as_ref()), consumed: unread.len() }),
            None => Ok(Decoded::Need { consumed: unread.len(), partial: !self.input.is_empty() }),
        }
    }

    fn memory(&self) -> usize {
        if self.input.is_empty() { 0 } else { self.input.capacity() }
    }

    fn keeps_input(&self) -> bool {
        true
    }
}

struct Writer<Items, C> {
    codec: C,
    max_message: usize,
    items: PhantomData<fn(Items)>,
}

impl<Items, C: MessageCodec<Items>> FrameWriter for Writer<Items, C> {
    fn begin(&self, _: &mut Vec<u8>) {}

    fn finish(&mut self, out: &mut Vec<u8>, start: usize) -> Result<(), FrameError> {
        let message = Bytes::copy_from_slice(&out[start..]);
        if message.len() > self.max_message {
            return Err(FrameError::TooLarge { len: message.len() as u64, max: self.max_message });
        }
        out.truncate(start);
        let mut frame = BytesMut::new();
        self.codec.frame(message, &mut frame)?;
        out.extend_from_slice(&frame);
        Ok(())
    }
}
