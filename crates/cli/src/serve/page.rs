//! `--page`: what a browser gets that opens the address of a `ws` endpoint.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use swapwire::handlers::Chat;
use swapwire::ws::Ws;
use swapwire::{Endpoint, Registry, WithLayer as _};

/// The page that is the chat: it has its script and its style within, and loads nothing.
const CHAT: &[u8] = include_bytes!("chat.html");

/// Bytes of a page at most: it is kept in memory.
const LARGEST: u64 = 1 << 20;

/// The same registry, whose `ws` shows the page that was asked for, if one was.
pub(crate) fn add(
    registry: Registry,
    asked: Option<&Option<PathBuf>>,
    handler: &str,
    endpoints: &[Endpoint],
) -> Result<Registry, String> {
    let Some(file) = asked else { return Ok(registry) };
    if !endpoints.iter().any(is_ws) {
        return Err("--page: no endpoint has ws; write one as ws://127.0.0.1:8080".to_owned());
    }
    let page = match file {
        Some(file) => read(file).map_err(|error| format!("--page={}: {error}", file.display()))?,
        None if handler == Chat::NAME => CHAT.to_owned(),
        None => {
            let chat = Chat::NAME;
            return Err(format!("--page: without a file it is for --handler {chat}, not {handler}; write --page=FILE"));
        }
    };
    Ok(registry.with_layer(Ws::new().with_page(page)))
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    File::open(file)?.take(LARGEST + 1).read_to_end(&mut page)?;
    if page.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("longer than {LARGEST} bytes, the most of a page")));
    }
    Ok(page)
}

/// Where browsers find it. Unix sockets have no such address.
pub(crate) fn urls(endpoints: &[Endpoint]) -> impl Iterator<Item = String> {
    endpoints.iter().filter(|endpoint| is_ws(endpoint)).filter_map(|endpoint| {
        let text = endpoint.to_string();
        let (scheme, place) = text.split_once("://")?;
        let http = if scheme.split('+').any(|part| matches!(part, "tls" | "wss")) { "https" } else { "http" };
        let place = place.split('?').next()?;
        Some(format!("{http}://{place}{}", if place.contains('/') { "" } else { "/" }))
    })
}

fn is_ws(endpoint: &Endpoint) -> bool {
    endpoint.scheme().split('+').any(|part| matches!(part, "ws" | "wss"))
}
