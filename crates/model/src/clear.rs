//! The network in clear on the integers of the private run: same scales, same series, nearest rounding instead of the
//! private run's random one. It tells fixed-point error from protocol error, on whole data sets.

use std::collections::BTreeMap;
use std::sync::Arc;

use ring64::{Dims, Kernel};

use crate::bert::{InputKind, classify};
use crate::certificate::{CERTIFICATE_FRAC, Classified};
use crate::engine::{Block, Rhs, Site, Weight};
use crate::fixed::{Arithmetic, Fixed, Form, PhaseOpening, Place, WireOpening};
use crate::fold::{Folded, Matrix};
use crate::sample::{SampleError, check_batch, one_hot};
use crate::shape::Texts;
use crate::spec::{Curve, Spec, SpecError};

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

/// The weights of a network as ring words, by name.
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

/// Rounds folded weights to the spec's scales.
pub fn quantise(folded: &Folded, spec: &Spec) -> Result<Quantised, QuantiseError> {
    let one = |(weight, matrix): (Weight, &Matrix)| {
        let round = |value: f32, frac: i32, bits: i32| {
            let limit = f64::powi(2.0, bits - frac);
            let error = || QuantiseError { weight: weight.to_string(), value, frac, limit };
            ring64::encode(f64::from(value), frac).filter(|_| f64::from(value).abs() < limit).ok_or_else(error)
        };
        let frac = spec.weight_frac(weight);
        let words = matrix.weight.iter().map(|v| round(*v, frac, WEIGHT_BITS)).collect::<Result<_, _>>()?;
        let bias_frac = spec.bias_frac(weight);
        let bias = |b: &ndarray::Array1<f32>| b.iter().map(|v| round(*v, bias_frac, BIAS_BITS)).collect();
        let bias = matrix.bias.as_ref().map(bias).transpose()?;
        Ok((weight, Words { rows: matrix.weight.nrows(), cols: matrix.weight.ncols(), weight: words, bias }))
    };
    folded.matrices().map(one).collect()
}

/// Integers in clear.
pub struct Clear<'a> {
    weights: &'a Quantised,
    kernel: Kernel,
    trace: Option<Vec<(Site, Vec<f64>)>>,
}

impl<'a> Clear<'a> {
    /// The engine.
    pub fn new(spec: Arc<Spec>, weights: &'a Quantised) -> Fixed<Clear<'a>> {
        Fixed::new(spec, Clear { weights, kernel: Kernel::detect(), trace: None })
    }
}

/// Why a batch cannot be run in clear.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClearError {
    /// The tokens are not those of the texts, or not this model's.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The spec cannot be run.
    #[error(transparent)]
    Spec(#[from] SpecError),
}

/// Logits of a batch in clear fixed point, one row a text.
pub fn clear_logits(
    spec: &Arc<Spec>,
    weights: &Quantised,
    texts: &Texts,
    ids: &[u32],
    segments: &[u32],
) -> Result<Vec<Vec<f64>>, ClearError> {
    Ok(clear_certified(spec, weights, texts, ids, segments)?.into_iter().map(|(logits, _)| logits).collect())
}

/// The same with each text's certificate.
pub fn clear_certified(
    spec: &Arc<Spec>,
    weights: &Quantised,
    texts: &Texts,
    ids: &[u32],
    segments: &[u32],
) -> Result<Vec<(Vec<f64>, f64)>, ClearError> {
    run(&mut Clear::new(spec.clone(), weights), spec, texts, ids, segments)
}

/// Every wire that the batch opens, in order, as real numbers; for finding the layer at fault.
pub fn clear_trace(
    spec: &Arc<Spec>,
    weights: &Quantised,
    texts: &Texts,
    ids: &[u32],
    segments: &[u32],
) -> Result<Vec<(Site, Vec<f64>)>, ClearError> {
    let mut engine = Clear::new(spec.clone(), weights);
    engine.arithmetic.trace = Some(Vec::new());
    run(&mut engine, spec, texts, ids, segments)?;
    Ok(engine.arithmetic.trace.unwrap_or_default())
}

fn run(
    engine: &mut Fixed<Clear<'_>>,
    spec: &Spec,
    texts: &Texts,
    ids: &[u32],
    segments: &[u32],
) -> Result<Vec<(Vec<f64>, f64)>, ClearError> {
    let kind = InputKind::OneHot;
    let frac = spec.input(kind).1;
    check_batch(&spec.shape, texts, ids, segments)?;
    let input = one_hot(&spec.shape, ids, segments)?.iter().map(|v| (*v as u64) << frac).collect();
    let input = engine.input(kind, texts, input);
    let Classified { logits, certificates } = classify(engine, &spec.shape, texts, kind, &input)?;
    let rows = logits.data.chunks(logits.form.cols).map(|row| ring64::decode_slice(row, logits.form.frac));
    // as the client reads them: what is beyond the ring's half is negative
    let certificates = certificates.iter().flat_map(|c| ring64::decode_slice(&c.data, CERTIFICATE_FRAC));
    Ok(rows.zip(certificates).collect())
}

impl Arithmetic for Clear<'_> {
    type Wire = Vec<u64>;
    type Phase = Vec<Vec<u64>>;
    type Share = Vec<u64>;
    type Error = SpecError;

