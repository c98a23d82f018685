//! The dealer's stream to P1: bytes in plan order, in frames of a fixed size, so that all lengths follow from the plan.

use net::{Frame, Header, Link};
use ring64::{pack, packed_len, unpack};

use crate::error::MpcError;
use crate::kind;

/// Payload of every frame of a dealt stream but the last.
pub const DEAL_CHUNK: usize = 4 << 20;

/// Frames that carry a dealt stream of so many bytes.
pub fn deal_frames(bytes: usize) -> usize {
    bytes.div_ceil(DEAL_CHUNK)
}

/// Sends a dealt stream.
pub struct DealtWriter<'a> {
    link: &'a mut dyn Link,
    request: u64,
    attempt: u32,
    step: u32,
    buffer: Vec<u8>,
}

impl<'a> DealtWriter<'a> {
    /// A stream for one attempt at one request.
    pub fn new(link: &'a mut dyn Link, request: u64, attempt: u32) -> Self {
        DealtWriter { link, request, attempt, step: 0, buffer: Vec::with_capacity(DEAL_CHUNK) }
    }

    /// Sends words of so many bits.
    pub(crate) fn words(&mut self, words: &[u64], shift: u32, bits: u32) -> Result<(), MpcError> {
        if (shift, bits) == (0, 64) && cfg!(target_endian = "little") {
            return self.write(bytemuck::must_cast_slice(words));
        }
        let mut bytes = Vec::with_capacity(packed_len(words.len(), bits));
        pack(words, shift, bits, &mut bytes);
        self.write(&bytes)
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), MpcError> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(DEAL_CHUNK - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() == DEAL_CHUNK {
                self.send()?;
            }
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<(), MpcError> {
        if self.buffer.is_empty() { Ok(()) } else { self.send() }
    }

    fn send(&mut self) -> Result<(), MpcError> {
        let payload = std::mem::replace(&mut self.buffer, Vec::with_capacity(DEAL_CHUNK));
        let header = Header::new(kind::DEAL, self.request, self.attempt, self.step);
        self.step += 1;
        Ok(self.link.send(Frame::new(header, payload))?)
    }
}

/// Receives a dealt stream of a length that the plan says.
pub struct DealtReader<'a> {
    link: &'a mut dyn Link,
    request: u64,
    attempt: u32,
    step: u32,
    total: usize,
    left: usize,
    buffer: Vec<u8>,
    used: usize,
}

impl<'a> DealtReader<'a> {
    /// The stream of one attempt at one request.
    pub fn new(link: &'a mut dyn Link, request: u64, attempt: u32, bytes: usize) -> Self {
        DealtReader { link, request, attempt, step: 0, total: bytes, left: bytes, buffer: Vec::new(), used: 0 }
    }

    /// The next `count` words of so many bits.
    pub(crate) fn words(&mut self, count: usize, bits: u32) -> Result<Vec<u64>, MpcError> {
        let mut words = vec![0; count];
        if bits == 64 && cfg!(target_endian = "little") {
            self.copy_to(bytemuck::must_cast_slice_mut(&mut words))?;
            return Ok(words);
        }
        let mut bytes = vec![0; packed_len(count, bits)];
        self.copy_to(&mut bytes)?;
        let peer = self.link.peer();
        let refused = |source| MpcError::Packed { peer: peer.to_string(), what: "correlation", source };
        unpack(&bytes, bits, &mut words).map_err(refused)?;
        Ok(words)
    }

    fn copy_to(&mut self, mut to: &mut [u8]) -> Result<(), MpcError> {
        while !to.is_empty() {
            if self.used == self.buffer.len() {
                self.receive()?;
            }
            let now = to.len().min(self.buffer.len() - self.used);
            let (first, rest) = to.split_at_mut(now);
            first.copy_from_slice(&self.buffer[self.used..self.used + now]);
            (to, self.used) = (rest, self.used + now);
        }
        Ok(())
    }

    /// Receives what is left, for nobody.
    pub(crate) fn skip(mut self) -> Result<(), MpcError> {
        while self.left > 0 {
            self.receive()?;
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<(), MpcError> {
        match self.left + self.buffer.len() - self.used {
            0 => Ok(()),
            rest => Err(MpcError::Dealt { expected: self.total - rest, got: self.total }),
        }
    }

    /// Receives all that is left now, and keeps it until it is asked for.
    pub fn hold(&mut self) -> Result<(), MpcError> {
        let mut all = self.buffer.split_off(self.used);
        all.reserve_exact(self.left);
        while self.left > 0 {
            self.receive()?;
            all.append(&mut self.buffer);
        }
        (self.buffer, self.used) = (all, 0);
        Ok(())
    }

    fn receive(&mut self) -> Result<(), MpcError> {
        let length = self.left.min(DEAL_CHUNK);
        if length == 0 {
            return Err(MpcError::Dealt { expected: self.total + 1, got: self.total });
        }
        self.buffer = self.link.expect(kind::DEAL, self.request, self.attempt, self.step, Some(length))?;
        (self.used, self.left, self.step) = (0, self.left - length, self.step + 1);
        Ok(())
    }
}
