//! Which functions stand for softmax and GeLU.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is computed in place of softmax, GeLU and the roots. All but the first run the network as it was published: weights
/// are normalised before they meet the values, and the last layer computes all of its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Functions {
    /// One calibrated Fourier series each: 2Quad, GeLU.
    #[default]
    Series,
    /// SecFormer: 2Quad by Goldschmidt's division (Alg. 3), GeLU by a segmented sine series (Alg. 1), LayerNorm by
    /// Goldschmidt's inverse root (Alg. 2).
    SecFormer,
    /// MPCFormer: 2Quad and `0.125 x^2 + 0.25 x + 0.5` in place of GeLU; division and root as SecFormer's.
    MpcFormer,
    /// Softmax (maximum, exponential by repeated squaring, reciprocal by Newton) and GeLU by a Taylor series of erf, after
    /// CrypTen.
    Exact,
}

impl Functions {
    /// All of them.
    pub const ALL: [Functions; 4] = [Functions::Series, Functions::SecFormer, Functions::MpcFormer, Functions::Exact];

    /// As users write it.
    pub fn name(self) -> &'static str {
        match self {
            Functions::Series => "series",
            Functions::SecFormer => "secformer",
            Functions::MpcFormer => "mpcformer",
            Functions::Exact => "exact",
        }
    }

    /// Which student these functions are for.
    pub fn student(self) -> &'static str {
        match self {
            Functions::Series | Functions::SecFormer => "one taught with 2Quad and GeLU",
            Functions::MpcFormer => "one taught with 2Quad and the quadratic GeLU",
            Functions::Exact => "one taught with softmax and GeLU",
        }
    }

    /// Whether a student is run as it was taught: these replace 2Quad, softmax by its name, and GeLU by themselves, and leave the other
    /// functions of students as they are.
    pub fn fit_two_quad(self) -> bool {
        matches!(self, Functions::Series | Functions::SecFormer)
    }
}

impl fmt::Display for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
