//! The page of a listener: what a browser gets that opens the address of a `ws` endpoint.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use swapwire::Endpoint;
use swapwire::core::Printable;
use swapwire::handlers::Chat;

use crate::config::Value;

/// The page that is the chat: it has its script and its style within, and loads nothing.
const CHAT: &[u8] = include_bytes!("chat.html");

/// Bytes of a page at most: it is kept in memory.
const LARGEST: u64 = 1 << 20;

/// The page that was asked for, on an endpoint that `handler` serves.
///
/// # Errors
/// There is none, or it cannot be shown there.
pub(crate) fn of(asked: &Value, handler: &str, endpoint: &Endpoint) -> Result<Vec<u8>, String> {
    let file = Printable::new(&asked.text).to_string();
    let label = match asked.is_written() {
        true => "page".to_owned(),
        false if file.is_empty() => "--page".to_owned(),
        false => format!("--page={file}"),
    };
    let wrong = |problem: String| asked.problem(format_args!("{label}: {problem}"));
    if !is_ws(endpoint) {
        return Err(wrong(format!("{endpoint} has no ws; write it as ws://127.0.0.1:8080")));
    }
    match &*asked.text {
        "" if handler == Chat::NAME => Ok(CHAT.to_owned()),
        "" => {
            let (chat, right) = (Chat::NAME, if asked.is_written() { "page = \"FILE\"" } else { "--page=FILE" });
            Err(wrong(format!("without a file it is for the handler {chat}, not {handler}; write {right}")))
        }
        path if asked.is_written() => read(Path::new(path)).map_err(|error| wrong(format!("{file}: {error}"))),
        path => read(Path::new(path)).map_err(|error| wrong(error.to_string())),
    }
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    File::open(file)?.take(LARGEST + 1).read_to_end(&mut page)?;
    if page.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("longer than {LARGEST} bytes, the most of a page")));
    }
    Ok(page)
}

/// Where browsers find the pages of what was planned and is bound. Of several addresses of one name, only where there is a page
/// at all endpoints that have ws. Unix sockets have no such address.
pub(crate) fn urls(planned: &[(Endpoint, bool)], bound: &[Endpoint]) -> impl Iterator<Item = String> {
    let everywhere = planned.iter().all(|(endpoint, has_page)| *has_page || !is_ws(endpoint));
    let one_each = planned.len() == bound.len();
    let has_page = move |at: usize| everywhere || one_each && planned[at].1;
    bound.iter().enumerate().filter(move |(at, endpoint)| is_ws(endpoint) && has_page(*at)).filter_map(
        |(_, endpoint)| {
            let text = endpoint.to_string();
            let (scheme, place) = text.split_once("://")?;
            let http = if scheme.split('+').any(|part| matches!(part, "tls" | "wss")) { "https" } else { "http" };
            let place = place.split('?').next()?;
            Some(format!("{http}://{place}{}", if place.contains('/') { "" } else { "/" }))
        },
    )
}

fn is_ws(endpoint: &Endpoint) -> bool {
    endpoint.scheme().split('+').any(|part| matches!(part, "ws" | "wss"))
}
