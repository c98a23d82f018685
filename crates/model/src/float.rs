//! The network in 32-bit floating point: the reference, and the place where ranges are observed.

use std::convert::Infallible;
use std::fmt;

use ndarray::{Array2, ArrayView1, Axis, s};

use crate::arithmetic::near;
use crate::engine::{Attending, Block, Engine, Flipped, Head, Opened, Rhs, Rotation, SoftmaxHead};
use crate::functions::Functions;
use crate::matrix::Matrices;
use crate::table::{Comparison, Function, Read, Site, Smooth, Table, Weight};

/// By how much scores with padding are less than nothing where no other depth was chosen.
const UNATTENDED: f32 = 1e4;

/// Sees every value that a private run would open.
pub trait Observer {
    /// A wire.
    fn wire(&mut self, site: Site, value: &Array2<f32>);
    /// The argument of a smooth function.
    fn phase(&mut self, function: Function, value: &Array2<f32>);
    /// What was taken from the rows of scores of a head of softmax, by what is evaluated at them then.
    fn shifts(&mut self, _exponential: Function, _shifts: &[f32]) {}
    /// What is compared with zero.
    fn compared(&mut self, _comparison: Comparison, _value: &Array2<f32>) {}
}

/// Observes nothing.
impl Observer for () {
    fn wire(&mut self, _: Site, _: &Array2<f32>) {}
    fn phase(&mut self, _: Function, _: &Array2<f32>) {}
}

impl<O: Observer> Observer for &mut O {
    fn wire(&mut self, site: Site, value: &Array2<f32>) {
        (**self).wire(site, value);
    }
    fn phase(&mut self, function: Function, value: &Array2<f32>) {
        (**self).phase(function, value);
    }
    fn shifts(&mut self, exponential: Function, shifts: &[f32]) {
        (**self).shifts(exponential, shifts);
    }
    fn compared(&mut self, comparison: Comparison, value: &Array2<f32>) {
        (**self).compared(comparison, value);
    }
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
    table: &'a Table,
    matrices: &'a Matrices,
    functions: Functions,
    all_rows: bool,
    /// The observer.
    pub observer: O,
}

impl<'a, O: Observer> Float<'a, O> {
    /// An engine for what a network declares, with an observer; `()` observes nothing.
    pub fn new(table: &'a Table, matrices: &'a Matrices, observer: O, functions: Functions) -> Self {
        Float { table, matrices, functions, all_rows: false, observer }
    }

    /// The same, which computes the rows of the last layer too that nothing reads.
    pub fn with_all_rows(self) -> Self {
        Float { all_rows: true, ..self }
    }
}

impl<O> Float<'_, O> {
    fn value(&self, function: Function, v: f32) -> f32 {
        let v = f64::from(v);
        let value = match self.table[function].smooth {
            Smooth::EvenPart(_) if self.functions == Functions::MpcFormer => 0.125 * v * v - 0.25 * v + 0.5,
            smooth => smooth.value(v),
        };
        value as f32
    }
}

