//! Exact algebra on the weights, so that the network has fewer steps.
//!
//! - `1/sqrt(head size)` goes into the query.
//! - LayerNorm's scale and shift go into every reader: `(n * g + b) W = n (diag(g) W) + b W`.
//! - `0.125 x^2 + 0.25 x + 0.5` is `((x + 1) / sqrt 8)^2 + 0.375`: the line goes into what makes `x`, the constant into what reads
//!   the square.
//! - The residual stream is kept centred: the mean is taken out of every matrix and bias that writes to it, so that
//!   LayerNorm needs no mean and its variance is a sum of squares.

use std::collections::BTreeMap;
use std::fmt;

use ndarray::{Array1, Array2, ArrayD, Axis, Ix1, Ix2, concatenate, s};

use crate::activation::Activation;
use crate::bert::{Bert, BertWeight, InputKind, RELATIVE_BUCKETS};
use crate::config::AttentionKind;
use crate::engine::FEATURES;
use crate::matrix::{Matrices, Matrix};
use crate::sample::{SampleError, embed};
use crate::shape::Shape;

/// Tensors of a Hugging Face checkpoint by name, without the `bert.` prefix.
pub type Tensors = BTreeMap<String, ArrayD<f32>>;

/// The folded network.
#[derive(Clone)]
pub struct Folded {
    /// Its shape.
    pub shape: Shape,
    bert: Bert,
    matrices: Matrices,
}

impl fmt::Debug for Folded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Folded {{ shape: {:?}, weights: {} secret }}", self.shape, self.matrices.len())
    }
}

/// Why a checkpoint cannot be folded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FoldError {
    /// A tensor is missing.
    #[error("tensor `{0}` is missing from the model's weights")]
    Missing(String),
    /// A tensor has another shape than config.json says.
    #[error("tensor `{name}` has shape {got:?}; config.json asks for {expected:?}")]
    Shape {
        /// Name.
        name: String,
        /// In the file.
        got: Vec<usize>,
        /// By the configuration.
        expected: Vec<usize>,
    },
    /// A value is not finite.
    #[error("tensor `{0}` holds a value that is not finite")]
    NotFinite(String),
}

struct Reader<'a>(&'a Tensors);

impl Reader<'_> {
    fn vector(&self, name: &str, len: usize) -> Result<Array1<f32>, FoldError> {
        let found = self.tensor(name, &[len])?;
        found.clone().into_dimensionality::<Ix1>().map_err(|_| FoldError::Missing(name.into()))
    }

    fn matrix(&self, name: &str, rows: usize, cols: usize) -> Result<Array2<f32>, FoldError> {
        let found = self.tensor(name, &[rows, cols])?;
        found.clone().into_dimensionality::<Ix2>().map_err(|_| FoldError::Missing(name.into()))
    }

    /// A dense layer as `[input, output]` and bias.
    fn dense(&self, name: &str, from: usize, to: usize) -> Result<(Array2<f32>, Array1<f32>), FoldError> {
        let weight = self.matrix(&format!("{name}.weight"), to, from)?.reversed_axes();
        Ok((weight, self.vector(&format!("{name}.bias"), to)?))
    }

    fn tensor(&self, name: &str, expected: &[usize]) -> Result<&ArrayD<f32>, FoldError> {
        let found = self.0.get(name).ok_or_else(|| FoldError::Missing(name.into()))?;
        if found.shape() != expected {
            let (got, expected) = (found.shape().to_vec(), expected.to_vec());
            return Err(FoldError::Shape { name: name.into(), got, expected });
        }
        if found.iter().any(|v| !v.is_finite()) {
            return Err(FoldError::NotFinite(name.into()));
        }
        Ok(found)
    }
}

