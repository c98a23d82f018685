//! The network over shares: [`model::classify`] interpreted by protocols, at the fixed scale of [`FRAC`] bits.

use std::sync::Arc;

use model::{
    Block, Checks, Engine, Form, Function, Functions, Head, InputKind, Opened, Operation, Rhs, Site, Spec, SpecError,
    Texts, Value, Weight, assemble, copy_block, two_quad,
};
use ring64::Dims;

use super::ring::{Ring, Wave};
use super::truncate::shift;
use super::{FRAC, Options, Truncation};
use crate::weights::Party;

/// A network's interpreter.
pub(super) struct Beaver<'s, 'r, R> {
    pub(super) spec: &'s Spec,
    pub(super) options: Options,
    pub(super) ring: &'r mut R,
}

/// Classifies a batch over a ring; gives the logits and their fractional bits.
pub(super) fn classify_on<R: Ring>(
    ring: &mut R,
    spec: &Arc<Spec>,
    texts: &Texts,
    kind: InputKind,
    options: Options,
    input: R::Share,
) -> Result<(R::Share, i32), R::Error> {
    let mut engine = Beaver { spec, options, ring };
    let input = Value { form: model::input_form(spec, kind, texts), data: input };
    let logits = model::classify(&mut engine, &spec.shape, texts, kind, &input)?.logits;
    Ok((logits.data, logits.form.frac))
}

/// A matrix of shares.
pub(super) type Tensor<R> = Value<<R as Ring>::Share>;

impl<R: Ring> Beaver<'_, '_, R> {
    fn published(&self) -> bool {
        self.options.functions != Functions::Series
    }

    /// The scale to which a value is truncated before it is read.
    fn frac_of(&self, site: Site) -> i32 {
        match site {
            // zeros and ones need no fraction; the table has the digits
            Site::OneHot => self.spec.opening(site).frac,
            _ if self.published() => FRAC,
            _ => self.spec.opening(site).frac,
        }
    }

    /// Values at another scale: shifted up, or truncated in one demand for all.
    pub(super) fn rescale(&mut self, values: &[(&Tensor<R>, i32)]) -> Result<Vec<Tensor<R>>, R::Error> {
        let mut results = Vec::with_capacity(values.len());
        let mut cut = Vec::new();
        for (at, (x, to)) in values.iter().enumerate() {
            let (form, by) = (Form { frac: *to, ..x.form }, x.form.frac - to);
            if !(-63..64).contains(&by) {
                return Err(SpecError::Sum { one: x.form.frac, other: *to }.into());
            }
            let data = match self.options.truncation {
                Truncation::Dealt if by > 0 => {
                    cut.push((at, by as u32));
                    self.ring.local(&[&x.data], form.count(), |_, x| x[0].to_vec())
                }
                _ if by >= 0 => self.ring.local(&[&x.data], form.count(), |party, x| shift(party, x[0], by as u32)),
                _ => self.ring.local(&[&x.data], form.count(), |_, x| x[0].iter().map(|w| w << -by).collect()),
            };
            results.push(Value { form, data });
        }
        if cut.is_empty() {
            return Ok(results);
        }
        let parts: Vec<_> = cut.iter().map(|(at, by)| (results[*at].form.count(), *by)).collect();
        let all: Vec<_> = cut.iter().map(|(at, _)| &results[*at].data).collect();
        let total = parts.iter().map(|(count, _)| count).sum();
        let joined = self.ring.local(&all, total, |_, x| x.concat());
        let truncated = self.ring.truncate(&joined, &parts)?;
        let mut from = 0;
        for ((at, _), (count, _)) in cut.iter().zip(&parts) {
            results[*at].data = self.ring.local(&[&truncated], *count, |_, x| x[0][from..from + count].to_vec());
            from += count;
        }
        Ok(results)
    }

    /// One value at another scale.
    pub(super) fn at_scale(&mut self, x: &Tensor<R>, frac: i32) -> Result<Tensor<R>, R::Error> {
        Ok(self.rescale(&[(x, frac)])?.remove(0))
    }

    /// The element-wise product at the scale of values.
    pub(super) fn product(&mut self, x: &Tensor<R>, y: &Tensor<R>) -> Result<Tensor<R>, R::Error> {
        let form = Form { frac: x.form.frac + y.form.frac, ..x.form };
        let data = self.ring.multiply(&x.data, &y.data)?;
        self.at_scale(&Value { form, data }, FRAC)
    }

    /// The square at the scale of values.
    pub(super) fn squared(&mut self, x: &Tensor<R>) -> Result<Tensor<R>, R::Error> {
        let form = Form { frac: 2 * x.form.frac, ..x.form };
        let data = self.ring.square(&x.data)?;
        self.at_scale(&Value { form, data }, FRAC)
    }

