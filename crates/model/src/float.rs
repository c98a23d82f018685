//! The network in 32-bit floating point: the reference, and the place where ranges are observed.

use std::convert::Infallible;
use std::fmt;

use ndarray::{Array2, Axis, s};

use crate::bert::{Head, InputKind, classify, two_quad};
use crate::certificate::Checks;
use crate::engine::{Block, Engine, Function, Opened, Rhs, Site, Weight};
use crate::fold::Folded;
use crate::functions::Functions;
use crate::sample::{SampleError, check_batch, one_hot};
use crate::shape::Texts;

/// Sees every value that a private run would open.
pub trait Observer {
    /// A wire.
    fn wire(&mut self, site: Site, value: &Array2<f32>);
    /// The argument of a smooth function.
    fn phase(&mut self, function: Function, value: &Array2<f32>);
}

/// Looks away.
impl Observer for () {
    fn wire(&mut self, _: Site, _: &Array2<f32>) {}
    fn phase(&mut self, _: Function, _: &Array2<f32>) {}
}

/// Keeps every wire, in the order of opening.
#[derive(Default)]
pub struct FloatTrace(pub Vec<(Site, Array2<f32>)>);

impl fmt::Debug for FloatTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FloatTrace {{ {} wires, secret }}", self.0.len())
    }
}

impl Observer for FloatTrace {
    fn wire(&mut self, site: Site, value: &Array2<f32>) {
        self.0.push((site, value.clone()));
    }
    fn phase(&mut self, _: Function, _: &Array2<f32>) {}
}

/// The floating-point engine.
pub struct Float<'a, O = ()> {
    weights: &'a Folded,
    functions: Functions,
    /// The observer.
    pub observer: O,
}

impl<'a, O: Observer> Float<'a, O> {
    /// An engine with an observer; `()` looks away.
    pub fn new(weights: &'a Folded, observer: O) -> Self {
        Float::with_functions(weights, observer, Functions::Series)
    }

    /// An engine of the functions that these stand for: 2Quad and GeLU, a quadratic in GeLU's place, or softmax and GeLU.
    pub fn with_functions(weights: &'a Folded, observer: O, functions: Functions) -> Self {
        Float { weights, functions, observer }
    }

    /// Logits of a batch, one row a text.
    pub fn logits(&mut self, texts: &Texts, ids: &[u32], segments: &[u32]) -> Result<Array2<f32>, SampleError> {
        let shape = self.weights.shape.clone();
        check_batch(&shape, texts, ids, segments)?;
        let input = one_hot(&shape, ids, segments)?;
        match classify(self, &shape, texts, InputKind::OneHot, &input) {
            Ok(classified) => Ok(classified.logits),
            Err(never) => match never {},
        }
    }
}