impl<O: Observer> Engine for Float<'_, O> {
    type Wire = Array2<f32>;
    type Phase = Array2<f32>;
    type Share = Array2<f32>;
    type Signs = Array2<f32>;
    type Error = Infallible;

    fn linear(&mut self, x: &Array2<f32>, weight: Weight) -> Result<Array2<f32>, Infallible> {
        let matrix = &self.matrices[&weight];
        let mut y = match self.table[weight].read {
            Read::Lookup => lookup(x, &matrix.weight),
            _ => x.dot(&matrix.weight),
        };
        if let Some(bias) = &matrix.bias {
            y += bias;
        }
        Ok(y)
    }

    fn gated_linear(&mut self, x: &Array2<f32>, weight: Weight, gate: &Array2<f32>) -> Result<Array2<f32>, Infallible> {
        let matrix = &self.matrices[&weight];
        let mut y = x.dot(&matrix.weight);
        if let Some(bias) = &matrix.bias {
            y += &(gate * bias);
        }
        Ok(y)
    }

    fn add_rows(&mut self, mut x: Array2<f32>, weight: Weight, rows: &[usize]) -> Result<Array2<f32>, Infallible> {
        x += &self.matrices[&weight].weight.select(Axis(0), rows);
        Ok(x)
    }

    fn add_entries(
        &mut self,
        mut x: Array2<f32>,
        weight: Weight,
        entries: &[usize],
    ) -> Result<Array2<f32>, Infallible> {
        let column = &self.matrices[&weight].weight;
        x.iter_mut().zip(entries).for_each(|(x, entry)| *x += column[(*entry, 0)]);
        Ok(x)
    }

    fn residual(&mut self, x: &Array2<f32>, weight: Weight) -> Result<Array2<f32>, Infallible> {
        let gamma = &self.matrices[&weight].weight;
        if self.table[weight].read == (Read::Columns { centred: false }) {
            return Ok(x * &gamma.row(0));
        }
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
        Ok(x.iter().map(|(x, function)| x.mapv(|v| self.value(*function, v))).collect())
    }

    fn evaluate_all(&mut self, x: &[(Array2<f32>, Vec<Function>)]) -> Result<Vec<Array2<f32>>, Infallible> {
        let all = x.iter().flat_map(|(x, functions)| functions.iter().map(move |function| (x, *function)));
        Ok(all.map(|(x, function)| x.mapv(|v| self.value(function, v))).collect())
    }

    fn relative(
        &mut self,
        mut scores: Array2<f32>,
        predicted: &Array2<f32>,
        gates: Option<&Array2<f32>>,
        head: &SoftmaxHead,
    ) -> Result<Array2<f32>, Infallible> {
        let (first, column) = head.predicted;
        let tokens = gates.map_or(head.rows as f32, |gates| gates.sum());
        let mut shifts = Vec::with_capacity(head.own.len());
        for (at, mut row) in scores.rows_mut().into_iter().enumerate() {
            let shift = predicted[(first + at, column)] + row_shift(head, at, row.view(), tokens);
            row.mapv_inplace(|s| s - shift);
            shifts.push(shift);
            if let Some(gates) = gates {
                let depth = head.padding.map_or(UNATTENDED, |padding| padding.depth as f32);
                row.iter_mut().zip(gates).for_each(|(s, gate)| *s -= (1.0 - gate) * depth);
            }
        }
        self.observer.shifts(head.exponential, &shifts);
        Ok(scores)
    }

    fn gated_evaluate(&mut self, x: &[(Array2<f32>, Function, &Array2<f32>)]) -> Result<Vec<Array2<f32>>, Infallible> {
        let one = |(x, function, gate): &(Array2<f32>, Function, &Array2<f32>)| {
            let mut y = x.clone();
            for (mut row, gate) in y.rows_mut().into_iter().zip(gate.iter()) {
                // no number that padding may give is looked at: it may be none
                row.mapv_inplace(|v| if *gate == 0.0 { 0.0 } else { gate * self.value(*function, v) });
            }
            y
        };
        Ok(x.iter().map(one).collect())
    }

    fn mul(&mut self, pairs: &[(&Array2<f32>, &Array2<f32>)]) -> Result<Vec<Array2<f32>>, Infallible> {
        Ok(pairs.iter().map(|(a, b)| *a * *b).collect())
    }

    fn signs(&mut self, x: &[(&Array2<f32>, Comparison)]) -> Result<Vec<Array2<f32>>, Infallible> {
        x.iter().for_each(|(x, comparison)| self.observer.compared(*comparison, x));
        Ok(x.iter().map(|(x, _)| x.mapv(|v| if v < 0.0 { -1.0 } else { 1.0 })).collect())
    }

    fn flip(&mut self, x: &[(&Array2<f32>, Vec<&Array2<f32>>)]) -> Result<Vec<Flipped<Self>>, Infallible> {
        let flipped = |(signs, values): &(&Array2<f32>, Vec<&Array2<f32>>)| {
            let products = values.iter().map(|value| *signs * *value);
            ((*signs).clone(), products.collect())
        };
        Ok(x.iter().map(flipped).collect())
    }

    fn shared(&mut self, x: &Array2<f32>) -> Result<Array2<f32>, Infallible> {
        Ok(x.clone())
    }

    fn difference(&mut self, x: &Array2<f32>, y: &Array2<f32>) -> Array2<f32> {
        x - y
    }

    fn affine(&mut self, x: Array2<f32>, plus: i32, times: i32) -> Array2<f32> {
        (x + plus as f32) * times as f32
    }

    fn rotate(&mut self, x: Array2<f32>, by: &Rotation) -> Array2<f32> {
        let (half, mut y) = (x.ncols() / 2, x.clone());
        for ((row, angles), mut out) in x.rows().into_iter().zip(&by.angles).zip(y.rows_mut()) {
            for (at, angle) in angles.iter().enumerate() {
                let (sin, cos) = (angle.sin() as f32, angle.cos() as f32);
                out[at] = row[at] * cos - row[at + half] * sin;
                out[at + half] = row[at + half] * cos + row[at] * sin;
            }
        }
        y
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

    fn raised_sums(&mut self, weights: &Array2<f32>, epsilon: f32) -> Array2<f32> {
        self.row_sums(weights) + epsilon
    }

    fn offset(&mut self, x: Array2<f32>, by: f32) -> Array2<f32> {
        x + by
    }

    fn gated_offset(&mut self, x: Array2<f32>, by: f32, gate: &Array2<f32>) -> Array2<f32> {
        x + &(gate.t().to_owned() * by)
    }

    fn gate(&mut self, columns: Array2<f32>) -> Array2<f32> {
        self.row_sums(&columns)
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

    fn skips_unread_rows(&self) -> bool {
        !self.all_rows
    }

    fn mixes_weights(&self) -> bool {
        self.functions == Functions::Exact
    }

    fn attention_weights(
        &mut self,
        scores: Vec<Array2<f32>>,
        _: &[Head],
    ) -> Result<Attending<Array2<f32>>, Infallible> {
        if self.functions != Functions::Exact {
            return Ok(Attending::Scores(scores));
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
        Ok(Attending::Weights(scores.into_iter().map(softmax).collect()))
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

/// The shift of a row of scores but for what was predicted of it.
fn row_shift(head: &SoftmaxHead, at: usize, row: ArrayView1<'_, f32>, tokens: f32) -> f32 {
    let [near_times @ .., mean, log] = head.features;
    let score =
        |column: Option<usize>| column.and_then(|column| row.get(column)).map_or(0.0, |score| f64::from(*score));
    let near: f64 = near(head.own[at]).into_iter().zip(near_times).map(|(column, times)| score(column) * times).sum();
    (near + f64::from(row.sum()) / head.padded_rows as f64 * mean + libm::log(f64::from(tokens)) * log) as f32
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
