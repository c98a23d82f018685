//! A writer thread, a reader thread, and the queues between them and the caller.

use std::io::{self, BufReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::error::{NetError, Wait};
use crate::frame::{Frame, read_frame, write_frame};
use crate::link::{Counters, Limits, Session};
use crate::queue::{Queue, Stop};

/// A thread waits for its caller as long as the link lives; closing its queue ends the wait.
const FOREVER: Duration = Duration::MAX;

/// Saves a system call for small frames; long payloads go past it.
const READ_AHEAD: usize = 32 << 10;

/// Frames over two byte streams, each owned by one thread.
///
/// This is all of a link but the kind of connection: TCP gives two handles of one socket, TLS two that seal and open what
/// passes.
pub(crate) struct Duplex {
    peer: String,
    limits: Limits,
    deadline: Duration,
    counters: Counters,
    session: Session,
    /// `limits.max_frame`, for the reader thread.
    max_frame: Arc<AtomicU64>,
    outgoing: Arc<Queue>,
    incoming: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
    hang_up: Box<dyn Fn() + Send>,
}

impl Duplex {
    /// Starts both threads. `hang_up` must end the connection such that pending reads and writes return.
    pub(crate) fn start(
        read: impl Read + Send + 'static,
        write: impl Write + Send + 'static,
        hang_up: impl Fn() + Send + 'static,
        peer: &str,
        limits: Limits,
        deadline: Duration,
    ) -> Result<Self, NetError> {
        let (outgoing, incoming) = (Arc::new(Queue::new(limits.queue)), Arc::new(Queue::new(limits.queue)));
        let mut duplex = Self {
            peer: peer.to_owned(),
            limits,
            deadline,
            counters: Counters::default(),
            session: Session::default(),
            max_frame: Arc::new(AtomicU64::new(limits.max_frame)),
            outgoing: Arc::clone(&outgoing),
            incoming: Arc::clone(&incoming),
            threads: Vec::with_capacity(2),
            hang_up: Box::new(hang_up),
        };
        let name = peer.to_owned();
        duplex.spawn("write", move || write_all(write, &outgoing, &name))?;
        let (name, max_frame) = (peer.to_owned(), Arc::clone(&duplex.max_frame));
        duplex.spawn("read", move || read_all(read, &incoming, &name, &max_frame))?;
        Ok(duplex)
    }

    fn spawn(&mut self, task: &str, run: impl FnOnce() + Send + 'static) -> Result<(), NetError> {
        // A name with a zero byte would panic.
        let name = format!("{task} {}", self.peer).replace('\0', "");
        let thread = thread::Builder::new().name(name).spawn(run).map_err(|e| NetError::setup(&self.peer, e))?;
        self.threads.push(thread);
        Ok(())
    }

    pub(crate) fn send(&mut self, mut frame: Frame) -> Result<(), NetError> {
        self.limits.check_outgoing(&self.peer, &frame)?;
        // A peer that broke the protocol gets no more; one that only finished sending may still be listening.
        if let Some(violation) = self.incoming.cause().filter(|cause| !matches!(cause, NetError::Lost { .. })) {
            return Err(violation);
        }
        frame.header.session = self.session.tag()?;
        frame.header.sequence = self.counters.frames_sent;
        let (length, wait) = (frame.wire_len(), Wait::Send(frame.header.step));
        self.outgoing.push(frame, self.deadline).map_err(|stop| stop.during(&self.peer, wait))?;
        self.counters.sent(length);
        Ok(())
    }

    pub(crate) fn recv(&mut self) -> Result<Frame, NetError> {
        let wait = Wait::Receive(None);
        let frame = self.incoming.take(self.deadline).map_err(|stop| match (&stop, self.outgoing.cause()) {
            (Stop::Timeout(_), Some(cause)) => cause.during(wait),
            _ => stop.during(&self.peer, wait),
        })?;
        self.incoming.release(frame.wire_len());
        self.session.check(&self.peer, &frame.header)?;
        self.counters.received(frame.wire_len());
        Ok(frame)
    }

    pub(crate) fn flush(&mut self) -> Result<(), NetError> {
        self.outgoing.drained(self.deadline).map_err(|stop| stop.during(&self.peer, Wait::Flush))
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    pub(crate) fn set_deadline(&mut self, deadline: Duration) {
        self.deadline = deadline;
    }

    pub(crate) fn set_session(&mut self, tag: u64) {
        self.session.set(tag);
    }

    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        self.max_frame.store(limits.max_frame, Ordering::Release);
        self.outgoing.set_capacity(limits.queue);
        self.incoming.set_capacity(limits.queue);
    }

    pub(crate) fn counters(&self) -> Counters {
        self.counters
    }

    pub(crate) fn peer(&self) -> &str {
        &self.peer
    }
}

impl Drop for Duplex {
    /// Waits at most the deadline for what was sent, then ends the connection and both threads.
    fn drop(&mut self) {
        let _ = self.flush();
        let closed = || io::Error::new(io::ErrorKind::NotConnected, "the link was dropped");
        self.outgoing.close(NetError::lost(&self.peer, Wait::Flush, closed()));
        self.incoming.close(NetError::lost(&self.peer, Wait::Receive(None), closed()));
        (self.hang_up)();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// The writer thread: until the queue is closed or the stream fails.
fn write_all(mut stream: impl Write, outgoing: &Queue, peer: &str) {
    while let Ok(frame) = outgoing.take(FOREVER) {
        if let Err(source) = write_frame(&mut stream, &frame) {
            return outgoing.close(NetError::lost(peer, Wait::Send(frame.header.step), source));
        }
        outgoing.release(frame.wire_len());
    }
}

/// The reader thread: until the stream ends, brings something wrong, or the queue is closed.
fn read_all(stream: impl Read, incoming: &Queue, peer: &str, max_frame: &AtomicU64) {
    let mut stream = BufReader::with_capacity(READ_AHEAD, stream);
    for sequence in 0.. {
        match read_frame(&mut stream, peer, || max_frame.load(Ordering::Acquire), sequence) {
            Ok(frame) => {
                if incoming.push(frame, FOREVER).is_err() {
                    return;
                }
            }
            Err(cause) => return incoming.close(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::time::Instant;

    use super::*;
    use crate::header::Header;

    fn sockets() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.accept().unwrap().0, there)
    }

    fn duplex(stream: TcpStream, deadline: Duration) -> Duplex {
        let (read, write) = (stream.try_clone().unwrap(), stream.try_clone().unwrap());
        let hang_up = move || stream.shutdown(Shutdown::Both).unwrap();
        Duplex::start(read, write, hang_up, "peer", Limits { queue: 1000, ..Limits::default() }, deadline).unwrap()
    }

    fn frame(length: usize) -> Frame {
        Frame::new(Header::new(0, 0, 0, 0), vec![0; length])
    }

    #[test]
    fn dropping_ends_both_threads_though_neither_could_move() {
        let (here, mut there) = sockets();
        let mut link = duplex(here, Duration::from_millis(50));
        // The reader: two frames that fill the queue and more, which nobody takes.
        write_frame(&mut there, &frame(2000)).unwrap();
        let mut second = frame(2000);
        second.header.sequence = 1;
        write_frame(&mut there, &second).unwrap();
        // The writer: more than the sockets hold, which nobody reads.
        link.send(frame(64 << 20)).unwrap();
        assert!(matches!(link.flush(), Err(NetError::Timeout { wait: Wait::Flush, .. })));
        let queues = [Arc::downgrade(&link.outgoing), Arc::downgrade(&link.incoming)];
        let start = Instant::now();
        drop(link);
        assert!(queues.iter().all(|queue| queue.upgrade().is_none()), "a thread still holds its queue");
        assert!(start.elapsed() < Duration::from_secs(60));
    }
}
