//! `sqrt(width / v)` of a LayerNorm's sum of squares, by Goldschmidt's iteration (SecFormer, Alg. 2).
//!
//! `q = v / eta`, `p = 1`, then `m = (3 - q) / 2`, `p <- p m`, `q <- q m^2`: q goes to one and p to `sqrt(eta / v)`. A square
//! and two products a step, on one number a row: three rounds and 80 bytes as SecFormer counts them, none in the first step.
//! Sums beyond `3 eta` diverge, unnoticed; the tests hold the errors below. LayerNorm's epsilon is added, and is less than a unit where it is 1e-12.

use super::fixed::{FixedPoint, Tensor, over_power_of_two};
use super::ring::Ring;

/// A LayerNorm's constants, and how far the iteration goes.
pub(crate) struct Root {
    /// Elements of the row whose squares were summed.
    pub(crate) width: usize,
    /// LayerNorm's epsilon.
    pub(crate) eps: f64,
    /// The `e` of `eta = 2^e`; sums of squares lie below `3 eta`.
    pub(crate) eta: i32,
    /// Steps, of which the first needs no product.
    pub(crate) steps: usize,
}

/// The inverse deviation of sums of squares at any scale, at the scale of values.
pub(crate) fn inverse_root<R: Ring>(
    fixed: &mut FixedPoint<'_, R>,
    v: &Tensor<R>,
    root: &Root,
) -> Result<Tensor<R>, R::Error> {
    let (width, eta) = (root.width as f64, f64::powi(2.0, root.eta));
    let quotient = over_power_of_two(fixed.copy(v), root.eta);
    let quotient = fixed.at_scale(&quotient, fixed.frac)?;
    let mut q = fixed.offset(&quotient, f64::from((width * root.eps / eta) as f32));
    let mut m = fixed.affine(1.5, -0.5, &q)?;
    let mut p = fixed.copy(&m);
    for _ in 1..root.steps {
        let square = fixed.squared(&m)?;
        q = fixed.product(&q, &square)?;
        m = fixed.affine(1.5, -0.5, &q)?;
        p = fixed.product(&p, &m)?;
    }
    fixed.affine(0.0, (width / eta).sqrt(), &p)
}

#[cfg(test)]
mod tests {
    use model::secformer::ROOT_STEPS;
    use model::{BertFunction, Calibrated};

    use super::super::world::{OnMatrix, apply, calibrated, published};
    use super::*;

    impl OnMatrix for Root {
        fn apply<R: Ring>(&self, fixed: &mut FixedPoint<'_, R>, x: Tensor<R>) -> Result<Tensor<R>, R::Error> {
            inverse_root(fixed, &x, self)
        }
    }

    #[test]
    fn inverse_deviations_are_right_over_the_usable_range_and_known_to_fail_beyond() {
        let Calibrated { network, scales } = calibrated();
        let eta = scales.half_period(network.function(BertFunction::InverseRoot { norm: 1 }));
        let root = Root { width: network.shape.width, eps: network.shape.eps, eta, steps: ROOT_STEPS };
        let (width, eta) = (root.width as f64, f64::powi(2.0, root.eta));
        // from eta / 1000, where eleven steps are the least, to 2.9 eta; the first step's rounding of q decides on accuracy
        let q = [0.001, 0.003, 0.01, 0.03, 0.1, 0.5, 1.0, 1.8, 2.5, 2.9];
        let allowed = [0.03, 0.01, 3e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-2];
        let v: Vec<f64> = q.iter().map(|q| q * eta).collect();
        let (y, demands) = apply(&root, 1, &v, 2);
        for ((v, y), (q, allowed)) in v.iter().zip(&y).zip(q.iter().zip(allowed)) {
            let off = (y / (width / v).sqrt() - 1.0).abs();
            println!("q = {q}: {:.3} % off", 100.0 * off);
            assert!(off < allowed, "q = {q}: {off}");
        }
        assert_eq!((demands.len(), published(&demands)), (30, q.len() * 10 * 80));
        // at q = 2.99 eleven steps leave half of the error
        let (y, _) = apply(&root, 1, &[2.99 * eta], 2);
        let off = (y[0] / (width / (2.99 * eta)).sqrt() - 1.0).abs();
        assert!((0.45..0.6).contains(&off), "{off}");
    }
}
