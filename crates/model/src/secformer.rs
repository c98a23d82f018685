//! SecFormer's functions as real numbers: what its protocols compute, and how far that is from what they stand for.
//!
//! Source: SecFormer (Luo et al., Findings of ACL 2024), Algorithms 1 to 3. The private computation is `mpc::beaver`'s; the
//! constants of both live here.

/// erf as a series of seven sines between two breakpoints, and minus or plus one beyond them (Alg. 1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SineErf {
    /// Coefficients of `sin(2 pi k u / period)`, k from 1.
    pub sines: [f64; 7],
    /// The series stands for erf where `|u|` is below this.
    pub breakpoint: f64,
    /// Period in units of u.
    pub period: f64,
}

/// As published.
pub const PUBLISHED: SineErf = SineErf {
    sines: [1.25772, -0.0299154, 0.382155, -0.0519123, 0.196033, -0.0624557, 0.118029],
    breakpoint: 1.7,
    period: 20.0,
};

/// Steps of Goldschmidt's division in Alg. 3.
pub const DIVISION_STEPS: usize = 13;
/// Steps of Goldschmidt's division in the published timing code.
pub const TIMED_DIVISION_STEPS: usize = 7;
/// Steps of Goldschmidt's inverse root in Alg. 2.
pub const ROOT_STEPS: usize = 11;
/// The divisor of Alg. 3 by which sums are brought near one.
pub const DIVISION_ETA: f64 = 5000.0;
/// The divisor of Alg. 2, of sums of squares.
pub const ROOT_ETA: f64 = 2000.0;
