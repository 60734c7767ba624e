//! The flags of `serve` that are about the admin endpoint.

use clap::Args;

use crate::values::switch;

const ADMIN: &str = "Admin endpoint";

#[derive(Args, Debug)]
pub(crate) struct AdminFlags {
    /// Endpoint for metrics, health and a page that shows the server live, as unix:/run/x-admin.sock or tcp://127.0.0.1:9090. Default: none
    ///
    /// Whoever may connect to a Unix socket may also reload; on TCP a reload needs a header. docs/admin.md has the paths.
    #[arg(long, value_name = "ENDPOINT", help_heading = ADMIN)]
    pub(crate) admin_listen: Option<String>,

    /// Allow an address that other hosts reach; they can read, without a password
    #[arg(long, help_heading = ADMIN, value_name = "BOOL", value_parser = switch, num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true")]
    pub(crate) admin_expose: Option<bool>,

    /// Names by which browsers and Prometheus may ask, beside IP addresses and localhost: a comma list
    #[arg(long, value_name = "NAMES", help_heading = ADMIN)]
    pub(crate) admin_hosts: Option<String>,
}

impl AdminFlags {
    /// Whether there is one: each of the flags switches it on.
    pub(crate) fn is_given(&self) -> bool {
        self.admin_listen.is_some() || self.admin_expose.is_some() || self.admin_hosts.is_some()
    }
}
