//! A link whose peer said who it is after the link was made.

use crate::error::NetError;
use crate::forward::forward_link;
use crate::frame::Frame;
use crate::link::Link;

/// A link under another name: errors call the peer by it.
#[derive(Debug)]
pub struct Named<L> {
    inner: L,
    name: String,
}

impl<L: Link> Named<L> {
    /// Calls the peer of `inner` by `name` from now on.
    pub fn new(inner: L, name: &str) -> Self {
        Self { inner, name: name.to_owned() }
    }

    fn rename<T>(&self, result: Result<T, NetError>) -> Result<T, NetError> {
        result.map_err(|error| error.renamed(&self.name))
    }
}

impl<L: Link> Link for Named<L> {
    fn send(&mut self, frame: Frame) -> Result<(), NetError> {
        let result = self.inner.send(frame);
        self.rename(result)
    }
    fn recv(&mut self) -> Result<Frame, NetError> {
        let result = self.inner.recv();
        self.rename(result)
    }
    fn flush(&mut self) -> Result<(), NetError> {
        let result = self.inner.flush();
        self.rename(result)
    }
    fn peer(&self) -> &str {
        &self.name
    }

    forward_link!(|link| link.inner; deadline, set_deadline, set_session, set_limits, counters);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::Header;
    use crate::memory::memory_pair;

    #[test]
    fn errors_call_the_peer_by_its_new_name() {
        let (a, b) = memory_pair("a", "b");
        let mut a = Named::new(a, "party1");
        assert_eq!(a.peer(), "party1");
        drop(b);
        assert!(a.recv().unwrap_err().to_string().starts_with("party1: connection lost"));
        let (a, mut b) = memory_pair("a", "b");
        let mut a = Named::new(a, "party1");
        b.send(Frame::new(Header::new(1, 2, 3, 4), vec![0; 3])).unwrap();
        let error = a.expect(1, 2, 3, 5, None).unwrap_err().to_string();
        assert!(error.starts_with("party1 is out of step"), "{error}");
    }
}
