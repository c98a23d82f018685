//! A network's weights in floating point.

use std::collections::BTreeMap;
use std::fmt;

use ndarray::{Array1, Array2};

use crate::table::Weight;

/// The weights of a network in floating point.
pub type Matrices = BTreeMap<Weight, Matrix>;

/// A matrix with one row an input, and its bias.
#[derive(Clone, PartialEq)]
pub struct Matrix {
    /// `[input, output]`.
    pub weight: Array2<f32>,
    /// `[output]`.
    pub bias: Option<Array1<f32>>,
}

impl fmt::Debug for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dim, bias) = (self.weight.dim(), self.bias.is_some());
        write!(f, "Matrix {{ weight: {dim:?} secret, bias: {bias} }}")
    }
}
