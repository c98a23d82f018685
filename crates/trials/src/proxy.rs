//! A wire that can be cut, held up and damaged: a TCP proxy that passes bytes on as they are until it is told otherwise.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Result;

/// Bytes passed on at once.
const PIECE: usize = 64 << 10;
/// How long the other end gets to take a connection.
const REACH: Duration = Duration::from_secs(5);

/// A proxy before one address. It ends with this process.
#[derive(Clone, Debug)]
pub struct Proxy(Arc<State>);

#[derive(Debug)]
struct State {
    own: SocketAddr,
    to: SocketAddr,
    /// Both ends of each connection.
    open: Mutex<Vec<[TcpStream; 2]>>,
    /// Milliseconds that each piece is held up from now on.
    delay: AtomicU64,
    /// Whether one bit of the next piece is turned.
    flip: AtomicBool,
    flipped: AtomicU64,
}

impl Proxy {
    /// Begins to pass on what comes to a free port of loopback.
    pub fn begin(to: SocketAddr) -> Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let state = State {
            own: listener.local_addr()?,
            to,
            open: Mutex::default(),
            delay: AtomicU64::new(0),
            flip: AtomicBool::new(false),
            flipped: AtomicU64::new(0),
        };
        let proxy = Proxy(Arc::new(state));
        let passing = proxy.clone();
        thread::spawn(move || {
            for caller in listener.incoming().flatten() {
                // a caller of nobody is closed
                let _ = passing.pass(caller);
            }
        });
        Ok(proxy)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.own
    }

    fn pass(&self, caller: TcpStream) -> Result<()> {
        let called = TcpStream::connect_timeout(&self.0.to, REACH)?;
        caller.set_nodelay(true)?;
        called.set_nodelay(true)?;
        let pairs = [(caller.try_clone()?, called.try_clone()?), (called.try_clone()?, caller.try_clone()?)];
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        // what has ended is forgotten
        open.retain(|[caller, _]| caller.peer_addr().is_ok());
        open.push([caller, called]);
        drop(open);
        for (from, to) in pairs {
            let state = Arc::clone(&self.0);
            thread::spawn(move || state.copy(from, to));
        }
        Ok(())
    }

    /// Cuts all connections.
    pub fn cut(&self) -> usize {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        let cut = open.drain(..).flatten().filter(|stream| stream.shutdown(Shutdown::Both).is_ok()).count();
        cut / 2
    }

    /// Holds up each piece so long, from now on.
    pub fn delay(&self, delay: Duration) {
        self.0.delay.store(delay.as_millis() as u64, Ordering::Relaxed);
    }

    /// Turns one bit of the next piece that passes.
    pub fn flip(&self) {
        self.0.flip.store(true, Ordering::Relaxed);
    }

    /// How many bits were turned.
    pub fn flipped(&self) -> u64 {
        self.0.flipped.load(Ordering::Relaxed)
    }
}

impl State {
    fn copy(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut piece = vec![0; PIECE];
        while let Ok(read) = from.read(&mut piece) {
            if read == 0 {
                break;
            }
            if self.flip.swap(false, Ordering::Relaxed) {
                piece[read / 2] ^= 1;
                self.flipped.fetch_add(1, Ordering::Relaxed);
            }
            let delay = self.delay.load(Ordering::Relaxed);
            if delay > 0 {
                thread::sleep(Duration::from_millis(delay));
            }
            if to.write_all(&piece[..read]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}