/// Folds a checkpoint.
pub fn fold(shape: &Shape, tensors: &Tensors) -> Result<Folded, FoldError> {
    let read = Reader(tensors);
    let (d, inner) = (shape.width, shape.inner);
    let bert = Bert::new(shape.clone(), InputKind::OneHot);
    let mut matrices = Matrices::new();
    let mut insert = |weight: BertWeight, matrix: Matrix| drop(matrices.insert(bert.weight(weight), matrix));
    let word = read.matrix("embeddings.word_embeddings.weight", shape.words, d)?;
    let segment = read.matrix("embeddings.token_type_embeddings.weight", shape.segments, d)?;
    let position = read.matrix("embeddings.position_embeddings.weight", shape.positions, d)?;
    let table = concatenate(Axis(0), &[word.view(), segment.view()])
        .map_err(|_| FoldError::Missing("embeddings.word_embeddings.weight".into()))?;
    insert(BertWeight::Embedding, Matrix { weight: centred(table), bias: None });
    insert(BertWeight::Position, Matrix { weight: centred(position), bias: None });

    let norm = |name: &str| -> Result<(Array1<f32>, Array1<f32>), FoldError> {
        Ok((read.vector(&format!("{name}.weight"), d)?, read.vector(&format!("{name}.bias"), d)?))
    };
    let mut before = norm("embeddings.LayerNorm")?;
    let scale = 1.0 / (shape.head_size() as f32).sqrt();
    for l in 0..shape.layers {
        let name = |part: &str| format!("encoder.layer.{l}.{part}");
        let attention = |part: &str| name(&format!("attention.self.{part}"));
        insert(BertWeight::Query(l), after_norm(&before, read.dense(&attention("query"), d, d)?, scale));
        insert(BertWeight::Key(l), after_norm(&before, read.dense(&attention("key"), d, d)?, 1.0));
        insert(BertWeight::Value(l), after_norm(&before, read.dense(&attention("value"), d, d)?, 1.0));
        if shape.attention == AttentionKind::Softmax {
            // until it was fitted
            let weight = Array2::zeros((d, shape.heads));
            insert(BertWeight::Shift(l), Matrix { weight, bias: Some(Array1::zeros(shape.heads)) });
        }
        if shape.relative_positions {
            let bias = read.matrix("encoder.relative_attention_bias.weight", RELATIVE_BUCKETS, shape.heads)?;
            // of one head after the other, in one column
            let weight =
                Array2::from_shape_fn((bias.len(), 1), |(i, _)| bias[(i % RELATIVE_BUCKETS, i / RELATIVE_BUCKETS)]);
            insert(BertWeight::RelativeBias(l), Matrix { weight, bias: None });
        }
        insert(BertWeight::Residual(2 * l), residual(&before.0));
        let output = read.dense(&name("attention.output.dense"), d, d)?;
        insert(BertWeight::AttentionOutput(l), to_stream(output, &before.1));
        let middle = norm(&name("attention.output.LayerNorm"))?;
        let mut up = read.dense(&name("intermediate.dense"), d, inner)?;
        let mut down = read.dense(&name("output.dense"), inner, d)?;
        if shape.activation == Activation::Quad {
            (up, down) = around_a_square(up, down);
        }
        insert(BertWeight::Up(l), after_norm(&middle, up, 1.0));
        insert(BertWeight::Residual(2 * l + 1), residual(&middle.0));
        insert(BertWeight::Down(l), to_stream(down, &middle.1));
        before = norm(&name("output.LayerNorm"))?;
    }
    insert(BertWeight::Pooler, after_norm(&before, read.dense("pooler.dense", d, d)?, 1.0));
    let (weight, bias) = read.dense("classifier", d, shape.labels)?;
    insert(BertWeight::Classifier, Matrix { weight, bias: Some(bias) });
    Ok(Folded { shape: shape.clone(), bert, matrices })
}

impl Folded {
    /// The network.
    pub fn bert(&self) -> &Bert {
        &self.bert
    }

    /// A matrix of the network; every weight of the shape is there.
    pub fn matrix(&self, weight: BertWeight) -> &Matrix {
        &self.matrices[&self.bert.weight(weight)]
    }

    /// All matrices.
    pub fn matrices(&self) -> &Matrices {
        &self.matrices
    }

