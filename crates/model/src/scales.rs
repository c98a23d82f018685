//! A network's scales: how each site is opened, which series stands for each function, at which scale each parameter is held.

use std::sync::Arc;

use crate::compared::Compared;
use crate::opening::{Curve, Opening};
use crate::table::{Comparison, Function, Site, Table, Weight};

/// A curve, and by how many fractional bits argument (down) and result (up) are read at another scale.
pub type Scaled = (Arc<Curve>, i32);

/// The scales of everything that a network declares.
#[derive(Clone, Debug, PartialEq)]
pub struct Scales {
    table: Arc<Table>,
    openings: Vec<Opening>,
    curves: Vec<Scaled>,
    weights: Vec<i32>,
    comparisons: Vec<Compared>,
    input_extra: u32,
    /// Of a function, by its number, below what its argument is multiplied with a larger power.
    thresholds: Vec<Vec<f64>>,
    /// By how many bits defects of reciprocals, and of exponentials, count for less than they are.
    defects: (i32, i32),
}

impl Scales {
    /// Asks for the scale of all that the table declares; a client's input has `input_extra` fractional bits beyond what its
    /// opening keeps.
    pub fn new(
        table: Arc<Table>,
        input_extra: u32,
        opening: impl FnMut(Site) -> Opening,
        curve: impl FnMut(Function) -> Scaled,
        weight_frac: impl FnMut(Weight) -> i32,
    ) -> Scales {
        let openings = table.sites().map(opening).collect();
        let curves = table.functions().map(curve).collect();
        let weights = table.parameters().map(|(weight, _)| weight).map(weight_frac).collect();
        let comparisons = table.comparisons().map(|_| Compared::default()).collect();
        Scales { table, openings, curves, weights, comparisons, input_extra, thresholds: Vec::new(), defects: (0, 0) }
    }

    /// The same with comparisons made like this; without it all are made as [`Compared::default`] says.
    #[must_use]
    pub fn comparing(mut self, compared: impl FnMut(Comparison) -> Compared) -> Scales {
        self.comparisons = self.table.comparisons().map(compared).collect();
        self
    }

    /// The same with thresholds below which the argument of a function is multiplied with a larger power.
    #[must_use]
    pub fn with_thresholds(mut self, thresholds: impl FnMut(Function) -> Vec<f64>) -> Scales {
        self.thresholds = self.table.functions().map(thresholds).collect();
        self
    }

    /// Below what the argument of a function is multiplied with a larger power, the largest first.
    pub fn thresholds(&self, function: Function) -> &[f64] {
        self.thresholds.get(function.index()).map_or(&[], Vec::as_slice)
    }

    /// The same where defects of reciprocals and of exponentials are divided by these powers of two before they count.
    pub fn with_defects(self, reciprocals: i32, exponentials: i32) -> Scales {
        Scales { defects: (reciprocals, exponentials), ..self }
    }

    /// By how many bits the defect of a reciprocal counts for less than it is.
    pub fn reciprocal_weight(&self) -> i32 {
        self.defects.0
    }

    /// By how many bits the defect of an exponential counts for less than it is.
    pub fn identity_weight(&self) -> i32 {
        self.defects.1
    }

    /// What the network declares.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// How a site is opened.
    pub fn opening(&self, site: Site) -> Opening {
        self.openings[site.index()]
    }

    /// The curve of a function, and by how many fractional bits argument (down) and result (up) are shifted.
    pub fn curve(&self, function: Function) -> (&Curve, i32) {
        let (curve, shift) = &self.curves[function.index()];
        (curve, *shift)
    }

    /// How a comparison is made.
    pub fn compared(&self, comparison: Comparison) -> Compared {
        self.comparisons[comparison.index()]
    }

    /// Fractional bits of a weight.
    pub fn weight_frac(&self, weight: Weight) -> i32 {
        self.weights[weight.index()]
    }

    /// Fractional bits of a weight's product with its input, hence of its bias.
    pub fn bias_frac(&self, weight: Weight) -> i32 {
        self.opening(self.table[weight].input).frac + self.weight_frac(weight)
    }

    /// Fractional bits that a client's input has beyond what its opening keeps.
    pub fn input_extra(&self) -> u32 {
        self.input_extra
    }

    /// Half of the period of a curve's argument, as an exponent: what published iterations divide by first. [`crate::choose()`]
    /// widens the observed range by 1.5 on both sides and takes the smallest power of two that is 1.1 times its upper end or more.
    /// That end is hence between 0.909 and 1.818 of `2^` this, the largest observed value between 0.606 and 1.212.
    pub fn half_period(&self, function: Function) -> i32 {
        let (curve, shift) = self.curve(function);
        let bits = curve.segments.first().map_or(0, |s| s.series.modulus_bits) as i32;
        bits - (curve.frac - shift) - 1
    }
}
