//! Matrices of shared numbers with a fixed count of fractional bits.
//!
//! A product of two numbers has the fractional bits of both, and a truncation takes it back to `frac`: off by less than one unit
//! of `2^-frac`, in no round (local) or one of 8 bytes an element each way (dealt); see [`super::truncate`].

use model::{Block, Form, Rotation, SpecError, Value};

use super::ring::{Ring, Wave};
use super::truncate::{Truncation, local_shift};
use super::{arithmetic, layout};

/// A matrix of shares.
pub(crate) type Tensor<R> = Value<<R as Ring>::Share>;

/// Arithmetic at one scale.
pub(crate) struct FixedPoint<'r, R> {
    /// What sends.
    pub(crate) ring: &'r mut R,
    /// Fractional bits of values.
    pub(crate) frac: i32,
    /// How products are brought back to them.
    pub(crate) truncation: Truncation,
}

/// Products, and what follows them: one round each, and that of a dealt truncation.
impl<R: Ring> FixedPoint<'_, R> {
    /// Values at another scale: shifted up, or truncated in one demand for all. Fails on scales that are 64 bits apart.
    pub(crate) fn rescale(&mut self, values: &[(&Tensor<R>, i32)]) -> Result<Vec<Tensor<R>>, R::Error> {
        let mut results = Vec::with_capacity(values.len());
        let mut cut = Vec::new();
        for (at, (x, to)) in values.iter().enumerate() {
            let (form, by) = (Form { frac: *to, ..x.form }, x.form.frac - to);
            if !(-63..64).contains(&by) {
                return Err(SpecError::Sum { one: x.form.frac, other: *to }.into());
            }
            let data = match self.truncation {
                Truncation::Dealt if by > 0 => {
                    cut.push((at, by as u32));
                    layout::copy(self.ring, &x.data)
                }
                _ if by >= 0 => local_shift(self.ring, &x.data, by as u32),
                _ => arithmetic::scale_public(self.ring, 1 << -by, &x.data),
            };
            results.push(Value { form, data });
        }
        if cut.is_empty() {
            return Ok(results);
        }
        let parts: Vec<_> = cut.iter().map(|(at, by)| (results[*at].form.count(), *by)).collect();
        let all: Vec<_> = cut.iter().map(|(at, _)| &results[*at].data).collect();
        let joined = layout::concat(self.ring, &all);
        let truncated = self.ring.truncate(&joined, &parts)?;
        let mut from = 0;
        for ((at, _), (count, _)) in cut.iter().zip(&parts) {
            results[*at].data = layout::slice(self.ring, &truncated, from..from + count);
            from += count;
        }
        Ok(results)
    }

    /// Several values at one scale.
    pub(crate) fn all_at_scale(&mut self, values: &[Tensor<R>], frac: i32) -> Result<Vec<Tensor<R>>, R::Error> {
        let asked: Vec<_> = values.iter().map(|x| (x, frac)).collect();
        self.rescale(&asked)
    }

    /// One value at another scale.
    pub(crate) fn at_scale(&mut self, x: &Tensor<R>, frac: i32) -> Result<Tensor<R>, R::Error> {
        Ok(self.rescale(&[(x, frac)])?.remove(0))
    }

    /// The element-wise product at the scale of values.
    pub(crate) fn product(&mut self, x: &Tensor<R>, y: &Tensor<R>) -> Result<Tensor<R>, R::Error> {
        let form = Form { frac: x.form.frac + y.form.frac, ..x.form };
        let data = self.ring.multiply(&x.data, &y.data)?;
        self.at_scale(&Value { form, data }, self.frac)
    }

    /// The square at the scale of values.
    pub(crate) fn squared(&mut self, x: &Tensor<R>) -> Result<Tensor<R>, R::Error> {
        let form = Form { frac: 2 * x.form.frac, ..x.form };
        let data = self.ring.square(&x.data)?;
        self.at_scale(&Value { form, data }, self.frac)
    }

    /// Squares of several values in one demand, at twice their scale.
    pub(crate) fn squares(&mut self, x: &[Tensor<R>]) -> Result<Vec<Tensor<R>>, R::Error> {
        let data: Vec<_> = x.iter().map(|x| &x.data).collect();
        let joined = layout::concat(self.ring, &data);
        let squares = self.ring.square(&joined)?;
        Ok(self.split(&squares, x.iter().map(|x| Form { frac: 2 * x.form.frac, ..x.form })))
    }

    /// Each row of the left times the number in the same row of the right, all pairs in one demand, at the sum of their scales.
    pub(crate) fn scale_rows(&mut self, pairs: &[(&Tensor<R>, &Tensor<R>)]) -> Result<Vec<Tensor<R>>, R::Error> {
        let parts: Vec<_> = pairs.iter().map(|(x, _)| (x.form.rows, x.form.cols)).collect();
        let lefts: Vec<_> = pairs.iter().map(|(x, _)| &x.data).collect();
        let rights: Vec<_> = pairs.iter().map(|(_, r)| &r.data).collect();
        let (x, r) = (layout::concat(self.ring, &lefts), layout::concat(self.ring, &rights));
        let scaled = self.ring.scale_rows(&x, &r, &parts)?;
        Ok(self.split(&scaled, pairs.iter().map(|(x, r)| Form { frac: x.form.frac + r.form.frac, ..x.form })))
    }

    /// A series of sines of values, at the scale of its result.
    pub(crate) fn sine(&mut self, x: &Tensor<R>, wave: &Wave) -> Result<Tensor<R>, R::Error> {
        let data = self.ring.sine(&x.data, wave)?;
        Ok(Value { form: Form { frac: wave.out_frac, ..x.form }, data })
    }

    /// `a + b x` for public numbers, at the scale of values; one local truncation or one dealt.
    pub(crate) fn affine(&mut self, a: f64, b: f64, x: &Tensor<R>) -> Result<Tensor<R>, R::Error> {
        let form = Form { frac: x.form.frac + self.frac, ..x.form };
        let (a, b) = (word(a, form.frac), word(b, self.frac));
        let data = arithmetic::affine_public(self.ring, a, b, &x.data);
        self.at_scale(&Value { form, data }, self.frac)
    }
}

