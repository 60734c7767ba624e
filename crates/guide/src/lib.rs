//! The blocks of code of `docs/guide`, which are tests. The library shows the pages as `swapwire::guide`.

/// A page, for its blocks.
macro_rules! page {
    ($name:ident, $file:literal) => {
        #[cfg(doctest)]
        #[doc = include_str!($file)]
        pub mod $name {}
    };
}

page!(coming_from, "../../../docs/guide/coming-from.md");
page!(framing, "../../../docs/guide/framing.md");
page!(past_one_machine, "../../../docs/guide/past-one-machine.md");
page!(production, "../../../docs/guide/production.md");
page!(service, "../../../docs/guide/service.md");
page!(testing, "../../../docs/guide/testing.md");
page!(transport, "../../../docs/guide/transport.md");
page!(udp, "../../../docs/guide/udp.md");
page!(which, "../../../docs/guide/which.md");
