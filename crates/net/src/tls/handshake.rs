//! The handshake, within one deadline.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use rustls::Connection;

use super::refusal::not_tls;

/// How long a peer that is refused may take to read why. The bytes that it still sends must be read until then: a
/// socket that is closed with unread bytes takes back what was written.
const FAREWELL: Duration = Duration::from_secs(1);

/// Of what a refused peer still sends, the most that is read.
const MOST_IGNORED: usize = 256 << 10;

/// Why a handshake came to nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The connection ended.
    Io(io::Error),
    /// One side refused the other.
    Tls(rustls::Error),
    /// The peer does not speak TLS; it sent this.
    NotTls(&'static str),
    /// The peer negotiated no protocol or another one.
    OtherProtocol,
    /// It did not end in time, but was given up after this long.
    Timeout(Duration),
}

/// A stream with one deadline for all that is read and written.
struct Timed<'a> {
    stream: &'a TcpStream,
    start: Instant,
    limit: Duration,
    /// The first bytes that came.
    first: Vec<u8>,
}

/// Shakes hands over `stream` within `limit`, in which the peer must have agreed on `protocol`. The stream's time-outs
/// are off afterwards. A peer that is refused is told why.
pub(crate) fn shake(
    connection: &mut Connection,
    stream: &TcpStream,
    protocol: &[u8],
    limit: Duration,
) -> Result<(), Failure> {
    let mut timed = Timed { stream, start: Instant::now(), limit, first: Vec::new() };
    let shaken = exchange(connection, &mut timed).and_then(|()| match connection.alpn_protocol() {
        Some(agreed) if agreed == protocol => Ok(()),
        _ => {
            connection.send_close_notify();
            Err(Failure::OtherProtocol)
        }
    });
    if let Err(Failure::Tls(_) | Failure::OtherProtocol) = &shaken {
        timed.say_farewell(connection);
    }
    shaken.and_then(|()| timed.release().map_err(Failure::Io))
}

fn exchange(connection: &mut Connection, timed: &mut Timed<'_>) -> Result<(), Failure> {
    while connection.is_handshaking() {
        timed.send(connection)?;
        if !connection.wants_read() {
            continue;
        }
        if connection.read_tls(timed).map_err(|e| timed.failed(e))? == 0 {
            let ended = "the peer closed the connection before TLS was agreed on; is its side set up for TLS?";
            return Err(Failure::Io(io::Error::new(io::ErrorKind::UnexpectedEof, ended)));
        }
        if let Some(kind) = not_tls(&timed.first) {
            return Err(Failure::NotTls(kind));
        }
        connection.process_new_packets().map_err(Failure::Tls)?;
    }
    timed.send(connection)
}

impl Timed<'_> {
    fn send(&mut self, connection: &mut Connection) -> Result<(), Failure> {
        while connection.wants_write() {
            connection.write_tls(self).map_err(|e| self.failed(e))?;
        }
        Ok(())
    }

    fn failed(&self, error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock if self.left().is_none() => {
                Failure::Timeout(self.start.elapsed())
            }
            _ => Failure::Io(error),
        }
    }

    /// The time left, if any.
    fn left(&self) -> Option<Duration> {
        self.limit.checked_sub(self.start.elapsed()).filter(|left| !left.is_zero())
    }

    /// Until the deadline, time-outs that came early are tried again.
    fn until_done(
        &self,
        set: impl Fn(&TcpStream, Option<Duration>) -> io::Result<()>,
        mut act: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            set(self.stream, Some(self.left().ok_or(io::ErrorKind::TimedOut)?))?;
            match act(self.stream) {
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                done => return done,
            }
        }
    }

    /// Sends what there is to say and waits a little for the peer to hear it. Whatever fails here changes nothing.
    fn say_farewell(&mut self, connection: &mut Connection) {
        self.limit = self.limit.min(self.start.elapsed().saturating_add(FAREWELL));
        if self.send(connection).is_err() || self.stream.shutdown(Shutdown::Write).is_err() {
            return;
        }
        let (mut ignored, mut bytes) = (0, [0; 4096]);
        while ignored < MOST_IGNORED {
            match self.read(&mut bytes) {
                Ok(0) | Err(_) => return,
                Ok(n) => ignored += n,
            }
        }
    }

    /// Gives the stream back without time-outs.
    fn release(self) -> io::Result<()> {
        self.stream.set_read_timeout(None)?;
        self.stream.set_write_timeout(None)
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let n = self.until_done(TcpStream::set_read_timeout, |mut stream| stream.read(bytes))?;
        let missing = 4_usize.saturating_sub(self.first.len());
        self.first.extend_from_slice(&bytes[..n.min(missing)]);
        Ok(n)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.until_done(TcpStream::set_write_timeout, |mut stream| stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
