//! Links that record or break what passes, and the reader of frames on any bytes: for tests and measurements.

mod faulty;
mod recorded;

pub use faulty::{Fault, Faulty};
pub use recorded::{Direction, Record, Recorded, Recording};

/// Reads the frame that must be number `sequence`, as a link does that takes payloads of so many bytes.
pub fn read_frame_of(
    stream: &mut impl std::io::Read,
    most: u64,
    sequence: u64,
) -> Result<crate::Frame, crate::NetError> {
    crate::frame::read_frame(stream, "peer", || most, sequence)
}

/// The bytes of a frame as it is sent with that sequence number.
pub fn frame_bytes(mut frame: crate::Frame, sequence: u64) -> std::io::Result<Vec<u8>> {
    frame.header.sequence = sequence;
    let mut bytes = Vec::new();
    crate::frame::write_frame(&mut bytes, &frame)?;
    Ok(bytes)
}
