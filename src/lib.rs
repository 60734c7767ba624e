//! Swap the wire, keep the handler.
