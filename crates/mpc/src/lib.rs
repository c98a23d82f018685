//! Private evaluation of a network by two parties with a dealer of correlated randomness.
//!
//! Vocabulary: a *share* `[z]` is two words that sum to `z` modulo 2^64, one at each party; a *wire* is `x + a`, known to both
//! parties, with a mask `a` that only the dealer knows; *opening* turns a share into a wire and is the only thing that sends
//! a message; a *correlation* is what the dealer deals so that everything else needs none. The dealer's word is a function
//! of public demands and of its own randomness: it sees neither text nor weights nor any opened word.
//!
//! Security model: semi-honest, at most one of the two parties and the dealer corrupted. See `docs/masked-wires.md`.

mod agreement;
pub mod beaver;
mod cost;
mod dealt;
mod engine;
mod error;
mod flow;
mod input;
pub mod kind;
pub mod masked;
mod output;
mod party;
mod protocol;
mod run;
mod streams;
mod trace;

pub use agreement::Agreement;
pub use cost::Cost;
pub use dealt::{DEAL_CHUNK, DealtReader, DealtWriter, deal_frames};
pub use engine::{Compute, Consume, DealerEngine, Footprint, PartyEngine, Planned, PrivateEngine, Stocking};
pub use error::MpcError;
pub use input::{expand_input, share_input, unpack_input};
pub use output::{OutputShape, join_outputs, mask_outputs};
pub use party::Party;
pub use run::{Outcome, OutputShare, Run};
pub use streams::{Purpose, Streams};
pub use trace::{PartCost, Trace};
