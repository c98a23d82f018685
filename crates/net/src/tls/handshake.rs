//! The handshake, within one deadline.
//!
//! Never more is read from the socket than the record that is expected: what the peer sends right after its handshake
//! stays there for those who can open it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::ops::Deref;
use std::time::{Duration, Instant};

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::kernel::KernelConnection;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus};
use rustls::{AlertDescription, CommonState, Error, ExtractedSecrets, InvalidMessage, PeerMisbehaved};

use super::opener::Opener;
use super::record::{HEADER, Keys, MOST_SEALED, Successors};
use super::refusal::not_tls;
use super::sealer::Sealer;

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
    Tls(Error),
    /// The peer does not speak TLS; it sent this.
    NotTls(&'static str),
    /// The peer negotiated no protocol or another one.
    OtherProtocol,
    /// It did not end in time, but was given up after this long.
    Timeout(Duration),
}

/// Of a message of the handshake that is not all there, the most that is kept; TLS allows messages of 64 KiB.
const MOST_UNFINISHED: usize = (64 << 10) + HEADER + MOST_SEALED;

/// Either side of a handshake.
pub(crate) trait Side: Deref<Target: Deref<Target = CommonState>> + Sized {
    /// What the side knows.
    type Data: Send + 'static;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;

    fn into_keys(self) -> Result<(ExtractedSecrets, KernelConnection<Self::Data>), Error>;
}

impl Side for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }

    fn into_keys(self) -> Result<(ExtractedSecrets, KernelConnection<Self::Data>), Error> {
        self.dangerous_into_kernel_connection()
    }
}

impl Side for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }

    fn into_keys(self) -> Result<(ExtractedSecrets, KernelConnection<Self::Data>), Error> {
        self.dangerous_into_kernel_connection()
    }
}

/// Shakes hands over `stream` within `limit`, in which the peer must have agreed on `protocol`: both directions of the
/// connection. The stream's time-outs are off afterwards. A peer that is refused is told why.
pub(crate) fn shake<S: Side>(
    side: S,
    stream: &TcpStream,
    protocol: &[u8],
    limit: Duration,
) -> Result<(Sealer, Opener), Failure> {
    let timed = Timed { stream, start: Instant::now(), limit, first: Vec::new() };
    let mut shaking = Shaking { side, timed, incoming: Vec::new(), outgoing: Vec::new(), place: Place::default() };
    if let Err(failure) = shaking.exchange() {
        if matches!(failure, Failure::Tls(_)) {
            shaking.say_why();
        }
        return Err(failure);
    }
    let Shaking { side, mut timed, .. } = shaking;
    let agreed = side.alpn_protocol() == Some(protocol);
    let (mut sealer, opener) = halves(side).map_err(Failure::Tls)?;
    if !agreed {
        if sealer.alert(AlertDescription::CloseNotify).is_ok() {
            timed.say_farewell(sealer.sealed());
        }
        return Err(Failure::OtherProtocol);
    }
    timed.release().map_err(Failure::Io)?;
    Ok((sealer, opener))
}

/// Both directions of a connection whose handshake is done.
fn halves(side: impl Side) -> Result<(Sealer, Opener), Error> {
    let (secrets, connection) = side.into_keys()?;
    let successors = Successors::of(connection);
    let sealer = Sealer::new(Keys::agreed(secrets.tx)?, successors.clone());
    Ok((sealer, Opener::new(Keys::agreed(secrets.rx)?, successors)))
}

/// A handshake that is under way.
struct Shaking<'a, S> {
    side: S,
    timed: Timed<'a>,
    /// What came and is not used up.
    incoming: Vec<u8>,
    /// What is to be sent.
    outgoing: Vec<u8>,
    place: Place,
}

/// Where in a record the bytes from the socket end.
#[derive(Default)]
struct Place {
    header: Vec<u8>,
    /// Bytes that are missing of what follows the header.
    left: usize,
}

impl Place {
    /// How many bytes may be read: to the end of the header, or of the record.
    fn wanted(&self) -> usize {
        if self.left > 0 { self.left } else { HEADER - self.header.len() }
    }