/// What each party computes alone.
impl<R: Ring> FixedPoint<'_, R> {
    /// `a - x` for a public number.
    pub(crate) fn number_minus(&mut self, a: f64, x: &Tensor<R>) -> Tensor<R> {
        Value { form: x.form, data: arithmetic::public_minus(self.ring, word(a, x.form.frac), &x.data) }
    }

    /// `x + a` for a public number.
    pub(crate) fn offset(&mut self, x: &Tensor<R>, a: f64) -> Tensor<R> {
        Value { form: x.form, data: arithmetic::add_public(self.ring, &x.data, word(a, x.form.frac)) }
    }

    /// Each row's sum, one column.
    pub(crate) fn row_sums(&mut self, x: &Tensor<R>) -> Tensor<R> {
        let form = Form { cols: 1, ..x.form };
        Value { form, data: arithmetic::row_sums(self.ring, &x.data, x.form.rows, x.form.cols) }
    }

    /// The same share once more.
    pub(crate) fn copy(&mut self, x: &Tensor<R>) -> Tensor<R> {
        Value { form: x.form, data: layout::copy(self.ring, &x.data) }
    }

    /// A block of a matrix.
    pub(crate) fn block(&mut self, x: &Tensor<R>, block: Block) -> Tensor<R> {
        let form = Form { rows: block.rows, cols: block.cols, ..x.form };
        Value { form, data: layout::block(self.ring, &x.data, x.form.cols, block) }
    }

    /// Pairs of columns turned by public angles, at `frac` fractional bits more.
    pub(crate) fn rotate(&mut self, x: &Tensor<R>, by: &Rotation) -> Tensor<R> {
        let (cos, sin) = by.words(self.frac);
        let form = Form { frac: x.form.frac + self.frac, ..x.form };
        Value { form, data: layout::rotate(self.ring, &x.data, x.form.cols, &cos, &sin) }
    }

    /// One matrix of blocks of one scale: those of a line side by side, the lines below one another.
    pub(crate) fn assemble(&mut self, grid: &[Vec<Tensor<R>>]) -> Tensor<R> {
        let rows = grid.iter().map(|line| line[0].form.rows).sum();
        let cols = grid[0].iter().map(|block| block.form.cols).sum();
        let form = Form { rows, cols, frac: grid[0][0].form.frac };
        let mut blocks = Vec::with_capacity(grid.len());
        for line in grid {
            blocks.push(line.iter().map(|b| (&b.data, b.form.rows, b.form.cols)).collect());
        }
        Value { form, data: layout::assemble(self.ring, &blocks) }
    }

    /// Values of one scale as one column.
    pub(crate) fn join(&mut self, x: &[Tensor<R>]) -> Tensor<R> {
        let data: Vec<_> = x.iter().map(|x| &x.data).collect();
        let form = Form { rows: x.iter().map(|x| x.form.count()).sum(), cols: 1, frac: x[0].form.frac };
        Value { form, data: layout::concat(self.ring, &data) }
    }

    /// Cuts a list into values of these forms.
    pub(crate) fn split(&mut self, x: &R::Share, forms: impl Iterator<Item = Form>) -> Vec<Tensor<R>> {
        let mut from = 0;
        let mut each = Vec::new();
        for form in forms {
            let data = layout::slice(self.ring, x, from..from + form.count());
            from += form.count();
            each.push(Value { form, data });
        }
        each
    }
}

/// `x / 2^by`: the same words, read at another scale.
pub(crate) fn over_power_of_two<T>(x: Value<T>, by: i32) -> Value<T> {
    Value { form: Form { frac: x.form.frac + by, ..x.form }, data: x.data }
}

/// A number at a scale.
fn word(a: f64, frac: i32) -> u64 {
    (a * f64::powi(2.0, frac)).round() as i64 as u64
}
