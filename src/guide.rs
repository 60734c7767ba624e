#![doc = include_str!("guide/links.md")]
#![doc = include_str!("../docs/guide/README.md")]

/// A page of the repository. Of two definitions of a link the first holds: here, links between pages lead to modules.
macro_rules! page {
    ($name:ident, $file:literal) => {
        #[doc = include_str!("guide/links.md")]
        #[doc = include_str!($file)]
        pub mod $name {}
    };
}

page!(admin, "../docs/admin.md");
page!(coming_from, "../docs/guide/coming-from.md");
page!(config, "../docs/config.md");
page!(events, "../docs/events.md");
page!(framing, "../docs/guide/framing.md");
page!(limits, "../docs/limits.md");
page!(metrics, "../docs/metrics.md");
page!(options, "../docs/options.md");
page!(past_one_machine, "../docs/guide/past-one-machine.md");
page!(production, "../docs/guide/production.md");
page!(security, "../SECURITY.md");
page!(service, "../docs/guide/service.md");
page!(systemd, "../docs/systemd.md");
page!(testing, "../docs/guide/testing.md");
page!(transport, "../docs/guide/transport.md");
page!(udp, "../docs/guide/udp.md");
page!(which, "../docs/guide/which.md");
