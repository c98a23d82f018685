//! SecFormer's functions as real numbers: what its protocols compute, and how far that is from what they stand for.
//!
//! Source: SecFormer (Luo et al., Findings of ACL 2024), Algorithms 1 to 3. The private computation is in `protocol` of
//! the crate `mpc`; the constants of both live here. `docs/secformer.md` holds the article against its code and both against this program.

mod erf;
mod goldschmidt;
#[cfg(test)]
mod sample;

pub use erf::{PUBLISHED, REFITTED, SineErf};
pub use goldschmidt::{
    DIVISION_ETA, DIVISION_STEPS, ROOT_ETA, ROOT_STEPS, TIMED_DIVISION_STEPS, inverse_root, reciprocal,
};
