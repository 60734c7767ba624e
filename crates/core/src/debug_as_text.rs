//! Errors that a `main` may return: what it prints is their `Debug`.

/// Makes `Debug` of each type what its `Display` is.
#[doc(hidden)]
#[macro_export]
macro_rules! debug_as_text {
    ($($type:ty),+ $(,)?) => {$(
        impl ::std::fmt::Debug for $type {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(self, f)
            }
        }
    )+};
}
