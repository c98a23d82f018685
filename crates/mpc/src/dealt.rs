//! The dealer's stream to P1: bytes in plan order, in frames of a fixed size, so that all lengths follow from the plan.

use net::{Frame, Header, Link};

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

    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> Result<(), MpcError> {
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

    pub(crate) fn peer(&self) -> &str {
        self.link.peer()
    }

    pub(crate) fn take(&mut self, bytes: usize) -> Result<Vec<u8>, MpcError> {
        let mut taken = Vec::with_capacity(bytes);
        while taken.len() < bytes {
            if self.used == self.buffer.len() {
                self.receive()?;
            }
            let now = (bytes - taken.len()).min(self.buffer.len() - self.used);
            taken.extend_from_slice(&self.buffer[self.used..self.used + now]);
            self.used += now;
        }
        Ok(taken)
    }

    pub(crate) fn finish(self) -> Result<(), MpcError> {
        match self.left + self.buffer.len() - self.used {
            0 => Ok(()),
            rest => Err(MpcError::Dealt { expected: self.total - rest, got: self.total }),
        }
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
