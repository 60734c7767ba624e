//! Pages of the repository's `docs` folder for those who use the library.

/// A page. Its links to files of the repository lead to other pages here, or to the sources: the first definition of a link holds.
macro_rules! page {
    ($name:ident, $file:literal) => {
        /// [docs/faults.md]: https://docs.rs/crate/swapwire/latest/source/docs/faults.md
        /// [docs/limits.md]: crate::guide::limits
        /// [faults.md]: https://docs.rs/crate/swapwire/latest/source/docs/faults.md
        /// [handshakes]: crate::guide::limits#handshakes
        ///
        #[doc = include_str!($file)]
        pub mod $name {}
    };
}

page!(limits, "../docs/limits.md");
page!(options, "../docs/options.md");
page!(security, "../SECURITY.md");
