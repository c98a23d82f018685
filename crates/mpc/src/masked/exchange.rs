//! One opening on its way: frames leave as they fill and are read as they come, while later items are still computed.

use std::time::{Duration, Instant};

use net::{Frame, Header, Link};
use ring64::{Kernel, packed_len};

use crate::error::MpcError;
use crate::flow::MOST_AHEAD;
use crate::kind;

/// One item of an opening: our own bits, to which the peer's are added, and the range to which wires are lifted.
struct Item {
    words: Vec<u64>,
    kept: u32,
    lift: Option<u32>,
}

/// What was opened.
pub(crate) struct Opened {
    /// Words of each item, in the order in which they were offered.
    pub(crate) items: Vec<Vec<u64>>,
    /// Whether all wires were within their range.
    pub(crate) within: bool,
    /// Time spent waiting for the peer since [`Exchange::waited`].
    pub(crate) waited: Duration,
}

/// One opening between the parties. Both cut it into the same frames, which follow from the plan.
pub(crate) struct Exchange<'p> {
    peer: &'p mut dyn Link,
    kernel: Kernel,
    request: u64,
    attempt: u32,
    step: u32,
    /// Payload bytes of each frame.
    frames: Vec<usize>,
    outgoing: Vec<u8>,
    items: Vec<Item>,
    /// Frames sent and received, and items opened.
    sent: usize,
    received: usize,
    opened: usize,
    ahead: usize,
    within: bool,
    waited: Duration,
}

impl<'p> Exchange<'p> {
    pub(crate) fn new(
        peer: &'p mut dyn Link,
        kernel: Kernel,
        (request, attempt, step): (u64, u32, u32),
        frames: Vec<usize>,
    ) -> Exchange<'p> {
        let outgoing = Vec::with_capacity(frames.first().copied().unwrap_or(0));
        let (items, waited) = (Vec::new(), Duration::ZERO);
        let (sent, received, opened, ahead, within) = (0, 0, 0, 0, true);
        Exchange {
            peer,
            kernel,
            request,
            attempt,
            step,
            frames,
            outgoing,
            items,
            sent,
            received,
            opened,
            ahead,
            within,
            waited,
        }
    }

    /// Adds an item: a share under its mask, `kept` bits from `shift` on. A wire is lifted to its range.
    pub(crate) fn offer(
        &mut self,
        share: &[u64],
        mask: Vec<u64>,
        offset: u64,
        (shift, kept): (u32, u32),
        lift: Option<u32>,
    ) -> Result<(), MpcError> {
        if share.len() != mask.len() {
            return Err(MpcError::Opening { expected: mask.len(), got: share.len() });
        }
        let mut words = mask;
        self.kernel.open_send(share, offset, shift, kept, &mut words, &mut self.outgoing);
        self.items.push(Item { words, kept, lift });
        if self.frames.get(self.sent).is_some_and(|length| self.outgoing.len() == *length) {
            self.send()?;
            while self.ahead > MOST_AHEAD {
                self.receive()?;
            }
        }
        Ok(())
    }

    /// Time spent waiting since this was last asked.
    pub(crate) fn waited(&mut self) -> Duration {
        std::mem::take(&mut self.waited)
    }

    fn send(&mut self) -> Result<(), MpcError> {
        self.sent += 1;
        let next = self.frames.get(self.sent).copied().unwrap_or(0);
        let payload = std::mem::replace(&mut self.outgoing, Vec::with_capacity(next));
        self.ahead += payload.len();
        let header = Header::new(kind::OPEN, self.request, self.attempt, self.step);
        Ok(self.peer.send(Frame::new(header, payload))?)
    }

    fn receive(&mut self) -> Result<(), MpcError> {
        let length = self.frames[self.received];
        let begin = Instant::now();
        let theirs = self.peer.expect(kind::OPEN, self.request, self.attempt, self.step, Some(length))?;
        self.waited += begin.elapsed();
        self.received += 1;
        self.ahead -= length;
        let mut at = 0;
        while at < length {
            let Item { words, kept, lift } = &mut self.items[self.opened];
            let range = at..at + packed_len(words.len(), *kept);
            (at, self.opened) = (range.end, self.opened + 1);
            let refused = |source| MpcError::Packed { peer: self.peer.peer().to_string(), what: "opening", source };
            self.within &= self.kernel.open_receive(&theirs[range], *kept, *lift, words).map_err(refused)?;
        }
        Ok(())
    }

    /// Receives what is left.
    pub(crate) fn finish(mut self) -> Result<Opened, MpcError> {
        let offered = self.frames[..self.sent].iter().sum::<usize>() + self.outgoing.len();
        let expected = self.frames.iter().sum();
        if self.sent < self.frames.len() || !self.outgoing.is_empty() {
            return Err(MpcError::Opening { expected, got: offered });
        }
        while self.received < self.sent {
            self.receive()?;
        }
        let Exchange { items, within, waited, .. } = self;
        let items = items.into_iter().map(|item| item.words).collect();
        Ok(Opened { items, within, waited })
    }
}
