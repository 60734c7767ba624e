//! Headers of the requests that open WebSockets, as one with a token.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use swapwire::{Endpoint, Registry};

/// The largest file of headers: more is no request.
const LARGEST_FILE: u64 = 64 * 1024;
/// The flag whose value may be a secret.
const FLAG: &str = "--ws-header";

/// What is said in the request of a WebSocket.
#[derive(Args, Debug)]
pub(crate) struct HeaderArgs {
    /// Header of the requests that open WebSockets, as 'Authorization: Bearer x'; may be given several times. Other users of
    /// this machine can see it among the processes: write secrets to a file
    #[arg(long, value_name = "NAME: VALUE", help_heading = "WebSocket")]
    ws_header: Vec<String>,

    /// File with such headers, a line each; one that every user can read is refused
    #[arg(long, value_name = "PATH", help_heading = "WebSocket")]
    ws_header_file: Option<PathBuf>,
}

impl HeaderArgs {
    /// The default registry, whose WebSockets have these headers.
    ///
    /// # Errors
    /// What is wrong with them, in a line.
    pub(crate) fn registry(&self) -> Result<Registry, String> {
        let registry = swapwire::default_registry();
        if self.are_none() {
            return Ok(registry);
        }
        let mut headers = Vec::new();
        for text in &self.ws_header {
            headers
                .push(header(text).ok_or_else(|| format!("{FLAG}: write NAME: VALUE, as 'Authorization: Bearer x'"))?);
        }
        let path = self.ws_header_file.as_deref();
        let wrong = |problem: String| format!("{FLAG}-file {}: {problem}", path.unwrap_or(Path::new("")).display());
        let text = path.map(read).transpose().map_err(wrong)?.unwrap_or_default();
        for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
            headers.push(header(line).ok_or_else(|| wrong(format!("line {number}: write NAME: VALUE")))?);
        }
        with_headers(registry, headers)
    }

    /// Complains if there are headers and none of `endpoints` sends a request.
    ///
    /// # Errors
    /// In a line.
    pub(crate) fn check<'a>(
        &self,
        registry: &Registry,
        mut endpoints: impl Iterator<Item = &'a Endpoint>,
    ) -> Result<(), String> {
        let has_request = |endpoint: &Endpoint| {
            let transport = registry.transport(endpoint);
            transport.is_ok_and(|transport| {
                transport.schemes().iter().any(|scheme| scheme.split('+').any(|part| part == "ws"))
            })
        };
        if self.are_none() || endpoints.any(has_request) {
            return Ok(());
        }
        Err(format!(
            "{FLAG}: only a WebSocket has headers; write an endpoint as ws://127.0.0.1:8080 or wss://example.org"
        ))
    }

    fn are_none(&self) -> bool {
        self.ws_header.is_empty() && self.ws_header_file.is_none()
    }
}

/// `words` without the values of headers.
pub(crate) fn without_secrets(words: impl Iterator<Item = String>) -> impl Iterator<Item = String> {
    let mut is_header = false;
    words.map(move |word| {
        let hidden = |header: &str| format!("{}: …", header.split(':').next().unwrap_or_default());
        match word.strip_prefix(FLAG) {
            _ if std::mem::replace(&mut is_header, word == FLAG) => hidden(&word),
            Some(rest) if rest.starts_with('=') => format!("{FLAG}{}", hidden(rest)),
            _ => word,
        }
    })
}

#[cfg(feature = "ws")]
fn with_headers(registry: Registry, headers: Vec<(&str, &str)>) -> Result<Registry, String> {
    use swapwire::WithLayer as _;
    let layer = swapwire::ws::Ws::new().with_headers(headers).map_err(|error| format!("{FLAG}: {error}"))?;
    Ok(registry.with_layer(layer))
}

#[cfg(not(feature = "ws"))]
fn with_headers(_: Registry, _: Vec<(&str, &str)>) -> Result<Registry, String> {
    Err(format!("{FLAG}: this program was built without WebSockets"))
}

fn header(text: &str) -> Option<(&str, &str)> {
    text.split_once(':').map(|(name, value)| (name.trim(), value.trim()))
}

fn read(path: &Path) -> Result<String, String> {
    let mut file = File::open(path).map_err(|error| error.to_string())?;
    is_private(&file, path)?;
    let mut text = String::new();
    let read = file.by_ref().take(LARGEST_FILE + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if read as u64 > LARGEST_FILE { Err(format!("larger than {LARGEST_FILE} bytes")) } else { Ok(text) }
}

/// Of the file that is open, so that nobody puts another in its place.
#[cfg(unix)]
fn is_private(file: &File, path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;

    const READ_BY_OTHERS: u32 = 0o004;

    let mode = file.metadata().map_err(|error| error.to_string())?.permissions().mode() & 0o777;
    if mode & READ_BY_OTHERS == 0 {
        return Ok(());
    }
    Err(format!("every user can read it (mode {mode:o}): chmod {:o} {}", mode & !0o007, path.display()))
}

#[cfg(not(unix))]
fn is_private(_: &File, _: &Path) -> Result<(), String> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_told_without_the_values_of_its_headers() {
        let words = ["bench", "--ws-header", "A: b:c", "--ws-header-file", "x", "--ws-header=D: e", "--ws-header", "f"];
        let told: Vec<_> = without_secrets(words.into_iter().map(str::to_owned)).collect();
        assert_eq!(
            told,
            ["bench", "--ws-header", "A: …", "--ws-header-file", "x", "--ws-header=D: …", "--ws-header", "f: …"]
        );
    }
}
