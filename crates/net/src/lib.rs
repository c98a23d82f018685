//! Opaque frames between peers.
//!
//! A [`Frame`] is a small fixed [`Header`] and a payload of bytes; a [`Link`] carries frames to one peer and back, in
//! order, with a deadline on every wait. This crate does not know what the bytes mean.
//!
//! - [`memory_pair`] joins two parties in one process.
//! - [`TcpLink`] joins two processes: one writer and one reader thread, with bounded queues between them and the
//!   caller, so that two sides which both send in bulk before they receive do not block one another.
//! - [`Listener`] and [`connect`] make the connection that a [`TcpLink`] is built from.
//! - [`Shaped`] slows a link down to a given network, for measuring.
//! - `testing` (a feature) has links that record or break what passes.
//!
//! Links do not authenticate their peer yet, which is why what carries secrets listens with [`Listener::loopback`]. A TLS link will be
//! another implementor of [`Link`] over the same two threads.
//!
//! Payloads are secrets or halves of secrets: nothing in this crate prints one, not in `Debug` and not in errors.

mod duplex;
mod error;
mod forward;
mod frame;
mod header;
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

pub use error::{NetError, Wait};
pub use frame::{Frame, HEADER_LEN, VERSION};
pub use header::Header;
pub use link::{Counters, Limits, Link};
pub use listener::{Listener, connect};
pub use memory::{MemoryLink, memory_pair};
pub use named::Named;
pub use pin::{Pin, PinError};
pub use shaped::{LinkShape, Shaped};
pub use tcp::TcpLink;
