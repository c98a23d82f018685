//! What turns scores into weights: 2Quad by Goldschmidt's division (SecFormer, Alg. 3), or softmax after CrypTen.
//!
//! Both divide by a sum that is brought near one by a power of two first. The reciprocal is kept in units of that power, because
//! at 512 tokens `1 / sum` itself would have five significant units; the weights' own truncation takes the power out again.

use model::{Form, Functions, Head, Value, token_class};

use super::FRAC;
use super::compare::negative;
use super::engine::{Beaver, Tensor};
use super::ring::Ring;
use crate::weights::Party;

/// `exp z = (1 + z / 2^8)^(2^8)`, CrypTen's default, for z from -512 to 0: below, it grows again.
const EXP_SQUARINGS: i32 = 8;
/// Newton's steps for the reciprocal of a sum between 1/512 and 1 of its unit.
const NEWTON_STEPS: usize = 13;

impl<R: Ring> Beaver<'_, '_, R> {
    /// `(s + c)^2 / sum (s + c)^2` by rows: a square and a product of each element, and two products a step of each row.
    pub(super) fn quad_weights(&mut self, scores: Vec<Tensor<R>>, heads: &[Head]) -> Result<Vec<Tensor<R>>, R::Error> {
        let mut shifted = Vec::with_capacity(scores.len());
        for (s, head) in scores.into_iter().zip(heads) {
            shifted.push(model::Engine::offset(self, s, head.shift));
        }
        let squares = model::Engine::square(self, &shifted)?;
        let eta = |h: &Head| self.spec.division_eta(h.layer, h.head, h.tokens);
        let etas: Vec<i32> = heads.iter().map(eta).collect();
        self.divide_rows(squares, &etas)
    }

    /// Softmax by rows: the maximum by a tree of comparisons, the exponential by repeated squaring, the reciprocal by Newton.
    pub(super) fn softmax(&mut self, scores: &[Tensor<R>], heads: &[Head]) -> Result<Vec<Tensor<R>>, R::Error> {
        let maxima = self.row_maxima(scores)?;
        let mut x = Vec::with_capacity(scores.len());
        for (s, most) in scores.iter().zip(&maxima) {
            let cols = s.form.cols;
            let data = self.ring.local(&[&s.data, &most.data], s.form.count(), |_, words| {
                let row = |(row, most): (&[u64], &u64)| row.iter().map(|s| s.wrapping_sub(*most)).collect::<Vec<_>>();
                words[0].chunks(cols).zip(words[1]).flat_map(row).collect()
            });
            x.push(Value { form: s.form, data });
        }
        let all = self.join(&x);
        // 1 + z / 2^8: divided by reading at another scale
        let all = Value { form: Form { frac: all.form.frac + EXP_SQUARINGS, ..all.form }, data: all.data };
        let all = self.at_scale(&all, FRAC)?;
        let mut power = model::Engine::offset(self, all, 1.0);
        for _ in 0..EXP_SQUARINGS {
            power = self.squared(&power)?;
        }
        let powers = self.split(&power.data, x.iter().map(|x| x.form));
        let etas: Vec<i32> = heads.iter().map(|h| token_class(h.tokens) as i32).collect();
        self.divide_rows(powers, &etas)
    }

