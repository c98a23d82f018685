use model::SpecError;
use net::NetError;
use ring64::PackError;

use crate::party::Party;

/// Why a private evaluation stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MpcError {
    /// The network or a peer failed.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The spec cannot be run.
    #[error("the bundle's spec cannot be run: {0}")]
    Spec(#[from] SpecError),
    /// A peer's bytes are not what the plan says.
    #[error("{peer} sent a malformed {what}: {source}")]
    Packed {
        /// Who.
        peer: String,
        /// What.
        what: &'static str,
        /// How.
        source: PackError,
    },
    /// Correlations were made for another plan, or ran out.
    #[error(
        "correlation {index} is for {got}, the network asks for {expected}; party and dealer do not run the same plan"
    )]
    Correlation {
        /// Number in plan order.
        index: usize,
        /// Operation of the network.
        expected: String,
        /// Operation that it was made for.
        got: String,
    },
    /// Correlations did not fit into memory, and could not be kept in a file either.
    #[error(
        "keeping correlations in a file of the folder for temporary files failed: {0}; set TMPDIR to a folder with room"
    )]
    Spool(#[source] std::io::Error),
    /// Correlations that were prepared ahead could not be written down, or not be read again.
    #[error("prepared correlations could not be kept, or not be read again: {0}")]
    Stored(#[source] std::io::Error),
    /// Nobody uses what is being prepared any more.
    #[error("the correlations that were being made are no longer wanted")]
    Abandoned,
    /// A weight is missing or has another shape than the spec says.
    #[error("weight `{weight}` has {got} words, the spec asks for {expected}")]
    Weight {
        /// Which.
        weight: String,
        /// Found.
        got: usize,
        /// Expected.
        expected: usize,
    },
    /// A party was given what belongs to the other one.
    #[error("{party} was given {what}")]
    Role {
        /// Who.
        party: Party,
        /// What it should not have, or lacks.
        what: &'static str,
    },
    /// A dealt stream was read past its end, or not to its end.
    #[error("the dealer's stream has {got} bytes, the plan asks for {expected}")]
    Dealt {
        /// In the plan.
        expected: usize,
        /// In the stream.
        got: usize,
    },
    /// A mask was made for another opening.
    #[error("an opening of {got} words or bytes met masks or frames for {expected}")]
    Opening {
        /// Masks, or bytes of the frames.
        expected: usize,
        /// Words, or their bytes.
        got: usize,
    },
}