    /// `a + b x` for public numbers, at the scale of values; one local truncation or one dealt.
    pub(super) fn affine(&mut self, a: f64, b: f64, x: &Tensor<R>) -> Result<Tensor<R>, R::Error> {
        let (b, frac) = ((b * f64::from(1 << FRAC)).round() as i64 as u64, x.form.frac + FRAC);
        let a = (a * f64::powi(2.0, frac)).round() as i64 as u64;
        let form = Form { frac, ..x.form };
        let data = self.ring.local(&[&x.data], form.count(), |party, x| {
            let a = if party == Party::Zero { a } else { 0 };
            x[0].iter().map(|w| w.wrapping_mul(b).wrapping_add(a)).collect()
        });
        self.at_scale(&Value { form, data }, FRAC)
    }

    /// `a - x` for a public number.
    pub(super) fn number_minus(&mut self, a: f64, x: &Tensor<R>) -> Tensor<R> {
        let a = (a * f64::powi(2.0, x.form.frac)).round() as i64 as u64;
        let data = self.ring.local(&[&x.data], x.form.count(), |party, x| {
            let a = if party == Party::Zero { a } else { 0 };
            x[0].iter().map(|w| a.wrapping_sub(*w)).collect()
        });
        Value { form: x.form, data }
    }

    /// A series of sines of values, at the scale of its result.
    pub(super) fn sine(&mut self, x: &Tensor<R>, wave: &Wave) -> Result<Tensor<R>, R::Error> {
        let data = self.ring.sine(&x.data, wave)?;
        Ok(Value { form: Form { frac: wave.out_frac, ..x.form }, data })
    }

    /// A calibrated curve, by Pi_Sin: one demand for each class of columns.
    fn curve(&mut self, x: &Tensor<R>, function: Function) -> Result<Tensor<R>, R::Error> {
        let (curve, by) = self.spec.curve(function);
        let x = self.at_scale(x, curve.frac - by)?;
        let (mut parts, mut col) = (Vec::new(), 0);
        for segment in &curve.segments {
            let block = Block { row: 0, rows: x.form.rows, col, cols: segment.cols };
            let part = self.block(&x, block);
            parts.push(self.sine(&part, &Wave::of(&segment.series))?);
            col += segment.cols;
        }
        let mut all = self.assemble(&[parts]);
        all.form.frac += by;
        Ok(all)
    }
}

impl<R: Ring> Engine for Beaver<'_, '_, R> {
    type Wire = Tensor<R>;
    type Phase = Tensor<R>;
    type Share = Tensor<R>;
    type Error = R::Error;

    fn linear(&mut self, x: &Tensor<R>, weight: Weight) -> Result<Tensor<R>, R::Error> {
        if let Some(part) = weight.begins_part(self.spec.shape.layers) {
            self.ring.begin_part(part);
        }
        self.ring.begin_operation(Operation::Others);
        let cols = model::columns_of(self.spec, weight);
        let form = Form { cols, frac: x.form.frac + self.spec.weight_frac(weight), ..x.form };
        let product = self.ring.linear(&x.data, weight, Dims { m: x.form.rows, k: x.form.cols, n: cols })?;
        let Some(bias) = self.ring.bias(weight, cols)? else { return Ok(Value { form, data: product }) };
        // the finer of both scales: nothing of a bias is cut off
        let bias_frac = self.spec.bias_frac(weight);
        let frac = form.frac.max(bias_frac);
        if frac - form.frac.min(bias_frac) >= 64 {
            return Err(SpecError::Sum { one: form.frac, other: bias_frac }.into());
        }
        let (i, j) = (frac - form.frac, frac - bias_frac);
        let data = self.ring.local(&[&product, &bias], form.count(), |_, x| {
            let add = |(sum, bias): (&u64, &u64)| (sum << i).wrapping_add(bias << j);
            x[0].chunks(cols).flat_map(|row| row.iter().zip(x[1]).map(add)).collect()
        });
        Ok(Value { form: Form { frac, ..form }, data })
    }

    fn add_rows(&mut self, x: Tensor<R>, weight: Weight, rows: &[usize]) -> Result<Tensor<R>, R::Error> {
        let form = Form { frac: self.spec.weight_frac(weight), ..x.form };
        let added = Value { form, data: self.ring.weight_rows(weight, rows, form.cols)? };
        self.add(x, added)
    }

