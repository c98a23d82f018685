//! Ports for tests whose processes find one another.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// A port at which nobody listens and which nobody else is given before it is used: where any port will do, the system takes
/// one above these.
pub(crate) fn free_port() -> u16 {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(97).wrapping_add(ASKED.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + (number % 20_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
