//! A pack that is read and opened by a thread of its own, a little ahead of its use.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use stock::Pack;

/// Chunks of a pack that wait to be used at most: 16 MB.
const PIECES: usize = 64;

/// A pack on its way: what is opened waits here until it is used. The thread ends with this or with the pack.
pub(crate) struct Ahead {
    pieces: Receiver<io::Result<Vec<u8>>>,
    now: Vec<u8>,
    at: usize,
}

impl Ahead {
    /// Begins to read.
    pub(crate) fn begin(pack: Pack) -> io::Result<Ahead> {
        let (sender, pieces) = sync_channel(PIECES);
        thread::Builder::new().name("pack".into()).spawn(move || read(pack, &sender))?;
        Ok(Ahead { pieces, now: Vec::new(), at: 0 })
    }
}

fn read(mut pack: Pack, sender: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let piece = match pack.fill_buf() {
            Ok([]) => return,
            Ok(bytes) => Ok(bytes.to_vec()),
            Err(error) => Err(error),
        };
        let (read, failed) = (piece.as_ref().map_or(0, Vec::len), piece.is_err());
        pack.consume(read);
        // nobody wants more, or there is no more
        if sender.send(piece).is_err() || failed {
            return;
        }
    }
}

impl BufRead for Ahead {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.now.len()
            && let Ok(piece) = self.pieces.recv()
        {
            (self.now, self.at) = (piece?, 0);
        }
        Ok(&self.now[self.at..])
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

impl Read for Ahead {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let length = bytes.len().min(into.len());
        into[..length].copy_from_slice(&bytes[..length]);
        self.consume(length);
        Ok(length)
    }
}
