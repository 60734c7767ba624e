//! Any `tokio_util` codec as a framing.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use super::{Decoded, FrameError};
#[cfg(doc)]
use super::{FrameDecoder, Framing};

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

/// Makes codecs for [`Framing::Codec`].
#[derive(Clone)]
pub struct CodecFactory(Arc<dyn Fn() -> Box<dyn FrameIo> + Send + Sync>);

impl CodecFactory {
    pub(super) fn new<Items: 'static, C: MessageCodec<Items>>(make: impl Fn() -> C + Send + Sync + 'static) -> Self {
        Self(Arc::new(move || Box::new(Codec { codec: make(), input: BytesMut::new(), items: PhantomData })))
    }

    pub(super) fn make(&self) -> Box<dyn FrameIo> {
        (self.0)()
    }
}

impl fmt::Debug for CodecFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodecFactory")
    }
}

/// A codec behind [`Framing::Codec`], both directions.
pub trait FrameIo: Send {
    /// As [`FrameDecoder::decode`].
    ///
    /// # Errors
    /// The connection cannot go on.
    fn decode(&mut self, unread: &[u8], eof: bool, max: usize) -> Result<Decoded, FrameError>;

    /// Appends the frame of `message` to `out`.
    ///
    /// # Errors
    /// The message cannot be framed.
    fn encode(&mut self, message: Bytes, out: &mut Vec<u8>) -> Result<(), FrameError>;
}

impl fmt::Debug for dyn FrameIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FrameIo")
    }
}

struct Codec<Items, C> {
    codec: C,
    input: BytesMut,
    items: PhantomData<fn(Items)>,
}

impl<Items, C: MessageCodec<Items>> FrameIo for Codec<Items, C> {
    fn decode(&mut self, unread: &[u8], eof: bool, max: usize) -> Result<Decoded, FrameError> {
        self.input.extend_from_slice(unread);
        let decode = if eof { C::decode_eof } else { C::decode };
        let item = decode(&mut self.codec, &mut self.input).map_err(failed)?;
        match item {
            Some(item) if item.as_ref().len() > max => {
                Err(FrameError::TooLarge { len: item.as_ref().len() as u64, max })
            }
            Some(item) => Ok(Decoded::Owned { message: Bytes::copy_from_slice(item.as_ref()), consumed: unread.len() }),
            None => Ok(Decoded::Need { consumed: unread.len(), partial: !self.input.is_empty() }),
        }
    }

    fn encode(&mut self, message: Bytes, out: &mut Vec<u8>) -> Result<(), FrameError> {
        let mut frame = BytesMut::new();
        self.codec.frame(message, &mut frame)?;
        out.extend_from_slice(&frame);
        Ok(())
    }
}
