//! The dealer of a session, as a party sees it.

use std::fmt;

use anyhow::{Context, Result};

use crate::handshake::{Known, Peer};

/// The dealer of a session: there from the beginning, or called when correlations are to be made on demand for the first time.
pub struct DealerLink<'a> {
    known: Option<Known>,
    call: Option<Box<dyn FnMut() -> Result<Known> + 'a>>,
}

impl<'a> DealerLink<'a> {
    /// One that has joined.
    pub fn joined(known: Known) -> DealerLink<'a> {
        DealerLink { known: Some(known), call: None }
    }

    /// One that joins when it is needed: `call` waits for it.
    pub fn called(call: impl FnMut() -> Result<Known> + 'a) -> DealerLink<'a> {
        DealerLink { known: None, call: Some(Box::new(call)) }
    }

    /// The dealer, which is waited for where it has not joined yet.
    pub(crate) fn get(&mut self) -> Result<&mut Known> {
        if let (None, Some(call)) = (&self.known, &mut self.call) {
            self.known = Some(call()?);
        }
        self.known.as_mut().context("a session without a dealer")
    }

    /// The link to it, where it has joined.
    pub(crate) fn link(&mut self) -> Option<&mut Peer> {
        self.known.as_mut().map(|known| &mut known.link)
    }
}

impl fmt::Debug for DealerLink<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.known.is_some() { "DealerLink(joined)" } else { "DealerLink(not called)" })
    }
}