    /// Gives softmax its shifts, `[layer]`: what is predicted of the rows of each head, a column a head, and what comes beside it.
    pub(crate) fn set_row_shifts(&mut self, shifts: Vec<(Matrix, Vec<[f64; FEATURES]>)>) {
        self.shape.row_shifts.clear();
        for (layer, (matrix, features)) in shifts.into_iter().enumerate() {
            self.matrices.insert(self.bert.weight(BertWeight::Shift(layer)), matrix);
            self.shape.row_shifts.push(features);
        }
        self.bert = Bert::new(self.shape.clone(), InputKind::OneHot);
    }

    /// The same network for texts of at most so many tokens, which is no more than before.
    ///
    /// # Panics
    ///
    /// Of no positions, and of more than there are.
    pub fn shorten(&mut self, positions: usize) {
        assert!((1..=self.shape.positions).contains(&positions), "{positions} of {} positions", self.shape.positions);
        self.shape.positions = positions;
        if let Some(table) = self.matrices.get_mut(&self.bert.weight(BertWeight::Position)) {
            table.weight = table.weight.slice(s![..positions, ..]).to_owned();
        }
        self.bert = Bert::new(self.shape.clone(), InputKind::OneHot);
    }

    /// Reorders the neurons of a feed-forward part: neuron `order[i]` comes to place `i`. The function stays the same.
    pub fn permute_neurons(&mut self, layer: usize, order: &[usize]) {
        if let Some(up) = self.matrices.get_mut(&self.bert.weight(BertWeight::Up(layer))) {
            up.weight = up.weight.select(Axis(1), order);
            up.bias = up.bias.as_ref().map(|b| b.select(Axis(0), order));
        }
        if let Some(down) = self.matrices.get_mut(&self.bert.weight(BertWeight::Down(layer))) {
            down.weight = down.weight.select(Axis(0), order);
        }
    }

    /// Rows that a client which holds the tables shares: the embedding after its LayerNorm, before scale and shift.
    pub fn embed(&self, ids: &[u32], segments: &[u32]) -> Result<Array2<f32>, SampleError> {
        let (table, position) = (&self.matrix(BertWeight::Embedding).weight, &self.matrix(BertWeight::Position).weight);
        embed(&self.shape, table, position, ids, segments)
    }
}

fn centred(mut weight: Array2<f32>) -> Array2<f32> {
    for mut row in weight.rows_mut() {
        let mean = (row.iter().map(|v| f64::from(*v)).sum::<f64>() / row.len() as f64) as f32;
        row -= mean;
    }
    weight
}

fn after_norm((gamma, beta): &(Array1<f32>, Array1<f32>), dense: (Array2<f32>, Array1<f32>), scale: f32) -> Matrix {
    let (weight, bias) = dense;
    let bias = (beta.dot(&weight) + bias) * scale;
    let weight = weight * gamma.view().insert_axis(Axis(1)) * scale;
    Matrix { weight: weight.as_standard_layout().into_owned(), bias: Some(bias) }
}

type Dense = (Array2<f32>, Array1<f32>);

/// The products before and after a quadratic, with a square between them.
fn around_a_square((up, up_bias): Dense, (down, down_bias): Dense) -> (Dense, Dense) {
    let scale = f32::sqrt(0.125);
    let constant = down.sum_axis(Axis(0)) * 0.375;
    ((up * scale, (up_bias + 1.0) * scale), (down, down_bias + constant))
}

/// A matrix that writes to the residual stream; the shift of the LayerNorm that the residual carries comes with its bias.
fn to_stream(dense: (Array2<f32>, Array1<f32>), beta: &Array1<f32>) -> Matrix {
    let (weight, bias) = dense;
    let bias = centred((bias + beta).insert_axis(Axis(0))).remove_axis(Axis(0));
    Matrix { weight: centred(weight.as_standard_layout().into_owned()), bias: Some(bias) }
}

/// Row 0 is `g`, row 1 is `g / width`: the residual is `x * g - (x . g / width) 1`.
fn residual(gamma: &Array1<f32>) -> Matrix {
    let mut weight = Array2::zeros((2, gamma.len()));
    weight.row_mut(0).assign(gamma);
    weight.row_mut(1).assign(&(gamma / gamma.len() as f32));
    Matrix { weight, bias: None }
}