    /// Rows divided by their sums, which lie below `2^(eta + 1)` (Goldschmidt) or `2^eta` (Newton), at the scale of values.
    fn divide_rows(&mut self, x: Vec<Tensor<R>>, etas: &[i32]) -> Result<Vec<Tensor<R>>, R::Error> {
        let mut sums = Vec::with_capacity(x.len());
        for (x, eta) in x.iter().zip(etas) {
            let sum = model::Engine::row_sums(self, x);
            sums.push(Value { form: Form { frac: sum.form.frac + eta, ..sum.form }, data: sum.data });
        }
        let mut asked: Vec<_> = sums.iter().map(|sum| (sum, FRAC)).collect();
        asked.extend(x.iter().map(|x| (x, FRAC)));
        let mut scaled = self.rescale(&asked)?;
        let x = scaled.split_off(sums.len());
        let q = self.join(&scaled);
        let reciprocals = match self.options.functions {
            Functions::Exact => self.newton(&q)?,
            _ => self.goldschmidt(q)?,
        };
        let reciprocals = self.split(&reciprocals.data, scaled.iter().map(|s| s.form));
        let pairs: Vec<_> = x.iter().zip(&reciprocals).collect();
        let mut weights = model::Engine::scale_rows(self, &pairs)?;
        for (weight, eta) in weights.iter_mut().zip(etas) {
            weight.form.frac += eta;
        }
        let asked: Vec<_> = weights.iter().map(|w| (w, FRAC)).collect();
        self.rescale(&asked)
    }

    /// `1 / q` for q below two: `m = 2 - q`, `r <- r m`, `q <- q m`.
    fn goldschmidt(&mut self, mut q: Tensor<R>) -> Result<Tensor<R>, R::Error> {
        let mut m = self.number_minus(2.0, &q);
        let mut r = self.copy(&m);
        for _ in 1..self.options.division_steps {
            q = self.product(&q, &m)?;
            m = self.number_minus(2.0, &q);
            r = self.product(&r, &m)?;
        }
        Ok(r)
    }

    /// `1 / d` for d up to one: `y <- y (2 - d y)` from one on.
    fn newton(&mut self, d: &Tensor<R>) -> Result<Tensor<R>, R::Error> {
        let mut y = self.number_minus(2.0, d);
        for _ in 1..NEWTON_STEPS {
            let dy = self.product(d, &y)?;
            let m = self.number_minus(2.0, &dy);
            y = self.product(&y, &m)?;
        }
        Ok(y)
    }

    /// The largest element of each row, halving the columns of all matrices together.
    fn row_maxima(&mut self, x: &[Tensor<R>]) -> Result<Vec<Tensor<R>>, R::Error> {
        let mut rest: Vec<Tensor<R>> = Vec::with_capacity(x.len());
        for x in x {
            rest.push(self.copy(x));
        }
        while rest.iter().any(|x| x.form.cols > 1) {
            // left and right halves; a last odd column waits
            let half = |x: &Tensor<R>| x.form.cols / 2;
            let forms: Vec<_> = rest.iter().map(|x| Form { cols: half(x), ..x.form }).collect();
            let count = forms.iter().map(Form::count).sum();
            let data: Vec<_> = rest.iter().map(|x| &x.data).collect();
            let widths: Vec<_> = rest.iter().map(|x| x.form.cols).collect();
            let columns = |from: fn(usize) -> usize| {
                let widths = widths.clone();
                move |_: Party, words: &[&[u64]]| {
                    let mut all = Vec::with_capacity(count);
                    for (x, cols) in words.iter().zip(&widths) {
                        x.chunks(*cols)
                            .for_each(|row| all.extend_from_slice(&row[from(*cols)..from(*cols) + cols / 2]));
                    }
                    all
                }
            };
            let left = self.ring.local(&data, count, columns(|_| 0));
            let right = self.ring.local(&data, count, columns(|cols| cols / 2));
            let less = self.ring.local(&[&left, &right], count, |_, words| {
                words[0].iter().zip(words[1]).map(|(l, r)| l.wrapping_sub(*r)).collect()
            });
            let bit = negative(self.ring, &less)?;
            let gain = self.ring.local(&[&less], count, |_, words| words[0].iter().map(|w| w.wrapping_neg()).collect());
            let gained = self.ring.multiply(&bit, &gain)?;
            let larger = self.ring.local(&[&left, &gained], count, |_, words| {
                words[0].iter().zip(words[1]).map(|(l, g)| l.wrapping_add(*g)).collect()
            });
            let larger = self.split(&larger, forms.into_iter());
            let mut next = Vec::with_capacity(rest.len());
            for (x, larger) in rest.into_iter().zip(larger) {
                if x.form.cols % 2 == 0 {
                    next.push(larger);
                    continue;
                }
                let last = model::Block { row: 0, rows: x.form.rows, col: x.form.cols - 1, cols: 1 };
                let odd = model::Engine::block(self, &x, last);
                next.push(if x.form.cols == 1 { odd } else { model::Engine::assemble(self, &[vec![larger, odd]]) });
            }
            rest = next;
        }
        Ok(rest)
    }