    /// So many of them were.
    fn passed(&mut self, bytes: &[u8]) {
        if self.left > 0 {
            self.left -= bytes.len();
            return;
        }
        self.header.extend_from_slice(bytes);
        if let [_, _, _, high, low] = self.header[..] {
            self.left = usize::from(u16::from_be_bytes([high, low]));
            self.header.clear();
        }
    }

    fn between_records(&self) -> bool {
        self.left == 0 && self.header.is_empty()
    }
}

/// What a handshake needs next.
enum Next {
    More,
    Send,
    Read,
    Done,
}

impl<S: Side> Shaking<'_, S> {
    fn exchange(&mut self) -> Result<(), Failure> {
        loop {
            match self.step().map_err(Failure::Tls)? {
                Next::More => {}
                Next::Send => self.timed.send(&mut self.outgoing)?,
                Next::Read => self.read()?,
                Next::Done => break,
            }
        }
        // keys change at the end of a record, which is as far as was read
        if self.incoming.is_empty() && self.place.between_records() {
            return Ok(());
        }
        Err(Failure::Tls(PeerMisbehaved::KeyEpochWithPendingFragment.into()))
    }

    /// Lets TLS see what came, and takes what it has to say. What it is done with must go, after an error as well: it
    /// counts on finding the rest where it was.
    fn step(&mut self) -> Result<Next, Error> {
        let UnbufferedStatus { discard, state } = self.side.process(&mut self.incoming);
        let next = state.and_then(|state| match state {
            ConnectionState::EncodeTlsData(data) => encode(data, &mut self.outgoing).map(|()| Next::More),
            ConnectionState::TransmitTlsData(data) => {
                data.done();
                Ok(Next::Send)
            }
            ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_) => Ok(Next::Read),
            // none of these comes before the end of the handshake
            state => Err(Error::General(format!("a handshake that is {state:?}"))),
        });
        self.incoming.drain(..discard);
        Ok(if matches!(next, Ok(Next::Read)) && !self.side.is_handshaking() { Next::Done } else { next? })
    }

    /// Reads on, no further than to the end of the record.
    fn read(&mut self) -> Result<(), Failure> {
        let before = self.incoming.len();
        if before > MOST_UNFINISHED {
            return Err(Failure::Tls(InvalidMessage::HandshakePayloadTooLarge.into()));
        }
        self.incoming.resize(before + self.place.wanted(), 0);
        let read = self.timed.read(&mut self.incoming[before..]).map_err(|e| self.timed.failed(e))?;
        self.incoming.truncate(before + read);
        if read == 0 {
            let ended = "the peer closed the connection before TLS was agreed on; is its side set up for TLS?";
            return Err(Failure::Io(io::Error::new(io::ErrorKind::UnexpectedEof, ended)));
        }
        self.place.passed(&self.incoming[before..]);
        not_tls(&self.timed.first).map_or(Ok(()), |kind| Err(Failure::NotTls(kind)))
    }

    /// Tells the peer that is refused why, which TLS has to say after its error. Asked once: what came is still there, and TLS
    /// would judge it, and refuse it, a second time.
    fn say_why(&mut self) {
        let _ = self.step();
        self.timed.say_farewell(&self.outgoing);
    }
}

/// Appends what TLS has to say.
fn encode<Data>(mut data: EncodeTlsData<'_, Data>, to: &mut Vec<u8>) -> Result<(), Error> {
    let before = to.len();
    let mut result = data.encode(&mut []);
    if let Err(EncodeError::InsufficientSize(needed)) = result {
        to.resize(before + needed.required_size, 0);
        result = data.encode(&mut to[before..]);
    }
    result.map(drop).map_err(|e| Error::General(e.to_string()))
}

/// A stream with one deadline for all that is read and written.
struct Timed<'a> {
    stream: &'a TcpStream,
    start: Instant,
    limit: Duration,
    /// The first bytes that came.
    first: Vec<u8>,
}

impl Timed<'_> {
    fn send(&mut self, outgoing: &mut Vec<u8>) -> Result<(), Failure> {
        self.write_all(outgoing).map_err(|e| self.failed(e))?;
        outgoing.clear();
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
    fn say_farewell(&mut self, last: &[u8]) {
        self.limit = self.limit.min(self.start.elapsed().saturating_add(FAREWELL));
        if self.write_all(last).is_err() || self.stream.shutdown(Shutdown::Write).is_err() {
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