    fn residual(&mut self, x: &Tensor<R>, weight: Weight) -> Result<Tensor<R>, R::Error> {
        self.ring.begin_operation(Operation::Others);
        let form = Form { frac: x.form.frac + self.spec.weight_frac(weight), ..x.form };
        Ok(Value { form, data: self.ring.residual(&x.data, weight, form.rows, form.cols)? })
    }

    fn matmul(&mut self, pairs: &[(Tensor<R>, Tensor<R>)], rhs: Rhs) -> Result<Vec<Tensor<R>>, R::Error> {
        let before = self.ring.begin_operation(Operation::Others);
        let dims = |(a, b): &(Tensor<R>, Tensor<R>)| match rhs {
            Rhs::AsIs => Dims { m: a.form.rows, k: a.form.cols, n: b.form.cols },
            Rhs::Transposed => Dims { m: a.form.rows, k: a.form.cols, n: b.form.rows },
        };
        let dims: Vec<_> = pairs.iter().map(dims).collect();
        let data: Vec<_> = pairs.iter().map(|(a, b)| (&a.data, &b.data)).collect();
        let products = self.ring.matmul(&data, &dims, rhs)?;
        self.ring.begin_operation(before);
        let mut values = Vec::with_capacity(products.len());
        for (((a, b), d), data) in pairs.iter().zip(&dims).zip(products) {
            values.push(Value { form: Form { rows: d.m, cols: d.n, frac: a.form.frac + b.form.frac }, data });
        }
        Ok(values)
    }

    fn square(&mut self, x: &[Tensor<R>]) -> Result<Vec<Tensor<R>>, R::Error> {
        let data: Vec<_> = x.iter().map(|x| &x.data).collect();
        let total = x.iter().map(|x| x.form.count()).sum();
        let joined = self.ring.local(&data, total, |_, x| x.concat());
        let squares = self.ring.square(&joined)?;
        Ok(self.split(&squares, x.iter().map(|x| Form { frac: 2 * x.form.frac, ..x.form })))
    }

    fn square_sum(&mut self, x: &Tensor<R>) -> Result<Tensor<R>, R::Error> {
        let form = Form { frac: 2 * x.form.frac, ..x.form };
        let squares = Value { form, data: self.ring.square(&x.data)? };
        Ok(self.row_sums(&squares))
    }

    fn scale_rows(&mut self, pairs: &[(&Tensor<R>, &Tensor<R>)]) -> Result<Vec<Tensor<R>>, R::Error> {
        let parts: Vec<_> = pairs.iter().map(|(x, _)| (x.form.rows, x.form.cols)).collect();
        let lefts: Vec<_> = pairs.iter().map(|(x, _)| &x.data).collect();
        let rights: Vec<_> = pairs.iter().map(|(_, r)| &r.data).collect();
        let x = self.ring.local(&lefts, parts.iter().map(|(rows, cols)| rows * cols).sum(), |_, x| x.concat());
        let r = self.ring.local(&rights, parts.iter().map(|(rows, _)| rows).sum(), |_, x| x.concat());
        let scaled = self.ring.scale_rows(&x, &r, &parts)?;
        Ok(self.split(&scaled, pairs.iter().map(|(x, r)| Form { frac: x.form.frac + r.form.frac, ..x.form })))
    }

    fn evaluate(&mut self, x: &[(Tensor<R>, Function)]) -> Result<Vec<Tensor<R>>, R::Error> {
        let mut results = Vec::with_capacity(x.len());
        for (x, function) in x {
            self.ring.begin_operation(function.operation());
            results.push(match function {
                Function::Gelu { .. } if self.published() => self.gelu(x)?,
                Function::InverseRoot { norm } if self.published() => self.inverse_root(x, *norm)?,
                // the papers do not speak of the pooler's tangent
                _ => self.curve(x, *function)?,
            });
        }
        Ok(results)
    }

    fn add(&mut self, a: Tensor<R>, b: Tensor<R>) -> Result<Tensor<R>, R::Error> {
        let frac = a.form.frac.max(b.form.frac);
        if frac - a.form.frac.min(b.form.frac) >= 64 {
            return Err(SpecError::Sum { one: a.form.frac, other: b.form.frac }.into());
        }
        let (i, j) = (frac - a.form.frac, frac - b.form.frac);
        let data = self.ring.local(&[&a.data, &b.data], a.form.count(), |_, x| {
            x[0].iter().zip(x[1]).map(|(a, b)| (a << i).wrapping_add(b << j)).collect()
        });
        Ok(Value { form: Form { frac, ..a.form }, data })
    }

    fn half(&mut self, x: Tensor<R>) -> Tensor<R> {
        Value { form: Form { frac: x.form.frac + 1, ..x.form }, data: x.data }
    }