    /// Values of one scale as one list.
    fn join(&mut self, x: &[Tensor<R>]) -> Tensor<R> {
        let data: Vec<_> = x.iter().map(|x| &x.data).collect();
        let form = Form { rows: x.iter().map(|x| x.form.count()).sum(), cols: 1, frac: x[0].form.frac };
        Value { form, data: self.ring.local(&data, form.rows, |_, x| x.concat()) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::super::world::{OfEngine, apply};
    use super::*;

    struct Weights(Vec<Head>);

    impl OfEngine for Weights {
        fn apply<R: Ring>(&self, engine: &mut Beaver<'_, '_, R>, x: Tensor<R>) -> Result<Tensor<R>, R::Error> {
            let mut all = match engine.options.functions {
                Functions::Exact => engine.softmax(&[x], &self.0)?,
                _ => engine.quad_weights(vec![x], &self.0)?,
            };
            Ok(all.remove(0))
        }
    }

    /// Scores of three rows: spread from -4 to 4, one high, all low.
    fn scores(tokens: usize) -> Vec<f64> {
        let spread = (0..tokens).map(|i| 8.0 * (i as f64 + 0.5) / tokens as f64 - 4.0);
        let high = (0..tokens).map(|i| if i == tokens / 3 { 5.0 } else { -1.0 });
        let low = (0..tokens).map(|_| -3.0);
        spread.chain(high).chain(low).collect()
    }

    fn exact(row: &[f64], weight: impl Fn(f64) -> f64) -> Vec<f64> {
        let all: Vec<f64> = row.iter().map(|s| weight(*s)).collect();
        let sum: f64 = all.iter().sum();
        all.iter().map(|w| w / sum).collect()
    }

    /// The largest error of the weights.
    fn worst(functions: Functions, tokens: usize, weight: impl Fn(f64) -> f64 + Copy) -> f64 {
        let x = scores(tokens);
        let head = Head { layer: 0, head: 0, text: 0, tokens, shift: 5.0 };
        let (y, demands) = apply(Weights(vec![head]), Options::of(functions), tokens, &x, 5);
        let expected: Vec<f64> = x.chunks(tokens).flat_map(|row| exact(row, weight)).collect();
        let off = y.iter().zip(&expected).map(|(y, e)| (y - e).abs()).fold(0.0, f64::max);
        println!("{functions}, {tokens} tokens: {off:.5} off, {} rounds", demands.len());
        off
    }

    #[test]
    fn two_quad_weights_converge_at_every_length() {
        for tokens in [1, 8, 128, 512] {
            let off = worst(Functions::SecFormer, tokens, |s| (s + 5.0) * (s + 5.0));
            // in units of an even weight: 1/512 is 128 units of 2^-16, half of one is 0.4 % of it
            let off = off * tokens as f64;
            assert!(off < 0.03, "{tokens}: {off}");
        }
    }

    #[test]
    fn softmax_weights_are_right_at_every_length() {
        for tokens in [1, 2, 7, 8, 128, 512] {
            let off = worst(Functions::Exact, tokens, f64::exp);
            // 8 squarings make e^z too small by z^2 / 2^9 of it, and a high score's row holds many such
            assert!(off < 0.02, "{tokens}: {off}");
        }
    }
}
