//! One TLS connection for two threads.
//!
//! ```text
//! reader: socket ──bytes──▶ raw ──[connection locked: decrypt]──▶ caller
//! writer: caller ──[outgoing locked ▸ connection locked: encrypt]──▶ bytes ──[outgoing still locked]──▶ socket
//! ```
//! Nobody waits for the network with the connection locked, so neither direction waits for the other. Records leave in
//! the order in which they were encrypted, because `outgoing` is locked around both. Only the writer waits for
//! `outgoing`: were the reader to wait for it, two sides whose writers both wait for the other's reader would stand
//! still.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use rustls::Connection;

use super::refusal;
use crate::error::NetError;
use crate::pin::Pin;

/// Of plaintext, the most that is encrypted at once: so much of a payload is held twice.
const CHUNK: usize = 128 << 10;

/// Read from the socket at once.
const RAW: usize = 128 << 10;

/// How long the last words of a link may take to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The connection, and what both threads need to know of it.
pub(crate) struct Shared {
    connection: Mutex<Connection>,
    outgoing: Mutex<Outgoing>,
    socket: TcpStream,
    peer: String,
    /// The pin that the peer knows us by.
    ours: Pin,
}

/// The way out: encrypted bytes that are not yet with the operating system.
struct Outgoing {
    socket: TcpStream,
    bytes: Vec<u8>,
}

/// What the reader thread reads from: plaintext.
pub(crate) struct Reader {
    shared: Arc<Shared>,
    socket: TcpStream,
    /// Bytes from the socket, of which those from `at` to `end` are not decrypted yet.
    raw: Vec<u8>,
    at: usize,
    end: usize,
    /// What went wrong after the plaintext that is still to be given out.
    failed: Option<NetError>,
}

/// What the writer thread writes to: plaintext.
pub(crate) struct Writer(Arc<Shared>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Both ends of a connection whose handshake is done.
pub(crate) fn split(
    mut connection: Connection,
    socket: TcpStream,
    peer: &str,
    ours: Pin,
) -> io::Result<(Arc<Shared>, Reader, Writer)> {
    // what is encrypted is bounded by CHUNK, and taken out at once
    connection.set_buffer_limit(None);
    let outgoing = Outgoing { socket: socket.try_clone()?, bytes: Vec::new() };
    let reading = socket.try_clone()?;
    let shared = Arc::new(Shared {
        connection: Mutex::new(connection),
        outgoing: Mutex::new(outgoing),
        socket,
        peer: peer.to_owned(),
        ours,
    });
    let reader =
        Reader { shared: Arc::clone(&shared), socket: reading, raw: vec![0; RAW], at: 0, end: 0, failed: None };
    Ok((Arc::clone(&shared), reader, Writer(shared)))
}

impl Shared {
    /// Ends the connection: says so to the peer if that is possible at once, and makes both threads return.
    pub(crate) fn hang_up(&self) {
        let _ = self.socket.set_write_timeout(Some(LAST_WORDS));
        self.say(|connection| connection.send_close_notify());
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Sends what `prepare` leaves in the connection, unless the writer is at it: then it is in the middle of a record.
    fn say(&self, prepare: impl FnOnce(&mut Connection)) {
        let mut outgoing = match self.outgoing.try_lock() {
            Ok(outgoing) => outgoing,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let mut connection = lock(&self.connection);
        prepare(&mut connection);
        let taken = outgoing.take(&mut connection);
        drop(connection);
        let _ = taken.and_then(|()| outgoing.send());
    }

    /// What a failure of TLS means, as an error of a stream; the link takes it out again.
    fn broken(&self, error: &rustls::Error) -> NetError {
        NetError::Tls { peer: self.peer.clone(), why: refusal::why(error, self.ours) }
    }
}

impl Outgoing {
    /// Takes the encrypted bytes out of the connection.
    fn take(&mut self, connection: &mut Connection) -> io::Result<()> {
        while connection.wants_write() {
            connection.write_tls(&mut self.bytes)?;
        }
        Ok(())
    }

    fn send(&mut self) -> io::Result<()> {
        let sent = self.socket.write_all(&self.bytes);
        self.bytes.clear();
        sent
    }
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some(got) = self.decrypt(into)? {
                return Ok(got);
            }
            // the only place where it waits, with nothing locked
            (self.at, self.end) = (0, 0);
            self.end = match self.socket.read(&mut self.raw) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, CUT)),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
        }
    }
}

/// The end of a stream that did not say that it ends: whoever stands in between can make one.
const CUT: &str = "the connection was cut: it ended without the end that TLS marks";

impl Reader {
    /// Fills `into` with plaintext as far as bytes have come: how much; 0 at the end that the peer marked; nothing when
    /// more bytes are needed first.
    fn decrypt(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        let shared = Arc::clone(&self.shared);
        let mut connection = lock(&shared.connection);
        let mut got = 0;
        loop {
            // out first: TLS takes no more in while it holds plaintext
            while got < into.len() {
                match connection.reader().read(&mut into[got..]) {
                    Ok(0) => return Ok(Some(got)),
                    Ok(n) => got += n,
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                    Err(_) if self.failed.is_some() => break,
                    Err(e) => return Err(e),
                }
            }
            if let (0, Some(failed)) = (got, &self.failed) {
                return Err(io::Error::other(failed.clone()));
            }
            if got == into.len() || self.at == self.end || self.failed.is_some() {
                return Ok((got > 0).then_some(got));
            }
            self.at += connection.read_tls(&mut &self.raw[self.at..self.end])?;
            if let Err(error) = connection.process_new_packets() {
                self.failed = Some(shared.broken(&error));
                drop(connection);
                // the alert that belongs to it
                shared.say(|_| {});
                connection = lock(&shared.connection);
            }
        }
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut room = CHUNK;
        let mut chunk = Vec::with_capacity(parts.len());
        for part in parts {
            let take = part.len().min(room);
            chunk.push(IoSlice::new(&part[..take]));
            room -= take;
        }
        let mut outgoing = lock(&self.0.outgoing);
        let mut connection = lock(&self.0.connection);
        let taken = connection.writer().write_vectored(&chunk).map_err(|e| match e.get_ref() {
            // it can no longer be written to because of what was read
            Some(inner) => match inner.downcast_ref() {
                Some(error) => io::Error::other(self.0.broken(error)),
                None => e,
            },
            None => e,
        })?;
        outgoing.take(&mut connection)?;
        drop(connection);
        outgoing.send()?;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
