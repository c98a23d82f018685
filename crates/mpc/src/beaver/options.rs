//! What is run, and how.

use crate::protocol::truncate::Truncation;
use model::Functions;

/// Fractional bits of values, as published.
pub const FRAC: i32 = 16;

/// Which sines stand for erf.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sines {
    /// SecFormer's coefficients and breakpoints.
    #[default]
    Published,
    /// Ours: as many sines, at the same cost.
    Refitted,
}

/// What is run, and how. Public, and the same at all roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

    /// Adds to the canonical encoding of a plan.
    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        let functions = match self.functions {
            Functions::Series => 0,
            Functions::SecFormer => 1,
            Functions::MpcFormer => 2,
            Functions::Exact => 3,
        };
        let truncation = match self.truncation {
            Truncation::Local => 0,
            Truncation::Dealt => 1,
        };
        let sines = match self.sines {
            Sines::Published => 0,
            Sines::Refitted => 1,
        };
        to.extend_from_slice(&[functions, truncation, sines]);
        to.extend_from_slice(&(self.division_steps as u64).to_le_bytes());
    }
}
