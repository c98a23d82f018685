//! One TLS connection for two threads.
//!
//! ```text
//! reader: socket ──records──▶ opener ──▶ caller
//! writer: caller ──[outgoing locked: sealer ──records──▶ socket]
//! ```
//! The reader locks nothing, and neither direction waits for the other. Only the writer waits for `outgoing`: were the
//! reader to wait for it, two sides whose writers both wait for the other's reader would stand still. Keys change one
//! direction at a time, and only then is something locked that both use.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError};
use std::time::Duration;

use rustls::AlertDescription;

use super::opener::{Found, Opener};
use super::record::Broken;
use super::refusal;
use super::sealer::Sealer;
use crate::error::NetError;
use crate::pin::Pin;

/// How long the last words of a link may take to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What both threads need to know of a connection.
pub(crate) struct Shared {
    outgoing: Mutex<Outgoing>,
    socket: TcpStream,
    peer: String,
    /// The pin that the peer knows us by.
    ours: Pin,
    /// What the peer broke the connection with: it gets no more.
    failed: OnceLock<NetError>,
}

/// The way out.
pub(super) struct Outgoing {
    socket: TcpStream,
    pub(super) sealer: Sealer,
    /// Nothing may follow: last words, or a record of which only a part was sent.
    ended: bool,
}

/// What the reader thread reads from: plaintext.
pub(crate) struct Reader {
    shared: Arc<Shared>,
    socket: TcpStream,
    opener: Opener,
    /// The peer has marked the end.
    ended: bool,
}

/// What the writer thread writes to: plaintext.
pub(crate) struct Writer(Arc<Shared>);

/// Both ends of a connection whose handshake is done.
pub(crate) fn split(
    (sealer, opener): (Sealer, Opener),
    socket: TcpStream,
    peer: &str,
    ours: Pin,
) -> io::Result<(Arc<Shared>, Reader, Writer)> {
    let outgoing = Outgoing { socket: socket.try_clone()?, sealer, ended: false };
    let reading = socket.try_clone()?;
    let shared = Arc::new(Shared {
        outgoing: Mutex::new(outgoing),
        socket,
        peer: peer.to_owned(),
        ours,
        failed: OnceLock::new(),
    });
    let reader = Reader { shared: Arc::clone(&shared), socket: reading, opener, ended: false };
    Ok((Arc::clone(&shared), reader, Writer(shared)))
}

impl Shared {
    /// Ends the connection: says so to the peer if that is possible at once, and makes both threads return.
    pub(crate) fn hang_up(&self) {
        let _ = self.socket.set_write_timeout(Some(LAST_WORDS));
        self.say(AlertDescription::CloseNotify);
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Sends last words, unless the writer is at it: then it is in the middle of a record.
    fn say(&self, alert: AlertDescription) {
        let mut outgoing = match self.outgoing.try_lock() {
            Ok(outgoing) => outgoing,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if !outgoing.ended && outgoing.sealer.alert(alert).is_ok() {
            let _ = outgoing.send();
            outgoing.ended = true;
        }
    }

    /// What a failure of TLS means, as the link reports it.
    fn describe(&self, broken: &Broken) -> NetError {
        NetError::Tls { peer: self.peer.clone(), why: refusal::why_broken(broken, self.ours) }
    }

    /// Ends the connection because of what the peer sent, and tells it why.
    fn fail(&self, broken: &Broken) {
        let _ = self.failed.set(self.describe(broken));
        if let Some(alert) = broken.alert() {
            self.say(alert);
        }
    }

    /// What the connection was broken with, as an error of a stream; the link takes it out again.
    fn failure(&self) -> Option<io::Error> {
        self.failed.get().map(|failed| io::Error::other(failed.clone()))
    }

    #[cfg(test)]
    pub(super) fn outgoing(&self) -> std::sync::MutexGuard<'_, Outgoing> {
        self.outgoing.lock().unwrap()
    }
}

impl Outgoing {
    fn send(&mut self) -> io::Result<()> {
        let sent = self.socket.write_all(self.sealer.sealed());
        self.sealer.sent();
        self.ended |= sent.is_err();
        sent
    }
}

/// The end of a stream that did not say that it ends: whoever stands in between can make one.
const CUT: &str = "the connection was cut: it ended without the end that TLS marks";

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some(got) = self.take(into)? {
                return Ok(got);
            }
            // the only place where it waits, with nothing locked
            match self.socket.read(self.opener.room()) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, CUT)),
                Ok(n) => self.opener.filled(n),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

impl Reader {
    /// Fills `into` with plaintext as far as records have come: how much; 0 at the end that the peer marked; nothing
    /// when more bytes are needed first. What came before an error is given out before it.
    fn take(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        let mut got = 0;
        loop {
            got += self.opener.take(&mut into[got..]);
            if got == into.len() || self.ended || self.shared.failed.get().is_some() {
                break;
            }
            match self.opener.open() {
                Ok(Found::Data) => {}
                Ok(Found::Part) => return Ok((got > 0).then_some(got)),
                Ok(Found::End) => self.ended = true,
                Err(broken) => self.shared.fail(&broken),
            }
        }
        match self.shared.failure() {
            Some(failure) if got == 0 => Err(failure),
            _ => Ok(Some(got)),
        }
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let shared = &self.0;
        let mut outgoing = shared.outgoing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = shared.failure() {
            return Err(failure);
        }
        if outgoing.ended {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let taken = outgoing.sealer.data(parts).map_err(|error| {
            outgoing.ended = true;
            io::Error::other(shared.describe(&Broken::Tls(error)))
        })?;
        outgoing.send()?;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