    fn linear(&mut self, x: &Vec<u64>, weight: Weight, dims: Dims) -> Result<Vec<u64>, SpecError> {
        let w = &self.weights[&weight];
        let mut y = match &w.bias {
            Some(bias) => bias.repeat(dims.m),
            None => vec![0; dims.m * dims.n],
        };
        self.kernel.gemm(dims, x, &w.weight, Rhs::AsIs, &mut y);
        Ok(y)
    }

    fn add_rows(
        &mut self,
        mut x: Vec<u64>,
        weight: Weight,
        rows: &[usize],
        cols: usize,
    ) -> Result<Vec<u64>, SpecError> {
        let table = &self.weights[&weight].weight;
        for (out, row) in x.chunks_mut(cols).zip(rows) {
            ring64::add_assign(out, &table[row * cols..(row + 1) * cols]);
        }
        Ok(x)
    }

    fn residual(&mut self, x: &Vec<u64>, weight: Weight, _: usize, cols: usize) -> Result<Vec<u64>, SpecError> {
        let (gamma, share) = self.weights[&weight].weight.split_at(cols);
        let dot = |row: &[u64]| row.iter().zip(share).fold(0u64, |sum, (x, g)| sum.wrapping_add(x.wrapping_mul(*g)));
        let mut y = Vec::with_capacity(x.len());
        for row in x.chunks(cols) {
            let mean = dot(row);
            y.extend(row.iter().zip(gamma).map(|(x, g)| x.wrapping_mul(*g).wrapping_sub(mean)));
        }
        Ok(y)
    }

    fn matmul(
        &mut self,
        pairs: &[(&Vec<u64>, &Vec<u64>)],
        dims: &[Dims],
        rhs: Rhs,
    ) -> Result<Vec<Vec<u64>>, SpecError> {
        let product = |((a, b), d): (&(&Vec<u64>, &Vec<u64>), &Dims)| {
            let mut c = vec![0; d.m * d.n];
            self.kernel.gemm(*d, a, b, rhs, &mut c);
            c
        };
        Ok(pairs.iter().zip(dims).map(product).collect())
    }

    fn square(&mut self, x: &[(&Vec<u64>, usize)]) -> Result<Vec<Vec<u64>>, SpecError> {
        Ok(x.iter().map(|(x, _)| x.iter().map(|v| v.wrapping_mul(*v)).collect()).collect())
    }

    fn square_sum(&mut self, x: &Vec<u64>, rows: usize, cols: usize) -> Result<Vec<u64>, SpecError> {
        let mut sums = vec![0; rows];
        self.kernel.row_dot(cols, x, x, &mut sums);
        Ok(sums)
    }

    fn scale_rows(
        &mut self,
        pairs: &[(&Vec<u64>, &Vec<u64>)],
        dims: &[(usize, usize)],
    ) -> Result<Vec<Vec<u64>>, SpecError> {
        let mut scaled = Vec::with_capacity(pairs.len());
        for ((a, r), (_, cols)) in pairs.iter().zip(dims) {
            let mut c = vec![0; a.len()];
            self.kernel.scale_rows_add(*cols, a, r, &mut c);
            scaled.push(c);
        }
        Ok(scaled)
    }

    fn evaluate(&mut self, x: &[(&Vec<Vec<u64>>, usize, &Curve)]) -> Result<Vec<Vec<u64>>, SpecError> {
        let one = |(phases, rows, curve): &(&Vec<Vec<u64>>, usize, &Curve)| {
            let parts: Vec<_> =
                phases.iter().zip(&curve.segments).map(|(p, s)| (s.series.evaluate(p), s.cols)).collect();
            join_columns(&parts, *rows)
        };
        Ok(x.iter().map(one).collect())
    }

