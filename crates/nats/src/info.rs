//! What a broker says of itself.

use serde::Deserialize;

/// `INFO`, as far as it has a meaning here; what is unknown is ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct ServerInfo {
    pub(crate) server_id: String,
    pub(crate) server_name: String,
    pub(crate) version: String,
    pub(crate) max_payload: usize,
    pub(crate) headers: bool,
    pub(crate) ldm: bool,
    pub(crate) auth_required: bool,
    pub(crate) tls_required: bool,
    pub(crate) tls_available: bool,
    pub(crate) nonce: Option<String>,
    pub(crate) connect_urls: Vec<String>,
    pub(crate) client_id: u64,
}