impl<O: Observer> Engine for Float<'_, O> {
    type Wire = Array2<f32>;
    type Phase = Array2<f32>;
    type Share = Array2<f32>;
    type Error = Infallible;

    fn linear(&mut self, x: &Array2<f32>, weight: Weight) -> Result<Array2<f32>, Infallible> {
        let matrix = self.weights.matrix(weight);
        let mut y = match weight {
            Weight::Embedding => lookup(x, &matrix.weight),
            _ => x.dot(&matrix.weight),
        };
        if let Some(bias) = &matrix.bias {
            y += bias;
        }
        Ok(y)
    }

    fn add_rows(&mut self, mut x: Array2<f32>, weight: Weight, rows: &[usize]) -> Result<Array2<f32>, Infallible> {
        x += &self.weights.matrix(weight).weight.select(Axis(0), rows);
        Ok(x)
    }

    fn residual(&mut self, x: &Array2<f32>, weight: Weight) -> Result<Array2<f32>, Infallible> {
        let gamma = &self.weights.matrix(weight).weight;
        let mean = x.dot(&gamma.row(1)).insert_axis(Axis(1));
        Ok(x * &gamma.row(0) - mean)
    }

    fn matmul(&mut self, pairs: &[(Array2<f32>, Array2<f32>)], rhs: Rhs) -> Result<Vec<Array2<f32>>, Infallible> {
        let product = |(a, b): &(Array2<f32>, Array2<f32>)| match rhs {
            Rhs::AsIs => a.dot(b),
            Rhs::Transposed => a.dot(&b.t()),
        };
        Ok(pairs.iter().map(product).collect())
    }

    fn square(&mut self, x: &[Array2<f32>]) -> Result<Vec<Array2<f32>>, Infallible> {
        Ok(x.iter().map(|x| x * x).collect())
    }

    fn square_sum(&mut self, x: &Array2<f32>) -> Result<Array2<f32>, Infallible> {
        Ok((x * x).sum_axis(Axis(1)).insert_axis(Axis(1)))
    }

    fn scale_rows(&mut self, pairs: &[(&Array2<f32>, &Array2<f32>)]) -> Result<Vec<Array2<f32>>, Infallible> {
        Ok(pairs.iter().map(|(a, r)| *a * *r).collect())
    }

    fn evaluate(&mut self, x: &[(Array2<f32>, Function)]) -> Result<Vec<Array2<f32>>, Infallible> {
        let shape = &self.weights.shape;
        let (width, eps, activation) = (shape.width as f64, shape.eps, shape.activation);
        let value = |function: &Function, v: f64| match function {
            Function::InverseRoot { .. } => (width / (v + width * eps)).sqrt(),
            Function::Reciprocal { .. } => 1.0 / v,
            Function::Gelu { .. } if self.functions == Functions::MpcFormer => 0.125 * v * v - 0.25 * v + 0.5,
            Function::Gelu { .. } => activation.even_part(v),
            Function::Tanh => v.tanh(),
        };
        Ok(x.iter().map(|(x, function)| x.mapv(|v| value(function, f64::from(v)) as f32)).collect())
    }

    fn add(&mut self, a: Array2<f32>, b: Array2<f32>) -> Result<Array2<f32>, Infallible> {
        Ok(a + b)
    }

    fn half(&mut self, x: Array2<f32>) -> Array2<f32> {
        x / 2.0
    }

    fn row_sums(&mut self, x: &Array2<f32>) -> Array2<f32> {
        x.sum_axis(Axis(1)).insert_axis(Axis(1))
    }

    fn offset(&mut self, x: Array2<f32>, by: f32) -> Array2<f32> {
        x + by
    }

    fn block(&mut self, x: &Array2<f32>, b: Block) -> Array2<f32> {
        x.slice(s![b.row..b.row + b.rows, b.col..b.col + b.cols]).to_owned()
    }

    fn assemble(&mut self, grid: &[Vec<Array2<f32>>]) -> Array2<f32> {
        let cols = grid[0].iter().map(|b| b.ncols()).sum();
        let mut all = Array2::zeros((grid.iter().map(|row| row[0].nrows()).sum(), cols));
        let mut row = 0;
        for blocks in grid {
            let mut col = 0;
            for b in blocks {
                all.slice_mut(s![row..row + b.nrows(), col..col + b.ncols()]).assign(b);
                col += b.ncols();
            }
            row += blocks[0].nrows();
        }
        all
    }

    fn attention(
        &mut self,
        scores: Vec<Array2<f32>>,
        values: Vec<Array2<f32>>,
        heads: &[Head],
        checks: &mut Checks<Self>,
    ) -> Result<Vec<Array2<f32>>, Infallible> {
        if self.functions != Functions::Exact {
            return two_quad(self, scores, values, heads, checks);
        }
        let softmax = |mut scores: Array2<f32>| {
            for mut row in scores.rows_mut() {
                let most = row.fold(f32::NEG_INFINITY, |most, s| most.max(*s));
                row.mapv_inplace(|s| (s - most).exp());
                let sum = row.sum();
                row /= sum;
            }
            scores
        };
        Ok(scores.into_iter().zip(values).map(|(s, v)| softmax(s).dot(&v)).collect())
    }

    fn open(
        &mut self,
        wires: &[(&Array2<f32>, Site)],
        phases: &[(&Array2<f32>, Function)],
    ) -> Result<Opened<Self>, Infallible> {
        wires.iter().for_each(|(x, site)| self.observer.wire(*site, x));
        phases.iter().for_each(|(x, function)| self.observer.phase(*function, x));
        let own = |x: &Array2<f32>| x.to_owned();
        Ok((wires.iter().map(|(x, _)| own(x)).collect(), phases.iter().map(|(x, _)| own(x)).collect()))
    }
}

/// A product whose left factor is almost everywhere zero.
fn lookup(x: &Array2<f32>, table: &Array2<f32>) -> Array2<f32> {
    let mut y = Array2::zeros((x.nrows(), table.ncols()));
    for (row, mut out) in x.rows().into_iter().zip(y.rows_mut()) {
        for (j, v) in row.iter().enumerate().filter(|(_, v)| **v != 0.0) {
            out.scaled_add(*v, &table.row(j));
        }
    }
    y
}
