//! Processes in a ring: each sends to the next and receives from the one before.
//!
//! A sum over all goes round twice: first every process adds up one segment of the numbers (reduce-scatter), then the
//! segments are handed round (all-gather). Each segment is summed in one place, in the ring's order, so that all processes
//! have the same bits, and those of the next run.

use std::io::{Read, Write};
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cli::coded;
use cli::exit::{LOST, REFUSED};
use net::{Frame, Header, Limits, Link, NetError, TcpLink};

/// Numbers in a frame.
const PIECE: usize = 1 << 18;
/// Their bytes.
const PIECE_BYTES: usize = PIECE * size_of::<f32>();
/// What a link of the ring may hold.
pub(super) const LIMITS: Limits = Limits { max_frame: PIECE_BYTES as u64, queue: 8 * PIECE_BYTES as u64 };
/// The least time between two keep-alives.
const ALIVE_EVERY: Duration = Duration::from_secs(1);
/// How long a broken ring waits for its last frames to be sent.
const GOODBYE: Duration = Duration::from_secs(1);

/// What a frame brings.
#[derive(Clone, Copy)]
enum Kind {
    /// Numbers to be added.
    Reduce = 1,
    /// Numbers that are sums.
    Gather = 2,
    /// Bytes from rank 0; the first frame says how many.
    Broadcast = 3,
    /// A keep-alive: rank 0 is still at work.
    Alive = 4,
}

/// The two neighbours of a process.
#[derive(Debug)]
pub(super) struct Ring {
    rank: usize,
    size: usize,
    next: TcpLink,
    previous: TcpLink,
    /// How many sums and broadcasts there were; all processes count alike.
    operation: u64,
    /// The frame of this operation.
    step: u32,
    alive_sent: Instant,
}

impl Ring {
    pub(super) fn new(rank: usize, size: usize, next: TcpLink, previous: TcpLink) -> Ring {
        Ring { rank, size, next, previous, operation: 0, step: 0, alive_sent: Instant::now() }
    }

    /// Puts the sums over all processes in the numbers' place.
    pub(super) fn all_reduce(&mut self, numbers: &mut [f32]) -> Result<()> {
        self.begin();
        let (rank, size) = (self.rank, self.size);
        let segments: Vec<Range<usize>> = (0..size).map(|index| segment(numbers.len(), index, size)).collect();
        let at = |back: usize| segments[(rank + 2 * size - back) % size].clone();
        for round in 0..size - 1 {
            self.exchange_segment(Kind::Reduce, numbers, at(round), at(round + 1), |mine, theirs| *mine += theirs)?;
        }
        for round in 0..size - 1 {
            self.exchange_segment(Kind::Gather, numbers, at(round + size - 1), at(round), |mine, theirs| {
                *mine = theirs
            })?;
        }
        Ok(())
    }

