//! The head of a request, in whatever pieces it comes.

use httparse::{EMPTY_HEADER, Error, Request, Status};
use swapwire_core::ByteStream;
use tokio::io::AsyncReadExt as _;

use crate::answer::Answer;
use crate::request::Asked;

/// The longest head, in bytes.
pub(crate) const LONGEST: usize = 4 << 10;
/// The most headers.
const MOST_HEADERS: usize = 64;

/// Reads a request. `None`: it left before it had asked.
pub(crate) async fn read(io: &mut Box<dyn ByteStream>) -> Option<Result<Asked, Answer>> {
    let mut bytes = Vec::with_capacity(LONGEST);
    loop {
        let room = (LONGEST - bytes.len()) as u64;
        match (&mut *io).take(room).read_buf(&mut bytes).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return None,
        }
        let mut headers = [EMPTY_HEADER; MOST_HEADERS];
        let mut request = Request::new(&mut headers);
        return Some(match request.parse(&bytes) {
            Ok(Status::Complete(_)) => Asked::read(&request),
            Ok(Status::Partial) if bytes.len() < LONGEST => continue,
            Ok(Status::Partial) => {
                Err(Answer::too_large(&format!("the request has more than {LONGEST} bytes before its empty line")))
            }
            Err(Error::TooManyHeaders) => {
                Err(Answer::too_large(&format!("the request has more than {MOST_HEADERS} headers")))
            }
            Err(Error::Version) => Err(Answer::version()),
            Err(error) => Err(Answer::bad(&format!("this is not HTTP/1.1: {error}"))),
        });
    }
}
