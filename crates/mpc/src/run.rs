//! What is run: one attempt at one request, the same for every role and both engines.

use std::fmt;

use model::{Calibrated, Network};
use ring64::Kernel;

/// One attempt at a request: a network over batches, one after the other.
#[derive(Debug)]
pub struct Run<'a, N: Network> {
    /// The network and its scales.
    pub calibrated: &'a Calibrated<N>,
    /// What is public of each input; one run of the network each, with one state.
    pub batches: &'a [N::Batch],
    /// Number of the request.
    pub request: u64,
    /// Number of the attempt at it.
    pub attempt: u32,
    /// What multiplies and expands streams.
    pub kernel: Kernel,
}

impl<N: Network> Clone for Run<'_, N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<N: Network> Copy for Run<'_, N> {}

/// A party's shares of what one run of the network gives.
#[derive(Clone, PartialEq, Eq)]
pub struct OutputShare {
    /// Words of the results; of a classifier the logits, one row a text.
    pub results: Vec<u64>,
    /// Their fractional bits.
    pub frac: i32,
    /// Of each text's certificate one word, with [`model::CERTIFICATE_FRAC`] fractional bits; empty from an engine that does not
    /// check itself.
    pub certificates: Vec<u64>,
}

impl fmt::Debug for OutputShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutputShare({} words, redacted)", self.results.len())
    }
}

/// How an attempt ended.
pub enum Outcome {
    /// This party's share of what each run of the network gives.
    Outputs(Vec<OutputShare>),
    /// An opened word fell below its range: the sum may have wrapped. Both parties see the same words, so both stop here;
    /// start again with entirely fresh correlations.
    Restart,
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Outputs(outputs) => write!(f, "Outputs({} runs, redacted)", outputs.len()),
            Outcome::Restart => write!(f, "Restart"),
        }
    }
}