    fn row_sums(&mut self, x: &Tensor<R>) -> Tensor<R> {
        let (rows, cols) = (x.form.rows, x.form.cols);
        let sum = |row: &[u64]| row.iter().fold(0u64, |sum, v| sum.wrapping_add(*v));
        let data = self.ring.local(&[&x.data], rows, |_, x| x[0].chunks(cols).map(sum).collect());
        Value { form: Form { cols: 1, ..x.form }, data }
    }

    fn offset(&mut self, x: Tensor<R>, by: f32) -> Tensor<R> {
        let by = (f64::from(by) * f64::powi(2.0, x.form.frac)).round() as i64 as u64;
        let data = self.ring.local(&[&x.data], x.form.count(), |party, x| {
            let by = if party == Party::Zero { by } else { 0 };
            x[0].iter().map(|w| w.wrapping_add(by)).collect()
        });
        Value { form: x.form, data }
    }

    fn block(&mut self, x: &Tensor<R>, block: Block) -> Tensor<R> {
        let form = Form { rows: block.rows, cols: block.cols, ..x.form };
        let cols = x.form.cols;
        Value { form, data: self.ring.local(&[&x.data], form.count(), |_, x| copy_block(x[0], cols, block)) }
    }

    fn attention(
        &mut self,
        scores: Vec<Tensor<R>>,
        values: Vec<Tensor<R>>,
        heads: &[Head],
        checks: &mut Checks<Self>,
    ) -> Result<Vec<Tensor<R>>, R::Error> {
        self.ring.begin_operation(Operation::Softmax);
        if !self.published() {
            return two_quad(self, scores, values, heads, checks);
        }
        let weights = match self.options.functions {
            Functions::Exact => self.softmax(&scores, heads)?,
            _ => self.quad_weights(scores, heads)?,
        };
        let pairs: Vec<_> = weights.into_iter().zip(values).collect();
        let mixed = self.matmul(&pairs, Rhs::AsIs)?;
        let asked: Vec<_> = mixed.iter().map(|x| (x, FRAC)).collect();
        self.ring.begin_operation(Operation::Others);
        self.rescale(&asked)
    }

    fn skips_unread_rows(&self) -> bool {
        !self.published()
    }

    fn assemble(&mut self, grid: &[Vec<Tensor<R>>]) -> Tensor<R> {
        let frac = grid[0][0].form.frac;
        let rows = grid.iter().map(|row| row[0].form.rows).sum();
        let cols = grid[0].iter().map(|b| b.form.cols).sum();
        let form = Form { rows, cols, frac };
        let blocks: Vec<_> = grid.iter().flatten().map(|b| &b.data).collect();
        let data = self.ring.local(&blocks, form.count(), |_, words| {
            let mut words = words.iter();
            let line = |row: &Vec<Tensor<R>>| {
                let block = |b: &Tensor<R>| (words.next().copied().unwrap_or_default(), b.form.rows, b.form.cols);
                row.iter().map(block).collect::<Vec<_>>()
            };
            assemble(&grid.iter().map(line).collect::<Vec<_>>())
        });
        Value { form, data }
    }

    fn open(
        &mut self,
        wires: &[(&Tensor<R>, Site)],
        phases: &[(&Tensor<R>, Function)],
    ) -> Result<Opened<Self>, R::Error> {
        let operation = match (wires.first(), phases.first()) {
            (Some((_, site)), _) => site.operation(),
            (None, Some((_, function))) => function.operation(),
            (None, None) => Operation::Others,
        };
        self.ring.begin_operation(operation);
        let asked: Vec<_> = wires.iter().map(|(x, site)| (*x, self.frac_of(*site))).collect();
        let wires = self.rescale(&asked)?;
        // a function brings its argument to the scale that it wants
        Ok((wires, phases.iter().map(|(x, _)| self.copy(x)).collect()))
    }
}

impl<R: Ring> Beaver<'_, '_, R> {
    /// The same share once more.
    pub(super) fn copy(&mut self, x: &Tensor<R>) -> Tensor<R> {
        Value { form: x.form, data: self.ring.local(&[&x.data], x.form.count(), |_, x| x[0].to_vec()) }
    }

    /// Cuts a list into values of these forms.
    pub(super) fn split(&mut self, x: &R::Share, forms: impl Iterator<Item = Form>) -> Vec<Tensor<R>> {
        let mut from = 0;
        let mut each = Vec::new();
        for form in forms {
            let data = self.ring.local(&[x], form.count(), |_, x| x[0][from..from + form.count()].to_vec());
            from += form.count();
            each.push(Value { form, data });
        }
        each
    }
}