    /// Sends one segment on and folds another into the numbers, piece by piece, so that neither side waits for the other.
    fn exchange_segment(
        &mut self,
        kind: Kind,
        numbers: &mut [f32],
        out: Range<usize>,
        into: Range<usize>,
        fold: impl Fn(&mut f32, f32),
    ) -> Result<()> {
        let piece = |range: &Range<usize>, index: usize| {
            let start = (range.start + index * PIECE).min(range.end);
            start..(start + PIECE).min(range.end)
        };
        for index in 0..out.len().max(into.len()).div_ceil(PIECE) {
            let (outgoing, incoming) = (piece(&out, index), piece(&into, index));
            if !outgoing.is_empty() {
                self.send(kind, bytes_of(&numbers[outgoing]))?;
            }
            if !incoming.is_empty() {
                let mine = &mut numbers[incoming];
                let bytes = self.receive(kind)?;
                let (theirs, rest) = bytes.as_chunks::<4>();
                if theirs.len() != mine.len() || !rest.is_empty() {
                    return Err(self.unexpected(format!("{} bytes for {} numbers", bytes.len(), mine.len())));
                }
                mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| fold(mine, f32::from_le_bytes(*theirs)));
            }
            self.step += 1;
        }
        Ok(())
    }

    /// Carries `length` bytes from rank 0's `source` to every other's `sink`; at most `limit` are taken.
    pub(super) fn broadcast(
        &mut self,
        source: &mut dyn Read,
        length: u64,
        sink: &mut dyn Write,
        limit: u64,
    ) -> Result<()> {
        self.begin();
        let first = self.forward(|| Ok(length.to_le_bytes().to_vec()))?;
        let announced = <[u8; 8]>::try_from(first.as_slice()).map(u64::from_le_bytes);
        let Some(mut left) = announced.ok().filter(|length| *length <= limit) else {
            return Err(self.unexpected(format!("a message of a length above {limit}")));
        };
        while left > 0 {
            let most = left.min(PIECE_BYTES as u64);
            let bytes = self.forward(|| {
                let mut bytes = vec![0; most as usize];
                source.read_exact(&mut bytes).context("cannot read what the other processes wait for")?;
                Ok(bytes)
            })?;
            if bytes.len() as u64 != most {
                return Err(self.unexpected(format!("{} bytes of {most}", bytes.len())));
            }
            if self.rank > 0 {
                sink.write_all(&bytes).context("cannot keep what rank 0 sent")?;
            }
            left -= most;
        }
        Ok(())
    }

    /// One frame of a broadcast: made by rank 0, passed on by all but the last.
    fn forward(&mut self, make: impl FnOnce() -> Result<Vec<u8>>) -> Result<Vec<u8>> {
        let bytes = if self.rank == 0 { make()? } else { self.receive(Kind::Broadcast)? };
        if self.rank + 1 < self.size {
            self.send(Kind::Broadcast, bytes.clone())?;
        }
        self.step += 1;
        Ok(bytes)
    }

    /// Sends a keep-alive from rank 0, at most one a second.
    pub(super) fn alive(&mut self) -> Result<()> {
        if self.alive_sent.elapsed() < ALIVE_EVERY {
            return Ok(());
        }
        self.alive_sent = Instant::now();
        self.send_alive()
    }

    fn send_alive(&mut self) -> Result<()> {
        let frame = Frame::new(Header::new(Kind::Alive as u8, 0, 0, 0), Vec::new());
        self.next.send(frame).map_err(|error| self.broken(error))
    }

    fn begin(&mut self) {
        self.operation += 1;
        self.step = 0;
    }

    fn send(&mut self, kind: Kind, payload: Vec<u8>) -> Result<()> {
        let frame = Frame::new(Header::new(kind as u8, self.operation, 0, self.step), payload);
        self.next.send(frame).map_err(|error| self.broken(error))
    }

    fn receive(&mut self, kind: Kind) -> Result<Vec<u8>> {
        loop {
            let Frame { header, payload } = self.previous.recv().map_err(|error| self.broken(error))?;
            if header.kind == Kind::Alive as u8 {
                if self.rank + 1 < self.size {
                    self.send_alive()?;
                }
                continue;
            }
            let place = (header.kind, header.request, header.attempt, header.step);
            if place != (kind as u8, self.operation, 0, self.step) {
                return Err(self.unexpected(header.to_string()));
            }
            return Ok(payload);
        }
    }

    /// The error for a frame that was not due.
    fn unexpected(&mut self, what: String) -> anyhow::Error {
        self.give_up();
        let peer = self.previous.peer();
        coded(
            REFUSED,
            format!("{peer} sent {what}, which was not due; start all processes with one program and one input"),
        )
    }

    fn broken(&mut self, error: NetError) -> anyhow::Error {
        self.give_up();
        lost(error)
    }

    fn give_up(&mut self) {
        self.next.set_deadline(GOODBYE);
        self.previous.set_deadline(GOODBYE);
    }
}

fn bytes_of(numbers: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; size_of_val(numbers)];
    bytes.as_chunks_mut().0.iter_mut().zip(numbers).for_each(|(bytes, number)| *bytes = number.to_le_bytes());
    bytes
}

/// A link's error with its exit code.
pub(super) fn lost(error: NetError) -> anyhow::Error {
    let code = match error {
        NetError::Lost { .. }
        | NetError::Timeout { .. }
        | NetError::NobodyCame { .. }
        | NetError::Unreachable { .. } => LOST,
        _ => REFUSED,
    };
    coded(code, error.to_string())
}

