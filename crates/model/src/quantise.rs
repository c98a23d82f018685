//! Weights as ring words.

use std::collections::BTreeMap;

use crate::matrix::{Matrices, Matrix};
use crate::scales::Scales;
use crate::table::Weight;

/// A matrix of ring words with its bias.
#[derive(Clone, PartialEq, Eq)]
pub struct Words {
    /// Rows: inputs.
    pub rows: usize,
    /// Columns: outputs.
    pub cols: usize,
    /// Row-major.
    pub weight: Vec<u64>,
    /// One word a column.
    pub bias: Option<Vec<u64>>,
}

/// The weights of a network as ring words.
pub type Quantised = BTreeMap<Weight, Words>;

/// Why weights do not fit.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("weight `{weight}`: the value {value} does not fit at {frac} fractional bits (limit {limit})")]
pub struct QuantiseError {
    /// Which.
    pub weight: String,
    /// The value at fault.
    pub value: f32,
    /// Its scale.
    pub frac: i32,
    /// The largest that fits.
    pub limit: f64,
}

/// Weights stay below `2^40` units, so that a product with an input of 20 bits cannot come near the ring's end.
const WEIGHT_BITS: i32 = 40;
/// Biases stay below `2^60` units.
const BIAS_BITS: i32 = 60;

/// Rounds weights to a network's scales.
pub fn quantise(matrices: &Matrices, scales: &Scales) -> Result<Quantised, QuantiseError> {
    let one = |(weight, matrix): (&Weight, &Matrix)| {
        let weight = *weight;
        let round = |value: f32, frac: i32, bits: i32| {
            let limit = f64::powi(2.0, bits - frac);
            let error = || QuantiseError { weight: scales.table()[weight].name.clone(), value, frac, limit };
            ring64::encode(f64::from(value), frac).filter(|_| f64::from(value).abs() < limit).ok_or_else(error)
        };
        let frac = scales.weight_frac(weight);
        let words = matrix.weight.iter().map(|v| round(*v, frac, WEIGHT_BITS)).collect::<Result<_, _>>()?;
        let bias_frac = scales.bias_frac(weight);
        let bias = |b: &ndarray::Array1<f32>| b.iter().map(|v| round(*v, bias_frac, BIAS_BITS)).collect();
        let bias = matrix.bias.as_ref().map(bias).transpose()?;
        Ok((weight, Words { rows: matrix.weight.nrows(), cols: matrix.weight.ncols(), weight: words, bias }))
    };
    matrices.iter().map(one).collect()
}
