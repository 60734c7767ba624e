//! What a request asks, by its head.

use httparse::Request;

use crate::answer::Answer;

/// A request as far as it matters here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Without the query.
    pub(crate) path: String,
    /// What it calls this host, with a port if it has one; none is in no request of a browser.
    pub(crate) host: Option<String>,
    pub(crate) origin: Option<String>,
    /// The header `X-Swapwire`.
    pub(crate) purpose: Option<String>,
}

impl Asked {
    pub(crate) fn read(request: &Request<'_, '_>) -> Result<Self, Answer> {
        let is_old = request.version == Some(0);
        let target = request.path.unwrap_or_default();
        // The absolute form has the host that counts (RFC 9112, 3.2.2).
        let (named, target) = match target.strip_prefix("http://").or_else(|| target.strip_prefix("https://")) {
            Some(rest) => {
                let end = rest.find(['/', '?']).unwrap_or(rest.len());
                (Some(&rest[..end]), if rest[end..].starts_with('/') { &rest[end..] } else { "/" })
            }
            None => (None, target),
        };
        let host = once(request, "Host")?;
        if host.is_none() && !is_old {
            return Err(Answer::bad("the request has no Host header"));
        }
        let has = |name: &str| request.headers.iter().any(|header| header.name.eq_ignore_ascii_case(name));
        if has("Transfer-Encoding") || once(request, "Content-Length")?.is_some_and(|length| length != "0") {
            return Err(Answer::bad("the request has a body, and nothing here takes one"));
        }
        Ok(Self {
            method: request.method.unwrap_or_default().to_owned(),
            path: target.split('?').next().unwrap_or_default().to_owned(),
            host: named.map(str::to_owned).or(host),
            origin: once(request, "Origin")?,
            purpose: once(request, "X-Swapwire")?,
        })
    }
}

/// The value of a header that may be there once.
fn once(request: &Request<'_, '_>, name: &str) -> Result<Option<String>, Answer> {
    let mut values = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(Answer::bad(&format!("the request has {name} more than once"))),
        (Some(header), None) => match std::str::from_utf8(header.value) {
            Ok(value) => Ok(Some(value.trim_matches([' ', '\t']).to_owned())),
            Err(_) => Err(Answer::bad(&format!("the request has {name}, and it is not text"))),
        },
    }
}
