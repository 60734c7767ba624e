//! Framings by hand: the codecs of `tokio_util`, and what one writes where it has none.

use std::io;

use bytes::{Bytes, BytesMut};
use futures::{SinkExt, StreamExt as _};
use swapwire::Framing;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::{AnyDelimiterCodec, Decoder, Encoder, LengthDelimitedCodec, LinesCodec};

use super::by_hand::echo_stream;

/// A codec for [`Framing::Fixed`].
pub struct Fixed(pub usize);

impl Decoder for Fixed {
    type Item = BytesMut;
    type Error = io::Error;

    fn decode(&mut self, src: &mut BytesMut) -> io::Result<Option<BytesMut>> {
        Ok((src.len() >= self.0).then(|| src.split_to(self.0)))
    }
}

impl Encoder<Bytes> for Fixed {
    type Error = io::Error;

    fn encode(&mut self, message: Bytes, dst: &mut BytesMut) -> io::Result<()> {
        dst.extend_from_slice(&message);
        Ok(())
    }
}

/// A codec for a delimiter of one byte.
pub fn delimited(delimiter: &[u8]) -> AnyDelimiterCodec {
    AnyDelimiterCodec::new(delimiter.to_vec(), delimiter.to_vec())
}

/// Upper-case echo of messages.
pub async fn echo_framed(io: impl AsyncRead + AsyncWrite + Unpin, framing: Framing) -> io::Result<()> {
    let upper = |mut message: BytesMut| {
        message.make_ascii_uppercase();
        message.freeze()
    };
    match framing {
        Framing::Lines => {
            let upper = |mut line: String| {
                line.make_ascii_uppercase();
                line
            };
            echo(io, LinesCodec::new(), upper).await
        }
        Framing::LengthPrefixed { .. } => echo(io, LengthDelimitedCodec::new(), upper).await,
        Framing::Delimited(delimiter) => {
            // It takes only text to send.
            let upper = |message: Bytes| {
                let mut text = String::from_utf8(message.into()).expect("the requests are text");
                text.make_ascii_uppercase();
                text
            };
            echo(io, delimited(&delimiter), upper).await
        }
        Framing::Fixed(len) => echo(io, Fixed(len), upper).await,
        _ => echo_stream(io).await,
    }
}

/// Replies leave together when all requests that have arrived are answered.
async fn echo<C, O, E>(
    io: impl AsyncRead + AsyncWrite + Unpin,
    codec: C,
    upper: impl Fn(C::Item) -> O,
) -> io::Result<()>
where
    C: Decoder<Error = E> + Encoder<O, Error = E>,
    E: From<io::Error> + std::error::Error + Send + Sync + 'static,
{
    let mut framed = codec.framed(io);
    while let Some(message) = framed.next().await {
        let reply = upper(message.map_err(io::Error::other)?);
        framed.feed(reply).await.map_err(io::Error::other)?;
        if framed.read_buffer().is_empty() {
            SinkExt::<O>::flush(&mut framed).await.map_err(io::Error::other)?;
        }
    }
    Ok(())
}
