//! NATS: the subjects of a message broker as a wire.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![allow(dead_code, reason = "the transport is not there yet")]

mod credentials;
mod dial;
mod info;
mod options;
mod subject;
