//! Fitting the shift of the rows of softmax: ridge regression of the logarithm of a row's sum of exponentials on what is a share
//! before any score is opened.

use std::collections::BTreeMap;

use nalgebra::{DMatrix, DVector};
use ndarray::{Array1, Array2};
use rayon::prelude::*;

use crate::arithmetic::near;
use crate::bert::{Bert, BertSite};
use crate::calibrate::stretched;
use crate::engine::FEATURES;
use crate::float::{Float, Observer};
use crate::fold::Folded;
use crate::functions::Functions;
use crate::matrix::Matrix;
use crate::network::Network;
use crate::sample::{Sample, SampleError, one_hot};
use crate::shape::Texts;
use crate::softmax_ranges::log_sum;
use crate::table::{Function, Site};

/// The penalty of a coefficient, over the sum of squares of what it multiplies.
const RIDGE: f64 = 3e-4;
/// The same of the constant.
const RIDGE_OF_CONSTANT: f64 = 1e-10;
/// The features of a row, one, and what is predicted.
const COLUMNS: usize = FEATURES + 2;

/// Fits the shifts of all heads to these texts, and gives them to the network.
pub fn fit_row_shifts(
    folded: &mut Folded,
    samples: &[Sample],
    progress: &(dyn Fn() + Sync),
) -> Result<(), SampleError> {
    samples.iter().try_for_each(|sample| sample.check(&folded.shape))?;
    let shape = folded.shape.clone();
    // what is observed later beside them, too: short texts, and as long ones as there may be
    let stretched = stretched(samples, &shape);
    let all: Vec<&Sample> = samples.iter().chain(&stretched).collect();
    let moments = all
        .into_par_iter()
        .filter(|sample| !sample.ids.is_empty())
        .map(|sample| {
            let moments = observe(folded, sample)?;
            progress();
            Ok(moments)
        })
        .try_reduce(BTreeMap::new, |a, b| Ok(merged(a, b)))?;
    let nothing = || Moments::new(shape.width, shape.heads);
    let fitted = (0..shape.layers).map(|layer| moments.get(&layer).map_or_else(|| nothing().fit(), Moments::fit));
    let fitted = fitted.collect();
    folded.set_row_shifts(fitted);
    Ok(())
}

fn merged(mut a: BTreeMap<usize, Moments>, b: BTreeMap<usize, Moments>) -> BTreeMap<usize, Moments> {
    for (layer, moments) in b {
        match a.get_mut(&layer) {
            Some(own) => own.add(&moments),
            None => drop(a.insert(layer, moments)),
        }
    }
    a
}

fn observe(folded: &Folded, sample: &Sample) -> Result<BTreeMap<usize, Moments>, SampleError> {
    let (tokens, bert) = (sample.ids.len(), folded.bert());
    let too_long = |_| SampleError::Length { got: tokens, most: folded.shape.positions };
    let texts = Texts::new(&[tokens], &folded.shape).map_err(too_long)?;
    let input = one_hot(&bert.shape, &texts, &sample.ids, &sample.segments)?;
    let mut seen = Seen { bert, rows: Array2::zeros((0, 0)), head: 0, moments: BTreeMap::new() };
    let engine = Float::new(bert.table(), folded.matrices(), &mut seen, Functions::Exact);
    match bert.run(&mut engine.with_all_rows(), &texts, &mut (), &input) {
        Ok(_) => Ok(seen.moments),
        Err(never) => match never {},
    }
}

/// Sums of products over the rows that were seen of a layer.
struct Moments {
    /// Of the rows of the layer with themselves.
    rows: Array2<f64>,
    /// Of these with the columns of each head.
    cross: Vec<Array2<f64>>,
    /// Of the columns of each head with themselves.
    columns: Vec<Array2<f64>>,
}

impl Moments {
    fn new(width: usize, heads: usize) -> Moments {
        let zeros = |rows, cols| Array2::zeros((rows, cols));
        Moments {
            rows: zeros(width, width),
            cross: vec![zeros(width, COLUMNS); heads],
            columns: vec![zeros(COLUMNS, COLUMNS); heads],
        }
    }

    fn add(&mut self, other: &Moments) {
        self.rows += &other.rows;
        self.cross.iter_mut().zip(&other.cross).for_each(|(own, other)| *own += other);
        self.columns.iter_mut().zip(&other.columns).for_each(|(own, other)| *own += other);
    }

