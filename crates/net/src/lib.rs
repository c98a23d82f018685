//! Opaque frames between peers.
//!
//! A [`Frame`] is a small fixed [`Header`] and a payload of bytes; a [`Link`] carries frames to one peer and back, in
//! order, with a deadline on every wait. This crate does not know what the bytes mean.
//!
//! - [`memory_pair`] joins two parties in one process.
//! - [`TcpLink`] joins two processes: one writer and one reader thread, with bounded queues between them and the
//!   caller, so that two sides which both send in bulk before they receive do not block one another.
//! - [`TlsLink`] is the same over TLS 1.3: both sides prove the keys that they are known by, each by its [`Pin`]; a
//!   [`TlsIdentity`] is a role's own key, which [`keys`] makes and replaces.
//! - [`Listener`] and [`connect`] make the connection that a [`TcpLink`] or a [`TlsLink`] is built from.
//! - [`Shaped`] slows a link down to a given network, for measuring.
//! - `testing` (a feature) has links that record or break what passes.
//!
//! A [`TcpLink`] does not authenticate its peer: what carries secrets over one listens with [`Listener::loopback`].
//!
//! Payloads are secrets or halves of secrets: nothing in this crate prints one, not in `Debug` and not in errors.

mod certificate;
mod duplex;
mod error;
mod forward;
mod frame;
mod header;
mod identity;
pub mod keys;
mod link;
mod listener;
mod memory;
mod named;
mod pin;
mod queue;
mod shaped;
mod tcp;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;

pub use certificate::Validity;
pub use error::{NetError, Wait};
pub use frame::{Frame, HEADER_LEN, VERSION};
pub use header::Header;
pub use identity::{IdentityError, TlsIdentity};
pub use link::{Counters, Limits, Link};
pub use listener::{Listener, connect, connect_now};
pub use memory::{MemoryLink, memory_pair};
pub use named::Named;
pub use pin::{Pin, PinError};
pub use shaped::{LinkShape, Shaped};
pub use tcp::TcpLink;
pub use tls::TlsLink;