    fn add(&mut self, a: (Vec<u64>, u32), b: (Vec<u64>, u32)) -> Vec<u64> {
        a.0.iter().zip(&b.0).map(|(x, y)| (x << a.1).wrapping_add(y << b.1)).collect()
    }

    fn row_sums(&mut self, x: &Vec<u64>, _: usize, cols: usize) -> Vec<u64> {
        x.chunks(cols).map(|row| row.iter().fold(0u64, |s, v| s.wrapping_add(*v))).collect()
    }

    fn opened_row_sums(&mut self, x: &Vec<u64>, rows: usize, cols: usize) -> Vec<u64> {
        self.row_sums(x, rows, cols)
    }

    fn affine(&mut self, mut x: Vec<u64>, plus: u64, times: u64) -> Vec<u64> {
        x.iter_mut().for_each(|v| *v = v.wrapping_add(plus).wrapping_mul(times));
        x
    }

    fn offset(&mut self, mut x: Vec<u64>, by: u64) -> Vec<u64> {
        x.iter_mut().for_each(|v| *v = v.wrapping_add(by));
        x
    }

    fn block(&mut self, x: &Vec<u64>, cols: usize, block: Block) -> Vec<u64> {
        copy_block(x, cols, block)
    }

    fn assemble(&mut self, grid: &[Vec<(&Vec<u64>, usize, usize)>]) -> Vec<u64> {
        assemble(grid)
    }

    fn opened(&mut self, site: Site, form: Form, wire: &Vec<u64>) {
        // defects are no values of the network
        if let Some(trace) = self.trace.as_mut().filter(|_| !matches!(site, Site::Defect { .. })) {
            trace.push((site, ring64::decode_slice(wire, form.frac)));
        }
    }

    fn open(
        &mut self,
        _: &Place,
        wires: &[(&Vec<u64>, WireOpening)],
        phases: &[(&Vec<u64>, PhaseOpening)],
    ) -> Result<(Vec<Vec<u64>>, Vec<Vec<Vec<u64>>>), SpecError> {
        let round = |x: &[u64], drop: u32| x.iter().map(|v| ring64::shift_round(*v, drop)).collect::<Vec<u64>>();
        let phase = |(x, o): &(&Vec<u64>, PhaseOpening)| {
            let x = round(x, o.drop);
            let masks = o.segments.iter().map(|s| (1u64 << s.modulus_bits) - 1);
            let parts = split_columns(&x, o.rows, &o.segments.iter().map(|s| s.cols).collect::<Vec<_>>());
            parts.into_iter().zip(masks).map(|(p, mask)| p.iter().map(|v| v & mask).collect()).collect()
        };
        Ok((wires.iter().map(|(x, o)| round(x, o.drop)).collect(), phases.iter().map(phase).collect()))
    }
}

/// Copies a block out of a row-major matrix with `cols` columns.
pub fn copy_block(x: &[u64], cols: usize, block: Block) -> Vec<u64> {
    let mut copy = Vec::with_capacity(block.rows * block.cols);
    for row in block.row..block.row + block.rows {
        copy.extend_from_slice(&x[row * cols + block.col..][..block.cols]);
    }
    copy
}

/// Matrices with so many columns each, side by side.
pub fn join_columns<T: AsRef<[u64]>>(parts: &[(T, usize)], rows: usize) -> Vec<u64> {
    let cols: usize = parts.iter().map(|(_, c)| c).sum();
    let mut all = Vec::with_capacity(rows * cols);
    for r in 0..rows {
        parts.iter().for_each(|(p, c)| all.extend_from_slice(&p.as_ref()[r * c..(r + 1) * c]));
    }
    all
}

/// Blocks with so many rows and columns each: those of a line side by side, the lines below one another.
pub fn assemble<T: AsRef<[u64]>>(grid: &[Vec<(T, usize, usize)>]) -> Vec<u64> {
    let mut all = Vec::with_capacity(grid.iter().flatten().map(|(_, rows, cols)| rows * cols).sum());
    for line in grid {
        for row in 0..line.first().map_or(0, |b| b.1) {
            line.iter().for_each(|(b, _, cols)| all.extend_from_slice(&b.as_ref()[row * cols..][..*cols]));
        }
    }
    all
}

/// The inverse of [`join_columns`].
pub fn split_columns(x: &[u64], rows: usize, widths: &[usize]) -> Vec<Vec<u64>> {
    let cols: usize = widths.iter().sum();
    let mut col = 0;
    let mut parts = Vec::with_capacity(widths.len());
    for width in widths {
        parts.push(copy_block(x, cols, Block { row: 0, rows, col, cols: *width }));
        col += width;
    }
    parts
}
