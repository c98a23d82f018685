//! `sqrt(width / v)` of a LayerNorm's sum of squares, by Goldschmidt's iteration (SecFormer, Alg. 2).
//!
//! `q = v / eta`, `p = 1`, then `m = (3 - q) / 2`, `p <- p m`, `q <- q m^2`: q goes to one and p to `sqrt(eta / v)`. A square
//! and two products a step, on one number a row. LayerNorm's epsilon is added, and is less than a unit where it is 1e-12.

use model::secformer::ROOT_STEPS;
use model::{Form, Value};

use super::FRAC;
use super::engine::{Beaver, Tensor};
use super::ring::Ring;

impl<R: Ring> Beaver<'_, '_, R> {
    /// The inverse deviation of sums of squares at any scale.
    pub(super) fn inverse_root(&mut self, v: &Tensor<R>, norm: usize) -> Result<Tensor<R>, R::Error> {
        let (width, eps) = (self.spec.shape.width as f64, self.spec.shape.eps);
        let eta = self.spec.root_eta(norm);
        // divided by eta: the same words, read at another scale
        let mut q = Value { form: Form { frac: v.form.frac + eta, ..v.form }, data: self.copy(v).data };
        q = self.at_scale(&q, FRAC)?;
        q = model::Engine::offset(self, q, (width * eps / f64::powi(2.0, eta)) as f32);
        let mut m = self.affine(1.5, -0.5, &q)?;
        let mut p = self.copy(&m);
        for _ in 1..ROOT_STEPS {
            let square = self.squared(&m)?;
            q = self.product(&q, &square)?;
            m = self.affine(1.5, -0.5, &q)?;
            p = self.product(&p, &m)?;
        }
        let scale = (width / f64::powi(2.0, eta)).sqrt();
        self.affine(0.0, scale, &p)
    }
}

#[cfg(test)]
mod tests {
    use model::Functions;

    use super::super::Options;
    use super::super::world::{OfEngine, apply, published, spec};
    use super::*;

    struct Root;

    impl OfEngine for Root {
        fn apply<R: Ring>(&self, engine: &mut Beaver<'_, '_, R>, x: Tensor<R>) -> Result<Tensor<R>, R::Error> {
            engine.inverse_root(&x, 1)
        }
    }

    #[test]
    fn inverse_deviations_are_right_over_the_usable_range_and_known_to_fail_beyond() {
        let spec = spec();
        let (width, eta) = (spec.shape.width as f64, f64::powi(2.0, spec.root_eta(1)));
        // from eta / 1000, where eleven steps are the least, to 2.9 eta; the first step's rounding of q decides on accuracy
        let q = [0.001, 0.003, 0.01, 0.03, 0.1, 0.5, 1.0, 1.8, 2.5, 2.9];
        let allowed = [0.03, 0.01, 3e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-2];
        let v: Vec<f64> = q.iter().map(|q| q * eta).collect();
        let (y, demands) = apply(Root, Options::of(Functions::SecFormer), 1, &v, 2);
        for ((v, y), (q, allowed)) in v.iter().zip(&y).zip(q.iter().zip(allowed)) {
            let off = (y / (width / v).sqrt() - 1.0).abs();
            println!("q = {q}: {:.3} % off", 100.0 * off);
            assert!(off < allowed, "q = {q}: {off}");
        }
        assert_eq!((demands.len(), published(&demands)), (30, q.len() * 10 * 80));
        // at q = 2.99 eleven steps leave half of the error
        let (y, _) = apply(Root, Options::of(Functions::SecFormer), 1, &[2.99 * eta], 2);
        let off = (y[0] / (width / (2.99 * eta)).sqrt() - 1.0).abs();
        assert!((0.45..0.6).contains(&off), "{off}");
    }
}
