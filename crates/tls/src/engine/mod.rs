//! What is made of rustls. Nothing outside this folder knows it.

mod alert;
mod client;
mod identity;
mod pin;
mod provider;
mod server;
mod session;

pub(crate) use client::{ClientConfig, ClientSettings, Name, Roots, Trust};
pub use identity::Identity;
pub(crate) use identity::{certificates, private_key};
pub(crate) use pin::KeyPin;
pub(crate) use server::{ClientAuth, ServerConfig, ServerSettings, Ticketer};
pub(crate) use session::Session;