/// Part `index` of `count` nearly equal ones.
pub(super) fn segment(length: usize, index: usize, count: usize) -> Range<usize> {
    index * length / count..(index + 1) * length / count
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, empty, sink};
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::*;

    const SOON: Duration = Duration::from_millis(300);
    const LONG: Duration = Duration::from_secs(60);

    /// A ring on loopback whose processes are threads.
    fn rings(size: usize, patience: Duration) -> Vec<Ring> {
        let link = |stream: TcpStream, peer: usize| {
            TcpLink::from_stream(stream, &format!("rank {peer}"), LIMITS, patience).unwrap()
        };
        let mut pairs: Vec<_> = (0..size)
            .map(|rank| {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let next = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                (link(next, (rank + 1) % size), link(listener.accept().unwrap().0, rank))
            })
            .collect();
        // what comes from `rank` is `rank + 1`'s
        let mut previous: Vec<TcpLink> = Vec::new();
        let mut next: Vec<TcpLink> = Vec::new();
        for (out, into) in pairs.drain(..) {
            next.push(out);
            previous.push(into);
        }
        previous.rotate_right(1);
        let links = next.into_iter().zip(previous).enumerate();
        links.map(|(rank, (next, previous))| Ring::new(rank, size, next, previous)).collect()
    }

    /// What each process makes of the ring, and whether it did.
    fn on_each<T: Send>(rings: Vec<Ring>, work: impl Fn(&mut Ring) -> T + Sync) -> Vec<T> {
        let work = &work;
        thread::scope(|scope| {
            let threads: Vec<_> = rings.into_iter().map(|mut ring| scope.spawn(move || work(&mut ring))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn a_sum_over_all_is_the_same_for_all() {
        for (size, length) in [(2, 0), (2, 1), (2, 2 * PIECE + 3), (3, 2), (3, 100), (5, 5 * PIECE + 7)] {
            let number = |rank: usize, i: usize| ((i % 1000) as f32 + 0.1) * (rank as f32 + 0.3);
            let sums = on_each(rings(size, Duration::from_secs(60)), |ring| {
                let mut numbers: Vec<f32> = (0..length).map(|i| number(ring.rank, i)).collect();
                ring.all_reduce(&mut numbers).unwrap();
                numbers
            });
            for (i, sum) in sums[0].iter().enumerate() {
                let wanted = (0..size).map(|rank| f64::from(number(rank, i))).sum::<f64>();
                assert!((f64::from(*sum) - wanted).abs() <= 1e-6 * wanted, "{size} {length} {i}: {sum} {wanted}");
            }
            assert!(sums.iter().all(|other| other == &sums[0]), "{size} processes, {length} numbers");
        }
    }

    #[test]
    fn rank_0s_bytes_come_to_all_though_it_takes_its_time() {
        let bytes: Vec<u8> = (0..PIECE_BYTES + 5).map(|i| i as u8).collect();
        let (pause, patience) = (Duration::from_secs(1), Duration::from_secs(5));
        let got = on_each(rings(3, patience), |ring| {
            let mut received = Vec::new();
            if ring.rank == 0 {
                for _ in 0..6 {
                    thread::sleep(pause);
                    ring.alive_sent -= ALIVE_EVERY;
                    ring.alive().unwrap();
                }
                ring.broadcast(&mut Cursor::new(&bytes), bytes.len() as u64, &mut sink(), u64::MAX).unwrap();
            } else {
                ring.broadcast(&mut empty(), 0, &mut received, u64::MAX).unwrap();
            }
            received
        });
        assert!(got[0].is_empty() && got[1] == bytes && got[2] == bytes);
    }

    fn code(error: &anyhow::Error) -> Option<i32> {
        error.chain().find_map(cli::exit::code_in)
    }

    #[test]
    fn what_is_too_long_or_not_due_is_refused() {
        let ends = on_each(rings(2, LONG), |ring| {
            let (mut bytes, mut sink) = (Cursor::new([0; 9]), sink());
            ring.broadcast(&mut bytes, 9, &mut sink, if ring.rank == 0 { 9 } else { 8 })
        });
        assert_eq!(code(ends[1].as_ref().unwrap_err()), Some(REFUSED));
        let ends = on_each(rings(2, LONG), |ring| ring.all_reduce(&mut vec![0.0; 4 + 4 * ring.rank]));
        assert!(ends.iter().any(|end| end.as_ref().is_err_and(|error| code(error) == Some(REFUSED))), "{ends:?}");
    }

    #[test]
    fn a_process_that_is_silent_or_gone_ends_all_others() {
        let ends = on_each(rings(3, SOON), |ring| match ring.rank {
            1 => {
                thread::sleep(SOON * 4);
                Ok(())
            }
            _ => ring.all_reduce(&mut [1.0; 9]),
        });
        for rank in [0, 2] {
            assert_eq!(code(ends[rank].as_ref().unwrap_err()), Some(LOST), "{ends:?}");
        }
        let mut gone = rings(3, Duration::from_secs(600));
        drop(gone.remove(1));
        for end in on_each(gone, |ring| ring.all_reduce(&mut [1.0; 9])) {
            assert_eq!(code(&end.unwrap_err()), Some(LOST));
        }
    }
}
