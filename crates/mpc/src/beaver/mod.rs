//! SecFormer's engine: additive shares of two parties and Beaver's correlations from a dealer, as published, for comparison
//! with masked wires and as a second opinion on them.
//!
//! Values are words modulo 2^64 with 16 fractional bits. Every product opens both of its operands under fresh masks, weights
//! included. Comparison, sines, division and roots are protocols over that (`compare`, `gelu`, `attention`, `root`); `Ring`
//! is what they are written over, and is interpreted on shares ([`online`](fn@online)) and on nothing but counts ([`Plan`]). The dealer
//! needs neither: correlations depend on the plan's counts alone ([`deal`](fn@deal)), so it uses no weights.
//!
//! Security: semi-honest, at most one of P0, P1 and dealer corrupted. Each party sees uniform words only (angles modulo a
//! period that is no power of two are within 2^-46 of it each): what it opens is under a mask of which the other party holds
//! a half, and what it is dealt is uniform given its key. See docs/secformer.md.

mod attention;
mod compare;
mod deal;
mod demand;
mod engine;
mod gelu;
mod online;
mod plan;
mod ring;
mod root;
mod truncate;
mod weights;
#[cfg(test)]
mod world;

pub use deal::deal;
pub use demand::Demand;
pub use online::{Attempt, online};
pub use plan::Plan;
pub use ring::Wave;
pub use weights::Shares;

use model::Functions;
use serde::Serialize;

/// Fractional bits of values, as published.
pub const FRAC: i32 = 16;

/// Payload bytes of a frame of an opening, but of its last one.
pub(crate) const FRAME: usize = 1 << 20;

/// How products are brought back to their scale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Truncation {
    /// Each party shifts its share: no message, and a value x of the product is garbage with a probability of about
    /// `|x| 2^-64` (SecureML, section 4.1). As published.
    #[default]
    Local,
    /// A mask of known high bits is dealt: one round of 8 bytes a value each way, no failure below 2^62.
    Dealt,
}

/// Which sines stand for erf.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sines {
    /// SecFormer's coefficients and breakpoints.
    #[default]
    Published,
    /// Ours: as many sines, at the same cost.
    Refitted,
}

/// What is run, and how. Public, and the same at all roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Options {
    /// Which functions.
    pub functions: Functions,
    /// How products are truncated.
    pub truncation: Truncation,
    /// Which sines stand for erf.
    pub sines: Sines,
    /// Steps of Goldschmidt's division.
    pub division_steps: usize,
}

impl Options {
    /// Functions as published.
    pub fn of(functions: Functions) -> Options {
        Options {
            functions,
            truncation: Truncation::Local,
            sines: Sines::Published,
            division_steps: model::secformer::DIVISION_STEPS,
        }
    }

    /// What SecFormer's Table 3 was timed and counted with: seven steps of division in place of thirteen. For planning; they
    /// do not converge on every sum.
    pub fn as_timed() -> Options {
        Options { division_steps: model::secformer::TIMED_DIVISION_STEPS, ..Options::of(Functions::SecFormer) }
    }
}
