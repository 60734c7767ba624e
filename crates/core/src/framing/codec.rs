//! Any `tokio_util` codec as a framing.

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use super::{Decoded, FrameError};
#[cfg(doc)]
use super::{FrameDecoder, Framing};

/// Makes codecs for [`Framing::Codec`].
#[derive(Clone)]
pub struct CodecFactory(Arc<dyn Fn() -> Box<dyn FrameIo> + Send + Sync>);

impl CodecFactory {
    pub(super) fn new<C>(make: impl Fn() -> C + Send + Sync + 'static) -> Self
    where
        C: Decoder<Item: AsRef<[u8]>, Error: fmt::Display> + Encoder<Bytes, Error: fmt::Display> + Send + 'static,
    {
        Self(Arc::new(move || Box::new(Codec { codec: make(), input: BytesMut::new() })))
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

struct Codec<C> {
    codec: C,
    input: BytesMut,
}

impl<C> FrameIo for Codec<C>
where
    C: Decoder<Item: AsRef<[u8]>, Error: fmt::Display> + Encoder<Bytes, Error: fmt::Display> + Send,
{
    fn decode(&mut self, unread: &[u8], eof: bool, max: usize) -> Result<Decoded, FrameError> {
        self.input.extend_from_slice(unread);
        let decode = if eof { C::decode_eof } else { C::decode };
        let item = decode(&mut self.codec, &mut self.input).map_err(|error| FrameError::Codec(error.to_string()))?;
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
        self.codec.encode(message, &mut frame).map_err(|error| FrameError::Codec(error.to_string()))?;
        out.extend_from_slice(&frame);
        Ok(())
    }
}
