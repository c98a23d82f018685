//! A frame, and how it is written as bytes.

use std::fmt;
use std::io::{self, IoSlice, Read, Write};

use crate::error::{NetError, Wait};
use crate::header::Header;

/// Bytes of a header on the wire.
pub const HEADER_LEN: usize = 48;

/// Version of the frame format, sent in every header.
pub const VERSION: u8 = 2;

/// The first bytes of every frame.
const MAGIC: [u8; 4] = *b"PTIF";

/// The least that is allocated at once for a payload that is arriving. Most payloads are no longer, so that they are not
/// moved while they grow.
const PIECE: usize = 4 << 20;

/// A header and a payload. `Debug` prints the payload's length, never its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// What the frame is.
    pub header: Header,
    /// The bytes it carries.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A frame of `header` and `payload`.
    pub fn new(header: Header, payload: Vec<u8>) -> Self {
        Self { header, payload }
    }

    /// Bytes of this frame on the wire, header included.
    pub fn wire_len(&self) -> u64 {
        HEADER_LEN as u64 + self.payload.len() as u64
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("header", &self.header)
            .field("payload", &format_args!("{} bytes", self.payload.len()))
            .finish()
    }
}

/// Writes `frame`: header and payload in one call where the stream takes both.
pub(crate) fn write_frame(stream: &mut impl Write, frame: &Frame) -> io::Result<()> {
    let header = encode(&frame.header, frame.payload.len() as u64);
    let (mut head, mut body) = (&header[..], &frame.payload[..]);
    while !head.is_empty() {
        match stream.write_vectored(&[IoSlice::new(head), IoSlice::new(body)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                let of_head = n.min(head.len());
                head = &head[of_head..];
                body = &body[n - of_head..];
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    stream.write_all(body)?;
    stream.flush()
}

/// Reads the frame that must be number `sequence`, refusing what is announced longer than `max_frame` says when its header
/// has arrived.
pub(crate) fn read_frame(
    stream: &mut impl Read,
    peer: &str,
    max_frame: impl Fn() -> u64,
    sequence: u64,
) -> Result<Frame, NetError> {
    let lost = |source| NetError::lost(peer, Wait::Receive(None), source);
    let mut bytes = [0; HEADER_LEN];
    read_header(stream, &mut bytes).map_err(lost)?;
    let (header, length) = decode(&bytes, peer)?;
    let max_frame = max_frame();
    let payload_len = usize::try_from(length).ok().filter(|_| length <= max_frame).ok_or_else(|| {
        let wait = Wait::Receive(Some(header.step));
        NetError::TooLong { peer: peer.to_owned(), wait, length, limit: max_frame }
    })?;
    check_sequence(&header, peer, sequence)?;
    let mut payload = Vec::new();
    read_payload(stream, payload_len, &mut payload).map_err(lost)?;
    Ok(Frame { header, payload })
}

/// A frame must be the next one of its link and direction.
pub(crate) fn check_sequence(header: &Header, peer: &str, expected: u64) -> Result<(), NetError> {
    if header.sequence == expected {
        return Ok(());
    }
    Err(NetError::OutOfSequence { peer: peer.to_owned(), expected, got: header.sequence })
}

/// Little-endian, in this order: magic 4, version 1, kind 1, zero 2, attempt 4, step 4, session 8, request 8, sequence 8,
/// length 8.
fn encode(header: &Header, length: u64) -> [u8; HEADER_LEN] {
    let mut bytes = [0; HEADER_LEN];
    bytes[0..4].copy_from_slice(&MAGIC);
    bytes[4] = VERSION;
    bytes[5] = header.kind;
    bytes[8..12].copy_from_slice(&header.attempt.to_le_bytes());
    bytes[12..16].copy_from_slice(&header.step.to_le_bytes());
    bytes[16..24].copy_from_slice(&header.session.to_le_bytes());
    bytes[24..32].copy_from_slice(&header.request.to_le_bytes());
    bytes[32..40].copy_from_slice(&header.sequence.to_le_bytes());
    bytes[40..48].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// The header in `bytes` and the payload length it announces.
fn decode(bytes: &[u8; HEADER_LEN], peer: &str) -> Result<(Header, u64), NetError> {
    if bytes[0..4] != MAGIC {
        return Err(NetError::Malformed { peer: peer.to_owned(), what: "no frame begins where one should" });
    }
    if bytes[4] != VERSION {
        return Err(NetError::WrongVersion { peer: peer.to_owned(), expected: VERSION, got: bytes[4] });
    }
    if bytes[6..8] != [0; 2] {
        return Err(NetError::Malformed { peer: peer.to_owned(), what: "reserved header bytes are not zero" });
    }
    let header = Header {
        kind: bytes[5],
        session: u64::from_le_bytes(array(bytes, 16)),
        attempt: u32::from_le_bytes(array(bytes, 8)),
        step: u32::from_le_bytes(array(bytes, 12)),
        request: u64::from_le_bytes(array(bytes, 24)),
        sequence: u64::from_le_bytes(array(bytes, 32)),
    };
    Ok((header, u64::from_le_bytes(array(bytes, 40))))
}

fn array<const N: usize>(bytes: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    std::array::from_fn(|i| bytes[at + i])
}

fn read_header(stream: &mut impl Read, bytes: &mut [u8; HEADER_LEN]) -> io::Result<()> {
    let mut have = 0;
    while have < HEADER_LEN {
        match stream.read(&mut bytes[have..]) {
            Ok(0) if have == 0 => {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer closed the connection"));
            }
            Ok(0) => return Err(ended_inside("header", have, HEADER_LEN)),
            Ok(n) => have += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Reads `length` bytes, never allocating more than twice what has arrived (and [`PIECE`] at first): a peer that
/// announces a long payload and sends nothing costs nothing.
fn read_payload(stream: &mut impl Read, length: usize, payload: &mut Vec<u8>) -> io::Result<()> {
    while payload.len() < length {
        let piece = (length - payload.len()).min(payload.len().max(PIECE));
        payload.try_reserve_exact(piece)?;
        let arrived = stream.by_ref().take(piece as u64).read_to_end(payload)?;
        if arrived < piece {
            return Err(ended_inside("payload", payload.len(), length));
        }
    }
    Ok(())
}

fn ended_inside(part: &str, have: usize, of: usize) -> io::Error {
    let message = format!("the connection ended inside a {part}, after {have} of {of} bytes");
    io::Error::new(io::ErrorKind::UnexpectedEof, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 1 << 30;

    fn frame(payload: Vec<u8>) -> Frame {
        let header =
            Header { kind: 3, session: 0x0123_4567_89ab_cdef, request: 0x17, attempt: 5, step: 7, sequence: 11 };
        Frame { header, payload }
    }

    fn bytes(frame: &Frame) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, frame).unwrap();
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Frame, NetError> {
        read_frame(&mut &bytes[..], "peer", || LIMIT, 11)
    }

    /// A stream that takes and gives at most three bytes a call.
    struct Narrow(Vec<u8>);

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let n = bytes.len().min(3);
            self.0.extend_from_slice(&bytes[..n]);
            Ok(n)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Read for Narrow {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            let n = bytes.len().min(3).min(self.0.len());
            bytes[..n].copy_from_slice(&self.0[..n]);
            self.0.drain(..n);
            Ok(n)
        }
    }

    #[test]
    fn a_frame_survives_the_wire() {
        for length in [0, 1, 47, 48, 49, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 5] {
            let sent = frame((0..length).map(|i| (i % 251) as u8).collect());
            let bytes = bytes(&sent);
            assert_eq!(bytes.len() as u64, sent.wire_len());
            assert_eq!(read(&bytes).unwrap(), sent);
        }
    }

    #[test]
    fn a_frame_survives_a_stream_that_moves_three_bytes_at_a_time() {
        let sent = frame((0..200).collect());
        let mut stream = Narrow(Vec::new());
        write_frame(&mut stream, &sent).unwrap();
        assert_eq!(stream.0, bytes(&sent));
        assert_eq!(read_frame(&mut stream, "peer", || LIMIT, 11).unwrap(), sent);
    }

    #[test]
    fn the_header_is_written_as_documented() {
        let parts: [&[u8]; 6] = [
            b"PTIF\x02\x03\0\0\x05\0\0\0\x07\0\0\0",
            b"\xef\xcd\xab\x89\x67\x45\x23\x01",
            b"\x17\0\0\0\0\0\0\0",
            b"\x0b\0\0\0\0\0\0\0",
            b"\x02\0\0\0\0\0\0\0",
            b"hi",
        ];
        assert_eq!(bytes(&frame(b"hi".to_vec())), parts.concat());
    }

    #[test]
    fn every_truncation_of_a_frame_is_a_lost_connection() {
        let whole = bytes(&frame((0..60).collect()));
        for end in 0..whole.len() {
            let error = read(&whole[..end]).unwrap_err();
            assert!(matches!(error, NetError::Lost { .. }), "{end}: {error}");
        }
    }

    #[test]
    fn a_wrong_magic_version_or_reserved_byte_is_named() {
        let with = |at: usize, value: u8| {
            let mut bytes = bytes(&frame(vec![1]));
            bytes[at] = value;
            read(&bytes).unwrap_err()
        };
        assert!(matches!(with(0, b'X'), NetError::Malformed { .. }));
        assert!(matches!(with(4, 9), NetError::WrongVersion { expected: VERSION, got: 9, .. }));
        assert!(matches!(with(6, 1), NetError::Malformed { .. }));
    }

    #[test]
    fn a_repeated_or_skipped_frame_is_out_of_sequence() {
        let bytes = bytes(&frame(vec![1]));
        for expected in [10, 12] {
            let error = read_frame(&mut &bytes[..], "peer", || LIMIT, expected).unwrap_err();
            assert!(matches!(error, NetError::OutOfSequence { expected: e, got: 11, .. } if e == expected));
        }
    }

    #[test]
    fn a_payload_over_the_limit_is_refused_before_it_is_read() {
        for length in [101, u64::MAX] {
            let announced = encode(&frame(Vec::new()).header, length);
            let error = read_frame(&mut &announced[..], "peer", || 100, 11).unwrap_err();
            assert!(matches!(error, NetError::TooLong { length: l, limit: 100, .. } if l == length), "{error}");
        }
    }

    #[test]
    fn a_liar_who_announces_a_gibibyte_gets_four_mebibytes() {
        let mut payload = Vec::new();
        read_payload(&mut &[0; 100][..], 1 << 30, &mut payload).unwrap_err();
        assert_eq!(payload.len(), 100);
        assert!(payload.capacity() <= PIECE, "{}", payload.capacity());
        let mut payload = Vec::new();
        read_payload(&mut io::repeat(0).take(5 * PIECE as u64), 1 << 30, &mut payload).unwrap_err();
        assert!(payload.capacity() <= 10 * PIECE, "{}", payload.capacity());
    }

    #[test]
    fn garbage_is_an_error_and_never_a_panic() {
        let seed = 0x9e37_79b9_7f4a_7c15_u64;
        println!("seed {seed:#x}");
        let mut state = seed;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for round in 0..20_000 {
            let mut garbage: Vec<u8> = (0..random() % 120).map(|_| random() as u8).collect();
            // Let half of them past the first checks.
            for (byte, right) in garbage.iter_mut().zip(b"PTIF\x02\0\0\0").take(if round % 2 == 0 { 8 } else { 0 }) {
                *byte = *right;
            }
            assert!(read(&garbage).is_err());
        }
        let whole = bytes(&frame((0..60).collect()));
        for _ in 0..20_000 {
            let mut damaged = whole.clone();
            let at = random() as usize % HEADER_LEN;
            damaged[at] ^= 1 << (random() % 8);
            let _ = read(&damaged);
        }
    }

    #[test]
    fn debug_does_not_print_the_payload() {
        let printed = format!("{:?}", frame(vec![0xab, 0xcd, 171, 205]));
        assert!(printed.contains("4 bytes") && !printed.contains("171") && !printed.contains("205"), "{printed}");
    }
}
