//! `sqrt(width / v)` of a LayerNorm's sum of squares, by Goldschmidt's iteration (SecFormer, Alg. 2).
//!
//! `q = v / eta`, `p = 1`, then `m = (3 - q) / 2`, `p <- p m`, `q <- q m^2`: q goes to one and p to `sqrt(eta / v)`. Four
//! products a step, on one number a row.

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