    /// What is predicted from the rows, a column a head, and the multiples of the features.
    fn fit(&self) -> (Matrix, Vec<[f64; FEATURES]>) {
        let (width, heads) = (self.rows.nrows(), self.cross.len());
        let (mut weight, mut bias) = (Array2::<f32>::zeros((width, heads)), Array1::<f32>::zeros(heads));
        let solved: Vec<Option<DVector<f64>>> = (0..heads).into_par_iter().map(|head| self.solve(head)).collect();
        let mut features = vec![[0.0; FEATURES]; heads];
        for (head, solution) in solved.into_iter().enumerate() {
            let Some(solution) = solution else { continue };
            (0..width).for_each(|at| weight[(at, head)] = solution[at] as f32);
            (0..FEATURES).for_each(|at| features[head][at] = solution[width + at]);
            bias[head] = solution[width + FEATURES] as f32;
        }
        (Matrix { weight, bias: Some(bias) }, features)
    }

    fn solve(&self, head: usize) -> Option<DVector<f64>> {
        let (width, (cross, columns)) = (self.rows.nrows(), (&self.cross[head], &self.columns[head]));
        let count = width + COLUMNS - 1;
        let at = |i: usize, j: usize| match (i < width, j < width) {
            (true, true) => self.rows[(i, j)],
            (true, false) => cross[(i, j - width)],
            (false, true) => cross[(j, i - width)],
            (false, false) => columns[(i - width, j - width)],
        };
        let scales: Vec<f64> = (0..count).map(|i| at(i, i).max(1e-9).sqrt()).collect();
        let ridge = |i: usize| if i + 1 == count { RIDGE_OF_CONSTANT } else { RIDGE };
        let normal = DMatrix::from_fn(count, count, |i, j| {
            at(i, j) / (scales[i] * scales[j]) + if i == j { ridge(i) } else { 0.0 }
        });
        let right = DVector::from_fn(count, |i, _| at(i, count) / scales[i]);
        let solution = normal.cholesky()?.solve(&right);
        Some(DVector::from_fn(count, |i, _| solution[i] / scales[i]))
    }
}

struct Seen<'b> {
    bert: &'b Bert,
    /// Rows that the layer reads.
    rows: Array2<f32>,
    head: usize,
    moments: BTreeMap<usize, Moments>,
}

impl Observer for Seen<'_> {
    fn wire(&mut self, site: Site, value: &Array2<f32>) {
        match self.bert.site_of(site) {
            BertSite::Normal { norm } if norm % 2 == 0 => {
                (self.rows, self.head) = (value.clone(), 0);
            }
            BertSite::Scores { layer } => {
                let (width, heads) = (self.bert.shape.width, self.bert.shape.heads);
                let moments = self.moments.entry(layer).or_insert_with(|| Moments::new(width, heads));
                if self.head == 0 {
                    moments.rows += &self.rows.t().dot(&self.rows).mapv(f64::from);
                }
                let columns = columns(value, self.bert.shape.padded_length(value.ncols()));
                moments.cross[self.head] += &self.rows.mapv(f64::from).t().dot(&columns);
                moments.columns[self.head] += &columns.t().dot(&columns);
                self.head += 1;
            }
            _ => {}
        }
    }

    fn phase(&mut self, _: Function, _: &Array2<f32>) {}
}

/// The features of each row of scores, one, and the logarithm of its sum of exponentials.
fn columns(scores: &Array2<f32>, padded_rows: usize) -> Array2<f64> {
    let (tokens, padded_rows) = (scores.ncols() as f64, padded_rows as f64);
    let mut columns = Array2::zeros((scores.nrows(), COLUMNS));
    for (at, (row, mut out)) in scores.rows().into_iter().zip(columns.rows_mut()).enumerate() {
        for (place, column) in near(at).into_iter().enumerate() {
            out[place] = column.and_then(|column| row.get(column)).map_or(0.0, |score| f64::from(*score));
        }
        out[4] = f64::from(row.sum()) / padded_rows;
        out[5] = tokens.ln();
        out[6] = 1.0;
        out[7] = log_sum(row.iter().map(|s| f64::from(*s)), 1.0);
    }
    columns
}
